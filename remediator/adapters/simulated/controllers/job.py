"""Job: run pods to completion, unless suspended. Source: pkg/controller/job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from remediator.adapters.simulated.controllers.pods import moment, omit_zero, pod_of
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World, condition, is_active, is_ready, is_terminating
from remediator.objects import dig

BACK_OFF_S = 10.0
MOST_BACK_OFF_S = 600.0


def reconcile(world: World, job: Obj) -> None:
    if is_terminating(job):
        return
    if _finished(job):
        _expire(world, job)
        return
    pods = world.store.children(job["metadata"]["uid"], "Pod")
    done, failed = (_ended(pods, phase) for phase in ("Succeeded", "Failed"))
    active = [p for p in pods if is_active(p)]
    spec = job["spec"]
    if spec.get("suspend"):
        for pod in active:
            world.delete(pod)
        _write_status(world, job, [], done, failed, _suspended(world, job, holds=True))
    elif done >= spec["completions"]:
        _write_status(world, job, [], done, failed, _finish(world, job, "Complete", "CompletionsReached"))
    elif failed > spec["backoffLimit"]:
        for pod in active:
            world.delete(pod)
        _write_status(world, job, [], done, failed, _finish(world, job, "Failed", "BackoffLimitExceeded"))
    else:
        active += _start(world, job, pods, missing=min(spec["parallelism"], spec["completions"] - done) - len(active))
        conditions = _suspended(world, job, holds=False) if condition(job, "Suspended") is not None else []
        _write_status(world, job, active, done, failed, conditions)


def _start(world: World, job: Obj, pods: list[Obj], *, missing: int) -> list[Obj]:
    """The missing pods; after failures only when the back-off is over."""
    ended = [p["status"]["containerStatuses"][0]["state"]["terminated"] for p in pods if _phase(p) == "Failed"]
    if missing > 0 and ended:
        last = max(moment(t["finishedAt"]) for t in ended)
        pause_s = min(BACK_OFF_S * 2 ** (len(ended) - 1), MOST_BACK_OFF_S)
        left_s = (last + timedelta(seconds=pause_s) - world.agenda.now()).total_seconds()
        if left_s > 0:
            world.enqueue("Job", job["metadata"]["namespace"], job["metadata"]["name"], left_s)
            return []
    template, meta = job["spec"]["template"], job["metadata"]
    start = f"{meta['name']}-"
    return [
        world.create(pod_of(job, template, name=world.generated("Pod", meta["namespace"], start)))
        for _ in range(missing)
    ]


def _phase(pod: Obj) -> str:
    return str(dig(pod, "status", "phase", default=""))


def _finished(job: Obj) -> bool:
    return any((c := condition(job, kind)) is not None and c["status"] == "True" for kind in ("Complete", "Failed"))


def _ended(pods: list[Obj], phase: str) -> int:
    return sum(_phase(p) == phase for p in pods)


def _write_status(
    world: World, job: Obj, active: list[Obj], done: int, failed: int, conditions: list[dict[str, Any]]
) -> None:
    before = job.get("status") or {}
    status: dict[str, Any] = {
        **omit_zero(active=len(active), succeeded=done, failed=failed),
        "ready": sum(map(is_ready, active)),
        "terminating": 0,
        "uncountedTerminatedPods": {},
    }
    if not job["spec"].get("suspend"):
        status["startTime"] = before.get("startTime", world.stamp())
    if conditions:
        status["conditions"] = conditions
        if any(c["type"] == "Complete" for c in conditions):
            status["completionTime"] = world.stamp()
    world.set_status(job, status)


def _suspended(world: World, job: Obj, *, holds: bool) -> list[dict[str, Any]]:
    words = ("True", "JobSuspended", "Job suspended") if holds else ("False", "JobResumed", "Job resumed")
    before = condition(job, "Suspended")
    if before is not None and before["status"] == words[0]:
        return [before]
    return [_condition(world, "Suspended", *words)]


def _finish(world: World, job: Obj, kind: str, reason: str) -> list[dict[str, Any]]:
    first = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
    message = "Reached expected number of succeeded pods"
    if kind == "Failed":
        message = "Job has reached the specified backoff limit"
    kept = [c for c in dig(job, "status", "conditions") or () if c["type"] == "Suspended"]
    return [*kept, *(_condition(world, k, "True", reason, message) for k in (first, kind))]


def _condition(world: World, kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    now = world.stamp()
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastProbeTime": now,
        "lastTransitionTime": now,
    }


def _expire(world: World, job: Obj) -> None:
    """Delete a finished Job ttlSecondsAfterFinished later."""
    ttl_s = job["spec"].get("ttlSecondsAfterFinished")
    ended = condition(job, "Complete") or condition(job, "Failed")
    if ttl_s is None or ended is None:
        return
    left_s = (moment(ended["lastTransitionTime"]) + timedelta(seconds=ttl_s) - world.agenda.now()).total_seconds()
    if left_s <= 0:
        world.delete(job)
    else:
        world.enqueue("Job", job["metadata"]["namespace"], job["metadata"]["name"], left_s)
