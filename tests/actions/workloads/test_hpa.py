"""create_hpa and set_hpa_bounds: who decides about the copies, and how far."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Create, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.view import Get
from remediator.actions.workloads.create_hpa import CreateHpa, CreateHpaParams
from remediator.actions.workloads.hpa_bounds import SetHpaBounds, SetHpaBoundsParams
from remediator.objects import ObjectRef
from tests.actions.make import NS, deployment, hpa, owner, statefulset, template, view

REQUESTS = {"requests": {"cpu": "500m"}}
GIT = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"}


def container(name: str = "api", resources: Any = REQUESTS) -> dict[str, Any]:
    return {"name": name, "image": "shop/api:1", "resources": resources}


def busy(*containers: dict[str, Any], replicas: int = 3, **extra: Any) -> dict[str, Any]:
    made = template(containers=list(containers) or [container()])
    return deployment(replicas, spec={"template": made}, **extra)


def create(obj: Any, given: Any = None, **parts: Any) -> Any:
    params = CreateHpaParams(**{"min": 2, "max": 10, "cpu": 70, **(given or {})})
    return CreateHpa().plan(params, view(obj, **parts))


def test_one_autoscaler_by_cpu():
    change = create(busy())
    (effect,) = change.effects
    assert isinstance(effect, Create)
    assert effect.ref == ObjectRef("HorizontalPodAutoscaler", NS, "api")
    assert effect.undoable
    assert effect.body == {
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
            "minReplicas": 2,
            "maxReplicas": 10,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                }
            ],
        }
    }
    assert diff_lines(change) == ("create HorizontalPodAutoscaler shop/api",)
    assert change.summary == "create HorizontalPodAutoscaler shop/api: 2 to 10 copies at 70% CPU"


def test_a_limit_stands_for_a_request():
    assert create(busy(container(resources={"limits": {"cpu": "1"}}))).effects


def test_volumes_of_a_statefulset():
    obj = statefulset(spec={"template": template(containers=[container()])})
    assert "the volumes of removed copies stay" in create(obj).notes


@pytest.mark.parametrize(
    ("obj", "parts", "reason"),
    [
        pytest.param(busy(), {"hpas": (hpa(),)}, "scales Deployment shop/api already", id="there is one"),
        pytest.param(busy(), {"unreadable": {"hpas": "403"}}, "CANNOT SEE: hpas", id="unreadable"),
        pytest.param(busy(container("a"), container("b", {})), {}, "requests no CPU in b", id="one without requests"),
        pytest.param(busy(container(resources={"limits": {"cpu": "x"}})), {}, "cannot be read", id="junk"),
        pytest.param(
            deployment(
                spec={
                    "template": template(
                        containers=[container()], initContainers=[{"name": "proxy", "restartPolicy": "Always"}]
                    )
                }
            ),
            {},
            "requests no CPU in proxy",
            id="a sidecar without requests",
        ),
        pytest.param(busy(replicas=0), {}, "scaled to 0", id="switched off"),
        pytest.param(busy(replicas=11), {}, "would take some", id="more than max"),
        pytest.param(busy(annotations=GIT), {}, "Argo CD application shop owns spec.replicas", id="Git sets replicas"),
        pytest.param(
            busy(metadata={"ownerReferences": owner(deployment())}), {}, "decides about the copies", id="an operator's"
        ),
    ],
)
def test_no_autoscaler(obj, parts, reason):
    with pytest.raises(NotPossible) as refused:
        create(obj, **parts)
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    "given", [{"min": 0}, {"min": 10}, {"max": 1001}, {"cpu": 5}, {"cpu": 100}, {"memory": 80}], ids=str
)
def test_bad_bounds(given):
    with pytest.raises(ValidationError):
        CreateHpaParams(**{"min": 2, "max": 10, "cpu": 70, **given})


# --- bounds -----------------------------------------------------------------------------------------------------------

SCALED: dict[str, Any] = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "queue", "namespace": NS, "uid": "uid-so", "resourceVersion": "5"},
    "spec": {"scaleTargetRef": {"name": "api"}, "minReplicaCount": 1},
}


def scaled(**extra: Any) -> dict[str, Any]:
    return {**SCALED, "metadata": {**SCALED["metadata"], **extra}}


def keda() -> dict[str, Any]:
    return hpa(owners=owner(SCALED))


def bounds(obj: Any, given: Any, **parts: Any) -> Any:
    return SetHpaBounds().plan(SetHpaBoundsParams(**given), view(obj, **parts))


def fields(change: Any) -> dict[str, tuple[Any, Any]]:
    return {c.path[-1]: (c.before, c.after) for c in change.effects[0].changes}


@pytest.mark.parametrize(
    ("given", "changed", "direction"),
    [
        pytest.param({"max": 20}, {"maxReplicas": (10, 20)}, "up", id="max up"),
        pytest.param({"min": 4}, {"minReplicas": (2, 4)}, "up", id="min up"),
        pytest.param({"min": 1, "max": 8}, {"minReplicas": (2, 1), "maxReplicas": (10, 8)}, "down", id="both down"),
        pytest.param({"min": 4, "max": 8}, {"minReplicas": (2, 4), "maxReplicas": (10, 8)}, "", id="narrower"),
        pytest.param({"min": 2, "max": 20}, {"maxReplicas": (10, 20)}, "up", id="only what differs"),
    ],
)
@pytest.mark.parametrize("by", ["workload", "autoscaler"])
def test_the_bounds_move(given, changed, direction, by):
    change = bounds(hpa(), given) if by == "autoscaler" else bounds(deployment(5), given, hpas=(hpa(),))
    assert fields(change) == changed
    assert change.direction == direction
    assert change.reduces_capacity is any(after < before for before, after in changed.values())
    assert change.effects[0].uid == "uid-hpa"
    assert change.touches == ((ObjectRef("Deployment", NS, "api"),) if by == "autoscaler" else ())


def test_a_lower_max_takes_copies():
    assert bounds(deployment(9), {"max": 4}, hpas=(hpa(),)).takes == 5
    assert bounds({**hpa(), "status": {"currentReplicas": 7}}, {"max": 4}).takes == 3


def test_keda_is_asked_instead():
    action, params = SetHpaBounds(), SetHpaBoundsParams(max=20)
    seen = view(deployment(), hpas=(keda(),))
    assert action.wants(params, seen) == {"scaled_object": Get(ObjectRef("ScaledObject.keda.sh", NS, "queue"))}
    assert action.wants(params, view(keda())) == action.wants(params, seen)
    assert action.wants(params, view(hpa())) == {}
    change = bounds(deployment(), {"min": 0, "max": 20}, hpas=(keda(),), found={"scaled_object": scaled()})
    assert change.effects[0].ref == ObjectRef("ScaledObject.keda.sh", NS, "queue")
    assert fields(change) == {"minReplicaCount": (1, 0), "maxReplicaCount": (None, 20)}
    assert change.summary == "ScaledObject shop/queue: minReplicaCount 1 -> 0, maxReplicaCount absent -> 20"


@pytest.mark.parametrize(
    ("obj", "given", "parts", "reason"),
    [
        pytest.param(deployment(), {"max": 20}, {}, "has no HorizontalPodAutoscaler", id="none"),
        pytest.param(deployment(), {"max": 20}, {"hpas": (hpa(), hpa())}, "several", id="two"),
        pytest.param(deployment(), {"max": 20}, {"unreadable": {"hpas": "403"}}, "CANNOT SEE", id="unreadable"),
        pytest.param(deployment(0), {"max": 20}, {"hpas": (hpa(),)}, "scaled to 0", id="switched off"),
        pytest.param(hpa(), {"max": 10}, {}, "between 2 and 10 copies already", id="the same"),
        pytest.param(hpa(), {"max": 1}, {}, "give both min and max", id="max below the present min"),
        pytest.param(hpa(), {"min": 0}, {}, "takes no min 0", id="0 without KEDA"),
        pytest.param(hpa(owners=owner(deployment())), {"max": 20}, {}, "makes HorizontalPodAutoscaler", id="owned"),
        pytest.param(keda(), {"max": 20}, {}, "CANNOT SEE: scaled_object", id="KEDA, not read"),
        pytest.param(keda(), {"max": 20}, {"found": {"scaled_object": None}}, "does not exist", id="KEDA, gone"),
        pytest.param(
            keda(), {"max": 20}, {"found": {"scaled_object": scaled(uid="other")}}, "does not exist", id="KEDA, another"
        ),
        pytest.param(
            keda(),
            {"max": 20},
            {"found": {"scaled_object": scaled(annotations={"autoscaling.keda.sh/paused-replicas": "0"})}},
            "is paused",
            id="KEDA, paused",
        ),
        pytest.param(
            keda(),
            {"max": 20},
            {"found": {"scaled_object": scaled(labels={"kustomize.toolkit.fluxcd.io/name": "shop"})}},
            "Flux Kustomization shop owns spec.maxReplicaCount",
            id="KEDA, by Git",
        ),
    ],
)
def test_bounds_that_stay(obj, given, parts, reason):
    with pytest.raises(NotPossible) as refused:
        bounds(obj, given, **parts)
    assert reason in refused.value.reason


@pytest.mark.parametrize("given", [{}, {"min": 5, "max": 4}, {"max": 0}, {"max": 1001}, {"min": -1}], ids=str)
def test_bad_bounds_of_an_autoscaler(given):
    with pytest.raises(ValidationError):
        SetHpaBoundsParams(**given)
