"""vault_rotate: bound to the version that was seen, and only where the new value arrives and there is a way back."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Call, NotPossible
from remediator.actions.delivery.vault_secret import LOCKS_OUT, VaultRotate, VaultRotateParams
from remediator.actions.diff import diff_lines
from remediator.actions.view import Ask
from remediator.objects import ref_of
from tests.actions.delivery.make_delivery import external_secret
from tests.actions.make import deployment, view

PARAMS = VaultRotateParams(vault="main", secret="database")
READY = {"conditions": [{"type": "Ready", "status": "True", "reason": "SecretSynced"}]}


def answer(**more: Any) -> dict[str, Any]:
    found = {"mount": "secret", "path": "cmp/database", "key": "password", "version": 7, "state": "there"}
    found |= {"secret": "database", "has_key": True, "max_versions": 0, "cas_required": True, "delete_after": "0s"}
    return {**found, "created": "2025-06-01T10:00:00Z", "custom_metadata": {}, **more}


def reading(*refs: Any, **spec: Any) -> Any:
    data = [{"secretKey": "DB_PASSWORD", "remoteRef": ref} for ref in refs]
    return external_secret(spec={"data": data, **spec}, status=READY)


SAME = {"key": "cmp/database", "property": "password"}


def plan(obj: Any = None, **found: Any) -> Any:
    seen = view(obj or reading(SAME), found={"secret": answer(**found)})
    return VaultRotate().plan(VaultRotate().resolve(PARAMS, seen), seen)


def test_a_rotation():
    change = plan()
    (call,) = change.effects
    assert isinstance(call, Call)
    assert (call.via, call.place, call.repeatable) == ("vault", "main", False)
    assert call.request == {"do": "rotate", "secret": "database", "version": 7}
    assert call.inverse == {"do": "restore", "secret": "database", "version": 7}
    assert change.summary == "rotate password of secret/cmp/database in main"
    assert diff_lines(change, ref_of(reading(SAME))) == (
        "a new random value for password of secret/cmp/database in main (version 7 -> 8)",
    )
    assert change.notes == (LOCKS_OUT,)
    assert VaultRotate.changes_data


def test_what_it_asks_for():
    ask = Ask("vault", "main", {"about": "secret", "secret": "database"})
    assert VaultRotate().wants(PARAMS, view(deployment())) == {"secret": ask}


def test_another_version_is_another_plan():
    assert plan(version=8) != plan()


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(reading({"key": "secret/cmp/database", "property": "password"}), id="with the mount"),
        pytest.param(reading({"key": "secret/data/cmp/database", "property": "password"}), id="with data"),
        pytest.param(reading({"key": "cmp/other"}, {"key": "cmp/database"}), id="all of it"),
        pytest.param(reading(dataFrom=[{"extract": {"key": "cmp/database"}}]), id="extracted"),
        pytest.param(reading(dataFrom=[{"find": {"name": {"regexp": ".*"}}}]), id="found by name"),
    ],
)
def test_secrets_that_read_it(obj):
    assert plan(obj).effects


@pytest.mark.parametrize(
    ("obj", "found", "reason"),
    [
        (None, {"state": "deleted"}, "version 7 is deleted"),
        (None, {"state": "destroyed"}, "version 7 is deleted"),
        (None, {"has_key": False}, "has no such key"),
        (None, {"max_versions": 1}, "no way back"),
        (None, {"delete_after": "768h0m0s"}, "after 768h0m0s by itself"),
        (reading({"key": "cmp/other"}), {}, "does not read password of cmp/database"),
        (reading({"key": "cmp/database", "property": "user"}), {}, "does not read password"),
        (reading(), {}, "does not read password"),
        (reading(SAME, refreshPolicy="CreatedOnce"), {}, "CreatedOnce"),
        (external_secret(spec={"data": [{"remoteRef": SAME}]}), {}, "is not ready"),
        (
            external_secret(
                spec={"data": [{"remoteRef": SAME}]}, status={"conditions": [{"type": "Ready", "status": "False"}]}
            ),
            {},
            "is not ready",
        ),
        (external_secret(deletionTimestamp="x"), {}, "being deleted"),
        ({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n", "uid": "u"}}, {}, "name another target"),
    ],
)
def test_refused(obj, found, reason):
    with pytest.raises(NotPossible, match=reason):
        plan(obj, **found)


def test_what_people_are_told():
    notes = plan(deployment(), cas_required=False).notes
    assert notes[0] == LOCKS_OUT
    assert "whether Deployment shop/api reads password of secret/cmp/database is not looked at" in notes
    assert "cas_required is off" in notes[2]


@pytest.mark.parametrize("params", [{}, {"vault": "main"}, {"vault": "main", "secret": "../x"}, {"vault": "a/b"}])
def test_parameters_that_are_not_taken(params):
    with pytest.raises(ValidationError):
        VaultRotateParams.model_validate(params)
    with pytest.raises(ValidationError):
        VaultRotateParams.model_validate({"vault": "main", "secret": "database", "path": "cmp/database"})
