"""Histories of a household and its phones: every one that Hypothesis can think of (sync.md, test plan)."""

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from accounts.models import User
from devices.models import Device
from notifications.models import Notification
from syncapi import audit, retention
from telemetry.models import ActivityLog, DeviceState
from tests import make
from tests.clients import Phone, Unit
from tests.syncapi.histories.book import FIELDS, Book
from tests.syncapi.histories.phones import Fate, JudgedPhone
from tests.syncapi.histories.world import Writer, asked, run, truth
from zinzino import clock
from zinzino.clock import iso
from zinzino.ids import uuid7

PHONES, UNITS, WRITERS = st.integers(0, 2), st.integers(0, 1), st.integers(0, 2)
# Most exchanges go well, or nothing would ever be learnt.
FATES = st.sampled_from([Fate.ARRIVES, Fate.ARRIVES, Fate.ARRIVES, *Fate])
FORGETFUL = st.sampled_from([Fate.ANSWER_LOST, Fate.CRASH, Fate.HALF])
NAMES = st.sampled_from(["Mutfak", "Salon", "Ofis"])
# How far a dispenser's clock is off, in seconds; its past is longer than the server's.
SKEWS = st.sampled_from([0, 0, 0, -1, -30, -3_600, -86_400, 30, 240, 3_600, -10 * 31_536_000, 20 * 31_536_000])
NO_EPOCH = settings.SYNC_EPOCH
# What was counted over all histories, for the report of the long run.
COUNTED: Counter[str] = Counter()


