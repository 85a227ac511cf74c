"""`project`: a playbook touches what its project has, and nothing else, whatever an alert or a template says.

The loader has checked what is written down; here are the objects themselves: each target, its root controller, and
everything that an effect would write.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediator.actions.change import Delete, Evict
from remediator.guardrails.answers import denies, not_applicable, passes
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import many
from remediator.objects import ObjectRef
from remediator.playbooks.projects import Project, uses

NAME = "project"
READS = frozenset({"project", "targets"})


def check(facts: Facts) -> Verdict:
    """Object to a mode, an action, a cluster or an object that the playbook's project does not have. The end of a hold
    is no action that a project has to list: it came with the step that holds."""
    project: Project | None = facts.project
    if project is None:
        return not_applicable(NAME, "no projects are configured")
    where = f"projects[{project.name}]"
    if not facts.releases and facts.limits.mode.rank > project.mode.rank:
        return denies(
            NAME,
            f"mode {facts.limits.mode} is above {project.mode}, the highest of project {project.name}",
            f"{where}.mode may be raised by the operator",
            project=project.name,
        )
    for _, what in () if facts.releases else uses(facts.playbook):
        if not project.allows(what):
            return denies(
                NAME,
                f"{what} is not allowed in project {project.name}",
                f"the operator may list it in {where}.actions",
                project=project.name,
                action=what,
            )
    touched = dict.fromkeys(ref for target in facts.targets for ref in _touched(target))
    for ref in touched:
        if why := project.objection_to(facts.cluster, ref):
            return denies(
                NAME,
                why,
                f"the operator may change {where}",
                project=project.name,
                cluster=facts.cluster,
                object=str(ref),
            )
    return passes(NAME, f"{many(len(touched), 'object')} in project {project.name}", project=project.name)


def _touched(target: TargetFacts) -> Iterator[ObjectRef]:
    yield target.ref
    yield target.root
    for effect in target.change.effects:
        if isinstance(effect, Evict | Delete):
            yield ObjectRef("Pod", effect.pod.namespace, effect.pod.name)
        else:
            yield effect.ref
    yield from target.change.touches
