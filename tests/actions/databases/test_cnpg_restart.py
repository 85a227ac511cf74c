"""cnpg_restart and cnpg_reload."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.change import GENERATED_TIME, FieldChange, NotPossible
from remediator.actions.databases.cnpg_restart import CnpgReload, CnpgRestart
from remediator.actions.diff import diff_lines
from tests.actions.databases.make import cluster, planned
from tests.actions.make import deployment

RESTARTED = "kubectl.kubernetes.io/restartedAt"


def test_a_restart_dates_the_cluster_itself():
    change = planned(CnpgRestart(), {}, cluster(annotations={RESTARTED: "2025-01-01T00:00:00Z"}))
    (effect,) = change.effects
    path = ("metadata", "annotations", RESTARTED)
    assert effect.changes == (FieldChange(path, "2025-01-01T00:00:00Z", GENERATED_TIME),)
    assert not effect.undoable
    assert (change.takes, change.reduces_capacity) == (1, True)
    assert change.summary == "restart 3 instances, one after the other"
    assert change.needs_approval.endswith("restarts its primary; writes stop while the primary restarts or moves")
    assert "the primary comes last, by restart (primaryUpdateMethod)" in change.notes
    assert diff_lines(change, effect.ref) == (f"{RESTARTED} 2025-01-01T00:00:00Z -> time of sending",) or any(
        "time of sending" in line for line in diff_lines(change, effect.ref)
    )


def test_a_single_instance_is_an_outage():
    change = planned(CnpgRestart(), {}, cluster(instances=1, names=("db-1",)))
    assert change.needs_approval.endswith("it has one instance: an outage")
    assert change.summary == "restart 1 instance, one after the other"


def test_what_the_spec_says_about_the_primary_is_noted():
    spec = {"primaryUpdateMethod": "switchover", "primaryUpdateStrategy": "supervised"}
    notes = planned(CnpgRestart(), {}, cluster(spec=spec)).notes
    assert "the primary comes last, by switchover (primaryUpdateMethod)" in notes
    assert any("supervised" in note for note in notes)


def test_a_reload_takes_nothing():
    change = planned(CnpgReload(), {}, cluster())
    path = ("metadata", "annotations", "cnpg.io/reloadedAt")
    assert change.effects[0].changes == (FieldChange(path, None, GENERATED_TIME),)
    assert (change.takes, change.reduces_capacity, change.needs_approval) == (0, False, "")
    assert not CnpgReload.disruptive


@pytest.mark.parametrize("action", [CnpgRestart(), CnpgReload()], ids=["restart", "reload"])
@pytest.mark.parametrize(
    ("obj", "reason", "hold"),
    [
        pytest.param(cluster(phase="Upgrading cluster"), "is in phase Upgrading cluster", True, id="rolls already"),
        pytest.param(cluster(target="pending"), "choosing a new primary", True, id="fails over"),
        pytest.param(cluster(annotations={"cnpg.io/hibernation": "on"}), "hibernates", False, id="hibernates"),
        pytest.param(deployment(), "is no Cluster", False, id="another kind"),
    ],
)
def test_refused(action: Any, obj, reason, hold):
    with pytest.raises(NotPossible) as refused:
        planned(action, {}, obj)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_a_fenced_instance_would_not_come_back():
    with pytest.raises(NotPossible, match="fenced instances"):
        planned(CnpgRestart(), {}, cluster(fenced='["db-2"]'))
    assert planned(CnpgReload(), {}, cluster(fenced='["db-2"]')).effects


def test_no_params():
    with pytest.raises(ValueError, match="Extra inputs"):
        planned(CnpgRestart(), {"force": True}, cluster())
