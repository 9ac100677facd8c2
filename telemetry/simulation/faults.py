"""What may go wrong on the way and in a kitchen, and how often."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

# Share of the messages, or of what a unit does, that it happens to.
OFTEN = {
    "lost": 0.05,
    "late": 0.05,
    "twice": 0.10,
    "parallel": 0.10,
    "reboot": 0.03,
    "offline": 0.03,
    "skew": 0.30,
}


@dataclass(frozen=True, slots=True)
class Faults:
    """`happens("lost")` throws the dice for one fault."""

    dice: Random
    chosen: frozenset[str]

    @classmethod
    def named(cls, names: str, dice: Random) -> "Faults":
        """`none`, `all`, or some of OFTEN, comma-separated. Raises ValueError."""
        chosen: Iterable[str] = {"none": (), "all": OFTEN}.get(names) or [
            name.strip() for name in names.split(",") if names != "none"
        ]
        if unknown := set(chosen) - set(OFTEN):
            raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}; there are {', '.join(OFTEN)}")
        return cls(dice, frozenset(chosen))

    def happens(self, name: str) -> bool:
        return name in self.chosen and self.dice.random() < OFTEN[name]
