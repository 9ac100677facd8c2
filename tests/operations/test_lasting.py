"""Processes that live long keep the garbage collector away from what will never be garbage."""

import gc
from collections.abc import Iterator

import pytest
from celery.signals import worker_process_init

from zinzino import celery, clock


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_a_worker_s_child_does_not_look_at_django_again_and_again() -> None:
    worker_process_init.send(sender=None)
    looked_at = gc.get_objects()
    assert not any(each is vars(module) for module in (celery, clock) for each in looked_at)
    assert gc.get_freeze_count() > len(looked_at)
