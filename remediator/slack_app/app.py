"""What becomes of each row that came from Slack: find out who it is, do it, and tell that person what no message shows.

Rows come at least once. What is done counts once however often it is said, and whoever has already had his way hears
nothing, so that a crash between the deed and its record shows nobody a refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from remediator.people import modals
from remediator.people.account import Account
from remediator.people.buttons import Button, Dialog, Origin, read_origin
from remediator.people.home import home
from remediator.people.inbox import Later
from remediator.people.inbox_rows import Incoming
from remediator.people.messages import Message, refusal, section
from remediator.people.story import Story
from remediator.ports import ChatError, Clock, MessageRef
from remediator.remediation.journal import Journal
from remediator.remediation.state import ENDINGS, Remediation, State, StepOutcome
from remediator.service import ServiceError
from remediator.slack_app.clicks import Click, Unreadable, restored
from remediator.slack_app.commands import Commands
from remediator.slack_app.deciding import Deciding, proposal_of
from remediator.slack_app.members import Members, Refusal
from remediator.slack_app.ports import SlackApi
from remediator.slack_app.relaying import Relay
from remediator.slack_app.words import in_slack

log = structlog.get_logger(__name__)

TOO_OLD = timedelta(minutes=10)
"""What waited this long (for the store, for us) is nobody's present opinion. A veto still is."""
STOPS = frozenset({Button.REJECT, Dialog.REJECT, Button.TAKE})
OPENING = timedelta(seconds=10)
"""How long somebody looks at a dialog that is still empty."""
HOME_STORIES = 50
SHIFT = timedelta(hours=12)
BUSY = "Try again in a minute, or use the remediator command line."

Stories = Callable[[Sequence[Remediation]], Awaitable[Sequence[Story]]]
Whole = Callable[[Remediation], Awaitable[Story]]
WaitsFor = Callable[[Sequence[Remediation], Account], Awaitable[frozenset[str]]]


