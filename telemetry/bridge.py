"""Between the MQTT broker and the services: batches, and nothing acknowledged before it is committed (iot.md 3).

The network thread only fills a queue that can hold all that the broker may have under way to us. The main
thread takes a batch, commits, acknowledges, and tells the dispensers. What is not acknowledged comes again,
to this bridge under its stable client id; events, requests and commands are each known by their ids.
"""

import itertools
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

import msgspec
import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from rest_framework.exceptions import APIException

from devices import command_serializers
from devices.credentials import DeviceCaller
from devices.models import DeviceCommand
from telemetry import envelopes, journal_sql, journals, quotas, topics
from telemetry.envelopes import Rejected, UnreadableEnvelope
from telemetry.events import Sent
from telemetry.quotas import Quotas
from telemetry.topics import Heard, Said
from zinzino import clock, metrics
from zinzino.api import parsers
from zinzino.api.ratelimit import Verdict
from zinzino.api.renderers import dumps

log = structlog.get_logger(__name__)

GROUP = "$share/ingest/znz/v1/+/up/#"
BATCH_MESSAGES = 500
# As much as one transaction takes in a second or two; more would meet the limit of a statement.
BATCH_BYTES = 1_000_000
# Of what is taken one by one and may wait; a request that comes meanwhile waits no longer than for these.
BATCH_SINGLES = 50
# Somebody stands before a dispenser that asks; and journals cost least.
URGENCY = {"req": 0, "evt": 1}
BATCH_WAIT_S = 0.1
RECEIVE_MAXIMUM = 1000
SESSION_EXPIRY_S = 24 * 3600
KEEPALIVE_S = 30
# What comes so soon after a return to a standing session may have waited for us.
CATCHING_UP_S = 5.0
BACK_OFF_S = (0.5, 1, 2, 5)
COMMANDS_AT_ONCE = 100
LOOK_EVERY_S = 2.0
KINDS = {"evt", *topics.HANDLERS}


class Message(msgspec.Struct, frozen=True):
    """As it came, and on which connection: an acknowledgement belongs to its own alone."""

    mid: int
    qos: int
    topic: str
    payload: bytes
    at: datetime
    waited: bool
    connection: int


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    username: str
    password: str


