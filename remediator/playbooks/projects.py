"""Projects: which playbooks may do what, and where, when several teams share one installation. Pure.

A playbook belongs to the project of the place it was read from. What can be known without a target is checked when it
is loaded (`objections`); what it then really touches is checked by the guardrail `project`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator, model_validator

from remediator.objects import KINDS, ObjectRef
from remediator.people.references import Approver
from remediator.playbooks.fields import Flag, Mode, PlaybookName, Strict
from remediator.playbooks.globs import common_name, matches_any
from remediator.playbooks.model import LoadedPlaybook, Playbook, TargetSpec
from remediator.playbooks.problems import did_you_mean
from remediator.playbooks.selectors import selector_problem

SCHEDULE = "schedule"
"""Not an action, but a way to start without an alert."""

GATED = frozenset({SCHEDULE, "http", "exec", "run_job", "run_sql"})
"""Reach further than an object of Kubernetes: off, unless a project lists them."""

NamespacePattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9*]([-a-z0-9*]{0,61}[a-z0-9*])?$")]
"""A namespace, or several with `*`: `shop`, `shop-*`."""


class ConfigMaps(Strict):
    """ConfigMaps that hold playbooks: those with these labels (a selector) in these namespaces."""

    namespaces: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")], ...] = Field(
        min_length=1
    )
    labels: str = Field(min_length=1)
    cluster: str = ""
    """One of `clusters`; empty = the project's only one."""

    @field_validator("labels")
    @classmethod
    def _is_a_selector(cls, value: str) -> str:
        if problem := selector_problem(value):
            raise ValueError(f"{problem}; write it like remediator.dev/playbooks=shop")
        return value


class ProjectPlaybooks(Strict):
    """Where a project's playbooks come from."""

    folders: tuple[Path, ...] = ()
    config_maps: tuple[ConfigMaps, ...] = ()


class Project(Strict):
    """One team's share. What is not said is not allowed, but actions: see there."""

    name: PlaybookName
    playbooks: ProjectPlaybooks
    clusters: tuple[str, ...] = Field(min_length=1)
    namespaces: tuple[NamespacePattern, ...] = Field(min_length=1)
    cluster_scoped: Flag = False
    """Whether objects outside any namespace (nodes) may be touched."""
    actions: tuple[str, ...] = ()
    """Exactly these; none given = all but the gated ones."""
    mode: Mode = Mode.APPROVE
    """The highest one."""
    approvers: tuple[Approver, ...] = ()
    """For playbooks that name none; others may only name some of these. None given = playbooks are free."""
    channels: tuple[Annotated[str, StringConstraints(pattern=r"^[CGD][A-Z0-9]{2,}$")], ...] = ()
    """Slack channels (IDs) that hear of its remediations besides those of `routes`."""
    sources: tuple[str, ...] = ()
    """Whose alerts it takes; none given = those of every source."""

    @model_validator(mode="after")
    def _has_playbooks(self) -> Project:
        if not self.playbooks.folders and not self.playbooks.config_maps:
            raise ValueError("playbooks: neither folders nor config_maps; say where its playbooks come from")
        if len(self.clusters) > 1 and not all(maps.cluster for maps in self.playbooks.config_maps):
            raise ValueError("playbooks.config_maps: the project has several clusters; say which one with cluster:")
        return self

    def allows(self, action: str) -> bool:
        return action in self.actions if self.actions else action not in GATED

    def objection_to(self, cluster: str, ref: ObjectRef) -> str:
        """Why this object is none of the project's; empty = it is."""
        if cluster not in self.clusters:
            return f"cluster {cluster} is none of project {self.name}, which has {_list(self.clusters)}"
        if not ref.namespace and not self.cluster_scoped:
            return f"{ref} lies in no namespace, and project {self.name} has no cluster_scoped: true"
        namespace = ref.name if ref.kind == "Namespace" else ref.namespace
        if namespace and not matches_any(self.namespaces, namespace):
            return f"namespace {namespace} is none of project {self.name}, which has {_list(self.namespaces)}"
        return ""


class UnknownProject(Exception):
    """Projects are configured, and a playbook belongs to none of them any more."""


def project_named(name: str, projects: Sequence[Project]) -> Project | None:
    """The project of a remediation's playbook; None where no projects are configured.

    Raises: UnknownProject, which is no permission: a remediation of before the projects, or of one that was removed.
    """
    if not projects:
        return None
    found = next((project for project in projects if project.name == name), None)
    if found is None:
        raise UnknownProject(f"project {name} is not configured any more" if name else "its playbook has no project")
    return found


def uses(playbook: Playbook) -> tuple[tuple[str, str], ...]:
    """What a project has to allow, each with its field: the actions of the steps, and a start without an alert."""
    found = [(f"steps[{i}].action", step.action) for i, step in enumerate(playbook.steps) if step.action]
    if playbook.schedule is not None:
        found.append((SCHEDULE, SCHEDULE))
    return tuple(found)


def in_project(loaded: LoadedPlaybook, project: Project) -> LoadedPlaybook:
    """The playbook as it is in force in its project: with the project's approvers where it names none.

    The hash stays that of the content as written.
    """
    playbook = loaded.playbook
    if project.approvers and not playbook.approval.approvers:
        approval = playbook.approval.model_copy(update={"approvers": project.approvers})
        playbook = playbook.model_copy(update={"approval": approval})
    marks = {"playbook": playbook, "project": project.name, "sources": frozenset(project.sources)}
    return loaded.model_copy(update=marks)


