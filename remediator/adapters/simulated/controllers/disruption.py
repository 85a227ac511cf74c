"""PodDisruptionBudget: how many pods may be disrupted now. Source: pkg/controller/disruption."""

from __future__ import annotations

import math
from typing import Any

from remediator.adapters.simulated.controllers.pods import moment
from remediator.adapters.simulated.selectors import matches_selector
from remediator.adapters.simulated.status import resource
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World, condition, is_active, is_ready, is_terminating
from remediator.objects import controller_of, dig, labels_of

EVICTION_TIMEOUT_S = 120
"""An eviction that did not lead to a deletion is forgotten after this."""


def reconcile(world: World, budget: Obj) -> None:
    if is_terminating(budget):
        return
    namespace = budget["metadata"]["namespace"]
    pods = [
        p
        for p in world.store.all("Pod", namespace)
        if matches_selector(budget["spec"].get("selector"), labels_of(p))
        and dig(p, "status", "phase") not in ("Succeeded", "Failed")
    ]
    disrupted = _disrupted(world, budget, pods)
    healthy = sum(is_ready(p) and is_active(p) and p["metadata"]["name"] not in disrupted for p in pods)
    try:
        expected, desired = _expectation(world, budget, pods)
    except _NoScaleError as exc:
        _fail_safe(world, budget, str(exc))
        return
    allowed = max(healthy - desired, 0) if expected > 0 else 0
    status: dict[str, Any] = {
        "observedGeneration": budget["metadata"]["generation"],
        "expectedPods": expected,
        "desiredHealthy": desired,
        "currentHealthy": healthy,
        "disruptionsAllowed": allowed,
        "conditions": [_condition(world, budget, allowed)],
    }
    if disrupted:
        status["disruptedPods"] = disrupted
    world.set_status(budget, status)


class _NoScaleError(Exception):
    """The pods' controller has no scale that a share could be taken of."""


def _fail_safe(world: World, budget: Obj, why: str) -> None:
    """A share of a DaemonSet cannot be computed: nothing may be evicted, and the generation is never observed, so that
    the Eviction API says for ever that the budget is still being processed (seen on 1.36).
    """
    counts = dict.fromkeys(("expectedPods", "desiredHealthy", "currentHealthy"), 0)
    status = {**counts, **(budget.get("status") or {}), "disruptionsAllowed": 0}
    world.set_status(budget, {**status, "conditions": [_condition(world, budget, 0, "SyncFailed", why)]})


def _disrupted(world: World, budget: Obj, pods: list[Obj]) -> dict[str, str]:
    """Evicted pods whose deletion we have not seen yet."""
    alive = {p["metadata"]["name"] for p in pods if not is_terminating(p)}
    kept = {}
    for name, at in (dig(budget, "status", "disruptedPods") or {}).items():
        since = moment(at)
        if name in alive and (world.agenda.now() - since).total_seconds() < EVICTION_TIMEOUT_S:
            kept[name] = at
            meta = budget["metadata"]
            world.enqueue("PodDisruptionBudget", meta["namespace"], meta["name"], EVICTION_TIMEOUT_S)
    return kept


def _expectation(world: World, budget: Obj, pods: list[Obj]) -> tuple[int, int]:
    """(expectedPods, desiredHealthy). A share or maxUnavailable counts what the pods' controllers want, not what is."""
    spec = budget["spec"]
    if isinstance(spec.get("minAvailable"), int):
        return len(pods), spec["minAvailable"]
    expected = _scale_of_controllers(world, pods)
    if "maxUnavailable" in spec:
        return expected, max(expected - _share(spec["maxUnavailable"], expected), 0)
    return expected, _share(spec.get("minAvailable", 0), expected)


def _share(value: int | str, whole: int) -> int:
    return math.ceil(whole * int(value.rstrip("%")) / 100) if isinstance(value, str) else value


def _scale_of_controllers(world: World, pods: list[Obj]) -> int:
    owners: dict[str, int] = {}
    for pod in pods:
        owner = controller_of(pod)
        while owner is not None:
            found = world.store.get(owner["kind"], pod["metadata"]["namespace"], owner["name"])
            if found is None:
                break
            above = controller_of(found)
            if above is None and "replicas" not in found["spec"]:
                raise _NoScaleError(f"{resource(found['kind'])} does not implement the scale subresource")
            if above is None:
                owners[found["metadata"]["uid"]] = found["spec"]["replicas"]
                break
            owner = above
    return sum(owners.values())


def _condition(world: World, budget: Obj, allowed: int, reason: str = "", message: str = "") -> dict[str, Any]:
    status = "True" if allowed > 0 else "False"
    reason = reason or ("SufficientPods" if allowed > 0 else "InsufficientPods")
    before = condition(budget, "DisruptionAllowed")
    since = before["lastTransitionTime"] if before is not None and before["status"] == status else world.stamp()
    return {
        "type": "DisruptionAllowed",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
        "observedGeneration": budget["metadata"]["generation"],
    }
