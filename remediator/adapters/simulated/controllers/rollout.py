"""A Deployment with its ReplicaSets, as one reconciliation sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from remediator.adapters.simulated.store import Obj
from remediator.adapters.simulated.world import World
from remediator.objects import annotations_of

DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"


@dataclass(slots=True)
class Rollout:
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


def count(obj: Obj, field: str) -> int:
    return int((obj.get("status") or {}).get(field, 0))
