"""What was found, as tables for the terminal, as Markdown for the page beside, and as a plot."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import plot
from benchmarks.endpoints import ENDPOINTS
from benchmarks.findings import FLOOR, OURS, STOCK, Findings

Rows = tuple[str, list[str], list[list[str]]]


def show(findings: Findings, console: Console) -> None:
    for title, head, rows in tables(findings):
        table = Table(*head, title=title)
        for row in rows:
            table.add_row(*row, style="red" if row[-1] == "no" else "")
        console.print(table)


def write(findings: Findings, shape: dict[str, Any], *, folder: Path) -> None:
    """`goals.json`, `goals.md`, `goals.svg`."""
    (folder / "goals.json").write_text(json.dumps({"shape": shape, **findings.as_json()}, indent=1))
    (folder / "goals.md").write_text("\n\n".join(map(markdown, tables(findings))) + "\n")
    if findings.rounds:
        (folder / "goals.svg").write_text(plot.svg(findings))


def markdown(rows: Rows) -> str:
    title, head, body = rows
    lines = (head, ["---"] * len(head), *body)
    return f"**{title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(findings: Findings) -> Iterator[Rows]:
    if findings.rounds:
        head = ["endpoint", "requests/s", "p95, p99 ms", "stock, requests/s", "× stock", "floor, tx/s"]
        head += ["share of floor", "statements", "answer, bytes (stock)"]
        rows = [endpoint_row(findings, endpoint.name) for endpoint in ENDPOINTS]
        yield "Our server, stock DRF and the floor: medians (least to most of the rounds)", head, rows
    if findings.scenarios:
        head = ["scenario", "requests", "requests/s", "p50, p95, p99 ms", "refused, broken", "what"]
        rows = [
            [
                name,
                f"{run.requests:,}",
                f"{run.rate:,.0f}",
                f"{run.p50:.0f}, {run.p95:.0f}, {run.p99:.0f}",
                f"{run.refused}, {run.broken}",
                said,
            ]
            for name, run, said in findings.scenarios
        ]
        yield "Scenarios", head, rows
    verdicts = {True: "yes", False: "no", None: ""}
    rows = [[each.what, each.found, each.wanted, verdicts[each.is_met]] for each in findings.goals]
    yield "Goals", ["goal", "found", "wanted", "holds"], rows


def endpoint_row(findings: Findings, name: str) -> list[str]:
    found = findings.rounds[name]
    return [
        name,
        f"{found.rate(OURS):,.0f}",
        f"{found.at('p95'):.0f}, {found.at('p99'):.0f}",
        f"{found.rate(STOCK):,.0f}",
        found.ratio(STOCK).text(1),
        f"{found.rate(FLOOR):,.0f}",
        found.ratio(FLOOR).text(),
        str(found.statements),
        f"{found.lengths[OURS]:,} ({found.lengths[STOCK]:,})",
    ]
