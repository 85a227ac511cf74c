"""Whether whoever clicked is somebody at all: of this workspace, active, a person, no guest. What they may is not
decided here. Anything that cannot be read lets nobody in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.people.account import Account
from remediator.people.inbox import Later
from remediator.ports import ChatDirectory, ChatError, ChatMember, Clock
from remediator.slack_app.clicks import Click

REMEMBERED = timedelta(seconds=60)
PATIENCE = timedelta(seconds=15)
"""How long a person waits while Slack does not say who they are."""
MOST = 1000


class Refusal(Exception):
    """Not done, and why. `advice` is what the person can do about it."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where clicks may come from; see settings.Slack."""

    team: str
    enterprise: str = ""

    def holds(self, team: str, enterprise: str) -> bool:
        return team == self.team or bool(self.enterprise and enterprise == self.enterprise)


class Members:
    """Asks Slack about each account, once a minute at most."""

    def __init__(self, slack: ChatDirectory, workspace: Workspace, clock: Clock) -> None:
        self._slack = slack
        self._workspace = workspace
        self._clock = clock
        self._known: dict[str, tuple[float, ChatMember]] = {}

    async def account(self, click: Click, since: datetime | None) -> Account:
        """`since`: when the click came. Raises: Refusal, Later."""
        ours = self._workspace
        if not ours.holds(click.team, click.enterprise):
            raise Refusal(
                f"this was clicked in the workspace {click.team}, and remediator answers to {ours.team} only",
                advice="Click it in the workspace that the channel belongs to.",
            )
        member = await self._member(click.user, since)
        for wrong, what in (
            (member.deleted, "is deactivated in Slack"),
            (member.bot, "is a bot"),
            (not self._belongs(click, member), "belongs to another organisation"),
            (member.guest, "is a guest, or belongs to another organisation"),
        ):
            if wrong:
                raise Refusal(
                    f"the account {click.user} {what}; only full members of the workspace are listened to",
                    advice="Ask a full member of the workspace to click.",
                )
        team = f"{click.enterprise}/{member.team or click.team}" if click.enterprise else click.team
        return Account(system="slack", team=team, id=click.user, name=member.name, via="slack")

    def _belongs(self, click: Click, member: ChatMember) -> bool:
        """By what Slack says of the account and of the click; both may leave the home out.

        In a grid the account must be of it: a click in a channel that is shared with another organisation is one in
        our grid whoever makes it.
        """
        ours = self._workspace
        homes = {team for team in (member.team, click.home_team) if team}
        return homes <= {ours.team} or bool(ours.enterprise and member.enterprise == ours.enterprise)

    async def _member(self, user: str, since: datetime | None) -> ChatMember:
        """Raises: Refusal, Later."""
        now = self._clock.boot()
        known = self._known.get(user)
        if known is not None and 0 <= now - known[0] < REMEMBERED.total_seconds():
            return known[1]
        try:
            member = await self._slack.member(user)
        except ChatError as exc:
            waited = self._clock.now() - since if since is not None else PATIENCE
            if exc.retry_after_s is not None and timedelta(0) <= waited < PATIENCE:
                raise Later(f"users.info: {exc}", after_s=max(1.0, exc.retry_after_s)) from exc
            raise Refusal(
                f"Slack does not say who {user} is ({exc}), so this counts as nobody's word",
                advice="Click again in a minute, or use the remediator command line.",
            ) from exc
        if member is None:
            raise Refusal(f"Slack knows no account {user}, so this counts as nobody's word")
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[user] = (now, member)
        return member
