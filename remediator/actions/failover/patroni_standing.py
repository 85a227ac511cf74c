"""What Patroni says of a cluster, and what forbids touching it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.actions.base import Params
from remediator.actions.change import Call, NotPossible
from remediator.actions.outside.containers import Name
from remediator.actions.view import View
from remediator.objects import ObjectRef, dig, uid_of

KINDS = ("StatefulSet",)
"""What the members' pods belong to."""

RUNNING = frozenset({"running", "streaming", "in archive recovery"})


class OfCluster(Params):
    """`patroni` is a name of `outside.patroni`."""

    patroni: Name


def read_cluster(view: View, params: OfCluster) -> Mapping[str, Any]:
    """What Patroni says, once it is sure that the target stands for it. Raises: NotPossible."""
    found: Mapping[str, Any] = view.found["cluster"]
    if dig(view.target, "metadata", "deletionTimestamp") is not None:
        raise NotPossible(f"{view.ref} is being deleted")
    if found["stands_for"] and view.ref.key not in found["stands_for"]:
        raise NotPossible(
            f"{params.patroni} stands for {', '.join(found['stands_for'])}, not for {view.ref}: name that as the target"
        )
    if found["standby"]:
        raise NotPossible(f"{params.patroni} is a standby cluster: act on the one that it follows")
    return found


def refuse_busy(cluster: Mapping[str, Any], name: str) -> None:
    """Raises: NotPossible."""
    if cluster["paused"]:
        raise NotPossible(f"Patroni is paused in {name}: somebody works on it by hand")
    if cluster["scheduled"]:
        raise NotPossible(f"{name} has a switchover scheduled already", hold=True)


def member_of(cluster: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Raises: NotPossible."""
    found: Mapping[str, Any] | None = cluster["members"].get(name)
    if found is None:
        raise NotPossible(f"there is no member {name}; there are: {', '.join(sorted(cluster['members'])[:10])}")
    return found


def refuse_unfit(cluster: Mapping[str, Any], name: str) -> None:
    """Raises: NotPossible."""
    member = member_of(cluster, name)
    if member["nofailover"]:
        raise NotPossible(f"{name} has the tag nofailover: choose another candidate")
    if member["state"] not in RUNNING:
        raise NotPossible(f"{name} is {member['state'] or 'in no known state'}, not running", hold=True)
    synchronous = any(one["sync"] for one in cluster["members"].values())
    if synchronous and not member["sync"]:
        raise NotPossible(f"{name} is no synchronous standby, and there is one: choose that")


def pods_of(view: View, *names: str) -> tuple[ObjectRef, ...]:
    return tuple(ObjectRef("Pod", view.ref.namespace, name) for name in names)


def call(view: View, params: OfCluster, request: Mapping[str, Any], says: str, *, repeatable: bool = False) -> Call:
    return Call(
        ref=view.ref,
        uid=uid_of(view.target),
        via="patroni",
        place=params.patroni,
        request=request,
        says=says,
        repeatable=repeatable,
    )
