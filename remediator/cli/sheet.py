"""A page of labelled parts, as `remediations show` and `explain` print it: label left, text right, wrapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from remediator.cli.screen import STYLES, clock, plain, print_table, target

View = dict[str, Any]

LABEL_WIDTH = 10
MARKS = {"pass": "✓", "ask": "✋", "suggest": "💡", "hold": "⏸", "deny": "✗", "good": "✓", "bad": "✗", "unknown": "?"}
GRAVEST_FIRST = ("deny", "hold", "suggest", "ask", "pass")
SAYS = {
    "deny": ("denies", "deny"),
    "hold": ("holds", "hold"),
    "suggest": ("only suggests", "only suggest"),
    "ask": ("asks a person", "ask a person"),
    "pass": ("passes", "pass"),
}
"""For one guard, for several."""
SHORT = {"policy": "policy", "environment": "env", "severity": "sev", "project": "project"}
MAX_ALERTS = 5
ONE_LINE_DIFF = 64


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


def indented(text: Text) -> Padding | None:
    """Two columns to the right, also where it wraps; None for empty text."""
    return Padding(text, (0, 0, 0, 2)) if text.plain else None


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
    lines: list[RenderableType | None] = []
    for alert in alerts[:MAX_ALERTS]:
        severity = f"({alert['severity']})" if alert["severity"] else ""
        until = alert["resolved_at"] or alert["ends_at"]
        when = f"resolved {clock(until)} UTC" if until else f"since {clock(alert['starts_at'])} UTC"
        lines.append(joined(bold(alert["name"]), severity, when))
        lines.append(indented(plain(alert["annotations"].get("summary") or alert["annotations"].get("description"))))
    rest = len(alerts) - MAX_ALERTS
    lines.append(plain(f"… and {rest} more", "dim") if rest > 0 else None)
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
    lines: list[RenderableType | None] = []
    several = len(plan["steps"]) > 1
    for number, step in enumerate(plan["steps"], 1):
        name = step["action"] or step["summary"]
        copies = f"takes {step['takes']} ready {'copy' if step['takes'] == 1 else 'copies'}" if step["takes"] else ""
        lines.append(joined(bold(f"{number}. {name}" if several else name), plain(copies, "dim"), sep="  "))
        diff = step["diff"] or ([step["summary"]] if step["action"] else [])
        lines += [indented(part) for line in diff for part in _diff_line(line)]
        if step["needs_approval"]:
            lines.append(indented(plain(f"needs an approval: {step['needs_approval']}", "yellow")))
        lines += [indented(plain(f"note: {note}", "dim")) for note in step["notes"]]
    sheet.part("Plan", *lines)
    sheet.part("Risk", *(plain(line) for line in plan["risk"]))
    sheet.part("Undo", plain(plan["undo"]))


def _diff_line(line: str) -> Iterator[Text]:
    """`replicas 3 -> 5`, the old value red, the new one green; long values below each other."""
    text = plain(line)
    left, arrow, right = text.plain.partition(" -> ")
    name, space, old = left.rpartition(" ")
    if not arrow:
        yield text
    elif len(text.plain) <= ONE_LINE_DIFF:
        yield Text(f"{name}{space}").append(old, "red").append(" -> ", "dim").append(right, "green")
    else:
        yield Text(name)
        yield Text(f"- {old}", style="red")
        yield Text(f"+ {right}", style="green")


def guards_part(sheet: Sheet, verdicts: Sequence[View]) -> None:
    """Every guard with its numbers, the gravest first; those that do not apply in one line."""
    asked = sorted(
        (v for v in verdicts if v["answer"] in GRAVEST_FIRST), key=lambda v: GRAVEST_FIRST.index(v["answer"])
    )
    aside = [v["guardrail"] for v in verdicts if v["answer"] not in GRAVEST_FIRST]
    counts = ((answer, sum(v["answer"] == answer for v in asked)) for answer in GRAVEST_FIRST)
    head = joined(*(plain(f"{n} {SAYS[a][n > 1]}", STYLES.get(a, "")) for a, n in counts if n), sep=", ")
    rest = plain(f"not applicable: {', '.join(aside)}", "dim") if aside else None
    sheet.part("Guards", head, aligned(*(_guard(v) for v in asked)), rest)


def obstacles_part(sheet: Sheet, verdicts: Sequence[View]) -> None:
    """Every guard that objects, with its numbers and below them what would change its answer; the others by name."""
    objecting = [v for answer in GRAVEST_FIRST[:-1] for v in verdicts if v["answer"] == answer]
    lines: list[RenderableType | None] = [aligned(*((*_mark(v), _objection(v)) for v in objecting))]
    for answer, says in (("pass", "passed"), ("not_applicable", "not applicable")):
        names = [v["guardrail"] for v in verdicts if v["answer"] == answer]
        lines.append(plain(f"{says}: {', '.join(names)}", "dim") if names else None)
    sheet.part("Guards", *lines)


def _objection(verdict: View) -> Text:
    reason = f"cannot see: {verdict['reason']}" if verdict["cannot_see"] else verdict["reason"]
    return joined(plain(reason), plain(f"→ {verdict['changes']}", "cyan") if verdict["changes"] else "", sep="\n")


def print_limits(console: Console, limits: Sequence[View], verdicts: Sequence[View], *, everything: bool) -> None:
    """What is in force, and beside it what is shipped, what the operator and the playbook say, and the ceiling.

    Without `everything` only those that somebody has set, and those of guards that object.
    """
    objecting = {v["guardrail"] for v in verdicts if v["answer"] in GRAVEST_FIRST[:-1]}
    rows = [row for row in limits if everything or row["differs"] or row["guardrail"] in objecting]
    if rows:
        console.print()
        head = ("LIMIT", "NOW", "SHIPPED", "OPERATOR", "PLAYBOOK", "CEILING")
        print_table(console, head, [_limit(row) for row in rows], flexible=("OPERATOR", "CEILING"))
    if rest := len(limits) - len(rows):
        console.print(plain(f"{rest} limits are as shipped; --all shows them.", "dim"))


def _limit(row: View) -> tuple[Text, ...]:
    """The word that counts is bold."""
    said = next((who for who in ("severity", "environment", "policy") if row[who] is not None), "")
    ceiling = f"{'≤' if row['bound'] == 'at most' else '≥'} {row['ceiling']}"
    cells = (
        ("shipped", str(row["shipped"])),
        (said, f"{row[said]} ({SHORT[said]})" if said else "-"),
        ("playbook", "-" if row["playbook"] is None else str(row["playbook"])),
        ("ceiling", f"{ceiling} ({SHORT[by]})" if (by := row["ceiling_by"].partition(" ")[0]) in SHORT else ceiling),
    )
    counts = row["by"].partition(" ")[0]
    return plain(row["limit"]), bold(row["in_force"]), *(plain(t, "bold" if who == counts else "") for who, t in cells)


def _mark(verdict: View) -> tuple[Text, Text]:
    answer = verdict["answer"]
    return Text(MARKS[answer], style=STYLES.get(answer, "")), plain(
        verdict["guardrail"], "dim" if answer == "pass" else ""
    )


def _guard(verdict: View) -> tuple[Text, ...]:
    answer = verdict["answer"]
    quiet = "dim" if answer == "pass" else ""
    reason = f"cannot see: {verdict['reason']}" if verdict["cannot_see"] else verdict["reason"]
    changes = plain(f"→ {verdict['changes']}", "cyan") if verdict["changes"] else ""
    return *_mark(verdict), joined(plain(reason, quiet), changes)
