"""`ownership` where Git owns a field: what is named as the next step, and what lets a live change pass all the same."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.change import Change, FieldChange
from remediator.gitops.drift import hold
from remediator.gitops.owner import owner_of
from remediator.guardrails import ownership
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Answer
from remediator.objects import Object, ref_of, uid_of
from tests.actions.make import deployment
from tests.gitops.made import ARGO, FLUX, application, kustomization, seen
from tests.guardrails.make import a_patch, facts, playbook

REPLICAS = FieldChange(("spec", "replicas"), 3, 5)
IMAGE = FieldChange(("spec", "template", "spec", "containers", "[name=api]", "image"), "shop/api:1", "shop/api:0")
API = deployment(annotations=ARGO)
IGNORES = {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}


def at(
    owner: Object | None, obj: Object = API, *, way: str = "live", held: bool = False, change: Any = REPLICAS
) -> Facts:
    view = seen(owner, obj)
    effects: tuple[Any, ...] = (a_patch(obj, change),)
    if held:
        found = owner_of(obj, view)
        assert found is not None
        effects = (hold(found, view, begun=False), *effects)
    one = TargetFacts(
        ref=view.ref, root=view.root, uid=uid_of(obj), view=view, change=Change(effects=effects, summary="x")
    )
    return facts(one, playbook=playbook(steps=[{"action": "set_image", "via": way}]))


@pytest.mark.parametrize(
    ("given", "answer", "said"),
    [
        pytest.param(at(application()), Answer.DENY, "Argo CD application argocd/shop owns spec.replicas", id="owned"),
        pytest.param(at(None), Answer.DENY, "Argo CD application shop owns", id="the owner could not be read"),
        pytest.param(
            at(application(ignoreDifferences=[IGNORES])),
            Answer.PASS,
            "ignores this difference",
            id="ignored",
        ),
        pytest.param(
            at(application(ignoreDifferences=[IGNORES]), change=IMAGE),
            Answer.DENY,
            "owns",
            id="another field",
        ),
        pytest.param(
            at(kustomization(), deployment(labels=FLUX, annotations={"kustomize.toolkit.fluxcd.io/ssa": "Ignore"})),
            Answer.PASS,
            "leaves Deployment shop/api alone",
            id="Flux ignores the object",
        ),
        pytest.param(
            at(application(), deployment(labels={"app.kubernetes.io/instance": "shop"})),
            Answer.DENY,
            "Argo CD application argocd/shop owns",
            id="a label that the Application confirms",
        ),
        pytest.param(
            at({**application(), "status": {}}, deployment(labels={"app.kubernetes.io/instance": "shop"})),
            Answer.PASS,
            "belongs to nobody else",
            id="a label that it does not",
        ),
        pytest.param(at(application(), way="hold_and_pr", held=True), Answer.PASS, "", id="held first"),
        pytest.param(at(application(syncPolicy={}), way="hold_and_pr"), Answer.PASS, "is held", id="held by now"),
        pytest.param(at(application(), way="hold_and_pr"), Answer.DENY, "owns spec.replicas", id="not held"),
        pytest.param(at(application(), held=True), Answer.DENY, "owns spec.replicas", id="a hold of another way"),
        pytest.param(at(application(syncPolicy={})), Answer.DENY, "owns spec.replicas", id="synced by hand"),
    ],
)
def test_who_owns_it(given: Facts, answer: Answer, said: str) -> None:
    verdict = ownership.check(given)
    assert (verdict.answer, said in verdict.reason) == (answer, True), verdict


def test_the_denial_names_both_ways() -> None:
    changes = ownership.check(at(application())).changes
    assert "via: pr" in changes
    assert "via: hold_and_pr" in changes


CONTAINER: dict[str, Any] = {"f:template": {"f:spec": {"f:containers": {'k:{"name":"api"}': {".": {}, "f:image": {}}}}}}


def applied(spec: dict[str, Any]) -> dict[str, Any]:
    entry = {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": {"f:spec": spec}}
    return deployment(labels=FLUX, metadata={"managedFields": [entry]})


@pytest.mark.parametrize(
    ("obj", "answer"),
    [
        pytest.param(applied(CONTAINER), Answer.DENY, id="listed by the name of the container"),
        pytest.param(applied({"f:replicas": {}}), Answer.PASS, id="not listed"),
        pytest.param(
            deployment(
                annotations={
                    **ARGO,
                    "kubectl.kubernetes.io/last-applied-configuration": '{"spec":{"template":{"spec":{"containers":'
                    '[{"name":"api","image":"shop/api:1"}]}}}}',
                }
            ),
            Answer.DENY,
            id="in what was applied last",
        ),
    ],
)
def test_an_image_is_found_through_its_list(obj: Object, answer: Answer) -> None:
    assert ownership.check(at(None, obj, change=IMAGE)).answer is answer
    assert ref_of(obj).name == "api"
