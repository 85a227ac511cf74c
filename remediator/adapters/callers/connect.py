"""The callers of one cluster, from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from remediator.adapters.callers.airflow import AirflowCaller
from remediator.adapters.callers.exec import ExecCaller, Executes
from remediator.adapters.callers.http import HttpCaller
from remediator.adapters.callers.silences import SilencesCaller
from remediator.adapters.json_api import Endpoint
from remediator.errors import InvalidConfig
from remediator.outside import OutsideSettings
from remediator.outside_helm import HelmRelease
from remediator.ports import Caller, Cluster

NO_DRIVER = (
    "outside.databases: the driver is not installed; install remediator[postgres], or remove databases from the "
    "configuration"
)
NO_REDIS = (
    "outside.redis: the client is not installed; install remediator[redis], or remove redis from the configuration"
)


def connect_callers(
    settings: OutsideSettings,
    cluster: Cluster,
    *,
    alertmanager: Endpoint | None = None,
    kubeconfig: Path | None = None,
    context: str | None = None,
) -> Mapping[str, Caller]:
    """By the name that a `Call` says in `via`. `alertmanager`: where our silences go; `kubeconfig` and `context`: how
    programs reach this cluster, by the pod's service account without. Raises: InvalidConfig."""
    callers: dict[str, Caller] = {}
    if settings.exec and isinstance(cluster, Executes):
        callers["exec"] = ExecCaller(settings.exec, cluster, cluster)
    if settings.endpoints:
        callers["http"] = HttpCaller(settings.endpoints)
    if settings.airflow:
        callers["airflow"] = AirflowCaller(settings.airflow)
    if settings.databases:
        callers["sql"] = _databases(settings)
    if helm := tuple(one for one in settings.helm if not one.clusters or cluster.name in one.clusters):
        callers["helm"] = _helm(helm, kubeconfig, context)
    if settings.rds:
        from remediator.adapters.callers.aws import RdsCaller

        callers["rds"] = RdsCaller(settings.rds)
    if settings.patroni:
        from remediator.adapters.callers.patroni import PatroniCaller

        callers["patroni"] = PatroniCaller(settings.patroni)
    if settings.redis:
        callers["redis"] = _redis(settings)
    if settings.forges:
        from remediator.adapters.callers.forge import ForgeCaller

        callers["forge"] = ForgeCaller(settings.forges)
    if settings.vaults:
        from remediator.adapters.callers.vault import VaultCaller

        callers["vault"] = VaultCaller(settings.vaults)
    if alertmanager is not None:
        callers["alertmanager"] = SilencesCaller(alertmanager)
    return callers


def _databases(settings: OutsideSettings) -> Caller:
    """Raises: InvalidConfig without the optional driver."""
    try:
        from remediator.adapters.callers.sql import SqlCaller
    except ImportError as exc:
        raise InvalidConfig(NO_DRIVER) from exc
    return SqlCaller(settings.databases)


def _helm(releases: tuple[HelmRelease, ...], kubeconfig: Path | None, context: str | None) -> Caller:
    """Raises: InvalidConfig without the program."""
    from remediator.adapters.callers.helm import HelmCaller
    from remediator.adapters.callers.helm_program import Helm, check_program

    for release in releases:
        check_program(release)
    return HelmCaller(releases, Helm(kubeconfig=kubeconfig, context=context))


def _redis(settings: OutsideSettings) -> Caller:
    """Raises: InvalidConfig without the optional client."""
    try:
        from remediator.adapters.callers.redis import RedisCaller
    except ImportError as exc:
        raise InvalidConfig(NO_REDIS) from exc
    return RedisCaller(settings.redis)
