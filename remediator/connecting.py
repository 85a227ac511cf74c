"""The adapters of one process, as the configuration asks for them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from remediator.adapters.alertmanager import AlertmanagerSilences
from remediator.adapters.callers.connect import connect_callers
from remediator.adapters.channels import connect_changes, connect_channels
from remediator.adapters.clock import SystemClock
from remediator.adapters.http_probe import AiohttpProbe
from remediator.adapters.json_api import Endpoint
from remediator.adapters.kubernetes import KubernetesCluster
from remediator.adapters.oncall import connect_oncall
from remediator.adapters.pagerduty_connect import connect_pagerduty
from remediator.adapters.prometheus import PrometheusQueries
from remediator.adapters.slack import SlackChat
from remediator.adapters.sql.journal import SqlJournal
from remediator.adapters.tracing import Tracing
from remediator.config import ClusterConfig, Config
from remediator.config import Endpoint as EndpointConfig
from remediator.errors import InvalidConfig
from remediator.objects import KINDS
from remediator.pagerduty_checks import PagerDutyApi
from remediator.people.approvers import OnCall
from remediator.people.carrier import Carrier
from remediator.playbooks.config_maps import CONFIG_MAP
from remediator.ports import Caller, ChangeRecords, Chat, Clock, Cluster, Pager, Queries, Reachable, Silences
from remediator.remediation.checks.base import HttpProbe
from remediator.slack_app.ports import SlackApi


@dataclass(slots=True, kw_only=True)
class Outside:
    """The adapters of one process; the demo brings its own."""

    clusters: Mapping[str, Cluster]
    journal: SqlJournal
    clock: Clock = field(default_factory=SystemClock)
    queries: Queries | None = None
    silences: Silences | None = None
    changes: ChangeRecords | None = None
    http: HttpProbe | None = None
    callers: dict[str, Mapping[str, Caller]] = field(default_factory=dict)
    """What actions may talk to besides the Kubernetes API, by cluster."""
    chat: Chat | None = None
    slack: SlackApi | None = None
    """For clicks: the same workspace as `chat`."""
    pagers: Mapping[str, Pager] = field(default_factory=dict)
    incidents: PagerDutyApi | None = None
    oncall: Mapping[str, OnCall] = field(default_factory=dict)
    """Schedules, by system: `pagerduty`, `opsgenie`."""
    carriers: Mapping[str, Carrier] = field(default_factory=dict)
    """Of other channels, by the channel of their rows in the outbox."""
    tracing: Tracing | None = None
    reach: Mapping[str, Reachable] = field(default_factory=dict)
    """Chat and pagers by the name that people know, to see whether they answer."""


async def connect(config: Config, stack: AsyncExitStack) -> Outside:
    """The adapters that the configuration asks for. Raises: InvalidConfig, JournalUnavailable."""
    journal = await asyncio.to_thread(SqlJournal.open_file, config.store.path, queue=config.store.queue)
    stack.push_async_callback(journal.close)
    clusters: dict[str, Cluster] = {}
    for cluster in config.clusters:
        clusters[cluster.name] = await _cluster(cluster)
        stack.push_async_callback(clusters[cluster.name].close)
    reach: dict[str, Reachable] = {}
    outside = Outside(clusters=clusters, journal=journal, reach=reach)
    if config.prometheus:
        outside.queries = PrometheusQueries(endpoint_of("Prometheus", config.prometheus))
        stack.push_async_callback(outside.queries.close)
    silences: AlertmanagerSilences | None = None
    if config.alertmanager:
        outside.silences = silences = AlertmanagerSilences(endpoint_of("Alertmanager", config.alertmanager))
        stack.push_async_callback(silences.close)
    probe = AiohttpProbe()
    outside.http = probe
    stack.push_async_callback(probe.close)
    if config.slack:
        chat = SlackChat(config.slack.token.read(), base_url=config.slack.url)
        outside.chat = outside.slack = reach["Slack"] = chat
        stack.push_async_callback(chat.close)
    access = {one.name: one for one in config.clusters}
    for cluster_name, reached in clusters.items():
        outside.callers[cluster_name] = callers = connect_callers(
            config.outside,
            reached,
            alertmanager=endpoint_of("Alertmanager", config.alertmanager) if config.alertmanager else None,
            kubeconfig=None if access[cluster_name].in_cluster else access[cluster_name].kubeconfig,
            context=access[cluster_name].context,
        )
        for caller in callers.values():
            stack.push_async_callback(caller.close)
    outside.carriers, closing = connect_channels(config.channels, config.grafana, outside.clock)
    if config.pagerduty:
        pagerduty = connect_pagerduty(config.pagerduty, outside.clock, silences)
        closing += pagerduty.closing
        outside.pagers, outside.incidents = pagerduty.services, pagerduty.incidents
        outside.carriers = {**outside.carriers, **pagerduty.carriers}
        reach |= {f"PagerDuty {name}": pager for name, pager in pagerduty.services.items()}
    outside.oncall, schedules = connect_oncall(config.pagerduty.api if config.pagerduty else None, config.opsgenie)
    for close in (*closing, *schedules):
        stack.push_async_callback(close)
    if config.change_gate:
        outside.changes = connect_changes(config.change_gate)
        stack.push_async_callback(outside.changes.close)
    if config.tracing:
        headers = {name: secret.read() for name, secret in config.tracing.headers.items()}
        outside.tracing = Tracing(config.tracing.endpoint, headers=headers, instance=socket.gethostname())
        stack.push_async_callback(asyncio.to_thread, outside.tracing.close)
    return outside


async def _cluster(config: ClusterConfig) -> Cluster:
    if config.kubeconfig is None and not config.in_cluster:
        raise InvalidConfig(f"clusters[{config.name}]: give kubeconfig, or in_cluster: true in a pod")
    return await KubernetesCluster.connect(
        config.name,
        kubeconfig=None if config.in_cluster else config.kubeconfig,
        context=config.context,
        kinds={**KINDS, CONFIG_MAP.kind: CONFIG_MAP},
    )


def endpoint_of(name: str, config: EndpointConfig) -> Endpoint:
    return Endpoint(
        name=name,
        url=config.url,
        bearer=config.bearer.read if config.bearer else None,
        user=config.basic.username if config.basic else "",
        password=config.basic.password.read if config.basic else None,
        headers=dict(config.headers),
    )
