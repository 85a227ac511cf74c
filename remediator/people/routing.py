"""Where stories go, as the configuration says it (`routes:`). What is sent there is in `routes`.

The table of states in `wording` says how loud each state is; `PAGES` below says which of that rings a pager for which
severity. A playbook can add channels, never remove one: what operators want to hear of is not the author's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from remediator.people.mentions import ON_CALL
from remediator.people.others import letters, webhooks
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.severity import Sev, SevName, sev_of
from remediator.people.story import Story
from remediator.people.tickets import tickets
from remediator.people.wording import (
    ASKING,
    HOLD_OVER,
    HOLD_STAYS,
    LEFT_ALONE,
    LEFT_AS_IT_IS,
    RELEASED,
    REPORT,
    TAKEN,
    PageGroup,
    wording,
)

ChannelId = Annotated[str, StringConstraints(pattern=r"^[CGD][A-Z0-9]{2,}$")]
"""A Slack channel's ID (at the bottom of its details); names change and cannot be used to update a message."""

MentionId = Annotated[str, StringConstraints(pattern=rf"^([UWS][A-Z0-9]{{2,}}|{ON_CALL})$")]
"""A Slack user's or user group's ID, or `oncall:pagerduty/SCHEDULE`. There is no way to write @channel or @here."""

OTHERS: Mapping[str, Callable[[Story, str, str], tuple[OutboxMessage, ...]]] = {
    "apprise": letters,
    "webhook": webhooks,
    "ticket": tickets,
}
"""Who writes for channels that are neither Slack nor a pager: (story, news, destination)."""

OtherName = Annotated[str, StringConstraints(pattern=rf"^({'|'.join(OTHERS)}):[A-Za-z0-9][A-Za-z0-9._-]{{0,62}}$")]
"""`apprise:mail-ops`, `webhook:cmdb`, `ticket:jira`."""

PagePolicy = Literal["needed", "failed", "never"]
"""`needed`: ring when a person is needed, also for an approval or a denial. `failed`: only when automation failed."""

PAGES: Mapping[Sev, PagePolicy] = {Sev.SEV1: "needed", Sev.SEV2: "needed", Sev.SEV3: "failed", Sev.SEV4: "never"}

_RINGS: Mapping[PagePolicy, frozenset[PageGroup]] = {
    "needed": frozenset({"ask", "end"}),
    "failed": frozenset({"end"}),
    "never": frozenset(),
}

Result = Literal["handled", "failed", "denied", "waits", "suggested", "works"]
RESULTS: Mapping[str, Result] = {
    **dict.fromkeys(("succeeded", "superseded", RELEASED), "handled"),
    **dict.fromkeys(("escalated", "inconclusive", "undoing", HOLD_OVER, HOLD_STAYS), "failed"),
    **dict.fromkeys(("denied", "rejected", "cancelled", LEFT_ALONE, LEFT_AS_IT_IS), "denied"),
    **dict.fromkeys(("awaiting_approval", ASKING, "snoozed", "held"), "waits"),
    **dict.fromkeys(("suggested", REPORT), "suggested"),
    **dict.fromkeys(("approved", "acting", "waiting", "uncertain", "verifying", TAKEN), "works"),
}
"""What a state is for whoever wants to hear of some only."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Where(_Strict):
    """Which stories a route is for: every given field must match one of its values; `*` is a wildcard."""

    severity: tuple[SevName, ...] = ()
    namespace: tuple[str, ...] = ()
    team: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    playbook: tuple[str, ...] = ()
    project: tuple[str, ...] = ()

    def holds(self, story: Story) -> bool:
        asked = (
            (self.severity, sev_of(story)),
            (self.namespace, story.namespace),
            (self.team, story.team),
            (self.environment, story.environment),
            (self.playbook, story.playbook),
            (self.project, story.project),
        )
        return all(not globs or any(fnmatchcase(value, glob) for glob in globs) for globs, value in asked)


class _When(Where):
    """Also by what has become of the story. It changes, so that a pager's service cannot be chosen by it."""

    outcome: tuple[Result, ...] = ()

    def now(self, story: Story) -> bool:
        return not self.outcome or RESULTS.get(story.state) in self.outcome


class SlackRoute(_When):
    """Stories that go to these channels, ringing these people when a person is needed."""

    channels: tuple[ChannelId, ...] = Field(min_length=1)
    mentions: tuple[MentionId, ...] = ()


class SlackRoutes(_Strict):
    """Every route that holds is used; the default channel only when none does.

    A route for some outcomes comes on top: it never takes the default's place, or what was said there would get stale.
    """

    default_channel: ChannelId | Literal[""] = ""
    mentions: tuple[MentionId, ...] = ()
    routes: tuple[SlackRoute, ...] = ()
    logs: bool = False
    """Send log text into threads. Off: logs stay behind the console's roles."""

    def channels(self, story: Story) -> dict[str, tuple[str, ...]]:
        """Channel id to the people to mention there."""
        holding = [route for route in self.routes if route.holds(story)]
        found = _union(route for route in holding if route.now(story))
        if self.default_channel and all(route.outcome for route in holding):
            found.setdefault(self.default_channel, self.mentions)
        for channel in story.channels:
            found.setdefault(channel, ())
        return found

    def followers(self, story: Story) -> tuple[str, ...]:
        """Channels that asked for other outcomes of this story: what they were told before is kept up to date."""
        others = _union(route for route in self.routes if route.holds(story) and not route.now(story))
        return tuple(others.keys() - self.channels(story).keys())


def _union(routes: Iterable[SlackRoute]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for route in routes:
        for channel in route.channels:
            found[channel] = tuple(dict.fromkeys((*found.get(channel, ()), *route.mentions)))
    return found


class PagerRoute(Where):
    service: str = Field(min_length=1)


class PagerRoutes(_Strict):
    """Which service's routing key; the first route that holds wins. `policy` overrides `PAGES` per severity."""

    default_service: str = ""
    routes: tuple[PagerRoute, ...] = ()
    policy: Mapping[SevName, PagePolicy] = Field(default_factory=dict)
    acknowledge: bool = False
    """Acknowledge the incident while we act. Off, because it stops the pager's own escalation while we may be dead."""

    def named(self) -> Iterable[tuple[str, str]]:
        """(where, service) for each that is written down."""
        if self.default_service:
            yield "default_service", self.default_service
        yield from ((f"routes[{index}].service", route.service) for index, route in enumerate(self.routes))

    def service(self, story: Story) -> str:
        return next((route.service for route in self.routes if route.holds(story)), self.default_service)

    def policy_for(self, story: Story) -> PagePolicy:
        """By its severity."""
        sev = sev_of(story)
        policy = self.policy.get(sev, PAGES[sev])
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


class OtherRoute(_When):
    """Stories that also go elsewhere. What each of them hears of (a letter not for every step) is its writer's."""

    to: tuple[OtherName, ...] = Field(min_length=1)


class Routes(_Strict):
    """`routes:` in the configuration."""

    slack: SlackRoutes = SlackRoutes()
    pagerduty: PagerRoutes = PagerRoutes()
    others: tuple[OtherRoute, ...] = ()

    def elsewhere(self, story: Story) -> tuple[str, ...]:
        """`apprise:mail-ops`, ...: each once."""
        holding = (route for route in self.others if route.holds(story) and route.now(story))
        return tuple(dict.fromkeys((*(name for route in holding for name in route.to), *story.also)))
