"""What a guardrail answers: an answer, one line of reason, its numbers, and when or how the answer changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Answer(StrEnum):
    """Mildest first; the answer of all guardrails together is the gravest one."""

    NOT_APPLICABLE = "not_applicable"
    PASS = "pass"  # noqa: S105  (no password)
    ASK = "ask"
    """May run, but only after a person approved."""
    SUGGEST = "suggest"
    """Will not run; tell people what it would have done."""
    HOLD = "hold"
    """Not now; re-checked by itself."""
    DENY = "deny"
    """No, for good."""

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS: Mapping[Answer, int] = {answer: rank for rank, answer in enumerate(Answer)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One guardrail's answer.

    `guardrail` is its name, a closed set (metric label). `reason` is for people, one line with the numbers in it
    (`3 of 5 ready, this takes 1 ready copy, 3 must remain`); `changes` says when or how the answer changes
    (`Passes when ready >= 4`); `cannot_see` marks a hold for a fact that could not be read.
    `facts` are the numbers, JSON values only. `brief` is how it reads in a list of several, where it has a shorter way
    to say it than `guardrail (reason; changes)`.
    """

    guardrail: str
    answer: Answer
    reason: str = ""
    changes: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    cannot_see: bool = False
    brief: str = ""
    seen: Mapping[str, str] = field(default_factory=dict)
    """Fact -> `SOURCE at TIME`, for what it looked at. Filled in by `evaluate`, for the record."""

    def __post_init__(self) -> None:
        """What others wrote (a pause's reason, an error's text) may have line breaks; an explanation is one line."""
        for name in ("reason", "changes", "brief"):
            object.__setattr__(self, name, " ".join(getattr(self, name).split()))


def gravest(verdicts: tuple[Verdict, ...]) -> Answer:
    """The answer that counts; PASS when there is none."""
    return max((v.answer for v in verdicts), key=lambda a: a.rank, default=Answer.PASS)
