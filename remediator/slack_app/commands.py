"""`/remediator`: everything it answers, for the eyes of whoever asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from remediator.people.account import Account
from remediator.people.handover import handover_message
from remediator.people.messages import Message
from remediator.people.parts import Code, Line
from remediator.people.reports import ReportSection, report
from remediator.people.wording import clock
from remediator.ports import Clock
from remediator.service import OPEN, Service
from remediator.slack_app.members import Refusal
from remediator.slack_app.words import COMMANDS, read_command, read_length, read_pause, read_run

SHOWN = 10
"""Lines of a section; the rest is counted."""
SHIFT = timedelta(hours=12)
MOST = 500

View = dict[str, Any]
_WAIT = ("awaiting_approval", "snoozed")
_SLOW = ("held", "inconclusive")


class Commands:
    """`console` is its address. Who may pause and resume, the service says."""

    def __init__(self, service: Service, clock: Clock, *, console: str = "") -> None:
        self._service = service
        self._clock = clock
        self._console = console
        self._does: Mapping[str, Callable[[str, Account, str], Awaitable[Message]]] = {
            "status": self._status,
            "pending": self._pending,
            "pause": self._pause,
            "resume": self._resume,
            "run": self._run,
            "explain": self._explain,
            "take": self._take,
            "give-back": self._give_back,
            "handover": self._hand_over,
            "help": self._help,
        }

    async def answer(self, text: str, account: Account, key: str) -> Message:
        """`key` is the same for every copy of what was typed. Raises: Refusal, ServiceError, JournalUnavailable."""
        command = read_command(text)
        return await self._does[command.name](command.rest, account, key)

    async def _status(self, rest: str, account: Account, key: str) -> Message:
        rows = await self._service.remediations(limit=MOST, state=OPEN)
        pauses = await self._service.pauses()
        wait, slow = _that(rows, _needs), _that(rows, lambda r: r["state"] in _SLOW and not _needs(r))
        runs = _that(rows, lambda r: not _needs(r) and r["state"] not in _SLOW)
        sections = (
            _section("Waits for a person", wait),
            _section("Runs", runs),
            _section("Held back, or not proven", slow),
            _pauses(pauses),
        )
        lead = f"{len(wait)} wait for a person, {len(runs)} run, {len(slow)} held, {len(pauses)} paused."
        return report("remediator", [section for section in sections if section.lines], lead=lead)

    async def _pending(self, rest: str, account: Account, key: str) -> Message:
        wait = _that(await self._service.remediations(limit=MOST, state=OPEN), _needs)
        lead = f"{len(wait)} wait for a person." if wait else "Nothing waits for a person."
        return report("Pending", [_section("Waits for a person", wait)] if wait else [], lead=lead)

    async def _pause(self, rest: str, account: Account, key: str) -> Message:
        words = read_pause(rest)
        until = self._clock.now() + words.length if words.length else None
        done = await self._service.pause(words.scope, account, why=words.why, until=until)
        ends = f" until {clock(until, self._clock.now())}" if until else " until somebody lifts it"
        note = f" Mind: {done['note']}." if done.get("note") else ""
        lead = f"{done['id']}: {done['covers']} is paused{ends}. Nothing is sent there any more.{note}"
        return report("Paused", [], lead=f"{lead} Lift it: /remediator resume {done['id']}")

    async def _resume(self, rest: str, account: Account, key: str) -> Message:
        if not rest:
            raise Refusal("resume what?", advice="A pause such as p-12, or a scope; see /remediator status.")
        by_id = rest.removeprefix("p-").isdecimal()
        done = await (self._service.resume(rest, account) if by_id else self._service.resume_scope(rest, account))
        return report("Resumed", [], lead=f"Lifted: {', '.join(done['resumed'])}. What waited for it goes on.")

    async def _run(self, rest: str, account: Account, key: str) -> Message:
        words = read_run(rest)
        done = await self._service.run(
            words.playbook, account, target=words.target, params=words.params, why=words.why, key=key
        )
        return report("Accepted", [], lead=f"{done['message']} Somebody else approves, where it asks for that.")

    async def _explain(self, rest: str, account: Account, key: str) -> Message:
        if not rest:
            advice = "A remediation of /remediator status, such as /remediator explain r-4f2c91d0aa."
            raise Refusal("explain what?", advice=advice)
        found = await self._service.show(rest, evidence=False)
        guards: list[Line] = [
            (Code(v["guardrail"]), f" {v['answer'].replace('_', ' ')}: {v['reason']}")
            for v in found["verdicts"]
            if v["answer"] != "not_applicable"
        ]
        sections = (
            ReportSection(title="Why", lines=((found["reason"] or "-",),)),
            ReportSection(title="Would change", lines=((found["change"],),) if found["change"] else ()),
            ReportSection(title="Guards", lines=tuple(guards[:SHOWN]), more=max(0, len(guards) - SHOWN)),
        )
        lead = f"{found['playbook'] or 'no playbook'}, {_place(found)}, {found['told_as'].replace('_', ' ')}."
        return report(found["id"], [section for section in sections if section.lines], lead=lead)

    async def _take(self, rest: str, account: Account, key: str) -> Message:
        done = await self._service.take(_one_id(rest, "take"), account)
        return report("Taken", [], lead=done["message"])

    async def _give_back(self, rest: str, account: Account, key: str) -> Message:
        done = await self._service.give_back(_one_id(rest, "give-back"), account)
        return report("Given back", [], lead=done["message"])

    async def _hand_over(self, rest: str, account: Account, key: str) -> Message:
        shift = read_length(rest) if rest else SHIFT
        return handover_message(await self._service.handover(shift), console=self._console)

    async def _help(self, rest: str, account: Account, key: str) -> Message:
        lines: tuple[Line, ...] = tuple((Code(f"/remediator {name}"), f" {what}") for name, what in COMMANDS.items())
        return report("remediator", [ReportSection(title="Commands", lines=lines)], lead="Only you see the answers.")


def _one_id(rest: str, verb: str) -> str:
    """Raises: Refusal."""
    if not rest or " " in rest:
        advice = f"A remediation or an episode of /remediator status, such as /remediator {verb} r-4f2c91d0aa."
        raise Refusal(f"{verb} what?", advice=advice)
    return rest


def _needs(row: View) -> bool:
    return row["state"] in _WAIT or bool(row["question"])


def _that(rows: list[View], holds: Callable[[View], bool]) -> list[View]:
    return [row for row in rows if holds(row)]


def _section(title: str, rows: list[View]) -> ReportSection:
    return ReportSection(title=title, lines=tuple(map(_line, rows[:SHOWN])), more=max(0, len(rows) - SHOWN))


def _line(row: View) -> Line:
    what = row["question"] or row["change"] or row["reason"]
    by = f", by {row['deadline'][11:16]} UTC" if _needs(row) and row["deadline"] else ""
    return (Code(row["id"]), f" {row['playbook'] or 'choosing'} on {_place(row)}: {what or row['state']}{by}")


def _place(row: View) -> str:
    ref = row["target"] or row["root"]
    return "/".join(part for part in (ref["kind"], ref["namespace"], ref["name"]) if part) if ref else "unknown target"


def _pauses(pauses: list[View]) -> ReportSection:
    lines: list[Line] = [
        (
            Code(p["id"]),
            f" {p['covers']}, by {p['who']}"
            + (f": {p['why']}" if p["why"] else "")
            + (f", until {p['until'][:16].replace('T', ' ')} UTC" if p["until"] else ""),
        )
        for p in pauses[:SHOWN]
    ]
    return ReportSection(title="Paused", lines=tuple(lines), more=max(0, len(pauses) - SHOWN))
