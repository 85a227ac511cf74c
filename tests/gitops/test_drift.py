"""What a GitOps controller takes back, what it ignores, and how it is held."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.change import Change, FieldChange, NotPossible
from remediator.gitops.drift import held_by, hold, ignores
from remediator.gitops.leaves import Leaf, leaves
from remediator.gitops.owner import Owner, owner_of
from remediator.objects import Object
from tests.actions.make import deployment, template
from tests.gitops.made import ARGO, FLUX, application, kustomization, seen

REPLICAS = FieldChange(("spec", "replicas"), 3, 5)
CONTAINERS = ("spec", "template", "spec", "containers")
IMAGE = FieldChange((*CONTAINERS, "[name=api]", "image"), "shop/api:1", "shop/api:0")
ROLLBACK = FieldChange(
    ("spec", "template"), template(restarted="2025-01-01T00:00:00Z"), template("shop/api:0", restarted="")
)
WHOLE = {"group": "apps", "kind": "Deployment"}
RESPECTS = {"syncOptions": ["RespectIgnoreDifferences=true"]}


def owned(owner: Object, obj: Object | None = None) -> tuple[Owner, Object]:
    obj = obj or deployment(annotations=ARGO)
    found = owner_of(obj, seen(owner, obj))
    assert found is not None
    return found, obj


@pytest.mark.parametrize(
    ("entry", "change", "ignored"),
    [
        pytest.param({**WHOLE, "jsonPointers": ["/spec/replicas"]}, REPLICAS, True, id="the field"),
        pytest.param({**WHOLE, "jsonPointers": ["/spec"]}, REPLICAS, True, id="what it is in"),
        pytest.param({**WHOLE, "jsonPointers": ["/spec/replica"]}, REPLICAS, False, id="a beginning of its name"),
        pytest.param({**WHOLE, "jsonPointers": ["/spec/replicas"]}, IMAGE, False, id="another field"),
        pytest.param(
            {**WHOLE, "jsonPointers": ["/spec/template/spec/containers/0/image"]}, IMAGE, True, id="through a list"
        ),
        pytest.param(
            {**WHOLE, "jsonPointers": ["/spec/template/spec/containers/1/image"]}, IMAGE, False, id="another item"
        ),
        pytest.param(
            {**WHOLE, "jsonPointers": ["/spec/template/spec/containers/0/image"]}, ROLLBACK, True, id="a whole template"
        ),
        pytest.param({**WHOLE, "jsonPointers": ["/spec/template/metadata"]}, ROLLBACK, False, id="a part of it"),
        pytest.param({**WHOLE, "jqPathExpressions": [".spec.replicas"]}, REPLICAS, True, id="jq: a field"),
        pytest.param(
            {**WHOLE, "jqPathExpressions": [".spec.template.spec.containers[].image"]}, IMAGE, False, id="jq: all else"
        ),
        pytest.param({**WHOLE, "jqPathExpressions": [".spec | .replicas"]}, REPLICAS, False, id="jq: a pipe"),
        pytest.param({**WHOLE, "managedFieldsManagers": ["remediator"]}, REPLICAS, True, id="what we write"),
        pytest.param({**WHOLE, "managedFieldsManagers": ["kubectl"]}, REPLICAS, False, id="what others write"),
        pytest.param({"group": "*", "kind": "*", "jsonPointers": ["/spec/replicas"]}, REPLICAS, True, id="all kinds"),
        pytest.param({"kind": "Deployment", "jsonPointers": ["/spec/replicas"]}, REPLICAS, False, id="another group"),
        pytest.param({**WHOLE, "name": "api", "jsonPointers": ["/spec/replicas"]}, REPLICAS, True, id="by its name"),
        pytest.param({**WHOLE, "name": "web", "jsonPointers": ["/spec/replicas"]}, REPLICAS, False, id="another name"),
        pytest.param({**WHOLE, "namespace": "x", "jsonPointers": ["/spec/replicas"]}, REPLICAS, False, id="elsewhere"),
        pytest.param(WHOLE, REPLICAS, False, id="nothing is named"),
    ],
)
def test_ignored_differences(entry: dict[str, Any], change: FieldChange, ignored: bool) -> None:
    why = ignores(*owned(application(ignoreDifferences=[entry])), change)
    assert bool(why) is ignored
    assert not ignored or "its next sync of the object writes it back, unless RespectIgnoreDifferences" in why


def test_a_sync_that_respects_them() -> None:
    entry = {**WHOLE, "jsonPointers": ["/spec/replicas"]}
    owner = application(ignoreDifferences=[entry], syncPolicy=RESPECTS)
    assert ignores(*owned(owner), REPLICAS).endswith("(spec.ignoreDifferences)")


@pytest.mark.parametrize(
    ("key", "value", "left"),
    [
        ("kustomize.toolkit.fluxcd.io/ssa", "Ignore", True),
        ("kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent", True),
        ("kustomize.toolkit.fluxcd.io/ssa", "Override", False),
        ("kustomize.toolkit.fluxcd.io/reconcile", "disabled", True),
        ("kustomize.toolkit.fluxcd.io/reconcile", "enabled", False),
    ],
)
def test_what_flux_leaves_alone(key: str, value: str, left: bool) -> None:
    assert bool(ignores(*owned(kustomization(), deployment(labels=FLUX, annotations={key: value})), REPLICAS)) is left
    of_argo = deployment(annotations={**ARGO, key: value})
    assert ignores(*owned(application(), of_argo), REPLICAS) == "", "Argo CD knows none of them"


def test_single_values_of_a_template() -> None:
    assert leaves(ROLLBACK) == (Leaf(IMAGE.path, "shop/api:1", "shop/api:0"),)
    longer = FieldChange(("spec", "args"), ["a"], ["a", "b"])
    assert leaves(longer) == (Leaf(("spec", "args"), ["a"], ["a", "b"]),)
    more = FieldChange(("x",), [{"name": "a", "value": "1"}], [{"name": "b", "value": "1"}])
    assert [leaf.path for leaf in leaves(more)] == [("x",)]
    port = FieldChange(("ports",), [{"containerPort": 80}], [{"containerPort": 81}])
    assert leaves(port) == (Leaf(("ports", "0", "containerPort"), 80, 81),)
    assert leaves(FieldChange(("x",), True, 1)) == (Leaf(("x",), True, 1),)


# --- holds ------------------------------------------------------------------------------------------------------------


def held(owner: Object, obj: Object | None = None, *, begun: bool = False) -> Any:
    found, obj = owned(owner, obj)
    return hold(found, seen(owner, obj), begun=begun)


def test_argo_cd_is_held_as_argocd_suspend_does() -> None:
    patch = held(application())
    automated, record = patch.changes
    assert (patch.ref.name, patch.undoable) == ("shop", True)
    assert (automated.path, automated.after) == (("spec", "syncPolicy", "automated"), None)
    assert record.after == '{"prune":true,"selfHeal":true}'
    assert held_by(owned(application())[0], Change(effects=(patch,), summary="x"))
    assert not held_by(owned(application())[0], Change(effects=(), summary="x"))


def test_flux_is_held_as_flux_suspend_does() -> None:
    obj = deployment(labels=FLUX)
    patch = held(kustomization(), obj)
    assert patch.changes == (FieldChange(("spec", "suspend"), None, True),)
    assert held_by(owned(kustomization(), obj)[0], Change(effects=(patch,), summary="x"))


def tracked_by(obj: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


BY_APPS = {"annotations": {"argocd.argoproj.io/tracking-id": "apps:argoproj.io/Application:argocd/shop"}}
BY_SET = {"ownerReferences": [{"kind": "ApplicationSet", "name": "all", "controller": True, "uid": "u"}]}
SETS_SUSPEND = {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": {"f:spec": {"f:suspend": {}}}}
SETS_PATH = {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": {"f:spec": {"f:path": {}}}}


@pytest.mark.parametrize(
    ("owner", "obj", "said"),
    [
        pytest.param(tracked_by(application(), **BY_APPS), None, "Argo CD application apps writes", id="app of apps"),
        pytest.param(tracked_by(application(), **BY_SET), None, "ApplicationSet all writes", id="an ApplicationSet"),
        pytest.param(
            tracked_by(kustomization(), labels=FLUX, managedFields=[SETS_SUSPEND]),
            deployment(labels=FLUX),
            "flux-system/apps sets spec.suspend",
            id="Git says suspend",
        ),
    ],
)
def test_who_would_end_the_hold(owner: Any, obj: Any, said: str) -> None:
    with pytest.raises(NotPossible, match=f"{said}.*write via: pr") as caught:
        held(owner, obj)
    assert (caught.value.guardrail, caught.value.hold) == ("ownership", False)


def test_flux_in_flux_may_be_held_where_git_leaves_suspend_open() -> None:
    assert held(tracked_by(kustomization(), labels=FLUX, managedFields=[SETS_PATH]), deployment(labels=FLUX))


OURS = {"annotations": {"remediator.dev/auto-sync": '{"selfHeal":true}'}}
SUSPENDED_BY_US = {"manager": "remediator", "operation": "Update", "fieldsV1": {"f:spec": {"f:suspend": {}}}}


@pytest.mark.parametrize(
    ("owner", "obj"),
    [
        pytest.param(tracked_by(application(syncPolicy={}), **OURS), None, id="Argo CD"),
        pytest.param(
            tracked_by(kustomization(suspend=True), managedFields=[SUSPENDED_BY_US]),
            deployment(labels=FLUX),
            id="Flux",
        ),
    ],
)
def test_a_hold_that_is_there(owner: Any, obj: Any) -> None:
    """One release would end both; our own is gone on with."""
    with pytest.raises(NotPossible, match="held for another change already") as caught:
        held(owner, obj)
    assert caught.value.hold
    assert held(owner, obj, begun=True) is None


def test_what_people_have_stopped_is_not_ours() -> None:
    assert held(application(syncPolicy={})) is None
    assert held(kustomization(suspend=True), deployment(labels=FLUX)) is None
