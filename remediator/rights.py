"""What the loaded playbooks write in a cluster, and what the configuration needs of Slack: for `doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from remediator.actions.delivery.argo import APPLICATION
from remediator.actions.delivery.flux import GIT_REPOSITORY, KUSTOMIZATION
from remediator.config import Config
from remediator.doctor import Right
from remediator.objects import KINDS, kind_name
from remediator.playbooks.model import LoadedPlaybook, Step, TargetSpec
from remediator.playbooks.projects import Project

MANY_KINDS = 10
"""An action on more kinds than this can act on anything: `patch`, `annotate`."""


def needed_rights(
    playbooks: Iterable[LoadedPlaybook], actions: Mapping[str, Any], projects: Iterable[Project], cluster: str
) -> Iterator[Right]:
    """In the namespaces that the project of a playbook names without wildcards; without a project, in all."""
    by_name = {project.name: project for project in projects}
    for loaded in playbooks:
        project = by_name.get(loaded.project)
        if project is not None and cluster not in project.clusters:
            continue
        named = [n for n in project.namespaces if not set(n) & set("*?[")] if project else []
        for step in loaded.playbook.steps:
            if step.action in actions:
                target = step.target or loaded.playbook.target
                kind = target.kind if isinstance(target, TargetSpec) else ""
                if kind in KINDS:
                    yield _right("get", kind, "", "")
                manifest = step.with_.get("manifest") if step.with_ else None
                if manifest:  # what is made, or made to be like that, whatever it is made for
                    kind = kind_name(str(manifest.get("apiVersion", "")), str(manifest.get("kind", "")))
                yield from _of_way(step)
                for namespace in named or [""] if step.via != "pr" else ():
                    yield from _of_action(actions[step.action], kind, namespace)


def _of_way(step: Step) -> Iterator[Right]:
    """A change through Git reads what owns the object, in a namespace that only the object knows, and may hold it; a
    pull request alone writes nothing here."""
    if step.through_git:
        for kind in (APPLICATION, KUSTOMIZATION, GIT_REPOSITORY):
            yield _right("get", kind, "", "")
    if step.via == "hold_and_pr":
        for kind in (APPLICATION, KUSTOMIZATION):
            yield _right("patch", kind, "", "")


def _of_action(action: Any, kind: str, namespace: str) -> Iterator[Right]:
    """What it declares itself; otherwise a patch of the kind that the playbook names, or of all that it can act on.

    A generic action declares every kind: what matters of that is the one that the playbook names, if it names one.
    """
    if action.name == "evict_pod":
        yield Right(verb="create", kind="Pod", subresource="eviction", namespace=namespace)
        return
    declared = getattr(action, "rights", None)
    if declared is not None:
        generic = len(action.kinds) > MANY_KINDS
        for right in declared:
            if not (generic and kind in KINDS) or right.kind == kind:
                yield _right(right.verb, right.kind, right.subresource, namespace)
        return
    kinds = (kind,) if kind in action.kinds else action.kinds
    for one in (*kinds, *(("HorizontalPodAutoscaler",) if "hpas" in action.needs else ())):
        yield _right("patch", one, "", namespace)


def _right(verb: str, kind: str, subresource: str, namespace: str) -> Right:
    where = namespace if KINDS[kind].namespaced else ""
    return Right(verb=verb, kind=kind, subresource=subresource, namespace=where)


def needed_scopes(config: Config, playbooks: Iterable[LoadedPlaybook]) -> dict[str, str]:
    """Scope of the bot token -> what for."""
    scopes = {"chat:write": "to post at all", "files:write": "the graphs in the threads"}
    if config.slack is not None and config.slack.interactive:
        scopes |= {"commands": "/remediator", "users:read": "who clicked"}
    named = [a for loaded in playbooks for a in loaded.playbook.approval.approvers]
    named += [a for project in config.projects for a in project.approvers]
    if any(text.startswith(("slack:@", "slack:S")) for text in named):
        scopes["usergroups:read"] = "approvers that are a user group"
    if any(person.email and not person.slack for person in config.people):
        scopes["users:read.email"] = "people who are known by their e-mail address"
    if config.escalation is not None and config.escalation.incident_channel is not None:
        scopes |= {"channels:manage": "incident channels", "channels:read": "incident channels"}
    return scopes