class Household(RuleBasedStateMachine):
    """Alice with three phones and two dispensers, Bob with one phone; three writers with open transactions."""

    phone_class: Any = JudgedPhone

    @initialize(page=st.integers(1, 5))
    def begin(self, page: int) -> None:
        settings.SYNC_EPOCH, settings.SYNC_PAGE_ROWS = NO_EPOCH, page
        self.book = Book()
        self.alice, self.bob = Phone(make.person()), Phone(make.person())
        self.units = [self.alice.dispenser(device_type=kind) for kind in ("fish_oil", "krill_oil")]
        spare = self.alice.dispenser(device_type="vitamin_d")
        for unit in [*self.units, spare]:
            self.learn(unit)
        for person in (self.alice, self.bob):
            self.book.values["profile", str(person.user.pk), "full_name"] = person.user.full_name
            self.book.values["profile", str(person.user.pk), "theme_preference"] = "dark"
        self.writers = [
            Writer(self.alice.user.pk, spare.id if number == 0 else self.nothing()) for number in range(3)
        ]
        for unit in self.units:
            unit.status(battery_level=15)
        self.phones = [self.phone_class(self.alice, self.book) for _ in range(3)]
        self.bobs = self.phone_class(self.bob, self.book)
        for phone in self.phones[:2]:
            phone.fetch_all()
        self.read: set[Any] = set()
        self.notes: list[str] = []
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.states = 0

    def nothing(self) -> Any:
        return uuid7(clock.now())

    def learn(self, unit: Unit) -> None:
        row = Device.objects.get(pk=unit.id)
        self.book.owners[str(unit.id)] = str(row.user_id)
        for name in ("device_name", "location"):
            self.book.values["device", str(unit.id), name] = getattr(row, name)

    @property
    def alice_id(self) -> str:
        return str(self.alice.user.pk)

    def settle(self, *kinds: str) -> None:
        """What follows would wait for a writer that this thread itself has to end."""
        for writer in self.writers:
            if writer.dirty & set(kinds or ("notification", "activity_log", "device")):
                writer.end()

    # ---------------------------------------------------------------------------- the server's side

    @rule(
        writer=WRITERS,
        kind=st.sampled_from(["notification", "activity_log", "device"]),
        number=st.integers(0, 2),
        put=st.sampled_from([True, True, False]),
        undone=st.sampled_from([False, False, True]),
    )
    def a_writer_writes(self, writer: int, kind: str, number: int, put: bool, undone: bool) -> None:
        self.writers[writer].write(kind, number, put=put, undone=undone)

    @rule(writer=WRITERS)
    def a_writer_changes_nothing(self, writer: int) -> None:
        self.writers[writer].write_nothing()

    @rule(writer=WRITERS, commit=st.sampled_from([True, True, True, False]))
    def a_writer_ends(self, writer: int, commit: bool) -> None:
        self.writers[writer].end(commit=commit)

    @rule(rows=st.integers(1, 12), rolled_back=st.booleans())
    def many_lines_at_once(self, rows: int, rolled_back: bool) -> None:
        now = clock.now()
        lines = [
            ActivityLog(
                id=uuid7(now), user_id=self.alice.user.pk, action="note", local_date=now.date(), timestamp=now
            )
            for _ in range(rows)
        ]
        with transaction.atomic():
            ActivityLog.objects.bulk_create(lines)
            transaction.set_rollback(rolled_back)

    @rule()
    def old_lines_go(self) -> None:
        self.settle("activity_log")
        ActivityLog.objects.filter(user_id=self.alice.user.pk).delete()
        self.book.notes.clear()

    @rule()
    def all_is_read(self) -> None:
        self.settle("notification")
        self.alice.put("/notifications/read-all")

    @rule(unit=UNITS, name=NAMES)
    def a_device_is_renamed_online(self, unit: int, name: str) -> None:
        id = str(self.units[unit].id)
        if self.book.owners[id] == self.alice_id:
            assert self.alice.put(f"/devices/{id}", {"device_name": name}).status_code == 200
            self.book.note("device", id, self.alice_id, device_name=name)

    @rule(name=NAMES)
    def the_profile_changes_online(self, name: str) -> None:
        self.alice.put("/profile", {"full_name": name})
        self.book.note("profile", self.alice_id, self.alice_id, full_name=name)

    @rule(unit=UNITS, on=st.booleans())
    def a_device_is_switched(self, unit: int, on: bool) -> None:
        id = self.units[unit].id
        if self.book.owners[str(id)] == self.alice_id:
            self.alice.put(f"/devices/{id}", {"is_active": on})

    @rule(unit=UNITS)
    def a_device_changes_hands(self, unit: int) -> None:
        id = str(self.units[unit].id)
        new = {self.alice_id: self.bob.user.pk, str(self.bob.user.pk): self.alice.user.pk}.get(
            self.book.owners[id] or ""
        )
        if new:
            Device.objects.filter(pk=id).update(user_id=new)
            self.book.moved(id, str(new))

    @rule()
    def bob_leaves_and_another_bob_comes(self) -> None:
        gone = self.bob.user.pk
        User.objects.filter(pk=gone).delete()
        for id, owner in self.book.owners.items():
            self.book.owners[id] = None if owner == str(gone) else owner
        assert asked("SELECT count(*) FROM sync_change WHERE user_id = %s", (gone,)) == [(0,)]
        assert self.bob.post("/sync/full").status_code == 401
        self.bob = Phone(make.person())
        self.bobs = self.phone_class(self.bob, self.book)

    # ---------------------------------------------------------------------------- dispensers

    @rule(unit=UNITS, placed=st.booleans(), skew=SKEWS, timed=st.booleans())
    def a_cup_moves(self, unit: int, placed: bool, skew: int, timed: bool) -> None:
        """On time, late, out of order, with a clock that is years off; without a time after a restart."""
        at = clock.now() + timedelta(seconds=skew)
        self.report(unit, {"cup_placed": placed, **({"timestamp": iso(at)} if timed else {})})

    @rule(number=st.integers(0, 30))
    @precondition(lambda self: self.events)
    def an_event_comes_again(self, number: int) -> None:
        unit, event = self.events[number % len(self.events)]
        before = DeviceState.objects.count()
        if self.report(unit, event, first=False) == 200:
            assert DeviceState.objects.count() == before, "an event was counted twice"

    def report(self, unit: int, event: dict[str, Any], *, first: bool = True) -> int:
        status = int(self.units[unit].post(f"/states/{self.units[unit].id}", event).status_code)
        assert status in (200, 401), status
        if first and "timestamp" in event and status == 200:
            self.events.append((unit, event))
        return status

    @rule(unit=UNITS, level=st.sampled_from([5, 15, 60]))
    def a_level_is_reported(self, unit: int, level: int) -> None:
        assert self.units[unit].status(battery_level=level).status_code in (200, 401)

    # ---------------------------------------------------------------------------- phones

    @rule(phone=PHONES, unit=UNITS, name=NAMES, both=st.booleans())
    def a_device_is_renamed_offline(self, phone: int, unit: int, name: str, both: bool) -> None:
        more = {"location": name} if both else {}
        self.edit(phone, "device", "update", str(self.units[unit].id), device_name=name, **more)

    @rule(phone=PHONES, unit=UNITS, name=NAMES)
    def a_device_is_moved_offline(self, phone: int, unit: int, name: str) -> None:
        self.edit(phone, "device", "update", str(self.units[unit].id), location=name)

    @rule(phone=PHONES, name=NAMES, theme=st.sampled_from(["dark", "light"]))
    def the_profile_changes_offline(self, phone: int, name: str, theme: str) -> None:
        self.edit(phone, "profile", "update", self.alice_id, full_name=name, theme_preference=theme)

    @rule(phone=PHONES, wanted=st.booleans())
    def a_wish_changes_offline(self, phone: int, wanted: bool) -> None:
        self.edit(phone, "notification_settings", "update", self.alice_id, low_battery_enabled=wanted)

    @rule(phone=PHONES, number=st.integers(0, 5), op=st.sampled_from(["update", "update", "delete"]))
    def a_notification_is_read_or_deleted_offline(self, phone: int, number: int, op: str) -> None:
        known = sorted(self.phones[phone].rows("notification"))
        if known:
            fields = {"is_read": True} if op == "update" else {}
            self.edit(phone, "notification", op, known[number % len(known)], **fields)

    @rule(phone=PHONES, text=NAMES)
    def a_note_is_written_offline(self, phone: int, text: str) -> None:
        self.notes.append(str(uuid4()))
        self.edit(phone, "activity_log", "create", self.notes[-1], action="note", metadata={"text": text})

    @rule(phone=PHONES, number=st.integers(0, 9), text=NAMES, op=st.sampled_from(["update", "update", "delete"]))
    @precondition(lambda self: self.notes)
    def a_note_changes_offline(self, phone: int, number: int, text: str, op: str) -> None:
        fields = {"metadata": {"text": text}} if op == "update" else {}
        self.edit(phone, "activity_log", op, self.notes[number % len(self.notes)], **fields)

    @rule(
        phone=PHONES,
        number=st.integers(0, 9),
        fresh=st.booleans(),
        texts=st.lists(st.sampled_from(["", "Mutfak", "Salon", "Ofis"]), min_size=2, max_size=5),
    )
    def a_note_goes_through_much_before_the_next_exchange(
        self, phone: int, number: int, fresh: bool, texts: list[str]
    ) -> None:
        """An empty text deletes it."""
        if fresh or not self.notes:
            self.a_note_is_written_offline(phone, "Mutfak")
            number = len(self.notes) - 1
        for text in texts:
            self.a_note_changes_offline(phone, number, text, "update" if text else "delete")

    @rule(
        phone=PHONES,
        unit=UNITS,
        names=st.lists(NAMES, min_size=2, max_size=4),
        end=st.sampled_from([""] * 9 + ["delete"]),
    )
    def a_device_goes_through_much_before_the_next_exchange(
        self, phone: int, unit: int, names: list[str], end: str
    ) -> None:
        for place, name in enumerate(names):
            self.edit(phone, "device", "update", str(self.units[unit].id), **{FIELDS["device"][place % 2]: name})
        if end:
            self.edit(phone, "device", end, str(self.units[unit].id))
            self.edit(phone, "device", "update", str(self.units[unit].id), device_name=names[0])

    @rule(phone=PHONES, unit=UNITS, steps=st.lists(st.tuples(NAMES, FORGETFUL), min_size=2, max_size=4))
    def a_phone_never_learns_what_came_of_its_edits(
        self, phone: int, unit: int, steps: list[tuple[str, Fate]]
    ) -> None:
        """It goes on editing what it knew at first, while others may have been faster."""
        for name, fate in steps:
            self.edit(phone, "device", "update", str(self.units[unit].id), device_name=name)
            self.exchange(self.phones[phone], fate)

    @rule(phone=PHONES, unit=UNITS, really=st.integers(0, 9))
    def a_device_is_removed_offline(self, phone: int, unit: int, really: int) -> None:
        if really == 0:
            self.edit(phone, "device", "delete", str(self.units[unit].id))

    def edit(self, phone: int, entity: str, op: str, id: str, **fields: Any) -> None:
        if self.phones[phone].last_sync:
            self.phones[phone].edit(entity, op, id, **fields)

    @rule(phone=PHONES, fate=FATES)
    def a_phone_asks(self, phone: int, fate: Fate) -> None:
        self.exchange(self.phones[phone], fate)

    @rule(fate=FATES)
    def bobs_phone_asks(self, fate: Fate) -> None:
        self.exchange(self.bobs, fate)

    @rule(phone=PHONES)
    def a_phone_catches_up(self, phone: int) -> None:
        self.catch_up(self.phones[phone])

    def exchange(self, phone: Any, fate: Fate) -> bool:
        if phone.waiting():
            self.settle("notification", "device", "activity_log")
        try:
            return bool(phone.exchange(fate))
        except self.phone_class.Refused as refusal:
            if refusal.reason != "full_sync_required":
                raise
            phone.fetch_all()
            return True

    def catch_up(self, phone: Any) -> None:
        """A chain of pages ends, and then the copy is what the tables hold, whatever transactions are open."""
        pages = 0
        while self.exchange(phone, Fate.ARRIVES):
            pages += 1
            assert pages < 500, "the chain does not end"
        copy = phone.copy
        assert copy["states"].keys() <= copy["devices"].keys(), "a state without its device"
        assert copy == truth(phone.api.user.pk), "the copy is not what the tables hold"
        assert phone.shown("device") == copy["devices"], "an edit is still on top"
        COUNTED["copies compared"] += 1

    @rule(phone=PHONES)
    def an_app_is_installed_anew(self, phone: int) -> None:
        self.phones[phone] = self.phone_class(self.alice, self.book)

    # ---------------------------------------------------------------------------- time, and operators

    @rule()
    def half_a_year_passes(self) -> None:
        """All tombstones of now are forgotten."""
        newest = asked(
            "SELECT max(ts) FROM sync_change WHERE user_id = %s AND op = 'D' AND kind <> 'device'",
            (self.alice_id,),
        )
        retention.purge_tombstones(self.alice.user.pk, before=clock.now() + timedelta(days=1))
        [(horizon,)] = asked("SELECT horizon FROM sync_clock WHERE user_id = %s", (self.alice_id,))
        assert newest[0][0] is None or horizon >= newest[0][0]

    @rule()
    def the_server_s_clock_steps_back(self) -> None:
        """By an hour: all stamps so far are in its future."""
        run("UPDATE sync_clock SET ts = ts + interval '1 hour' WHERE user_id = %s", (self.alice_id,))

    @rule(really=st.integers(0, 4))
    def a_backup_is_restored(self, really: int) -> None:
        if really == 0:
            settings.SYNC_EPOCH = clock.now()

    @rule(really=st.integers(0, 4))
    def the_log_is_rebuilt(self, really: int) -> None:
        if really == 0:
            self.settle()
            audit.rebuild(self.alice.user.pk)

    @rule(page=st.integers(1, 5))
    def pages_are_of_another_size(self, page: int) -> None:
        settings.SYNC_PAGE_ROWS = page

    # ---------------------------------------------------------------------------- always, and at the end

    @invariant()
    def read_stays_read(self) -> None:
        if hasattr(self, "read"):
            seen = Notification.objects.filter(user_id=self.alice.user.pk).values_list("pk", "is_read")
            is_read = dict(seen)
            assert not any(is_read.get(pk) is False for pk in self.read), "what was read is unread again"
            self.read |= {pk for pk in is_read if is_read[pk]}

    def teardown(self) -> None:
        if not hasattr(self, "writers"):
            return
        try:
            if self.book.is_closed:
                return
            for writer in self.writers:
                writer.end()
            for phone in [*self.phones, self.bobs]:
                self.catch_up(phone)
                assert not phone.waiting(), "a change was lost in silence"
            assert not audit.faults_of(self.alice.user.pk)
            assert not audit.faults_of(self.bob.user.pk)
            COUNTED.update(self.book.counted)
        finally:
            self.clean()

    def clean(self) -> None:
        settings.SYNC_EPOCH, settings.SYNC_PAGE_ROWS = NO_EPOCH, 500
        for writer in self.writers:
            writer.leave()
        for phone in [*self.phones, self.bobs]:
            phone.db.close()
        User.objects.filter(pk__in=[self.alice.user.pk, self.bob.user.pk]).delete()
        DeviceState.objects.all().delete()
        ActivityLog.objects.filter(user_id=self.alice.user.pk).delete()
