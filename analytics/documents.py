"""Reports on paper and screen: one shape, set as HTML and as an accessible PDF (ADR 0020)."""

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import orjson
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy

from zinzino.api.errors import ServiceUnavailable

if TYPE_CHECKING:
    import typst

TYPST = Path(__file__).parent / "templates" / "analytics" / "document.typ"
# One PDF at a time in a process: about 50 ms, and 100 MB for the typesetter.
WAIT_S = 5.0
# Every table and image has a place in the reading order, and the images have words. Needs a glyph for each
# letter; a name in a script without one is set all the same, then without the promise.
STANDARD: Final = "ua-1"


class PrinterBusy(ServiceUnavailable):
    message = gettext_lazy("Too many reports are being made at the moment.")


@dataclass(frozen=True, slots=True)
class Chart:
    svg: str
    # What it shows, in a sentence; the figures stand in the table below it.
    alt: str


@dataclass(frozen=True, slots=True)
class Table:
    """The first cell of a row names it; `words` are the columns from the left that hold no figures."""

    # For screen readers, who go from table to table.
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


@dataclass(frozen=True, slots=True)
class Section:
    heading: str
    text: Sequence[str] = ()
    chart: Chart | None = None
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Document:
    language: str
    title: str
    # Who and when: label, value.
    facts: Sequence[tuple[str, str]]
    # A figure large enough to be read first, and what it means.
    headline: tuple[str, str]
    sections: Sequence[Section]
    # `Page` and `of`, for the foot of each page.
    paging: tuple[str, str]


def html(document: Document) -> bytes:
    return render_to_string("analytics/document.html", {"document": document}).encode()


def pdf(document: Document, *, made_at: datetime) -> bytes:
    """A4, tagged. Raises PrinterBusy where this process sets others and none of them ends within WAIT_S."""
    if not _printer.acquire(timeout=WAIT_S):
        raise PrinterBusy
    try:
        return _set(document, made_at)
    finally:
        _printer.release()


_printer = threading.Lock()


@cache
def _compiler() -> "typst.Compiler":
    """Loaded with the first report: most processes never set one. Reads nothing but its template."""
    import typst

    return typst.Compiler(TYPST, root=TYPST.parent, ignore_system_fonts=False)


def _set(document: Document, made_at: datetime) -> bytes:
    import typst

    # JSON in, so that no name is ever read as markup.
    inputs = {"document": orjson.dumps(asdict(document)).decode()}
    timestamp = int(made_at.timestamp())
    try:
        made = _compiler().compile(sys_inputs=inputs, format="pdf", pdf_standards=STANDARD, timestamp=timestamp)
    except typst.TypstError as error:
        if "could not be displayed" not in str(error):
            raise
        made = _compiler().compile(sys_inputs=inputs, format="pdf", timestamp=timestamp)
    return cast("bytes", made)
