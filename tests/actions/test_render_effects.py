"""The request for what is created, removed, called, or written to a subresource."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.actions.change import GENERATED_ID, GENERATED_TIME, Call, Create, FieldChange, Patch, Remove
from remediator.actions.digest import DigestStep, digest
from remediator.actions.render import generated_id, inverse, render, resolved, still_before
from remediator.objects import Object, ObjectRef
from remediator.ports import FIELD_MANAGER, MADE_BY, MARKER

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
BACKUP = ObjectRef("Backup.velero.io", "shop", f"b-{GENERATED_ID}")
MADE = ObjectRef("Backup.velero.io", "shop", "b-0123456789")
API = ObjectRef("Deployment", "shop", "api")
CREATE = Create(ref=BACKUP, body={"metadata": {"labels": {"a": "b"}}, "spec": {"at": GENERATED_TIME}}, undoable=True)
REMOVE = Remove(ref=MADE, uid="u1", holds=((("status", "phase"), "Failed"),))
CALL = Call(
    ref=API,
    uid="u1",
    via="sql",
    place="orders",
    request={"run": f"run-{GENERATED_ID}", "at": GENERATED_TIME},
    says="analyze",
    inverse={"undo": True},
)
STATUS = Patch(
    ref=MADE,
    uid="u1",
    changes=(FieldChange(("status", "phase"), "Failed", "New"),),
    undoable=False,
    subresource="status",
)


def looked_at(ref: ObjectRef = MADE, uid: str = "u1", **more: Any) -> Object:
    kind, _, group = ref.kind.partition(".")
    meta = {"name": ref.name, "namespace": ref.namespace, "uid": uid, "resourceVersion": "7"}
    api_version = f"{group}/v1" if group else "apps/v1"
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, "status": {"phase": "Failed"}, **more}


def rendered(effect: Any, looked: Object | None) -> Any:
    effect = resolved(effect, "0123456789")
    request = render(effect, looked, effect_id="r-1/0.0", now=NOW, generated="0123456789", made_by="r-1")
    return request, json.loads(request.body)


def test_what_is_created_is_named_marked_and_labelled() -> None:
    request, body = rendered(CREATE, None)
    assert (request.verb, request.ref) == ("create", MADE)
    assert body == {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {
            "name": MADE.name,
            "namespace": "shop",
            "labels": {"a": "b", "app.kubernetes.io/managed-by": FIELD_MANAGER, MADE_BY: "r-1"},
            "annotations": {MARKER: "r-1/0.0"},
        },
        "spec": {"at": "2025-01-01T12:00:00Z"},
    }


def test_what_is_removed_is_bound_to_the_last_look() -> None:
    request, body = rendered(REMOVE, looked_at())
    assert (request.verb, request.ref) == ("delete", MADE)
    assert body["preconditions"] == {"uid": "u1", "resourceVersion": "7"}
    assert body["propagationPolicy"] == "Background"


def test_a_call_carries_its_key_and_nothing_generated() -> None:
    request, body = rendered(CALL, looked_at(API))
    assert request.verb == "call"
    assert body == {
        "via": "sql",
        "place": "orders",
        "request": {"run": "run-0123456789", "at": "2025-01-01T12:00:00Z"},
        "key": "r-1/0.0",
    }


def test_a_patch_of_a_subresource_is_bound_and_carries_no_marker() -> None:
    request, body = rendered(STATUS, looked_at())
    assert (request.content_type, request.subresource) == ("application/json-patch+json", "status")
    assert [operation["path"] for operation in body] == ["/metadata/resourceVersion", "/metadata/uid", "/status/phase"]


def test_a_patch_of_what_was_made_is_bound_to_what_was_looked_at() -> None:
    start = Patch(ref=BACKUP, uid="", changes=(FieldChange(("spec", "go"), None, True),), made_here=True)
    request, body = rendered(start, looked_at(uid="u-new"))
    assert request.ref == MADE
    assert body["metadata"]["uid"] == "u-new"


@pytest.mark.parametrize("effect", [REMOVE, CALL, STATUS], ids=lambda effect: effect.kind)
def test_nothing_is_rendered_for_another_object(effect: Any) -> None:
    with pytest.raises(ValueError, match="u1"):
        rendered(effect, looked_at(effect.ref, uid="u2"))
    with pytest.raises(ValueError, match="nothing was looked at"):
        rendered(effect, None)


@pytest.mark.parametrize(
    ("effect", "looked", "why"),
    [
        pytest.param(CREATE, None, None, id="the name is free"),
        pytest.param(CREATE, looked_at(), "exists already", id="the name is taken"),
        pytest.param(REMOVE, looked_at(), None, id="as it was"),
        pytest.param(REMOVE, looked_at(status={"phase": "New"}), "the plan saw Failed", id="not any more"),
        pytest.param(REMOVE, looked_at(status={}), "the plan saw Failed", id="said no more"),
        pytest.param(REMOVE, looked_at(uid="u2"), "another object", id="another one"),
        pytest.param(REMOVE, None, "does not exist", id="gone"),
        pytest.param(CALL, looked_at(API), None, id="a call"),
        pytest.param(CALL, looked_at(API, uid="u2"), "another object", id="a call about another one"),
        pytest.param(CALL, None, "does not exist", id="a call about nothing"),
    ],
)
def test_what_no_longer_is_as_the_plan_saw_it(effect: Any, looked: Object | None, why: str | None) -> None:
    said = still_before(effect, looked)
    assert (said is None) if why is None else (said is not None and why in said)


def test_what_was_made_is_taken_back_by_its_uid() -> None:
    assert inverse(CREATE, looked_at()) == Remove(ref=MADE, uid="u1")


def test_what_was_called_is_taken_back_once() -> None:
    back = inverse(CALL, {})
    assert isinstance(back, Call)
    assert (back.request, back.undoable) == ({"undo": True}, False)


def test_what_was_made_and_patched_is_taken_back_as_any_other() -> None:
    start = Patch(ref=MADE, uid="", changes=(FieldChange(("spec", "go"), False, True),), made_here=True)
    back = inverse(start, looked_at(spec={"go": True}))
    assert isinstance(back, Patch)
    assert (back.uid, back.made_here, back.undoable) == ("u1", False, False)


def test_one_step_of_one_remediation_has_a_name_of_its_own() -> None:
    others = {
        generated_id("r-1", NOW, 0),
        generated_id("r-2", NOW, 0),
        generated_id("r-1", NOW + timedelta(seconds=1), 0),
        generated_id("r-1", NOW, 1),
    }
    assert len(others) == 4
    assert generated_id("r-1", NOW, 0) in others


def _digested(effect: Any) -> str:
    step = DigestStep(target=API, uid="u1", action="a", params={}, effects=(effect,))
    return digest(playbook_hash="p", cluster="c", steps=(step,))


@pytest.mark.parametrize(
    ("effect", "changes"),
    [
        (CREATE, {"ref": MADE}),
        (CREATE, {"body": {}}),
        (CREATE, {"undoable": False}),
        (REMOVE, {"ref": API}),
        (REMOVE, {"uid": "u2"}),
        (REMOVE, {"holds": ()}),
        (REMOVE, {"holds": ((("status", "phase"), "New"),)}),
        (REMOVE, {"propagation": "Orphan"}),
        (CALL, {"ref": MADE}),
        (CALL, {"uid": "u2"}),
        (CALL, {"via": "http"}),
        (CALL, {"place": "stock"}),
        (CALL, {"request": {}}),
        (CALL, {"repeatable": True}),
        (CALL, {"inverse": None}),
        (STATUS, {"subresource": ""}),
        (STATUS, {"made_here": True}),
    ],
)
def test_the_digest_covers_all_of_an_effect(effect: Any, changes: dict[str, Any]) -> None:
    other = type(effect)(**{name: getattr(effect, name) for name in effect.__slots__} | changes)
    assert _digested(other) != _digested(effect)
