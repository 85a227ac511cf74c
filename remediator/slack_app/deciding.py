"""From a button or a dialog to a person's word: is it about what is proposed now, and whose word is it.

The service decides what a word counts. Here is what only Slack needs: a button belongs to the message that is on record
for its incident and to the proposal that this message shows; on any other message it is void. A veto and "I take it"
only stop things, so they count from any message of ours: the safe side needs no newest proposal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from remediator.people.account import Account
from remediator.people.buttons import SNOOZES, Button, Dialog, Proposal, chosen, read, read_origin
from remediator.ports import Clock, MessageRef
from remediator.remediation.events import Rejected
from remediator.remediation.journal import Journal, JournalEvent
from remediator.remediation.state import Remediation, State
from remediator.service import Service
from remediator.slack_app.clicks import Click
from remediator.slack_app.members import Refusal

NEWEST = "Scroll to its newest message and use the buttons there."


class Deciding:
    def __init__(self, service: Service, journal: Journal, clock: Clock) -> None:
        self._service = service
        self._journal = journal
        self._clock = clock
        self._does: Mapping[str, Callable[[Click, Proposal, Account], Awaitable[str]]] = {
            Button.APPROVE: self._approve,
            Button.REJECT: self._reject,
            Dialog.REJECT: self._reject,
            Button.SNOOZE: self._snooze,
            Button.TAKE: self._take,
            Button.BREAK_GLASS: self._no_dialog,
            Dialog.BREAK_GLASS: self._break_glass,
        }

    async def do(self, click: Click, account: Account) -> str:
        """What is to be told although the message does not show it; mostly nothing.

        Raises: Refusal, ServiceError, JournalUnavailable.
        """
        proposal = proposal_of(click)
        does = self._does.get(click.action)
        if proposal is None or does is None:
            raise Refusal("this button is not known to this version of remediator", advice=NEWEST)
        return await does(click, proposal, account)

    async def _approve(self, click: Click, proposal: Proposal, account: Account, *, break_glass: str = "") -> str:
        r = await self._remediation(proposal)
        if _has_approved(r, account, proposal, break_glass, self._clock.now()):
            return ""  # a double click, or this very click after a crash: the message shows it
        await self._current(r, click, proposal)
        await self._service.approve(r.id, account, digest=proposal.digest, break_glass=break_glass)
        return ""

    async def _break_glass(self, click: Click, proposal: Proposal, account: Account) -> str:
        return await self._approve(click, proposal, account, break_glass=click.reason)

    async def _no_dialog(self, click: Click, proposal: Proposal, account: Account) -> str:
        raise Refusal(
            "Slack did not open the dialog that asks for your reason, so nothing was approved",
            advice=f"Click again, or: remediator approve {proposal.remediation} --break-glass REASON",
        )

    async def _reject(self, click: Click, proposal: Proposal, account: Account) -> str:
        r = await self._remediation(proposal)
        if r.state is State.REJECTED and await self._has_rejected(r, account):
            return ""
        stale = bool(proposal.digest) and not r.digest.startswith(proposal.digest)
        await self._service.reject(r.id, account, why=click.reason)
        without = "Slack did not open the dialog that asks for a reason, so it stands without one."
        changed = "What it proposed had changed since the message that you clicked; it is rejected all the same."
        notes = [note for note, holds in ((without, click.no_dialog), (changed, stale)) if holds]
        return f"Rejected {r.id}. {' '.join(notes)}" if notes else ""

    async def _snooze(self, click: Click, proposal: Proposal, account: Account) -> str:
        length = SNOOZES.get(chosen(click.value))
        if length is None:
            raise Refusal("this snooze does not say for how long", advice=NEWEST)
        r = await self._remediation(proposal)
        await self._current(r, click, proposal)
        await self._service.snooze(r.id, account, until=self._clock.now() + length)
        return ""

    async def _take(self, click: Click, proposal: Proposal, account: Account) -> str:
        await self._service.take(proposal.remediation, account)
        return ""

    async def _remediation(self, proposal: Proposal) -> Remediation:
        r = await self._journal.get(proposal.remediation)
        if r is None:
            raise Refusal(
                f"no remediation is called {proposal.remediation}; records are kept for 90 days",
                advice="See the present ones: /remediator status",
            )
        return r

    async def _current(self, r: Remediation, click: Click, proposal: Proposal) -> None:
        """Raises: Refusal when the button is void. What is over is the service's to say: that explains more."""
        if r.ended:
            return
        place = _place(click)
        if place is not None and not await self.is_current(r, place):
            raise Refusal(f"this is not the message on record for {r.id}, so its buttons are void", advice=NEWEST)
        if proposal.digest and not r.digest.startswith(proposal.digest):
            raise Refusal(
                f"{r.id} does not propose this any more: the plan changed after this message was shown",
                advice=f"Nothing was done. {NEWEST}",
            )

    async def _has_rejected(self, r: Remediation, account: Account) -> bool:
        history = await self._journal.history(r.id)
        return any(e.type == Rejected.__name__ and _account_of(e) == account.key for e in history)

    async def is_current(self, r: Remediation, place: MessageRef) -> bool:
        """Whether the store has this very message as a main message of the remediation's incident."""
        keys = await self._journal.keys_of_message(place)
        return any(r.episode in key.split("/") for key in keys)


def _account_of(line: JournalEvent) -> str:
    event = line.data.get("event")
    return str(event.get("account", "")) if isinstance(event, Mapping) else ""


def _has_approved(r: Remediation, account: Account, proposal: Proposal, break_glass: str, now: datetime) -> bool:
    """A yes that counts no more, or that does not break the glass, is not this one."""
    given = (c for c in r.standing(now) if c.account == account.key and c.digest.startswith(proposal.digest))
    return any(c.break_glass or not break_glass for c in given)


def proposal_of(click: Click) -> Proposal | None:
    """What it is about; None when it carries nothing of ours."""
    if click.kind == "dialog":
        origin = read_origin(click.value)
        return origin.proposal if origin else None
    return read(click.value)


def _place(click: Click) -> MessageRef | None:
    """The message that the button stands in, also when a dialog was opened from it; None in the home tab."""
    if click.kind == "dialog":
        origin = read_origin(click.value)
        return origin.message if origin else None
    return MessageRef(click.channel, click.ts) if click.ts else None
