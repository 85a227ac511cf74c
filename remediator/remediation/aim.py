"""What a playbook is to act on: by the labels of an alert, by its own `target:`, or by what a person has named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from remediator.actions.base import Action
from remediator.alerts.alert import Alert
from remediator.alerts.labels import LabelRules
from remediator.objects import KINDS, ObjectRef
from remediator.playbooks.binding import bind_target, bind_targets
from remediator.playbooks.expressions import FROM_ALERT
from remediator.playbooks.model import LoadedPlaybook, Playbook, TargetSpec
from remediator.playbooks.params import InvalidParam
from remediator.playbooks.projects import Project, UnknownProject, project_named
from remediator.playbooks.templates import TemplateError, parse_template, texts
from remediator.ports import Cluster
from remediator.remediation.scopes import Scopes
from remediator.remediation.targeting import (
    Resolved,
    TargetUnclear,
    resolve_from_alert,
    resolve_named,
    resolve_root,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """`ref` is what the steps act on, `root` the key of locks and episodes, `alert_pod` the pod that the alert
    names."""

    cluster: str
    ref: ObjectRef
    root: ObjectRef
    because: str
    alert_pod: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a person, or a schedule, says instead of an alert; empty where they leave it to the playbook."""

    target: ObjectRef | None = None
    cluster: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    """Values of parameters as text, over all others."""


NO_WISH = Start()


class OutsideProject(TargetUnclear):
    """The object is clear, and is none of the playbook's project."""


class Aiming:
    """Finds targets. One instance may remember what the labels of one alert led to, for all playbooks of that alert."""

    def __init__(
        self,
        clusters: Mapping[str, Cluster],
        rules: LabelRules,
        scopes: Scopes,
        projects: Sequence[Project] = (),
        actions: Mapping[str, Action[Any]] | None = None,
    ) -> None:
        self._clusters = clusters
        self._rules = rules
        self._scopes = scopes
        self._projects = projects
        self._actions = actions or {}

    async def aim(self, loaded: LoadedPlaybook, alert: Alert | None, now: datetime, start: Start = NO_WISH) -> Aim:
        """`start` counts where there is no alert. Raises: TargetUnclear (deny; OutsideProject is one), or a ReadError
        (hold).

        A playbook that leads out of its project must not compete for the alert, or it would keep the project whose
        object it is from its remediation.
        """
        spec = loaded.playbook
        aim = await (self._aim(spec, alert, now) if alert else self._aim_without_alert(spec, start, now))
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
        cluster = self._cluster(alert.cluster)
        found = await self._fitting(spec, cluster, await resolve_from_alert(cluster, alert, self._rules))
        return Aim(cluster=alert.cluster, ref=found.ref, root=found.root, because=found.because, alert_pod=found.pod)

    async def _fitting(self, spec: Playbook, cluster: Cluster, found: Resolved) -> Resolved:
        """A pod that an operator's object controls (an instance of a CloudNativePG cluster), or that object, where it
        is what every step of the playbook acts on and none could act on the pod. Raises: as `resolve_root`."""
        if found.ref.kind != "Pod" or found.root == found.ref or found.root.kind not in KINDS:
            return found
        acting = [self._actions[s.action].kinds for s in spec.steps if s.action in self._actions and s.target is None]
        if not acting or not all(found.root.kind in kinds and "Pod" not in kinds for kinds in acting):
            return found
        return await resolve_root(cluster, found)

    async def _aim_without_alert(self, spec: Playbook, start: Start, now: datetime) -> Aim:
        """The playbook's own target, or, where it leaves that to alerts, the one that was named."""
        if start.target is None or not takes_target(spec):
            if start.target is not None:
                raise TargetUnclear(f"{spec.name} names its own target; leave --target out")
            return self._own_aim(spec, start, now)
        cluster = self._cluster(start.cluster or self._only_cluster())
        found = await self._fitting(spec, cluster, await resolve_named(cluster, start.target))
        return Aim(cluster=cluster.name, ref=found.ref, root=found.root, because=found.because, alert_pod=found.pod)

    def _own_aim(self, spec: Playbook, start: Start, now: datetime) -> Aim:
        if takes_target(spec):
            raise TargetUnclear(f"{spec.name} takes its target from an alert; name one: --target Kind/namespace/name")
        try:
            scope = self._scopes.scope(spec, None, None, now)
            if spec.targets is not None:
                several = bind_targets(spec.targets, scope)
                cluster = self._cluster(start.cluster or self._only_cluster())
                ref = ObjectRef(several.kind, several.namespace, f"[{several.selector}]")
                return Aim(cluster=cluster.name, ref=ref, root=ref, because=f"targets: {several.selector}")
            assert isinstance(spec.target, TargetSpec)
            bound = bind_target(spec.target, scope)
        except (TemplateError, InvalidParam) as exc:
            raise TargetUnclear(str(exc)) from exc
        if start.cluster and bound.cluster and start.cluster != bound.cluster:
            raise TargetUnclear(f"{spec.name} names cluster {bound.cluster}, not {start.cluster}")
        cluster = self._cluster(bound.cluster or start.cluster or self._only_cluster())
        return Aim(cluster=cluster.name, ref=bound.ref, root=bound.ref, because="the playbook names it")

    def _only_cluster(self) -> str:
        """Raises: TargetUnclear where there are several: none is meant more than the others."""
        if len(self._clusters) == 1:
            return next(iter(self._clusters))
        known = ", ".join(sorted(self._clusters))
        raise TargetUnclear(f"in which cluster? Say --cluster, or target.cluster in the playbook: {known}")

    def _cluster(self, name: str) -> Cluster:
        cluster = self._clusters.get(name)
        if cluster is None:
            known = ", ".join(sorted(self._clusters))
            raise TargetUnclear(
                f"cluster {name!r} is none of ours ({known}); add it under clusters:, or correct the label"
            )
        return cluster


def takes_target(spec: Playbook) -> bool:
    """Whether an alert says what it acts on, so that without one somebody else has to."""
    if spec.target == "from_alert":
        return True
    if not isinstance(spec.target, TargetSpec):
        return False
    found = (parse_template(text) for _, text in texts(spec.target.model_dump()))
    return any(expression.roots & FROM_ALERT for template in found for expression in template.expressions)
