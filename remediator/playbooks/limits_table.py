"""The guardrails' numbers as shipped: what holds where nobody says anything, and how far anybody may go.

Nothing is unlimited and nothing can be switched off, so the usual ways to write that are refused here, with the nearest
value that is allowed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from remediator.playbooks.durations import format_duration

Value = int | str | timedelta
"""A count, a share ("60%") or a duration."""


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

    @property
    def guardrail(self) -> str:
        """The one that looks at it."""
        return self.key.partition(".")[0]

    @property
    def loosest(self) -> Value:
        return self.ceiling if self.bound == "at most" else self.nearest


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
    Limit("min_healthy", "min_healthy", "51%", 1, 1, "at least"),
    Limit("min_available", "min_available", "60%", 1, 1, "at least"),
    Limit("failure_domain.max", "failure_domain_max", 1, 2, 1),
    Limit("circuit_breaker.failures", "breaker_failures", 3, 5, 1),
    Limit("circuit_breaker.open", "breaker_open", 4 * HOUR, HOUR, HOUR, "at least"),
    Limit("max_attempts", "max_attempts", 1, 3, 1),
    Limit("plan_age", "plan_age", MINUTE, 10 * MINUTE, timedelta(seconds=5)),
)
"""The nearest sensible plan_age leaves time for a dry run, that of max_alert_age for one `for`."""

BY_KEY = {limit.key: limit for limit in LIMITS}

FAILURE_DOMAIN_LABEL = "topology.kubernetes.io/zone"

_ALSO = "those of the operator's policy hold as well"
BESIDES = {
    "failure_domain.label": f"Name a label of your nodes; shipped is {FAILURE_DOMAIN_LABEL}.",
    "numbers": "Leave it out, or write numbers as in a playbook's guardrails.",
    "blockers": f"Leave it out, or list {{promql: ...}} and {{alerts: ...}}; {_ALSO}.",
    "windows": f"Leave it out, or write allow, deny or calendars; {_ALSO}.",
}
"""What to write for the keys of `guardrails` that are no numbers."""

_SWITCHED_OFF = frozenset({"", "off", "no", "none", "null", "~", "nil", "false", "never", "disabled", "disable"})
_WITHOUT_LIMIT = frozenset(
    {"unlimited", "infinite", "infinity", "inf", "+inf", ".inf", "-.inf", ".nan", "any", "all", "nan"}
)
_ZERO = re.compile(r"0*(?:\.0*)?\s*(?:%|ms|[smhd])?")

OFF, UNLIMITED = "no guardrail can be switched off", "nothing is unlimited"


def refused(value: object) -> str:
    """Why a value is an attempt to have no limit; empty for anything else, also for other nonsense."""
    match value:
        case None | False:
            return OFF
        case True:
            return ""
        case int() | float():
            return "" if 0 < value < math.inf else OFF if value == 0 else UNLIMITED
        case timedelta():
            return "" if value > timedelta(0) else OFF
        case str():
            text = value.strip().lower()
            if text in _WITHOUT_LIMIT or text.startswith("-"):
                return UNLIMITED
            return OFF if text in _SWITCHED_OFF or (text and _ZERO.fullmatch(text)) else ""
        case _:
            return ""


def refusal(key: str, value: object) -> tuple[str, str] | None:
    """What to say about a value that means "no limit": what is wrong, and the next step; None for any other value.

    `key` is that of a limit, or of a guardrail as a whole.
    """
    why = refused(value)
    return (f"{shown(value)} is not allowed: {why}", _next_step(key, value)) if why else None


def _next_step(key: str, value: object) -> str:
    if key in BESIDES:
        return BESIDES[key]
    limit = BY_KEY.get(key)
    if limit is None:
        inner = ", ".join(
            f"{one.key.partition('.')[2]}: {shown(one.loosest)}" for one in LIMITS if one.guardrail == key
        )
        return f"The nearest allowed value is {{{inner}}}, which are the ceilings."
    number = isinstance(value, int | float | timedelta) and not isinstance(value, bool) and value != math.inf
    nearest = limit.nearest if number else limit.loosest
    ceiling = f"{limit.bound} {shown(limit.ceiling)}{limit.unit}"
    return f"The nearest allowed value is {shown(nearest)}; the ceiling is {ceiling}."


def hint_for(path: Sequence[str | int], value: object) -> str:
    """The next step for a limit that is written so that it is no YAML of ours (`off`, `.inf`); empty for other fields.

    A limit stands below `guardrails` of a playbook, or below `defaults` or `ceilings` of the policy.
    """
    parts = [str(part) for part in path]
    at = max((index for index, part in enumerate(parts) if part in ("guardrails", "defaults", "ceilings")), default=-1)
    key = ".".join(parts[at + 1 :])
    known = key in BY_KEY or key in BESIDES or any(limit.guardrail == key for limit in LIMITS)
    why = refused(value)
    if at < 0 or not why:
        return ""
    if not known:  # storm, protect, ...: guardrails without a number
        return f"{why.capitalize()}. Remove it." if len(parts) == at + 2 else ""
    return f"{why.capitalize()}. {_next_step(key, value)}"


def shown(value: object) -> str:
    """A value as it is written in YAML."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case timedelta():
            return format_duration(value) if value >= timedelta(0) else f"{value.total_seconds():g}s"
        case str():
            return value if re.fullmatch(r"[\w.%/-]+", value) else f'"{value:.60}"'
        case float():
            return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, f"{value:g}")
        case _:
            return f"{value!s:.60}"
