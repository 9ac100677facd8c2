"""A history that is written down: the same machine, its own rules and invariants, no search."""

from datetime import timedelta
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from tests.telemetry.histories.machine import STARTS

# One rule of the machine, and what it is given.
Step = tuple[str, dict[str, Any]]
EXACT = timedelta(0)


def play(machine: Any, *steps: Step, skew: timedelta = EXACT) -> None:
    """Raises what the machine's invariants find."""
    machine.begin(STARTS[0], (skew, skew, skew))
    try:
        check(machine)
        for name, given in steps:
            getattr(machine, name)(**given)
            check(machine)
    finally:
        machine.teardown()


def check(machine: RuleBasedStateMachine) -> None:
    for invariant in machine.invariants:
        if all(holds(machine) for holds in invariant.preconditions):
            invariant.function(machine)
