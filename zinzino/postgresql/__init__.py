"""Django's backend for PostgreSQL, with two things of our own."""
