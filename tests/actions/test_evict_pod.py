"""evict_pod: which pods, how many, and by which rule they are chosen at the last look."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Evict, NotPossible, PodRule
from remediator.actions.eviction import selector_text
from remediator.actions.workloads.evict_pod import EvictPod, EvictPodParams
from remediator.actions.workloads.rollout_restart import RolloutRestart, RolloutRestartParams
from tests.actions.make import NS, deployment, pod, replicaset, statefulset, view

WORKLOAD = deployment(3)
OLD, NEW = replicaset(WORKLOAD, 1, "shop/api:0"), replicaset(WORKLOAD, 2, "shop/api:1")
PODS = (pod("api-a", NEW), pod("api-b", NEW), pod("api-c", NEW, ready=False))
RULE: dict[str, Any] = {
    "namespace": NS,
    "owner_uids": ("uid-replicaset-api-1", "uid-replicaset-api-2"),
    "selector": "app=api",
}


def plan(params: EvictPodParams, **parts: Any) -> Any:
    return EvictPod().plan(params, view(WORKLOAD, **{"pods": PODS, "revisions": (OLD, NEW), **parts}))


@pytest.mark.parametrize(
    ("params", "alert_pod", "effects", "takes", "summary"),
    [
        pytest.param(
            EvictPodParams(),
            "api-c",
            (Evict(pod=PodRule(select="named", name="api-c", uid="uid-pod-api-c", **RULE)),),
            0,
            "evict pod api-c (not ready)",
            id="the pod that the alert names",
        ),
        pytest.param(
            EvictPodParams(),
            "api-a",
            (Evict(pod=PodRule(select="named", name="api-a", uid="uid-pod-api-a", **RULE)),),
            1,
            "evict pod api-a (ready)",
            id="a ready pod takes one copy",
        ),
        pytest.param(
            EvictPodParams(select="unready"),
            "",
            (Evict(pod=PodRule(select="unready", **RULE)),),
            0,
            "evict 1 of 1 unready pods, one at a time",
            id="unready: one unless told otherwise",
        ),
        pytest.param(
            EvictPodParams(select="all", max=2),
            "",
            (Evict(pod=PodRule(select="oldest", **RULE)),) * 2,
            1,
            "evict 2 of 3 pods, one at a time",
            id="all, at most two",
        ),
        pytest.param(
            EvictPodParams(select="all", max=50),
            "",
            (Evict(pod=PodRule(select="oldest", **RULE)),) * 3,
            1,
            "evict 3 of 3 pods, one at a time",
            id="no more than there are",
        ),
    ],
)
def test_what_is_evicted(params, alert_pod, effects, takes, summary):
    change = plan(params, alert_pod=alert_pod)
    assert (change.effects, change.takes, change.summary) == (effects, takes, summary)


@pytest.mark.parametrize(
    ("params", "parts", "reason", "hold"),
    [
        pytest.param({}, {}, "the alert names no pod", False, id="no pod in the alert"),
        pytest.param({}, {"alert_pod": "gone"}, "does not exist any more", False, id="gone"),
        pytest.param(
            {}, {"alert_pod": "x", "pods": (pod("x", NEW, leaving=True),)}, "going away already", False, id="going"
        ),
        pytest.param({"select": "unready"}, {"pods": PODS[:2]}, "no unready pod", False, id="all ready"),
        pytest.param({"select": "all", "max": 1}, {"pods": ()}, "no pod to evict", False, id="no pods"),
        pytest.param(
            {"select": "all", "max": 1}, {"unreadable": {"pods": "403"}}, "CANNOT SEE: pods", True, id="blind"
        ),
        pytest.param(
            {}, {"alert_pod": "x", "unreadable": {"pods": "t/o"}}, "CANNOT SEE: pods", True, id="blind, named"
        ),
        pytest.param(
            {"select": "all", "max": 1},
            {"unreadable": {"revisions": "403"}},
            "CANNOT SEE: revisions",
            True,
            id="no owners",
        ),
    ],
)
def test_refusals(params, parts, reason, hold):
    with pytest.raises(NotPossible) as refused:
        plan(EvictPodParams(**params), **parts)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_finished_and_leaving_pods_are_not_counted():
    pods = (pod("a", NEW), pod("b", NEW, phase="Failed"), pod("c", NEW, leaving=True))
    assert len(plan(EvictPodParams(select="all", max=9), pods=pods).effects) == 1


def test_a_statefulsets_pods_are_its_own():
    obj = statefulset()
    change = EvictPod().plan(EvictPodParams(select="all", max=1), view(obj, pods=(pod("db-0", obj),)))
    (effect,) = change.effects
    assert isinstance(effect, Evict)
    assert effect.pod.owner_uids == ("uid-statefulset-db",)


def test_nothing_healthy_is_taken_where_nothing_is_healthy():
    pods = (pod("a", NEW, ready=False), pod("b", NEW, ready=False))
    assert plan(EvictPodParams(select="all", max=2), pods=pods).takes == 0


def test_more_than_a_hundred_pods_are_not_evicted_one_by_one():
    pods = tuple(pod(f"p{i}", NEW) for i in range(101))
    evict = RolloutRestartParams(strategy="evict")
    assert len(RolloutRestart().plan(evict, view(WORKLOAD, pods=pods[:100], revisions=(NEW,))).effects) == 100
    with pytest.raises(NotPossible, match="101 pods"):
        RolloutRestart().plan(evict, view(WORKLOAD, pods=pods, revisions=(NEW,)))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"select": "all"}, id="all needs max: everything is spelled out"),
        pytest.param({"max": 0}, id="zero"),
        pytest.param({"max": 101}, id="too many"),
        pytest.param({"select": "some"}, id="unknown word"),
        pytest.param({"selekt": "all"}, id="misspelt key"),
    ],
)
def test_bad_params(given):
    with pytest.raises(ValidationError):
        EvictPodParams(**given)


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        pytest.param({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2", id="labels, sorted"),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "y"]}]}, "a in (x,y)", id="In"
        ),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}]}, "a notin (x)", id="NotIn"
        ),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, "a", id="Exists"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, "!a", id="DoesNotExist"),
        pytest.param({}, "", id="empty"),
    ],
)
def test_selector_text(selector, text):
    assert selector_text({"spec": {"selector": selector}}) == text
