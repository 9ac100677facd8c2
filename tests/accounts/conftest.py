from collections.abc import Iterator
from typing import Any

import pytest

from accounts import provider_keys
from tests.accounts.providers import KeyServer, key_server


@pytest.fixture
def keys(settings: Any) -> Iterator[KeyServer]:
    """The key servers of Google and Apple; nothing of them is known yet."""
    provider_keys.document.cache_clear()
    with key_server() as server:
        settings.GOOGLE_KEYS_URL, settings.APPLE_KEYS_URL = server.url("google"), server.url("apple")
        yield server
    provider_keys.document.cache_clear()
