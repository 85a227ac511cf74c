"""A page of labelled parts, as `remediations show` and `explain` print it: label left, text right, wrapped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from remediator.cli.screen import STYLES, clock, count, plain, target

View = dict[str, Any]

LABEL_WIDTH = 10
MARKS = {"pass": "✓", "ask": "✋", "suggest": "💡", "hold": "⏸", "deny": "✗", "good": "✓", "bad": "✗", "unknown": "?"}
GRAVEST_FIRST = ("deny", "hold", "suggest", "ask", "pass")
MAX_ALERTS = 5


class Sheet:
    """Parts are added in reading order; empty ones are left out."""

    def __init__(self) -> None:
        self._grid = Table.grid(padding=(0, 2, 0, 0))
        self._grid.add_column(width=LABEL_WIDTH, no_wrap=True)
        self._grid.add_column(overflow="fold")

    def part(self, label: str, *lines: RenderableType | None) -> None:
        """Lines of one part; None and empty text are skipped."""
        said = [line for line in lines if line is not None and (not isinstance(line, Text) or line.plain)]
        if said:
            self._grid.add_row(Text(label, style="bold cyan"), Group(*said))

    def print(self, console: Console) -> None:
        console.print(self._grid)


def bold(text: object) -> Text:
    return plain(text, "bold")


def joined(*parts: Text | str, sep: str = " ") -> Text:
    """Parts in one line, empty ones left out."""
    texts = [part if isinstance(part, Text) else plain(part) for part in parts]
    return Text(sep).join(text for text in texts if text.plain)


def aligned(*rows: Sequence[Text]) -> Table | None:
    """Columns, the last one wrapped; None without rows."""
    if not rows:
        return None
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in rows[0][:-1]:
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def alerts_part(sheet: Sheet, alerts: Sequence[View]) -> None:
    """What fired, since when, and what its author says about it."""
    lines: list[Text] = []
    for alert in alerts[:MAX_ALERTS]:
        severity = f"({alert['severity']})" if alert["severity"] else ""
        until = alert["resolved_at"] or alert["ends_at"]
        when = f"resolved {clock(until)} UTC" if until else f"since {clock(alert['starts_at'])} UTC"
        lines.append(joined(bold(alert["name"]), severity, when))
        said = alert["annotations"].get("summary") or alert["annotations"].get("description") or ""
        lines.append(joined(" ", said) if said else Text(""))
    rest = len(alerts) - MAX_ALERTS
    lines.append(plain(f"… and {rest} more", "dim") if rest > 0 else Text(""))
    sheet.part("Fires", *lines)


def target_part(sheet: Sheet, view: View) -> None:
    """The object, what it belongs to, and how we know."""
    named = view["target"] or view["root"]
    root = f"part of {target(view['root'])}" if view["root"] and view["root"] != named else ""
    because = plain(f"(from {view['because']})", "dim") if view["because"] else ""
    sheet.part("Target", joined(bold(target(named)), root, because))


def plan_part(sheet: Sheet, plan: View | None) -> None:
    """Each step with its diff and what it takes, and what an undo would do."""
    if plan is None:
        return
    lines: list[Text] = []
    several = len(plan["steps"]) > 1
    for number, step in enumerate(plan["steps"], 1):
        name = step["action"] or step["summary"]
        copies = f"takes {step['takes']} ready {'copy' if step['takes'] == 1 else 'copies'}" if step["takes"] else ""
        lines.append(joined(bold(f"{number}. {name}" if several else name), plain(copies, "dim"), sep="  "))
        lines += [_diff_line(line) for line in step["diff"] or ([step["summary"]] if step["action"] else [])]
        if step["needs_approval"]:
            lines.append(plain(f"needs an approval: {step['needs_approval']}", "yellow"))
        lines += [plain(f"note: {note}", "dim") for note in step["notes"]]
    sheet.part("Plan", *lines)
    sheet.part("Undo", plain(plan["undo"]))


def _diff_line(line: str) -> Text:
    """`replicas 3 -> 5`, the old value red, the new one green."""
    text = plain(line)
    left, arrow, right = text.plain.partition(" -> ")
    if not arrow:
        return text
    name, space, old = left.rpartition(" ")
    return Text(f"{name}{space}").append(old, "red").append(" -> ", "dim").append(right, "green")


def guards_part(sheet: Sheet, verdicts: Sequence[View]) -> None:
    """Every guard with its numbers, the gravest first; those that do not apply in one line."""
    asked = sorted(
        (v for v in verdicts if v["answer"] in GRAVEST_FIRST), key=lambda v: GRAVEST_FIRST.index(v["answer"])
    )
    aside = [v["guardrail"] for v in verdicts if v["answer"] not in GRAVEST_FIRST]
    against = sum(v["answer"] != "pass" for v in asked)
    head = plain(f"{against} of {count(len(asked), 'guard')} object", "bold yellow") if against else Text("")
    if asked and not against:
        head = plain(f"all {count(len(asked), 'guard')} pass", "green")
    rest = plain(f"not applicable: {', '.join(aside)}", "dim") if aside else None
    sheet.part("Guards", head, aligned(*(_guard(v) for v in asked)), rest)


def _guard(verdict: View) -> tuple[Text, ...]:
    answer = verdict["answer"]
    quiet = "dim" if answer == "pass" else ""
    reason = f"cannot see: {verdict['reason']}" if verdict["cannot_see"] else verdict["reason"]
    stop = "" if not reason or reason[-1] in ".!?…" or not verdict["changes"] else "."
    text = joined(plain(f"{reason}{stop}", quiet), verdict["changes"])
    return Text(MARKS[answer], style=STYLES.get(answer, "")), plain(verdict["guardrail"], quiet), text
