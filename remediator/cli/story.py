"""`remediations show`: one remediation from alert to verdict, for somebody who was woken up.

First what is the matter and whether anything is needed of the reader, then the rest in the order in which it happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from rich.text import Text

from remediator.cli.screen import STYLES, clock, moment, plain, short, target, word
from remediator.cli.sheet import (
    MARKS,
    Sheet,
    View,
    alerts_part,
    aligned,
    bold,
    guards_part,
    indented,
    joined,
    plan_part,
    target_part,
)
from remediator.people.story import Story
from remediator.people.wording import need, title, wording

TRACE = 20
"""Samples shown as marks; more than that is a graph."""
LOG_LINES = 20
PAUSED = "Paused: it can be looked at, and approved only after the pause is lifted."
QUIET_LENGTH = 100
"""Of a line that changed nothing; the whole text is in the JSON."""


def print_story(console: Console, view: View, *, logs: bool = True) -> None:
    """`view` is views.remediation. `logs`: with the end of collected logs."""
    _head(console, view)
    sheet = Sheet()
    sheet.part("Began", *_began(view))
    alerts_part(sheet, view["alerts"])
    _playbook_part(sheet, view)
    target_part(sheet, view)
    plan_part(sheet, view["plan"])
    guards_part(sheet, view["verdicts"])
    _approval_part(sheet, view)
    sheet.part("Confirmed", *map(_confirmed, view["confirmed"]))
    sheet.part("Attempts", aligned(*(_attempt(a) for a in view["attempts"])))
    sheet.part("Checks", *_checks(view))
    sheet.part("Evidence", *_evidence(view, logs))
    sheet.part("Timeline", aligned(*(_event(e) for e in view["timeline"])))
    sheet.print(console)


def print_proposal(console: Console, view: View) -> None:
    """What somebody has to see before saying yes: what fires, what changes, which guards object."""
    _head(console, view)
    sheet = Sheet()
    sheet.part("Began", *_began(view))
    alerts_part(sheet, view["alerts"])
    target_part(sheet, view)
    plan_part(sheet, view["plan"])
    guards_part(sheet, [v for v in view["verdicts"] if v["answer"] != "not_applicable"])
    sheet.print(console)
    console.print()


def headline(view: View) -> str:
    """What it does to what, as far as that is known yet."""
    what = view["change"] or view["playbook"] or " or ".join(view["candidates"]) or "no playbook yet"
    where = target(view["target"] or view["root"])
    return f"{what} on {where}" if where and where not in what else what


def _head(console: Console, view: View) -> None:
    story = _story(view)
    said = Text(f"{title(story)}:", style=STYLES.get(view["told_as"], "bold"))
    console.print(joined(wording(story.state).glyph, said, headline(view)))
    needed = f"{PAUSED} See Approval below." if view["pauses"] and _asks(view) else need(story)
    for line in (bold(needed), plain("" if view["reason"] == view["question"] else view["reason"])):
        if line.plain:
            console.print(line)
    at = f"ended {clock(view['ended_at'])} UTC" if view["ended"] else f"since {clock(view['since'])} UTC"
    facts = (view["id"], view["episode"], f"cluster {view['cluster']}", at, _left(view))
    console.print(joined(*(plain(fact, "dim") for fact in facts), sep=" · "))
    console.print()


def _story(view: View) -> Story:
    """As much of a message's story as its words need."""
    return Story(
        remediation_id=view["id"],
        episode_id=view["episode"],
        cluster=view["cluster"],
        target=target(view["target"]),
        playbook=view["playbook"],
        state=view["told_as"],
        outcome=view["outcome"],
        headline=headline(view),
        cause=view["cause"],
        explanation=view["question"],
        next_rung=next(iter(view["ladder"]), ""),
        now=datetime.now(UTC),
        deadline=moment(view["deadline"]),
    )


def _left(view: View) -> str:
    end = moment(view["deadline"])
    if end is None or view["ended"]:
        return ""
    left = (end - datetime.now(UTC)).total_seconds()
    return f"until {clock(view['deadline'])} UTC, {short(left)} left" if left > 0 else "its time is over"


def _began(view: View) -> Iterator[Text]:
    """Who or what started it where no alert did, and with which values."""
    if view["cause"]:
        yield plain(view["cause"])
    if view["params"]:
        yield plain(", ".join(f"{name}={value}" for name, value in view["params"].items()), "dim")


def _confirmed(one: View) -> Text:
    """`03:06:03  Is the old primary stopped?  ann, bob`"""
    who = bold(", ".join(one["who"]))
    return joined(plain(clock(one["at"], seconds=True), "dim"), plain(one["question"]), who, sep="  ")