class SlackApp:
    """The handler of the inbox for `slack`. `stories` tells remediations as they are now, `whole` one
    with everything on record."""

    def __init__(
        self,
        *,
        slack: SlackApi,
        members: Members,
        deciding: Deciding,
        commands: Commands,
        relay: Relay,
        journal: Journal,
        stories: Stories,
        whole: Whole,
        waits_for: WaitsFor,
        clock: Clock,
        instance: str = "",
        console: str = "",
    ) -> None:
        self._slack = slack
        self._members = members
        self._deciding = deciding
        self._commands = commands
        self._relay = relay
        self._journal = journal
        self._stories = stories
        self._whole = whole
        self._waits_for = waits_for
        self._clock = clock
        self._instance = instance
        self._console = console

    async def __call__(self, item: Incoming) -> str:
        """One line for the record. Raises: Later, JournalUnavailable."""
        try:
            click = restored(item.body)
        except Unreadable as exc:
            return f"unreadable: {exc}"
        try:
            proposal = proposal_of(click) if click.kind in ("button", "dialog") else None
            if proposal is not None and proposal.instance != self._instance:
                late = self._is_old(click, item.received_at)  # the other one counts from when it gets it
                return await self._relay.hand_on(click, proposal.instance, item.received_at, late=late)
            account = await self._members.account(click, item.received_at)
            self._check_age(click, item.received_at)
            return await self._do(click, account, item.received_at)
        except (Refusal, ServiceError) as exc:
            log.info("slack_refused", kind=click.kind, action=click.action, user=click.user, why=str(exc))
            await self._refuse(click, str(exc), in_slack(exc.advice))
            return f"refused: {exc}"

    def _check_age(self, click: Click, since: datetime | None) -> None:
        """Raises: Refusal."""
        if self._is_old(click, since):
            raise Refusal("this could not be dealt with for ten minutes, so it was not done any more", advice=BUSY)

    def _is_old(self, click: Click, since: datetime | None) -> bool:
        return since is not None and self._clock.now() - since >= TOO_OLD and click.action not in STOPS

    async def _do(self, click: Click, account: Account, since: datetime | None) -> str:
        match click.kind:
            case "home":
                await self._show_home(account)
            case "command":
                await self._tell(click, await self._commands.answer(click.value, account, click.key))
            case _ if click.action == Button.DETAILS:
                await self._show_details(click, since)
            case _:
                said = await self._deciding.do(click, account)
                if said:
                    await self._tell(click, Message(said, (section(said),)))
                await self._draw_anew(click, account)
        return f"{click.action or click.kind} by {account.key}"

    async def _show_details(self, click: Click, since: datetime | None) -> None:
        """Fill the dialog that was opened at once. Raises: Refusal, Later."""
        proposal = proposal_of(click)
        r = await self._journal.get(proposal.remediation) if proposal else None
        if proposal is None or r is None:
            raise Refusal("there is no record of this remediation; records are kept for 90 days")
        story = await self._whole(r)
        origin = Origin(proposal=proposal, message=MessageRef(click.channel, click.ts) if click.ts else None)
        advice = f"See {story.console_url or f'/remediator explain {r.id}'}"
        if not click.view:
            raise Refusal("Slack did not open the dialog with the details", advice=advice)
        try:
            await self._slack.update_view(click.view, modals.details_modal(story, origin=origin))
        except ChatError as exc:
            waited = self._clock.now() - since if since is not None else OPENING
            if exc.retry_after_s is not None and timedelta(0) <= waited < OPENING:
                raise Later(f"views.update: {exc}", after_s=1.0) from exc
            raise Refusal("Slack did not show the details", advice=advice) from exc

    async def _draw_anew(self, click: Click, account: Account) -> None:
        """What the person looks at, where that is no message: nothing else would change it. Best effort."""
        if click.kind != "button":
            return
        if click.view:
            with contextlib.suppress(Refusal, Later):
                await self._show_details(click, None)
        elif not click.ts:
            await self._show_home(account)

    async def _show_home(self, account: Account) -> None:
        """What can wait: it is drawn anew whenever somebody looks."""
        now = self._clock.now()
        states = [state.value for state in State if state not in ENDINGS]
        found = await asyncio.gather(*(self._journal.recent(HOME_STORIES, state=state) for state in states))
        rows = sorted((r for rows in found for r in rows), key=_most_urgent)[:HOME_STORIES]
        handed_over = await self._journal.recent(HOME_STORIES, state=State.ESCALATED.value)
        under_way = {r.episode for r in rows}
        rows += [r for r in handed_over if r.episode not in under_way and _needs_a_look(r, now)]
        mine = await self._waits_for([r for r in rows if _most_urgent(r)[0] is False], account)
        stories, pauses = await self._stories(rows), await self._journal.pauses(now)
        view = home(stories, pauses, now=now, mine=mine, console_url=self._console)
        try:
            await self._slack.publish_home(account.id, view)
        except ChatError as exc:
            log.warning("slack_home_not_shown", user=account.id, error=str(exc))

    async def _refuse(self, click: Click, why: str, advice: str) -> None:
        """In the dialog that the person looks at, where there is one: an ephemeral message would stay behind it."""
        shown = modals.message_modal("Not done", why, advice)
        if click.view and await self._told("dialog", self._slack.update_view(click.view, shown)):
            return
        await self._tell(click, refusal(why, advice))

    async def _tell(self, click: Click, message: Message) -> None:
        """By the first way that works. Never raises: what is told about is not done again because of it."""
        origin = read_origin(click.value) if click.kind == "dialog" else None
        channel = click.channel or (origin.message.channel if origin and origin.message else "")
        if click.response_url and await self._told(
            "respond", self._slack.respond(click.response_url, _only_you(message))
        ):
            return
        if channel and await self._told("whisper", self._slack.whisper(channel, click.user, *_content(message))):
            return
        await self._told("direct", self._slack.post(click.user, *_content(message)))

    async def _told(self, way: str, call: Awaitable[object]) -> bool:
        try:
            await call
        except ChatError as exc:
            log.warning("slack_answer_not_given", way=way, error=str(exc))
            return False
        return True


def _content(message: Message) -> tuple[str, tuple[dict[str, Any], ...]]:
    return message.text, message.blocks


def _only_you(message: Message) -> dict[str, Any]:
    """For a response_url. The message with the buttons stays."""
    return {
        "response_type": "ephemeral",
        "replace_original": False,
        "text": message.text,
        "blocks": list(message.blocks),
    }


def _needs_a_look(r: Remediation, now: datetime) -> bool:
    """It was handed to people within this shift, and nobody is known to have it."""
    return r.outcome is not StepOutcome.TAKEN and r.ended_at is not None and now - r.ended_at < SHIFT


def _most_urgent(r: Remediation) -> tuple[bool, float]:
    """What waits for people first, the newest first."""
    waits = r.state in (State.AWAITING_APPROVAL, State.SNOOZED) or r.waiting_for == "ask"
    return not waits, -r.since.timestamp()
