"""A server for the household."""

import pytest
from django.core.servers.basehttp import WSGIRequestHandler


@pytest.fixture(autouse=True)
def _prompt_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's test server writes head and body apart; the kernel would hold the second back for 40 ms."""
    monkeypatch.setattr(WSGIRequestHandler, "disable_nagle_algorithm", True)