def _playbook_part(sheet: Sheet, view: View) -> None:
    if not view["playbook"]:
        sheet.part("Playbook", plain(f"not chosen yet; matching: {', '.join(view['candidates']) or 'none'}"))
        return
    owner = f"owner {view['owner']}" if view["owner"] else ""
    why = next((e["reason"] for e in view["timeline"] if e["type"] == "Chosen"), "")
    before = ", ".join(view["chain"][:-1])
    sheet.part(
        "Playbook",
        joined(bold(view["playbook"]), f"mode {view['mode']}", owner, sep="  "),
        plain(view["description"]),
        plain(why, "dim"),
        plain(f"tried before in this episode: {before}" if view["parent"] and before else ""),
        plain(f"next if this does not help: {', '.join(view['ladder'])}" if view["ladder"] else ""),
        plain(view["runbook"], "dim"),
    )


def _approval_part(sheet: Sheet, view: View) -> None:
    paused = [line for p in view["pauses"] for line in _paused(p)]
    approval = view["approval"]
    if approval is None:
        sheet.part("Paused", *paused)
        return
    given = approval["given"]
    names = ", ".join(f"{c['who']} at {clock(c['at'])} by {c['via']}" for c in given)
    alone = next((c["break_glass"] for c in given if c["break_glass"]), "")
    open_ = _asks(view)
    until = f"until {clock(approval['expires_at'])} UTC" if open_ else ""
    agreed = joined(f"{len(given)} of {approval['quorum']} agreed", f"({names})" if names else "")
    lines = [joined(agreed, until, sep=", "), *([plain(f"glass broken: {alone}", "yellow")] if alone else []), *paused]
    if open_ and not view["pauses"]:
        lines += [bold(f"remediator {answer} {view['id']}") for answer in ("approve", "reject")]
    sheet.part("Approval", *lines)


def _asks(view: View) -> bool:
    """Whether people are waited for."""
    return view["state"] in ("awaiting_approval", "snoozed") or bool(view["question"])


def _paused(pause: View) -> tuple[Text, Text]:
    """What is paused, by whom and why, and how to lift it."""
    until = f", until {clock(pause['until'])} UTC" if pause["until"] else ""
    return plain(f"{pause['said']}{until}", "yellow"), bold(pause["lifted_by"])


def _attempt(attempt: View) -> tuple[Text, ...]:
    """`03:06:03  0.0 #1  done  patch Deployment shop/api`"""
    outcome = word(attempt["outcome"]) if attempt["outcome"] else plain("no answer yet", "bold magenta")
    detail = plain(attempt["detail"], "dim") if attempt["detail"] != attempt["outcome"] else ""
    return (
        plain(clock(attempt["at"], seconds=True), "dim"),
        plain(f"{attempt['effect'].rpartition('/')[2]} #{attempt['number']}"),
        outcome,
        joined(f"{attempt['verb']} {target(attempt['object'])}", detail),
    )


def _checks(view: View) -> Iterator[RenderableType | None]:
    """For each check: a mark per sample, then what it said before the change and says now."""
    before = {c["check"]: c["detail"] for c in view["before"]["checks"]} if view["before"] else {}
    samples = [c for s in view["samples"][-TRACE:] for c in s["checks"]]
    for name in dict.fromkeys([*before, *(c["check"] for c in samples)]):
        taken = [c for c in samples if c["check"] == name]
        trace = Text("").join(Text(MARKS[c["answer"]], style=STYLES[c["answer"]]) for c in taken)
        yield joined(bold(name), trace, sep="  ")
        yield indented(plain(f"before: {before[name]}" if name in before else "", "dim"))
        yield indented(plain(f"now: {taken[-1]['detail']}" if taken else ""))


def _evidence(view: View, logs: bool) -> Iterator[RenderableType | None]:
    for note in view["evidence"]:
        yield joined(bold(note["title"]), note["text"], sep=": ")
        if note["withheld"]:
            yield indented(plain("log text needs the role operator", "dim"))
        if logs:
            yield from (indented(plain(line, "dim")) for line in note["log"].splitlines()[-LOG_LINES:])


def _event(event: View) -> tuple[Text, ...]:
    """Time, where it went, and why; what stays in its state is quiet, named by its kind and cut to a line."""
    at = plain(clock(event["at"], seconds=True), "dim")
    if event["from"] != event["to"]:
        return at, word(event["to"]), plain(event["reason"])
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", event["type"]).lower()
    said = plain(event["reason"], "dim")
    said.truncate(QUIET_LENGTH, overflow="ellipsis")
    return at, plain(kind, "dim"), said
