"""Webhooks as PagerDuty sends them (v3): the body of an event, and its signatures."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

SECRET = "webhook-secret-of-a-subscription-0123456789"

ANN: dict[str, Any] = {
    "html_url": "https://acme.pagerduty.com/users/PANN001",
    "id": "PANN001",
    "self": "https://api.pagerduty.com/users/PANN001",
    "summary": "Ann Miller",
    "type": "user_reference",
}
INTEGRATION: dict[str, Any] = {
    "id": "PINT001",
    "summary": "Events API v2",
    "type": "events_api_v2_inbound_integration_reference",
}


def event(
    event_type: str,
    *,
    at: datetime,
    key: str = "",
    incident: str = "Q00001",
    agent: dict[str, Any] | None = ANN,
    event_id: str = "01DEADBEEF",
    status: str = "acknowledged",
) -> dict[str, Any]:
    """An event of an incident. Without a key it only refers to the incident, as those of responders do."""
    whole: dict[str, Any] = {
        "id": incident,
        "type": "incident",
        "self": f"https://api.pagerduty.com/incidents/{incident}",
        "number": 2,
        "status": status,
        "incident_key": key,
        "created_at": "2025-06-02T03:00:00Z",
        "title": "Needs a person",
        "service": {"id": "PSVC001", "summary": "shop", "type": "service_reference"},
        "assignees": [ANN],
        "priority": None,
        "urgency": "high",
        "resolve_reason": None,
    }
    reference: dict[str, Any] = {
        "incident": {"id": incident, "type": "incident_reference", "summary": "Needs a person"},
        "user": ANN,
        "state": "pending",
        "message": "Please help",
        "type": "incident_responder",
    }
    return {
        "event": {
            "id": event_id,
            "event_type": event_type,
            "resource_type": "incident",
            "occurred_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "agent": agent,
            "client": None,
            "data": whole if key else reference,
        }
    }


def signed(body: bytes, *secrets: str) -> dict[str, str]:
    """Headers with a signature for each secret, as while one is being replaced."""
    made = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
    return {
        "Content-Type": "application/json",
        "X-PagerDuty-Signature": ",".join(f"v1={one}" for one in made),
        "X-Webhook-Id": "00000000-0000-0000-0000-000000000001",
    }


def delivery(payload: dict[str, Any], secrets: Sequence[str] = (SECRET,)) -> tuple[bytes, dict[str, str]]:
    """Body and headers of one request."""
    body = json.dumps(payload, separators=(",", ":")).encode()
    return body, signed(body, *secrets)
