"""What a button of ours carries: which proposal of which installation it belongs to, never what is to be done.

Shared by the side that draws the buttons (messages.py) and the side that reads the clicks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

DIGEST_DIGITS = 16


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
