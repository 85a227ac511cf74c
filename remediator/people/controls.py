"""The buttons under a message: what is offered now, what each carries, and what is asked once more before a yes counts.

A button carries which proposal it belongs to, never what is to be done: what a click does is looked up when it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from remediator.people import markup
from remediator.people.buttons import SNOOZES, Button, Proposal, read
from remediator.people.parts import risk_lines
from remediator.people.story import Story
from remediator.people.wording import offered

Element = dict[str, Any]

CONFIRM_LIMIT = 300
_URL_LIMIT = 3000
_SNOOZE_TEXTS = {"30m": "30 min", "2h": "2 h"}


def proposal_of(story: Story) -> Proposal:
    """What the story's buttons carry."""
    return Proposal(instance=story.instance_id, remediation=story.remediation_id, digest=story.digest)


def readable(story: Story) -> bool:
    """Whether we could read back what its buttons carry; without that they are not offered."""
    return read(proposal_of(story).text()) is not None


def actions(story: Story) -> dict[str, Any] | None:
    """The block of buttons; None when there is nothing to answer, or clicks cannot reach us."""
    block = _block(story, offered(story))
    if block and (console := console_button(story.console_url)):
        block["elements"].append(console)
    return block


def dialog_actions(story: Story) -> dict[str, Any] | None:
    """As `actions`, for the dialog of details, whose links stand below. Break glass stays with the message: its reason
    is asked for in a dialog, and Slack does not promise one over another. A reject counts without."""
    elsewhere = (Button.DETAILS, Button.BREAK_GLASS)
    return _block(story, [button for button in offered(story) if button not in elsewhere])


def _block(story: Story, offers: Sequence[Button]) -> dict[str, Any] | None:
    if not offers or not readable(story):
        return None
    return {"type": "actions", "elements": [_MAKE[button](story) for button in offers]}


def console_button(url: str, text: str = "Console") -> Element | None:
    """None when the address is no good."""
    safe = markup.safe_url(url)
    if not safe or len(safe) > _URL_LIMIT:
        return None
    return {"type": "button", "action_id": Button.LINK.value, "text": plain(text), "url": safe}


def button(action: Button, text: str, proposal: Proposal, **more: Any) -> Element:
    return {"type": "button", "action_id": action.value, "text": plain(text), "value": proposal.text(), **more}


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _approve(story: Story) -> Element:
    confirm = _confirm(story)
    return button(
        Button.APPROVE, "Approve", proposal_of(story), style="primary", **({"confirm": confirm} if confirm else {})
    )


def _confirm(story: Story) -> Element | None:
    """Asked where a tap in half-sleep could cost something: what it takes and what has no way back."""
    if story.risk is None or not story.risk.needs_confirming:
        return None
    last = (story.approval.missing if story.approval else 1) <= 1
    starts = "It is checked once more, then it starts." if last else "More people must agree before it starts."
    risk = " ".join(f"{line[:1].upper()}{line[1:]}." for line in risk_lines(story.risk))
    room = CONFIRM_LIMIT - len(starts) - 3
    what = markup.plain_words(f"{story.headline[:1].upper()}{story.headline[1:]}", 110)
    said = markup.plain_words(risk, room - markup.size(what))
    return {
        "title": plain("Approve this?"),
        "text": plain(f"{what}. {said} {starts}"),
        "confirm": plain("Approve"),
        "deny": plain("Not now"),
        **({"style": "danger"} if story.risk.lasting else {}),
    }


def _snooze(story: Story) -> Element:
    """A select instead of a button: how long is part of the tap."""
    return {
        "type": "static_select",
        "action_id": Button.SNOOZE.value,
        "placeholder": plain("Snooze"),
        "options": [
            {"text": plain(_SNOOZE_TEXTS[name]), "value": f"{proposal_of(story).text()}|{name}"} for name in SNOOZES
        ],
    }


_MAKE: Mapping[Button, Callable[[Story], Element]] = {
    Button.APPROVE: _approve,
    Button.REJECT: lambda story: button(Button.REJECT, "Reject", proposal_of(story)),
    Button.SNOOZE: _snooze,
    Button.DETAILS: lambda story: button(Button.DETAILS, "Details", proposal_of(story)),
    Button.TAKE: lambda story: button(Button.TAKE, "I take it", proposal_of(story)),
    Button.BREAK_GLASS: lambda story: button(Button.BREAK_GLASS, "Break glass", proposal_of(story), style="danger"),
}
