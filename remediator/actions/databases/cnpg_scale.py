"""`cnpg_scale`: more or fewer instances of a CloudNativePG Cluster, within bounds that the playbook must give."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, NotPossible
from remediator.actions.databases.cnpg import CLUSTER, PgCluster, read_cluster, refuse_fenced, refuse_unhealthy
from remediator.actions.databases.parts import autoscalers, refuse_autoscaled, set_fields
from remediator.actions.render import brief
from remediator.actions.view import View, Wanted
from remediator.objects import Object, dig

INSTANCES_PATH = ("spec", "instances")


class InstancesParams(Params):
    """Exactly one of `instances` (how many) and `by` (how many more or fewer); `min` and `max` bound the result."""

    instances: int | None = Field(None, ge=1, le=100)
    by: int | None = Field(None, ge=-100, le=100)
    min: int = Field(ge=1, le=100)
    max: int = Field(ge=1, le=100)

    @model_validator(mode="after")
    def _one_way_within_bounds(self) -> InstancesParams:
        if (self.instances is None) == (self.by is None):
            raise ValueError("give exactly one of instances and by")
        if self.by == 0:
            raise ValueError("by: 0 changes nothing")
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class CnpgScale:
    """Undo puts the recorded number back. An instance that comes back is a new one, cloned from the primary."""

    name = "cnpg_scale"
    kinds: tuple[str, ...] = (CLUSTER,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    through_git = True
    rights = (Right("patch", CLUSTER), Right("list", "HorizontalPodAutoscaler"))
    params = InstancesParams

    def wants(self, params: InstancesParams, view: View) -> Mapping[str, Wanted]:
        return {"hpas": autoscalers(view)}

    def resolve(self, params: InstancesParams, view: View) -> InstancesParams:
        """`by` as an absolute number within the bounds. Raises: NotPossible."""
        wanted = _wanted(params, read_cluster(view))
        return InstancesParams(instances=wanted, min=params.min, max=params.max)

    def plan(self, params: InstancesParams, view: View) -> Change:
        """Raises: NotPossible when nothing would change, an instance is missing, or commits could not be confirmed."""
        cluster = read_cluster(view)
        refuse_autoscaled(view, view.found["hpas"])
        wanted = _wanted(params, cluster)
        refuse_fenced(cluster)
        refuse_unhealthy(cluster)
        down = wanted < cluster.instances
        if down:
            _refuse_too_few_for_commits(view.target, cluster, wanted)
        return Change(
            effects=(set_fields(view, [(INSTANCES_PATH, wanted)]),),
            takes=max(0, cluster.instances - wanted),
            summary=f"instances {cluster.instances} -> {wanted}",
            direction="down" if down else "up",
            reduces_capacity=down,
            needs_approval=_why_a_person(cluster, wanted),
            notes=_notes(view.target, cluster, wanted),
        )


def wanted_copies(what: str, present: int, exact: int | None, by: int | None, low: int, high: int) -> int:
    """The number that is asked for, within the bounds. Raises: NotPossible when they leave nothing to do, or turn the
    wish round."""
    asked = exact if exact is not None else present + (by or 0)
    wanted = max(low, min(high, asked))
    bound = "" if wanted == asked else f", {asked} wanted, {'max' if asked > wanted else 'min'} is {wanted}"
    if wanted == present:
        raise NotPossible(f"{what} has {present} instances already{bound}")
    if (asked - present) * (wanted - present) < 0:
        raise NotPossible(f"{what} has {present} instances{bound}: that would go the other way")
    return wanted


def _wanted(params: InstancesParams, cluster: PgCluster) -> int:
    return wanted_copies(str(cluster.ref), cluster.instances, params.instances, params.by, params.min, params.max)


def _refuse_too_few_for_commits(obj: Object, cluster: PgCluster, wanted: int) -> None:
    needed = max(
        int(dig(obj, "spec", "postgresql", "synchronous", "number", default=0)),
        int(dig(obj, "spec", "minSyncReplicas", default=0)),
        int(dig(obj, "spec", "maxSyncReplicas", default=0)),
    )
    if wanted - 1 < needed:
        raise NotPossible(
            f"commits of {cluster.ref} wait for {needed} synchronous standbys: with {wanted} instances there would be "
            f"{wanted - 1}, so at least {needed + 1} instances must stay"
        )


def _why_a_person(cluster: PgCluster, wanted: int) -> str:
    if wanted >= cluster.instances:
        return ""
    if wanted == 1:
        return f"{cluster.ref} would have no standby left"
    return f"the operator deletes the volumes of {cluster.instances - wanted} of {cluster.instances} instances"


def _notes(obj: Object, cluster: PgCluster, wanted: int) -> tuple[str, ...]:
    if wanted < cluster.instances:
        return ("the operator deletes the volumes of removed instances: an undo clones new ones from the primary",)
    size = brief(str(dig(obj, "spec", "storage", "size", default=""))) or "unknown size"
    return (
        f"each new instance takes a volume of {size} and is cloned from the primary",
        "standbys serve reads only: the primary takes no more connections than before",
    )
