"""Deployment: roll from one ReplicaSet to another. Source: pkg/controller/deployment, whose order of steps is kept.

Each reconciliation does one step (scale up, or scale down, or clean up) and writes the status; the ReplicaSets' changes
bring the next one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from remediator.adapters.simulated.controllers.pods import child_of, created, moment, omit_zero, template_hash
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World, condition, is_active, is_terminating
from remediator.objects import annotations_of

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISIONS = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
NOT_COPIED = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISIONS,
        DESIRED,
        MOST,
        "deprecated.deployment.rollback.to",
    )
)
"""The Deployment's other annotations are copied to its ReplicaSet."""


@dataclass(slots=True)
class _Rollout:
    """A Deployment with its ReplicaSets, at the beginning of one reconciliation."""

    world: World
    deployment: Obj
    new: Obj | None
    old: list[Obj]
    progress: dict[str, Any] | None = None
    """A Progressing condition to write, where this step brought one about."""

    @property
    def replicas(self) -> int:
        return int(self.deployment["spec"]["replicas"])

    @property
    def all(self) -> list[Obj]:
        return [*self.old, self.new] if self.new is not None else self.old

    @property
    def rolling(self) -> bool:
        return bool(self.deployment["spec"]["strategy"].get("type") != "Recreate")

    def fence(self) -> tuple[int, int]:
        """(maxSurge, maxUnavailable) in pods: surge rounds up, unavailable down, and they are never both zero."""
        if not self.rolling:
            return 0, 0
        rolling = self.deployment["spec"]["strategy"].get("rollingUpdate") or {}
        surge = _share(rolling.get("maxSurge", "25%"), self.replicas, math.ceil)
        unavailable = _share(rolling.get("maxUnavailable", "25%"), self.replicas, math.floor)
        if surge == 0 and unavailable == 0:
            unavailable = 1
        return surge, min(unavailable, self.replicas)

    def scale(self, replica_set: Obj, replicas: int) -> Obj:
        """Give a ReplicaSet another size, with the notes that proportional scaling needs."""
        surge, _ = self.fence()
        notes = {DESIRED: str(self.replicas), MOST: str(self.replicas + surge)}
        meta = replica_set["metadata"]
        changed = {
            **replica_set,
            "metadata": {**meta, "annotations": {**annotations_of(replica_set), **notes}},
            "spec": {**replica_set["spec"], "replicas": replicas},
        }
        scaled = self.world.update(replica_set, changed)
        if self.new is replica_set:
            self.new = scaled
        else:
            self.old = [scaled if rs is replica_set else rs for rs in self.old]
        return scaled


def _share(value: int | str, whole: int, rounding: Any) -> int:
    if isinstance(value, str):
        return int(rounding(whole * int(value.rstrip("%")) / 100))
    return value


def reconcile(world: World, deployment: Obj) -> None:
    if is_terminating(deployment):
        return
    rollout = _sets(world, deployment)
    if deployment["spec"].get("paused"):
        _sync_revision(rollout, create=False)
        _scale(rollout)
        rollout.progress = _progress(rollout, "Unknown", "DeploymentPaused", "Deployment is paused")
    elif _is_scaling(rollout):
        _sync_revision(rollout, create=False)
        _scale(rollout)
    elif rollout.rolling:
        _roll(rollout)
    else:
        _recreate(rollout)
    _write_status(rollout)


def _sets(world: World, deployment: Obj) -> _Rollout:
    """The ReplicaSets of a Deployment; the new one is the oldest whose template is the present one."""
    sets = world.store.children(deployment["metadata"]["uid"], "ReplicaSet")
    template, new = deployment["spec"]["template"], None
    for replica_set in sets:
        if new is None and same_template(replica_set["spec"]["template"], template):
            new = replica_set
    return _Rollout(world, deployment, new, [rs for rs in sets if rs is not new])


