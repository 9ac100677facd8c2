"""Processes that live long keep the garbage collector away from what will never be garbage."""

import gc
from collections.abc import Iterator

import pytest
from celery.signals import worker_process_init
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from zinzino import celery, clock
from zinzino.lasting import settle


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_a_worker_s_child_does_not_look_at_django_again_and_again() -> None:
    worker_process_init.send(sender=None)
    looked_at = gc.get_objects()
    assert not any(each is vars(module) for module in (celery, clock) for each in looked_at)
    assert gc.get_freeze_count() > len(looked_at)


def test_messages_are_not_interrupted_by_the_collector() -> None:
    settle()
    before = collections()
    batch = [Properties(PacketTypes.PUBLISH) for _ in range(300)]  # type: ignore[no-untyped-call]
    assert collections() - before <= 1, len(batch)


def collections() -> int:
    return sum(int(generation["collections"]) for generation in gc.get_stats())
