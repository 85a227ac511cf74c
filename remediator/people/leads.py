"""What the leads are told when somebody breaks the glass."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.people import markup
from remediator.people.messages import section
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.story import Story


def broke_the_glass(story: Story, who: str, by: str, reason: str, leads: Sequence[str]) -> tuple[OutboxMessage, ...]:
    """One new message for each of them, each with a thread of its own, every time: the same plan may be asked about
    again. It is stored with the approval, in one transaction, so it cannot come twice."""
    said = f"{markup.prose(who, 100)} ({markup.prose(by, 200)})"
    seen_at = f" ({markup.link('Console', story.console_url)})" if story.console_url else ""
    lines = (
        f"🔨 *Glass broken*: {said} alone approved {story.remediation_id}{seen_at}; others would have been needed.",
        f"*What*: {markup.prose(story.headline, 500)}",
        f"*Why*: {markup.prose(reason, 600)}",
    )
    text = f"Glass broken by {markup.prose(who, 100)}: {markup.prose(story.headline, 500)}"
    return tuple(
        OutboxMessage(
            channel="slack",
            destination=lead,
            key=f"slack/{lead}/break-glass/{story.remediation_id}/{story.now.isoformat()}",
            kind="post",
            payload={"text": text, "blocks": [section("\n".join(lines))]},
        )
        for lead in leads
    )
