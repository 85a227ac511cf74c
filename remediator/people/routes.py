"""Who is told what, where: the configuration of routes, and the one function that turns news into messages.

The table of states in `wording` says how loud each state is; `PAGES` below says which of that rings a pager for which
severity. A playbook can add channels, never remove one: what operators want to hear of is not the author's choice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from remediator.people import pages
from remediator.people.messages import Message, call_reply, evidence_reply, main_message, state_reply
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.pages import Severity
from remediator.people.story import Story
from remediator.people.wording import ASKING, PageGroup, calls_somebody, wording

ChannelId = Annotated[str, StringConstraints(pattern=r"^[CGD][A-Z0-9]{2,}$")]
"""A Slack channel's ID (at the bottom of its details); names change and cannot be used to update a message."""

MentionId = Annotated[str, StringConstraints(pattern=r"^[UWS][A-Z0-9]{2,}$")]
"""A Slack user's or user group's ID. There is no way to write @channel or @here."""

PagePolicy = Literal["needed", "failed", "never"]
"""`needed`: ring when a person is needed, also for an approval or a denial. `failed`: only when automation failed."""

PAGES: Mapping[Severity, PagePolicy] = {"critical": "needed", "error": "needed", "warning": "failed", "info": "never"}

_RINGS: Mapping[PagePolicy, frozenset[PageGroup]] = {
    "needed": frozenset({"ask", "end"}),
    "failed": frozenset({"end"}),
    "never": frozenset(),
}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Where(_Strict):
    """Which stories a route is for: every given field must match one of its values; `*` is a wildcard."""

    severity: tuple[Severity, ...] = ()
    namespace: tuple[str, ...] = ()
    team: tuple[str, ...] = ()

    def holds(self, story: Story) -> bool:
        asked = (
            (self.severity, pages.severity(story.severity)),
            (self.namespace, story.namespace),
            (self.team, story.team),
        )
        return all(not globs or any(fnmatchcase(value, glob) for glob in globs) for globs, value in asked)


class SlackRoute(Where):
    """Stories that go to these channels, ringing these people when a person is needed."""

    channels: tuple[ChannelId, ...] = Field(min_length=1)
    mentions: tuple[MentionId, ...] = ()


class SlackRoutes(_Strict):
    """Every route that holds is used; the default channel only when none does."""

    default_channel: ChannelId | Literal[""] = ""
    mentions: tuple[MentionId, ...] = ()
    routes: tuple[SlackRoute, ...] = ()
    logs: bool = False
    """Send log text into threads. Off: logs stay behind the console's roles."""

    def channels(self, story: Story) -> dict[str, tuple[str, ...]]:
        """Channel id to the people to mention there."""
        found: dict[str, tuple[str, ...]] = {}
        for route in self.routes:
            if route.holds(story):
                for channel in route.channels:
                    found[channel] = tuple(dict.fromkeys((*found.get(channel, ()), *route.mentions)))
        if not found and self.default_channel:
            found[self.default_channel] = self.mentions
        for channel in story.channels:
            found.setdefault(channel, ())
        return found


class PagerRoute(Where):
    service: str = Field(min_length=1)


class PagerRoutes(_Strict):
    """Which service's routing key; the first route that holds wins. `policy` overrides `PAGES` per severity."""

    default_service: str = ""
    routes: tuple[PagerRoute, ...] = ()
    policy: Mapping[Severity, PagePolicy] = Field(default_factory=dict)
    acknowledge: bool = False
    """Acknowledge the incident while we act. Off, because it stops the pager's own escalation while we may be dead."""

    def service(self, story: Story) -> str:
        return next((route.service for route in self.routes if route.holds(story)), self.default_service)

    def policy_for(self, story: Story) -> PagePolicy:
        """By its severity."""
        urgency = pages.severity(story.severity)
        policy = self.policy.get(urgency, PAGES[urgency])
        if story.page_urgency and policy == "never":
            return "failed"  # the ladder of the playbook ends at a page
        return policy

    def rings(self, story: Story) -> bool:
        """Whether this state of this story wakes somebody."""
        words = wording(story.state)
        policy = self.policy_for(story)
        if not words.page or words.page not in _RINGS[policy]:
            return False
        if story.state == "denied":
            return policy == "needed" and story.mode in ("approve", "auto")
        return policy == "needed" or not story.next_rung  # another try comes first, unless it is grave


class Routes(_Strict):
    """`people:` in the configuration."""

    slack: SlackRoutes = SlackRoutes()
    pagerduty: PagerRoutes = PagerRoutes()


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


def notices(story: Story, news: News, routes: Routes) -> tuple[OutboxMessage, ...]:
    """Everything to be sent for one piece of news, in order. Pure; `once` keeps repetitions away from people."""
    if not wording(story.state).told:
        return ()
    rings = news is News.STATE and bool(routes.pagerduty.service(story)) and routes.pagerduty.rings(story)
    chat = [
        message
        for channel, mentions in routes.slack.channels(story).items()
        for message in _chat(story, news, channel, mentions, rings=rings, logs=routes.slack.logs)
    ]
    return (*chat, *_pager(story, news, routes.pagerduty, rings=rings))


def _chat(
    story: Story, news: News, channel: str, mentions: tuple[str, ...], *, rings: bool, logs: bool
) -> tuple[OutboxMessage, ...]:
    words = wording(story.state)
    key = f"slack/{channel}/{story.episode_id}"

    def stored(kind: Literal["post", "update", "reply"], message: Message, once: str = "") -> OutboxMessage:
        payload: dict[str, Any] = {"text": message.text, "blocks": list(message.blocks)}
        return OutboxMessage(
            channel="slack",
            destination=channel,
            key=key,
            kind=kind,
            payload=payload,
            once=f"{key}/{once}" if once else "",
        )

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


def _once_per_episode(story: Story) -> str:
    """An alert that comes back is judged anew; the same answer is given to people once."""
    return f"{story.state}/{story.playbook}" if story.state in ("denied", "suggested") else ""


def _pager(story: Story, news: News, routes: PagerRoutes, *, rings: bool) -> tuple[OutboxMessage, ...]:
    service = routes.service(story)
    if not service:
        return ()
    key = f"pagerduty/{service}/{story.episode_id}"

    def stored(event: dict[str, Any], once: str = "") -> OutboxMessage:
        return OutboxMessage(
            channel="pagerduty",
            destination=service,
            key=key,
            kind="event",
            payload=event,
            once=f"{key}/{once}" if once else "",
        )

    if news is News.CLEARED or (news is News.STATE and wording(story.state).resolves):
        return (stored(pages.resolve_event(story)),)
    if rings:
        question = f".{story.step}" if story.state == ASKING else ""
        once = f"trigger/{story.remediation_id}/{wording(story.state).page}{question}"
        return (stored(pages.trigger_event(story), once),)
    if news is News.STATE and story.state == "acting" and routes.acknowledge:
        return (stored(pages.acknowledge_event(story)),)
    return ()
