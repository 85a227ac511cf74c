"""`rds_snapshot` and `rds_reboot`: a DB instance of the operator's list, by the name that it has there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from remediator.actions.base import Params
from remediator.actions.change import GENERATED_ID, Call, Change, NotPossible
from remediator.actions.outside.containers import Name
from remediator.actions.view import Ask, View
from remediator.objects import WORKLOADS, dig, uid_of

KINDS = (*WORKLOADS, "Service", "Namespace")
"""What stands for the database in the cluster: what uses it, or the Service that names it."""

BUSY = frozenset({"backing-up", "modifying", "storage-optimization", "maintenance", "rebooting", "upgrading"})
"""States that end by themselves."""

Prefix = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=60)]


class OfInstance(Params):
    """`instance` is a name of `outside.rds`."""

    instance: Name


class RdsSnapshotParams(OfInstance):
    """`prefix` begins the snapshot's name. `max_snapshots`: with so many manual ones there is no further one.
    `accept_io_pause`: an instance without a standby stops answering for a while, and nobody has to be asked."""

    prefix: Prefix = "manual-snapshot"
    max_snapshots: int = Field(20, ge=1, le=99)
    accept_io_pause: bool = False


class RdsSnapshot:
    """Undo would take away what people need when things have gone wrong, so there is none."""

    name = "rds_snapshot"
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = ()
    params = RdsSnapshotParams

    def wants(self, params: RdsSnapshotParams, view: View) -> Mapping[str, Ask]:
        return _about(params)

    def resolve(self, params: RdsSnapshotParams, view: View) -> RdsSnapshotParams:
        return params

    def plan(self, params: RdsSnapshotParams, view: View) -> Change:
        """Raises: NotPossible."""
        found = _instance(view, params, "snapshot")
        if found["under_way"]:
            raise NotPossible(f"snapshot {found['under_way'][0]} of {params.instance} is being made already", hold=True)
        if found["more_snapshots"] or found["snapshots"] >= params.max_snapshots:
            raise NotPossible(
                f"{params.instance} has {found['snapshots']} manual snapshots, max_snapshots is "
                f"{params.max_snapshots}: they are kept, and paid for, until somebody deletes them"
            )
        name = f"{params.prefix}-{GENERATED_ID}"
        pause = not found["multi_az"]
        call = _call(
            view,
            params,
            {"do": "snapshot", "resource": found["resource"], "snapshot": name},
            f"create snapshot {params.prefix}-... of RDS instance {found['instance']} ({found['storage_gib']} GiB)",
            repeatable=True,  # RDS refuses a second snapshot of this name
        )
        return Change(
            effects=(call,),
            summary=f"snapshot of {params.instance}",
            needs_approval=f"{params.instance} has no standby: its I/O stops while the snapshot begins"
            if pause and not params.accept_io_pause
            else "",
            notes=(
                "it is no backup before its status is available",
                "no undo: it is kept, and paid for, until somebody deletes it",
            ),
        )


class RdsRebootParams(OfInstance):
    """`failover`: the standby in the other zone becomes the primary."""

    failover: bool


class RdsReboot:
    """Another failover goes back, with its own approval."""

    name = "rds_reboot"
    kinds: tuple[str, ...] = KINDS
    needs = frozenset({"pdbs"})
    disruptive = True
    rights = ()
    params = RdsRebootParams

    def wants(self, params: RdsRebootParams, view: View) -> Mapping[str, Ask]:
        return _about(params)

    def resolve(self, params: RdsRebootParams, view: View) -> RdsRebootParams:
        return params

    def plan(self, params: RdsRebootParams, view: View) -> Change:
        """The standby has every commit (it is written to synchronously) and RDS fences the old primary itself.

        Raises: NotPossible.
        """
        found = _instance(view, params, "reboot")
        if params.failover and not found["multi_az"]:
            raise NotPossible(f"{params.instance} has no standby in another zone: reboot it with failover: false")
        where = f"{found['zone']} -> {found['standby_zone'] or 'the other zone'}"
        what = f"with failover, {where}" if params.failover else "in place"
        request = {
            "do": "reboot",
            "resource": found["resource"],
            "zone": found["zone"],
            "failover": params.failover,
        }
        waiting = ["pending changes of its settings are applied with it"] if found["waiting"] else []
        return Change(
            effects=(_call(view, params, request, f"reboot RDS instance {found['instance']} {what}"),),
            summary=f"reboot {params.instance} {what}",
            direction="failover" if params.failover else "",
            reduces_capacity=True,
            needs_approval=f"{params.instance} answers nobody for a minute or more",
            notes=("open connections are dropped; clients have to look up its address again", *waiting),
        )


def _about(params: OfInstance) -> Mapping[str, Ask]:
    return {"instance": Ask("rds", params.instance, {"about": "instance"})}


def _instance(view: View, params: OfInstance, what: str) -> Mapping[str, Any]:
    """What RDS says of it, once it may be touched for this target. Raises: NotPossible."""
    found: Mapping[str, Any] = view.found["instance"]
    if dig(view.target, "metadata", "deletionTimestamp") is not None:
        raise NotPossible(f"{view.ref} is being deleted")
    stands_for = found["stands_for"]
    if stands_for and view.ref.key not in stands_for:
        raise NotPossible(
            f"{params.instance} stands for {', '.join(stands_for)}, not for {view.ref}: name that as the target"
        )
    if what not in found["allow"]:
        raise NotPossible(f"outside.rds[{params.instance}].allow has no {what}")
    if found["cluster"]:
        raise NotPossible(f"{params.instance} belongs to Aurora cluster {found['cluster']}, which has calls of its own")
    if found["status"] != "available":
        busy = found["status"] in BUSY
        raise NotPossible(f"{params.instance} is {found['status']}, not available", hold=busy)
    return found


def _call(view: View, params: OfInstance, request: Mapping[str, Any], says: str, *, repeatable: bool = False) -> Call:
    return Call(
        ref=view.ref,
        uid=uid_of(view.target),
        via="rds",
        place=params.instance,
        request=request,
        says=says,
        repeatable=repeatable,
    )
