"""Between our values and what the columns hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import orjson

from remediator.objects import ObjectRef

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

AnyRow: TypeAlias = Any
"""A row of any query; its columns are read by name, and each has the type that its table gives it."""


def to_us(at: datetime) -> int:
    """Microseconds since 1970 UTC, exact (floats would lose the last digits)."""
    return (at - EPOCH) // _MICROSECOND


def maybe_us(at: datetime | None) -> int | None:
    return None if at is None else to_us(at)


def from_us(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


def maybe_time(value: int | None) -> datetime | None:
    return None if value is None else from_us(value)


def span_us(span: timedelta) -> int:
    return span // _MICROSECOND


def to_json(value: object) -> str:
    """Canonical JSON text: sorted keys, no spaces. What JSON does not know is written as its text."""
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


def from_json(text: str) -> Any:
    return orjson.loads(text)


def object_from_json(text: str) -> Mapping[str, Any]:
    value: Mapping[str, Any] = orjson.loads(text)
    return value


def ref_from_key(key: str) -> ObjectRef:
    """The inverse of `ObjectRef.key`; names hold no slash."""
    kind, namespace, name = (*key.split("/", 2), "", "")[:3]
    return ObjectRef(kind, namespace, name)