def same_template(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Equal but for the label that names the ReplicaSet."""
    return a.get("spec") == b.get("spec") and _without_hash(a) == _without_hash(b)


def _without_hash(template: dict[str, Any]) -> dict[str, Any]:
    meta = template.get("metadata") or {}
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH}
    return {k: v for k, v in {**meta, "labels": labels}.items() if v}


def revision_of(obj: Obj) -> int:
    text = annotations_of(obj).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _sync_revision(rollout: _Rollout, *, create: bool) -> None:
    """Find or make the new ReplicaSet, and give it the highest revision."""
    world, deployment = rollout.world, rollout.deployment
    revision = max((revision_of(rs) for rs in rollout.old), default=0) + 1
    if rollout.new is None:
        if not create:
            return
        rollout.new = _make(rollout, revision)
        message = f'Created new replica set "{rollout.new["metadata"]["name"]}"'
        rollout.progress = _progress(rollout, "True", "NewReplicaSetCreated", message)
    else:
        notes = _notes(deployment, rollout.new, revision)
        if notes != annotations_of(rollout.new):
            meta = {**rollout.new["metadata"], "annotations": notes}
            rollout.new = world.update(rollout.new, {**rollout.new, "metadata": meta})
        if condition(deployment, "Progressing") is None:
            message = f'Found new replica set "{rollout.new["metadata"]["name"]}"'
            rollout.progress = _progress(rollout, "True", "FoundNewReplicaSet", message)
    number = annotations_of(rollout.new).get(REVISION, "0")
    if annotations_of(deployment).get(REVISION) != number:
        # Goes through the status subresource: the generation stays.
        noted = {**annotations_of(deployment), REVISION: number}
        after = {**deployment, "metadata": {**deployment["metadata"], "annotations": noted}}
        rollout.deployment = world.update(deployment, after, subresource="status")


def _notes(deployment: Obj, replica_set: Obj | None, revision: int) -> dict[str, str]:
    """Annotations of the new ReplicaSet: the Deployment's, plus revision and history."""
    before = dict(annotations_of(replica_set)) if replica_set is not None else {}
    notes = {**before, **{k: v for k, v in annotations_of(deployment).items() if k not in NOT_COPIED}}
    was = before.get(REVISION, "")
    if was and int(was) < revision:
        notes[REVISIONS] = ",".join(filter(None, (before.get(REVISIONS, ""), was)))
    if not was or int(was) < revision:
        notes[REVISION] = str(revision)
    return notes


def _make(rollout: _Rollout, revision: int) -> Obj:
    """The ReplicaSet of a new template, at the size that the rollout allows at once."""
    deployment, template = rollout.deployment, rollout.deployment["spec"]["template"]
    digest = template_hash(template)
    meta = template.get("metadata") or {}
    labels = {**(meta.get("labels") or {}), HASH: digest}
    selector = deployment["spec"]["selector"]
    surge, _ = rollout.fence()
    size = _new_size(rollout, 0)
    notes = {**_notes(deployment, None, revision), DESIRED: str(rollout.replicas), MOST: str(rollout.replicas + surge)}
    spec: dict[str, Any] = {
        "replicas": size,
        "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH: digest}},
        "template": {**template, "metadata": {**meta, "labels": labels}},
    }
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    name = f"{deployment['metadata']['name']}-{digest}"
    made = child_of(deployment, "ReplicaSet", name, metadata={"labels": labels, "annotations": notes}, spec=spec)
    return rollout.world.create({**made, "status": {"replicas": 0}})


def _new_size(rollout: _Rollout, present: int) -> int:
    """How large the new ReplicaSet may be now."""
    if not rollout.rolling:
        return rollout.replicas
    surge, _ = rollout.fence()
    total = sum(rs["spec"]["replicas"] for rs in rollout.all)
    room = rollout.replicas + surge - total
    return present if room <= 0 else present + min(room, rollout.replicas - present)


def _roll(rollout: _Rollout) -> None:
    _sync_revision(rollout, create=True)
    assert rollout.new is not None
    size = rollout.new["spec"]["replicas"]
    wanted = rollout.replicas if size >= rollout.replicas else _new_size(rollout, size)
    if wanted != size:
        rollout.scale(rollout.new, wanted)
    elif not _shrink_old(rollout) and _is_complete(rollout, _status(rollout)):
        _clean_up(rollout)


def _shrink_old(rollout: _Rollout) -> bool:
    """Take down old pods: unavailable ones first, then as many as the budget of unavailability allows."""
    assert rollout.new is not None
    old = [rs for rs in rollout.old if rs["spec"]["replicas"] > 0]
    if not old:
        return False
    _, unavailable = rollout.fence()
    at_least = rollout.replicas - unavailable
    total = sum(rs["spec"]["replicas"] for rs in rollout.all)
    new_missing = rollout.new["spec"]["replicas"] - _count(rollout.new, "availableReplicas")
    most = total - at_least - new_missing
    if most <= 0:
        return False
    shrunk = 0
    for replica_set in sorted(old, key=created):
        broken = replica_set["spec"]["replicas"] - _count(replica_set, "availableReplicas")
        less = min(broken, most - shrunk)
        if less > 0:
            rollout.scale(replica_set, replica_set["spec"]["replicas"] - less)
            shrunk += less
    spare = sum(_count(rs, "availableReplicas") for rs in rollout.all) - at_least
    for replica_set in sorted((rs for rs in rollout.old if rs["spec"]["replicas"] > 0), key=created):
        less = min(replica_set["spec"]["replicas"], spare)
        if less > 0:
            rollout.scale(replica_set, replica_set["spec"]["replicas"] - less)
            spare -= less
            shrunk += less
    return shrunk > 0


def _recreate(rollout: _Rollout) -> None:
    """All old pods go before the first new one comes."""
    _sync_revision(rollout, create=False)
    old = [rs for rs in rollout.old if rs["spec"]["replicas"] > 0]
    for replica_set in old:
        rollout.scale(replica_set, 0)
    if old or any(_old_pods(rollout)):
        return
    _sync_revision(rollout, create=True)
    assert rollout.new is not None
    if rollout.new["spec"]["replicas"] != rollout.replicas:
        rollout.scale(rollout.new, rollout.replicas)
    elif _is_complete(rollout, _status(rollout)):
        _clean_up(rollout)


def _old_pods(rollout: _Rollout) -> Iterable[Obj]:
    """Old pods that still run, terminating ones included. The end of each brings another reconciliation."""
    for replica_set in rollout.old:
        for pod in rollout.world.store.children(replica_set["metadata"]["uid"], "Pod"):
            if is_active(pod) or is_terminating(pod):
                yield pod


def _is_scaling(rollout: _Rollout) -> bool:
    """Someone changed spec.replicas since the ReplicaSets were sized."""
    for replica_set in rollout.all:
        noted = annotations_of(replica_set).get(DESIRED)
        if replica_set["spec"]["replicas"] > 0 and noted is not None and noted != str(rollout.replicas):
            return True
    return False


def _scale(rollout: _Rollout) -> None:
    """Bring the ReplicaSets to another total, in proportion while a rollout is under way."""
    active = [rs for rs in rollout.all if rs["spec"]["replicas"] > 0]
    if len(active) <= 1:
        latest = active[0] if active else rollout.new or max(rollout.old, key=created, default=None)
        if latest is not None and latest["spec"]["replicas"] != rollout.replicas:
            rollout.scale(latest, rollout.replicas)
        return
    if rollout.new is not None and _is_saturated(rollout, rollout.new):
        for replica_set in [rs for rs in rollout.old if rs["spec"]["replicas"] > 0]:
            rollout.scale(replica_set, 0)
        return
    if rollout.rolling:
        _scale_in_proportion(rollout, active)


def _is_saturated(rollout: _Rollout, new: Obj) -> bool:
    sizes = (new["spec"]["replicas"], _count(new, "availableReplicas"), annotations_of(new).get(DESIRED))
    return sizes == (rollout.replicas, rollout.replicas, str(rollout.replicas))


def _scale_in_proportion(rollout: _Rollout, active: list[Obj]) -> None:
    surge, _ = rollout.fence()
    most = rollout.replicas + surge if rollout.replicas > 0 else 0
    to_add = most - sum(rs["spec"]["replicas"] for rs in active)
    # The larger first; among equals the newer one when growing, the older one when shrinking.
    active = sorted(active, key=created, reverse=to_add > 0)
    active.sort(key=lambda rs: rs["spec"]["replicas"], reverse=True)
    sizes, added = [], 0
    for replica_set in active:
        size = replica_set["spec"]["replicas"]
        if rollout.replicas == 0:
            share = -size
        else:
            noted = int(annotations_of(replica_set).get(MOST, "0")) or _count(rollout.deployment, "replicas") or 1
            share = math.floor(size * most / noted + 0.5) - size
        left = to_add - added
        share = min(share, left) if to_add > 0 else max(share, left)
        sizes.append(size + share)
        added += share
    sizes[0] = max(sizes[0] + to_add - added, 0)
    for replica_set, size in zip(active, sizes, strict=True):
        rollout.scale(replica_set, size)


def _clean_up(rollout: _Rollout) -> None:
    """Forget the oldest ReplicaSets beyond revisionHistoryLimit."""
    spare = [rs for rs in rollout.old if rs["spec"]["replicas"] == 0 and not _count(rs, "replicas")]
    excess = len(spare) - rollout.deployment["spec"]["revisionHistoryLimit"]
    for replica_set in sorted(spare, key=revision_of)[: max(excess, 0)]:
        rollout.world.delete(replica_set)
        rollout.old.remove(replica_set)


# Status


def _count(obj: Obj, field: str) -> int:
    return int((obj.get("status") or {}).get(field, 0))


def _status(rollout: _Rollout) -> dict[str, Any]:
    """The numbers, without conditions."""
    total = sum(_count(rs, "replicas") for rs in rollout.all)
    available = sum(_count(rs, "availableReplicas") for rs in rollout.all)
    return {
        "observedGeneration": rollout.deployment["metadata"]["generation"],
        "terminatingReplicas": sum(_count(rs, "terminatingReplicas") for rs in rollout.all),
        **omit_zero(
            replicas=total,
            updatedReplicas=_count(rollout.new, "replicas") if rollout.new is not None else 0,
            readyReplicas=sum(_count(rs, "readyReplicas") for rs in rollout.all),
            availableReplicas=available,
            unavailableReplicas=max(sum(rs["spec"]["replicas"] for rs in rollout.all) - available, 0),
        ),
    }


def _is_complete(rollout: _Rollout, status: dict[str, Any]) -> bool:
    return all(status.get(f, 0) == rollout.replicas for f in ("updatedReplicas", "replicas", "availableReplicas"))


def _write_status(rollout: _Rollout) -> None:
    status = _status(rollout)
    progress = rollout.progress if rollout.progress is not None else _judge(rollout, status)
    conditions = [_availability(rollout, status.get("availableReplicas", 0))]
    if progress is not None and rollout.deployment["spec"].get("progressDeadlineSeconds") is not None:
        conditions.append(progress)
    world, deployment = rollout.world, rollout.deployment
    # The rollout went on in this reconciliation: a later one, brought by the ReplicaSets' changes, sees the result.
    world.set_status(deployment, {**status, "conditions": conditions})
    _watch_deadline(rollout, progress)


def _availability(rollout: _Rollout, available: int) -> dict[str, Any]:
    _, unavailable = rollout.fence()
    if available >= rollout.replicas - unavailable:
        words = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        words = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return _condition(rollout, "Available", *words)


def _progress(rollout: _Rollout, status: str, reason: str, message: str) -> dict[str, Any]:
    return _condition(rollout, "Progressing", status, reason, message)


def _condition(rollout: _Rollout, kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
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


def _judge(rollout: _Rollout, status: dict[str, Any]) -> dict[str, Any] | None:
    """The Progressing condition that follows from the numbers."""
    before, old = condition(rollout.deployment, "Progressing"), rollout.deployment.get("status") or {}
    name = f'"{rollout.new["metadata"]["name"]}"' if rollout.new is not None else f'"{_name(rollout)}"'
    if before is not None and before["reason"] == "DeploymentPaused":
        return _progress(rollout, "Unknown", "DeploymentResumed", "Deployment is resumed")
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if settled and before is not None and before["reason"] == "NewReplicaSetAvailable":
        return before
    if _is_complete(rollout, status):
        return _progress(rollout, "True", "NewReplicaSetAvailable", f"ReplicaSet {name} has successfully progressed.")
    if _moves(old, status):
        found = _progress(rollout, "True", "ReplicaSetUpdated", f"ReplicaSet {name} is progressing.")
        return {**found, "lastUpdateTime": rollout.world.stamp()}
    if before is not None and _deadline(rollout, before) <= rollout.world.agenda.now():
        message = f"ReplicaSet {name} has timed out progressing."
        return _progress(rollout, "False", "ProgressDeadlineExceeded", message)
    return before


def _name(rollout: _Rollout) -> str:
    return str(rollout.deployment["metadata"]["name"])


def _moves(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """More updated, ready or available pods, or fewer old ones, than in the last status."""
    gains = ("updatedReplicas", "readyReplicas", "availableReplicas")
    if any(new.get(f, 0) > old.get(f, 0) for f in gains):
        return True
    before, after = (s.get("replicas", 0) - s.get("updatedReplicas", 0) for s in (old, new))
    return bool(after < before)


def _deadline(rollout: _Rollout, progress: dict[str, Any]) -> datetime:
    updated = moment(progress["lastUpdateTime"])
    limit_s = rollout.deployment["spec"].get("progressDeadlineSeconds") or 0
    return updated + timedelta(seconds=limit_s + 1)


def _watch_deadline(rollout: _Rollout, progress: dict[str, Any] | None) -> None:
    """Look again when the progress deadline is over."""
    if progress is None or progress["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
        return
    if rollout.deployment["spec"].get("paused"):
        return
    left_s = (_deadline(rollout, progress) - rollout.world.agenda.now()).total_seconds()
    meta = rollout.deployment["metadata"]
    if left_s > 0:
        rollout.world.enqueue("Deployment", meta["namespace"], meta["name"], left_s)
