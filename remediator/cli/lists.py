"""Lists for people: one line a row, what matters most where it is narrow, more where there is room."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from remediator.cli.screen import age, clock, plain, print_table, target, word
from remediator.cli.sheet import View

WIDE = 120


def print_remediations(console: Console, rows: Sequence[View]) -> None:
    """ID, age, state, playbook, target; why, where there is room."""
    wide = console.width >= WIDE
    columns = ("ID", "AGE", "STATE", "PLAYBOOK", "TARGET", *(("WHY",) if wide else ()))
    cells = [
        (
            plain(row["id"]),
            plain(age(row["created_at"])),
            _state(row),
            plain(row["playbook"] or " | ".join(row["candidates"])),
            plain(target(row["target"] or row["root"])),
            *((plain(row["reason"]),) if wide else ()),
        )
        for row in rows
    ]
    print_table(console, columns, cells, flexible=("PLAYBOOK", "TARGET", "WHY"))


def _state(row: View) -> Text:
    """`escalated` alone does not say what happened, nor `waiting` that it is a person who is waited for."""
    if row["state"] == "escalated" and row["outcome"]:
        return word(row["state"]).append(f": {row['outcome'].replace('_', ' ')}")
    return word("asking" if row["question"] else row["state"])


def print_pauses(console: Console, rows: Sequence[View]) -> None:
    """ID, what is paused, by whom, since and until when, why."""
    cells = []
    for row in rows:
        until = f"{clock(row['until'])} UTC" if row["until"] else "lifted"
        cells.append((row["id"], row["covers"], row["who"], f"{age(row['created_at'])} ago", until, row["why"]))
    columns = ("ID", "PAUSED", "BY", "SINCE", "UNTIL", "WHY")
    print_table(console, columns, [tuple(map(plain, row)) for row in cells], flexible=("PAUSED", "WHY"))


def print_playbooks(console: Console, rows: Sequence[View]) -> None:
    """Name, mode, steps; owner and matchers where there is room. Then what is wrong with newer versions."""
    wide = console.width >= WIDE
    columns = ("PLAYBOOK", "MODE", "STEPS", *(("OWNER",) if wide else ()), "FOR")
    cells = []
    for row in rows:
        held_back = row["mode"] != row["wanted_mode"]
        mode = f"{row['mode']} (asks for {row['wanted_mode']})" if held_back else row["mode"]
        owner = (row["owner"],) if wide else ()
        cells.append(tuple(map(plain, (row["name"], mode, ", ".join(row["steps"]) or "report", *owner, _starts(row)))))
    print_table(console, columns, cells, flexible=("STEPS", "OWNER", "FOR"))
    for row in rows:
        if row["problem"]:
            console.print(plain(f"{row['name']}: {row['problem']}", "yellow"))


def _starts(row: View) -> str:
    """What starts it: matchers, times, people."""
    schedule = f"at {row['schedule']}" if row["schedule"] else ""
    return "; ".join(part for part in (" ".join(row["match"]), schedule, "by hand" if row["manual"] else "") if part)


def print_alerts(console: Console, rows: Sequence[View]) -> None:
    """Name, status, age, what became of it, and the labels that tell it from others."""
    cells = []
    for row in rows:
        about = " ".join(f"{k}={v}" for k, v in row["labels"].items() if k not in ("alertname", "severity"))
        became = row["remediation"] or row["verdict"].replace("_", " ") or "undecided"
        cells.append(tuple(map(plain, (row["name"], row["status"], age(row["first_seen"]), became, about))))
    print_table(console, ("ALERT", "STATUS", "AGE", "VERDICT", "ABOUT"), cells, flexible=("ALERT", "ABOUT"))
