"""A dispenser of the full protocol over HTTP: the reference unit of docs/device-protocol.md.

Standard library only: one file stands for the flash, one callable for HTTP, one for the motor. It keeps the
duties: the id of a dose is in flash before the motor runs and never runs twice, nothing is poured later than
60 s after it was first asked for or without a cup, and the journal leaves the flash only when acknowledged.
"""

import json
import random
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
# (method, path, body, token) -> (status, the JSON of the answer). Raises OSError where no answer came.
Send = Callable[[str, str, Json | None, str], tuple[int, Json]]
# The dose -> what came out of it; raises OSError where the motor failed.
Motor = Callable[[Json], float]

POUR_WITHIN_S = 60.0
# Between two tries, by chance: a server that comes back must not find all units at its door in one moment.
AGAIN_AFTER_S = (1.0, 2.0)
POURED_KEPT = 50


class Dispenser:
    """One unit. After a power cut a new object on the same file goes on where the old one stopped."""

    def __init__(
        self,
        flash: Path,
        send: Send,
        motor: Motor,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ):
        self.flash, self.send, self.motor, self.monotonic, self.pause = flash, send, motor, monotonic, pause
        self.state: Json = json.loads(flash.read_text())
        self.state["boot"] = self.state.get("boot", 0) + 1
        self.state["seq"] = 0
        for name, empty in (("journal", []), ("poured", []), ("former_token", "")):
            self.state.setdefault(name, empty)
        self.cup, self.booted_at = False, monotonic()
        # What it says of itself with each hello; firmware.py adds its own.
        self.about: Json = {}
        self.write()
        self.report_interrupted()

    @staticmethod
    def set_up(flash: Path, token: str) -> None:
        """What the app writes over Bluetooth."""
        flash.write_text(json.dumps({"token": token}))

    def write(self) -> None:
        fresh = self.flash.with_suffix(".new")
        fresh.write_text(json.dumps(self.state))
        fresh.replace(self.flash)

    def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """On 401 the former token, too: an answer that held a new one may have been lost."""
        status, answer = self.send(method, path, body, self.state["token"])
        if status == 401 and self.state["former_token"]:
            status, answer = self.send(method, path, body, self.state["former_token"])
        return status, answer.get("data") or {}

    # --- contact --------------------------------------------------------------------------------

    def hello(self) -> Json:
        status, told = self.call("POST", "/iot/hello", {"boot": self.state["boot"], **self.about})
        if status == 200 and told["rotate_token"]:
            self.rotate()
        return told

    def rotate(self) -> None:
        status, told = self.call("POST", "/iot/credentials/rotate", {"reason": "first contact"})
        if status == 200:
            self.state |= {"former_token": self.state["token"], "token": told["token"]}
            self.write()

    # --- the journal ----------------------------------------------------------------------------

    def note(self, kind: str, **data: Any) -> Json:
        """Write an event to the journal."""
        self.state["seq"] += 1
        line = {"id": str(uuid.uuid4()), "boot": self.state["boot"], "seq": self.state["seq"], "up": self.up()}
        event: Json = {**line, "k": kind, "d": data}
        self.state["journal"].append(event)
        self.write()
        return event

    def up(self) -> int:
        return int((self.monotonic() - self.booted_at) * 1000)

    def sync(self) -> int:
        """Bring in the oldest boot's events; how many are left."""
        journal = self.state["journal"]
        if journal:
            boot = journal[0]["boot"]
            events = [event for event in journal if event["boot"] == boot][:500]
            around = {
                "v": 1,
                "boot": self.state["boot"],
                "up": self.up(),
                "clk": "none",
                "first": events[0]["seq"],
            }
            status, told = self.call("POST", "/iot/events", {**around, "ev": events})
            if status == 200 and told["acked"]:
                safe = told["acked"]["seq"]
                self.state["journal"] = [each for each in journal if each["boot"] != boot or each["seq"] > safe]
                self.write()
        return len(self.state["journal"])

    # --- a cup ----------------------------------------------------------------------------------

    def remove_cup(self) -> None:
        self.cup = False
        self.note("state", cup_placed=False)

    def place_cup(self) -> Json | None:
        """Ask, and pour on a yes. None where no answer came: the same request may be sent again by `ask`."""
        self.cup = True
        return self.ask(str(uuid.uuid4()), first_sent=self.monotonic())

    def ask(self, request_id: str, *, first_sent: float) -> Json | None:
        while self.monotonic() - first_sent < POUR_WITHIN_S:
            body = {"request_id": request_id, "cup_placed": self.cup, "clk": "none", "boot": self.state["boot"]}
            body |= {"up": self.up(), "unsynced": self.state["journal"][:50]}
            try:
                status, told = self.call("POST", "/iot/dispense/request", body)
            except OSError:
                self.pause(random.uniform(*AGAIN_AFTER_S))  # noqa: S311
                continue
            if status != 200:
                return None
            if told["should_dispense"]:
                self.pour(told["dispense_id"], told["dose"], first_sent)
            return told
        return None

    def pour(self, dispense_id: str, dose: Json, first_sent: float) -> None:
        too_late = self.monotonic() - first_sent >= POUR_WITHIN_S
        if dispense_id in self.state["poured"] or too_late or not self.cup:
            return
        self.state["poured"] = [*self.state["poured"], dispense_id][-POURED_KEPT:]
        self.state["running"] = dispense_id
        self.write()  # before the motor: after a power cut it must not run again
        try:
            amount = self.motor(dose)
            report = {"outcome": "dispensed" if amount >= dose["amount"] else "partial", "amount": amount}
        except OSError:
            report = {"outcome": "failed"}
        self.done(dispense_id, **report, unit=dose["unit"])

    def report_interrupted(self) -> None:
        """Nobody knows how far the motor came before the power went."""
        if self.state.get("running"):
            self.done(self.state["running"], outcome="unknown")

    def done(self, dispense_id: str, **report: Any) -> None:
        self.state["running"] = ""
        self.note("dose", dispense_id=dispense_id, **report)
