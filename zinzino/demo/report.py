"""What happened: scenes, calls, retries, and everything that a person would not have expected."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from zinzino.demo.wire import Answer, Unanswered, Wire


class CannotGoOn(Exception):
    """Without this nothing of the day makes sense."""


@dataclass(frozen=True, slots=True)
class Surprise:
    scene: str
    expected: str
    came: str

    def __str__(self) -> str:
        return f"{self.scene}: {self.expected}\n    came: {self.came}"


@dataclass(slots=True)
class Scene:
    """One scene, over all rounds."""

    title: str
    rounds: int = 0
    calls: int = 0
    retries: int = 0
    surprises: int = 0
    ms: int = 0


class Display(Protocol):
    """Who watches."""

    def begins(self, scene: Scene, round_number: int) -> None: ...

    def waits(self, text: str) -> None: ...

    def ends(self, scene: Scene, surprises: list[Surprise]) -> None: ...


@dataclass(frozen=True, slots=True)
class OneOf:
    """Any of these is right, where the outcome hangs on how long the calls took."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.values))


@dataclass(frozen=True, slots=True)
class Such:
    """A value with a property, said in words."""

    words: str
    holds: Callable[[Any], bool]

    def __str__(self) -> str:
        return self.words


SOMETHING = Such("something", lambda value: value not in (None, ""))


def one_of(*values: Any) -> OneOf:
    return OneOf(values)


def fits(wanted: Any, came: Any) -> bool:
    match wanted:
        case OneOf(values):
            return came in values
        case Such():
            return wanted.holds(came)
    return bool(wanted == came)


@dataclass
class Book:
    """Takes down what is expected and what comes."""

    wire: Wire
    display: Display
    scenes: dict[str, Scene] = field(default_factory=dict)
    surprises: list[Surprise] = field(default_factory=list)
    poured: int = 0
    # Doses that the server allowed in an answer that never arrived in time: counted, not poured.
    lost: int = 0
    title: str = ""

    @contextmanager
    def scene(self, title: str, round_number: int) -> Iterator[None]:
        """Run one scene. A server that stays silent is a surprise; CannotGoOn ends the round."""
        self.title = title
        scene = self.scenes.setdefault(title, Scene(title))
        before = self.wire.calls, self.wire.faults.total(), len(self.surprises)
        started = time.monotonic()
        self.display.begins(scene, round_number)
        try:
            yield
        except Unanswered as error:
            self.note("the server answers in time", str(error))
            raise CannotGoOn from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # An answer is not made of what the documentation says.
            self.note("every answer has its documented parts", f"{type(error).__name__}: {error}")
            raise CannotGoOn from error
        finally:
            for flaw in self.wire.flaws:
                self.note("every answer keeps the form of the contract", flaw)
            self.wire.flaws.clear()
            scene.rounds += 1
            scene.calls += self.wire.calls - before[0]
            scene.retries += self.wire.faults.total() - before[1]
            scene.surprises += len(self.surprises) - before[2]
            scene.ms += round((time.monotonic() - started) * 1000)
            self.display.ends(scene, self.surprises[before[2] :])

    def note(self, expected: str, came: str) -> None:
        self.surprises.append(Surprise(self.title, expected, came))

    def expect(self, sentence: str, answer: Answer, status: int = 200, /, **fields: Any) -> bool:
        """Whether the answer has this status and these fields, `plan__dose__amount=5` for nested ones."""
        came = {"status": answer.status} | {name: answer.field(name) for name in fields}
        wanted = {"status": status} | fields
        wrong = [name for name in wanted if not fits(wanted[name], came[name])]
        if wrong:
            self.note(f"{sentence} ({said(wanted, wrong)})", f"{said(came, wrong)} [{answer}]")
        return not wrong

    def need(self, sentence: str, answer: Answer, status: int = 200, /, **fields: Any) -> None:
        if not self.expect(sentence, answer, status, **fields):
            raise CannotGoOn

    def refused(self, sentence: str, answer: Answer, status: int, code: str, **details: Any) -> None:
        named = {f"details__{name}": value for name, value in details.items()}
        self.expect(sentence, answer, status, code=code, message=SOMETHING, **named)

    def agree(self, sentence: str, wanted: Any, came: Any) -> None:
        if not fits(wanted, came):
            self.note(f"{sentence} ({wanted})", str(came))

    def summary(self) -> dict[str, Any]:
        return {
            "ok": not self.surprises,
            "calls": self.wire.calls,
            "faults": dict(self.wire.faults),
            "doses": {"poured": self.poured, "allowed_but_lost": self.lost},
            "surprises": [asdict(each) for each in self.surprises],
            "scenes": [asdict(each) for each in self.scenes.values()],
        }


def said(values: dict[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name.replace('__', '.')}: {values[name]}" for name in names)
