"""Printing for people: plain words, few colours, 80 columns, nothing that a label value could break.

Everything that came from the service is untrusted text: control characters are taken out and no markup is parsed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from remediator.people.markup import one_line

GAP = 2
NARROWEST = 8
"""Characters of a cut column that still say something."""
PIPE_WIDTH = 240
"""In a pipe nothing is cut: `grep` and `less -S` want whole lines."""

STYLES = {
    "good": "green",
    "pass": "green",
    "succeeded": "bold green",
    "superseded": "green",
    "approved": "green",
    "done": "green",
    "happened": "green",
    "ask": "bold yellow",
    "awaiting_approval": "bold yellow",
    "asking": "bold yellow",
    "snoozed": "yellow",
    "hold": "yellow",
    "held": "yellow",
    "waiting": "yellow",
    "uncertain": "bold magenta",
    "inconclusive": "bold magenta",
    "unknown": "magenta",
    "bad": "red",
    "deny": "bold red",
    "denied": "red",
    "cancelled": "red",
    "left_alone": "red",
    "rejected": "red",
    "escalated": "bold red",
    "acting": "cyan",
    "verifying": "cyan",
    "undoing": "bold cyan",
    "not_applicable": "dim",
}


def screen() -> Console:
    """Standard output. Made anew for each command, because tests and pipes change it."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def word(text: str) -> Text:
    """A state, an answer or an outcome, in its colour: `awaiting approval`."""
    return Text(one_line(text).replace("_", " "), style=STYLES.get(text, ""))


def plain(text: object, style: str = "") -> Text:
    """Untrusted text on one line; None is empty."""
    return Text(one_line(str(text or "")), style=style)


def print_table(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[Text]], *, flexible: Collection[str]
) -> None:
    """No boxes: they cost width and say nothing. Only `flexible` columns are cut, with an ellipsis, where it is narrow:
    an id that is cut cannot be pasted.
    """
    widths = [max(len(name), *(row[i].cell_len for row in rows)) for i, name in enumerate(columns)]
    bends = [i for i, name in enumerate(columns) if name in flexible]
    for _ in range(sum(widths) + GAP * (len(columns) - 1) - console.width):
        widest = max(bends, key=lambda i: widths[i], default=None)
        if widest is None or widths[widest] <= NARROWEST:
            break  # narrower than anything useful: let it run over
        widths[widest] -= 1
    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold dim")
    for name, width in zip(columns, widths, strict=True):
        made.add_column(name, no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        made.add_row(*row)
    console.print(made)


def target(ref: dict[str, str] | None) -> str:
    """`Deployment shop/api`"""
    if not ref:
        return ""
    place = f"{ref['namespace']}/{ref['name']}" if ref["namespace"] else ref["name"]
    return f"{ref['kind']} {place}"


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def clock(text: str | None, *, seconds: bool = False) -> str:
    """`14:20`, with the date when it is not today's. All times are UTC, as in the messages."""
    at = moment(text)
    if at is None:
        return ""
    shown = f"{at:%H:%M:%S}" if seconds else f"{at:%H:%M}"
    return shown if at.date() == datetime.now(UTC).date() else f"{at:%Y-%m-%d} {shown}"


def age(text: str | None) -> str:
    """How long ago: `45s`, `12m`, `3h`, `5d`."""
    at = moment(text)
    return short((datetime.now(UTC) - at).total_seconds()) if at else ""


def short(seconds: float) -> str:
    """The largest unit that says enough: `45s`, `12m`, `3h`, `5d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size or (unit == "m" and seconds >= 100):
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def count(number: int, what: str) -> str:
    """`1 alert`, `3 alerts`"""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
