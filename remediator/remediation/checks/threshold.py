"""`< 0.02`, `>= 99%`, `< 500ms`: a comparison that an author wrote, parsed once."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

Operator = Literal["<", "<=", ">", ">=", "==", "!="]

_TEXT = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(%|ms|s|m|h)?\s*")
_UNITS = {"": 1.0, "%": 0.01, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Threshold:
    """A comparison with one number. Percent become ratios, durations become seconds."""

    op: Operator
    value: float

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Raises: ValueError."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f'expected a comparison such as "< 0.02", ">= 99%" or "< 500ms", got {text[:60]!r}')
        value = float(match[2]) * _UNITS[match[3] or ""]
        if not math.isfinite(value):
            raise ValueError(f"{text[:60]!r} compares with no finite number")
        return cls(match[1], value)  # type: ignore[arg-type]  # the expression admits only operators

    def holds(self, value: float) -> bool:
        """Whether a measured value satisfies it. NaN satisfies nothing, not even `!=`."""
        if math.isnan(value):
            return False
        match self.op:
            case "<":
                return value < self.value
            case "<=":
                return value <= self.value
            case ">":
                return value > self.value
            case ">=":
                return value >= self.value
            case "==":
                return value == self.value
            case "!=":
                return value != self.value

    def badness(self, value: float) -> float | None:
        """The value turned so that higher is worse, seen from a success threshold; None where neither way is."""
        if self.op in ("<", "<="):
            return value
        if self.op in (">", ">="):
            return -value
        return None

    def overlaps(self, other: Threshold) -> bool:
        """Whether some number satisfies both."""
        mine, theirs = self.value, other.value
        probes = {mine, theirs, (mine + theirs) / 2, min(mine, theirs) - 1, max(mine, theirs) + 1}
        return any(self.holds(p) and other.holds(p) for p in probes)

    def __str__(self) -> str:
        return f"{self.op} {self.value:g}"


def _check(text: str) -> str:
    if "${" not in text:
        Threshold.parse(text)
    return text


ThresholdText = Annotated[str, AfterValidator(_check)]
"""A threshold in a playbook: checked at load, unless it holds `${...}`."""
