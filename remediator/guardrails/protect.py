"""`protect`: namespaces and objects that are untouchable.

The namespaces (our own, kube-system, the monitoring stack, the state store) hold what a rescue needs; a playbook may
name one object in them, but never reach one by a template. The annotation is the owner's own word, and stronger. What a
drain evicts counts, what it leaves on the node (DaemonSets, static pods) does not.
"""

from __future__ import annotations

from remediator.actions.change import Delete, Evict, object_of
from remediator.guardrails.answers import cannot_see, denies, gravest_of, passes
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.objects import Object, ObjectRef, annotations_of, ref_of, uid_of

NAME = "protect"
READS = frozenset({"targets"})

PROTECT_ANNOTATION = "remediator.dev/protect"
"""Any value but `false` counts."""


def check(facts: Facts) -> Verdict:
    """Object to protected namespaces unless the playbook names this very object, and to protected objects always."""
    return gravest_of([(target, _one(facts, target)) for target in facts.targets])


def is_protected(obj: Object) -> bool:
    return annotations_of(obj).get(PROTECT_ANNOTATION, "false").lower() != "false"


def _one(facts: Facts, target: TargetFacts) -> Verdict:
    refs = {ref for effect in target.change.effects if (ref := object_of(effect)) is not None}
    pods = {effect.pod.uid for effect in target.change.effects if isinstance(effect, Evict | Delete)}
    written = (obj for obj in target.view.objects() if ref_of(obj) in refs or uid_of(obj) in pods)
    spaces = {ObjectRef("Namespace", "", ref.namespace) for ref in refs}
    around = (obj for obj in target.view.objects() if ref_of(obj) in spaces)
    for obj in (target.view.target, target.view.namespace, *written, *around):
        if obj is not None and is_protected(obj):
            return denies(NAME, f"{ref_of(obj)} carries {PROTECT_ANNOTATION}", "its owner may remove the annotation")
    if "namespace" in target.view.unreadable:
        why = target.view.unreadable["namespace"]
        return cannot_see(NAME, f"whether namespace {target.ref.namespace} is protected", why)
    evicted = {e.pod.namespace for e in target.change.effects if isinstance(e, Evict | Delete)} - {target.ref.namespace}
    if inside := sorted((evicted & facts.protected_namespaces) - _also_in(facts, target)):
        return denies(
            NAME,
            f"namespace {inside[0]} is protected, and this evicts pods of it",
            f"the step may name it: with: {{also_in: [{inside[0]}]}}",
            namespace=inside[0],
        )
    namespaces = {ref.name if ref.kind == "Namespace" else ref.namespace for ref in (target.ref, target.root)}
    reached = {ref.namespace for ref in refs if ref != target.ref}
    if target.ref.kind == "Namespace" and (inside := sorted(reached & facts.protected_namespaces)):
        return denies(
            NAME,
            f"namespace {inside[0]} is protected, and this reaches whatever is in it",
            "a playbook may name single objects of it in target: {kind, namespace, name}",
            namespace=inside[0],
        )
    namespaces |= reached
    protected = sorted(namespaces & facts.protected_namespaces)
    if not protected:
        return passes(NAME, "not protected")
    if target.named and set(protected) <= {target.ref.namespace, target.ref.name}:
        return passes(NAME, f"namespace {protected[0]} is protected, and the playbook names {target.ref}")
    return denies(
        NAME,
        f"namespace {protected[0]} is protected",
        "a playbook may name single objects of it in target: {kind, namespace, name}",
        namespace=protected[0],
    )


def _also_in(facts: Facts, target: TargetFacts) -> frozenset[str]:
    """Namespaces that the step's author has spelled out. From the playbook as written: a template names nothing."""
    steps = facts.playbook.steps
    listed = steps[target.step].with_.get("also_in") if target.step < len(steps) else None
    return frozenset(n for n in listed if isinstance(n, str)) if isinstance(listed, list | tuple) else frozenset()
