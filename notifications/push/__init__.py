"""Talking to the push services: one module a provider, the same words for all of them."""
