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
        return list(Answer).index(self)


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


def gravest(verdicts: tuple[Verdict, ...]) -> Answer:
    """The answer that counts; PASS when there is none."""
    return max((v.answer for v in verdicts), key=lambda a: a.rank, default=Answer.PASS)
