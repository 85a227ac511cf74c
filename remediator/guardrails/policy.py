"""The operator's numbers: what holds when a playbook is silent, and how far one may go. Nothing is unlimited.

A playbook moves freely below the ceilings; asking for more is an error at load that names the ceiling. Where more is
safer (cooldown, min_available) the ceiling is a floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from remediator.errors import InvalidPlaybook
from remediator.guardrails.facts import EffectiveLimits
from remediator.guardrails.words import about
from remediator.playbooks.model import Limits, Mode, Playbook, Strict

Value = int | str | timedelta


class Policy(Strict):
    """Part of the operator's configuration. `defaults` and `ceilings` have the keys of a playbook's `guardrails`."""

    mode_ceiling: Mode = Mode.APPROVE
    """The highest mode of any playbook here; `auto` is for environments that can afford it."""
    defaults: Limits = Limits()
    ceilings: Limits = Limits()
    protected_namespaces: frozenset[str] = Field(default=frozenset({"kube-system"}))
    """Untouchable unless named one by one: our own, the control plane's, the monitoring stack's, the state store's."""


class OverCeiling(InvalidPlaybook):
    """A playbook asks for more than the operator allows. `problems` has one line for each number."""

    def __init__(self, playbook: str, problems: tuple[str, ...]) -> None:
        super().__init__(f"playbook {playbook}: {'; '.join(problems)}")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Limit:
    """One number: its key in YAML, its field in EffectiveLimits, and what is shipped.

    `bound` says on which side the ceiling lies; `nearest` is the smallest value that makes sense at all.
    """

    key: str
    field: str
    default: Value
    ceiling: Value
    nearest: Value
    bound: Literal["at most", "at least"] = "at most"
    unit: str = ""


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

LIMITS: tuple[Limit, ...] = (
    Limit("max_targets", "max_targets", 1, 10, 1),
    Limit("max_alert_age", "max_alert_age", HOUR, 24 * HOUR, MINUTE),
    Limit("in_flight.target", "in_flight_target", 1, 1, 1),
    Limit("in_flight.playbook", "in_flight_playbook", 1, 5, 1),
    Limit("in_flight.cluster", "in_flight_cluster", 3, 20, 1),
    Limit("in_flight.everywhere", "in_flight_everywhere", 10, 50, 1),
    Limit("cooldown.success", "cooldown_success", 15 * MINUTE, 2 * MINUTE, 2 * MINUTE, "at least"),
    Limit("cooldown.failure", "cooldown_failure", HOUR, 2 * MINUTE, 2 * MINUTE, "at least"),
    Limit("rate_limit.target", "rate_target", 2, 6, 1, unit=" per hour"),
    Limit("rate_limit.playbook", "rate_playbook", 5, 20, 1, unit=" per hour"),
    Limit("rate_limit.namespace", "rate_namespace", 10, 30, 1, unit=" per hour"),
    Limit("rate_limit.cluster", "rate_cluster", 20, 60, 1, unit=" per hour"),
    Limit("min_available", "min_available", "60%", 1, 1, "at least"),
    Limit("max_attempts", "max_attempts", 1, 3, 1),
    Limit("plan_age", "plan_age", MINUTE, 10 * MINUTE, timedelta(seconds=5)),
)
"""The shipped table. The nearest sensible plan_age leaves time for a dry run, that of max_alert_age for one `for`."""


def effective_limits(playbook: Playbook, policy: Policy) -> EffectiveLimits:
    """The numbers in force for a playbook. Raises: OverCeiling when it asks for more than it may."""
    problems = tuple(_problems(playbook, policy))
    if problems:
        raise OverCeiling(playbook.name, problems)
    return limits_in_force(playbook, policy)


def over_ceiling(playbook: Playbook, policy: Policy) -> tuple[str, ...]:
    """What a playbook asks for beyond the ceilings, a line for each number; for loading."""
    return tuple(_problems(playbook, policy))


def limits_in_force(playbook: Playbook, policy: Policy) -> EffectiveLimits:
    """The same, but what is beyond a ceiling is brought back to it.

    For a remediation that is under way with the playbook it began with, while the operator has lowered a ceiling.
    """
    asked, ceilings = _flat(playbook.guardrails), _ceilings(policy)
    defaults = _flat(policy.defaults)
    numbers: dict[str, Any] = {}
    for limit in LIMITS:
        value = asked.get(limit.key, defaults.get(limit.key, limit.default))
        numbers[limit.field] = _within(limit, value, ceilings[limit.key])
    return EffectiveLimits(
        mode=min(playbook.mode, policy.mode_ceiling, key=lambda mode: mode.rank),
        mode_ceiling=policy.mode_ceiling,
        min_available_floor=ceilings["min_available"],  # type: ignore[arg-type]
        **numbers,
    )


def policy_problems(policy: Policy) -> tuple[str, ...]:
    """What an operator wrote that cannot be: a default or ceiling that is no limit at all. For `check` and start-up."""
    found = []
    for name, limits in (("defaults", policy.defaults), ("ceilings", policy.ceilings)):
        flat = _flat(limits)
        found += [text for limit in LIMITS if limit.key in flat for text in _senseless(limit, flat[limit.key], name)]
    return tuple(found)


def _problems(playbook: Playbook, policy: Policy) -> Iterator[str]:
    if playbook.mode.rank > policy.mode_ceiling.rank:
        yield f"mode: {playbook.mode} is above the ceiling {policy.mode_ceiling}; write mode: {policy.mode_ceiling}"
    asked, ceilings = _flat(playbook.guardrails), _ceilings(policy)
    for limit in LIMITS:
        if limit.key not in asked:
            continue
        value, ceiling = asked[limit.key], ceilings[limit.key]
        nonsense = list(_senseless(limit, value, "guardrails"))
        if nonsense:
            yield from nonsense
        elif _within(limit, value, ceiling) != value:
            side = "above" if limit.bound == "at most" else "below"
            yield (
                f"guardrails.{limit.key}: {_text(value)}{limit.unit} is {side} the ceiling, which is {limit.bound} "
                f"{_text(ceiling)}; write {_text(ceiling)}, or ask the operator for ceilings.{limit.key}"
            )


def _senseless(limit: Limit, value: Value, where: str) -> Iterator[str]:
    """Zero and less, which would mean never or without limit."""
    if _size(limit, value) < _size(limit, limit.nearest):
        nearest = _text(limit.nearest)
        yield f"{where}.{limit.key}: {_text(value)} is not allowed; the nearest allowed value is {nearest}"


def _ceilings(policy: Policy) -> dict[str, Value]:
    own = _flat(policy.ceilings)
    return {limit.key: own.get(limit.key, limit.ceiling) for limit in LIMITS}


def _flat(limits: Limits) -> dict[str, Value]:
    """`{"rate_limit.target": 2, ...}`, only what is written."""
    flat: dict[str, Value] = {}
    for name in type(limits).model_fields:
        value = getattr(limits, name)
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": item for key, item in value.items()}
        elif value is not None:
            flat[name] = value
    return flat


def _within(limit: Limit, value: Value, ceiling: Value) -> Value:
    """The value, or the ceiling where it lies beyond. A share is not compared with copies: the guardrail keeps both."""
    if isinstance(value, str) != isinstance(ceiling, str):
        return value
    choose: Callable[..., Value] = min if limit.bound == "at most" else max
    return choose(value, ceiling, key=lambda item: _size(limit, item))


def _size(limit: Limit, value: Value) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        return float(value.removesuffix("%"))
    return float(value)


def _text(value: Value) -> str:
    return about(value) if isinstance(value, timedelta) else str(value)
