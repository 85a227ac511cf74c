"""Facts of a Deployment, StatefulSet or DaemonSet, read from the raw object. Pure.

Everything that Kubernetes computes and we have to predict is here once: how a percentage rounds, whether a rollout is
over, which copies the next one would take.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from remediator.actions.canonical import canonical_json
from remediator.actions.change import NotPossible
from remediator.actions.pods import name_of, ordinal_of, pod_is_leaving, pod_is_ready, unready_since
from remediator.actions.view import View
from remediator.objects import WORKLOADS, Object, ObjectRef, dig, generation_of, ref_of, uid_of

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""Template annotation of `kubectl rollout restart`; ours is the same one, so that kubectl and GitOps tools know it."""

OURS = "remediator.dev/"
POD_TEMPLATE_HASH = "pod-template-hash"
REVISION_ANNOTATION = "deployment.kubernetes.io/revision"

BROKEN_AFTER = timedelta(seconds=60)
"""A pod that has been unready for this long, with nothing else known about it, counts as broken, not as starting."""

BROKEN_REASONS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Waiting reasons of containers that starting takes no longer for: something is wrong."""

RolloutState = Literal["done", "progressing", "failed", "stuck"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One workload in numbers. Missing status numbers are 0, as the API server omits zeros.

    `strategy` is `RollingUpdate`, `Recreate` or `OnDelete`. `max_unavailable` and `max_surge` are copies, rounded as
    Kubernetes rounds them. `current` counts all copies, also those of older templates. `current_revision` and
    `update_revision` are a StatefulSet's; equal when no rollout is under way. `ordered` is its OrderedReady policy.
    """

    ref: ObjectRef
    uid: str
    desired: int
    current: int
    updated: int
    ready: int
    available: int
    strategy: str
    max_unavailable: int
    max_surge: int
    partition: int
    first_ordinal: int
    ordered: bool
    paused: bool
    observed: bool
    """Whether the controller has seen the present spec; otherwise the numbers describe an older one."""
    current_revision: str
    update_revision: str
    progress_reason: str
    """Reason of a Deployment's Progressing condition, whose status stays True when copies are lost: it is no health."""
    history_limit: int
    template: Mapping[str, Any]

    @property
    def template_hash(self) -> str:
        return template_hash(self.template)


def read_workload(obj: Object) -> Workload:
    """The numbers of a workload object. Raises: NotPossible for any other kind."""
    kind = obj.get("kind", "")
    if kind not in WORKLOADS:
        raise NotPossible(f"{ref_of(obj)} is no {', '.join(WORKLOADS[:-1])} or {WORKLOADS[-1]}")
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    daemon = kind == "DaemonSet"
    desired = _count(status, "desiredNumberScheduled") if daemon else int(spec.get("replicas", 1))
    ready = _count(status, "numberReady" if daemon else "readyReplicas")
    strategy, rolling = _strategy(kind, spec)
    max_unavailable, max_surge = _fenceposts(kind, strategy, rolling, desired)
    return Workload(
        ref=ref_of(obj),
        uid=uid_of(obj),
        desired=desired,
        current=_count(status, "currentNumberScheduled" if daemon else "replicas"),
        updated=_count(status, "updatedNumberScheduled" if daemon else "updatedReplicas"),
        ready=ready,
        # A StatefulSet of an old API server has no availableReplicas at all.
        available=_count(status, "numberAvailable" if daemon else "availableReplicas", ready if _lacks(obj) else 0),
        strategy=strategy,
        max_unavailable=max_unavailable,
        max_surge=max_surge,
        partition=int(rolling.get("partition") or 0),
        first_ordinal=int(dig(spec, "ordinals", "start", default=0)),
        ordered=kind == "StatefulSet" and spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady",
        paused=bool(spec.get("paused")),
        observed=_count(status, "observedGeneration") >= (generation_of(obj) or 0),
        current_revision=str(status.get("currentRevision") or ""),
        update_revision=str(status.get("updateRevision") or ""),
        progress_reason=_progress_reason(status),
        history_limit=int(spec.get("revisionHistoryLimit", 10)),
        template=spec.get("template") or {},
    )


