"""A fleet of dispensers against a running server: as firmware should be, on lines as they are.

`fleet` makes them, `unit` is one of them, `lines` carry what it says over HTTP or MQTT and do to it what `faults`
tell, `verdict` compares at the end what they know with what the database knows.
"""
