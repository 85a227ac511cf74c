"""`ownership`: who owns the FIELD that would be changed. We act through the owner, or say its name; never against it.

Most companies have image and replicas in Git: a live change is reverted within seconds, or fights for hours. A restart
date is in nobody's Git. An autoscaler owns the replicas, an operator owns everything in what it made.
"""

from __future__ import annotations

from remediator.actions.change import FieldChange, Patch
from remediator.actions.delivery.commands import COMMANDS
from remediator.actions.owners import git_owner, git_sets, helm_release, hpas_of, managers_of, operator_of
from remediator.actions.render import dotted
from remediator.actions.workloads.rollout_restart import RESTART_PATH
from remediator.actions.workloads.scale import REPLICAS_PATH
from remediator.gitops.drift import held_by, ignores, taken_from
from remediator.gitops.owner import claim, owner_of
from remediator.guardrails.answers import asks, cannot_see, denies, gravest_of, not_applicable, passes
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.objects import Object, ref_of
from remediator.ports import FIELD_MANAGER

NAME = "ownership"
READS = frozenset({"targets"})

THROUGH_GIT = (
    "it would be taken back: write via: pr in this step to propose it there, or via: hold_and_pr to change it live as "
    "well, or change it there"
)

ANNOTATIONS = ("metadata", "annotations")
"""An annotation on what an operator made is how that operator is asked for something: it takes back what it set."""


def check(facts: Facts) -> Verdict:
    """The gravest answer over every field of every patch."""
    found = [(target, verdict) for target in facts.targets for verdict in _of(facts, target)]
    return gravest_of(found)


def _of(facts: Facts, target: TargetFacts) -> list[Verdict]:
    verdicts = []
    for effect in target.change.effects:
        if isinstance(effect, Patch) and effect.subresource:
            verdicts.append(passes(NAME, f"{effect.subresource} is where {effect.ref} is asked for it"))
        elif isinstance(effect, Patch) and not effect.made_here:
            obj = _object(target, effect)
            if obj is None:
                verdicts.append(cannot_see(NAME, f"who owns {effect.ref}", f"{effect.ref} was not read"))
            else:
                verdicts += [_field(facts, target, obj, change) for change in effect.changes]
    return verdicts or [not_applicable(NAME, "changes no field")]


def _object(target: TargetFacts, patch: Patch) -> Object | None:
    return next((obj for obj in target.view.objects() if ref_of(obj) == patch.ref), None)


def _field(facts: Facts, target: TargetFacts, obj: Object, change: FieldChange) -> Verdict:
    path, operator = change.path, operator_of(obj)
    if path == RESTART_PATH:
        if operator:
            return asks(
                NAME, facts, f"{ref_of(obj)} is made by {operator}, which may take the restart back", owner=operator
            )
        return passes(NAME, "a restart date belongs to nobody", field=dotted(path))
    if path in COMMANDS:
        return passes(NAME, "a request to an operator belongs to nobody", field=dotted(path))
    if operator and path[:2] != ANNOTATIONS:
        return _owned(operator, path)
    if path == REPLICAS_PATH:
        if "hpas" in target.view.unreadable:
            return cannot_see(NAME, f"whether {ref_of(obj)} is autoscaled", target.view.unreadable["hpas"])
        if hpas := hpas_of(target.view):
            return _owned(str(ref_of(hpas[0])), path)
    return _in_git(facts, target, obj, change)


def _in_git(facts: Facts, target: TargetFacts, obj: Object, change: FieldChange) -> Verdict:
    """What stands on the object says whether Git owns the field; the owner itself, where it could be read, whether it
    would take the change back. One that could not be read would."""
    path, owner = change.path, owner_of(obj, target.view)
    git = str(owner or git_owner(obj) or "")
    field = dotted(path)
    if not git:
        return passes(NAME, f"{field} belongs to nobody else{_said(obj, path)}", field=field)
    if not (git_sets(obj, path) or taken_from(owner, obj, path)):
        return passes(NAME, f"{git} tracks the object, but leaves {field} open", field=field, owner=git)
    if owner is not None and (why := ignores(owner, obj, change)):
        return passes(NAME, why, field=field, owner=git)
    if facts.playbook.steps[target.step].via != "hold_and_pr":
        return _owned(git, path, THROUGH_GIT)
    if owner is not None and held_by(owner, target.change):
        return passes(NAME, f"{git} owns {field}, and is held meanwhile", field=field, owner=git)
    return _owned(git, path, f"{claim(obj) or git} is not held: write via: pr")


def _owned(owner: str, path: tuple[str, ...], changes: str = "act on that instead") -> Verdict:
    return denies(NAME, f"{owner} owns {dotted(path)}", changes, owner=owner, field=dotted(path))


def _said(obj: Object, path: tuple[str, ...]) -> str:
    """What is worth saying without being an objection: a Helm release, or who wrote the field last."""
    if release := helm_release(obj):
        return f"; Helm release {release} writes it back at its next upgrade"
    others = [manager.name for manager in managers_of(obj, path) if manager.name != FIELD_MANAGER]
    return f"; last set by {others[0]}" if others else ""
