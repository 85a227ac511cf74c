"""HorizontalPodAutoscaler, without metrics: it keeps its target between the bounds.

What metrics would ask for is set by whoever writes the story, in the annotation `test.remediator.dev/wants` of the HPA.
"""

from __future__ import annotations

from typing import Any

from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World, condition, is_terminating
from remediator.objects import KINDS, annotations_of, dig

WANTS = "test.remediator.dev/wants"


def scalers_of(world: World, workload: Obj) -> list[Obj]:
    """The HPAs that target a workload."""
    kind, meta = workload["kind"], workload["metadata"]
    group = KINDS[kind].api_version.rpartition("/")[0]
    return [
        scaler
        for scaler in world.store.all("HorizontalPodAutoscaler", meta["namespace"])
        if (target := scaler["spec"]["scaleTargetRef"])["kind"] == kind
        and target["name"] == meta["name"]
        and target.get("apiVersion", "").rpartition("/")[0] == group
    ]


def reconcile(world: World, scaler: Obj) -> None:
    if is_terminating(scaler):
        return
    spec, meta = scaler["spec"], scaler["metadata"]
    target = world.store.get(spec["scaleTargetRef"]["kind"], meta["namespace"], spec["scaleTargetRef"]["name"])
    if target is None:
        conditions = [_condition(world, scaler, "AbleToScale", "False", "FailedGetScale")]
        world.set_status(scaler, {"currentReplicas": 0, "desiredReplicas": 0, "conditions": conditions})
        return
    present = target["spec"]["replicas"]
    if present == 0 and spec["minReplicas"] > 0:
        conditions = [
            _condition(world, scaler, "AbleToScale", "True", "SucceededGetScale"),
            _condition(world, scaler, "ScalingActive", "False", "ScalingDisabled"),
        ]
        world.set_status(scaler, {"currentReplicas": 0, "desiredReplicas": 0, "conditions": conditions})
        return
    wanted = int(annotations_of(scaler).get(WANTS, present))
    desired = min(max(wanted, spec["minReplicas"]), spec["maxReplicas"])
    if desired != present:
        scaled = {**target, "spec": {**target["spec"], "replicas": desired}}
        world.update(target, scaled, subresource="scale")
    limited = ("True", "TooManyReplicas" if wanted > desired else "TooFewReplicas")
    if wanted == desired:
        limited = ("False", "DesiredWithinRange")
    conditions = [
        _condition(
            world, scaler, "AbleToScale", "True", "ReadyForNewScale" if desired == present else "SucceededRescale"
        ),
        _condition(world, scaler, "ScalingActive", "True", "ValidMetricFound"),
        _condition(world, scaler, "ScalingLimited", *limited),
    ]
    running = dig(target, "status", "replicas", default=0)
    status = {"currentReplicas": running, "desiredReplicas": desired, "conditions": conditions}
    world.set_status(scaler, status)


def _condition(world: World, scaler: Obj, kind: str, status: str, reason: str) -> dict[str, Any]:
    before = condition(scaler, kind)
    since = before["lastTransitionTime"] if before is not None and before["status"] == status else world.stamp()
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": since}
