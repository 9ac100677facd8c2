"""The demonstration: what `seed_demo` puts there, and the household that `demo_day` lives through.

`seed` speaks to the services of all apps. Everything else here speaks HTTP only and knows nothing of the
server but its documented API, so that it can be pointed at any server.
"""
