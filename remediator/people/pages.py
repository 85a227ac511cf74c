"""Stories as PagerDuty events (Events API v2), without the routing key, which only the adapter knows.

One incident per episode: the same deduplication key from the first trigger to the resolve. Log text never goes here:
a pager's incident is read by people, and kept by a company, that the logs were not written for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

from remediator.people.markup import safe_url, short
from remediator.people.parts import links, parts, raw
from remediator.people.story import Story
from remediator.people.wording import first_line, need

Severity = Literal["critical", "error", "warning", "info"]

SUMMARY_LIMIT = 1024
KEY_LIMIT = 255
DETAIL_LIMIT = 1000
DETAIL_LINES = 10

_SEVERITIES: dict[str, Severity] = {
    **dict.fromkeys(("critical", "crit", "page", "emergency", "fatal", "disaster"), "critical"),
    **dict.fromkeys(("error", "high", "major"), "error"),
    **dict.fromkeys(("warning", "warn", "medium", "minor", "average"), "warning"),
    **dict.fromkeys(("info", "information", "informational", "notice", "low", "debug", "none"), "info"),
}


def severity(label: str) -> Severity:
    """An alert's `severity` label in the pager's four words; one we do not know is a warning: told, not at 3 a.m."""
    return _SEVERITIES.get(label.strip().lower(), "warning")


def dedup_key(story: Story) -> str:
    """One per episode, stable from trigger to resolve."""
    return incident_key(story.instance_id, story.cluster, story.episode_id)


def incident_key(instance_id: str, cluster: str, incident_id: str) -> str:
    key = "/".join(part for part in ("remediator", instance_id, cluster, incident_id) if part)
    if len(key) <= KEY_LIMIT and key.isascii():
        return key
    return f"remediator/{hashlib.sha256(key.encode(errors='replace')).hexdigest()}"


def urgency_of(story: Story) -> Severity:
    """Raised where the playbook's own ladder asks for a person now, or we have made it worse."""
    urgency = severity(story.severity)
    raised = story.page_urgency == "high" or story.outcome == "undo_failed"
    return "error" if raised and urgency in ("warning", "info") else urgency


def trigger_event(story: Story) -> dict[str, Any]:
    """Ring: a person is needed."""
    urgency = urgency_of(story)
    pages = ((text, safe_url(url)) for text, url in links(story))
    console = safe_url(story.console_url)
    return {
        "event_action": "trigger",
        "dedup_key": dedup_key(story),
        "payload": {
            "summary": short(f"{first_line(story)} [{story.cluster}]", SUMMARY_LIMIT),
            "source": short(f"{story.cluster}/{story.target}", DETAIL_LIMIT),
            "severity": urgency,
            "timestamp": story.now.isoformat(),
            "component": short(story.target, DETAIL_LIMIT),
            "group": short(story.namespace or story.cluster, DETAIL_LIMIT),
            "class": short(story.alerts[0].name if story.alerts else story.playbook, DETAIL_LIMIT),
            "custom_details": _details(story),
        },
        "links": [{"href": url, "text": text} for text, url in pages if url],
        "client": "remediator",
        **({"client_url": console} if console else {}),
    }


def resolve_event(story: Story) -> dict[str, Any]:
    """Recovery was verified. Dropped by the pager when nothing is open, so it may be sent without looking."""
    return {"event_action": "resolve", "dedup_key": dedup_key(story)}


def acknowledge_event(story: Story) -> dict[str, Any]:
    """Stops the pager's own escalation, so it is sent only where the configuration says so."""
    return {"event_action": "acknowledge", "dedup_key": dedup_key(story)}


def _details(story: Story) -> dict[str, Any]:
    """The parts of the message as bounded text, and the evidence without its logs."""
    said = {part.label.lower(): _lines(raw(line) for line in part.lines) for part in parts(story)}
    details = {
        "needed": short(need(story), DETAIL_LIMIT),
        **said,
        "evidence": _lines(f"{note.title}: {note.text}".strip(": ") for note in story.evidence),
        "timeline": _lines(reversed(story.timeline)),
        "remediation": story.remediation_id,
        "playbook": " ".join(filter(None, (story.playbook, f"({story.mode})" if story.mode else ""))),
        "owner": short(story.owner, DETAIL_LIMIT),
    }
    return {name: value for name, value in details.items() if value}


def _lines(lines: Iterable[str]) -> list[str]:
    every = [short(line, DETAIL_LIMIT) for line in lines]
    rest = len(every) - DETAIL_LINES
    return [*every[:DETAIL_LINES], f"… ({rest} more)"] if rest > 0 else every
