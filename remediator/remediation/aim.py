"""What an alert is about, for one playbook: from its labels, or from the playbook's own `target:`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.alerts.alert import Alert
from remediator.alerts.labels import LabelRules
from remediator.objects import ObjectRef
from remediator.playbooks.binding import bind_target, bind_targets
from remediator.playbooks.model import LoadedPlaybook, Playbook, TargetSpec
from remediator.playbooks.params import InvalidParam
from remediator.playbooks.projects import Project, UnknownProject, project_named
from remediator.playbooks.templates import TemplateError
from remediator.ports import Cluster
from remediator.remediation.scopes import Scopes
from remediator.remediation.targeting import TargetUnclear, resolve_from_alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """`ref` is what the steps act on, `root` the key of locks and episodes, `alert_pod` the pod that the alert
    names."""

    cluster: str
    ref: ObjectRef
    root: ObjectRef
    because: str
    alert_pod: str = ""


class OutsideProject(TargetUnclear):
    """The object is clear, and is none of the playbook's project."""


class Aiming:
    """Finds targets. One instance may remember what the labels of one alert led to, for all playbooks of that alert."""

    def __init__(
        self, clusters: Mapping[str, Cluster], rules: LabelRules, scopes: Scopes, projects: Sequence[Project] = ()
    ) -> None:
        self._clusters = clusters
        self._rules = rules
        self._scopes = scopes
        self._projects = projects

    async def aim(self, loaded: LoadedPlaybook, alert: Alert, now: datetime) -> Aim:
        """Raises: TargetUnclear (deny; OutsideProject is one), or a ReadError (hold).

        A playbook that leads out of its project must not compete for the alert, or it would keep the project whose
        object it is from its remediation.
        """
        aim = await self._aim(loaded.playbook, alert, now)
        try:
            project = project_named(loaded.project, self._projects)
        except UnknownProject as exc:
            raise OutsideProject(str(exc)) from exc
        if project is not None and (why := project.objection_to(aim.cluster, aim.ref)):
            raise OutsideProject(why)
        return aim

    async def _aim(self, spec: Playbook, alert: Alert, now: datetime) -> Aim:
        try:
            if spec.targets is not None:
                several = bind_targets(spec.targets, self._scopes.scope(spec, alert, None, now))
                ref = ObjectRef(several.kind, several.namespace, f"[{several.selector}]")
                return Aim(cluster=alert.cluster, ref=ref, root=ref, because=f"targets: {several.selector}")
            if isinstance(spec.target, TargetSpec):
                bound = bind_target(spec.target, self._scopes.scope(spec, alert, None, now))
                cluster = self._cluster(bound.cluster or alert.cluster)
                return Aim(cluster=cluster.name, ref=bound.ref, root=bound.ref, because="the playbook names it")
        except (TemplateError, InvalidParam) as exc:
            raise TargetUnclear(str(exc)) from exc
        found = await resolve_from_alert(self._cluster(alert.cluster), alert, self._rules)
        return Aim(cluster=alert.cluster, ref=found.ref, root=found.root, because=found.because, alert_pod=found.pod)

    def _cluster(self, name: str) -> Cluster:
        cluster = self._clusters.get(name)
        if cluster is None:
            known = ", ".join(sorted(self._clusters))
            raise TargetUnclear(
                f"cluster {name!r} is none of ours ({known}); add it under clusters:, or correct the label"
            )
        return cluster
