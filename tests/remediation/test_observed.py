"""From what a workload looked like over time to which of its revisions were healthy."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.view import Revision
from remediator.remediation.observed import (
    HEALTHY_AFTER,
    Snapshot,
    fold,
    healthy_at,
    interrupted,
    mark_known_bad,
    observe,
)
from tests.actions.make import NOW, daemonset, deployment, hash_of, statefulset, template

ONE, TWO = "shop/api:1", "shop/api:2"
UID = "uid-deployment-api"
Step = tuple[int, dict[str, Any]]
"""(minute, what differs from a fully available Deployment of image 1)."""


def snapshot(minute: float, *, firing: frozenset[str] = frozenset(), **changes: Any) -> Snapshot:
    return Snapshot(at=NOW + timedelta(minutes=minute), workload=deployment(3, **changes), firing=firing)


def row_of(rows: tuple[Revision, ...], image: str = ONE) -> Revision:
    (found,) = [row for row in rows if row.template_hash == hash_of(image)]
    return found


@pytest.mark.parametrize(
    ("steps", "healthy"),
    [
        pytest.param([(0, {})], False, id="seen once"),
        pytest.param([(0, {}), (29, {})], False, id="29 minutes"),
        pytest.param([(0, {}), (30, {})], True, id="30 minutes"),
        pytest.param(
            [(0, {}), (20, {"available": 2}), (21, {}), (45, {})], False, id="a copy was lost: it begins anew"
        ),
        pytest.param([(0, {}), (20, {"available": 2}), (21, {}), (51, {})], True, id="and is over 30 minutes later"),
        pytest.param([(0, {}), (31, {"available": 2})], True, id="it had lasted until the copy was lost"),
        pytest.param(
            [(0, {}), (20, {"firing": frozenset({"X"})}), (21, {}), (45, {})], False, id="an alert: it begins anew"
        ),
        pytest.param([(0, {}), (31, {"firing": frozenset({"X"})})], True, id="it had lasted until the alert"),
        pytest.param(
            [(0, {"firing": frozenset({"X"})}), (60, {"firing": frozenset({"X"})})], False, id="always alerting"
        ),
        pytest.param([(0, {"available": 0}), (60, {"available": 0})], False, id="never available"),
        pytest.param(
            [(0, {"updated": 1, "total": 4}), (60, {"updated": 1, "total": 4})], False, id="a rollout that hangs"
        ),
        pytest.param([(0, {}), (40, {"available": 0}), (90, {"available": 0})], True, id="once healthy stays healthy"),
        pytest.param([(0, {}), (-60, {})], False, id="a clock that jumped back"),
        pytest.param(
            [(0, {"spec": {"replicas": 0}, "available": 0}), (60, {"spec": {"replicas": 0}, "available": 0})],
            False,
            id="no copies are no evidence",
        ),
    ],
)
def test_healthy(steps, healthy):
    rows = fold((), [snapshot(minute, **changes) for minute, changes in steps])
    assert row_of(rows).healthy is healthy


def test_a_new_release_ends_the_old_ones_time():
    rows = fold((), [snapshot(0), snapshot(45, image=TWO, available=0), snapshot(50, image=TWO)])
    old, new = row_of(rows), row_of(rows, TWO)
    assert (old.healthy, old.available_until) == (True, NOW + timedelta(minutes=45))
    assert (new.healthy, new.available_since) == (False, NOW + timedelta(minutes=50))


def test_the_old_release_does_not_grow_healthy_while_the_new_one_runs():
    rows = fold((), [snapshot(0), snapshot(10, image=TWO), snapshot(90, image=TWO)])
    assert not row_of(rows).healthy
    assert row_of(rows, TWO).healthy


def test_going_back_begins_anew():
    """A ReplicaSet that is reused after a rollback is old, but nobody has seen it healthy now."""
    rows = fold((), [snapshot(0), snapshot(10, image=TWO), snapshot(20), snapshot(49)])
    assert not row_of(rows).healthy
    assert row_of(fold(rows, [snapshot(50)])).healthy


def test_a_restart_is_the_same_revision_but_begins_anew_while_it_rolls():
    restarted: dict[str, Any] = {"spec": {"template": template(restarted="x")}}
    steps = [
        snapshot(0),
        snapshot(20, updated=1, total=4, **restarted),
        snapshot(21, **restarted),
        snapshot(51, **restarted),
    ]
    rows = fold((), steps)
    assert len(rows) == 1
    assert rows[0].healthy


def test_what_nobody_watched_is_no_evidence():
    rows = fold((), [snapshot(0), snapshot(20)])
    rows = interrupted(rows, NOW + timedelta(minutes=20))
    assert not row_of(fold(rows, [snapshot(90)])).healthy
    assert row_of(fold(rows, [snapshot(90), snapshot(120)])).healthy


def test_the_time_before_the_gap_counts_if_it_was_long_enough():
    rows = interrupted(fold((), [snapshot(0)]), NOW + timedelta(minutes=30))
    assert row_of(rows).healthy


def test_alerts_are_kept_with_their_revision():
    rows = fold((), [snapshot(0, firing=frozenset({"B"})), snapshot(1, firing=frozenset({"A"})), snapshot(2)])
    assert row_of(rows).alerts == ("A", "B")
    many = fold((), [snapshot(n, firing=frozenset({f"A{n:03}"})) for n in range(50)])
    assert len(row_of(many).alerts) == 20


def test_known_bad_stays():
    rows = mark_known_bad((), UID, hash_of(ONE))
    rows = fold(rows, [snapshot(0), snapshot(60)])
    assert row_of(rows).known_bad
    assert len(mark_known_bad(rows, UID, hash_of(TWO))) == 2


def test_rows_of_other_workloads_are_left_alone():
    other = Revision(workload_uid="other", template_hash=hash_of(ONE), available_since=NOW)
    rows = observe((other,), snapshot(10, image=TWO))
    assert other in rows
    assert len(rows) == 2


@pytest.mark.parametrize("make", [statefulset, daemonset], ids=["StatefulSet", "DaemonSet"])
def test_other_kinds(make):
    seen = [Snapshot(at=NOW + timedelta(minutes=m), workload=make(3)) for m in (0, 30)]
    assert [row.healthy for row in fold((), seen)] == [True]


def test_when_it_becomes_healthy():
    (row,) = fold((), [snapshot(0)])
    assert healthy_at(row) == NOW + HEALTHY_AFTER
    (row,) = fold((row,), [snapshot(30)])
    assert healthy_at(row) is None
    (row,) = fold((), [snapshot(0), snapshot(5, available=0)])
    assert healthy_at(row) is None


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_healthy_means_half_an_hour_of_good_time_in_one_piece(steps):
    """Oracle: minute by minute, with the state of the last snapshot holding until the next."""
    at, snapshots, good_at = 0, [], []
    for gap, available, alerting in steps:
        at += gap
        snapshots.append(
            snapshot(at, available=3 if available else 2, firing=frozenset({"X"}) if alerting else frozenset())
        )
        good_at.append((at, available and not alerting))
    longest, since = 0, None
    for minute, good in good_at:
        if since is not None:
            longest = max(longest, minute - since)
        since = (minute if since is None else since) if good else None
    assert row_of(fold((), snapshots)).healthy is (longest >= 30)