class Bridge:
    """One member of the shared subscription; `run` until `stop`."""

    def __init__(self, name: str, address: Address, *, draining: bool = False) -> None:
        self.name = name
        self.address = address
        self.draining = draining
        # By urgency, and in the order in which they came.
        self.waiting: queue.PriorityQueue[tuple[int, int, Message]] = queue.PriorityQueue(2 * RECEIVE_MAXIMUM)
        self.order = itertools.count()
        self.stopping = threading.Event()
        self.connection = 0
        self.caught_up_at = 0.0
        self.quotas = Quotas()
        self.counts = {"messages": 0, "batches": 0, "dead_letters": 0, "dropped": 0, "limited": 0}
        self.slowest_ms = 0.0
        # Whether the database is away.
        self.stuck = False
        self.client = self._client()

    def _client(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, self.name, protocol=MQTTv5, manual_ack=True)
        client.username_pw_set(self.address.username, self.address.password)
        client.max_inflight_messages_set(RECEIVE_MAXIMUM)
        client.reconnect_delay_set(1, 10)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        return client

    # --- on the network thread ----------------------------------------------------------------

    def _on_connect(self, client: Client, _userdata: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning("the broker refuses the bridge", reason=str(reason))
            return
        self.connection += 1
        self.caught_up_at = time.monotonic() + (CATCHING_UP_S if flags.session_present else 0)
        client.subscribe(GROUP, qos=1)

    def _on_message(self, _client: Client, _userdata: Any, came: MQTTMessage) -> None:
        waited = came.dup or time.monotonic() < self.caught_up_at
        message = Message(
            came.mid, came.qos, came.topic, bytes(came.payload), clock.now(), waited, self.connection
        )
        verdict = self.quotas.take(message.topic)
        if not verdict.passed:
            self.refuse(message, verdict)
            return
        while not self.stopping.is_set():
            try:
                self.waiting.put(self.placed(message), timeout=1.0 if came.qos else None, block=bool(came.qos))
                metrics.BRIDGE_WAITING.set(self.waiting.qsize())
                return
            except queue.Full:
                # What is read next has waited for us.
                self.caught_up_at = time.monotonic() + CATCHING_UP_S
                # Of QoS 1 nothing may be passed over: it would never be acknowledged, nor come again. To read no
                # further holds the broker back, which may send more than it was told it may (2.0.11 does).
                if not came.qos:
                    self.counts["dropped"] += 1
                    metrics.BRIDGE_DROPPED.inc()
                    return

    def refuse(self, message: Message, verdict: Verdict) -> None:
        """One unit says too much: it is heard no further before it takes the room of others.

        To the broker it is acknowledged, or it would come again at once; to the unit it is not.
        """
        self.counts["limited"] += 1
        metrics.BRIDGE_LIMITED.labels(quotas.quota_of(message.topic)).inc()
        self.acknowledge(message)
        place = topics.address_of(message.topic)
        if place and self.quotas.to_be_told(message.topic, verdict):
            log.warning("a dispenser says too much", device=str(place[0]), kind=place[1])
            self.say(topics.wait_of(place[0], quotas.quota_of(message.topic), verdict.retry_after_s))

    def placed(self, message: Message) -> tuple[int, int, Message]:
        return URGENCY.get(kind_of(message), len(URGENCY)), next(self.order), message

    # --- on the main thread -------------------------------------------------------------------

    def run(self) -> None:
        properties = properties_of(
            PacketTypes.CONNECT, SessionExpiryInterval=SESSION_EXPIRY_S, ReceiveMaximum=RECEIVE_MAXIMUM
        )
        self.client.connect_async(
            self.address.host, self.address.port, KEEPALIVE_S, clean_start=False, properties=properties
        )
        self.client.loop_start()
        teller = threading.Thread(target=self.tell_commands, name="commands", daemon=True)
        teller.start()
        try:
            while not self.stopping.is_set():
                if batch := self.next_batch():
                    self.take(batch)
                elif self.draining and self.client.is_connected():
                    break
        finally:
            self.stopping.set()
            teller.join(timeout=5)
            self.leave()

    def leave(self) -> None:
        """Draining leaves no session behind that would go on collecting its share."""
        if self.draining:
            self.client.unsubscribe(GROUP)
            while batch := self.next_batch():
                self.take(batch)
        kept_s = 0 if self.draining else SESSION_EXPIRY_S
        self.client.disconnect(properties=properties_of(PacketTypes.DISCONNECT, SessionExpiryInterval=kept_s))
        self.client.loop_stop()

    def next_batch(self) -> list[Message]:
        """Up to BATCH_MESSAGES or about BATCH_BYTES, or what came within BATCH_WAIT_S of the first."""
        batch: list[Message] = []
        until = time.monotonic() + (1.0 if not self.stopping.is_set() else BATCH_WAIT_S)
        size = singles = 0
        while len(batch) < BATCH_MESSAGES and size < BATCH_BYTES and singles < BATCH_SINGLES:
            try:
                urgency, _, message = self.waiting.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            batch.append(message)
            size += len(message.payload)
            singles += urgency == len(URGENCY)
            if len(batch) == 1:
                until = time.monotonic() + BATCH_WAIT_S
        # Also of nothing: the network's thread may have counted what had just been taken.
        metrics.BRIDGE_WAITING.set(self.waiting.qsize())
        return batch

    def insist(self, act: Callable[[], None]) -> None:
        """Until the database is there again nothing is acknowledged; then all of it is taken once more."""
        tries = 0
        while tries == 0 or not self.stopping.is_set():
            try:
                act()
                self.stuck = False
                return
            except (OperationalError, InterfaceError) as error:
                self.stuck = True
                log.warning("the database is away", error=type(error.__cause__ or error).__name__)
                connection.close()
                self.stopping.wait(BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)])
                tries += 1

    def take(self, batch: Sequence[Message]) -> None:
        began = time.monotonic()
        kinds = [(kind_of(message), message) for message in batch]
        events = [message for kind, message in kinds if kind == "evt"]
        # Somebody stands before the dispenser.
        if requests := [message for kind, message in kinds if kind == "req"]:
            self.insist(partial(self.take_single, requests))
        if events:
            self.insist(partial(self.take_events, events))
        if rest := [message for kind, message in kinds if kind not in {"req", "evt"}]:
            self.insist(partial(self.take_single, rest))
        self.measure(batch, seconds=time.monotonic() - began)

    def measure(self, batch: Sequence[Message], *, seconds: float) -> None:
        self.counts["messages"] += len(batch)
        self.counts["batches"] += 1
        self.slowest_ms = max(self.slowest_ms, seconds * 1000)
        for kind, count in Counter(map(kind_of, batch)).items():
            metrics.BRIDGE_MESSAGES.labels(kind if kind in KINDS else "other").inc(count)
        metrics.BRIDGE_BATCH.observe(seconds)
        metrics.BRIDGE_LAG.observe(max(0.0, (clock.now() - min(each.at for each in batch)).total_seconds()))

    def take_single(self, messages: Sequence[Message]) -> None:
        places = [topics.address_of(message.topic) for message in messages]
        callers = topics.callers({place[0] for place in places if place})
        for message, place in zip(messages, places, strict=True):
            self.insist(partial(self.take_one, message, place, callers.get(place[0]) if place else None))

    def take_one(self, message: Message, place: tuple[UUID, str] | None, caller: DeviceCaller | None) -> None:
        """A message that is answered by itself. What no repetition would mend is a dead letter."""
        if place and caller and message.payload:
            try:
                said = handled(caller, place[1], message)
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the queue goes on
                self.bury(place[0], message, error)
                said = None
            if said:
                self.say(said)
        self.acknowledge(message)

    def take_events(self, messages: Sequence[Message]) -> None:
        """Together; or in halves, until the one is found that no repetition would mend."""
        try:
            self.take_journals(messages)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the queue goes on
            middle = len(messages) // 2
            if middle:
                self.take_events(messages[:middle])
                self.take_events(messages[middle:])
            else:
                if place := topics.address_of(messages[0].topic):
                    self.bury(place[0], messages[0], error)
                self.acknowledge(messages[0])

    def take_journals(self, messages: Sequence[Message]) -> None:
        uploads = [upload for message in messages if (upload := upload_in(message))]
        receipts = journals.take(uploads, now=clock.now())
        for message in messages:
            self.acknowledge(message)
        # Of several envelopes of one journal the last acknowledgement says it all.
        acked: dict[tuple[UUID, int], int] = {}
        for upload, receipt in zip(uploads, receipts, strict=True):
            if receipt:
                self.dead_letters(len(receipt.rejected))
                if receipt.acked:
                    acked[upload.device_id, receipt.acked[0]] = receipt.acked[1]
        for (device_id, boot), seq in acked.items():
            self.say(topics.ack_of(device_id, (boot, seq)))

    def bury(self, device_id: UUID, message: Message, error: Exception) -> None:
        if not isinstance(error, (APIException, ValueError, KeyError)):
            log.error("a message could not be taken", topic=message.topic, error=type(error).__name__)
        code = getattr(error, "code", "VALIDATION_ERROR")
        bad = Rejected(raw_of(message), code, envelopes.sayable(str(error)))
        now = clock.now()
        with transaction.atomic():
            journal_sql.keep_dead_letters([journals.dead_letter(device_id, bad, now=now)], now=now)
        self.dead_letters(1)

    def dead_letters(self, count: int) -> None:
        self.counts["dead_letters"] += count
        metrics.BRIDGE_DEAD_LETTERS.inc(count)

    def acknowledge(self, message: Message) -> None:
        if message.qos and message.connection == self.connection:
            self.client.ack(message.mid, message.qos)

    def say(self, said: Said) -> Any:
        return self.client.publish(said.address, dumps(said.body), qos=1, properties=expiring(said.good_s))

    # --- commands, on a thread of their own -----------------------------------------------------

    def tell_commands(self) -> None:
        """Wait for commands (NOTIFY), and look every LOOK_EVERY_S for those that were not heard of."""
        while not self.stopping.is_set():
            try:
                connection.ensure_connection()
                raw: Any = connection.connection
                # What the driver itself raises where Django is not asked.
                with connection.wrap_database_errors:
                    raw.execute("LISTEN device_commands")
                    while not self.stopping.is_set():
                        while self.client.is_connected() and self.send_commands():
                            pass
                        list(raw.notifies(timeout=LOOK_EVERY_S, stop_after=1))
            except (OperationalError, InterfaceError) as error:
                log.warning("commands cannot be read", error=type(error).__name__)
                connection.close()
                self.stopping.wait(2)
        connection.close()

    def send_commands(self) -> int:
        """Publish what waits for dispensers on MQTT; a command whose sending is not certain is sent again."""
        now = clock.now()
        with transaction.atomic():
            queued = DeviceCommand.objects.select_for_update(skip_locked=True, of=("self",)).filter(
                status=DeviceCommand.Status.QUEUED, expires_at__gt=now, device__mqtt_online=True
            )
            waiting = list(queued.order_by("id")[:COMMANDS_AT_ONCE])
            sent = [self.say(command_said(command, now)) for command in waiting]
            for info in sent:
                info.wait_for_publish(timeout=5)
            done = [each.pk for each, info in zip(waiting, sent, strict=True) if info.is_published()]
            DeviceCommand.objects.filter(pk__in=done).update(status=DeviceCommand.Status.SENT, sent_at=now)
        return len(done)


