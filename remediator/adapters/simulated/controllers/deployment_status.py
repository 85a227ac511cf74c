"""The status of a Deployment: its numbers, and what its conditions make of them.

Source: pkg/controller/deployment/progress.go, sync.go.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from remediator.adapters.simulated.controllers.pods import moment, omit_zero
from remediator.adapters.simulated.controllers.rollout import Rollout, count
from remediator.adapters.simulated.world import condition


def numbers(rollout: Rollout) -> dict[str, Any]:
    """The numbers, without conditions."""
    total = sum(count(rs, "replicas") for rs in rollout.all)
    available = sum(count(rs, "availableReplicas") for rs in rollout.all)
    return {
        "observedGeneration": rollout.deployment["metadata"]["generation"],
        "terminatingReplicas": sum(count(rs, "terminatingReplicas") for rs in rollout.all),
        **omit_zero(
            replicas=total,
            updatedReplicas=count(rollout.new, "replicas") if rollout.new is not None else 0,
            readyReplicas=sum(count(rs, "readyReplicas") for rs in rollout.all),
            availableReplicas=available,
            unavailableReplicas=max(sum(rs["spec"]["replicas"] for rs in rollout.all) - available, 0),
        ),
    }


def is_complete(rollout: Rollout, status: dict[str, Any]) -> bool:
    return all(status.get(f, 0) == rollout.replicas for f in ("updatedReplicas", "replicas", "availableReplicas"))


def write_status(rollout: Rollout) -> None:
    status = numbers(rollout)
    progress = rollout.progress if rollout.progress is not None else _judge(rollout, status)
    conditions = [_availability(rollout, status.get("availableReplicas", 0))]
    if progress is not None and rollout.deployment["spec"].get("progressDeadlineSeconds") is not None:
        conditions.append(progress)
    world, deployment = rollout.world, rollout.deployment
    # The rollout went on in this reconciliation: a later one, brought by the ReplicaSets' changes, sees the result.
    world.set_status(deployment, {**status, "conditions": conditions})
    _watch_deadline(rollout, progress)


def _availability(rollout: Rollout, available: int) -> dict[str, Any]:
    _, unavailable = rollout.fence()
    if available >= rollout.replicas - unavailable:
        words = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        words = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return _condition(rollout, "Available", *words)


def progressing(rollout: Rollout, status: str, reason: str, message: str) -> dict[str, Any]:
    return _condition(rollout, "Progressing", status, reason, message)


def _condition(rollout: Rollout, kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    """A condition; unchanged, it keeps its times, and without a change of its status its lastTransitionTime."""
    before, now = condition(rollout.deployment, kind), rollout.world.stamp()
    if before is not None and (before["status"], before["reason"], before["message"]) == (status, reason, message):
        return before
    since = before["lastTransitionTime"] if before is not None and before["status"] == status else now
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": now,
        "lastTransitionTime": since,
    }


def _judge(rollout: Rollout, status: dict[str, Any]) -> dict[str, Any] | None:
    """The Progressing condition that follows from the numbers."""
    before, old = condition(rollout.deployment, "Progressing"), rollout.deployment.get("status") or {}
    name = f'"{rollout.new["metadata"]["name"]}"' if rollout.new is not None else f'"{_name(rollout)}"'
    if before is not None and before["reason"] == "DeploymentPaused":
        return progressing(rollout, "Unknown", "DeploymentResumed", "Deployment is resumed")
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if settled and before is not None and before["reason"] == "NewReplicaSetAvailable":
        return before
    if is_complete(rollout, status):
        return progressing(rollout, "True", "NewReplicaSetAvailable", f"ReplicaSet {name} has successfully progressed.")
    if _moves(old, status):
        found = progressing(rollout, "True", "ReplicaSetUpdated", f"ReplicaSet {name} is progressing.")
        return {**found, "lastUpdateTime": rollout.world.stamp()}
    if before is not None and _deadline(rollout, before) <= rollout.world.agenda.now():
        message = f"ReplicaSet {name} has timed out progressing."
        return progressing(rollout, "False", "ProgressDeadlineExceeded", message)
    return before


def _name(rollout: Rollout) -> str:
    return str(rollout.deployment["metadata"]["name"])


def _moves(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """More updated, ready or available pods, or fewer old ones, than in the last status."""
    gains = ("updatedReplicas", "readyReplicas", "availableReplicas")
    if any(new.get(f, 0) > old.get(f, 0) for f in gains):
        return True
    before, after = (s.get("replicas", 0) - s.get("updatedReplicas", 0) for s in (old, new))
    return bool(after < before)


def _deadline(rollout: Rollout, progress: dict[str, Any]) -> datetime:
    updated = moment(progress["lastUpdateTime"])
    limit_s = rollout.deployment["spec"].get("progressDeadlineSeconds") or 0
    return updated + timedelta(seconds=limit_s + 1)


def _watch_deadline(rollout: Rollout, progress: dict[str, Any] | None) -> None:
    """Look again when the progress deadline is over."""
    if progress is None or progress["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
        return
    if rollout.deployment["spec"].get("paused"):
        return
    left_s = (_deadline(rollout, progress) - rollout.world.agenda.now()).total_seconds()
    meta = rollout.deployment["metadata"]
    if left_s > 0:
        rollout.world.enqueue("Deployment", meta["namespace"], meta["name"], left_s)
