"""Every action there is: the built-in ones, and those that installed packages bring (`remediator.actions`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from remediator.actions.base import Action
from remediator.actions.nodes.cordon import Cordon, Uncordon
from remediator.actions.nodes.drain import Drain
from remediator.actions.nodes.etcd_snapshot import EtcdSnapshot
from remediator.actions.nodes.fence_node import FenceNode
from remediator.actions.nodes.node_command import NodeCommand
from remediator.actions.nodes.replace_node import ReplaceNode
from remediator.actions.storage.expand_pvc import ExpandPvc
from remediator.actions.storage.longhorn import LonghornBackup, LonghornRestore
from remediator.actions.storage.velero import VeleroBackup
from remediator.actions.storage.velero_restore import VeleroRestore
from remediator.actions.workloads.evict_pod import EvictPod
from remediator.actions.workloads.rollback import Rollback
from remediator.actions.workloads.rollout_restart import RolloutRestart
from remediator.actions.workloads.scale import Scale
from remediator.errors import InvalidConfig

GROUP = "remediator.actions"
"""An entry point of this group names an action object, or a class of one that takes no arguments."""

BUILT_IN: tuple[type[Action[Any]], ...] = (
    RolloutRestart,
    EvictPod,
    Scale,
    Rollback,
    Cordon,
    Uncordon,
    Drain,
    NodeCommand,
    EtcdSnapshot,
    FenceNode,
    ReplaceNode,
    ExpandPvc,
    LonghornBackup,
    LonghornRestore,
    VeleroBackup,
    VeleroRestore,
)
"""Here and not in our own entry points, so that a checkout works without installed metadata."""

_MEMBERS = ("name", "kinds", "needs", "disruptive", "params", "resolve", "plan")


def load_actions(found: Iterable[EntryPoint] | None = None) -> Mapping[str, Action[Any]]:
    """All actions by name. `found` replaces the installed entry points, for tests.

    Raises: InvalidConfig when a package's action cannot be loaded, is none, or takes the name of another one: a
    playbook must never run something else than its author read about.
    """
    actions: dict[str, Action[Any]] = {cls.name: cls() for cls in BUILT_IN}
    for entry in entry_points(group=GROUP) if found is None else found:
        action = _load(entry)
        if action.name in actions:
            raise InvalidConfig(f"action {action.name!r} of {_origin(entry)} exists already: rename one of the two")
        actions[action.name] = action
    return actions


def _load(entry: EntryPoint) -> Action[Any]:
    try:
        loaded = entry.load()
        action: Action[Any] = loaded() if isinstance(loaded, type) else loaded
    except Exception as exc:  # any error of somebody else's import is the same news to the operator
        raise InvalidConfig(f"action {entry.name!r} of {_origin(entry)} cannot be loaded: {exc}") from exc
    missing = [member for member in _MEMBERS if not hasattr(action, member)]
    if missing:
        raise InvalidConfig(f"action {entry.name!r} of {_origin(entry)} is no action, it lacks {', '.join(missing)}")
    return action


def _origin(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
