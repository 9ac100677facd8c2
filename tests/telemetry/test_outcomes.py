"""The table "What counts" of api.md 6, as far as a dispenser's report decides."""

from decimal import Decimal

import pytest

from telemetry.models import Dispense
from telemetry.outcomes import OVERDUE, RELEASED_A_DAY, Outcome, Report, contradicts, settled

D, P, F, N, U = Outcome
ZERO, SOME = Decimal(0), Decimal(2)

# outcome, amount → status, action, confirmation, in the totals, in the limits
TABLE = [
    (D, None, "dispensed", "dose_dispensed", "device", True, True),
    (D, SOME, "dispensed", "dose_dispensed", "device", True, True),
    (P, SOME, "partial", "dose_dispensed", "device", True, True),
    (P, None, "partial", "dose_dispensed", "device", True, True),
    (F, SOME, "failed", "dose_dispensed", "device", True, True),
    (N, SOME, "not_started", "dose_dispensed", "device", True, True),
    (F, None, "failed", "dose_dispensed", "none", True, True),
    (N, None, "not_started", "dose_dispensed", "none", True, True),
    (U, None, "unconfirmed", "dose_dispensed", "none", True, True),
    (U, SOME, "unconfirmed", "dose_dispensed", "none", True, True),
    (U, ZERO, "unconfirmed", "dose_dispensed", "none", True, True),
    (F, ZERO, "failed", "dose_failed", "device", False, False),
    (N, ZERO, "not_started", "dose_failed", "device", False, False),
]


@pytest.mark.parametrize(("outcome", "amount", "status", "action", "confirmation", "poured", "counts"), TABLE)
def test_what_a_report_makes_of_a_dose(
    outcome: Outcome,
    amount: Decimal | None,
    status: str,
    action: str,
    confirmation: str,
    poured: bool,
    counts: bool,
) -> None:
    result = settled(Report(outcome, amount), released_today=0)
    assert (result.status, result.action, result.confirmation) == (status, action, confirmation)
    assert (result.poured, result.counts, result.is_fault) == (poured, counts, False)
    assert result.is_final is (outcome is not Outcome.UNKNOWN)


def test_an_unknown_outcome_counts_as_the_whole_dose() -> None:
    assert settled(Report(U, SOME), released_today=0).amount is None


@pytest.mark.parametrize(
    ("released_before", "counts", "is_fault"), [(0, False, False), (1, False, True), (2, True, True)]
)
def test_two_doses_a_day_are_given_back_and_then_somebody_has_to_look(
    released_before: int, counts: bool, is_fault: bool
) -> None:
    assert RELEASED_A_DAY == 2
    result = settled(Report(F, ZERO), released_today=released_before)
    assert (result.poured, result.counts, result.is_fault) == (False, counts, is_fault)


def test_what_an_overdue_dose_becomes() -> None:
    assert OVERDUE[Dispense.Protocol.SIMPLE] == ("dispensed", "assumed")
    assert OVERDUE[Dispense.Protocol.FULL] == ("unconfirmed", "none")


REPORTED = {"status": "failed", "amount": Decimal(5), "actual_amount": ZERO, "reported_at": True}
RESOLVED = {"status": "unconfirmed", "amount": Decimal(5)}


@pytest.mark.parametrize(
    ("dose", "report", "contradiction"),
    [
        (REPORTED, Report(F, ZERO), False),
        (REPORTED, Report(F), False),
        (REPORTED, Report(F, SOME), True),
        (REPORTED, Report(D), True),
        (REPORTED, Report(U), True),
        ({**REPORTED, "status": "dispensed", "actual_amount": None}, Report(D, Decimal(5)), False),
        ({**REPORTED, "actual_amount": None}, Report(F, ZERO), True),
        (RESOLVED, Report(F, ZERO), False),
        ({**RESOLVED, "resolved_as": "taken"}, Report(D), False),
        ({**RESOLVED, "resolved_as": "taken"}, Report(F, ZERO), True),
        ({**RESOLVED, "resolved_as": "not_taken"}, Report(F, ZERO), False),
        ({**RESOLVED, "resolved_as": "not_taken"}, Report(P, SOME), True),
        ({**RESOLVED, "resolved_as": "not_taken"}, Report(U), False),
    ],
)
def test_what_contradicts_a_final_word(dose: dict[str, object], report: Report, contradiction: bool) -> None:
    assert contradicts(Dispense(**dose), report) is contradiction
