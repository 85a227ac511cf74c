"""Where payloads come in, from HTTP or a socket: one durable row, and only then Slack hears that we have it.

Nobody is looked up and nothing is decided here; Slack gives three seconds, and shows the person an error after that.
The exception is what needs the click's trigger, which opens a dialog and dies within those three seconds, so that the
dialog comes first, and the row with how that went:

- Details opens a dialog that says "one moment"; the worker fills it.
- Reject and Break glass ask for a reason. The dialog's answer is the word that counts, so an opened dialog is not
  stored. Where it could not be opened the click is: a rejection then counts without a reason, because a veto is the
  safe side; whoever wanted to break the glass is told that nothing was done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import structlog

from remediator.errors import JournalUnavailable
from remediator.people.buttons import Button, Dialog, Origin, read
from remediator.people.inbox_rows import InboxStore, Incoming
from remediator.people.modals import break_glass_modal, loading_modal, reject_modal
from remediator.ports import ChatError, ChatViews, Clock, MessageRef
from remediator.slack_app.clicks import Click, Envelope, Unreadable, parse

log = structlog.get_logger(__name__)

STORE_S = 2.0
"""How long the store may take. Slack's limit is three seconds, the way there and back included."""
OPEN_S = 1.3
STORE_AFTER_DIALOG_S = 1.2

_DIALOGS: dict[str, Callable[[Origin], dict[str, Any]]] = {
    Button.DETAILS: loading_modal,
    Button.REJECT: lambda origin: reject_modal(origin, what=origin.proposal.remediation),
    Button.BREAK_GLASS: lambda origin: break_glass_modal(origin, what=origin.proposal.remediation),
}

NO_REASON = "Say in a few words why it cannot wait for the others: it is recorded, and the leads read it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Slack is told. `taken`: it is ours now; `refused`: it is nothing for us; `busy`: nothing was taken.

    `body`: what a dialog shows; None = the empty answer.
    """

    result: Literal["taken", "refused", "busy"]
    body: dict[str, Any] | None = None


TAKEN = Answer(result="taken")


class Door:
    """`poke` wakes the worker that deals with the rows."""

    def __init__(
        self, store: InboxStore, slack: ChatViews, clock: Clock, *, app_id: str, poke: Callable[[], None]
    ) -> None:
        self._store = store
        self._slack = slack
        self._clock = clock
        self._app_id = app_id
        self._poke = poke

    async def take(self, envelope: Envelope, payload: Any) -> Answer:
        """Never raises (but CancelledError)."""
        try:
            click = parse(envelope, payload, app_id=self._app_id)
        except Unreadable as exc:
            log.warning("slack_payload_refused", envelope=envelope, error=str(exc))
            return Answer(result="refused")
        if click is None or (click.kind == "button" and click.action.startswith(Button.LINK)):
            return TAKEN
        if click.action == Dialog.BREAK_GLASS and not click.reason.strip():
            return Answer(result="taken", body={"response_action": "errors", "errors": {"reason": NO_REASON}})
        dialog = self._dialog(click)
        if dialog is None:
            return await self.store(click)
        view = await self._open(click, dialog)
        if view and click.action != Button.DETAILS:
            return TAKEN
        return await self.store(replace(click, view=view, no_dialog=not view), within_s=STORE_AFTER_DIALOG_S)

    async def store(self, click: Click, *, within_s: float | None = None) -> Answer:
        """Also for what another installation of ours forwards."""
        row = Incoming(source="slack", key=click.key, body=click.stored())
        try:
            async with asyncio.timeout(STORE_S if within_s is None else within_s):
                new = await self._store.take_in(row, self._clock.now())
        except (JournalUnavailable, TimeoutError) as exc:
            log.warning("slack_click_not_taken", kind=click.kind, error=str(exc) or "the store did not answer in time")
            return Answer(result="busy")
        if not new:
            log.info("slack_click_again", kind=click.kind, user=click.user)
        self._poke()
        return TAKEN

    def _dialog(self, click: Click) -> dict[str, Any] | None:
        """The dialog that this click asks for, if it does."""
        make, proposal = _DIALOGS.get(click.action), read(click.value)
        if click.kind != "button" or make is None or proposal is None or not click.trigger:
            return None
        message = MessageRef(click.channel, click.ts) if click.channel and click.ts else None
        return make(Origin(proposal=proposal, message=message))

    async def _open(self, click: Click, view: dict[str, Any]) -> str:
        """The id of the dialog that the person sees; empty when there is none, as far as we know."""
        try:
            async with asyncio.timeout(OPEN_S):
                return await self._slack.open_view(click.trigger, view)
        except (ChatError, TimeoutError) as exc:
            log.warning("slack_dialog_not_opened", action=click.action, error=str(exc) or "no answer in time")
            return ""
