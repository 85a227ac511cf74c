"""What PagerDuty tells us of its incidents (webhooks v3), cut down to what can concern an episode.

Only people take an incident: what an integration, an escalation or we ourselves do to it says nothing. Names and titles
in a webhook are other people's text; what is kept of them is short and only shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from remediator.errors import RemediatorError
from remediator.people.markup import short

TAKES: Mapping[str, str] = {
    "incident.acknowledged": "acknowledged the incident",
    "incident.resolved": "resolved the incident",
    "incident.reassigned": "reassigned the incident",
    "incident.delegated": "handed the incident on",
    "incident.priority_updated": "set the incident's priority",
    "incident.responder.added": "asked for responders",
    "incident.responder.replied": "answered the request for responders",
}
"""Events by which a person takes an incident, in words."""
GIVES = frozenset({"incident.unacknowledged", "incident.reopened"})
"""Nobody has the incident any more. People hear that we still stay away."""

DECLINED = "declined"
NAME_LIMIT = 80
ID_LIMIT = 64
KEY_LIMIT = 300


class InvalidIncidentWebhook(RemediatorError):
    """Signed, but not what PagerDuty documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEvent:
    """One event. `key` is the incident's deduplication key; empty where the webhook only refers to the incident."""

    id: str
    type: str
    at: datetime
    incident: str
    key: str = ""
    person: str = ""
    """User id of the person who did it; empty when no person did."""
    name: str = ""

    @property
    def takes(self) -> bool:
        return self.type in TAKES and bool(self.person)

    @property
    def gives(self) -> bool:
        return self.type in GIVES

    def stored(self) -> dict[str, str]:
        """For the inbox; `restored` is the inverse."""
        return {
            "id": self.id,
            "type": self.type,
            "at": self.at.isoformat(),
            "incident": self.incident,
            "key": self.key,
            "person": self.person,
            "name": self.name,
        }


def restored(body: Mapping[str, str]) -> IncidentEvent:
    return IncidentEvent(**{**body, "at": datetime.fromisoformat(body["at"])})  # type: ignore[arg-type]


def read_webhook(body: bytes) -> IncidentEvent | None:
    """None when it cannot concern us. Raises: InvalidIncidentWebhook.

    Source: https://developer.pagerduty.com/docs/webhooks-overview
    """
    try:
        event = orjson.loads(body)["event"]
        kind = event["event_type"]
        if kind not in TAKES and kind not in GIVES:
            return None
        data, agent = event["data"], event.get("agent") or {}
        incident = data if data.get("type") == "incident" else data["incident"]
        person = agent.get("type") in ("user_reference", "user")
        found = IncidentEvent(
            id=_text(event["id"], ID_LIMIT),
            type=kind,
            at=_time(event["occurred_at"]),
            incident=_text(incident["id"], ID_LIMIT),
            key=_text(incident.get("incident_key") or "", KEY_LIMIT),
            person=_text(agent["id"], ID_LIMIT) if person else "",
            name=short(str(agent.get("summary") or ""), NAME_LIMIT) if person else "",
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as exc:
        raise InvalidIncidentWebhook(f"not a webhook of PagerDuty's version 3: {type(exc).__name__} {exc}") from exc
    if not found.id or not found.incident:
        raise InvalidIncidentWebhook("an event without an id")
    if data.get("state") == DECLINED:  # a responder who will not come
        return None
    return found if found.takes or found.gives else None


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    if len(value) > limit:
        raise ValueError("a text is longer than PagerDuty writes it")
    return value


def _time(value: object) -> datetime:
    at = datetime.fromisoformat(_text(value, ID_LIMIT))
    if at.tzinfo is None:
        raise ValueError("a time without offset")
    return at.astimezone(UTC)
