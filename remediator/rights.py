"""What the loaded playbooks write in a cluster, and what the configuration needs of Slack: for `doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from remediator.config import Config
from remediator.doctor import Right
from remediator.playbooks.model import LoadedPlaybook
from remediator.playbooks.projects import Project


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
                for namespace in named or [""]:
                    yield from _of_action(step.action, actions[step.action], namespace)


def _of_action(name: str, action: Any, namespace: str) -> Iterator[Right]:
    if name == "evict_pod":
        yield Right(verb="create", kind="Pod", subresource="eviction", namespace=namespace)
        return
    kinds = (*action.kinds, *(("HorizontalPodAutoscaler",) if "hpas" in action.needs else ()))
    for kind in kinds:
        yield Right(verb="patch", kind=kind, namespace=namespace)


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
