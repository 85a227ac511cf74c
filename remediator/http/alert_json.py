"""Alerts as people have them at hand, turned into the form of a webhook's `alerts` items, for `explain`.

Taken: a webhook body, one alert of it, an item or a list of Alertmanager's `/api/v2/alerts` (`amtool alert -o json`),
an item of Prometheus' `/api/v1/alerts`, or just `{"labels": {...}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from remediator.service import InvalidRequest

MAX_ALERTS = 20
"""Each is planned on the live cluster; a whole storm is for `watch`."""

_TAKEN = "Give a webhook body, an alert of it, an alert of Alertmanager's or Prometheus' API, or {\"labels\": {...}}."


def alerts_in(document: object, now: datetime) -> list[dict[str, Any]]:
    """Each alert with status, labels, annotations, startsAt, endsAt, generatorURL, fingerprint, and the `cluster` that
    it is about and the `source` that would send it, where that was said. An alert without times is taken as firing
    since `now`.

    Raises: InvalidRequest.
    """
    found = _list(document)
    if not found:
        raise InvalidRequest("there is no alert in it", advice=_TAKEN)
    if len(found) > MAX_ALERTS:
        raise InvalidRequest(f"{len(found)} alerts at once, at most {MAX_ALERTS} are explained", advice="Send fewer.")
    return [_alert(raw, now) for raw in found]


def _list(document: object) -> list[object]:
    if isinstance(document, list):
        return document
    if isinstance(document, Mapping):
        inner = document.get("data", document)  # Prometheus wraps its answers
        if isinstance(inner, Mapping) and isinstance(inner.get("alerts"), list):
            return list(inner["alerts"])
    return [document]


def _alert(raw: object, now: datetime) -> dict[str, Any]:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("labels"), Mapping):
        raise InvalidRequest("an alert has labels, and this has none", advice=_TAKEN)
    status = raw.get("status", raw.get("state", "firing"))
    resolved = status == "resolved"  # Alertmanager's API has an object here, Prometheus `pending` or `firing`
    return {
        "status": "resolved" if resolved else "firing",
        "labels": dict(raw["labels"]),
        "annotations": dict(raw.get("annotations") or {}),
        "startsAt": raw.get("startsAt") or raw.get("activeAt") or now.isoformat(),
        # Of a firing alert, Alertmanager's API tells when it would time out.
        "endsAt": raw.get("endsAt") or "" if resolved else "",
        "generatorURL": raw.get("generatorURL") or "",
        "fingerprint": raw.get("fingerprint") or "",
        "cluster": raw.get("cluster") or "",
        "source": raw.get("source") if isinstance(raw.get("source"), str) else "",
    }
