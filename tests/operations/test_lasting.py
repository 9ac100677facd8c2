"""Processes keep the garbage collector away while they load, and from what will never be garbage."""

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest
from celery.signals import worker_process_init
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.test_settings import ROOT
from zinzino import celery, clock
from zinzino.lasting import begin, settle


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    threshold = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.set_threshold(*threshold)
    gc.freeze()


def test_a_worker_s_child_does_not_look_at_django_again_and_again() -> None:
    worker_process_init.send(sender=None)
    looked_at = gc.get_objects()
    assert not any(each is vars(module) for module in (celery, clock) for each in looked_at)
    assert gc.get_freeze_count() > len(looked_at)


def test_nothing_is_collected_while_a_command_loads_and_afterwards_it_is() -> None:
    program = """
import gc, sys, manage
sys.argv = ["manage.py", "help"]
manage.main()
print(gc.isenabled(), gc.get_freeze_count() > 50_000, gc.get_stats()[2]["collections"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "True True 0"


def test_who_settles_collects_again_whatever_came_before() -> None:
    begin()
    settle()
    assert gc.isenabled()


def test_messages_are_not_interrupted_by_the_collector() -> None:
    settle()
    before = collections()
    batch = [Properties(PacketTypes.PUBLISH) for _ in range(300)]  # type: ignore[no-untyped-call]
    assert collections() - before <= 1, len(batch)


def collections() -> int:
    return sum(int(generation["collections"]) for generation in gc.get_stats())
