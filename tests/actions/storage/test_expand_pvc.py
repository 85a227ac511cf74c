"""expand_pvc: one bounded step upwards, where the class allows it and nobody else decides about the size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Change, FieldChange, NotPossible, Patch
from remediator.actions.diff import diff_lines
from remediator.actions.storage.expand_pvc import ExpandPvc, ExpandPvcParams
from remediator.actions.view import Get, ListOf
from remediator.objects import ObjectRef
from tests.actions.make import NS, view

REF = ObjectRef("PersistentVolumeClaim", NS, "data-db-0")
REQUEST = ("spec", "resources", "requests", "storage")


def claim(
    size: Any = "10Gi",
    capacity: str = "",
    *,
    phase: str = "Bound",
    conditions: Mapping[str, str] | None = None,
    states: Mapping[str, str] | None = None,
    storage_class: str | None = "fast",
    **metadata: Any,
) -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    status: dict[str, Any] = {"phase": phase, "capacity": {"storage": capacity or size}}
    if conditions:
        status["conditions"] = [{"type": key, "status": value} for key, value in conditions.items()]
    if states:
        status["allocatedResourceStatuses"] = dict(states)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-db-0", "namespace": NS, "uid": "uid-claim", "resourceVersion": "3", **metadata},
        "spec": spec,
        "status": status,
    }


def storage_class(allow: Any = True, **parameters: str) -> dict[str, Any]:
    made = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"}}
    return {**made, "parameters": parameters, **({} if allow is None else {"allowVolumeExpansion": allow})}


def stateful(name: str = "db", template: str = "data") -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": NS},
        "spec": {"volumeClaimTemplates": [{"metadata": {"name": template}}]},
    }


def plan(given: Mapping[str, Any], obj: Any = None, **found: Any) -> Change:
    action, seen = (
        ExpandPvc(),
        view(obj or claim(), found={"storage_class": storage_class(), "statefulsets": (), **found}),
    )
    return action.plan(action.resolve(ExpandPvcParams(**given), seen), seen)


@pytest.mark.parametrize(
    ("size", "given", "after"),
    [
        pytest.param("10Gi", {"to": "20Gi", "cap": "50Gi"}, "20Gi", id="to"),
        pytest.param("10Gi", {"to": "15000Mi", "cap": "50Gi"}, "15000Mi", id="as it was written"),
        pytest.param("10Gi", {"percent": 20, "cap": "50Gi"}, "12Gi", id="percent"),
        pytest.param("10Gi", {"percent": 25, "cap": "50Gi"}, "13Gi", id="percent, rounded up"),
        pytest.param("10Gi", {"percent": 1, "cap": "50Gi"}, "11Gi", id="at least one Gi"),
        pytest.param("10Gi", {"percent": 100, "cap": "50Gi"}, "20Gi", id="twice"),
        pytest.param("10Gi", {"percent": 100, "cap": "15Gi"}, "15Gi", id="stops at the cap"),
        pytest.param("10Gi", {"percent": 100, "cap": "15.5Gi"}, "15872Mi", id="stops at a cap that is no whole Gi"),
        pytest.param("1.2Gi", {"percent": 100, "cap": "50Gi"}, "2457Mi", id="never more than twice"),
        pytest.param("500Mi", {"percent": 10, "cap": "50Gi"}, "550Mi", id="small ones in Mi"),
        pytest.param("10G", {"percent": 10, "cap": "50Gi"}, "11Gi", id="decimal units"),
    ],
)
def test_one_patch_upwards(size, given, after):
    change = plan(given, claim(size))
    assert change.effects == (
        Patch(ref=REF, uid="uid-claim", changes=(FieldChange(REQUEST, size, after),), undoable=False),
    )
    assert (change.summary, change.direction) == (f"storage {size} -> {after}", "up")
    assert change.notes[0] == "cannot be undone: a volume never becomes smaller"
    assert diff_lines(change, REF) == (f"resources.requests.storage {size} -> {after}",)
    assert ExpandPvc.changes_data


def test_percent_is_settled_once():
    action, params = ExpandPvc(), ExpandPvcParams(percent=50, cap="50Gi")
    settled = action.resolve(params, view(claim()))
    assert settled == ExpandPvcParams(to="15Gi", cap="50Gi")
    assert ExpandPvcParams.model_validate(settled.model_dump(mode="json")) == settled


TO = {"to": "12Gi", "cap": "50Gi"}
CNPG = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "name": "db", "uid": "u", "controller": True}


@pytest.mark.parametrize(
    ("given", "obj", "found", "reason", "hold"),
    [
        pytest.param({"to": "10Gi", "cap": "50Gi"}, claim(), {}, "requests 10Gi already", False, id="no change"),
        pytest.param({"to": "10240Mi", "cap": "50Gi"}, claim(), {}, "10Gi already", False, id="no change, other words"),
        pytest.param({"to": "9Gi", "cap": "50Gi"}, claim(), {}, "never becomes smaller", False, id="shrink"),
        pytest.param({"to": "21Gi", "cap": "50Gi"}, claim(), {}, "more than twice", False, id="too large a step"),
        pytest.param({"percent": 10, "cap": "10Gi"}, claim(), {}, "10Gi already, cap is 10Gi", False, id="at its cap"),
        pytest.param({"percent": 10, "cap": "5Gi"}, claim(), {}, "cap is 5Gi", False, id="above its cap"),
        pytest.param(TO, claim(phase="Pending"), {}, "is Pending, not Bound", False, id="pending"),
        pytest.param(TO, claim(phase="Lost"), {}, "is Lost, not Bound", False, id="lost"),
        pytest.param(TO, claim(deletionTimestamp="2025-06-01T11:00:00Z"), {}, "being deleted", False, id="going"),
        pytest.param(TO, claim(storage_class=None), {}, "has no storage class", False, id="no class"),
        pytest.param(TO, claim(storage_class=""), {}, "has no storage class", False, id="static"),
        pytest.param(TO, claim(), {"storage_class": None}, "fast of PersistentVolumeClaim", False, id="class is gone"),
        pytest.param(TO, claim(), {"storage_class": storage_class(False)}, "does not allow", False, id="not allowed"),
        pytest.param(TO, claim(), {"storage_class": storage_class(None)}, "does not allow", False, id="not said"),
        pytest.param(TO, claim("10Gi", "8Gi"), {}, "has 8Gi of the size it requests", True, id="request is ahead"),
        pytest.param(TO, claim(conditions={"Resizing": "True"}), {}, "being resized (Resizing)", True, id="resizing"),
        pytest.param(
            TO, claim(conditions={"FileSystemResizePending": "True"}), {}, "FileSystemResizePending", True, id="fs"
        ),
        pytest.param(
            TO, claim(conditions={"ControllerResizeError": "True"}), {}, "a person has to look", False, id="failed"
        ),
        pytest.param(
            TO, claim(states={"storage": "NodeResizeInProgress"}), {}, "NodeResizeInProgress", True, id="state"
        ),
        pytest.param(
            TO, claim(states={"storage": "ControllerResizeInfeasible"}), {}, "resize of", False, id="infeasible"
        ),
        pytest.param(TO, claim(ownerReferences=[CNPG]), {}, "Cluster db decides about the size", False, id="operator"),
        pytest.param(
            TO, claim(labels={"strimzi.io/cluster": "logs"}), {}, "Strimzi cluster logs decides", False, id="label"
        ),
        pytest.param(TO, claim(labels={"application": "spilo"}), {}, "a postgresql decides", False, id="spilo"),
        pytest.param(TO, claim("plenty"), {}, "expected a size such as 20Gi, got 'plenty'", False, id="no size"),
    ],
)
def test_no_expansion(given, obj, found, reason, hold):
    with pytest.raises(NotPossible) as refused:
        plan(given, obj, **found)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_a_condition_that_is_over_holds_nothing():
    assert plan(TO, claim(conditions={"Resizing": "False"})).effects


@pytest.mark.parametrize(
    ("workload", "found"),
    [
        pytest.param(stateful(), True, id="its template"),
        pytest.param(stateful(template="logs"), False, id="another template"),
        pytest.param(stateful("db-0"), False, id="another StatefulSet"),
        pytest.param(stateful("d"), False, id="part of a name"),
    ],
)
def test_the_template_keeps_the_old_size(workload, found):
    notes = plan(TO, statefulsets=(workload,)).notes
    assert any("keeps the old size in its template" in note for note in notes) is found


def test_notes_for_git_and_clouds():
    git = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux"}
    notes = plan(TO, claim(labels=git), storage_class=storage_class(type="gp3")).notes
    assert "Flux Kustomization flux/shop has to say the new size too" in notes
    assert any("after some hours" in note for note in notes)


def test_what_is_read():
    wants, params = ExpandPvc().wants, ExpandPvcParams(to="12Gi", cap="50Gi")
    assert wants(params, view(claim())) == {
        "statefulsets": ListOf(kind="StatefulSet", namespace=NS),
        "storage_class": Get(ObjectRef("StorageClass", "", "fast")),
    }
    assert set(wants(params, view(claim(storage_class="")))) == {"statefulsets"}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"to": "20Gi"}, id="no cap"),
        pytest.param({"cap": "20Gi"}, id="neither"),
        pytest.param({"to": "20Gi", "percent": 10, "cap": "50Gi"}, id="both"),
        pytest.param({"to": "60Gi", "cap": "50Gi"}, id="above cap"),
        pytest.param({"percent": 101, "cap": "50Gi"}, id="more than twice"),
        pytest.param({"percent": 0, "cap": "50Gi"}, id="nothing"),
        pytest.param({"to": "lots", "cap": "50Gi"}, id="no size"),
        pytest.param({"to": "20Gi", "cap": "-1"}, id="negative"),
    ],
)
def test_bad_params(given):
    with pytest.raises(ValidationError):
        ExpandPvcParams(**given)
