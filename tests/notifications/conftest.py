"""Google and Apple on loopback, and phones that are registered with them."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from notifications import phones
from notifications.models import PushToken
from notifications.push import gateways
from tests.clients import Phone
from tests.notifications import fakes
from tests.notifications.fakes import FakeApns, FakeFcm
from zinzino import clock


@pytest.fixture
def services(tmp_path: Path, settings: Any) -> Iterator[tuple[FakeFcm, FakeApns]]:
    with fakes.running(tmp_path) as (google, apple):
        for name, value in fakes.settings_for(google, apple).items():
            setattr(settings, name, value)
        yield google, apple
        for kept in (gateways.google(), gateways.apple()):
            kept.connections.close()  # type: ignore[union-attr]


@pytest.fixture
def google(services: tuple[FakeFcm, FakeApns]) -> FakeFcm:
    return services[0]


@pytest.fixture
def apple(services: tuple[FakeFcm, FakeApns]) -> FakeApns:
    return services[1]


def reachable(
    phone: Phone, name: str = "android-1", *, now: datetime | None = None, **described: Any
) -> PushToken:
    """Register a phone of the person; hexadecimal names are Apple's."""
    platform = "ios" if len(name) == 64 else "android"
    session = phone.user.sessions.first()
    assert session
    described = {"token": name, "platform": platform, **described}
    return phones.register(phone.user.pk, session.pk, now=now or clock.now(), **described)[0]


def apples(number: int = 1) -> str:
    return f"{number:064x}"
