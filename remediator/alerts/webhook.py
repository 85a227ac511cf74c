"""From the bytes that Alertmanager posts to alerts.

The hot path of the service: orjson and hand-written checks, which are strict about what we use and blind to everything
else, because Alertmanager adds fields in minor releases.

A message is read whole or refused whole. One bad alert refuses the message with 400, so nothing is half stored;
Alertmanager counts the refusal (`alertmanager_notifications_failed_total`) and sends the group again at its next flush.

Text that a database cannot hold: PostgreSQL has no NUL in text, so an escaped NUL becomes U+FFFD here instead of
failing the whole group later. Lone surrogates and broken UTF-8 are not JSON (orjson refuses them), and Go never sends
them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from remediator.alerts.alert import Alert
from remediator.alerts.fingerprint import fingerprint
from remediator.alerts.source import Source, shown
from remediator.errors import InvalidWebhook

VERSION = "4"

_FINGERPRINT = re.compile(r"[0-9a-fA-F]{16}")
_PLAIN_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
_ESCAPE = re.compile(rb"\\(?:u0000|.)", re.DOTALL)
_NO_PAYLOAD = "is this receiver's `payload` customised? remediator reads the default one"
_ONLY_TEXT = {str}


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One message of one group.

    `group_key` is opaque, stable and possibly long. `receiver` is as sent: regex-quoted (`team.x` arrives as
    `team\\.x`). `truncated` counts alerts that Alertmanager left out because of `max_alerts`.
    """

    alerts: tuple[Alert, ...]
    group_key: str = ""
    receiver: str = ""
    truncated: int = 0
    external_url: str = ""


def parse_webhook(body: bytes, *, source: Source) -> Webhook:
    """Turn an Alertmanager webhook body (payload version "4") into alerts.

    Firing alerts carry `endsAt` 0001-01-01T00:00:00Z, which becomes None. Times are cut to microseconds. The
    fingerprint is the sender's, also where `source` forces labels; we compute it only where it is absent.

    Raises: InvalidWebhook; its message names the field and what to do.
    Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
    """
    try:
        message: object = orjson.loads(_without_nul(body))
    except orjson.JSONDecodeError as exc:
        raise InvalidWebhook(f"body: not JSON: {exc}") from exc
    if not isinstance(message, dict):
        raise _expected("body", "a JSON object", message)
    if message.get("version") != VERSION:
        raise _wrong_version(message.get("version"))
    alerts = message.get("alerts")
    if not isinstance(alerts, list):
        raise InvalidWebhook(f"alerts: expected an array, got {_type_of(alerts)}; {_NO_PAYLOAD}")
    group_key = _text(message, "groupKey")
    return Webhook(
        alerts=tuple([_alert(alert, index, group_key, source) for index, alert in enumerate(alerts)]),
        group_key=group_key,
        receiver=_text(message, "receiver"),
        truncated=_count(message, "truncatedAlerts"),
        external_url=_text(message, "externalURL"),
    )


def _alert(raw: object, index: int, group_key: str, source: Source) -> Alert:
    if not isinstance(raw, dict):
        raise _expected(f"alerts[{index}]", "an object", raw)
    status = raw.get("status")
    if status != "firing" and status != "resolved":
        raise InvalidWebhook(f'alerts[{index}].status: expected "firing" or "resolved", got {shown(status)}')
    sent = _texts(raw, "labels", index)
    if not sent:
        raise InvalidWebhook(f"alerts[{index}].labels: expected at least one label, as every alert has an alertname")
    labels = source.relabelled(sent)
    objection = source.objection(labels)
    if objection is not None:
        raise InvalidWebhook(f"alerts[{index}]: {objection}")
    return Alert(
        fingerprint=_fingerprint(raw, index) or fingerprint(sent),
        status="firing" if status == "firing" else "resolved",
        labels=labels,
        annotations=_texts(raw, "annotations", index, optional=True),
        starts_at=_starts_at(raw, index),
        ends_at=None if status == "firing" else _ends_at(raw, index),
        generator_url=_text(raw, "generatorURL", index),
        group_key=group_key,
        source=source.name,
        cluster=source.cluster_of(labels),
    )


