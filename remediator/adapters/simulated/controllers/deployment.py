"""Deployment: roll from one ReplicaSet to another. Source: pkg/controller/deployment, whose order of steps is kept.

Each reconciliation does one step (scale up, or scale down, or clean up) and writes the status; the ReplicaSets' changes
bring the next one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from remediator.adapters.simulated.controllers.deployment_status import is_complete, numbers, progressing, write_status
from remediator.adapters.simulated.controllers.pods import child_of, created, template_hash
from remediator.adapters.simulated.controllers.rollout import DESIRED, MOST, Rollout, count
from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World, condition, is_active, is_terminating
from remediator.objects import annotations_of

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISIONS = "deployment.kubernetes.io/revision-history"
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


def reconcile(world: World, deployment: Obj) -> None:
    if is_terminating(deployment):
        return
    rollout = _sets(world, deployment)
    if deployment["spec"].get("paused"):
        _sync_revision(rollout, create=False)
        _scale(rollout)
        rollout.progress = progressing(rollout, "Unknown", "DeploymentPaused", "Deployment is paused")
    elif _is_scaling(rollout):
        _sync_revision(rollout, create=False)
        _scale(rollout)
    elif rollout.rolling:
        _roll(rollout)
    else:
        _recreate(rollout)
    write_status(rollout)


def _sets(world: World, deployment: Obj) -> Rollout:
    """The ReplicaSets of a Deployment; the new one is the oldest whose template is the present one."""
    sets = world.store.children(deployment["metadata"]["uid"], "ReplicaSet")
    template, new = deployment["spec"]["template"], None
    for replica_set in sets:
        if new is None and same_template(replica_set["spec"]["template"], template):
            new = replica_set
    return Rollout(world, deployment, new, [rs for rs in sets if rs is not new])


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


def _sync_revision(rollout: Rollout, *, create: bool) -> None:
    """Find or make the new ReplicaSet, and give it the highest revision."""
    world, deployment = rollout.world, rollout.deployment
    revision = max((revision_of(rs) for rs in rollout.old), default=0) + 1
    if rollout.new is None:
        if not create:
            return
        rollout.new = _make(rollout, revision)
        message = f'Created new replica set "{rollout.new["metadata"]["name"]}"'
        rollout.progress = progressing(rollout, "True", "NewReplicaSetCreated", message)
    else:
        notes = _notes(deployment, rollout.new, revision)
        if notes != annotations_of(rollout.new):
            meta = {**rollout.new["metadata"], "annotations": notes}
            rollout.new = world.update(rollout.new, {**rollout.new, "metadata": meta})
        if condition(deployment, "Progressing") is None:
            message = f'Found new replica set "{rollout.new["metadata"]["name"]}"'
            rollout.progress = progressing(rollout, "True", "FoundNewReplicaSet", message)
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


def _make(rollout: Rollout, revision: int) -> Obj:
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


def _new_size(rollout: Rollout, present: int) -> int:
    """How large the new ReplicaSet may be now."""
    if not rollout.rolling:
        return rollout.replicas
    surge, _ = rollout.fence()
    total = sum(rs["spec"]["replicas"] for rs in rollout.all)
    room = rollout.replicas + surge - total
    return present if room <= 0 else present + min(room, rollout.replicas - present)


def _roll(rollout: Rollout) -> None:
    _sync_revision(rollout, create=True)
    assert rollout.new is not None
    size = rollout.new["spec"]["replicas"]
    wanted = rollout.replicas if size >= rollout.replicas else _new_size(rollout, size)
    if wanted != size:
        rollout.scale(rollout.new, wanted)
    elif not _shrink_old(rollout) and is_complete(rollout, numbers(rollout)):
        _clean_up(rollout)


def _shrink_old(rollout: Rollout) -> bool:
    """Take down old pods: unavailable ones first, then as many as the budget of unavailability allows."""
    assert rollout.new is not None
    old = [rs for rs in rollout.old if rs["spec"]["replicas"] > 0]
    if not old:
        return False
    _, unavailable = rollout.fence()
    at_least = rollout.replicas - unavailable
    total = sum(rs["spec"]["replicas"] for rs in rollout.all)
    new_missing = rollout.new["spec"]["replicas"] - count(rollout.new, "availableReplicas")
    most = total - at_least - new_missing
    if most <= 0:
        return False
    shrunk = 0
    for replica_set in sorted(old, key=created):
        broken = replica_set["spec"]["replicas"] - count(replica_set, "availableReplicas")
        less = min(broken, most - shrunk)
        if less > 0:
            rollout.scale(replica_set, replica_set["spec"]["replicas"] - less)
            shrunk += less
    spare = sum(count(rs, "availableReplicas") for rs in rollout.all) - at_least
    for replica_set in sorted((rs for rs in rollout.old if rs["spec"]["replicas"] > 0), key=created):
        less = min(replica_set["spec"]["replicas"], spare)
        if less > 0:
            rollout.scale(replica_set, replica_set["spec"]["replicas"] - less)
            spare -= less
            shrunk += less
    return shrunk > 0


def _recreate(rollout: Rollout) -> None:
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
    elif is_complete(rollout, numbers(rollout)):
        _clean_up(rollout)


def _old_pods(rollout: Rollout) -> Iterable[Obj]:
    """Old pods that still run, terminating ones included. The end of each brings another reconciliation."""
    for replica_set in rollout.old:
        for pod in rollout.world.store.children(replica_set["metadata"]["uid"], "Pod"):
            if is_active(pod) or is_terminating(pod):
                yield pod


def _is_scaling(rollout: Rollout) -> bool:
    """Someone changed spec.replicas since the ReplicaSets were sized."""
    for replica_set in rollout.all:
        noted = annotations_of(replica_set).get(DESIRED)
        if replica_set["spec"]["replicas"] > 0 and noted is not None and noted != str(rollout.replicas):
            return True
    return False


def _scale(rollout: Rollout) -> None:
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


def _is_saturated(rollout: Rollout, new: Obj) -> bool:
    sizes = (new["spec"]["replicas"], count(new, "availableReplicas"), annotations_of(new).get(DESIRED))
    return sizes == (rollout.replicas, rollout.replicas, str(rollout.replicas))


def _scale_in_proportion(rollout: Rollout, active: list[Obj]) -> None:
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
            noted = int(annotations_of(replica_set).get(MOST, "0")) or count(rollout.deployment, "replicas") or 1
            share = math.floor(size * most / noted + 0.5) - size
        left = to_add - added
        share = min(share, left) if to_add > 0 else max(share, left)
        sizes.append(size + share)
        added += share
    sizes[0] = max(sizes[0] + to_add - added, 0)
    for replica_set, size in zip(active, sizes, strict=True):
        rollout.scale(replica_set, size)


def _clean_up(rollout: Rollout) -> None:
    """Forget the oldest ReplicaSets beyond revisionHistoryLimit."""
    spare = [rs for rs in rollout.old if rs["spec"]["replicas"] == 0 and not count(rs, "replicas")]
    excess = len(spare) - rollout.deployment["spec"]["revisionHistoryLimit"]
    for replica_set in sorted(spare, key=revision_of)[: max(excess, 0)]:
        rollout.world.delete(replica_set)
        rollout.old.remove(replica_set)