def objections(playbook: Playbook, project: Project) -> tuple[str, ...]:
    """What a project has against a playbook, a line each; for loading."""
    return tuple(_objections(playbook, project))


def _objections(playbook: Playbook, project: Project) -> Iterator[str]:
    name = project.name
    if playbook.mode.rank > project.mode.rank:
        yield (
            f"mode: {playbook.mode} is above {project.mode}, the highest of project {name}; "
            f"write mode: {project.mode}, or ask the operator for projects[{name}].mode"
        )
    for where, what in uses(playbook):
        if not project.allows(what):
            yield (
                f"{where}: {what} is not allowed in project {name}; "
                f"ask the operator to list it in projects[{name}].actions"
            )
    for index, approver in enumerate(playbook.approval.approvers):
        if project.approvers and approver not in project.approvers:
            yield (
                f"approval.approvers[{index}]: {approver} is none of project {name}, which has "
                f"{_list(project.approvers)}; name some of these, or none for all of them"
            )
    for where, said in _spelled_out(playbook):
        cluster = getattr(said, "cluster", "") or project.clusters[0]
        namespaced = said.kind not in KINDS or KINDS[said.kind].namespaced
        if "${" in f"{said.kind}{said.namespace}{cluster}" or (namespaced and not said.namespace):
            continue  # known once there is an alert
        if said.kind == "Namespace" and "${" in said.name:
            continue
        if why := project.objection_to(cluster, ObjectRef(said.kind, said.namespace, getattr(said, "name", ""))):
            yield f"{where}: {why}; ask the operator for projects[{name}]"


def _spelled_out(playbook: Playbook) -> Iterator[tuple[str, Any]]:
    """Every target that is written down, with its field."""
    if isinstance(playbook.target, TargetSpec):
        yield "target", playbook.target
    if playbook.targets is not None:
        yield "targets", playbook.targets
    for index, step in enumerate(playbook.steps):
        if step.target is not None:
            yield f"steps[{index}].target", step.target


# --- the projects among themselves, and with the rest of the configuration ------------------------------------------


def problems_among(
    projects: Sequence[Project], *, clusters: Iterable[str], sources: Mapping[str, frozenset[str]]
) -> list[str]:
    """What cannot be, a line each. `sources` maps each sender to the clusters that its alerts can be about."""
    known = frozenset(clusters)
    found = [f"projects[{name}] is there twice; names must differ" for name in _twice(p.name for p in projects)]
    for project in projects:
        found += _unknown(project, known, sources)
    for one, other in itertools.combinations(projects, 2):
        found += _overlap(one, other)
    folders = ((folder, p.name) for p in projects for folder in p.playbooks.folders)
    found += _shared("folder", folders)
    maps = (
        (f"{m.labels} in {cluster_of(m, p)}/{namespace}", p.name)
        for p in projects
        for m in p.playbooks.config_maps
        for namespace in m.namespaces
    )
    found += _shared("ConfigMaps", maps)
    return found


def unknown_actions(projects: Sequence[Project], actions: Iterable[str]) -> tuple[str, ...]:
    """Actions that a project lists and that nobody has installed; the gated ones may come later."""
    known = {*actions, *GATED}
    return tuple(
        f"projects[{project.name}].actions: there is no {action}. {did_you_mean(action, known)}"
        for project in projects
        for action in project.actions
        if action not in known
    )


def cluster_of(maps: ConfigMaps, project: Project) -> str:
    """Where ConfigMaps are read."""
    return maps.cluster or project.clusters[0]


def _unknown(project: Project, clusters: frozenset[str], sources: Mapping[str, frozenset[str]]) -> Iterator[str]:
    where = f"projects[{project.name}]"
    for name in (*project.clusters, *(maps.cluster for maps in project.playbooks.config_maps if maps.cluster)):
        if name not in clusters:
            yield f"{where}: cluster {name!r} is none of clusters: {_list(sorted(clusters))}"
    for name in project.sources:
        if name not in sources:
            yield f"{where}.sources: {name!r} is none of sources: {_list(sorted(sources))}"
        elif sources[name].isdisjoint(project.clusters):
            yield (
                f"{where}.sources: alerts of {name} are about {_list(sorted(sources[name]))}, "
                f"which is no cluster of this project"
            )


def _overlap(one: Project, other: Project) -> Iterator[str]:
    shared = [name for name in one.clusters if name in other.clusters]
    for mine, theirs in itertools.product(one.namespaces, other.namespaces) if shared else ():
        if example := common_name(mine, theirs):
            yield (
                f"projects {one.name} ({mine}) and {other.name} ({theirs}) both claim namespace {example} in cluster "
                f"{shared[0]}; a namespace belongs to one project"
            )
            return


def _shared(what: str, claims: Iterable[tuple[object, str]]) -> Iterator[str]:
    owners: dict[object, str] = {}
    for claimed, name in claims:
        if claimed in owners:
            yield f"projects {owners[claimed]} and {name} both read playbooks from {what} {claimed}; give it to one"
        owners.setdefault(claimed, name)


def _twice(names: Iterable[str]) -> list[str]:
    seen = list(names)
    return sorted({name for name in seen if seen.count(name) > 1})


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
