"""Where a remediation takes place, in the operator's policy's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remediator.guardrails.environments import Place
from remediator.objects import ObjectRef
from remediator.playbooks.model import Mode
from remediator.playbooks.projects import Project, UnknownProject, project_named
from remediator.remediation.state import Remediation


def place_of(r: Remediation, projects: Sequence[Project] = ()) -> Place:
    """That of a remediation whose playbook was chosen: its environment was decided with it."""
    return Place(
        cluster=r.cluster,
        namespace=namespace_of(r.target),
        severity=r.severity,
        environment=r.environment,
        highest=highest_of(r.project, projects),
    )


def place_at(
    cluster: str, target: ObjectRef, labels: Mapping[str, str], severity: str = "", highest: Mode | None = None
) -> Place:
    """That of a target about which an alert with these labels came: its environment is still to be decided."""
    namespace = namespace_of(target)
    return Place(cluster=cluster, namespace=namespace, labels=labels, severity=severity, highest=highest)


def namespace_of(target: ObjectRef | None) -> str:
    """Empty for what lies in none."""
    if target is None:
        return ""
    return target.name if target.kind == "Namespace" else target.namespace


def highest_of(project: str, projects: Sequence[Project]) -> Mode | None:
    """The highest mode of a project; None = no say in it. A project that is gone is the guardrail `project`'s."""
    try:
        found = project_named(project, projects)
    except UnknownProject:
        return Mode.OBSERVE
    return found.mode if found else None
