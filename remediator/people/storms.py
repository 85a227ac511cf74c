"""A storm as messages: one in each chat channel and one call of one pager service, for all of its members.

It names the members and what was not done to them, because whoever is called has to find what they have in common. The
chat message is brought up to date as members come and go, and says at last that it is over; the pager is called once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, get_args

from remediator.people import markup, pages
from remediator.people.messages import HEADER_LIMIT, TEXT_LIMIT, Block, Message, context, fitted, mentioned, section
from remediator.people.outbox_rows import OutboxKind, OutboxMessage
from remediator.people.routes import Routes
from remediator.people.story import Story
from remediator.people.wording import clock, wording

SHOWN = 10
"""Members named one by one."""
NAMED = 3
"""Targets on the lock screen."""
GLYPH = "🌪"
URGENCIES: tuple[pages.Severity, ...] = get_args(pages.Severity)
"""Gravest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StormStory:
    """One storm at one moment. `members` are the oldest ones, at most `SHOWN`; `count` is how many it holds or held.

    `targets` = how many came within `window` (`5m`); more than `limit` are a storm. `cause` is what stands under most
    of them, with what can be done about it, where that is known. `over` = it has ended.
    """

    id: str
    instance_id: str = ""
    cluster: str
    since: datetime
    until: datetime
    targets: int
    limit: int
    window: str
    members: tuple[Story, ...]
    count: int
    cause: tuple[str, ...] = ()
    over: bool = False
    now: datetime
    console_url: str = ""

    @property
    def digest(self) -> str:
        """Of what is shown: the same digest is the same message."""
        return hashlib.sha256(repr(main_message(self)).encode(errors="replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who hears of it: chat channels with the people to mention there, and at most one service of the pager."""

    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    service: str = ""
    urgency: pages.Severity = "warning"


class StormNews(StrEnum):
    BEGUN = "begun"
    CHANGED = "changed"
    OVER = "over"


def audience(members: Sequence[Story], routes: Routes) -> Audience:
    """Every channel that would hear of one of them; of the services that one of them may ring, the one of most."""
    channels: dict[str, tuple[str, ...]] = {}
    for story in members:
        for channel, people in routes.slack.channels(story).items():
            channels[channel] = tuple(dict.fromkeys((*channels.get(channel, ()), *people)))
    ringing = [story for story in members if routes.pagerduty.policy_for(story) != "never"]
    services = Counter(service for story in ringing if (service := routes.pagerduty.service(story)))
    service = services.most_common(1)[0][0] if services else ""
    urgencies = {pages.urgency_of(story) for story in ringing}
    gravest: pages.Severity = next((urgency for urgency in URGENCIES if urgency in urgencies), "warning")
    return Audience(channels=channels, service=service, urgency=gravest)


def storm_notices(story: StormStory, news: StormNews, who: Audience) -> tuple[OutboxMessage, ...]:
    """Everything to be sent. Pure; `once` keeps the pager from being called again."""
    chat = [message for channel, people in who.channels.items() for message in _chat(story, news, channel, people)]
    if not who.service:
        return tuple(chat)
    key = _call_key(story.id, who.service)
    once = "" if news is StormNews.OVER else call_once(story.id, who.service)
    event = resolve_event(story) if news is StormNews.OVER else trigger_event(story, who)
    call = OutboxMessage(channel="pagerduty", destination=who.service, key=key, kind="event", payload=event, once=once)
    return (*chat, call)


def _call_key(storm: str, service: str) -> str:
    return f"pagerduty/{service}/{storm}"


def call_once(storm: str, service: str) -> str:
    """Names the one call of a storm."""
    return f"{_call_key(storm, service)}/call"


def unreached(story: StormStory, who: Audience) -> tuple[OutboxMessage, ...]:
    """The pager refused the call for good: a new message that rings those whom chat can reach, once for the storm. In a
    channel of its own key, so that it takes nobody's place."""
    said = f"The pager could not be called ({who.service}). {first_line(story)}. {need(story)}"
    made = []
    for channel, people in who.channels.items():
        line = " ".join(text for text in (mentioned(people), markup.prose(f"{GLYPH} {said}", 1500)) if text)
        payload = {"text": markup.prose(f"{GLYPH} {said}", TEXT_LIMIT), "blocks": [section(line)]}
        key = f"slack/{channel}/{story.id}/unreached"
        made.append(
            OutboxMessage(channel="slack", destination=channel, key=key, kind="post", payload=payload, once=key)
        )
    return tuple(made)


def _chat(story: StormStory, news: StormNews, channel: str, people: tuple[str, ...]) -> list[OutboxMessage]:
    def stored(kind: OutboxKind, message: Message) -> OutboxMessage:
        payload = {"text": message.text, "blocks": list(message.blocks)}
        return OutboxMessage(
            channel="slack", destination=channel, key=f"slack/{channel}/{story.id}", kind=kind, payload=payload
        )

    match news:
        case StormNews.BEGUN:  # only a new message reaches a phone
            return [stored("post", main_message(story, mentions=people))]
        case StormNews.CHANGED:
            return [stored("update", main_message(story))]
        case StormNews.OVER:
            return [stored("update", main_message(story)), stored("reply", over_reply(story))]


# --- chat -------------------------------------------------------------------------------------------------------------


def main_message(story: StormStory, *, mentions: Sequence[str] = ()) -> Message:
    """The one message of a storm in a channel, as it should read now. `mentions` ring only in a new message."""
    asked = " ".join(text for text in (mentioned(mentions), f"*{markup.prose(need(story), 1000)}*") if text)
    title = markup.plain_words(f"{GLYPH} {first_line(story)}", HEADER_LIMIT)
    header = {"type": "plain_text", "text": title, "emoji": False}
    parts = [section(f"*{label}*  {text}") for label, text in _parts(story) if text]
    return Message(_fallback(story), fitted([{"type": "header", "text": header}, section(asked)], parts, _print(story)))


def over_reply(story: StormStory) -> Message:
    """For the thread, which keeps what the main message overwrites."""
    line = f"{GLYPH} *{markup.prose(first_line(story), 200)}*\n{markup.prose(need(story), 600)}"
    return Message(_fallback(story), (section(line),))


def first_line(story: StormStory) -> str:
    what = f"{story.targets} targets in trouble within {story.window}"
    return f"Storm over: {what}" if story.over else f"Storm: {what}"


def need(story: StormStory) -> str:
    """What is needed of the reader, and what was not done."""
    held = "1 remediation" if story.count == 1 else f"{story.count} remediations"
    if story.over:
        return f"What it held goes on now, oldest first, within its limits: {held}. Each tells how it ends."
    said = "Please look for one shared cause. Nothing was changed"
    return f"{said}: {held} held instead of being carried out, and you are called once for all."


def _parts(story: StormStory) -> tuple[tuple[str, str], ...]:
    since = f"{clock(story.since, story.now)}; more than {story.limit} targets in {story.window} are a storm."
    if not story.over:
        since += f" Over at {clock(story.until, story.now)} if no more come, then they go on, oldest first."
    held = [_member(member) for member in story.members]
    if rest := story.count - len(story.members):
        held.append(f"and {rest} more")
    look = " · ".join(markup.code(command) for command in LOOK)
    return (
        ("Since", markup.prose(since, 600)),
        ("Shared cause", "\n".join(markup.prose(line, 600) for line in story.cause)),
        ("Held", markup.bounded(held, 2800)),
        ("Look", "" if story.over else look),
    )


LOOK = ("remediator remediations list --state held", "kubectl get nodes", "kubectl get events -A")


def _member(story: Story) -> str:
    """One target: its alerts, the playbook that was held, and what has become of it."""
    alerts = ", ".join(sorted({alert.name for alert in story.alerts})) or "no alert on record"
    state = "" if story.state == "held" else f" ({wording(story.state).title.lower()})"
    return f"{markup.code(story.target)} {markup.prose(f'{alerts} → {story.playbook}{state}', 300)}"


def _print(story: StormStory) -> Block:
    link = [markup.link("Console", story.console_url)] if markup.safe_url(story.console_url) else []
    return context(markup.prose(f"{story.id} · cluster {story.cluster}", 300), *link)


def _fallback(story: StormStory) -> str:
    """What the lock screen shows."""
    names = ", ".join(member.target for member in story.members[:NAMED])
    more = f" and {story.count - NAMED} more" if story.count > NAMED else ""
    return markup.prose(f"{GLYPH} {first_line(story)} [{story.cluster}]. {need(story)} {names}{more}", TEXT_LIMIT)


# --- pager ------------------------------------------------------------------------------------------------------------


def trigger_event(story: StormStory, who: Audience) -> dict[str, Any]:
    """Call somebody, once for all members."""
    console = markup.safe_url(story.console_url)
    said = {"since": clock(story.since, story.now), "limit": f"{story.limit} targets in {story.window}"}
    held = [f"{m.target}: {', '.join(sorted({a.name for a in m.alerts}))} → {m.playbook}" for m in story.members]
    if rest := story.count - len(story.members):
        held.append(f"and {rest} more")
    return {
        "event_action": "trigger",
        "dedup_key": _key(story),
        "payload": {
            "summary": markup.short(
                f"{first_line(story)}, one shared cause is likely [{story.cluster}]", pages.SUMMARY_LIMIT
            ),
            "source": markup.short(story.cluster, pages.DETAIL_LIMIT),
            "severity": who.urgency,
            "timestamp": story.now.isoformat(),
            "component": "storm",
            "group": markup.short(story.cluster, pages.DETAIL_LIMIT),
            "class": "storm",
            "custom_details": {
                "needed": markup.short(need(story), pages.DETAIL_LIMIT),
                **said,
                **({"shared cause": [markup.short(c, pages.DETAIL_LIMIT) for c in story.cause]} if story.cause else {}),
                "held": [markup.short(line, pages.DETAIL_LIMIT) for line in held],
                "look": list(LOOK),
                "storm": story.id,
            },
        },
        "links": [{"href": console, "text": "Console"}] if console else [],
        "client": "remediator",
        **({"client_url": console} if console else {}),
    }


def resolve_event(story: StormStory) -> dict[str, Any]:
    """No more targets come. What is still wrong calls for itself from now on."""
    return {"event_action": "resolve", "dedup_key": _key(story)}


def _key(story: StormStory) -> str:
    return pages.incident_key(story.instance_id, story.cluster, story.id)