def properties_of(kind: int, **values: int) -> Properties:
    properties = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


@lru_cache(maxsize=1000)
def expiring(good_s: int) -> Properties:
    return properties_of(PacketTypes.PUBLISH, MessageExpiryInterval=good_s)


def upload_in(message: Message) -> journals.Upload | None:
    """What a dispenser sent of its journal; None on a topic of no dispenser."""
    place = topics.address_of(message.topic)
    if place is None:
        return None
    try:
        batch = envelopes.read_bytes(message.payload)
    except (UnreadableEnvelope, APIException) as error:
        batch = unreadable(message, error)
    return journals.Upload(place[0], batch)


def handled(caller: DeviceCaller, kind: str, message: Message) -> Said | None:
    handler = topics.HANDLERS[kind]
    return handler(Heard(caller, parsers.loads(message.payload), message.at, message.waited))


def command_said(command: DeviceCommand, now: datetime) -> Said:
    command.status = DeviceCommand.Status.SENT
    good_s = max(1, int((command.expires_at - now).total_seconds()))
    return Said(command.device_id, "cmd", command_serializers.shown(command), good_s)


def unreadable(message: Message, error: Exception) -> envelopes.Batch:
    """Kept as one dead letter; there is nothing in it that could be acknowledged by number."""
    code = getattr(error, "code", "VALIDATION_ERROR")
    bad = Rejected(raw_of(message), code, envelopes.sayable(str(error)))
    return envelopes.Batch([], [bad], Sent())


def raw_of(message: Message) -> Any:
    try:
        return {"topic": message.topic, "payload": message.payload.decode()}
    except UnicodeDecodeError:
        return message.payload


def kind_of(message: Message) -> str:
    return message.topic.rpartition("/")[2]