def _without_nul(body: bytes) -> bytes:
    if rb"\u0000" not in body:
        return body
    # Escape by escape, so that the text `\\u0000` (a backslash, then "u0000") stays what it is.
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape[0] == rb"\u0000" else escape[0], body)


def _texts(raw: Mapping[str, object], key: str, index: int, *, optional: bool = False) -> dict[str, str]:
    """A map of strings. Label names are any UTF-8, so only the values need a look."""
    value = raw.get(key)
    if value is None and optional:
        return {}
    if not isinstance(value, dict):
        raise _expected(f"alerts[{index}].{key}", "an object", value)
    if not {*map(type, value.values())} <= _ONLY_TEXT:
        name, wrong = next((name, wrong) for name, wrong in value.items() if type(wrong) is not str)
        raise _expected(f"alerts[{index}].{key}{_member(name)}", "a string", wrong)
    return value


def _text(raw: Mapping[str, object], key: str, index: int | None = None) -> str:
    value = raw.get(key)
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise _expected(key if index is None else f"alerts[{index}].{key}", "a string", value)


def _count(raw: Mapping[str, object], key: str) -> int:
    value = raw.get(key)
    if value is None:
        return 0
    if type(value) is not int or value < 0:  # a bool is an int to Python, not to us
        raise InvalidWebhook(f"{key}: expected a whole number of at least 0, got {shown(value)}")
    return value


def _fingerprint(raw: Mapping[str, object], index: int) -> str:
    """The sender's fingerprint, or empty where it sent none."""
    text = _text(raw, "fingerprint", index)
    if text and not _FINGERPRINT.fullmatch(text):
        raise InvalidWebhook(f"alerts[{index}].fingerprint: expected 16 hex digits, got {shown(text)}")
    return text.lower()


def _starts_at(raw: Mapping[str, object], index: int) -> datetime:
    at = _time(raw, "startsAt", index)
    if at is None:
        raise InvalidWebhook(
            f"alerts[{index}].startsAt: missing or zero; expected the time it began to fire (RFC 3339)"
        )
    return at


def _ends_at(raw: Mapping[str, object], index: int) -> datetime | None:
    return _time(raw, "endsAt", index)


def _time(raw: Mapping[str, object], key: str, index: int) -> datetime | None:
    """RFC 3339 as aware UTC; None for a missing field and for Go's zero time.

    `fromisoformat` cuts nanoseconds to microseconds. Year 1 is checked before the offset is applied, which would
    overflow.
    """
    text = _text(raw, key, index)
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.year == 1:
            return None
        if at.tzinfo is UTC:
            return at
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise _no_time(key, index, text) from exc
    raise _no_time(key, index, text)


def _no_time(key: str, index: int, text: str) -> InvalidWebhook:
    return InvalidWebhook(
        f"alerts[{index}].{key}: expected a time with offset such as 2025-06-01T10:00:00Z, got {shown(text)}"
    )


def _wrong_version(version: object) -> InvalidWebhook:
    if version is None:
        return InvalidWebhook(f"version: missing; {_NO_PAYLOAD}")
    return InvalidWebhook(f'version: expected "{VERSION}", got {shown(version)}; {_NO_PAYLOAD}')


def _expected(path: str, wanted: str, got: object) -> InvalidWebhook:
    return InvalidWebhook(f"{path}: expected {wanted}, got {_type_of(got)}")


def _member(name: str) -> str:
    return f".{name}" if _PLAIN_NAME.fullmatch(name) else f"[{shown(name)}]"


def _type_of(value: object) -> str:
    """The JSON type of a value, as the author of a payload knows it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
