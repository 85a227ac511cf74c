"""force_sync_secret: once, where the operator would not ignore it."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.change import GENERATED_TIME, FieldChange, NotPossible
from remediator.actions.delivery.external_secret import ForceSyncSecret, ForceSyncSecretParams
from remediator.actions.diff import diff_lines
from tests.actions.delivery.make_delivery import external_secret
from tests.actions.make import deployment, view


def plan(obj: Any) -> Any:
    return ForceSyncSecret().plan(ForceSyncSecretParams(), view(obj))


NEVER = {"refreshTime": None}


@pytest.mark.parametrize(
    ("obj", "before"),
    [
        pytest.param(external_secret(), None, id="first time"),
        pytest.param(external_secret(annotations={"force-sync": "1700000000"}), "1700000000", id="again"),
        pytest.param(external_secret(spec={"refreshPolicy": "Periodic"}), None, id="periodic"),
        pytest.param(external_secret(spec={"refreshPolicy": "OnChange"}), None, id="on change"),
        pytest.param(external_secret(spec={"refreshInterval": None}), None, id="default interval"),
        pytest.param(external_secret(spec={"refreshInterval": "0"}, status=NEVER), None, id="never synced"),
        pytest.param(external_secret(spec={"refreshInterval": "10s"}), None, id="a zero among digits"),
        pytest.param(external_secret(spec={"refreshInterval": "0h30m"}), None, id="a part that is zero"),
    ],
)
def test_a_token(obj, before):
    change = plan(obj)
    (effect,) = change.effects
    assert effect.changes == (FieldChange(("metadata", "annotations", "force-sync"), before, GENERATED_TIME),)
    assert not effect.undoable
    assert diff_lines(change, view(obj).ref) == (f"force-sync {before or 'absent'} -> time of sending",)


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        pytest.param(external_secret(spec={"refreshPolicy": "CreatedOnce"}), "CreatedOnce", id="once"),
        *(
            pytest.param(external_secret(spec={"refreshInterval": zero}), "refreshInterval 0", id=f"zero {zero}")
            for zero in (0, "0", "0s", "0h0m0s", "0.0h")
        ),
        pytest.param(external_secret(deletionTimestamp="x"), "being deleted", id="goes"),
        pytest.param(deployment(), "is no ExternalSecret", id="another kind"),
    ],
)
def test_refused(obj, reason):
    with pytest.raises(NotPossible, match=reason):
        plan(obj)


def test_the_stores_words_are_not_repeated():
    ready = {"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "token hvs.s3cr3t expired"}
    notes = " ".join(plan(external_secret(status={"conditions": [ready]})).notes)
    assert "SecretSyncedError" in notes
    assert "s3cr3t" not in notes
