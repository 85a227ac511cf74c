"""`storm`: many targets at once hold everything; few do not; it ends by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.guardrails.explain import explain
from remediator.guardrails.facts import Arrival, Facts, Parent, Storm
from remediator.guardrails.order import Guard, evaluate
from remediator.guardrails.storm import READS, check, goes_on, last_peak, limit_for, over_at
from remediator.guardrails.verdict import Answer
from tests.guardrails.make import facts

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def arrivals(*seconds_ago: float, same: bool = False) -> tuple[Arrival, ...]:
    return tuple(
        Arrival(target_key="one" if same else f"t{n}", at=NOW - timedelta(seconds=s)) for n, s in enumerate(seconds_ago)
    )


@pytest.mark.parametrize(("workloads", "limit"), [(0, 5), (100, 5), (300, 6), (1000, 20)])
def test_the_limit_grows_with_the_cluster(workloads: int, limit: int) -> None:
    assert limit_for(workloads) == limit


@pytest.mark.parametrize(
    ("found", "storm"),
    [
        pytest.param(arrivals(*[1] * 5), False, id="as many as the limit"),
        pytest.param(arrivals(*[1] * 6), True, id="one more"),
        pytest.param(arrivals(*[1] * 6, same=True), False, id="six times the same target"),
        pytest.param(arrivals(0, 70, 140, 210, 280, 350), False, id="six within six minutes"),
        pytest.param(arrivals(*[600] * 6), True, id="ten minutes ago: not yet quiet for fifteen"),
        pytest.param(arrivals(*[1300] * 6), False, id="long ago"),
    ],
)
def test_what_is_a_storm(found: tuple[Arrival, ...], storm: bool) -> None:
    assert (last_peak(found, 5, NOW) is not None) is storm


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        pytest.param(arrivals(*[1] * 5), Answer.PASS, id="as many as the limit"),
        pytest.param(arrivals(*[1] * 6), Answer.HOLD, id="one more"),
        pytest.param(arrivals(*[899] * 6), Answer.HOLD, id="quiet for just under fifteen minutes"),
        pytest.param(arrivals(*[900] * 6), Answer.PASS, id="quiet for fifteen minutes"),
    ],
)
def test_everything_is_held_until_it_is_quiet(found: tuple[Arrival, ...], answer: Answer) -> None:
    assert check(facts(now=NOW, arrivals=found)).answer is answer


def test_it_says_how_many_and_until_when() -> None:
    verdict = check(facts(now=NOW, arrivals=arrivals(*[60] * 9)))
    assert verdict.reason == "9 targets in 5m (limit 5); one shared cause is likely"
    assert verdict.changes == "over at 03:14 UTC if no more come"
    verdict = check(facts(now=NOW, arrivals=arrivals(*[60] * 9), known_workloads=1000))
    assert (verdict.answer, verdict.reason) == (Answer.PASS, "9 targets in 5m, a storm is more than 20")


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(minutes=30), timedelta(hours=1)])
def test_a_clock_that_was_set_back_does_not_end_it(ahead: timedelta) -> None:
    """What came later than now came now."""
    found = tuple(Arrival(target_key=f"t{n}", at=NOW + ahead) for n in range(6))
    assert last_peak(found, 5, NOW) == (NOW, 6)
    assert check(facts(now=NOW, arrivals=found)).answer is Answer.HOLD


def slow_peak(found: tuple[Arrival, ...], limit: int, now: datetime) -> tuple[datetime, int] | None:
    """By its definition: for each arrival the distinct targets of the five minutes that end with it."""
    times = [(min(a.at, now), a.target_key) for a in found if a.at > now - timedelta(minutes=20)]
    peaks = []
    for at, _ in times:
        targets = {key for other, key in times if at - timedelta(minutes=5) < other <= at}
        if len(targets) > limit:
            peaks.append((at, len(targets)))
    return max(peaks, default=None)


histories = st.lists(
    st.builds(
        Arrival,
        target_key=st.sampled_from("abcdefgh"),
        at=st.integers(-300, 1500).map(lambda s: NOW - timedelta(seconds=s)),
    ),
    max_size=25,
).map(tuple)


@given(histories, st.integers(1, 5))
def test_the_last_peak_is_what_its_definition_says(found: tuple[Arrival, ...], limit: int) -> None:
    assert last_peak(found, limit, NOW) == slow_peak(found, limit, NOW)


# --- on record --------------------------------------------------------------------------------------------------------


def on_record(**changes: object) -> Storm:
    values: dict[str, object] = {
        "id": "s-1",
        "cluster": "prod",
        "opened_at": NOW - timedelta(minutes=20),
        "peak_at": NOW - timedelta(minutes=1),
        "targets": 9,
        "limit": 5,
        "members": tuple(f"r-{n}" for n in range(9)),
        "service": "payments",
        "version": 1,
        **changes,
    }
    return Storm(**values)  # type: ignore[arg-type]


def test_what_is_on_record_holds_until_it_is_closed() -> None:
    verdict = check(facts(now=NOW, storm=on_record()))
    assert verdict.answer is Answer.HOLD
    assert explain([verdict]) == (
        "HELD: storm. 9 targets in 5m (limit 5); one shared cause is likely. Paged payments once for all 9 that are "
        "held; over at 03:14 UTC if no more come."
    )
    late = check(facts(now=NOW, storm=on_record(peak_at=NOW - timedelta(minutes=16))))
    assert (late.answer, late.changes) == (
        Answer.HOLD,
        "paged payments once for all 9 that are held; about to be over if no more come",
    )


def test_more_arrivals_move_its_end_along() -> None:
    verdict = check(facts(now=NOW, storm=on_record(service=""), arrivals=arrivals(*[10] * 7)))
    assert verdict.reason.startswith("9 targets in 5m"), "the most there were"
    assert verdict.changes == "over at 03:14 UTC if no more come"
    assert over_at([verdict], NOW) == NOW - timedelta(seconds=10) + timedelta(minutes=15)


def test_what_was_said_in_chat_only_was_no_page() -> None:
    verdict = check(facts(now=NOW, storm=on_record(service="", channels=("C0OPS",))))
    assert verdict.changes.startswith("said once in chat for all 9")


# --- a common parent --------------------------------------------------------------------------------------------------


def with_parent(members: int, of: int, **changes: object) -> Facts:
    return facts(now=NOW, storm=on_record(), parent=Parent(what="Node n1", members=members, of=of), **changes)


@pytest.mark.parametrize(
    ("members", "of", "answer"),
    [(8, 9, Answer.ASK), (4, 5, Answer.ASK), (7, 9, Answer.HOLD), (79, 100, Answer.HOLD), (0, 0, Answer.HOLD)],
)
def test_what_stands_under_four_fifths_may_go_on_when_a_person_agrees(members: int, of: int, answer: Answer) -> None:
    verdict = check(with_parent(members, of))
    assert verdict.answer is answer
    assert bool(goes_on([verdict])) is (answer is Answer.ASK)
    assert f"Node n1 stands under {members} of {of} of them" in verdict.reason
    approved = check(with_parent(members, of, approved=True))
    assert approved.answer is (Answer.PASS if answer is Answer.ASK else Answer.HOLD)


def test_without_a_storm_nobody_asks_about_parents() -> None:
    assert check(facts(now=NOW, parent=Parent(what="Node n1", members=9, of=9))).answer is Answer.PASS


@pytest.mark.parametrize("fact", sorted(READS))
def test_what_cannot_be_read_holds(fact: str) -> None:
    (verdict,) = evaluate(facts(now=NOW, unknown={fact: "no answer"}), (Guard("storm", READS, check),))
    assert (verdict.answer, verdict.cannot_see) == (Answer.HOLD, True)
    assert over_at([verdict], NOW) is None, "no storm is told for it, so it tells by itself"
