"""The draft of a review after an incident: what is on record, in order, and what people still have to write.

A draft, because the record knows what happened and never why. Pure: from what the API tells of the remediations of one
episode to Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

View = Mapping[str, Any]
"""One remediation, as `views.remediation` gives it."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")

TO_WRITE = (
    ("Impact", "Who noticed what, for how long, and how many."),
    ("Cause", "What made it possible, what began it, and why it was not caught before."),
    ("What went well, what did not", "Detection, decisions, tools, words to others."),
)
"""Sections that only people can fill, each with what belongs there."""


def draft(views: Sequence[View]) -> str:
    """Markdown. `views` are all remediations of one episode, in any order; at least one."""
    ordered = sorted(views, key=lambda view: str(view["created_at"]))
    return "\n".join((*_head(ordered), *_timeline(ordered), *_done(ordered), *_people(ordered), *_left())) + "\n"


def plain(text: object) -> str:
    """Text from outside on one line, with nothing in it that Markdown reads as its own."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _head(views: Sequence[View]) -> Iterator[str]:
    first = views[0]
    alerts = {a["id"]: a for view in views for a in view["alerts"]}
    names = sorted({str(a["labels"].get("alertname", "")) for a in alerts.values()})
    yield f"# Review: {plain(', '.join(names) or first['playbook'] or first['episode'])}"
    yield ""
    yield "*A draft from the record. What stands in brackets is for people to write.*"
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| Episode | {plain(first['episode'])}, cluster {plain(first['cluster'])} |"
    yield f"| Severity | {plain(max((str(v['severity']) for v in views), default='')) or 'none'} |"
    yield f"| Targets | {', '.join(sorted({_target(view) for view in views}))} |"
    yield from (f"| {name} | {value} |" for name, value in _times(views, list(alerts.values())))
    yield ""
    for title, what in TO_WRITE[:1]:
        yield from (f"## {title}", "", f"[{what}]", "")


def _times(views: Sequence[View], alerts: Sequence[View]) -> Iterator[tuple[str, str]]:
    """The moments that a review asks for, with the time between them."""
    began = min((str(a["starts_at"]) for a in alerts if a.get("starts_at")), default="")
    seen = min((str(a["first_seen"]) for a in alerts if a["first_seen"]), default="")
    acted = min((str(d["at"]) for view in views for d in view["done"]), default="")
    over = [str(a["resolved_at"]) for a in alerts if a["resolved_at"]]
    ended = max(over) if alerts and len(over) == len(alerts) else ""
    for name, at in (("Began", began), ("First seen", seen), ("First change", acted), ("Over", ended)):
        after = f" ({_between(began, at)} after it began)" if at and began and at != began else ""
        yield name, (_moment(at) + after) if at else "not on record"


def _timeline(views: Sequence[View]) -> Iterator[str]:
    lines = []
    for view in views:
        for event in view["timeline"]:
            moved = f"{event['from']} → {event['to']}" if event["from"] != event["to"] else event["type"]
            who = f", {plain(event['who'])}" if event["who"] else ""
            reason = f": {plain(event['reason'])}" if event["reason"] else ""
            lines.append((str(event["at"]), f"| {_moment(event['at'])} | {plain(view['id'])} | {moved}{who}{reason} |"))
    yield from ("## Time line", "", "| UTC | remediation | what happened |", "|---|---|---|")
    yield from (line for _, line in sorted(lines))
    yield ""


def _done(views: Sequence[View]) -> Iterator[str]:
    yield from ("## What was changed", "")
    nothing = True
    for view in views:
        for done in view["done"]:
            nothing = False
            yield f"- {_moment(done['at'])} {_target(view)}: {plain(done['summary'])} ({plain(view['playbook'])})"
    if nothing:
        yield "Nothing."
    yield from ("", "How each ended:", "")
    for view in views:
        outcome = f" ({plain(view['outcome'])})" if view["outcome"] else ""
        yield f"- {plain(view['playbook']) or 'no playbook'}: {view['state']}{outcome}. {plain(view['reason'])}"
    yield ""


def _people(views: Sequence[View]) -> Iterator[str]:
    said = [
        f"- {_moment(c['at'])} {plain(', '.join(c['who']))}: {plain(c['question'])}"
        for view in views
        for c in view["confirmed"]
    ]
    asked = sorted({plain(e["who"]) for view in views for e in view["timeline"] if e["who"]})
    yield from ("## Who took part", "", ", ".join(asked) or "Nobody is on record.", "")
    if said:
        yield from ("Confirmed on the way:", "", *said, "")
    kinds = sorted({plain(e["kind"]) for view in views for e in view["evidence"] if e.get("kind")})
    if kinds:
        yield from ("Evidence that was kept (`remediator remediations show ID`): " + ", ".join(kinds), "")


def _left() -> Iterator[str]:
    for title, what in TO_WRITE[1:]:
        yield from (f"## {title}", "", f"[{what}]", "")
    yield from ("## Action items", "", "| what | owner | due | ticket |", "|---|---|---|---|", "| [...] | | | |", "")
    yield "- [ ] The cause is cured, or its ticket has an owner."
    yield "- [ ] The runbook and the playbook say what was learned."
    yield "- [ ] An alert would find it earlier, or it is written down why not."


def _target(view: View) -> str:
    target = view["target"] or view["root"] or {}
    return plain(f"{target.get('kind', '')} {target.get('namespace', '')}/{target.get('name', '')}") if target else "-"


def _moment(text: object) -> str:
    return f"{datetime.fromisoformat(str(text).replace('Z', '+00:00')):%Y-%m-%d %H:%M:%S}" if text else ""


def _between(start: str, end: str) -> str:
    first, last = (datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (start, end))
    seconds = max(0, round((last - first).total_seconds()))
    hours, rest = divmod(seconds, 3600)
    return f"{hours}h {rest // 60}m" if hours else f"{rest // 60}m {rest % 60}s"
