"""What a button of ours carries: which proposal of which installation it belongs to, never what is to be done.

Shared by the side that draws the buttons (messages.py) and the side that reads the clicks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from remediator.ports import MessageRef

DIGEST_DIGITS = 16

SNOOZES: Mapping[str, timedelta] = {"30m": timedelta(minutes=30), "2h": timedelta(hours=2)}
"""What a snooze's option carries behind the proposal -> how long that is."""


class Button(StrEnum):
    """The `action_id` of each."""

    APPROVE = "remediator_approve"
    REJECT = "remediator_reject"
    SNOOZE = "remediator_snooze"
    """A select; the chosen option's value is how long: `30m`, `2h`."""
    DETAILS = "remediator_details"
    TAKE = "remediator_take"
    """A person takes the episode: nothing more is sent for it."""
    BREAK_GLASS = "remediator_break_glass"
    LINK = "remediator_link"
    """A button that only opens an address; Slack sends its click all the same, and wants it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a button belongs to. `digest` is the beginning of what was shown; empty for messages that propose
    nothing."""

    instance: str
    remediation: str
    digest: str = ""

    def text(self) -> str:
        """At most 150 characters, as Slack allows for an option."""
        return f"{self.instance}|{self.remediation}|{self.digest[:DIGEST_DIGITS]}"


_VALUE = re.compile(r"([A-Za-z0-9._-]{0,63})\|(r-[A-Za-z0-9._-]{1,60})\|([0-9a-f]{0,16})(?:\|([0-9a-z]{1,10}))?")


def read(value: str) -> Proposal | None:
    """None when it is none of ours. A snooze has how long behind it: see `chosen`."""
    found = _VALUE.fullmatch(value)
    return Proposal(instance=found[1], remediation=found[2], digest=found[3]) if found else None


def chosen(value: str) -> str:
    """How long, of a snooze's option; empty where there is none."""
    found = _VALUE.fullmatch(value)
    return (found[4] or "") if found else ""


class Dialog(StrEnum):
    """The `callback_id` of each modal of ours."""

    DETAILS = "remediator_details_view"
    REJECT = "remediator_reject_view"
    BREAK_GLASS = "remediator_break_glass_view"


REASON = "reason"
"""`block_id` and `action_id` of the text that a modal asks for: `view.state.values[REASON][REASON].value`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a modal was opened from: the proposal, and the message with the button (None from App Home)."""

    proposal: Proposal
    message: MessageRef | None = None

    def text(self) -> str:
        """For `private_metadata`, at most 3,000 characters."""
        where = f"{self.message.channel}|{self.message.ts}" if self.message else "|"
        return f"{self.proposal.text()}|{where}"


_ORIGIN = re.compile(r"(.+)\|([A-Z0-9]{0,40})\|([0-9.]{0,40})")


def read_origin(text: str) -> Origin | None:
    """None when it is none of ours."""
    found = _ORIGIN.fullmatch(text)
    proposal = read(found[1]) if found else None
    if found is None or proposal is None:
        return None
    return Origin(proposal=proposal, message=MessageRef(found[2], found[3]) if found[2] and found[3] else None)
