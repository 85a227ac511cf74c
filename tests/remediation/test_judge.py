"""Verdicts: from tables, and by properties that hold for every sequence of samples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.playbooks.model import Verify
from remediator.remediation.judge import Judgement, is_worse, judge, worse_because
from remediator.remediation.samples import CheckAnswer, CheckSample, SampleSet

EFFECT = datetime(2025, 6, 1, 10, 0, tzinfo=UTC)
VERIFY = Verify()  # settle 60 s, every 15 s, 3 good, 3 bad, 10 min
ANSWERS: dict[str, CheckAnswer] = {"g": "good", "b": "bad", "u": "unknown", "c": "unknown"}


def after(seconds: float) -> datetime:
    return EFFECT + timedelta(seconds=seconds)


def one(check: str, letter: str, at: datetime, **more: Any) -> CheckSample:
    """`g`ood, `b`ad, `u`nknown or `c`learing."""
    return CheckSample(check=check, answer=ANSWERS[letter], detail="d", taken_at=at, clearing=letter == "c", **more)


def row(begin: float = 60, every: float = 15, available: int | None = 3, **letters: str) -> tuple[SampleSet, ...]:
    """One sample set for each letter: `row(rollout="ggg", alert_resolved="bgg")`. `.` = the check is missing there."""
    length = max(map(len, letters.values()))
    sets = []
    for n in range(length):
        at = after(begin + n * every)
        checks = tuple(one(name, text[n], at) for name, text in letters.items() if text[n] != ".")
        sets.append(SampleSet(taken_at=at, checks=checks, available=available))
    return tuple(sets)


def verdict(samples: tuple[SampleSet, ...], now: float = 300, **more: Any) -> str:
    return judge(None, samples, VERIFY.model_copy(update=more), EFFECT, after(now)).verdict


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        pytest.param({"a": "ggg"}, "succeeded", id="three good in a row"),
        pytest.param({"a": "gg"}, "pending", id="two good"),
        pytest.param({"a": "bbb"}, "failed", id="three bad in a row"),
        pytest.param({"a": "bb"}, "pending", id="two bad"),
        pytest.param({"a": "bbggg"}, "succeeded", id="bad, then recovered"),
        pytest.param({"a": "ggbgg"}, "pending", id="a bad one ends the row"),
        pytest.param({"a": "ggugg"}, "pending", id="what was not seen ends the row"),
        pytest.param({"a": "bbubb"}, "pending", id="of bad ones too"),
        pytest.param({"a": "uuuuuuu"}, "pending", id="nothing seen"),
        pytest.param({"a": "ggg", "b": "ggu"}, "pending", id="all checks must have succeeded"),
        pytest.param({"a": "ggg", "b": "bbb"}, "failed", id="any check that failed decides"),
        pytest.param({"a": "ggggg", "b": "uuggg"}, "succeeded", id="at the same time"),
        pytest.param({"a": "gggb", "b": "uggg"}, "pending", id="an old success does not outlive a bad sample"),
        pytest.param({"a": "ggg", "b": "gg."}, "pending", id="a check that is missing was not seen"),
        pytest.param({"a": "gggg", "b": "gg.g"}, "pending", id="and its row ends there"),
        pytest.param({"a": "bbbggg"}, "failed", id="failed stays failed"),
        pytest.param({"a": "gggbbb"}, "succeeded", id="succeeded stays succeeded"),
    ],
)
def test_rows(letters: dict[str, Any], expected: str) -> None:
    assert verdict(row(**letters)) == expected


@pytest.mark.parametrize(
    ("samples", "now", "expected"),
    [
        pytest.param((), 61, "pending", id="nothing yet"),
        pytest.param((), 600, "inconclusive", id="nothing at all by the timeout"),
        pytest.param(row(a="uuu"), 599, "pending", id="just before the timeout"),
        pytest.param(row(a="uuu"), 600, "inconclusive", id="at the timeout"),
        pytest.param(row(a="gg"), 600, "inconclusive", id="good, but not often enough"),
        pytest.param(row(a="ggg"), 600, "succeeded", id="proven before the timeout"),
        pytest.param((*row(a="uuu"), *row(begin=700, a="ggg")), 800, "succeeded", id="a later proof resolves it"),
        pytest.param(row(begin=0, a="ggg"), 60, "pending", id="before it settled nothing counts"),
        pytest.param(row(begin=0, a="bbbb"), 60, "pending", id="not even bad"),
        pytest.param(row(begin=45, a="gggg"), 120, "succeeded", id="only those after settling count"),
        pytest.param(row(begin=-60, a="ggggg"), 60, "pending", id="from before the effect"),
    ],
)
def test_times(samples: tuple[SampleSet, ...], now: float, expected: str) -> None:
    assert verdict(samples, now) == expected


def test_without_settling_the_moment_of_the_effect_itself_is_not_after_it() -> None:
    assert verdict(row(begin=0, a="ggg"), settle=timedelta(0)) == "pending"
    assert verdict(row(begin=0, a="gggg"), settle=timedelta(0)) == "succeeded"


def test_a_sample_of_the_very_moment_of_the_effect_is_no_proof_of_harm() -> None:
    verify = VERIFY.model_copy(update={"settle": timedelta(0), "failures": 1})
    (now,) = row(begin=0, available=2, a="b")
    assert judge(row(begin=-60, a="b")[0], (now,), verify, EFFECT, after(1)).worse_because == ()


def test_data_that_came_late_counts_after_an_answer_that_was_none() -> None:
    """An unknown answer has the time of asking, data have their own, which is earlier."""
    asked = [(75.0, "u", 75.0), *((90.0 + 15 * n, "g", 70.0 + 15 * n) for n in range(3))]
    samples = tuple(
        SampleSet(taken_at=after(at), checks=(one("a", letter, after(data)),)) for at, letter, data in asked
    )
    assert verdict(samples) == "succeeded"


def test_no_checks_prove_nothing() -> None:
    bare = tuple(SampleSet(taken_at=after(60 + n), checks=(), available=3) for n in range(5))
    assert verdict(bare) == "pending"
    assert verdict(bare, 600) == "inconclusive"


def repeated(letter: str, times: int, data_at: datetime) -> tuple[SampleSet, ...]:
    sets = [after(90 + 15 * n) for n in range(times)]
    return tuple(SampleSet(taken_at=at, checks=(one("a", letter, data_at),)) for at in sets)


@pytest.mark.parametrize("letter", ["g", "b"])
def test_the_same_data_seen_again_is_no_new_proof(letter: str) -> None:
    """A rule evaluated once and asked three times has been evaluated once."""
    assert verdict(repeated(letter, 5, after(70))) == "pending"


@pytest.mark.parametrize("letter", ["g", "b"])
def test_data_from_before_the_effect_never_counts(letter: str) -> None:
    assert verdict(repeated(letter, 5, EFFECT)) == "pending"
    stale = tuple(SampleSet(taken_at=after(90 + 15 * n), checks=(one("a", letter, after(-60 + n)),)) for n in range(5))
    assert verdict(stale) == "pending"


def test_the_same_data_with_two_answers_is_trusted_in_neither() -> None:
    sets = [
        SampleSet(taken_at=after(60), checks=(one("a", "g", after(60)),)),
        SampleSet(taken_at=after(75), checks=(one("a", "g", after(75)),)),
        SampleSet(taken_at=after(90), checks=(one("a", "b", after(75)),)),
        SampleSet(taken_at=after(105), checks=(one("a", "g", after(105)),)),
    ]
    assert verdict(tuple(sets)) == "pending"


def test_a_check_that_answers_twice_counts_with_the_worse_answer() -> None:
    sets = tuple(
        SampleSet(taken_at=at, checks=(one("a", "g", at), one("a", "b", at)))
        for at in (after(60), after(75), after(90))
    )
    assert verdict(sets) == "failed"


# --- clearing


@pytest.mark.parametrize(
    ("letters", "now", "expected", "clearing"),
    [
        pytest.param({"a": "ggg", "alert": "ccc"}, 200, "pending", True, id="all else is proven"),
        pytest.param({"a": "gg", "alert": "cc"}, 200, "pending", False, id="not all else yet"),
        pytest.param({"a": "ggg", "alert": "ccc"}, 900, "pending", True, id="the rule needs longer than the timeout"),
        pytest.param({"a": "gggg", "alert": "cccg"}, 900, "pending", True, id="gone, to be proven"),
        pytest.param({"a": "ggggg", "alert": "ccggg"}, 900, "succeeded", False, id="gone, and proven"),
        pytest.param({"a": "gggg", "alert": "cccu"}, 900, "pending", True, id="one blip while clearing"),
        pytest.param({"a": "gggggg", "alert": "cccuuu"}, 900, "inconclusive", False, id="lost sight of it"),
        pytest.param({"a": "ggggg", "alert": "cccbb"}, 900, "pending", True, id="its time is over, once and twice"),
        pytest.param({"a": "gggggg", "alert": "cccbbb"}, 900, "failed", False, id="its time is over"),
        pytest.param({"a": "ggu", "alert": "ccc"}, 900, "inconclusive", False, id="something else is unproven"),
        pytest.param({"alert": "ccc"}, 900, "pending", True, id="nothing else was asked"),
    ],
)
def test_clearing(letters: dict[str, Any], now: float, expected: str, clearing: bool) -> None:
    found = judge(None, row(**letters), VERIFY, EFFECT, after(now))
    assert (found.verdict, found.clearing) == (expected, clearing)
    assert found.summary.startswith("succeeded, alert clearing" if clearing else expected)


# --- worse


def measured(badness: float | None, *, available: int | None = 3, tolerance: float = 0.02, at: float = 60) -> SampleSet:
    check = one("error_ratio", "b", after(at), badness=badness, tolerance=tolerance)
    return SampleSet(taken_at=after(at), checks=(check,), available=available)


BEFORE = measured(0.2, at=-30)


@pytest.mark.parametrize(
    ("before", "now", "worse"),
    [
        pytest.param(BEFORE, measured(0.06), False, id="20 % to 6 %: failed, but better"),
        pytest.param(BEFORE, measured(0.2), False, id="no change"),
        pytest.param(BEFORE, measured(0.22), False, id="within the tolerance"),
        pytest.param(BEFORE, measured(0.23), True, id="beyond the tolerance"),
        pytest.param(BEFORE, measured(0.1, available=2), True, id="fewer available copies"),
        pytest.param(BEFORE, measured(0.1, available=4), False, id="more available copies"),
        pytest.param(BEFORE, measured(None), False, id="not seen now"),
        pytest.param(measured(None, at=-30), measured(0.9), False, id="not seen before"),
        pytest.param(BEFORE, measured(float("nan")), False, id="NaN"),
        pytest.param(BEFORE, measured(float("inf")), True, id="infinite"),
        pytest.param(BEFORE, measured(0.2, available=None), False, id="copies not seen now"),
        pytest.param(measured(0.2, available=None, at=-30), measured(0.2, available=0), False, id="nor before"),
        pytest.param(None, measured(0.9, available=0), False, id="no sample from before"),
        pytest.param(measured(0.2, tolerance=0.5, at=-30), measured(0.6), False, id="the wider tolerance counts"),
    ],
)
def test_worse(before: SampleSet | None, now: SampleSet, worse: bool) -> None:
    assert is_worse(before, now) is worse
    assert bool(worse_because(before, now)) is worse


def test_a_scale_up_that_does_not_come_up_misses_copies_but_has_lost_none() -> None:
    def copies(at: float, missing: float) -> SampleSet:
        checks = tuple(one(name, "b", after(at), badness=missing) for name in ("rollout", "pods_ready"))
        return SampleSet(taken_at=after(at), checks=checks, available=3)

    assert not is_worse(copies(-30, 0), copies(60, 2))


def test_worse_must_last_as_long_as_failing() -> None:
    """An undo must not rest on one blip."""

    def judged(*badness: float) -> Judgement:
        sets = tuple(measured(b, at=60 + 15 * n) for n, b in enumerate(badness))
        return judge(BEFORE, sets, VERIFY, EFFECT, after(200))

    assert judged(0.9, 0.9, 0.9).worse_because == ("error_ratio 0.2 -> 0.9",)
    assert judged(0.9, 0.9, 0.9).verdict == "failed"
    assert not judged(0.1, 0.1, 0.9).worse
    assert not judged(0.9, 0.9).worse


def test_worse_in_different_ways_at_different_times_is_not_lasting() -> None:
    sets = (measured(0.9, at=60), measured(0.1, available=1, at=75), measured(0.9, at=90))
    assert not judge(BEFORE, sets, VERIFY, EFFECT, after(200)).worse


def test_a_line_for_each_check() -> None:
    found = judge(BEFORE, row(rollout="gg", alert_resolved="ub"), VERIFY, EFFECT, after(80))
    assert found.lines == ("alert_resolved: bad 1/3 (d)", "rollout: good 2/3 (d)")
    assert found.summary == "pending: alert_resolved: bad 1/3 (d); rollout: good 2/3 (d)"
    assert judge(None, (), VERIFY, EFFECT, after(1)).lines == ("no sample yet; the first counts from 10:01:00 UTC",)


# --- properties

NAMES = ("a", "b", "c")


def sample_sets(letters: str = "gbuc") -> st.SearchStrategy[tuple[SampleSet, ...]]:
    """Up to ten sets of up to three checks, at any time, on data of any age, some checks missing."""
    moment = st.tuples(
        st.integers(-60, 900),
        st.text(letters + ".", min_size=3, max_size=3),
        st.sampled_from([0, 0, 0, 5, 120]),
        st.sampled_from([None, 0.0, 0.5, 1.0]),
        st.sampled_from([None, 1, 2, 3]),
    )
    return st.lists(moment, max_size=10).map(_sets)


def _sets(moments: list[tuple[int, str, int, float | None, int | None]]) -> tuple[SampleSet, ...]:
    sets = []
    for n, (second, letters, age, badness, available) in enumerate(moments):
        at = after(second + n / 1000)
        data_at = at - timedelta(seconds=age)
        named = zip(NAMES, letters, strict=True)
        checks = tuple(one(name, letter, data_at, badness=badness) for name, letter in named if letter != ".")
        sets.append(SampleSet(taken_at=at, checks=checks, available=available))
    return tuple(sets)


verifies = st.builds(
    Verify,
    settle=st.sampled_from([timedelta(0), timedelta(seconds=60)]),
    successes=st.integers(1, 4),
    failures=st.integers(1, 4),
)


@given(sample_sets(), verifies, st.integers(0, 1200), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    samples: tuple[SampleSet, ...], verify: Verify, now: int, random: Random
) -> None:
    shuffled = list(samples)
    random.shuffle(shuffled)
    assert judge(BEFORE, shuffled, verify, EFFECT, after(now)) == judge(BEFORE, samples, verify, EFFECT, after(now))


@given(sample_sets(letters="uc"), verifies, st.integers(0, 1200))
def test_nothing_is_proven_by_what_was_not_seen(samples: tuple[SampleSet, ...], verify: Verify, now: int) -> None:
    found = judge(BEFORE, samples, verify, EFFECT, after(now))
    assert found.verdict in ("pending", "inconclusive")


@given(sample_sets(), verifies)
def test_a_decision_is_kept_however_many_samples_follow(samples: tuple[SampleSet, ...], verify: Verify) -> None:
    in_order = sorted(samples, key=lambda s: s.taken_at)
    decided = ""
    for n in range(len(in_order) + 1):
        found = judge(None, in_order[:n], verify, EFFECT, EFFECT).verdict
        assert found == decided or not decided
        decided = found if found in ("succeeded", "failed") else ""


@given(sample_sets(), verifies, st.integers(0, 1200))
def test_success_needs_enough_fresh_good_samples_of_every_check(
    samples: tuple[SampleSet, ...], verify: Verify, now: int
) -> None:
    if judge(None, samples, verify, EFFECT, after(now)).verdict != "succeeded":
        return
    counted = [s for s in samples if s.taken_at > EFFECT and s.taken_at >= EFFECT + verify.settle]
    first = min((s for s in counted if s.checks), key=lambda s: s.taken_at)
    for name in {c.check for c in first.checks}:
        data = {c.taken_at for s in counted for c in s.checks if (c.check, c.answer) == (name, "good")}
        assert len([at for at in data if at > EFFECT]) >= verify.successes


@given(sample_sets(), verifies, st.integers(0, 1200))
def test_failure_needs_enough_fresh_bad_samples_of_one_check(
    samples: tuple[SampleSet, ...], verify: Verify, now: int
) -> None:
    if judge(None, samples, verify, EFFECT, after(now)).verdict != "failed":
        return
    data = {n: {c.taken_at for s in samples for c in s.checks if (c.check, c.answer) == (n, "bad")} for n in NAMES}
    assert any(len([at for at in times if at > EFFECT]) >= verify.failures for times in data.values())


@given(sample_sets(), verifies)
def test_by_the_timeout_there_is_an_answer_or_an_alert_that_is_clearing(
    samples: tuple[SampleSet, ...], verify: Verify
) -> None:
    found = judge(None, samples, verify, EFFECT, EFFECT + verify.timeout)
    assert found.verdict != "pending" or found.clearing
