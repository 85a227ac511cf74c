"""Locks, slots and tokens: all or nothing, never one too many."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.adapters.sql.journal import SqlJournal
from remediator.guardrails.verdict import Answer, Verdict
from remediator.remediation.journal import ReservationRefused
from remediator.remediation.state import Remediation, State, StepOutcome
from tests.journal.given import HOUR, MANY, MINUTE, SECOND, attempt, begun, ended, moved, opened, request, reserved, to
from tests.support.building import NOW


async def _refused(journal: SqlJournal, r: Remediation, *, now: datetime = NOW, **changes: Any) -> Verdict:
    """The first verdict of a refusal that has changed nothing."""
    result = await journal.commit(to(r, State.RESERVED, reserve=True), now, holder="", reserve=request(r, **changes))
    assert isinstance(result, ReservationRefused), result
    assert await journal.get(r.id) == r
    assert all(v.answer is Answer.HOLD and v.reason and v.changes for v in result.verdicts)
    return result.verdicts[0]


async def test_a_reservation_gives_an_epoch_and_shows_as_a_run(journal: SqlJournal) -> None:
    r = await opened(journal)
    taken = await reserved(journal, r, now=NOW + SECOND)
    assert taken.epoch > 0
    assert (taken.state, taken.version) == (State.RESERVED, 1)
    assert await journal.get(r.id) == taken
    (run,) = await journal.runs(NOW + SECOND, HOUR)
    assert (run.remediation_id, run.episode_id, run.playbook) == (r.id, "e-1", "scale-api")
    assert (run.cluster, run.namespace, run.target_key) == ("c1", "shop", "c1/Deployment/shop/svc1")
    assert (run.reserved_at, run.ended_at, run.outcome) == (NOW + SECOND, None, "")
    assert (run.direction, run.tokens_back) == ("up", False)


async def test_epochs_are_never_given_twice(journal: SqlJournal) -> None:
    epochs = [(await reserved(journal, await opened(journal, n))).epoch for n in range(1, 6)]
    assert epochs == sorted(set(epochs))


async def test_a_lock_is_held_once(journal: SqlJournal) -> None:
    await reserved(journal, await opened(journal, 1), locks=("c1/Node//n1", "c1/Deployment/shop/api"))
    other = await opened(journal, 2)
    verdict = await _refused(journal, other, locks=("c1/Deployment/shop/api", "c1/Pod/shop/x"))
    assert (verdict.guardrail, verdict.reason) == ("in_flight", "c1/Deployment/shop/api locked by r-1")
    await reserved(journal, other, locks=("c1/Pod/shop/x",))  # a refusal has taken no lock


async def test_all_of_several_locks_are_taken(journal: SqlJournal) -> None:
    keys = ("c1/Deployment/shop/api", "c1/HorizontalPodAutoscaler/shop/api", "c1/Pod/shop/api-1")
    await reserved(journal, await opened(journal, 1), locks=keys)
    for number, key in enumerate(keys, 2):
        verdict = await _refused(journal, await opened(journal, number), locks=(key,))
        assert f"{key} locked by r-1" in verdict.reason


async def test_an_ending_frees_the_lock(journal: SqlJournal) -> None:
    await ended(journal, await reserved(journal, await opened(journal, 1), locks=("k",)))
    await reserved(journal, await opened(journal, 2), locks=("k",))


@pytest.mark.parametrize(
    ("limit", "same", "other"),
    [
        pytest.param("in_flight_target", {}, {"target_key": "elsewhere"}, id="target"),
        pytest.param("in_flight_playbook", {}, {"namespace": "elsewhere"}, id="playbook in this namespace"),
        pytest.param("in_flight_playbook", {}, {"playbook": "another"}, id="this playbook"),
        pytest.param("in_flight_playbook", {}, {"cluster": "elsewhere"}, id="playbook in this cluster"),
        pytest.param("in_flight_cluster", {"playbook": "another"}, {"cluster": "elsewhere"}, id="cluster"),
        pytest.param("in_flight_everywhere", {"cluster": "elsewhere"}, None, id="everywhere"),
        pytest.param("rate_target", {}, {"target_key": "elsewhere"}, id="rate target"),
        pytest.param("rate_playbook", {}, {"namespace": "elsewhere"}, id="rate playbook in this namespace"),
        pytest.param("rate_playbook", {}, {"playbook": "another"}, id="rate this playbook"),
        pytest.param("rate_playbook", {}, {"cluster": "elsewhere"}, id="rate playbook in this cluster"),
        pytest.param("rate_namespace", {"playbook": "another"}, {"namespace": "elsewhere"}, id="rate namespace"),
        pytest.param("rate_namespace", {}, {"cluster": "elsewhere"}, id="rate namespace in this cluster"),
        pytest.param("rate_cluster", {"namespace": "another"}, {"cluster": "elsewhere"}, id="rate cluster"),
    ],
)
async def test_each_limit_counts_its_own_scope(
    journal: SqlJournal, limit: str, same: dict[str, Any], other: dict[str, Any] | None
) -> None:
    """Two are allowed in the scope; the third is refused, one outside the scope is not."""
    for number in (1, 2):
        await reserved(journal, await opened(journal, number), target_key="t", **same)
    changed: dict[str, Any] = {limit: 2}
    limits = replace(MANY, **changed)
    third = await opened(journal, 3)
    verdict = await _refused(journal, third, target_key="t", limits=limits)
    kind, scope = limit.rsplit("_", 1)
    assert verdict.guardrail == {"in_flight": "in_flight", "rate": "rate_limit"}[kind]
    assert f"{scope} 2/2" in verdict.reason
    if other is not None:
        await reserved(journal, third, **{"target_key": "t", **other}, limits=limits)


async def test_all_that_stands_in_the_way_is_said(journal: SqlJournal) -> None:
    await reserved(journal, await opened(journal, 1), locks=("k",), target_key="t")
    limits = replace(MANY, in_flight_target=1, rate_target=1)
    r = await opened(journal, 2)
    decision = to(r, State.RESERVED, reserve=True)
    result = await journal.commit(
        decision, NOW, holder="", reserve=request(r, locks=("k",), target_key="t", limits=limits)
    )
    assert isinstance(result, ReservationRefused)
    assert [v.guardrail for v in result.verdicts] == ["in_flight", "in_flight", "rate_limit"]


async def test_a_slot_is_free_after_the_end_a_token_is_not(journal: SqlJournal) -> None:
    await ended(journal, await reserved(journal, await opened(journal, 1), target_key="t"))
    r = await opened(journal, 2)
    verdict = await _refused(journal, r, target_key="t", limits=replace(MANY, in_flight_target=1, rate_target=1))
    assert verdict.guardrail == "rate_limit"


async def test_the_window_slides(journal: SqlJournal) -> None:
    limits = replace(MANY, rate_target=2)
    for number, minute in ((1, 0), (2, 50)):
        now = NOW + minute * MINUTE
        await reserved(journal, await opened(journal, number), now=now, target_key="t", limits=limits)
    third = await opened(journal, 3)
    verdict = await _refused(journal, third, now=NOW + HOUR - SECOND, target_key="t", limits=limits)
    assert verdict.changes == "next token at 04:00 UTC"
    await reserved(journal, third, now=NOW + HOUR, target_key="t", limits=limits)
    fourth = await opened(journal, 4)
    verdict = await _refused(journal, fourth, now=NOW + 109 * MINUTE, target_key="t", limits=limits)
    assert verdict.changes == "next token at 04:50 UTC"


async def test_a_clock_set_back_makes_no_tokens(journal: SqlJournal) -> None:
    """Neither while it is wrong nor once it is right again."""
    limits = replace(MANY, rate_target=2)
    await reserved(journal, await opened(journal, 1), target_key="t", limits=limits)
    await reserved(journal, await opened(journal, 2), now=NOW - 2 * HOUR, target_key="t", limits=limits)
    third = await opened(journal, 3)
    await _refused(journal, third, now=NOW - 2 * HOUR + MINUTE, target_key="t", limits=limits)
    await _refused(journal, third, now=NOW + MINUTE, target_key="t", limits=limits)
    await reserved(journal, third, now=NOW + HOUR, target_key="t", limits=limits)


async def test_what_is_given_back_was_never_spent(journal: SqlJournal) -> None:
    limits = replace(MANY, rate_target=1, in_flight_target=1)
    first = await reserved(journal, await opened(journal, 1), target_key="t", locks=("k",), limits=limits)
    back = await moved(journal, to(first, State.HELD, release=True, refund=True, epoch=0), now=NOW + SECOND)
    assert back.epoch == 0
    (run,) = await journal.runs(NOW + SECOND, HOUR)
    assert (run.tokens_back, run.ended_at) == (True, NOW + SECOND)
    await reserved(journal, await opened(journal, 2), target_key="t", locks=("k",), limits=limits)


async def test_reserving_anew_is_one_run_again(journal: SqlJournal) -> None:
    limits = replace(MANY, rate_target=1, in_flight_target=1)
    first = await reserved(journal, await opened(journal), limits=limits)
    back = await moved(journal, to(first, State.PLANNED, release=True, refund=True, epoch=0))
    again = await reserved(journal, back, now=NOW + MINUTE, limits=limits)
    assert again.epoch > first.epoch
    refunded, running = await journal.runs(NOW + MINUTE, HOUR)
    assert (refunded.tokens_back, running.tokens_back) == (True, False)
    assert (refunded.ended_at, running.ended_at) == (NOW, None)
    await ended(journal, again, now=NOW + HOUR)
    assert [run.ended_at for run in await journal.runs(NOW + HOUR, 2 * HOUR)] == [NOW, NOW + HOUR]


async def test_own_locks_and_tokens_are_no_obstacle(journal: SqlJournal) -> None:
    """Should it ever reserve without having given back, it counts as the one remediation that it is."""
    limits = replace(MANY, rate_target=1, in_flight_target=1, in_flight_playbook=1)
    first = await reserved(journal, await opened(journal), limits=limits)
    again = await reserved(journal, first, now=NOW + MINUTE, limits=limits)
    assert again.epoch > first.epoch
    assert [run.ended_at is None for run in await journal.runs(NOW + MINUTE, HOUR)].count(True) == 1


async def test_to_others_too_it_is_one_remediation(journal: SqlJournal) -> None:
    first = await reserved(journal, await opened(journal, 1), target_key="t")
    await reserved(journal, first, now=NOW + MINUTE, target_key="t")
    limits = replace(MANY, rate_target=2)
    await reserved(journal, await opened(journal, 2), now=NOW + MINUTE, target_key="t", limits=limits)
    verdict = await _refused(journal, await opened(journal, 3), now=NOW + MINUTE, target_key="t", limits=limits)
    assert verdict.changes == "next token at 04:01 UTC", "when its latest reservation is old enough"


async def test_a_release_without_refund_keeps_the_token(journal: SqlJournal) -> None:
    """Inconclusive: the target is free for people and others, but something was done to it."""
    first = await reserved(journal, await opened(journal, 1), target_key="t", locks=("k",))
    r = await moved(journal, to(first, State.INCONCLUSIVE, release=True, outcome=StepOutcome.INCONCLUSIVE))
    (run,) = await journal.runs(NOW, HOUR)
    assert (run.ended_at, run.outcome, run.tokens_back) == (NOW, "inconclusive", False)
    second = await opened(journal, 2)
    verdict = await _refused(
        journal, second, locks=("k",), target_key="t", limits=replace(MANY, in_flight_target=1, rate_target=1)
    )
    assert verdict.guardrail == "rate_limit"
    await ended(journal, r, now=NOW + MINUTE)
    (run,) = await journal.runs(NOW + MINUTE, HOUR)
    assert (run.ended_at, run.outcome) == (NOW + MINUTE, "succeeded")


# Runs -----------------------------------------------------------------------------------------------------------------


async def test_runs_reach_as_far_back_as_asked(journal: SqlJournal) -> None:
    await reserved(journal, await opened(journal, 1))
    second = await reserved(journal, await opened(journal, 2))
    await ended(journal, second, now=NOW + HOUR)
    third = await reserved(journal, await opened(journal, 3))
    await ended(journal, third, now=NOW + MINUTE)
    now = NOW + 90 * MINUTE
    assert [run.remediation_id for run in await journal.runs(now, 2 * HOUR)] == ["r-1", "r-2", "r-3"]
    assert [run.remediation_id for run in await journal.runs(now, HOUR)] == ["r-1", "r-2"]
    assert [run.remediation_id for run in await journal.runs(now, MINUTE)] == ["r-1"]


async def test_a_run_that_was_released_lately_is_in_reach(journal: SqlJournal) -> None:
    """Inconclusive: not ended, no longer running; the cooldown needs to see it."""
    r = await reserved(journal, await opened(journal))
    await moved(journal, to(r, State.INCONCLUSIVE, release=True), now=NOW + 2 * HOUR)
    assert len(await journal.runs(NOW + 2 * HOUR + MINUTE, HOUR)) == 1
    assert await journal.runs(NOW + 3 * HOUR, HOUR) == ()


async def test_a_run_that_a_wrong_clock_released_is_in_reach(journal: SqlJournal) -> None:
    r = await reserved(journal, await opened(journal))
    await moved(journal, to(r, State.INCONCLUSIVE, release=True), now=NOW - 2 * HOUR)
    assert len(await journal.runs(NOW + MINUTE, HOUR)) == 1


@pytest.mark.parametrize(
    ("state", "outcome", "shown"),
    [
        pytest.param(State.SUCCEEDED, StepOutcome.NONE, "succeeded", id="succeeded"),
        pytest.param(State.ESCALATED, StepOutcome.UNDONE, "undone", id="undone"),
        pytest.param(State.SUPERSEDED, StepOutcome.NONE, "superseded", id="superseded"),
    ],
)
async def test_a_run_says_how_it_ended(journal: SqlJournal, state: State, outcome: StepOutcome, shown: str) -> None:
    await ended(journal, await reserved(journal, await opened(journal)), state, now=NOW + MINUTE, outcome=outcome)
    (run,) = await journal.runs(NOW + MINUTE, HOUR)
    assert (run.outcome, run.ended_at) == (shown, NOW + MINUTE)


async def test_a_remediation_that_reserved_nothing_is_no_run(journal: SqlJournal) -> None:
    await ended(journal, await opened(journal), State.DENIED)
    assert await journal.runs(NOW, HOUR) == ()


# Rungs ----------------------------------------------------------------------------------------------------------------


async def _passed_on(journal: SqlJournal, **changes: Any) -> tuple[Remediation, Remediation]:
    """A parent that failed, and the child that has its locks and slot."""
    parent = await reserved(journal, await opened(journal, 1), locks=("k",), target_key="t")
    child = begun(2, root=parent.root, parent=parent.id, episode=parent.episode)
    decision = to(parent, State.ESCALATED, outcome=StepOutcome.FAILED, child="next", release=False, **changes)
    await moved(journal, decision, child=child, now=NOW)
    return parent, child


async def test_locks_and_slot_pass_to_the_child(journal: SqlJournal) -> None:
    parent, child = await _passed_on(journal)
    third = await opened(journal, 3)
    assert (await _refused(journal, third, locks=("k",))).reason == "k locked by r-2"
    limits = replace(MANY, in_flight_everywhere=1)
    assert "everywhere 1/1 running (r-2)" in (await _refused(journal, third, locks=(), limits=limits)).reason
    ended_run, slot = await journal.runs(NOW, HOUR)
    assert (ended_run.remediation_id, ended_run.ended_at, ended_run.outcome) == (parent.id, NOW, "failed")
    assert (slot.remediation_id, slot.ended_at, slot.tokens_back) == (child.id, None, True)


async def test_between_rungs_neither_own_slot_nor_the_target_limit_counts(journal: SqlJournal) -> None:
    _, child = await _passed_on(journal)
    limits = replace(MANY, in_flight_target=1, in_flight_everywhere=1)
    taken = await reserved(
        journal, child, now=NOW + SECOND, locks=("k",), target_key="t", limits=limits, between_rungs=True
    )
    assert taken.epoch > 0
    runs = await journal.runs(NOW + SECOND, HOUR)
    assert [(run.remediation_id, run.ended_at, run.tokens_back) for run in runs] == [
        ("r-1", NOW, False),
        ("r-2", None, False),
    ]
    await ended(journal, taken, now=NOW + MINUTE)
    await reserved(journal, await opened(journal, 3), locks=("k",), limits=limits)


async def test_between_rungs_the_target_may_be_busy_with_something_else(journal: SqlJournal) -> None:
    _, child = await _passed_on(journal)
    await reserved(journal, await opened(journal, 3), locks=("another",), target_key="t")
    limits = replace(MANY, in_flight_target=1)
    await reserved(journal, child, locks=("k",), target_key="t", limits=limits, between_rungs=True)


async def test_between_rungs_the_rate_counts(journal: SqlJournal) -> None:
    _, child = await _passed_on(journal)
    verdict = await _refused(
        journal, child, locks=("k",), target_key="t", limits=replace(MANY, rate_target=1), between_rungs=True
    )
    assert verdict.guardrail == "rate_limit"


async def test_a_rung_that_ends_without_having_reserved_frees_all_of_it(journal: SqlJournal) -> None:
    _, child = await _passed_on(journal)
    await ended(journal, child, State.ESCALATED, outcome=StepOutcome.REFUSED, now=NOW + MINUTE)
    limits = replace(MANY, in_flight_everywhere=1)
    await reserved(journal, await opened(journal, 3), locks=("k",), limits=limits)


async def test_a_refund_of_the_parent_gives_its_own_token_back(journal: SqlJournal) -> None:
    _, child = await _passed_on(journal, refund=True)
    taken = await reserved(
        journal, child, locks=("k",), target_key="t", limits=replace(MANY, rate_target=1), between_rungs=True
    )
    assert taken.epoch > 0


async def test_giving_back_the_childs_keeps_the_parents_token(journal: SqlJournal) -> None:
    _, child = await _passed_on(journal)
    taken = await reserved(journal, child, locks=("k",), target_key="t", between_rungs=True)
    await ended(journal, taken, State.SUPERSEDED, refund=True, epoch=0)
    verdict = await _refused(journal, await opened(journal, 3), target_key="t", limits=replace(MANY, rate_target=1))
    assert verdict.reason == "target 1/1 in 1h"


# Ladders --------------------------------------------------------------------------------------------------------------


async def _ladders(journal: SqlJournal) -> int:
    episode = await journal.episode("e-1")
    assert episode is not None
    return episode.ladders


async def test_a_ladder_with_an_effect_counts_once(journal: SqlJournal) -> None:
    parent = await reserved(journal, await opened(journal, 1))
    await journal.record_attempt(attempt(parent), NOW)
    child = begun(2, root=parent.root, parent=parent.id, episode=parent.episode)
    await moved(journal, to(parent, State.ESCALATED, outcome=StepOutcome.FAILED, child="next"), child=child)
    assert await _ladders(journal) == 0
    await ended(journal, child, State.ESCALATED, outcome=StepOutcome.REFUSED)
    assert await _ladders(journal) == 1, "the first rung did something"


async def test_a_ladder_without_effect_does_not_count(journal: SqlJournal) -> None:
    r = await reserved(journal, await opened(journal, 1))
    row = await journal.record_attempt(attempt(r), NOW)
    await journal.record_outcome(row.id, "refused", "403", NOW)  # type: ignore[union-attr]
    await ended(journal, r, State.ESCALATED, outcome=StepOutcome.REFUSED)
    assert await _ladders(journal) == 0


# All or nothing -------------------------------------------------------------------------------------------------------


async def test_the_window_is_the_requests_own(journal: SqlJournal) -> None:
    limits = replace(MANY, rate_target=1, rate_window=timedelta(minutes=10))
    await reserved(journal, await opened(journal, 1), target_key="t", limits=limits)
    second = await opened(journal, 2)
    await _refused(journal, second, now=NOW + 9 * MINUTE, target_key="t", limits=limits)
    await reserved(journal, second, now=NOW + 10 * MINUTE, target_key="t", limits=limits)


async def test_two_that_were_planned_side_by_side_are_not_at_work_in_two_zones(journal: SqlJournal) -> None:
    first, second = await opened(journal, 1), await opened(journal, 2)
    first = await reserved(journal, first, domains=frozenset({"zone-a"}))
    verdict = await _refused(journal, second, domains=frozenset({"zone-b"}))
    assert (verdict.guardrail, verdict.changes) == ("failure_domain", "passes when they end")
    assert "zone-a is being worked on (r-1), this is in zone-b" in verdict.reason
    await reserved(journal, await opened(journal, 3), domains=frozenset({"zone-a"}))
    await reserved(journal, await opened(journal, 4))  # spread over several zones: counts as none
    (run,) = [run for run in await journal.runs(NOW, HOUR) if run.remediation_id == "r-1"]
    assert run.domains == {"zone-a"}
    await ended(journal, first)
    assert "(r-3)" in (await _refused(journal, second, domains=frozenset({"zone-b"}))).reason


async def test_another_clusters_zones_are_its_own_and_the_operator_may_allow_two(journal: SqlJournal) -> None:
    await reserved(journal, await opened(journal, 1), domains=frozenset({"zone-a"}), cluster="c2")
    await reserved(journal, await opened(journal, 2), domains=frozenset({"zone-b"}))
    two = replace(MANY, failure_domain_max=2)
    await reserved(journal, await opened(journal, 3), domains=frozenset({"zone-c"}), limits=two)
    await _refused(journal, await opened(journal, 4), domains=frozenset({"zone-d"}), limits=two)


async def test_every_target_of_one_remediation_has_its_token_and_all_are_one_remediation(journal: SqlJournal) -> None:
    one = await opened(journal, 1)
    await reserved(journal, one, beside=(("c1/Deployment/pay/web", "pay"),))
    places = {(run.remediation_id, run.namespace, run.target_key) for run in await journal.runs(NOW, HOUR)}
    assert places == {("r-1", "shop", "c1/Deployment/shop/svc1"), ("r-1", "pay", "c1/Deployment/pay/web")}
    other = await opened(journal, 2)
    verdict = await _refused(journal, other, target_key="c1/Deployment/pay/web", limits=replace(MANY, rate_target=1))
    assert verdict.reason == "target 1/1 in 1h"
    verdict = await _refused(journal, other, namespace="pay", limits=replace(MANY, rate_namespace=1))
    assert verdict.reason == "namespace 1/1 in 1h"
    await _refused(journal, other, beside=(("x", "pay"),), namespace="far", limits=replace(MANY, rate_namespace=1))
    await reserved(journal, other, namespace="far", limits=replace(MANY, rate_cluster=2, in_flight_cluster=2))
