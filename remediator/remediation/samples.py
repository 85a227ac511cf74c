"""What verification measured, as values that `decide` counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

CheckAnswer = Literal["good", "bad", "unknown"]
"""`unknown`: no data, NaN, stale, partial, an error, or neither good nor bad. It never counts as either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSample:
    """One check, asked once. `value` is comparable with the one taken at planning (higher `badness` is worse):

    `badness` is a number to compare now with before (missing copies, error ratio, seconds of latency, firing alerts),
    None when the check has none or could not see. `taken_at` is the time of the data, not of the question, UTC.
    """

    check: str
    answer: CheckAnswer
    detail: str
    taken_at: datetime
    badness: float | None = None
    tolerance: float = 0.0
    """How much worse than before still counts as not worse."""
    clearing: bool = False
    """For alert_resolved: still firing, but within the time the rule needs to see the repair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """All checks of a playbook, asked at one moment. `available` = available copies of the target, None = cannot
    see."""

    taken_at: datetime
    checks: tuple[CheckSample, ...]
    available: int | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
