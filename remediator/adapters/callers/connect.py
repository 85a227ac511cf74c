"""The callers of one cluster, from the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.adapters.callers.airflow import AirflowCaller
from remediator.adapters.callers.exec import ExecCaller, Executes
from remediator.adapters.callers.http import HttpCaller
from remediator.adapters.callers.silences import SilencesCaller
from remediator.adapters.json_api import Endpoint
from remediator.errors import InvalidConfig
from remediator.outside import OutsideSettings
from remediator.ports import Caller, Cluster

NO_DRIVER = (
    "outside.databases: the driver is not installed; install remediator[postgres], or remove databases from the "
    "configuration"
)


def connect_callers(
    settings: OutsideSettings, cluster: Cluster, *, alertmanager: Endpoint | None = None
) -> Mapping[str, Caller]:
    """By the name that a `Call` says in `via`. `alertmanager`: where our silences go. Raises: InvalidConfig."""
    callers: dict[str, Caller] = {}
    if settings.exec and isinstance(cluster, Executes):
        callers["exec"] = ExecCaller(settings.exec, cluster, cluster)
    if settings.endpoints:
        callers["http"] = HttpCaller(settings.endpoints)
    if settings.airflow:
        callers["airflow"] = AirflowCaller(settings.airflow)
    if settings.databases:
        callers["sql"] = _databases(settings)
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
