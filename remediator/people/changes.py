"""Change events: what we have altered, on the timeline of the service that it belongs to, incident or not.

Whoever is called later for something else sees there that we changed something a minute before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from remediator.people.markup import short
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.pages import DETAIL_LIMIT, SUMMARY_LIMIT, event_links
from remediator.people.parts import decided_by
from remediator.people.routes import PagerRoutes
from remediator.people.story import Story

CHANNEL = "pagerduty_change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Altered:
    """One acknowledged effect. `what`: `scale Deployment shop/checkout: replicas 3 → 5`. `id` names it for ever."""

    id: str
    what: str
    at: datetime
    undo: bool = False


def change_events(story: Story, altered: Sequence[Altered], routes: PagerRoutes) -> tuple[OutboxMessage, ...]:
    """One for each effect, to the service of the story's route; none where no route leads to one."""
    service = routes.service(story)
    if not service:
        return ()
    key = f"{CHANNEL}/{service}/{story.episode_id}"
    return tuple(
        OutboxMessage(
            channel=CHANNEL,
            destination=service,
            key=key,
            kind="event",
            payload=change_event(story, effect),
            once=f"{CHANNEL}/{service}/{effect.id}",
        )
        for effect in altered
    )


def change_event(story: Story, effect: Altered) -> dict[str, Any]:
    """The event without its routing key. There is no severity in it and no image: PagerDuty takes neither."""
    what = f"Undone: {effect.what}" if effect.undo else effect.what
    behind = f" (playbook {short(story.playbook, 100)}) [{short(story.cluster, 100)}]"
    details = {
        "cluster": short(story.cluster, DETAIL_LIMIT),
        "target": short(story.target, DETAIL_LIMIT),
        "playbook": short(story.playbook, DETAIL_LIMIT),
        "mode": short(story.mode, 100),
        "decided": short(decided_by(story), DETAIL_LIMIT),
        "alert": short(story.alerts[0].name if story.alerts else "", DETAIL_LIMIT),
        "remediation": short(story.remediation_id, 100),
        "effect": short(effect.id, 100),
    }
    return {
        "payload": {
            "summary": short(what, SUMMARY_LIMIT - len(behind.encode("utf-16-le", "surrogatepass")) // 2) + behind,
            "source": short(f"{story.cluster}/{story.target}", DETAIL_LIMIT),
            "timestamp": effect.at.isoformat(),
            "custom_details": {name: value for name, value in details.items() if value},
        },
        "links": event_links(story),
    }
