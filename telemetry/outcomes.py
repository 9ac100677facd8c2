"""What the report of a dispenser makes of a dose: the table "What counts" of api.md 6. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from telemetry.models import Action, Confirmation, Dispense

# Doses of a family that may be given back on one day before somebody has to look (api.md 6).
RELEASED_A_DAY = 2


class Outcome(StrEnum):
    """How a dispenser says that a dose went."""

    DISPENSED = "dispensed"
    PARTIAL = "partial"
    FAILED = "failed"
    NOT_STARTED = "not_started"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Report:
    """The dispenser's word on one dose; the amount is in the dose's own unit, None where it is not known."""

    outcome: Outcome
    amount: Decimal | None = None

    @property
    def says_nothing_came_out(self) -> bool:
        """Only an explicit zero does: a failure alone may have poured."""
        return self.outcome in {Outcome.FAILED, Outcome.NOT_STARTED} and self.amount == 0


STATUSES: Mapping[Outcome, Dispense.Status] = {
    Outcome.DISPENSED: Dispense.Status.DISPENSED,
    Outcome.PARTIAL: Dispense.Status.PARTIAL,
    Outcome.FAILED: Dispense.Status.FAILED,
    Outcome.NOT_STARTED: Dispense.Status.NOT_STARTED,
    Outcome.UNKNOWN: Dispense.Status.UNCONFIRMED,
}


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a report makes of a dose, its line in the log and the counters."""

    status: Dispense.Status
    amount: Decimal | None
    action: Action
    confirmation: Confirmation
    # Whether it stays in `total_doses_dispensed` and in its day.
    poured: bool
    # Whether it goes on counting against the family's limits.
    counts: bool
    # Whether the family waits for a person from now on.
    is_fault: bool

    @property
    def is_final(self) -> bool:
        """A dispenser that does not know may still find out."""
        return self.status is not Dispense.Status.UNCONFIRMED


def settled(report: Report, *, released_today: int) -> Settlement:
    """`released_today`: doses of the family that were given back on this dose's local day."""
    status = STATUSES[report.outcome]
    if report.says_nothing_came_out:
        released = released_today < RELEASED_A_DAY
        fault = released_today + 1 >= RELEASED_A_DAY
        return Settlement(
            status,
            Decimal(0),
            Action.DOSE_FAILED,
            Confirmation.DEVICE,
            poured=False,
            counts=not released,
            is_fault=fault,
        )
    unsure = report.outcome in {Outcome.FAILED, Outcome.NOT_STARTED} and report.amount is None
    confirmation = Confirmation.NONE if unsure or report.outcome is Outcome.UNKNOWN else Confirmation.DEVICE
    # What an unknown outcome says of the amount is unknown as well: the whole dose counts.
    amount = None if report.outcome is Outcome.UNKNOWN else report.amount
    return Settlement(
        status, amount, Action.DOSE_DISPENSED, confirmation, poured=True, counts=True, is_fault=False
    )


# What becomes of a reservation whose minute is over without a word of the dispenser.
OVERDUE: Mapping[Dispense.Protocol, tuple[Dispense.Status, Confirmation]] = {
    Dispense.Protocol.SIMPLE: (Dispense.Status.DISPENSED, Confirmation.ASSUMED),
    Dispense.Protocol.FULL: (Dispense.Status.UNCONFIRMED, Confirmation.NONE),
}


def contradicts(dose: Dispense, report: Report) -> bool:
    """Whether a report says otherwise than the dispenser's final word, or than the person who was asked."""
    if dose.reported_at is not None:
        final = dose.amount if dose.actual_amount is None else dose.actual_amount
        return STATUSES[report.outcome] != dose.status or report.amount not in {None, final}
    if dose.resolved_as is None or report.outcome is Outcome.UNKNOWN:
        return False
    return report.says_nothing_came_out != (dose.resolved_as == Dispense.Outcome.NOT_TAKEN)
