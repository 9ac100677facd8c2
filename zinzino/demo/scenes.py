"""The day of a household, scene by scene: what happens, and what a person would expect of it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from zinzino.demo import reckoning
from zinzino.demo.dispenser import DOSES, Dispenser
from zinzino.demo.household import Household, somebody
from zinzino.demo.report import SOMETHING, OneOf, Such, one_of
from zinzino.demo.wire import Answer

# How far two clocks and a slow call may put two times of one event apart.
CLOSE_S = 120
MIN_GAP = timedelta(hours=4)
LATE = timedelta(minutes=10)
# A second cup soon after a dose: the first of the two holds for a minute.
TOO_SOON = one_of("dispense_in_progress", "min_interval")


def sign_up(home: Household) -> None:
    """An account, and a second phone that signs in to it."""
    person, book = home.person, home.book
    answer = home.wire.send("POST", "/auth/register", person, key=str(uuid4()))
    shown = {"user__email": person["email"], "user__full_name": person["full_name"]}
    book.need(
        "an account is made at the first try", answer, 201, **shown, token=SOMETHING, refresh_token=SOMETHING
    )
    home.old_phone.take_tokens(answer)
    answer = home.wire.send("POST", "/auth/login", {name: person[name] for name in ("email", "password")})
    book.need("the new password signs in", answer, 200, **shown, token=SOMETHING, refresh_token=SOMETHING)
    home.phone.take_tokens(answer)
    answer = home.phone.get("/profile")
    book.expect("the profile is the person's", answer, email=person["email"], language="en", is_verified=False)


def first_sync(home: Household) -> None:
    answer = home.phone.sync_full()
    expected = {"devices": [], "states": [], "activity_logs": [], "notifications": [], "has_more": False}
    home.book.need("a new phone gets an empty home", answer, 200, **expected, sync_timestamp=SOMETHING)
    home.book.expect("and the person's profile", answer, profile__email=home.person["email"])
    home.book.expect("and settings to begin with", answer, notification_settings__low_battery_enabled=True)


def add_dispensers(home: Household) -> None:
    """Three dispensers. The answer to the first is lost: the same key again is no second dispenser."""
    key = str(uuid4())
    add(home, home.kitchen, key)
    lost_id, home.lost_token = home.kitchen.id, home.kitchen.token
    add(home, home.kitchen, key)
    home.book.agree("the same Idempotency-Key is the same dispenser", lost_id, home.kitchen.id)
    fresh = Such("a fresh token", lambda token: token != home.lost_token)
    home.book.agree("its retry brings a token of its own", fresh, home.kitchen.token)
    answer = home.phone.post("/devices", home.kitchen.described)
    home.book.refused("nobody adds it twice", answer, 409, "DUPLICATE_ENTRY", reason="duplicate", owner="yours")
    add(home, home.bedroom, str(uuid4()))
    add(home, home.office, str(uuid4()))
    answer = home.phone.get("/devices")
    ids = [row.get("id") for row in answer.rows()]
    home.book.agree("the list shows the three, oldest first", [each.id for each in home.dispensers], ids)
    shown = [row for row in answer.rows() if "device_token" in row]
    home.book.agree("no list shows a token", [], shown)


def add(home: Household, dispenser: Dispenser, key: str) -> None:
    answer = home.phone.post("/devices", dispenser.described, key=key)
    fields = dispenser.described | {"total_doses_dispensed": 0, "is_active": True, "last_decision": None}
    sentence = f"{dispenser.described['device_name']} can be added"
    home.book.need(sentence, answer, 201, **fields, id=SOMETHING, device_token=SOMETHING)
    dispenser.id, dispenser.token = answer.field("id"), answer.field("device_token")


def first_contact(home: Household) -> None:
    """The dispensers report for the first time, and the phone sees it without asking for all again."""
    for dispenser in home.dispensers:
        battery = home.dice.randint(60, 100)
        answer = dispenser.status(battery_level=battery, supplement_level=90, firmware_version="1.4.2")
        levels = {"battery_level": battery, "supplement_level": 90, "is_connected": True}
        home.book.expect("full levels are taken, and nobody is told", answer, notifications_sent=[], **levels)
        home.book.expect("the dispenser learns the time", answer, server_ms=SOMETHING, plan_version=1)
    answer = home.wire.send("PATCH", f"{home.kitchen.path}/status", {}, token=home.lost_token)
    home.book.refused("the lost token has ended", answer, 401, "UNAUTHORIZED", reason="token_invalid")
    delta = home.phone.sync()
    home.book.expect("the phone can ask for what is new", delta.answer, sync_status="success", has_more=False)
    known = {row["id"]: row["is_connected"] for row in home.phone.copy.of("devices")}
    home.book.agree("it now knows the three as connected", {each.id: True for each in home.dispensers}, known)


def morning_cup(home: Household) -> None:
    """From here on the phone is offline: the dispensers do not need it."""
    reading, answer = home.kitchen.fill()
    home.first_cup = reading, answer
    if answer.retries and answer.field("reason") == "already_answered":
        return  # the yes was lost in an outage; the dose counts and is not poured
    expect_dose(home, "the first cup of the day is filled", home.kitchen, answer)
    home.book.expect("the cup is seen", answer, cup_placed=True, last_state_change=near(reading["timestamp"]))
    due_again = near_moment(datetime.fromisoformat(reading["timestamp"]) + MIN_GAP)
    home.book.expect("the next dose is due four hours later", answer, next_dose_at=due_again)


def expect_dose(home: Household, sentence: str, dispenser: Dispenser, answer: Answer) -> None:
    text, microlitres = DOSES[dispenser.described["device_type"]]
    fields = {"should_dispense": True, "reason": "due", "reason_class": None, "dispense_amount": text}
    home.book.expect(
        sentence, answer, 200, **fields, dose__volume_ul=microlitres, dispense_id=SOMETHING, expires_at=SOMETHING
    )


def lost_answer(home: Household) -> None:
    """The dispenser does not know whether its reading arrived: it sends the same one again."""
    reading, first = home.first_cup
    again = home.kitchen.event(reading)
    home.book.expect("the same dose is meant", again, dispense_id=first.field("dispense_id"))
    if not (first.retries or again.retries):
        same = ("should_dispense", "dispense_amount", "reason", "expires_at", "cup_placed", "last_state_change")
        home.book.expect("the same answer comes again", again, **{name: first.field(name) for name in same})
    rows = doses_of(home, home.kitchen)
    home.book.agree("one dose stands in the log", [first.field("dispense_id")], dispense_ids(rows))
    shown = [(row["dose_amount"], row["triggered_by"]) for row in rows]
    home.book.agree("with its amount and its cause", [(home.kitchen.dose, "automatic")], shown)


def doses_of(home: Household, dispenser: Dispenser) -> list[dict[str, Any]]:
    rows = home.old_phone.get(f"{dispenser.path}/history?limit=100").rows("activities")
    return [row for row in rows if row["action"] == "dose_dispensed"]


def dispense_ids(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["metadata"].get("dispense_id") for row in rows]


def same_cup(home: Household) -> None:
    """The cup stays, is lifted, is put back at once: no second dose, and a reason that can be shown."""
    refused_cup(home, "a cup that was not lifted gets no more", home.kitchen, "cup_not_emptied", "cup")
    answer = home.kitchen.remove()
    no = {"should_dispense": False, "dispense_id": None, "dose": None, "dispense_amount": None}
    why = or_late(answer, "cup_not_placed")
    home.book.expect("lifting the cup pours nothing", answer, reason=why, cup_placed=False, **no)
    refusal = refused_cup(home, "a cup put back at once gets no more", home.kitchen, TOO_SOON, "wait")
    late_copy = home.kitchen.event(home.first_cup[0])
    home.book.expect("a yes ends with the next event", late_copy, should_dispense=False, reason="already_answered")
    answer = home.old_phone.get(home.kitchen.path)
    why = {f"last_decision__{name}": refusal.field(name) for name in ("should_dispense", "reason", "reason_class")}
    home.book.expect("the other phone can say why", answer, **why)
    home.kitchen.remove()


def refused_cup(home: Household, sentence: str, dispenser: Dispenser, reason: Any, kind: str) -> Answer:
    answer = dispenser.place()
    no = {"should_dispense": False, "dispense_amount": None, "dispense_id": None, "expires_at": None}
    why = {"reason": or_late(answer, reason), "reason_class": one_of(kind, "wait") if answer.retries else kind}
    home.book.expect(sentence, answer, cup_placed=True, **why, **no)
    return answer


def or_late(answer: Answer, *reasons: Any) -> Any:
    """The reason; but a reading that had to be repeated for a minute has become too old by then."""
    expected = [value for each in reasons for value in (each.values if isinstance(each, OneOf) else (each,))]
    return one_of(*expected, "event_too_old") if answer.retries else one_of(*expected)


def second_dispenser(home: Household) -> None:
    """Another dispenser of the same family: its dose would be the second within the hour."""
    answer = refused_cup(home, "the office knows of the kitchen's dose", home.office, "min_interval", "wait")
    when = home.first_cup[1].field("next_dose_at") or answer.field("next_dose_at")
    home.book.expect("and says when it will pour", answer, next_dose_at=near(when))
    home.office.remove()


def other_supplement(home: Household) -> None:
    _, answer = home.bedroom.fill()
    if not (answer.retries and answer.field("reason") == "already_answered"):
        expect_dose(home, "vitamin D is another matter", home.bedroom, answer)
    home.bedroom.remove()


def low_level(home: Household) -> None:
    """Running low is told once, running out once more."""
    for level, severity in ((home.dice.randint(12, 20), "low"), (home.dice.randint(2, 10), "critical")):
        answer = home.kitchen.status(supplement_level=level)
        # The retry of a report that was taken opens nothing.
        told = one_of(["low_supplement"], []) if answer.retries else ["low_supplement"]
        home.book.expect(f"at {level} % the person is told", answer, notifications_sent=told)
        home.told.append(severity)
        answer = home.kitchen.status(supplement_level=level - 1, battery_level=home.dice.randint(30, 60))
        home.book.expect("and not told again while it stays low", answer, notifications_sent=[])
    answer = home.old_phone.get("/notifications?type=low_supplement")
    severities = [row["metadata"].get("severity") for row in answer.rows("notifications")]
    home.book.agree("the list shows both, newest first", home.told[::-1], severities)
    count = home.old_phone.get("/notifications/unread-count")
    home.book.expect("and both unread", count, by_type__low_supplement=len(home.told))


def duplicate_event(home: Household) -> None:
    """A removal that is sent three times, and a question under one request id that is sent twice."""
    reading = home.office.reading(cup_placed=False)
    first = home.office.event(reading)
    for _ in range(2):
        same = {name: first.field(name) for name in ("last_state_change", "cup_placed", "reason")}
        home.book.expect("nothing moves", home.office.event(reading), **same)
    asked = {"request_id": str(uuid4())}
    first = home.office.place(**asked)
    why = or_late(first, "min_interval")
    home.book.expect("the question is answered", first, should_dispense=False, reason=why)
    again = home.office.place(**asked)
    home.book.expect("a request id is answered once", again, should_dispense=False, reason=first.field("reason"))
    home.book.expect("and stores nothing", again, last_state_change=first.field("last_state_change"))
    home.office.remove()


def late_event(home: Household) -> None:
    """A cup of ten minutes ago arrives now, twice. It is kept, but the clock is not turned back."""
    before = home.old_phone.get("/states")
    reading = home.bedroom.reading(cup_placed=True, at=home.bedroom.now() - LATE)
    for _ in range(2):
        answer = home.bedroom.event(reading)
        home.book.expect("an old cup is not filled", answer, should_dispense=False, reason="event_too_old")
        home.book.expect("the cup of now stays", answer, cup_placed=False, reason_class="wait")
    home.book.agree("the phone sees the same states as before", before.data, home.old_phone.get("/states").data)
    answer = home.old_phone.get(home.bedroom.path)
    home.book.expect("the event itself was taken", answer, last_decision__reason="event_too_old")


def wrong_clock(home: Household) -> None:
    ahead = home.bedroom.now() + timedelta(hours=home.dice.randint(1, 48))
    answer = home.bedroom.event(home.bedroom.reading(cup_placed=True, at=ahead))
    home.bedroom.placed = True
    refusal = {"should_dispense": False, "reason": "clock_untrusted", "reason_class": "service"}
    home.book.expect("a clock far ahead is not believed", answer, **refusal, dispense_id=None)
    home.book.expect(
        "but the cup is, now", answer, cup_placed=True, last_state_change=near(answer.field("server_time"))
    )
    home.bedroom.remove()


def back_online(home: Household) -> None:
    """The phone was away for all this. Its copy is old, then it is not; and nothing comes twice."""
    home.book.agree("offline the phone knows of no dose", [], home.phone.copy.of("activity_logs"))
    delta = home.phone.sync()
    home.book.expect("the difference comes", delta.answer, sync_status="success", has_more=False)
    logged = home.phone.copy.of("activity_logs", action="dose_dispensed")
    allowed = {name for each in home.dispensers for name in each.poured.keys() | each.missed}
    home.book.agree("every dose is there", sorted(allowed), sorted(dispense_ids(logged)))
    home.book.agree(
        "both warnings are there", len(home.told), len(home.phone.copy.of("notifications", type="low_supplement"))
    )
    states = {row["device_id"]: row["cup_placed"] for row in home.phone.copy.of("states")}
    home.book.agree("and every cup", {each.id: each.placed for each in home.dispensers}, states)
    again = home.phone.sync()
    twice = again.rows("new_activity_logs") + again.rows("new_notifications")
    home.book.agree("nothing is new twice", [], twice)


def read_on_the_train(home: Household) -> None:
    """A notification is read without a network; the server hears of it later."""
    unread = home.phone.copy.of("notifications", is_read=False, type="low_supplement")
    if not unread:
        return  # the scenes before have said so
    chosen = home.dice.choice(unread)["id"]
    home.phone.read_offline(home.phone.copy.rows["notifications"][chosen])
    for answer in home.phone.send_outbox():
        home.book.expect("it can be marked as read", answer)
    delta = home.phone.sync()
    updated = [(row["id"], row["is_read"]) for row in delta.rows("updated_notifications")]
    home.book.agree("the copy follows", [(chosen, True)], updated)
    read_at = home.phone.copy.rows["notifications"][chosen]["read_at"]
    home.book.expect("reading it again is fine", home.phone.put(f"/notifications/{chosen}/read"))
    rows = home.phone.get("/notifications?is_read=true").rows("notifications")
    shown = [(row["id"], row["read_at"]) for row in rows]
    home.book.agree("and keeps the time of the first", [(chosen, read_at)], shown)
    count = home.phone.get("/notifications/unread-count")
    unread_now = (count.field("by_type") or {}).get("low_supplement", 0)
    home.book.agree("one less is unread", len(home.told) - 1, unread_now)


def refreshed_tokens(home: Household) -> None:
    """The answer to a refresh is lost: the used token gives the same pair once more."""
    used = home.phone.refresh_token
    first, again = home.phone.refresh(used), home.phone.refresh(used)
    new = Such("a new one", lambda token: token not in (None, "", used))
    home.book.need("the refresh token is exchanged", first, refresh_token=new, token=SOMETHING)
    pair = {name: first.field(name) for name in ("token", "refresh_token")}
    home.book.expect("a lost answer is given again", again, **pair)
    home.phone.take_tokens(again)
    home.book.expect("the new token is good", home.phone.get("/profile"), email=home.person["email"])


def foreign_tokens(home: Household) -> None:
    if not home.neighbour.token:
        answer = home.wire.send("POST", "/auth/register", somebody(home.dice), key=str(uuid4()))
        home.book.need("the neighbour has an account too", answer, 201, token=SOMETHING)
        home.neighbour.take_tokens(answer)
    refused = home.book.refused
    answer = home.neighbour.get(home.kitchen.path)
    refused("a neighbour sees nothing of the kitchen", answer, 403, "FORBIDDEN", reason="not_owner")
    answer = home.neighbour.delete(home.kitchen.path)
    refused("and removes nothing", answer, 403, "FORBIDDEN", reason="not_owner")
    reading = home.bedroom.reading(cup_placed=True)
    answer = home.bedroom.send("POST", f"/states/{home.kitchen.id}", reading)
    refused("a dispenser speaks for itself only", answer, 403, "FORBIDDEN", reason="not_owner")
    answer = home.phone.post(f"/states/{home.kitchen.id}", reading)
    refused("a phone is no dispenser", answer, 403, "FORBIDDEN", reason="wrong_credential_kind")
    answer = home.bedroom.send("GET", "/devices", None)
    refused("and a dispenser is no phone", answer, 403, "FORBIDDEN", reason="wrong_credential_kind")


def removed_dispenser(home: Household) -> None:
    answer = home.phone.delete(home.office.path)
    if not (answer.retries and answer.status == 404):  # a lost answer: it had gone at the first try
        home.book.expect("a dispenser can be removed", answer)
    answer = home.office.status(battery_level=50)
    home.book.refused("its token ends at once", answer, 401, "UNAUTHORIZED", reason="token_invalid")
    answer = home.phone.get(home.office.path)
    home.book.refused("nothing is left to look at", answer, 404, "NOT_FOUND")
    delta = home.phone.sync()
    home.book.agree("the phone hears that it went", [home.office.id], delta.deleted("devices"))
    left = sorted(row["id"] for row in home.phone.copy.of("devices"))
    home.book.agree("and keeps the other two", sorted([home.kitchen.id, home.bedroom.id]), left)


def sign_out(home: Household) -> None:
    """One phone signs out, at once; the other stays."""
    answer = home.phone.post("/auth/logout")
    if not (answer.retries and answer.status == 401):
        home.book.expect("one can sign out", answer)
    ended = {"code": "UNAUTHORIZED", "reason": "session_revoked"}
    home.book.refused("the session has ended", home.phone.get("/profile"), 401, **ended)
    answer = home.phone.refresh(home.phone.refresh_token)
    home.book.refused("and cannot be renewed", answer, 401, **ended)
    home.book.expect("the other phone is untouched", home.old_phone.get("/profile"), email=home.person["email"])


def near(moment: Any) -> Such:
    return near_moment(datetime.fromisoformat(moment)) if moment else Such("a moment", lambda _: False)


def near_moment(moment: datetime) -> Such:
    def holds(came: Any) -> bool:
        return bool(came) and abs((datetime.fromisoformat(came) - moment).total_seconds()) < CLOSE_S

    return Such(f"about {moment:%H:%M:%S}", holds)


SCENES: tuple[tuple[str, Callable[[Household], None]], ...] = (
    ("sign up, sign in", sign_up),
    ("a new phone", first_sync),
    ("three dispensers", add_dispensers),
    ("first contact", first_contact),
    ("the morning cup", morning_cup),
    ("the lost answer", lost_answer),
    ("the same cup again", same_cup),
    ("a second dispenser of it", second_dispenser),
    ("another supplement", other_supplement),
    ("running low", low_level),
    ("duplicate events", duplicate_event),
    ("a late event", late_event),
    ("a clock far ahead", wrong_clock),
    ("the phone is back", back_online),
    ("read on the train", read_on_the_train),
    ("tokens renewed", refreshed_tokens),
    ("foreign tokens", foreign_tokens),
    ("a dispenser removed", removed_dispenser),
    ("reckoning", reckoning.reckoning),
    ("sign out", sign_out),
)
