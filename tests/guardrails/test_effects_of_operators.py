"""Guardrails about effects that are no patch of a workload: what operators own, what a Namespace holds, what pauses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remediator.actions.certificates.renew import ISSUING_PATH
from remediator.actions.change import Change, Create, Evict, FieldChange, Patch, PodRule, Remove
from remediator.guardrails import ownership, protect, rollout_in_progress
from remediator.guardrails.verdict import Answer
from remediator.objects import Object, ObjectRef, ref_of, uid_of
from tests.actions.make import deployment, pod
from tests.guardrails.make import a_patch, facts, playbook, restart, target

KUBE = frozenset({"kube-system"})


def certificate(**meta: Any) -> Object:
    """One that an Ingress had made."""
    owner = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web", "uid": "i", "controller": True}
    meta = {"name": "tls", "namespace": "shop", "uid": "c", "ownerReferences": [owner], **meta}
    return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": meta, "spec": {}}


def space(name: str = "shop") -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": "n"}}


def change(*effects: Any) -> Change:
    return Change(effects=effects, summary="act")


@pytest.mark.parametrize(
    ("path", "subresource", "answer"),
    [
        pytest.param(("spec", "duration"), "", Answer.DENY, id="a field of what an Ingress made is the Ingress'"),
        pytest.param(ISSUING_PATH, "", Answer.PASS, id="a request to the operator is nobody's"),
        pytest.param(("status", "anything"), "status", Answer.PASS, id="a subresource is where it is asked"),
        pytest.param(("metadata", "annotations", "x"), "", Answer.PASS, id="an annotation is how it is asked"),
    ],
)
def test_what_an_operator_made_is_asked_through_its_own_words(
    path: tuple[str, ...], subresource: str, answer: Answer
) -> None:
    obj = certificate()
    patch = replace(a_patch(obj, FieldChange(path, None, "x")), subresource=subresource)
    assert ownership.check(facts(target(obj, change(patch)))).answer is answer


def test_what_is_made_only_now_belongs_to_nobody_else() -> None:
    job = ObjectRef("Job", "shop", "dump")
    start = Patch(ref=job, uid="", changes=(FieldChange(("spec", "suspend"), True, False),), made_here=True)
    assert ownership.check(facts(target(change=change(start)))).answer is Answer.NOT_APPLICABLE


def test_an_object_that_was_read_for_the_action_is_judged_too() -> None:
    obj = certificate()
    patch = a_patch(obj, FieldChange(("spec", "duration"), None, "1h"))
    assert ownership.check(facts(target(change=change(patch), found={"it": obj}))).answer is Answer.DENY
    assert ownership.check(facts(target(change=change(patch)))).cannot_see


@pytest.mark.parametrize(
    "effect",
    [
        pytest.param(Remove(ref=ObjectRef("Pod", "kube-system", "dns"), uid="u"), id="remove"),
        pytest.param(Create(ref=ObjectRef("Job", "kube-system", "x"), body={}), id="create"),
    ],
)
def test_a_namespace_that_is_named_is_no_way_into_a_protected_one(effect: Any) -> None:
    """Naming one object lifts the protection of that object, not of everything that its namespace holds."""
    one = target(space("kube-system"), change(effect), named=True)
    assert protect.check(facts(one, protected_namespaces=KUBE)).answer is Answer.DENY


def test_a_workload_that_is_named_is_no_way_into_another_protected_namespace() -> None:
    effect = Create(ref=ObjectRef("Job", "kube-system", "x"), body={})
    one = target(change=change(effect), named=True)
    assert protect.check(facts(one, protected_namespaces=KUBE)).answer is Answer.DENY


@pytest.mark.parametrize("kind", ["removed", "evicted"])
def test_what_its_owner_protects_is_not_taken_with_the_rest(kind: str) -> None:
    api = deployment()
    kept = pod("api-1", api)
    kept["metadata"]["annotations"] = {"remediator.dev/protect": "true"}
    rule = PodRule(namespace="shop", select="named", name="api-1", uid=uid_of(kept))
    effect = Evict(pod=rule) if kind == "evicted" else Remove(ref=ref_of(kept), uid=uid_of(kept))
    one = target(space(), change(effect), found={"pods": (kept,)})
    assert protect.check(facts(one)).answer is Answer.DENY
    assert protect.check(facts(target(space(), change(effect)))).answer is Answer.PASS


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        pytest.param(("spec", "paused"), Answer.PASS, id="resumed"),
        pytest.param(("spec", "replicas"), Answer.DENY, id="anything else"),
    ],
)
def test_a_paused_rollout_may_be_resumed_and_nothing_else(path: tuple[str, ...], answer: Answer) -> None:
    paused = deployment()
    paused["spec"]["paused"] = True
    one = target(paused, change(a_patch(paused, FieldChange(path, True, None))))
    assert rollout_in_progress.check(facts(one)).answer is answer
    both = change(*one.change.effects, *restart(paused).effects)
    assert rollout_in_progress.check(facts(target(paused, both))).answer is Answer.DENY


def evictions(*where: str) -> Change:
    named = [PodRule(namespace=space, select="named", name="p", uid=f"u-{space}") for space in where]
    return change(*(Evict(pod=rule) for rule in named))


def drained(*where: str, also_in: Any = None, named: bool = False) -> Any:
    """A drain of a node, from a playbook that allows what it allows."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1", "uid": "w"}}
    allowed = {} if also_in is None else {"also_in": also_in}
    spec = playbook(steps=[{"wait": 5}, {"action": "drain", "with": allowed}])
    one = replace(target(node, evictions(*where), named=named), step=1)
    return protect.check(facts(one, playbook=spec, protected_namespaces=frozenset({"kube-system", "monitoring"})))


@pytest.mark.parametrize(
    ("where", "also_in", "answer"),
    [
        pytest.param(("shop",), None, Answer.PASS, id="others"),
        pytest.param((), None, Answer.PASS, id="what stays on the node is not reached"),
        pytest.param(("shop", "kube-system"), None, Answer.DENY, id="one of them"),
        pytest.param(("shop", "kube-system"), ["kube-system"], Answer.PASS, id="which the author names"),
        pytest.param(("monitoring", "kube-system"), ["kube-system"], Answer.DENY, id="and another one"),
        pytest.param(("kube-system",), ["${labels.namespace}"], Answer.DENY, id="a template names nothing"),
        pytest.param(("kube-system",), "kube-system", Answer.DENY, id="no list"),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_a_drain_does_not_take_pods_of_protected_namespaces(
    where: tuple[str, ...], also_in: Any, answer: Answer, named: bool
) -> None:
    """DNS and what a rescue looks through: naming the node names none of its pods."""
    verdict = drained(*where, also_in=also_in, named=named)
    assert verdict.answer is answer
    if answer is Answer.DENY:
        assert "also_in" in verdict.changes
