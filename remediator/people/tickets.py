"""Stories as tickets: what was found and done, without log text, with an owner and a day by which somebody looks.

One ticket for each episode and system. It is opened when a person is needed and nobody has a question to answer within
minutes; every later ending of the episode becomes a comment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from remediator.people.inert import inert
from remediator.people.markup import one_line, safe_url
from remediator.people.others import commands
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.parts import links, parts, raw
from remediator.people.severity import Sev, sev_of
from remediator.people.story import Story
from remediator.people.wording import QUESTIONS, calls_somebody, need, title, wording

SUMMARY_LIMIT = 150
"""ServiceNow cuts a short description at 160, Jira at 255, GitHub at 256."""
LINE_LIMIT = 500
LINES = 100

FIRST_LOOK: Mapping[Sev, timedelta] = {
    Sev.SEV1: timedelta(minutes=15),
    Sev.SEV2: timedelta(hours=1),
    Sev.SEV3: timedelta(hours=4),
}
"""Time to a first response; what is missing here is due on the next business day."""


def due_day(sev: Sev, now: datetime) -> date:
    """The day (UTC) by which somebody should have looked; Saturdays and Sundays are no business days."""
    if sev in FIRST_LOOK:
        return (now + FIRST_LOOK[sev]).date()
    day = now.date() + timedelta(days=1)
    while day.isoweekday() > 5:
        day += timedelta(days=1)
    return day


def marker_of(story: Story) -> str:
    """What a ticket carries so that it is found again: one label, without spaces."""
    return "remediator-" + "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in story.episode_id)


def ticket(story: Story) -> dict[str, Any]:
    """The payload of a `ticket` row that opens one: plain texts, which the adapter puts into its system's form."""
    return {
        "marker": marker_of(story)[:100],
        "summary": inert(f"{title(story)}: {story.headline}", SUMMARY_LIMIT),
        "lines": _lines(story),
        "links": _links(story),
        "severity": sev_of(story).value,
        "owner": one_line(story.owner)[:100],
        "team": one_line(story.team)[:100],
        "due": due_day(sev_of(story), story.now).isoformat(),
        "at": story.now.isoformat(),
    }


def comment(story: Story) -> dict[str, Any]:
    """The payload of a `ticket` row that adds to one. What is not newer than the ticket is in it already (`at`)."""
    head = "The alerts have cleared." if story.cleared_at is not None else f"{title(story)}: {story.headline}"
    said = (head, need(story), story.explanation)
    return {
        "marker": marker_of(story)[:100],
        "lines": [inert(line, LINE_LIMIT) for line in said if line],
        "links": _links(story),
        "at": story.now.isoformat(),
    }


def _lines(story: Story) -> list[str]:
    facts = (
        ("Needed", need(story)),
        ("Target", f"{story.target} in cluster {story.cluster}"),
        ("Playbook", f"{story.playbook} ({story.mode})" if story.mode else story.playbook),
        ("Owner", story.owner),
        ("Remediation", story.remediation_id),
    )
    lines = [inert(f"{label}: {text}", LINE_LIMIT) for label, text in facts if text]
    for part in parts(story):
        if part.name != "do":
            lines += ["", inert(f"{part.label}:", LINE_LIMIT), *(inert(raw(line), LINE_LIMIT) for line in part.lines)]
    if answers := commands(story):
        lines += ["", *(inert(text, LINE_LIMIT) for text in answers.values())]
    rest = len(lines) - LINES
    return [*lines[:LINES], f"… ({rest} more lines)"] if rest > 0 else lines


def _links(story: Story) -> list[list[str]]:
    return [[text, url] for text, address in links(story) if (url := safe_url(address))]


def tickets(story: Story, news: str, destination: str) -> tuple[OutboxMessage, ...]:
    """A ticket when somebody is to look, once for each episode; a comment when the episode goes on to another end.

    A comment without a ticket is dropped by the carrier: whether there is one, only the store knows.
    """
    key = f"ticket/{destination}/{story.episode_id}"
    if news == "state" and calls_somebody(story) and story.state not in QUESTIONS:
        opening = OutboxMessage(
            channel="ticket", destination=destination, key=key, kind="post", payload=ticket(story), once=f"{key}/open"
        )
        return (opening, _comment(story, destination, key))
    ends = news == "state" and wording(story.state).resolves
    return (_comment(story, destination, key),) if ends or news == "cleared" else ()


def _comment(story: Story, destination: str, key: str) -> OutboxMessage:
    word = "cleared" if story.cleared_at is not None else f"{story.remediation_id}/{story.state}/{story.outcome}"
    return OutboxMessage(
        channel="ticket",
        destination=destination,
        key=key,
        kind="event",
        payload=comment(story),
        once=f"{key}/{word}",
    )
