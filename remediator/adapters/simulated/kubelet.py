"""Pods come to life, get ready, crash, end and stop: scheduler and kubelets in one.

A pod's state is its status, as in Kubernetes; a timer only says when to look at it again. Each pod has at most one
timer that counts: a token, renewed with every new plan for the pod, makes the older ones void.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from remediator.adapters.simulated.behaviour import Behaviour
from remediator.adapters.simulated.scheduling import schedule
from remediator.adapters.simulated.store import Change, Key, Obj, key_of
from remediator.adapters.simulated.world import KUBELET, World, condition, is_active, is_ready, is_terminating
from remediator.objects import dig

BACK_OFF_RESET_S = 600.0
"""A container that ran for so long starts its back-off anew."""


@dataclass(slots=True)
class _Run:
    """What the kubelet remembers of a pod besides its status."""

    token: int = 0
    started_at: datetime | None = None
    """Of the present run of the first container."""
    crashes: int = 0
    """In a row, for the back-off."""
    terminating: bool = False


class Kubelet:
    """All kubelets, and the scheduler that feeds them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._runs: dict[str, _Run] = {}
        self._load: dict[str, set[str]] = {}
        self._waiting: dict[Key, None] = {}
        """Pods that no node takes."""
        self._down: set[str] = set()
        self._ips = 0
        world.store.listeners.append(self._changed)

    # What happens around us

    def _changed(self, change: Change) -> None:
        match change.object["kind"]:
            case "Pod":
                self._pod_changed(change)
            case "Node":
                self._retry_waiting()
            case _:
                pass

    def _pod_changed(self, change: Change) -> None:
        before, pod = change.before, change.after
        if pod is None:
            self._forget(change.object)
        elif before is None:
            self._runs[pod["metadata"]["uid"]] = _Run()
            if pod["spec"].get("nodeName"):
                self._bound(pod)
            else:
                self._look_for_node(key_of(pod), self._world.timing.schedule_s)
        elif is_terminating(pod) and not is_terminating(before):
            self._stop(pod)
        elif pod["spec"].get("nodeName") and not before["spec"].get("nodeName"):
            self._bound(pod)
        elif any(pod["metadata"].get(f) != before["metadata"].get(f) for f in ("labels", "annotations")):
            self._replan(pod)

    def _forget(self, pod: Obj) -> None:
        self._runs.pop(pod["metadata"]["uid"], None)
        self._waiting.pop(key_of(pod), None)
        self._load.get(pod["spec"].get("nodeName", ""), set()).discard(pod["metadata"]["uid"])
        self._retry_waiting()

    def reconsider(self) -> None:
        """Behaviours have changed: every pod's plan may be another."""
        for pod in self._world.store.all("Pod"):
            if pod["metadata"]["uid"] in self._runs and not is_terminating(pod):
                self._replan(pod)

    def node_fails(self, name: str) -> None:
        """From now on nothing happens on that node, until it is back."""
        self._down.add(name)

    def node_returns(self, name: str) -> None:
        self._down.discard(name)
        for pod in self._world.store.all("Pod"):
            if pod["spec"].get("nodeName") != name:
                continue
            if is_terminating(pod):
                self._stop(pod)
            else:
                self._replan(pod)

    # Scheduling

    def _look_for_node(self, key: Key, delay_s: float) -> None:
        def look() -> None:
            pod = self._world.store.get("Pod", *key)
            if pod is not None and not pod["spec"].get("nodeName") and is_active(pod):
                self._waiting.pop(key, None)
                if schedule(self._world, pod, self._load) is None:
                    self._waiting[key] = None

        self._world.later(delay_s, look)

    def _retry_waiting(self) -> None:
        for key in list(self._waiting):
            del self._waiting[key]
            self._look_for_node(key, self._world.timing.schedule_s)

    # The life of a pod

    def _bound(self, pod: Obj) -> None:
        """A node has been chosen: the image is pulled, the containers are created."""
        self._load.setdefault(pod["spec"]["nodeName"], set()).add(pod["metadata"]["uid"])
        self._wait(pod, {"reason": "ContainerCreating"})
        self._plan(pod, self._world.timing.start_s, self._start)

    def _wait(self, pod: Obj, waiting: dict[str, str]) -> None:
        """No container runs yet."""
        containers = self._containers(pod, {"waiting": waiting}, ready=False, all_alike=True)
        self._set(pod, {"phase": "Pending"}, ready=False, containers=containers)

    def _start(self, pod: Obj) -> None:
        """The containers run, for the first time."""
        behaviour = self._world.behaviour(pod)
        if behaviour.pull_fails:
            image = pod["spec"]["containers"][0]["image"]
            self._wait(pod, {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'})
            return
        self._ips += 1
        ip = f"10.244.{self._ips // 250 % 256}.{self._ips % 250 + 1}"
        head = {"phase": "Running", "startTime": self._world.stamp(), "podIP": ip, "podIPs": [{"ip": ip}]}
        self._run(pod, head, behaviour)

    def _run(self, pod: Obj, head: dict[str, Any], behaviour: Behaviour) -> None:
        """The first container starts (again)."""
        run = self._runs[pod["metadata"]["uid"]]
        run.started_at = self._world.agenda.now()
        ready = behaviour.ready_after_s is not None and behaviour.ready_after_s <= 0
        running = {"running": {"startedAt": self._world.stamp()}}
        pod = self._set(pod, head, ready=ready, containers=self._containers(pod, running, ready=ready))
        self._replan(pod)

    def _replan(self, pod: Obj) -> None:
        """What comes next for a pod whose containers run, from its behaviour and the time they have run."""
        run = self._runs.get(pod["metadata"]["uid"])
        if run is None or is_terminating(pod):
            return
        phase, state = dig(pod, "status", "phase"), _first_state(pod)
        behaviour = self._world.behaviour(pod)
        if phase == "Pending" and "waiting" in state and state["waiting"]["reason"] == "ImagePullBackOff":
            if not behaviour.pull_fails:
                self._plan(pod, self._world.timing.start_s, self._start)
            return
        if phase != "Running" or "running" not in state or run.started_at is None:
            return
        ran_s = (self._world.agenda.now() - run.started_at).total_seconds()
        ready = behaviour.ready_after_s is not None and ran_s >= behaviour.ready_after_s
        if ready != is_ready(pod):
            containers = self._containers(pod, state, ready=ready)
            pod = self._set(pod, {}, ready=ready, containers=containers)
        steps: list[tuple[float, Callable[[Obj], None]]] = []
        if behaviour.ready_after_s is not None and not ready:
            steps.append((behaviour.ready_after_s, self._replan))
        if behaviour.crash_after_s is not None:
            steps.append((behaviour.crash_after_s, self._crash))
        if behaviour.ends_after_s is not None:
            steps.append((behaviour.ends_after_s, self._end))
        if steps:
            at_s, then = min(steps, key=lambda step: step[0])
            self._plan(pod, max(at_s - ran_s, 0.0), then)
        else:
            run.token += 1

    def _crash(self, pod: Obj) -> None:
        """The first container ends by itself. The first restart comes at once, later ones after a growing pause."""
        if pod["spec"].get("restartPolicy") == "Never":
            self._end(pod)
            return
        world, run = self._world, self._runs[pod["metadata"]["uid"]]
        behaviour, now = world.behaviour(pod), world.agenda.now()
        if run.started_at is not None and (now - run.started_at).total_seconds() >= BACK_OFF_RESET_S:
            run.crashes = 0
        run.crashes += 1
        last = {"terminated": self._terminated(pod, behaviour)}
        pause_s = min(world.timing.back_off_s * 2 ** max(run.crashes - 2, 0), world.timing.most_back_off_s)
        if run.crashes == 1:
            pause_s = 0.0
        reason, message = "CrashLoopBackOff", f"back-off {pause_s:.0f}s restarting failed container"
        waiting = {"waiting": {"reason": reason, "message": message}}
        containers = self._containers(pod, waiting, ready=False, last=last)
        self._plan(self._set(pod, {}, ready=False, containers=containers), pause_s, self._restart)

    def _restart(self, pod: Obj) -> None:
        statuses = pod["status"]["containerStatuses"]
        first = {**statuses[0], "restartCount": statuses[0]["restartCount"] + 1}
        pod = {**pod, "status": {**pod["status"], "containerStatuses": [first, *statuses[1:]]}}
        self._run(pod, {}, self._world.behaviour(pod))

    def _end(self, pod: Obj) -> None:
        """All containers end: the pod has succeeded or failed."""
        behaviour = self._world.behaviour(pod)
        failed = behaviour.exit_code != 0
        ended = {"terminated": self._terminated(pod, behaviour)}
        head = {"phase": "Failed" if failed else "Succeeded"}
        reason = "PodFailed" if failed else "PodCompleted"
        containers = self._containers(pod, ended, ready=False, all_alike=True)
        self._set(pod, head, ready=False, containers=containers, reason=reason)

    def _stop(self, pod: Obj) -> None:
        """SIGTERM. On a node that is down nobody hears it: the pod stays until the node is back or it is forced."""
        run = self._runs.get(pod["metadata"]["uid"])
        if run is None or pod["spec"].get("nodeName") in self._down:
            return
        run.token += 1
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
        self._world.later(min(grace, self._world.timing.stop_s), lambda: self._gone(pod))

    def _gone(self, pod: Obj) -> None:
        current = self._world.store.get("Pod", *key_of(pod))
        if current is None or current["metadata"]["uid"] != pod["metadata"]["uid"]:
            return
        if current["spec"].get("nodeName") in self._down and current["metadata"].get("deletionGracePeriodSeconds"):
            return
        self._world.remove(current)

    # Plumbing

    def _plan(self, pod: Obj, delay_s: float, step: Callable[[Obj], None]) -> None:
        """The one thing that happens to this pod next, unless something else comes in between."""
        uid, key = pod["metadata"]["uid"], key_of(pod)
        run = self._runs[uid]
        run.token += 1
        token = run.token

        def act() -> None:
            current = self._world.store.get("Pod", *key)
            if self._runs.get(uid) is not run or run.token != token or current is None:
                return
            if is_active(current) and current["spec"].get("nodeName") not in self._down:
                step(current)

        self._world.later(delay_s, act)

    def _set(
        self,
        pod: Obj,
        head: dict[str, Any],
        *,
        ready: bool,
        containers: list[dict[str, Any]],
        reason: str = "ContainersNotReady",
    ) -> Obj:
        status = {**(pod.get("status") or {}), **head, "containerStatuses": containers}
        kept = [c for c in status.get("conditions") or () if c["type"] not in _OURS]
        status["conditions"] = [
            self._condition(pod, "PodScheduled", True, ""),
            self._condition(pod, "Initialized", True, ""),
            self._condition(pod, "ContainersReady", ready, reason),
            self._condition(pod, "Ready", ready, reason),
            *kept,
        ]
        return self._world.set_status(pod, status, manager=KUBELET)

    def _condition(self, pod: Obj, kind: str, holds: bool, reason: str) -> dict[str, Any]:
        before, value = condition(pod, kind), "True" if holds else "False"
        changed = before is None or before["status"] != value
        since = self._world.stamp() if before is None or changed else before["lastTransitionTime"]
        found = {"type": kind, "status": value, "lastTransitionTime": since}
        return found if holds or not reason else {**found, "reason": reason}

    def _containers(
        self,
        pod: Obj,
        state: dict[str, Any],
        *,
        ready: bool,
        last: dict[str, Any] | None = None,
        all_alike: bool = False,
    ) -> list[dict[str, Any]]:
        """Statuses of all containers. The first is in this state; the others run and are well, unless all are alike."""
        before = {c["name"]: c for c in dig(pod, "status", "containerStatuses") or ()}
        statuses = []
        for i, container in enumerate(pod["spec"]["containers"]):
            was, its = before.get(container["name"], {}), state
            if i and not all_alike:
                its = was["state"] if "running" in was.get("state", {}) else {"running": {"startedAt": self._now()}}
            status = {
                "name": container["name"],
                "image": container["image"],
                "imageID": "" if "waiting" in its and not was.get("imageID") else container["image"],
                "restartCount": was.get("restartCount", 0),
                "state": its,
                "lastState": (last if last is not None and i == 0 else was.get("lastState")) or {},
                "ready": ready if i == 0 or all_alike else True,
                "started": "running" in its,
            }
            statuses.append(status)
        return statuses

    def _now(self) -> str:
        return self._world.stamp()

    def _terminated(self, pod: Obj, behaviour: Behaviour) -> dict[str, Any]:
        now = self._world.stamp()
        started = dig(_first_state(pod), "running", "startedAt", default=now)
        reason = behaviour.reason or ("Error" if behaviour.exit_code else "Completed")
        return {"exitCode": behaviour.exit_code, "reason": reason, "startedAt": started, "finishedAt": now}


_OURS = ("PodScheduled", "Initialized", "ContainersReady", "Ready")


def _first_state(pod: Obj) -> dict[str, Any]:
    statuses = dig(pod, "status", "containerStatuses") or ()
    return dict(statuses[0]["state"]) if statuses else {}
