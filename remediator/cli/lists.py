"""Lists for people: one line a row; the reason where there is room for it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from remediator.cli.screen import age, clock, plain, table, target, word
from remediator.cli.sheet import View

WIDE = 120


def print_remediations(console: Console, rows: Sequence[View]) -> None:
    """ID, age, state, playbook, target."""
    wide = console.width >= WIDE
    why = ("WHY",) if wide else ()
    made = table("ID", "AGE", "STATE", "PLAYBOOK", "TARGET", *why, flexible=("PLAYBOOK", "TARGET", *why))
    for row in rows:
        cells = [
            plain(row["id"]),
            plain(age(row["created_at"])),
            _state(row),
            plain(row["playbook"] or " | ".join(row["candidates"])),
            plain(target(row["target"] or row["root"])),
        ]
        made.add_row(*cells, *([plain(row["reason"])] if wide else []))
    console.print(made)


def _state(row: View) -> Text:
    """`escalated` alone does not say what happened."""
    if row["state"] == "escalated" and row["outcome"]:
        return word(row["state"]).append(f": {row['outcome'].replace('_', ' ')}")
    return word(row["state"])


def print_pauses(console: Console, rows: Sequence[View]) -> None:
    made = table("ID", "PAUSED", "BY", "SINCE", "UNTIL", "WHY", flexible=("PAUSED", "WHY"))
    for row in rows:
        until = f"{clock(row['until'])} UTC" if row["until"] else "lifted"
        cells = (row["id"], row["covers"], row["who"], f"{age(row['created_at'])} ago", until, row["why"])
        made.add_row(*map(plain, cells))
    console.print(made)


def print_playbooks(console: Console, rows: Sequence[View]) -> None:
    made = table("PLAYBOOK", "MODE", "STEPS", "OWNER", "FOR", flexible=("PLAYBOOK", "STEPS", "OWNER", "FOR"))
    for row in rows:
        asked = f"{row['mode']} (asks {row['wanted_mode']})" if row["mode"] != row["wanted_mode"] else row["mode"]
        made.add_row(*map(plain, (row["name"], asked, ", ".join(row["steps"]), row["owner"], " ".join(row["match"]))))
    console.print(made)
    for row in rows:
        if row["problem"]:
            console.print(plain(f"{row['name']}: the newer version is not in force: {row['problem']}", "yellow"))


def print_alerts(console: Console, rows: Sequence[View]) -> None:
    made = table("ALERT", "STATUS", "AGE", "VERDICT", "ABOUT", flexible=("ALERT", "ABOUT"))
    for row in rows:
        labels = {k: v for k, v in row["labels"].items() if k not in ("alertname", "severity")}
        about = " ".join(f"{k}={v}" for k, v in labels.items())
        became = row["remediation"] or row["verdict"].replace("_", " ") or "undecided"
        made.add_row(*map(plain, (row["name"], row["status"], age(row["first_seen"]), became, about)))
    console.print(made)
