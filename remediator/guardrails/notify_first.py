"""`notify_first`: nothing disruptive happens by itself while nobody could be told of it."""

from __future__ import annotations

from remediator.guardrails.answers import not_applicable, passes, suggests
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import many
from remediator.playbooks.model import Mode

NAME = "notify_first"
READS = frozenset({"channels", "limits", "project", "started"})


def check(facts: Facts) -> Verdict:
    """With every channel unreachable, `auto` falls back to `suggest`. One that works is enough.

    A person who has approved it knows. What is under way is not broken off: losing a channel must not lead to an undo.
    """
    if not facts.action_disruptive:
        return not_applicable(NAME, f"{facts.action} disrupts nothing")
    ceilings = [facts.limits.mode_ceiling, *([facts.project.mode] if facts.project is not None else [])]
    if any(mode is not Mode.AUTO for mode in (facts.limits.mode, *ceilings)):
        return not_applicable(NAME, "nothing happens by itself in this mode")
    if not facts.channels:
        return not_applicable(NAME, "neither a chat nor a pager is configured")
    broken = [channel for channel in facts.channels if channel.problem]
    working = len(facts.channels) - len(broken)
    numbers = {"channels": len(facts.channels), "working": working}
    if working:
        return passes(NAME, f"{working} of {many(len(facts.channels), 'channel')} can be reached", **numbers)
    said = f"nobody can be told: {'; '.join(f'{channel.name}: {channel.problem}' for channel in broken)}"
    if facts.approved:
        return passes(NAME, f"{said}. A person has approved it", **numbers)
    if facts.started:
        return passes(NAME, f"{said}. It is under way already", **numbers)
    number = f"{working} of {many(len(facts.channels), 'channel')} can be reached"
    return suggests(NAME, f"{number}, {said}", "a person can do it by hand, or the alert fires anew", **numbers)
