"""The contender: the same API as Django REST framework gives it to whoever follows its tutorial.

ModelSerializer viewsets, SimpleJWT with its query for the user, Django's default middleware and connections
(`CONN_MAX_AGE=0`), gunicorn with threads; on the product's own tables, so that its writes set off the same
triggers. It answers what the product answers and writes what the product writes. It is spared rate limits, retries
that are told from new events, the check that a session lives, request ids, counters and a second language.
"""