def percent_of(value: int | str, total: int, *, round_up: bool) -> int:
    """An int-or-percent in copies. Raises: ValueError for other texts."""
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        raise ValueError(f"expected a number or a percentage, got {value!r}")
    hundredths = int(value[:-1]) * total
    return -(-hundredths // 100) if round_up else hundredths // 100


def takes_by_rollout(workload: Workload, pods: Sequence[Object] = ()) -> int:
    """How many healthy copies a new pod template may remove at the same time (before any new one has proved itself).

    Deployment: what is available above the floor that the rolling update keeps, so one below its floor loses nothing
    (measured: 3 of 5 ready, restarted with pods that never get ready, stays at 3 ready); Recreate takes all.
    DaemonSet: maxUnavailable, none when it surges. StatefulSet: the next ordinals, if they are ready; with OrderedReady
    the next one is the first that is not ready, and while there is one nothing else moves. `pods` tell the ordinals of
    a Parallel StatefulSet apart; without them the worst case counts.
    """
    if workload.desired == 0 or workload.strategy == "OnDelete":
        return 0
    if workload.strategy == "Recreate":
        return workload.available
    match workload.ref.kind:
        case "StatefulSet":
            return _takes_stateful(workload, pods)
        case "DaemonSet":
            return 0 if workload.max_surge else min(workload.max_unavailable, workload.available)
        case _:
            return max(0, workload.available - (workload.desired - workload.max_unavailable))


def rollout_state(view: View) -> RolloutState:
    """Whether the present template has replaced every older one and all copies are available.

    Strict: unlike `kubectl rollout status`, a StatefulSet is done only when all of its pods are the new revision and
    ready. `failed` is Kubernetes' own ProgressDeadlineExceeded. `stuck` moves only when somebody does something:
    paused, OnDelete, or an OrderedReady StatefulSet that waits for a broken pod.
    """
    workload = read_workload(view.target)
    if not workload.observed:
        return "progressing"
    if workload.ref.kind == "Deployment" and workload.progress_reason == "ProgressDeadlineExceeded":
        return "failed"
    wanted = workload.desired - min(workload.partition, workload.desired)
    complete = min(workload.available, workload.ready) >= workload.desired and workload.updated >= wanted
    if complete and _settled(workload):
        return "done"
    if (workload.paused or workload.strategy == "OnDelete") and not _settled(workload):
        return "stuck"
    if workload.ordered and broken_pods(view):
        return "stuck"
    return "progressing"


def rollout_unfinished(workload: Workload) -> bool:
    """Whether a rollout has not yet replaced every older copy, or still waits for its new ones the first time.

    Not the same as "not done": a Deployment that was rolled out long ago and has lost copies since is not rolling out,
    and must be free to be restarted.
    """
    if not workload.observed or not _settled(workload):
        return True
    if workload.ref.kind != "Deployment" or workload.available >= workload.desired:
        return False
    # All copies are new but some are missing. Only this condition remembers whether they were complete once.
    return workload.progress_reason not in ("", "NewReplicaSetAvailable", "ProgressDeadlineExceeded")


def broken_pods(view: View) -> tuple[Object, ...]:
    """Pods that are unready and will not get ready by waiting, by ordinal or name.

    Broken: an alert names it, a container or the pod has failed, or it has been unready for BROKEN_AFTER.
    """
    return tuple(sorted((pod for pod in view.pods if _is_broken(pod, view)), key=_pod_order))


def template_hash(template: Mapping[str, Any]) -> str:
    """16 hex digits over a pod template without what a restart, a ReplicaSet or we add to it.

    So a restart is the same revision, and a ReplicaSet's template has the hash of the Deployment's it was made from.
    """
    return hashlib.sha256(canonical_json(plain_template(template))).hexdigest()[:16]


def plain_template(template: Mapping[str, Any]) -> dict[str, Any]:
    """A pod template without restart annotations, our annotations, pod-template-hash, `$patch` and nulls."""
    plain = {key: value for key, value in _without_nulls(template).items() if key != "$patch"}
    metadata = dict(plain.get("metadata") or {})
    for part, drop in (("annotations", is_restart_annotation), ("labels", lambda key: key == POD_TEMPLATE_HASH)):
        kept = {key: value for key, value in (metadata.pop(part, None) or {}).items() if not drop(key)}
        if kept:
            metadata[part] = kept
    return {**plain, "metadata": metadata}


def is_restart_annotation(key: str) -> bool:
    """Whether a template annotation says only that somebody restarted it: ours, kubectl's, and those of other tools."""
    return key.startswith(OURS) or key.rpartition("/")[2] == "restartedAt"


def images_of(template: Mapping[str, Any]) -> dict[str, str]:
    """Container name to image, init containers included."""
    containers = [*(dig(template, "spec", "initContainers") or ()), *(dig(template, "spec", "containers") or ())]
    return {str(c.get("name", "")): str(c.get("image", "")) for c in containers}


def _lacks(obj: Object) -> bool:
    return obj.get("kind") == "StatefulSet" and dig(obj, "status", "availableReplicas") is None


def _count(status: Mapping[str, Any], key: str, default: int = 0) -> int:
    value = status.get(key)
    return default if value is None else int(value)


def _strategy(kind: str, spec: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    strategy = spec.get("strategy" if kind == "Deployment" else "updateStrategy") or {}
    return str(strategy.get("type") or "RollingUpdate"), strategy.get("rollingUpdate") or {}


def _fenceposts(kind: str, strategy: str, rolling: Mapping[str, Any], desired: int) -> tuple[int, int]:
    """(maxUnavailable, maxSurge) in copies, never more than desired.

    Deployment: unavailable rounds down, surge rounds up, both 0 becomes 1 unavailable. DaemonSet: both round up.
    StatefulSet: unavailable rounds down, at least 1 (apps/v1 has no surge there).
    """
    if strategy != "RollingUpdate" or desired == 0:
        return 0, 0
    deployment = kind == "Deployment"
    unavailable = rolling.get("maxUnavailable", "25%" if deployment else 1)
    most = percent_of(unavailable, desired, round_up=kind == "DaemonSet")
    extra = percent_of(rolling.get("maxSurge", "25%" if deployment else 0), desired, round_up=True)
    if most == 0 and (kind == "StatefulSet" or (deployment and extra == 0)):
        most = 1
    return min(most, desired), extra


def _progress_reason(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Progressing":
            return str(condition.get("reason") or "")
    return ""


def _takes_stateful(workload: Workload, pods: Sequence[Object]) -> int:
    movable = min(workload.max_unavailable, max(0, workload.desired - workload.partition))
    if workload.ordered:
        return movable if workload.ready >= workload.desired else 0
    if not pods:
        return min(movable, workload.ready)
    last = workload.first_ordinal + workload.desired
    next_ordinals = range(last - movable, last)
    return sum(1 for pod in pods if ordinal_of(pod) in next_ordinals and pod_is_ready(pod))


def _settled(workload: Workload) -> bool:
    """Whether no copy of an older template is left, by the numbers of the present spec."""
    match workload.ref.kind:
        case "Deployment":
            return workload.updated >= workload.desired and workload.current <= workload.updated
        case "DaemonSet":
            return workload.updated >= workload.desired
        case _:
            if workload.partition:
                return workload.updated >= workload.desired - workload.partition
            # While a rollout is over both are equal; a lost pod then lowers `updated` without there being a rollout.
            return workload.current_revision == workload.update_revision


def _is_broken(pod: Object, view: View) -> bool:
    if pod_is_ready(pod) or pod_is_leaving(pod):
        return False
    if dig(pod, "status", "phase") == "Failed" or name_of(pod) == view.alert_pod:
        return True
    statuses = [
        *(dig(pod, "status", "initContainerStatuses") or ()),
        *(dig(pod, "status", "containerStatuses") or ()),
    ]
    if any(dig(status, "state", "waiting", "reason") in BROKEN_REASONS for status in statuses):
        return True
    return view.read_at - unready_since(pod) >= BROKEN_AFTER


def _pod_order(pod: Object) -> tuple[int, str]:
    return ordinal_of(pod), name_of(pod)


def _without_nulls(value: Any) -> Any:
    """Old API servers wrote `creationTimestamp: null` into templates, new ones leave it out."""
    if isinstance(value, str | int | float):  # most are
        return value
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value
