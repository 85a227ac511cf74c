"""flux_reconcile, flux_suspend, flux_resume."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediator.actions.change import GENERATED_TIME, FieldChange, NotPossible
from remediator.actions.delivery.flux import (
    FluxReconcile,
    FluxReconcileParams,
    FluxResume,
    FluxResumeParams,
    FluxSuspend,
    FluxSuspendParams,
)
from remediator.actions.diff import diff_lines
from remediator.actions.render import render
from tests.actions.delivery.make_delivery import external_secret, flux
from tests.actions.make import NOW, view

REQUESTED = "reconcile.fluxcd.io/requestedAt"


def reconcile(obj: Any, **params: Any) -> Any:
    return FluxReconcile().plan(FluxReconcileParams(**params), view(obj))


def suspend(obj: Any) -> Any:
    return FluxSuspend().plan(FluxSuspendParams(), view(obj))


def resume(obj: Any) -> Any:
    return FluxResume().plan(FluxResumeParams(), view(obj))


def managed(name: str) -> Any:
    return [{"manager": name, "operation": "Update", "time": "x", "fieldsV1": {"f:spec": {"f:suspend": {}}}}]


@pytest.mark.parametrize("kind", ["Kustomization", "HelmRelease", "GitRepository"])
def test_a_token(kind):
    change = reconcile(flux(kind))
    (effect,) = change.effects
    assert effect.changes == (FieldChange(("metadata", "annotations", REQUESTED), None, GENERATED_TIME),)
    assert not effect.undoable
    assert change.notes == ()
    assert diff_lines(change, view(flux(kind)).ref) == (f"{REQUESTED} absent -> time of sending",)


def test_force_and_reset_are_the_same_token():
    obj = flux("HelmRelease")
    change = reconcile(obj, force=True, reset=True)
    body = json.loads(render(change.effects[0], obj, effect_id="e", now=NOW).body)
    sent = {k: v for k, v in body["metadata"]["annotations"].items() if k.startswith("reconcile")}
    assert len(sent) == 3
    assert set(sent.values()) == {"2025-06-01T12:00:00Z"}
    assert change.summary == "reconcile now, force and reset"
    assert "although nothing changed" in change.needs_approval


@pytest.mark.parametrize(("asked", "notes"), [("2025-06-01T10:00:00Z", 0), ("2025-06-01T11:00:00Z", 1), ("x" * 999, 1)])
def test_a_request_that_nobody_handled_is_told(asked, notes):
    change = reconcile(flux(annotations={REQUESTED: asked}))
    assert len(change.notes) == notes
    assert all(len(note) < 300 for note in change.notes)


@pytest.mark.parametrize(
    ("obj", "params", "reason"),
    [
        pytest.param(flux(spec={"suspend": True}), {}, "is suspended and ignores", id="suspended"),
        pytest.param(flux(), {"force": True}, "is no HelmRelease", id="force of a Kustomization"),
        pytest.param(flux(deletionTimestamp="x"), {}, "being deleted", id="goes"),
        pytest.param(external_secret(), {}, "is no Kustomization or HelmRelease or GitRepository", id="another kind"),
    ],
)
def test_reconcile_refused(obj, params, reason):
    with pytest.raises(NotPossible, match=reason):
        reconcile(obj, **params)


def test_suspend():
    (effect,) = suspend(flux()).effects
    assert effect.changes == (FieldChange(("spec", "suspend"), None, True),)
    assert effect.undoable
    with pytest.raises(NotPossible, match="suspended already"):
        suspend(flux(spec={"suspend": True}))


@pytest.mark.parametrize(
    ("fields", "doubt"),
    [
        pytest.param(managed("remediator"), "", id="by us"),
        pytest.param(managed("kubectl-edit"), "kubectl-edit has suspended it", id="by somebody else"),
        pytest.param([], "somebody else has suspended it", id="nobody knows"),
    ],
)
def test_what_others_suspended_asks(fields, doubt):
    change = resume(flux(spec={"suspend": True}, managedFields=fields))
    assert change.effects[0].changes == (FieldChange(("spec", "suspend"), True, False),)
    assert change.needs_approval == doubt


@pytest.mark.parametrize("spec", [{}, {"suspend": False}])
def test_resume_of_what_runs(spec):
    with pytest.raises(NotPossible, match="is not suspended"):
        resume(flux(spec=spec))
