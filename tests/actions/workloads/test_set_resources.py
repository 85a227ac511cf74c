"""set_resources: absolute or a step, in the template or in the pods, never beyond the cap."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.view import ListOf
from remediator.actions.workloads.set_resources import SetResources, SetResourcesParams
from tests.actions.make import NS, deployment, pod, replicaset, statefulset, template, view

SMALL = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}
CAP: Any = {"cpu": "4", "memory": "8Gi"}
MORE: Any = {"memory": "4Gi"}
BASE = ("spec", "template", "spec", "containers", "[name=api]", "resources")
IN_POD = ("spec", "containers", "[name=api]", "resources")


def containers(resources: Any = SMALL, **extra: Any) -> list[dict[str, Any]]:
    made = {"name": "api", "image": "shop/api:1", **extra}
    return [{**made, "resources": resources} if resources is not None else made]


def workload(resources: Any = SMALL, replicas: int = 3, **extra: Any) -> dict[str, Any]:
    return deployment(replicas, spec={"template": template(containers=containers(resources), **extra)})


def quota(hard: dict[str, str], used: dict[str, str], **spec: Any) -> dict[str, Any]:
    meta = {"name": "team", "namespace": NS, "uid": "q"}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": meta,
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": used},
    }


def plan(obj: dict[str, Any], quotas: Any = (), pods: Any = (), **given: Any) -> Any:
    action = SetResources()
    params = SetResourcesParams(**{"container": "api", "cap": CAP, **given})
    seen = view(obj, pods=tuple(pods), found={"quotas": tuple(quotas)})
    resolved = action.resolve(params, seen)
    assert SetResourcesParams.model_validate(resolved.model_dump(mode="json")) == resolved
    return action.plan(resolved, seen)


def test_it_asks_for_quotas():
    params = SetResourcesParams(container="api", cap=CAP, step=1.5)
    assert SetResources().wants(params, view(workload())) == {"quotas": ListOf(kind="ResourceQuota", namespace=NS)}


def test_only_what_differs_in_the_template():
    obj = workload()
    change = plan(obj, requests={"memory": "1Gi"}, limits={"cpu": "1000m", "memory": "4Gi"})
    (effect,) = change.effects
    assert effect.changes == (FieldChange((*BASE, "limits", "memory"), "2Gi", "4Gi"),)
    assert effect.undoable
    assert not effect.subresource
    assert (change.summary, change.direction) == ("api: limits memory 2Gi -> 4Gi", "up")
    assert diff_lines(change, view(obj).ref)[0].endswith("memory 2Gi -> 4Gi")


@pytest.mark.parametrize(
    ("resources", "step", "cap", "after"),
    [
        pytest.param(SMALL, 1.5, {"memory": "8Gi"}, {"requests": "1536Mi", "limits": "3Gi"}, id="both grow"),
        pytest.param(SMALL, 3, {"memory": "4Gi"}, {"requests": "3Gi", "limits": "4Gi"}, id="one stops at the cap"),
        pytest.param(SMALL, 1.1, {"memory": "8Gi"}, {"requests": "1127Mi", "limits": "2253Mi"}, id="rounded up"),
        pytest.param(
            {"requests": {"memory": "1Gi"}}, 2, {"memory": "8Gi"}, {"requests": "2Gi"}, id="what is not set stays so"
        ),
        pytest.param(
            {"limits": {"memory": "1000Mi"}}, 1.5, {"memory": "1500.2Mi"}, {"limits": "1500Mi"}, id="just below the cap"
        ),
        pytest.param(
            {"limits": {"memory": "1000Mi"}},
            1.0002,
            {"memory": "1000.5Mi"},
            {"limits": "1000.5Mi"},
            id="never rounded beyond the cap",
        ),
    ],
)
def test_a_step_becomes_absolute(resources, step, cap, after):
    change = plan(workload(resources), step=step, cap=cap)
    assert {c.path[-2]: c.after for c in change.effects[0].changes} == after


def test_a_step_counts_once():
    """A later plan sees what the first one has done, and must not multiply it again."""
    action, seen = SetResources(), view(workload(), found={"quotas": ()})
    resolved = action.resolve(SetResourcesParams(container="api", cap=CAP, step=1.5), seen)
    assert resolved.step is None
    assert action.resolve(resolved, view(workload(), found={"quotas": ()})) == resolved


def test_a_block_that_is_not_there_is_made():
    only_limits = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    change = plan(workload(only_limits), requests={"memory": "512Mi"})
    assert change.effects[0].changes == (FieldChange((*BASE, "requests", "memory"), None, "512Mi"),)


def test_lowering_is_told():
    assert plan(workload(), limits={"cpu": "800m"}).direction == "down"
    assert plan(workload(), limits={"cpu": "800m", "memory": "3Gi"}).direction == ""


EQUAL = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


@pytest.mark.parametrize(
    ("obj", "given", "reason"),
    [
        pytest.param(workload(), {"limits": {"cpu": "1"}}, "has these resources already", id="nothing changes"),
        pytest.param(workload(), {"container": "web", "step": 2}, "no container web", id="unknown container"),
        pytest.param(
            workload(), {"limits": {"memory": "512Mi"}}, "would be below request 1Gi", id="limit below request"
        ),
        pytest.param(
            workload(), {"requests": {"memory": "3Gi"}}, "limit memory 2Gi would be", id="request above limit"
        ),
        pytest.param(workload(None), {"requests": {"cpu": "1"}}, "BestEffort to Burstable", id="QoS from nothing"),
        pytest.param(workload(EQUAL), {"limits": {"cpu": "2"}}, "Guaranteed to Burstable", id="QoS lost"),
        pytest.param(
            workload(), {"requests": {"cpu": "1", "memory": "2Gi"}}, "Burstable to Guaranteed", id="QoS gained"
        ),
        pytest.param(workload(None), {"step": 2}, "sets no cpu", id="nothing to multiply"),
        pytest.param(workload(), {"step": 2, "cap": {"cpu": "800m"}}, "above the cap 800m", id="above the cap already"),
        pytest.param(
            workload(EQUAL), {"step": 2, "cap": {"cpu": "1", "memory": "1Gi"}}, "has reached the cap", id="at the cap"
        ),
        pytest.param(
            deployment(spec={"template": template(containers=containers(), resources={"limits": {"cpu": "2"}})}),
            {"limits": {"memory": "4Gi"}},
            "whole pod",
            id="pod-level resources",
        ),
        pytest.param(workload({"limits": {"memory": "x"}}), {"limits": {"memory": "4Gi"}}, "cannot be read", id="junk"),
        pytest.param(
            statefulset(strategy={"type": "OnDelete"}, spec={"template": template(containers=containers())}),
            {"step": 2},
            "OnDelete",
            id="nothing would roll",
        ),
    ],
)
def test_it_refuses(obj, given, reason):
    with pytest.raises(NotPossible) as refused:
        plan(obj, **given)
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    ("hard", "used", "spec", "fits"),
    [
        pytest.param({"limits.memory": "12Gi"}, {"limits.memory": "6Gi"}, {}, True, id="just enough"),
        pytest.param({"limits.memory": "12Gi"}, {"limits.memory": "6145Mi"}, {}, False, id="a little short"),
        pytest.param({"limits.memory": "5Gi"}, {}, {}, False, id="not counted yet"),
        pytest.param({"requests.cpu": "1"}, {"requests.cpu": "1"}, {}, True, id="another resource is used up"),
        pytest.param({"limits.memory": "5Gi"}, {"limits.memory": "9Gi"}, {}, False, id="over it already"),
        pytest.param({"limits.memory": "1Gi"}, {}, {"scopes": ["Terminating"]}, True, id="of other pods"),
    ],
)
def test_quotas(hard, used, spec, fits):
    """3 copies with 2 GiB more each."""
    if fits:
        assert plan(workload(), [quota(hard, used, **spec)], limits={"memory": "4Gi"}).effects
    else:
        with pytest.raises(NotPossible, match=r"ResourceQuota shop/team leaves too little limits\.memory for 3 copies"):
            plan(workload(), [quota(hard, used, **spec)], limits={"memory": "4Gi"})


def test_quotas_that_nobody_read_are_not_none():
    params = SetResourcesParams(container="api", cap=CAP, limits=MORE)
    with pytest.raises(NotPossible, match="CANNOT SEE: quotas") as refused:
        SetResources().plan(params, view(workload()))
    assert refused.value.hold


def test_a_vertical_autoscaler_decides():
    obj = workload()
    sized = running(obj, 1)[0]
    sized["metadata"]["annotations"] = {"vpaUpdates": "Pod resources updated by api"}
    with pytest.raises(NotPossible, match="VerticalPodAutoscaler") as refused:
        plan(obj, pods=[sized], limits={"memory": "4Gi"})
    assert refused.value.guardrail == "ownership"


# --- in place ---------------------------------------------------------------------------------------------------------


def running(obj: dict[str, Any], count: int = 2, resources: Any = SMALL, **extra: Any) -> list[dict[str, Any]]:
    owner = replicaset(obj, 1, "shop/api:1")
    pods = [pod(f"api-{n}", owner) for n in range(count)]
    return [{**one, "spec": {"containers": containers(resources, **extra)}} for one in pods]


def test_one_resize_for_each_pod():
    obj = workload()
    gone = {**running(obj, 1)[0], "metadata": {**running(obj, 1)[0]["metadata"], "deletionTimestamp": "x"}}
    change = plan(obj, pods=[*reversed(running(obj)), gone], where="in_place", limits={"memory": "4Gi"})
    assert [(e.ref.name, e.uid, e.subresource) for e in change.effects] == [
        ("api-0", "uid-pod-api-0", "resize"),
        ("api-1", "uid-pod-api-1", "resize"),
    ]
    assert change.effects[0].changes == (FieldChange((*IN_POD, "limits", "memory"), "2Gi", "4Gi"),)
    assert not change.effects[0].undoable  # back would mean to lower a memory limit of a running container
    assert change.takes == 0
    assert change.summary == "resize 2 pods in place, api: limits memory 2Gi -> 4Gi"
    assert diff_lines(change, view(obj).ref)[0].startswith("Pod shop/api-0: ")


def test_cpu_can_be_taken_back():
    obj = workload()
    assert plan(obj, pods=running(obj), where="in_place", limits={"cpu": "2"}).effects[0].undoable


def test_pods_that_are_right_already_are_left_alone():
    obj = workload()
    bigger = {**SMALL, "limits": {"cpu": "1", "memory": "4Gi"}}
    pods = [*running(obj, 1, bigger), running(obj, 2)[1]]
    change = plan(obj, pods=pods, where="in_place", limits={"memory": "4Gi"})
    assert [e.ref.name for e in change.effects] == ["api-1"]


@pytest.mark.parametrize(
    ("pods", "given", "reason"),
    [
        pytest.param([], {}, "no running pod", id="no pods"),
        pytest.param(running(workload(), 4), {"max_pods": 3}, "has 4 pods, max_pods is 3", id="too many"),
        pytest.param(
            running(workload(), resizePolicy=[{"resourceName": "memory", "restartPolicy": "RestartContainer"}]),
            {},
            "restarts when its memory is resized",
            id="a resize that restarts",
        ),
        pytest.param(
            running(workload()), {"limits": {"memory": "1Gi"}}, "cannot be lowered", id="a lower memory limit"
        ),
        pytest.param(
            [*running(workload(), 1), running(workload(), 2, EQUAL)[1]],
            {"limits": None, "step": 2},
            "have different resources",
            id="a step from different places",
        ),
        pytest.param(running(workload(), 1, EQUAL), {}, "Guaranteed to Burstable", id="QoS"),
        pytest.param(
            [
                {
                    **one,
                    "status": {"phase": "Running", "containerStatuses": [{"name": "api", "state": {"running": {}}}]},
                }
                for one in running(workload(), 1)
            ],
            {},
            "the node of Pod shop/api-0 cannot resize pods",
            id="an old kubelet",
        ),
        pytest.param(
            [{**one, "spec": {"containers": [], "initContainers": containers()}} for one in running(workload(), 1)],
            {},
            "is an init container",
            id="an init container",
        ),
    ],
)
def test_in_place_refuses(pods, given, reason):
    with pytest.raises(NotPossible) as refused:
        plan(workload(), pods=pods, **{"where": "in_place", "limits": {"memory": "4Gi"}, **given})
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({}, "give either step", id="nothing"),
        pytest.param({"step": 2, "limits": {"cpu": "1"}}, "give either step", id="both"),
        pytest.param({"limits": {"cpu": "5"}}, "limits.cpu 5 is above cap.cpu 4", id="above the cap"),
        pytest.param({"limits": {"cpu": "1"}, "cap": {"memory": "1Gi"}}, "needs cap.cpu", id="no cap"),
        pytest.param({"limits": {"memory": "512m"}}, "is not within 4Mi", id="milli-bytes"),
        pytest.param({"limits": {"cpu": "0"}}, "is not within 1m", id="nothing at all"),
        pytest.param({"limits": {}}, "give cpu, memory or both", id="empty"),
        pytest.param({"limits": {"gpu": "1"}}, "Extra inputs", id="another resource"),
        pytest.param({"step": 1}, "greater than 1", id="a step that is none"),
        pytest.param({"step": 4}, "less than or equal to 3", id="too large a step"),
        pytest.param({"step": 2, "max_pods": 51}, "less than or equal to 50", id="too many pods"),
    ],
)
def test_bad_parameters(given, message):
    with pytest.raises(ValidationError, match=message):
        SetResourcesParams(**{"container": "api", "cap": CAP, **given})
