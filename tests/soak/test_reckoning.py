"""The soak finds what is lost, doubled, late or growing; its long run is `make mixed-soak`."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from telemetry.simulation.fleet import Simulated
from tests import make
from tests.clients import Api, Unit
from tests.faults.product import Product
from tests.soak import NAMES, reckoning, truth
from tests.soak.arrivals import Arrival, arrivals, offer
from tests.soak.day import WEIGHTS, Books, Day, Register
from tests.soak.disk import Media
from tests.soak.faults import faults
from tests.soak.load import Load
from tests.soak.memory import Look, group_of, growths
from tests.soak.people import Household
from tests.soak.reckoning import Window
from tests.soak.wire import OK, Answer, Ask, Sample, judged

REFUSED = json.dumps({"success": False, "error": {"code": "SERVICE_UNAVAILABLE"}}).encode()
NO_TOKEN = json.dumps({"success": False, "error": {"code": "UNAUTHORIZED", "details": {}}}).encode()


# ------------------------------------------------------------------------------------- who comes when


def test_arrivals_come_at_equal_distances_in_the_proportions_of_a_day() -> None:
    made = list(arrivals(100, 50, WEIGHTS, seed=1))
    assert [each.at for each in made[:3]] == [0.0, 0.01, 0.02]
    assert len(made) == 5000
    counts = Counter(each.kind for each in made)
    for kind, weight in WEIGHTS.items():
        assert counts[kind] / 5000 == pytest.approx(weight / sum(WEIGHTS.values()), abs=0.02)
    assert made == list(arrivals(100, 50, WEIGHTS, seed=1))
    assert made != list(arrivals(100, 50, WEIGHTS, seed=2))


class Slow(Day):
    """Asks for nothing in particular."""

    def __init__(self) -> None:
        pass

    def ask(self, kind: str) -> Ask:
        return Ask(kind, "GET", "/devices", "")


def test_a_slow_server_is_not_spared_and_waiting_for_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.soak.load.CONNECTIONS", 1)
    samples: list[Sample] = []

    def wire(_ask: Ask) -> Answer:
        time.sleep(0.03)
        return Answer(OK)

    load = Load(wire, Slow(), [], samples)
    schedule = [Arrival(number * 0.01, "GET /devices") for number in range(12)]
    began = time.monotonic()
    late = offer(iter(schedule), began, load.take)
    assert time.monotonic() - began < 0.2  # all were sent on time, unanswered
    load.finish()
    assert late < 0.1
    assert len(samples) == 12
    assert samples[-1].waited > 0.2


def test_what_was_refused_is_sent_again_until_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.soak.load.random.random", lambda: 0.0)
    answers = [
        Answer("refused 503", retry_after=0.01),
        Answer("broken: X", retry_after=0.01),
        Answer(OK, {"n": 1}),
    ]
    samples: list[Sample] = []
    heard: list[Any] = []

    class Writing(Slow):
        def ask(self, kind: str) -> Ask:
            return Ask(kind, "POST", "/activities", "", ok=heard.append, again=True)

    load = Load(lambda _ask: answers.pop(0), Writing(), [], samples)
    load.take("POST /activities", time.monotonic())
    load.finish()
    assert [(each.outcome, each.first) for each in samples] == [
        ("refused 503", True),
        ("broken: X", False),
        (OK, False),
    ]
    assert (heard, load.given_up) == ([{"n": 1}], [])


# ------------------------------------------------------------------------------------- what came of it


@pytest.mark.parametrize(
    ("status", "headers", "content", "outcome"),
    [
        (200, {}, b'{"success": true, "data": {}}', OK),
        (200, {}, b"{}", "wrong 200: no success"),
        (503, {"Retry-After": "2"}, REFUSED, "refused 503"),
        (503, {}, REFUSED, "wrong 503: SERVICE_UNAVAILABLE null"),
        (500, {}, b"<h1>Server Error</h1>", "wrong 500: no JSON"),
        (401, {}, NO_TOKEN, "wrong 401: UNAUTHORIZED {}"),
    ],
)
def test_an_answer_is_good_a_refusal_or_wrong(
    status: int, headers: dict[str, str], content: bytes, outcome: str
) -> None:
    assert judged(status, headers, content).outcome == outcome


def sample(due: float, waited: float = 0.01, outcome: str = OK) -> Sample:
    return Sample("GET /devices", due, due + waited, outcome)


FAULT = Window("web", "kill -9", since=100.0, until=130.0)
SAMPLES = [
    *(sample(at / 10) for at in range(2000)),
    sample(99.5, 1.0, "broken: ProtocolError"),  # was under way
    sample(103.0, 0.1, "refused 503"),
    sample(104.0, 3.5),
    sample(150.0, outcome="wrong 500: no JSON"),
]


def test_a_fault_is_told_by_when_the_last_one_failed_or_waited() -> None:
    felt = reckoning.felt(SAMPLES, FAULT)
    assert (felt.refused, felt.broken, felt.wrong) == (1, 1, 0)
    assert (felt.last_failure_s, felt.last_slow_s, felt.longest_s) == (3.1, 7.5, 3.5)


def test_beside_all_faults_nobody_may_fail() -> None:
    beside = reckoning.service(reckoning.beside(SAMPLES, [FAULT]))
    assert (beside.failures, beside.requests) == (1, 1701)
    assert reckoning.wrongs(SAMPLES) == {"GET /devices: wrong 500: no JSON": 1}


def test_a_harmless_window_explains_no_failure() -> None:
    backup = Window("backup", "", since=140.0, until=160.0, is_harmless=True)
    assert reckoning.service(reckoning.beside(SAMPLES, [backup])).failures == 3


# ------------------------------------------------------------------------------------- memory


def looks(values: Sequence[float], *, pids: Sequence[int] = (1,)) -> list[Look]:
    return [Look(10.0 * at, "web", pids[at * len(pids) // len(values)], value) for at, value in enumerate(values)]


@pytest.mark.parametrize(
    ("found", "is_flat"),
    [
        (looks([100.0] * 60), True),
        (looks([100.0 + at for at in range(60)]), False),
        # A small program may take a few more pages.
        (looks([20.0 + at / 20 for at in range(60)]), True),
        # It was killed in the middle and began anew; each of the two was flat.
        (looks([100.0] * 30 + [140.0] * 30, pids=(1, 2)), True),
        (looks([100.0 + 2 * at for at in range(30)] + [140.0 + 2 * at for at in range(30)], pids=(1, 2)), False),
    ],
)
def test_what_grows_is_found(found: list[Look], is_flat: bool) -> None:
    [growth] = growths(found, since=0, until=600)
    assert growth.is_flat is is_flat


def test_growth_is_of_the_second_half() -> None:
    [growth] = growths(looks([100.0] * 30 + [120.0] * 30), since=0, until=600)
    assert (growth.first, growth.second, round(growth.share, 3)) == (100.0, 120.0, 0.2)


@pytest.mark.parametrize(
    ("name", "words", "group"),
    [
        ("python", ["python", "-m", "zinzino.tether", "python", "-m", "granian", "--workers", "2"], "web"),
        ("python", ["python", "-m", "celery", "-A", "zinzino", "worker"], "worker"),
        ("python", ["python", "-m", "manage", "mqtt_broker"], "broker"),
        ("postgres", ["postgres: checkpointer"], "postgres"),
        ("bash", ["bash"], ""),
    ],
)
def test_each_process_belongs_to_a_program(name: str, words: list[str], group: str) -> None:
    assert group_of(name, words) == group


# ------------------------------------------------------------------------------------- the ledger


@pytest.fixture
def home(db: None) -> Household:
    """A household as the soak has it, and what it has written by the API."""
    person = make.person()
    made = make.dispenser(person.user)
    unit = Simulated(made.id, person.user.pk, "omega", made.token)
    return Household(str(person.user.pk), person.tokens.access, [unit], "2026-01-01T00:00:00.000Z")


def done(day: Day, kind: str, home: Household) -> None:
    """Asked for, carried out and acknowledged."""
    ask = day.ask(kind)
    answer = getattr(Api(ask.token), ask.method.lower())(ask.path, ask.body)
    assert answer.status_code in (200, 201), answer.json()
    ask.ok(answer.json()["data"])


def found(home: Household, books: Books) -> dict[str, tuple[int, int, int]]:
    """Of each channel that something is wrong with: lost, doubled, never sent."""
    with connection.cursor():
        compared = truth.compared(connection.connection, [home], books)
    wrong = {name: (len(each.lost), len(each.doubled), len(each.unknown)) for name, (_, each) in compared.items()}
    return {name: counts for name, counts in wrong.items() if any(counts)}


@pytest.fixture
def day(home: Household) -> Day:
    day = Day([home], seed=1)
    # The cup first: the plan that is written then has no dose at this hour.
    done(day, "POST /states/:id", home)
    for kind in WEIGHTS:
        if kind.startswith(("POST /sync", "POST /a", "PUT", "PATCH")):
            done(day, kind, home)
    return day


def test_all_that_was_acknowledged_is_found_once(home: Household, day: Day) -> None:
    assert found(home, day.books) == {}
    assert len(day.books.doses.acknowledged) == 1
    assert truth.none(connection.connection, [home]) == dict.fromkeys(truth.NONE, 0)


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("DELETE FROM activity_logs WHERE metadata ? 'soak'", {"notes, by Idempotency-Key": (1, 0, 0)}),
        ("DELETE FROM activity_logs WHERE metadata ? 'offline'", {"lines written offline, by id": (1, 0, 0)}),
        ("UPDATE dispenses SET counts = false", {"doses that were allowed": (1, 0, 0)}),
        ("DELETE FROM sync_mutation", {"offline changes, by mutation_id": (2, 0, 0)}),
        ("DELETE FROM event_keys WHERE key LIKE 'request:%%'", {"cups, by request_id": (1, 0, 0)}),
        ("UPDATE devices SET plan_version = 1", {"edits of plans, by version": (1, 0, 0)}),
        ("UPDATE devices SET plan_version = 3", {"edits of plans, by version": (0, 0, 1)}),
        ("UPDATE devices SET battery_level = 99", {"last of batteries": (0, 0, 1)}),
    ],
)
def test_what_is_lost_is_named(
    home: Household, day: Day, statement: str, wrong: dict[str, tuple[int, int, int]]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
    assert found(home, day.books) == wrong


def test_what_is_doubled_is_named(home: Household, day: Day) -> None:
    [(_, key)] = day.books.notes.acknowledged
    answer = Api(home.token).post("/activities", {"action": "note", "metadata": {"soak": key}})
    assert answer.status_code == 201
    assert found(home, day.books) == {"notes, by Idempotency-Key": (0, 1, 0)}


def test_a_reading_without_its_key_and_a_dose_too_soon_are_found(home: Household, day: Day) -> None:
    Unit(home.devices[0].id, home.devices[0].token).cup(False)
    columns = "user_id, device_id, family, amount, unit, plan_version, expires_at, counts"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO dispenses (id, activity_id, authorized_at, status, {columns})"
            " SELECT gen_random_uuid(), gen_random_uuid(), authorized_at + interval '1 hour', 'dispensed',"
            f" {columns}"
            "    FROM dispenses"
        )
    none = truth.none(connection.connection, [home])
    assert none["cups stored without their key, or twice"] == 1
    assert none["doses too soon after another"] == 1


def test_of_what_is_replaced_the_last_one_or_a_later_one_stands() -> None:
    register = Register()
    for value in ("a", "b", "c", "d"):
        register.attempt("unit", value)
    register.acknowledge("unit", 2)
    register.acknowledge("unit", 0)  # the answer of an earlier one came late
    assert truth.kept(register, {"unit": "c"}).is_whole
    assert truth.kept(register, {"unit": "d"}).is_whole  # sent, its answer is lost
    assert truth.kept(register, {"unit": "b"}).lost == ["unit"]
    assert truth.kept(register, {"unit": "x"}).unknown == ["unit"]


@pytest.mark.enable_socket
def test_each_fault_can_be_chosen_by_its_name(tmp_path: Path) -> None:
    class Mounted(Media):
        def __init__(self) -> None:
            self.is_mounted = True

    assert tuple(fault.name for fault in faults(Product(tmp_path), Mounted())) == NAMES
