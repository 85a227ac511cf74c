"""The functions that expressions may call: CEL's own by name, and ours, which answer or raise and do nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from remediator.playbooks.quantity import parse_quantity

TYPE_NAMES = frozenset(
    {"bool", "bytes", "double", "duration", "int", "list", "map", "null_type", "string", "timestamp", "type", "uint"}
)
NATIVE = frozenset(
    {"bytes", "contains", "double", "duration", "dyn", "endsWith", "getDate", "getDayOfMonth", "getDayOfWeek"}
    | {"getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds", "int"}
    | {"matches", "size", "startsWith", "string", "timestamp", "type", "uint"}
)


def _get(*arguments: Any) -> Any:
    if len(arguments) != 3 or not isinstance(arguments[0], dict):
        raise TypeError('get() is written map.get("key", default)')
    return arguments[0].get(arguments[1], arguments[2])


def _quantity(*arguments: Any) -> float:
    if len(arguments) != 1:
        raise TypeError('quantity() is written quantity("100Mi")')
    return parse_quantity(arguments[0])


def _split(*arguments: Any) -> list[str]:
    if len(arguments) != 2 or not all(isinstance(one, str) for one in arguments) or not arguments[1]:
        raise TypeError('split() is written text.split(":")')
    return str(arguments[0]).split(arguments[1])


def _numbers(arguments: tuple[Any, ...], name: str) -> list[Any]:
    values = list(arguments[0]) if len(arguments) == 1 and isinstance(arguments[0], list) else list(arguments)
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not values or not (numeric or all(isinstance(value, timedelta) for value in values)):
        raise TypeError(f"{name}() takes numbers, or durations")
    return values


def _min(*arguments: Any) -> Any:
    return min(_numbers(arguments, "min"))


def _max(*arguments: Any) -> Any:
    return max(_numbers(arguments, "max"))


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "get": _get,
    "quantity": _quantity,
    "split": _split,
    "min": _min,
    "max": _max,
}
