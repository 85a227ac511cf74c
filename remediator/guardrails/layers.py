"""One number out of several words about it: defaults from weak to strong, and the tightest of the ceilings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from remediator.playbooks.limits_table import LIMITS, Limit, Value

SHIPPED = "shipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One limit with everything that was said about it.

    `said` maps who (`policy`, `environment production`, `severity critical`, `playbook`) to what, the strongest last.
    `value` is in force, and `by` says whose it is: one of those, `shipped`, or `ceiling`.
    """

    limit: Limit
    said: Mapping[str, Value]
    ceiling: Value
    ceiling_by: str
    value: Value
    by: str

    @property
    def differs(self) -> bool:
        """Whether anybody but us had a say in what is in force or in its ceiling."""
        return bool(self.said) or self.ceiling_by != SHIPPED


def rows_of(said: Mapping[str, Mapping[str, Value]], ceilings: Mapping[str, Mapping[str, Value]]) -> tuple[Row, ...]:
    """`said` and `ceilings` map who to what by key, the weakest first."""
    return tuple(_rows(said, ceilings))


def _rows(said: Mapping[str, Mapping[str, Value]], ceilings: Mapping[str, Mapping[str, Value]]) -> Iterator[Row]:
    for limit in LIMITS:
        own = {by: numbers[limit.key] for by, numbers in said.items() if limit.key in numbers}
        ceiling, ceiling_by = tightest(limit, {b: n[limit.key] for b, n in ceilings.items() if limit.key in n})
        by, value = next(reversed(own.items()), (SHIPPED, limit.default))
        if beyond(limit, value, ceiling):
            by, value = "ceiling", ceiling
        yield Row(limit=limit, said=own, ceiling=ceiling, ceiling_by=ceiling_by, value=value, by=by)


def tightest(limit: Limit, ceilings: Mapping[str, Value]) -> tuple[Value, str]:
    """The ceiling that allows least, and whose it is. Any share or number of an operator's is tighter than one copy."""
    found, by = limit.ceiling, SHIPPED
    for who, ceiling in ceilings.items():
        if beyond(limit, found, ceiling) or not comparable(found, ceiling):
            found, by = ceiling, who
    return found, by


def beyond(limit: Limit, value: Value, ceiling: Value) -> bool:
    """Whether a value lies on the wrong side of a ceiling. A share is not compared with copies: the guardrail keeps
    both."""
    if not comparable(value, ceiling):
        return False
    return size(value) > size(ceiling) if limit.bound == "at most" else size(value) < size(ceiling)


def comparable(one: Value, other: Value) -> bool:
    return isinstance(one, str) == isinstance(other, str)


def size(value: Value) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value.removesuffix("%")) if isinstance(value, str) else float(value)
