"""What a look proves of a request that was not answered: of what is created, removed, or written to a subresource."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.actions.change import GENERATED_TIME, Create, FieldChange, Patch, Remove
from remediator.objects import Object, ObjectRef
from remediator.ports import FIELD_MANAGER, MADE_BY, MARKER, WriteRequest
from remediator.remediation.journal import Attempt
from remediator.remediation.proofs import judge
from tests.support.building import NOW

ID = "r-1/0.0"
BACKUP = ObjectRef("Backup.velero.io", "shop", "b")
TLS = ObjectRef("Certificate.cert-manager.io", "shop", "tls")
JOB = ObjectRef("Job", "shop", "dump")
ISSUING = ("status", "conditions", "[type=Issuing]")
WANTED = {"type": "Issuing", "status": "True", "lastTransitionTime": GENERATED_TIME}

CREATE = Create(ref=BACKUP, body={"spec": {}}, undoable=True)
REMOVE = Remove(ref=BACKUP, uid="u1")
STATUS = Patch(
    ref=TLS, uid="u1", changes=(FieldChange(("status", "state"), "old", "new"),), subresource="status", undoable=True
)
START = Patch(ref=JOB, uid="", changes=(FieldChange(("spec", "suspend"), True, False),), made_here=True, undoable=False)


def attempt(effect: Any, verb: Any = "patch", **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": "1",
        "remediation_id": "r-1",
        "effect_id": ID,
        "number": 1,
        "epoch": 1,
        "uid": "u1",
        "resource_version": "41",
        "generation": 1,
        "request": WriteRequest(verb, effect.ref, "application/json", b"{}"),
        "at": NOW,
        "outcome": "uncertain",
        **changes,
    }
    return Attempt(**values)


def found(ref: ObjectRef, *, uid: str = "u1", version: str = "41", marker: str = "", **more: Any) -> Object:
    meta: dict[str, Any] = {"name": ref.name, "namespace": ref.namespace, "uid": uid, "resourceVersion": version}
    meta |= more.pop("meta", {})
    if marker:
        meta |= {"annotations": {MARKER: marker}, "labels": {MADE_BY: "r-1"}}
    kind = ref.kind.partition(".")[0]
    versions = {"Backup": "velero.io/v1", "Certificate": "cert-manager.io/v1", "Job": "batch/v1"}
    return {"apiVersion": versions[kind], "kind": kind, "metadata": meta, **more}


def entry(at: Any = NOW, manager: str = FIELD_MANAGER, subresource: str = "status", **more: Any) -> dict[str, Any]:
    time = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"manager": manager, "operation": "Update", "time": time, "subresource": subresource, **more}


@pytest.mark.parametrize(
    ("looked", "asked", "answer"),
    [
        pytest.param(found(BACKUP, marker=ID), True, "happened", id="our marker"),
        pytest.param(found(BACKUP, marker=ID), False, "happened", id="our marker, no row"),
        pytest.param(None, True, "again", id="not there yet"),
        pytest.param(None, False, "never", id="nothing was asked for"),
        pytest.param(found(BACKUP), True, "person", id="somebody else's"),
        pytest.param(found(BACKUP, marker="r-1/1.0"), True, "person", id="of another effect"),
    ],
)
def test_what_is_there_proves_a_create(looked: Object | None, asked: bool, answer: str) -> None:
    probed = judge(ID, CREATE, attempt(CREATE, "create", uid="") if asked else None, looked)
    assert probed.answer == answer
    if answer == "happened":
        assert (probed.made, probed.inverse) == (BACKUP, Remove(ref=BACKUP, uid="u1"))


@pytest.mark.parametrize(
    ("looked", "asked", "answer"),
    [
        pytest.param(None, True, "happened", id="gone"),
        pytest.param(found(BACKUP, uid="u2"), True, "happened", id="another one has its name"),
        pytest.param(found(BACKUP, meta={"deletionTimestamp": "2025-01-01T00:00:00Z"}), True, "happened", id="going"),
        pytest.param(found(BACKUP), True, "again", id="untouched"),
        pytest.param(found(BACKUP, version="42"), True, "never", id="moved on"),
        pytest.param(found(BACKUP), False, "never", id="nothing was asked for"),
    ],
)
def test_what_is_gone_was_removed(looked: Object | None, asked: bool, answer: str) -> None:
    probed = judge(ID, REMOVE, attempt(REMOVE, "delete") if asked else None, looked)
    assert (probed.answer, probed.taken_uid) == (answer, "")


OURS = {"managedFields": [entry()]}
LATER = NOW + timedelta(seconds=30)
STATES: dict[str, Any] = {"status": {"state": "new"}}


@pytest.mark.parametrize(
    ("looked", "asked", "answer"),
    [
        pytest.param(found(TLS), True, "again", id="untouched"),
        pytest.param(found(TLS, meta=OURS), True, "again", id="untouched since an earlier write"),
        pytest.param(found(TLS, version="42", meta=OURS, **STATES), True, "happened", id="our write"),
        pytest.param(found(TLS, version="42", meta=OURS, **STATES), False, "never", id="nothing was asked for"),
        pytest.param(None, True, "never", id="gone"),
        pytest.param(found(TLS, uid="u2", version="42", meta=OURS), True, "never", id="another object"),
        pytest.param(found(TLS, version="42"), True, "person", id="nobody's write is on it"),
        pytest.param(
            found(TLS, version="42", meta={"managedFields": [entry(manager="op")]}), True, "person", id="the operator's"
        ),
        pytest.param(
            found(TLS, version="42", meta={"managedFields": [entry(subresource="")]}),
            True,
            "person",
            id="ours, of the object itself",
        ),
        pytest.param(
            found(TLS, version="42", meta={"managedFields": [entry(NOW - timedelta(seconds=5))]}),
            True,
            "person",
            id="ours, of before",
        ),
        pytest.param(
            found(TLS, version="42", meta={"managedFields": [{**entry(), "time": None}]}),
            True,
            "person",
            id="without a time",
        ),
    ],
)
def test_managed_fields_prove_a_write_without_a_marker(looked: Object | None, asked: bool, answer: str) -> None:
    assert judge(ID, STATUS, attempt(STATUS) if asked else None, looked).answer == answer


def test_times_of_whole_seconds_prove_a_write_within_the_second() -> None:
    at = NOW.replace(microsecond=0) + timedelta(milliseconds=700)
    looked = found(TLS, version="42", meta={"managedFields": [entry(at)]})
    assert judge(ID, STATUS, attempt(STATUS, at=at), looked).answer == "happened"


@pytest.mark.parametrize(("state", "undone"), [("new", True), ("newer", False)])
def test_a_status_is_only_undone_while_it_is_ours(state: str, undone: bool) -> None:
    looked = found(TLS, version="42", meta=OURS, status={"state": state})
    assert (judge(ID, STATUS, attempt(STATUS), looked).inverse is not None) == undone


@pytest.mark.parametrize(
    ("looked", "answer"),
    [
        pytest.param(found(JOB, uid="u1"), "again", id="untouched"),
        pytest.param(found(JOB, uid="u2"), "never", id="another one by that name"),
        pytest.param(found(JOB, uid="u2", marker=ID), "never", id="another one with our marker"),
        pytest.param(found(JOB, uid="u1", version="42", marker=ID), "happened", id="our marker"),
        pytest.param(None, "never", id="gone"),
    ],
)
def test_a_start_is_bound_to_what_the_attempt_saw(looked: Object | None, answer: str) -> None:
    assert judge(ID, START, attempt(START), looked).answer == answer
