"""What Kubernetes computes and we have to predict: rounding, rollout state, and what a change takes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.change import NotPossible
from remediator.actions.workload import (
    broken_pods,
    images_of,
    percent_of,
    plain_template,
    read_workload,
    rollout_state,
    rollout_unfinished,
    takes_by_rollout,
    template_hash,
)
from tests.actions.make import controller_revision, daemonset, deployment, pod, replicaset, statefulset, template, view


def rolling(unavailable: Any, surge: Any = 0) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}}


# --- rounding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "total", "up", "copies"),
    [
        pytest.param("25%", 3, False, 0, id="25% of 3 down"),
        pytest.param("25%", 3, True, 1, id="25% of 3 up"),
        pytest.param("25%", 4, True, 1, id="exact stays exact"),
        pytest.param("34%", 3, False, 1, id="1.02 down"),
        pytest.param("100%", 7, True, 7, id="all"),
        pytest.param("50%", 200, False, 100, id="exact, down"),
        pytest.param("50%", 202, True, 101, id="exact, up"),
        pytest.param("0%", 7, True, 0, id="none"),
        pytest.param(2, 7, True, 2, id="a number"),
    ],
)
def test_percent_of(value, total, up, copies):
    assert percent_of(value, total, round_up=up) == copies


@pytest.mark.parametrize("value", ["3", "x%", "", "25"])
def test_other_texts_are_no_share(value):
    with pytest.raises(ValueError, match=r"percentage|invalid literal"):
        percent_of(value, 3, round_up=True)


@pytest.mark.parametrize(
    ("obj", "unavailable", "surge"),
    [
        pytest.param(deployment(10, strategy=rolling("25%", "25%")), 2, 3, id="unavailable down, surge up"),
        pytest.param(deployment(3, strategy={"type": "RollingUpdate"}), 0, 1, id="the defaults of 25%"),
        pytest.param(deployment(3, strategy=rolling("10%", 0)), 1, 0, id="both zero: one is unavailable"),
        pytest.param(deployment(3, strategy=rolling("10%", 1)), 0, 1, id="zero with a surge stays zero"),
        pytest.param(deployment(3, strategy=rolling(9)), 3, 0, id="never more than desired"),
        pytest.param(deployment(3, strategy={"type": "Recreate"}), 0, 0, id="Recreate has neither"),
        pytest.param(daemonset(10, strategy=rolling("15%")), 2, 0, id="a DaemonSet rounds up"),
        pytest.param(daemonset(10, strategy={"type": "RollingUpdate"}), 1, 0, id="a DaemonSet's default is 1"),
        pytest.param(statefulset(10, strategy=rolling("15%")), 1, 0, id="a StatefulSet rounds down"),
        pytest.param(statefulset(10, strategy=rolling("5%")), 1, 0, id="a StatefulSet takes at least 1"),
        pytest.param(statefulset(10), 1, 0, id="a StatefulSet's default is 1"),
    ],
)
def test_fenceposts(obj, unavailable, surge):
    workload = read_workload(obj)
    assert (workload.max_unavailable, workload.max_surge) == (unavailable, surge)


def test_missing_status_is_zero_and_not_observed():
    workload = read_workload({**deployment(3), "status": {}})
    assert (workload.ready, workload.available, workload.updated, workload.observed) == (0, 0, 0, False)


def test_ten_old_revisions_are_kept_unless_said_otherwise():
    assert read_workload(deployment()).history_limit == 10
    assert read_workload(deployment(spec={"revisionHistoryLimit": 0})).history_limit == 0


def test_other_kinds_are_refused():
    with pytest.raises(NotPossible, match="no Deployment, StatefulSet or DaemonSet"):
        read_workload(pod("x", deployment()))


# --- what a change takes: replicas 1, 2, 3, 5 x ready 0..n x strategy -------------------------------------------------

QUARTER = rolling("25%", "25%")
TAKES: dict[str, tuple[Any, dict[int, list[int]]]] = {
    # strategy: replicas -> healthy copies taken with 0, 1, 2, ... of them available
    "Deployment 25%/25%": (
        lambda n, r: deployment(n, r, strategy=QUARTER),
        {1: [0, 0], 2: [0, 0, 0], 3: [0, 0, 0, 0], 5: [0, 0, 0, 0, 0, 1]},
    ),
    "Deployment 1 unavailable": (
        lambda n, r: deployment(n, r, strategy=rolling(1)),
        {1: [0, 1], 2: [0, 0, 1], 3: [0, 0, 0, 1], 5: [0, 0, 0, 0, 0, 1]},
    ),
    "Deployment 50% unavailable": (
        lambda n, r: deployment(n, r, strategy=rolling("50%")),
        {1: [0, 1], 2: [0, 0, 1], 3: [0, 0, 0, 1], 5: [0, 0, 0, 0, 1, 2]},
    ),
    "Deployment 100% unavailable": (
        lambda n, r: deployment(n, r, strategy=rolling("100%")),
        {1: [0, 1], 2: [0, 1, 2], 3: [0, 1, 2, 3], 5: [0, 1, 2, 3, 4, 5]},
    ),
    "Deployment Recreate": (
        lambda n, r: deployment(n, r, strategy={"type": "Recreate"}),
        {1: [0, 1], 2: [0, 1, 2], 3: [0, 1, 2, 3], 5: [0, 1, 2, 3, 4, 5]},
    ),
    "StatefulSet OrderedReady": (
        # while one copy is not ready the controller waits for it and takes nothing
        lambda n, r: statefulset(n, r),
        {1: [0, 1], 2: [0, 0, 1], 3: [0, 0, 0, 1], 5: [0, 0, 0, 0, 0, 1]},
    ),
    "StatefulSet OnDelete": (
        lambda n, r: statefulset(n, r, strategy={"type": "OnDelete"}),
        {1: [0, 0], 2: [0, 0, 0], 3: [0, 0, 0, 0], 5: [0, 0, 0, 0, 0, 0]},
    ),
    "StatefulSet Parallel, pods unknown": (
        lambda n, r: statefulset(n, r, parallel=True),
        {1: [0, 1], 2: [0, 1, 1], 3: [0, 1, 1, 1], 5: [0, 1, 1, 1, 1, 1]},
    ),
    "DaemonSet 1 unavailable": (
        lambda n, r: daemonset(n, r, strategy=rolling(1)),
        {1: [0, 1], 2: [0, 1, 1], 3: [0, 1, 1, 1], 5: [0, 1, 1, 1, 1, 1]},
    ),
    "DaemonSet 40% unavailable": (
        lambda n, r: daemonset(n, r, strategy=rolling("40%")),
        {1: [0, 1], 2: [0, 1, 1], 3: [0, 1, 2, 2], 5: [0, 1, 2, 2, 2, 2]},
    ),
    "DaemonSet surge": (
        lambda n, r: daemonset(n, r, strategy=rolling(0, 1)),
        {1: [0, 0], 2: [0, 0, 0], 3: [0, 0, 0, 0], 5: [0, 0, 0, 0, 0, 0]},
    ),
}


@pytest.mark.parametrize(
    ("obj", "takes"),
    [
        pytest.param(make(replicas, ready), takes, id=f"{name}: {ready} of {replicas}")
        for name, (make, table) in TAKES.items()
        for replicas, column in table.items()
        for ready, takes in enumerate(column)
    ],
)
def test_what_a_rollout_takes(obj, takes):
    assert takes_by_rollout(read_workload(obj)) == takes


@pytest.mark.parametrize(
    ("unready", "strategy", "takes"),
    [
        pytest.param({0}, None, 1, id="the next one, ordinal 2, is ready"),
        pytest.param({2}, None, 0, id="the next one is broken already"),
        pytest.param(set(), {"type": "RollingUpdate", "rollingUpdate": {"partition": 3}}, 0, id="partition above all"),
        pytest.param(
            {2}, {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}, 1, id="two at once, one ready"
        ),
        pytest.param(set(), {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}, 2, id="two at once"),
    ],
)
def test_a_parallel_statefulset_takes_its_highest_ordinals(unready, strategy, takes):
    obj = statefulset(3, 3 - len(unready), parallel=True, strategy=strategy)
    pods = [pod(f"db-{i}", obj, ready=i not in unready) for i in range(3)]
    assert takes_by_rollout(read_workload(obj), pods) == takes


def test_ordinals_may_start_elsewhere():
    obj = statefulset(2, 1, parallel=True, spec={"ordinals": {"start": 7}})
    pods = [pod("db-7", obj, ready=False), pod("db-8", obj)]
    assert takes_by_rollout(read_workload(obj), pods) == 1


@given(replicas=st.integers(1, 30), percent=st.integers(0, 100), surge=st.integers(0, 100), missing=st.integers(0, 30))
def test_a_rolling_deployment_keeps_its_floor(replicas, percent, surge, missing):
    """What remains is what Kubernetes guarantees: desired - maxUnavailable, or what there was if that is less."""
    available = max(0, replicas - missing)
    workload = read_workload(deployment(replicas, available, strategy=rolling(f"{percent}%", f"{surge}%")))
    unavailable = replicas * percent // 100
    if unavailable == 0 and -(-replicas * surge // 100) == 0:
        unavailable = 1
    takes = takes_by_rollout(workload)
    assert 0 <= takes <= available
    assert available - takes == min(available, replicas - unavailable)


# --- rollout state ----------------------------------------------------------------------------------------------------

MOVING = ("db-1", "db-2")


def with_status(obj: dict[str, Any], **status: int) -> dict[str, Any]:
    return {**obj, "status": {**obj["status"], **status}}


@pytest.mark.parametrize(
    ("obj", "state"),
    [
        pytest.param(deployment(3), "done", id="all updated and available"),
        pytest.param(deployment(0), "done", id="no copies: done at once"),
        pytest.param(deployment(3, observed_generation=0), "progressing", id="the controller has not seen the spec"),
        pytest.param(deployment(3, reason="ProgressDeadlineExceeded", updated=1), "failed", id="deadline exceeded"),
        pytest.param(deployment(3, updated=2), "progressing", id="old copies are left to replace"),
        pytest.param(deployment(3, total=4), "progressing", id="old copies still terminate"),
        pytest.param(deployment(3, available=2), "progressing", id="updated but not available"),
        pytest.param(with_status(deployment(3), availableReplicas=2), "progressing", id="ready, not yet available"),
        pytest.param(with_status(deployment(3), readyReplicas=2), "progressing", id="available, not ready any more"),
        pytest.param(deployment(3, updated=1, spec={"paused": True}), "stuck", id="paused half-way"),
        pytest.param(deployment(3, spec={"paused": True}), "done", id="paused when it was over"),
        pytest.param(statefulset(3), "done", id="StatefulSet: all"),
        pytest.param(statefulset(3, 2), "progressing", id="StatefulSet: one not ready"),
        pytest.param(statefulset(3, revisions=MOVING, updated=3), "progressing", id="StatefulSet: revisions differ"),
        pytest.param(statefulset(3, updated=2), "progressing", id="StatefulSet: kubectl says done, we do not"),
        pytest.param(
            statefulset(3, revisions=MOVING, updated=1, strategy={"rollingUpdate": {"partition": 2}}),
            "done",
            id="StatefulSet: all above the partition",
        ),
        pytest.param(
            statefulset(3, revisions=MOVING, updated=0, strategy={"rollingUpdate": {"partition": 2}}),
            "progressing",
            id="StatefulSet: one above the partition is old",
        ),
        pytest.param(
            statefulset(3, revisions=MOVING, updated=0, strategy={"type": "OnDelete"}),
            "stuck",
            id="StatefulSet: OnDelete",
        ),
        pytest.param(daemonset(3), "done", id="DaemonSet: all"),
        pytest.param(daemonset(3, updated=2), "progressing", id="DaemonSet: one old"),
        pytest.param(daemonset(3, 2), "progressing", id="DaemonSet: one missing"),
        pytest.param(daemonset(3, updated=2, strategy={"type": "OnDelete"}), "stuck", id="DaemonSet: OnDelete"),
    ],
)
def test_rollout_state(obj, state):
    assert rollout_state(view(obj)) == state


def test_an_ordered_statefulset_that_waits_for_a_broken_pod_is_stuck():
    obj = statefulset(3, 2, revisions=MOVING, updated=1)
    assert rollout_state(view(obj, pods=(pod("db-0", obj), pod("db-2", obj, ready=False)))) == "stuck"


@pytest.mark.parametrize(
    ("obj", "unfinished"),
    [
        pytest.param(deployment(5, 3), False, id="lost copies long after its rollout"),
        pytest.param(deployment(5, 3, reason="ReplicaSetUpdated"), True, id="new copies not there the first time"),
        pytest.param(deployment(5, 3, reason="ProgressDeadlineExceeded"), False, id="all new, and Kubernetes gave up"),
        pytest.param(
            deployment(5, 3, reason="ProgressDeadlineExceeded", updated=2, total=6), True, id="half-way, given up"
        ),
        pytest.param(deployment(5, updated=2), True, id="half-way"),
        pytest.param(deployment(5, total=6), True, id="an old copy is left"),
        pytest.param(deployment(5, observed_generation=0), True, id="not taken up yet"),
        pytest.param(statefulset(3, 1), False, id="StatefulSet: lost copies"),
        pytest.param(statefulset(3, 2, updated=2), False, id="StatefulSet: a pod is being made again"),
        pytest.param(statefulset(3, revisions=MOVING), True, id="StatefulSet: under way"),
        pytest.param(daemonset(3, 1), False, id="DaemonSet: lost copies"),
        pytest.param(daemonset(3, updated=1), True, id="DaemonSet: under way"),
    ],
)
def test_unfinished_is_not_the_same_as_unhealthy(obj, unfinished):
    """A workload that has lost copies must be free to be restarted."""
    assert rollout_unfinished(read_workload(obj)) is unfinished


# --- broken pods ------------------------------------------------------------------------------------------------------

SET = statefulset(3, 2)


@pytest.mark.parametrize(
    ("one", "broken"),
    [
        pytest.param(pod("db-0", SET), False, id="ready"),
        pytest.param(pod("db-0", SET, ready=False, unready_for=timedelta(seconds=59)), False, id="starting"),
        pytest.param(pod("db-0", SET, ready=False, unready_for=timedelta(seconds=60)), True, id="unready for a minute"),
        pytest.param(
            pod("db-0", SET, ready=False, unready_for=timedelta(0), waiting="CrashLoopBackOff"), True, id="crash loop"
        ),
        pytest.param(
            pod("db-0", SET, ready=False, unready_for=timedelta(0), waiting="ContainerCreating"), False, id="creating"
        ),
        pytest.param(pod("db-0", SET, ready=False, unready_for=timedelta(0), phase="Failed"), True, id="failed"),
        pytest.param(pod("db-0", SET, ready=False, leaving=True), False, id="going away"),
    ],
)
def test_broken_pods(one, broken):
    assert bool(broken_pods(view(SET, pods=(one,)))) is broken


def test_a_pod_that_an_alert_names_is_broken_at_once():
    one = pod("db-0", SET, ready=False, unready_for=timedelta(0))
    assert broken_pods(view(SET, pods=(one,), alert_pod="db-0"))
    assert not broken_pods(view(SET, pods=(one,), alert_pod="db-1"))


def test_broken_pods_come_by_ordinal():
    pods = tuple(pod(f"db-{i}", SET, ready=False) for i in (10, 2, 1))
    assert [p["metadata"]["name"] for p in broken_pods(view(SET, pods=pods))] == ["db-1", "db-2", "db-10"]


# --- templates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(template(restarted="2025-01-01T00:00:00Z"), True, id="restarted by kubectl"),
        pytest.param(
            {**template(), "metadata": {"labels": {"app": "api", "pod-template-hash": "x"}}}, True, id="ReplicaSet"
        ),
        pytest.param(
            {**template(), "metadata": {"creationTimestamp": None, "labels": {"app": "api"}}}, True, id="null timestamp"
        ),
        pytest.param(
            {**template(), "metadata": {"labels": {"app": "api"}, "annotations": {"remediator.dev/x": "y"}}},
            True,
            id="ours",
        ),
        pytest.param({**template(), "$patch": "replace"}, True, id="ControllerRevision"),
        pytest.param(template("shop/api:2"), False, id="another image"),
        pytest.param(template(nodeName="n"), False, id="another field"),
        pytest.param({**template(), "metadata": {"labels": {"app": "x"}}}, False, id="another label"),
        pytest.param(
            {**template(), "metadata": {"labels": {"app": "api"}, "annotations": {"checksum/config": "y"}}},
            False,
            id="another annotation",
        ),
    ],
)
def test_template_hash_leaves_out_restarts_only(other, same):
    assert (template_hash(other) == template_hash(template())) is same


def test_revisions_hash_like_the_workload_that_made_them():
    one, two = deployment(), statefulset()
    mine = template_hash(one["spec"]["template"])
    assert template_hash(replicaset(one, 1, "shop/api:1")["spec"]["template"]) == mine
    assert template_hash(controller_revision(two, 1, "shop/api:1")["data"]["spec"]["template"]) == mine


def test_plain_template_leaves_its_argument_alone():
    before = template(restarted="x")
    plain_template(before)
    assert before == template(restarted="x")


def test_images_of_all_containers():
    made = template(initContainers=[{"name": "init", "image": "i:1"}])
    assert images_of(made) == {"init": "i:1", "api": "shop/api:1"}
