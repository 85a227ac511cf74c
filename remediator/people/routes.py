"""The one function that turns news into messages, by the routes of the configuration (`routing`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Literal

from remediator.people import pages
from remediator.people.messages import Message, call_reply, evidence_reply, main_message, state_reply
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.quiet_hours import QuietHours, can_wait
from remediator.people.routing import OTHERS
from remediator.people.routing import RESULTS as RESULTS
from remediator.people.routing import PagerRoutes as PagerRoutes
from remediator.people.routing import Routes as Routes
from remediator.people.routing import SlackRoutes as SlackRoutes
from remediator.people.story import Story
from remediator.people.wording import ASKING, BESIDE_ITS_END, REPORT, calls_somebody, wording


class News(StrEnum):
    """What happened to the story."""

    STATE = "state"
    """It entered its state."""
    DETAIL = "detail"
    """Same state, but something that is shown changed: a guard's reason, an approval, a sample."""
    EVIDENCE = "evidence"
    """More evidence was collected."""
    CLEARED = "cleared"
    """After an ending that was not a success, its alerts are proven gone."""


def notices(story: Story, news: News, routes: Routes, *, quiet: QuietHours | None = None) -> tuple[OutboxMessage, ...]:
    """Everything to be sent for one piece of news, in order. Pure; `once` keeps repetitions away from people."""
    if not wording(story.state).told:
        return ()
    rings = news is News.STATE and bool(routes.pagerduty.service(story)) and routes.pagerduty.rings(story)
    chat = [
        message
        for channel, mentions in routes.slack.channels(story).items()
        for message in _chat(story, news, channel, mentions, rings=rings, logs=routes.slack.logs)
    ]
    other = [
        message
        for kind, _, name in (where.partition(":") for where in routes.elsewhere(story))
        for message in OTHERS[kind](story, news.value, name)
    ]
    later = quiet.until(story, story.now) if quiet is not None and can_wait(story) and not rings else None
    told = [replace(message, not_before=later) for message in (*chat, *other)]
    return (*told, *_pager(story, news, routes.pagerduty, rings=rings))


def follow_ups(story: Story, news: News, routes: Routes) -> tuple[OutboxMessage, ...]:
    """For channels that asked for other outcomes: only to be sent where something of this incident was said before."""
    if not wording(story.state).told:
        return ()
    told = [m for channel in routes.slack.followers(story) for m in _chat(story, news, channel, (), rings=True)]
    return tuple(replace(m, kind="update") if m.kind == "post" else m for m in told)


def _chat(
    story: Story, news: News, channel: str, mentions: tuple[str, ...], *, rings: bool, logs: bool = False
) -> tuple[OutboxMessage, ...]:
    words = wording(story.state)
    if story.state == REPORT:
        return _report(story, news, channel, logs=logs)
    key = chat_key(channel, story)

    def stored(kind: Literal["post", "update", "reply"], message: Message, once: str = "") -> OutboxMessage:
        return chat_message(channel, story, kind, message, once=f"{key}/{once}" if once else "")

    made: list[OutboxMessage] = []
    entered = news is News.STATE
    calls = entered and bool(mentions) and calls_somebody(story)
    if news is not News.EVIDENCE:
        # An update makes no sound; a new message does, and so does a mention in its thread.
        unheard = words.loud and not (calls or rings or story.next_rung)
        fresh = entered and (words.fresh or unheard)
        made.append(stored("post" if fresh else "update", main_message(story, mentions=mentions if fresh else ())))
        calls = calls and not fresh
    if news in (News.STATE, News.CLEARED):
        once = "cleared" if news is News.CLEARED else _once_per_episode(story)
        made.append(stored("reply", state_reply(story), once))
    if calls:
        once = _once_per_episode(story) or f"{story.remediation_id}/{words.page or story.state}"
        made.append(stored("reply", call_reply(story, mentions), f"call/{once}"))
    if story.evidence and news in (News.STATE, News.EVIDENCE):
        digest = hashlib.sha256(repr(story.evidence).encode(errors="replace")).hexdigest()[:16]
        once = f"evidence/{story.remediation_id}/{digest}"
        made.append(stored("reply", evidence_reply(story, include_logs=logs), once))
    return tuple(made)


def _report(story: Story, news: News, channel: str, *, logs: bool) -> tuple[OutboxMessage, ...]:
    """One message of its own, once: it is not the state of an incident that a later one may overwrite. The same alert
    sent again does not bring the same report again."""
    if news is not News.STATE:
        return ()
    about = f"{story.episode_id}/{story.playbook}" if story.alerts else story.remediation_id
    key = f"slack/{channel}/report/{about}"

    def stored(kind: Literal["post", "reply"], message: Message, once: str) -> OutboxMessage:
        made = chat_message(channel, story, kind, message, once=f"{key}/{once}")
        return replace(made, key=key)

    made = [stored("post", main_message(story), "main")]
    if logs and any(note.log for note in story.evidence):
        made.append(stored("reply", evidence_reply(story, include_logs=True), "logs"))
    return tuple(made)


def chat_key(channel: str, story: Story) -> str:
    """One thread per channel and episode."""
    return f"slack/{channel}/{story.episode_id}"


def chat_message(
    channel: str, story: Story, kind: Literal["post", "update", "reply"], message: Message, *, once: str = ""
) -> OutboxMessage:
    payload: dict[str, Any] = {"text": message.text, "blocks": list(message.blocks)}
    return OutboxMessage(
        channel="slack", destination=channel, key=chat_key(channel, story), kind=kind, payload=payload, once=once
    )


def _once_per_episode(story: Story) -> str:
    """An alert that comes back is judged anew; the same answer is given to people once."""
    return f"{story.state}/{story.playbook}" if story.state in ("denied", "suggested") else ""


def page_key(service: str, story: Story) -> str:
    return f"pagerduty/{service}/{story.episode_id}"


def page_once(service: str, story: Story) -> str:
    """A call for this reason, so that each reason rings once."""
    reason = f".{story.step}" if story.state == ASKING else ""
    reason = f".{story.state}" if story.state in BESIDE_ITS_END else reason
    return f"{page_key(service, story)}/trigger/{story.remediation_id}/{wording(story.state).page}{reason}"


def page_message(service: str, story: Story, event: Mapping[str, Any], *, once: str = "") -> OutboxMessage:
    return OutboxMessage(
        channel="pagerduty",
        destination=service,
        key=page_key(service, story),
        kind="event",
        payload=event,
        once=once,
    )


def _pager(story: Story, news: News, routes: PagerRoutes, *, rings: bool) -> tuple[OutboxMessage, ...]:
    service = routes.service(story)
    if not service:
        return ()
    if news is News.CLEARED or (news is News.STATE and wording(story.state).resolves):
        return (page_message(service, story, pages.resolve_event(story)),)
    if rings:
        once = page_once(service, story)
        *closing, ring = pages.ring_events(story, acknowledge=routes.acknowledge)
        anew = [page_message(service, story, event, once=f"{once}/anew") for event in closing]
        return (*anew, page_message(service, story, ring, once=once))
    if news is News.STATE and story.state in pages.UNDER_WAY and routes.acknowledge:
        return (page_message(service, story, pages.acknowledge_event(story)),)
    return ()
