"""The live channel: what a delta would answer, sent as soon as it is committed (api.md 5, ADR 0026)."""
