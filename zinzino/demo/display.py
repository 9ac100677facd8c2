"""Who watches the day: a live table on a terminal, else a line for each scene."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from zinzino.demo.report import Scene, Surprise


class Silent:
    """Nobody does."""

    def begins(self, scene: Scene, round_number: int) -> None: ...

    def waits(self, text: str) -> None: ...

    def ends(self, scene: Scene, surprises: list[Surprise]) -> None: ...


class Lines:
    """A line for each scene, for logs and pipes."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self.write = write
        self.waiting = 0
        self.round_number = 0

    def begins(self, scene: Scene, round_number: int) -> None:
        self.waiting, self.round_number = 0, round_number

    def waits(self, text: str) -> None:
        self.waiting += 1
        if self.waiting == 1:
            self.write(f"      {text}")

    def ends(self, scene: Scene, surprises: list[Surprise]) -> None:
        mark = "ok  " if not surprises else "??? "
        again = f", {self.waiting} repeated" if self.waiting else ""
        self.write(f"{self.round_number:>3} {mark} {scene.title}{again}")
        for surprise in surprises:
            self.write(f"      expected: {surprise.expected}\n      came:     {surprise.came}")


class LiveTable:
    """The table of all scenes, filling while the day goes on."""

    def __init__(self, console: Console, titles: Iterable[str], rounds: int) -> None:
        self.scenes = {title: Scene(title) for title in titles}
        self.rounds = rounds
        self.round_number = 0
        self.present = ""
        self.waiting = ""
        self.live = Live(console=console, get_renderable=self.table, refresh_per_second=10, transient=True)

    def __enter__(self) -> "LiveTable":
        self.live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def begins(self, scene: Scene, round_number: int) -> None:
        self.present, self.waiting, self.round_number = scene.title, "", round_number

    def waits(self, text: str) -> None:
        self.waiting = text

    def ends(self, scene: Scene, surprises: list[Surprise]) -> None:
        self.scenes[scene.title] = scene
        self.present = self.waiting = ""

    def table(self) -> Table:
        caption = f"household {self.round_number} of {self.rounds}   {self.waiting}"
        return table(self.scenes.values(), caption=caption, present=self.present)


def table(scenes: Iterable[Scene], *, caption: str = "", present: str = "") -> Table:
    drawn = Table(title="A day in the household", caption=caption, caption_justify="left")
    drawn.add_column("")
    drawn.add_column("scene", no_wrap=True)
    for name in ("calls", "retries", "surprises", "ms"):
        drawn.add_column(name, justify="right")
    for scene in scenes:
        figures = (scene.calls, scene.retries, scene.surprises, scene.ms)
        shown = [str(figure) if scene.rounds else "" for figure in figures]
        drawn.add_row(mark(scene, is_present=scene.title == present), scene.title, *shown)
    return drawn


def mark(scene: Scene, *, is_present: bool) -> Text | Spinner:
    if is_present:
        return Spinner("dots")
    if not scene.rounds:
        return Text("·", style="dim")
    return Text("?", style="bold red") if scene.surprises else Text("✓", style="green")


def table_text(scenes: Iterable[Scene]) -> str:
    """The same table for where there is no terminal."""
    width = max(len("scene"), *(len(scene.title) for scene in scenes))
    lines = [f"{'scene':<{width}}  calls  retries  surprises      ms"]
    lines += [
        f"{scene.title:<{width}}  {scene.calls:>5}  {scene.retries:>7}  {scene.surprises:>9}  {scene.ms:>6}"
        for scene in scenes
    ]
    return "\n".join(lines)
