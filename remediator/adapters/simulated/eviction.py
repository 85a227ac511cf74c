"""The Eviction API: a deletion that asks the PodDisruptionBudget first.

Source: pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from typing import Any

from remediator.adapters.answers import Answer
from remediator.adapters.simulated import status
from remediator.adapters.simulated.selectors import matches_selector
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.validation import check_preconditions
from remediator.adapters.simulated.world import CONTROLLER, World, condition, is_ready, is_terminating
from remediator.objects import ObjectRef, dig, labels_of

MOST_DISRUPTED = 2000
STILL_PROCESSING_S = 10.0


def evict(world: World, ref: ObjectRef, body: Any, *, dry_run: bool) -> Obj:
    """Raises: StatusError: 429 with cause DisruptionBudget, 500 with two budgets, 404, 409 for another uid."""
    if ref.kind != "Pod":
        raise status.not_served()
    pod = world.store.at(ref)
    if pod is None:
        raise status.not_found("Pod", ref.name)
    if not isinstance(body, dict) or dig(body, "metadata", "name") != ref.name:
        raise status.bad_request("name in URL does not match name in Eviction object")
    options = body.get("deleteOptions") or {}
    check_preconditions(pod, options)
    dry_run = dry_run or bool(options.get("dryRun"))
    budget = _budget_of(world, pod)
    if budget is not None and not _ignores_budget(pod, budget):
        _take_one(world, pod, budget, dry_run)
    if not dry_run:
        if not is_terminating(pod):
            pod = _mark(world, pod)
        world.delete(pod, grace_s=options.get("gracePeriodSeconds"))
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _budget_of(world: World, pod: Obj) -> Obj | None:
    if dig(pod, "status", "phase") in ("Succeeded", "Failed", "Pending") or is_terminating(pod):
        return None
    budgets = [
        b
        for b in world.store.all("PodDisruptionBudget", pod["metadata"]["namespace"])
        if matches_selector(b["spec"].get("selector"), labels_of(pod))
    ]
    if len(budgets) > 1:
        message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise status.StatusError(Answer(500, "", message))
    return budgets[0] if budgets else None


def _ignores_budget(pod: Obj, budget: Obj) -> bool:
    """A pod that is not ready may go while the budget is healthy, or always where the budget says so."""
    if is_ready(pod):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    healthy, desired = (dig(budget, "status", f, default=0) for f in ("currentHealthy", "desiredHealthy"))
    return bool(healthy >= desired > 0)


def _take_one(world: World, pod: Obj, budget: Obj, dry_run: bool) -> None:
    """Spend one disruption, remembered in the budget's status until its controller has seen the pod go."""
    name, found = budget["metadata"]["name"], budget.get("status") or {}
    if found.get("observedGeneration", 0) < budget["metadata"]["generation"]:
        raise status.budget_spent(
            f"The disruption budget {name} is still being processed by the server.", retry_after_s=STILL_PROCESSING_S
        )
    allowed = found.get("disruptionsAllowed", 0)
    if allowed < 0:
        raise status.StatusError(Answer(403, "Forbidden", f"pdb {name}: pdb disruptions allowed is negative"))
    disrupted = found.get("disruptedPods") or {}
    if len(disrupted) > MOST_DISRUPTED:
        raise status.StatusError(Answer(403, "Forbidden", f"pdb {name}: DisruptedPods map too big"))
    if allowed == 0:
        needs, has = found.get("desiredHealthy", 0), found.get("currentHealthy", 0)
        raise status.budget_spent(f"The disruption budget {name} needs {needs} healthy pods and has {has} currently")
    if not dry_run:
        spent = {
            **found,
            "disruptionsAllowed": allowed - 1,
            "disruptedPods": {**disrupted, pod["metadata"]["name"]: world.stamp()},
        }
        world.set_status(budget, spent)


def _mark(world: World, pod: Obj) -> Obj:
    """Evicted pods carry the condition DisruptionTarget."""
    mark = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastTransitionTime": world.stamp(),
    }
    if condition(pod, "DisruptionTarget") is not None:
        return pod
    conditions = [*(dig(pod, "status", "conditions") or ()), mark]
    return world.set_status(pod, {**(pod.get("status") or {}), "conditions": conditions}, manager=CONTROLLER)
