"""Stories as PagerDuty events (Events API v2), without the routing key, which only the adapter knows.

One incident per episode: the same deduplication key from the first trigger to the resolve. Log text never goes here:
a pager's incident is read by people, and kept by a company, that the logs were not written for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from remediator.people.markup import safe_url, short
from remediator.people.parts import links, parts, raw
from remediator.people.severity import PAGER_WORDS, SHIPPED, PagerWord, gravest_of, pager_word
from remediator.people.story import Story
from remediator.people.wording import ASKING, first_line, need

Severity = PagerWord

SUMMARY_LIMIT = 1024
KEY_LIMIT = 255
EPISODE_LIMIT = 100
DETAIL_LIMIT = 1000
DETAIL_LINES = 10


def severity(label: str) -> Severity:
    """An alert's `severity` label in the pager's four words, without what the configuration says about its source."""
    return PAGER_WORDS[gravest_of((label,), SHIPPED)]


def dedup_key(story: Story) -> str:
    """One per episode, stable from trigger to resolve."""
    return incident_key(story.instance_id, story.cluster, story.episode_id)


def incident_key(instance_id: str, cluster: str, incident_id: str) -> str:
    """`remediator/INSTANCE/CLUSTER/EPISODE`. What PagerDuty would not take is hashed, the episode's id if need be."""
    key = "/".join(part for part in ("remediator", instance_id, cluster, incident_id) if part)
    if len(key) <= KEY_LIMIT and key.isascii():
        return key
    place = hashlib.sha256(f"{instance_id}/{cluster}".encode(errors="replace")).hexdigest()[:32]
    if len(incident_id) <= EPISODE_LIMIT and incident_id.isascii():
        return f"remediator/{place}/{incident_id}"
    return f"remediator/{hashlib.sha256(key.encode(errors='replace')).hexdigest()}"


def episode_in(key: str) -> str:
    """The id of the episode in a key of ours, or empty. Whether it is ours the episode itself must tell: build its key
    again and compare."""
    first, _, rest = key.partition("/")
    return rest.rpartition("/")[2] if first == "remediator" else ""


def urgency_of(story: Story) -> Severity:
    """Raised where the playbook's own ladder asks for a person now, or we have made it worse."""
    urgency = pager_word(story)
    raised = story.page_urgency == "high" or story.outcome == "undo_failed"
    return "error" if raised and urgency in ("warning", "info") else urgency


def event_links(story: Story) -> list[dict[str, str]]:
    """Console, runbook and graph, as far as their addresses are any good."""
    pages = ((text, safe_url(url)) for text, url in links(story))
    return [{"href": url, "text": text} for text, url in pages if url]


def trigger_event(story: Story) -> dict[str, Any]:
    """Ring: a person is needed."""
    urgency = urgency_of(story)
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
        "links": event_links(story),
        "client": "remediator",
        **({"client_url": console} if console else {}),
    }


UNDER_WAY = frozenset({"acting", "uncertain", "waiting", "verifying"})
"""Told states in which something was sent; the first of them is whichever comes first."""

_AFTER_ACTING = frozenset({"refused", "uncertain", "stopped", "failed", "inconclusive", "undone", "undo_failed"})
"""Outcomes that come after something was sent, or should have been."""


def ring_events(story: Story, *, acknowledge: bool) -> tuple[dict[str, Any], ...]:
    """The events that make the pager ring for this story.

    Where we acknowledge our own incidents one trigger is not enough once we have acted: an acknowledged incident makes
    no sound, whatever comes in. So it is closed and opened anew. Not when a person has taken it: then it is quiet
    because that person wants it to be.
    """
    acted = story.state in (ASKING, "inconclusive") or story.outcome in _AFTER_ACTING
    ring = trigger_event(story)
    return (resolve_event(story), ring) if acknowledge and acted and not story.taken_by else (ring,)


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
        "remediation": short(story.remediation_id, DETAIL_LIMIT),
        "playbook": " ".join(filter(None, (story.playbook, f"({story.mode})" if story.mode else ""))),
        "owner": short(story.owner, DETAIL_LIMIT),
    }
    return {name: value for name, value in details.items() if value}


def _lines(lines: Iterable[str]) -> list[str]:
    every = [short(line, DETAIL_LIMIT) for line in lines]
    rest = len(every) - DETAIL_LINES
    return [*every[:DETAIL_LINES], f"… ({rest} more)"] if rest > 0 else every
