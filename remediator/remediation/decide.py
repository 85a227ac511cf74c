"""The heart: one pure function. No I/O, no clock, no randomness; the table says everything."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.remediation.draft import Decision, Draft
from remediator.remediation.events import Event
from remediator.remediation.state import Remediation, State
from remediator.remediation.table import RULES, Rule, deadline_on_entry

IGNORED_LATER = timedelta(seconds=30)

_INDEX: dict[tuple[State, type], list[Rule]] = defaultdict(list)
for _rule in RULES:
    for _state in _rule.states:
        _INDEX[_state, _rule.on].append(_rule)


def decide(remediation: Remediation, event: Event, now: datetime) -> Decision:
    """What this event does to this remediation: the first row of the table that fits.

    Total: an event without a row changes nothing and comes back `ignored`, to be kept as evidence; the next look is put
    off, so that a state and its work that do not fit together can never spin.
    """
    for rule in _INDEX.get((remediation.state, type(event)), ()):
        draft = Draft(r=remediation, event=event, now=now)
        if rule.when is not None and not rule.when(draft):
            continue
        for do in rule.do:
            do(draft)
        to = rule.to or remediation.state
        return draft.finish(to, rule.name, deadline_on_entry(to, remediation, now))
    later = None if remediation.ended else now + IGNORED_LATER
    return Decision(
        before=remediation,
        remediation=replace(remediation, due=later, version=remediation.version + 1),
        event=event,
        ignored=True,
    )
