"""The people and things of one household."""

import random
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from zinzino.demo.dispenser import Dispenser
from zinzino.demo.phone import Phone
from zinzino.demo.report import Book
from zinzino.demo.wire import Answer, Wire

PASSWORD = "a-quiet-Sunday-morning"
FIRST_NAMES = ("Ayşe", "Mehmet", "Zeynep", "İbrahim", "Elif", "Can")
LAST_NAMES = ("Yılmaz", "Çelik", "Işık", "Öztürk", "Şahin")
# The kitchen pours fish oil; what stands in the office counts against the same limits.
OMEGA = ("fish_oil", "krill_oil", "vegan")


@dataclass
class Household:
    """One person with two phones and three dispensers. The dice only vary what does not change what is
    expected; who they are is new every time."""

    book: Book
    wire: Wire
    dice: random.Random
    # Somebody else with an account; the same for all households of a run.
    neighbour: Phone

    def __post_init__(self) -> None:
        self.person = somebody(self.dice)
        self.phone, self.old_phone = Phone(self.wire), Phone(self.wire)
        self.kitchen = self.dispenser("Mutfak Dispenseri", "fish_oil", "Mutfak")
        self.bedroom = self.dispenser("Yatak Odası", "vitamin_d", None)
        self.office = self.dispenser("Çalışma Odası", self.dice.choice(OMEGA), "Ofis")
        # The kitchen's first filled cup: the reading, so that it can be sent again, and its answer.
        self.first_cup: tuple[dict[str, Any], Answer] = ({}, Answer(0, {}))
        # The kitchen's token in the answer that was lost.
        self.lost_token = ""
        # The severities of the warnings that must be found, oldest first.
        self.told: list[str] = []

    @property
    def dispensers(self) -> list[Dispenser]:
        return [self.kitchen, self.bedroom, self.office]

    def dispenser(self, name: str, device_type: str, location: str | None) -> Dispenser:
        number = secrets.token_bytes(5)
        described = {
            "device_name": name,
            "device_type": device_type,
            # The first octet says: made up, not of any maker.
            "mac_address": "02:" + number.hex(":").upper(),
            "serial_number": f"DEMO-{number.hex().upper()}",
            "location": location,
        }
        return Dispenser(self.wire, described)


def somebody(dice: random.Random) -> dict[str, str]:
    return {
        "email": f"demo-day-{uuid4().hex[:16]}@example.com",
        "password": PASSWORD,
        "full_name": f"{dice.choice(FIRST_NAMES)} {dice.choice(LAST_NAMES)}",
    }
