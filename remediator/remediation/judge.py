"""From samples to a verdict. Pure: the same samples give the same verdict whenever they are judged.

Good or bad must come several times in a row, each time on newer data, after a settling time. Three lines decide:
any check failed -> failed; all checks succeeded -> succeeded; the timeout with neither -> inconclusive. The verdict is
the first one that the samples reach in the order of their times, so judging again with more samples never turns a
success into a failure. After an inconclusive one sampling goes on, and a later proof still counts.

An unknown answer ends a row: what could not be seen is neither good nor bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from remediator.playbooks.model import Verify
from remediator.remediation.samples import CheckSample, SampleSet

VerdictWord = Literal["pending", "succeeded", "failed", "inconclusive"]

COPY_CHECKS = frozenset({"rollout", "pods_ready"})
"""Their badness (missing copies) is for people. Worse is judged by `SampleSet.available` instead: a scale-up that has
not come up misses copies and yet has lost none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the samples prove. `lines` has one line a check, for people; `worse_because` the numbers behind `worse`.

    `worse`: measurably worse than before the change, in each of the latest samples. `clearing`: everything else is
    proven and the alert is within the time its rule needs to see it ("succeeded, alert clearing").
    """

    verdict: VerdictWord
    lines: tuple[str, ...] = ()
    clearing: bool = False
    worse_because: tuple[str, ...] = ()

    @property
    def worse(self) -> bool:
        return bool(self.worse_because)

    @property
    def summary(self) -> str:
        """One line."""
        word = "succeeded, alert clearing" if self.clearing and self.verdict == "pending" else self.verdict
        parts = [*self.lines, *(f"worse: {why}" for why in self.worse_because)]
        return f"{word}: {'; '.join(parts)}" if parts else word


@dataclass(slots=True)
class _Row:
    """One check's answers so far."""

    latest: CheckSample | None = None
    data_at: datetime | None = None
    good: int = 0
    bad: int = 0
    since_clearing: int | None = None
    """Sample sets since the check was last clearing; None = never."""

    def count(self, sample: CheckSample | None, effect_at: datetime) -> None:
        self.since_clearing = None if self.since_clearing is None else self.since_clearing + 1
        self.latest = sample
        if sample is None or sample.taken_at <= effect_at or sample.answer == "unknown":
            self.good = self.bad = 0
        elif self.data_at is None or sample.taken_at > self.data_at:
            self.good = self.good + 1 if sample.answer == "good" else 0
            self.bad = self.bad + 1 if sample.answer == "bad" else 0
            self.data_at = sample.taken_at
        elif (sample.answer == "good") != (self.good > 0):
            self.good = self.bad = 0  # the same data with another answer: trust neither
        if sample is not None and sample.clearing and sample.taken_at > effect_at:
            self.since_clearing = 0


def judge(
    before: SampleSet | None, samples: Sequence[SampleSet], verify: Verify, effect_at: datetime, now: datetime
) -> Judgement:
    """The verdict at `now`. `before` was taken at planning; `samples` may come in any order."""
    counted = sorted((s for s in samples if s.taken_at > effect_at), key=_sort_key)
    counted = [s for s in counted if s.taken_at >= effect_at + verify.settle]
    rows: dict[str, _Row] = {}
    verdict: VerdictWord = "pending"
    used = 0
    for sample_set in counted:
        used += 1
        answers = _by_name(sample_set)
        for name in {*rows, *answers}:
            rows.setdefault(name, _Row()).count(answers.get(name), effect_at)
        if any(row.bad >= verify.failures for row in rows.values()):
            verdict = "failed"
            break
        if rows and all(row.good >= verify.successes for row in rows.values()):
            verdict = "succeeded"
            break
    clearing = verdict == "pending" and _only_clearing(rows, verify)
    if verdict == "pending" and now >= effect_at + verify.timeout and not clearing:
        verdict = "inconclusive"
    return Judgement(
        verdict=verdict,
        lines=tuple(_line(name, row, verify) for name, row in sorted(rows.items()))
        or (_nothing_yet(verify, effect_at),),
        clearing=clearing,
        worse_because=_worse_in_each(before, counted[:used][-verify.failures :], verify.failures),
    )


def is_worse(before: SampleSet | None, now: SampleSet) -> bool:
    """Whether one sample is measurably worse than the one taken at planning."""
    return bool(worse_because(before, now))


def worse_because(before: SampleSet | None, now: SampleSet) -> tuple[str, ...]:
    """Every number that is measurably worse than at planning. What could not be seen then or now is never worse."""
    if before is None:
        return ()
    found = []
    if before.available is not None and now.available is not None and now.available < before.available:
        found.append(f"available copies {before.available} -> {now.available}")
    then = _by_name(before)
    for name, sample in sorted(_by_name(now).items()):
        was = then.get(name)
        if was is None or was.badness is None or sample.badness is None or name.partition(" ")[0] in COPY_CHECKS:
            continue
        if sample.badness > was.badness + max(was.tolerance, sample.tolerance):
            found.append(f"{name} {was.badness:.4g} -> {sample.badness:.4g}")
    return tuple(found)


def _worse_in_each(before: SampleSet | None, latest: Sequence[SampleSet], needed: int) -> tuple[str, ...]:
    """Worse in every one of the latest samples: an undo must not rest on one blip."""
    if len(latest) < needed:
        return ()
    each = [worse_because(before, s) for s in latest]
    subjects = set.intersection(*({_subject(w) for w in found} for found in each)) if each else set()
    return tuple(w for w in each[-1] if _subject(w) in subjects) if each else ()


def _subject(line: str) -> str:
    """What a line of `worse_because` is about: all but its numbers."""
    return line.rpartition(" -> ")[0].rpartition(" ")[0]


def _only_clearing(rows: dict[str, _Row], verify: Verify) -> bool:
    """Everything is proven but alerts that were clearing a moment ago (their row of good answers may have begun)."""
    open_rows = [r for r in rows.values() if r.good < verify.successes]
    recently = max(verify.successes, verify.failures)
    return bool(open_rows) and all(r.since_clearing is not None and r.since_clearing < recently for r in open_rows)


def _by_name(sample_set: SampleSet) -> dict[str, CheckSample]:
    """A check that is there twice counts with its worse answer."""
    found: dict[str, CheckSample] = {}
    for sample in sorted(sample_set.checks, key=lambda c: ("good", "unknown", "bad").index(c.answer)):
        found[sample.check] = sample
    return found


def _sort_key(sample_set: SampleSet) -> tuple[object, ...]:
    """By time; the rest only settles ties, so that the order of arrival never matters."""
    ties = ((c.check, c.answer, c.taken_at, c.clearing, c.badness or 0.0, c.detail) for c in sample_set.checks)
    return sample_set.taken_at, tuple(ties), -1 if sample_set.available is None else sample_set.available


def _line(name: str, row: _Row, verify: Verify) -> str:
    if row.latest is None:
        return f"{name}: not sampled"
    counts = {
        "good": f"good {row.good}/{verify.successes}",
        "bad": f"bad {row.bad}/{verify.failures}",
        "unknown": "unknown",
    }
    word = "clearing" if row.latest.clearing else counts[row.latest.answer]
    return f"{name}: {word} ({row.latest.detail})"


def _nothing_yet(verify: Verify, effect_at: datetime) -> str:
    return f"no sample yet; the first counts from {effect_at + verify.settle:%H:%M:%S} UTC"
