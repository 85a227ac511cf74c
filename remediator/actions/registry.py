"""Every action there is: the built-in ones, and those that installed packages bring (`remediator.actions`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from remediator.actions.base import Action
from remediator.actions.certificates.renew import RenewCertificate
from remediator.actions.cloud.rds import RdsReboot, RdsSnapshot
from remediator.actions.databases.cnpg_backup import CnpgBackup
from remediator.actions.databases.cnpg_fence import CnpgFence, CnpgUnfence
from remediator.actions.databases.cnpg_pitr import CnpgPitr
from remediator.actions.databases.cnpg_promote import CnpgPromote, CnpgSwitchover
from remediator.actions.databases.cnpg_restart import CnpgReload, CnpgRestart
from remediator.actions.databases.cnpg_scale import CnpgScale
from remediator.actions.databases.kafka import KafkaConnectorRestart, KafkaRebalanceApprove, StrimziRestart
from remediator.actions.databases.pooler import PoolerPause, PoolerResume, SetPooler
from remediator.actions.databases.zalando import ZalandoScale
from remediator.actions.delivery.argo_auto_sync import ArgoResume, ArgoSuspend
from remediator.actions.delivery.argo_rollback import ArgoRollback
from remediator.actions.delivery.argo_sync import ArgoRefresh, ArgoSync
from remediator.actions.delivery.external_secret import ForceSyncSecret
from remediator.actions.delivery.flux import FluxReconcile, FluxResume, FluxSuspend
from remediator.actions.delivery.pull_requests import GitopsPr, Promote
from remediator.actions.delivery.vault_secret import VaultRotate
from remediator.actions.failover.patroni import PatroniFailover, PatroniSwitchover
from remediator.actions.failover.patroni_member import PatroniReload, PatroniRestart
from remediator.actions.failover.sentinel import SentinelFailover
from remediator.actions.generic.apply import Apply
from remediator.actions.generic.create import Create
from remediator.actions.generic.metadata import Annotate, Label
from remediator.actions.generic.patch import Patch
from remediator.actions.nodes.cordon import Cordon, Uncordon
from remediator.actions.nodes.drain import Drain
from remediator.actions.nodes.etcd_snapshot import EtcdSnapshot
from remediator.actions.nodes.fence_node import FenceNode
from remediator.actions.nodes.node_command import NodeCommand
from remediator.actions.nodes.replace_node import ReplaceNode
from remediator.actions.outside.airflow import (
    AirflowClearTasks,
    AirflowPauseDag,
    AirflowTriggerDag,
    AirflowUnpauseDag,
)
from remediator.actions.outside.exec_in_pod import ExecInPod
from remediator.actions.outside.heap_dump import HeapDump
from remediator.actions.outside.http import Http
from remediator.actions.outside.silence import Silence
from remediator.actions.releases.helm import HelmRollback, HelmUpgrade
from remediator.actions.sql.run_sql import RunSql
from remediator.actions.sql.sessions import PgCancel, PgTerminate
from remediator.actions.storage.expand_pvc import ExpandPvc
from remediator.actions.storage.longhorn import LonghornBackup, LonghornRestore
from remediator.actions.storage.velero import VeleroBackup
from remediator.actions.storage.velero_restore import VeleroRestore
from remediator.actions.traffic.route_weight import SetRouteWeight
from remediator.actions.traffic.switch_service import SwitchService
from remediator.actions.workloads.create_hpa import CreateHpa
from remediator.actions.workloads.cronjobs import RerunCronJob, ResumeCronJob, SuspendCronJob
from remediator.actions.workloads.delete_failed_pods import DeleteFailedPods
from remediator.actions.workloads.delete_finished_jobs import DeleteFinishedJobs
from remediator.actions.workloads.evict_pod import EvictPod
from remediator.actions.workloads.hpa_bounds import SetHpaBounds
from remediator.actions.workloads.pausing import PauseRollout, ResumeRollout
from remediator.actions.workloads.quiesce import QuiesceNamespace, ResumeNamespace
from remediator.actions.workloads.restart_job import RestartJob
from remediator.actions.workloads.rollback import Rollback
from remediator.actions.workloads.rollout_restart import RolloutRestart
from remediator.actions.workloads.rollout_undo import RolloutUndo
from remediator.actions.workloads.rollouts import RolloutAbort, RolloutPromote, RolloutRetry, RolloutsRestart
from remediator.actions.workloads.run_job import RunJob
from remediator.actions.workloads.scale import Scale
from remediator.actions.workloads.set_image import SetImage
from remediator.actions.workloads.set_resources import SetResources
from remediator.actions.workloads.strategy import SetHistoryLimit, SetStrategy
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
    ArgoRefresh,
    ArgoSync,
    ArgoRollback,
    ArgoSuspend,
    ArgoResume,
    FluxReconcile,
    FluxSuspend,
    FluxResume,
    ForceSyncSecret,
    RenewCertificate,
    SetRouteWeight,
    SwitchService,
    Annotate,
    Label,
    Patch,
    Create,
    Apply,
    SetImage,
    SetResources,
    SetStrategy,
    SetHistoryLimit,
    PauseRollout,
    ResumeRollout,
    CreateHpa,
    SetHpaBounds,
    DeleteFailedPods,
    DeleteFinishedJobs,
    SuspendCronJob,
    ResumeCronJob,
    RerunCronJob,
    RestartJob,
    RunJob,
    QuiesceNamespace,
    ResumeNamespace,
    RolloutAbort,
    RolloutRetry,
    RolloutPromote,
    RolloutsRestart,
    RolloutUndo,
    ExecInPod,
    HeapDump,
    Http,
    AirflowClearTasks,
    AirflowTriggerDag,
    AirflowPauseDag,
    AirflowUnpauseDag,
    Silence,
    RunSql,
    PgCancel,
    PgTerminate,
    CnpgPromote,
    CnpgSwitchover,
    CnpgScale,
    CnpgRestart,
    CnpgReload,
    CnpgFence,
    CnpgUnfence,
    CnpgBackup,
    CnpgPitr,
    SetPooler,
    PoolerPause,
    PoolerResume,
    ZalandoScale,
    StrimziRestart,
    KafkaConnectorRestart,
    KafkaRebalanceApprove,
    HelmUpgrade,
    HelmRollback,
    SentinelFailover,
    PatroniSwitchover,
    PatroniFailover,
    PatroniRestart,
    PatroniReload,
    RdsSnapshot,
    RdsReboot,
    GitopsPr,
    Promote,
    VaultRotate,
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
