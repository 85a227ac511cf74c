"""cnpg_backup: a Backup of its own name, by a method that is set up."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_ID, Create, NotPossible
from remediator.actions.databases.cnpg_backup import CnpgBackup, CnpgBackupParams
from remediator.actions.diff import diff_lines
from remediator.objects import ObjectRef
from tests.actions.databases.make import cluster, planned
from tests.actions.make import NS, deployment

PLUGIN = "barman-cloud.cloudnative-pg.io"
USES_PLUGIN = {"plugins": [{"name": PLUGIN, "isWALArchiver": True, "parameters": {"barmanObjectName": "store"}}]}
STORE = {"backup": {"barmanObjectStore": {"destinationPath": "s3://backups/db"}}}
SNAPSHOT = {"backup": {"volumeSnapshot": {"className": "csi"}}}
COLD = {"backup": {"volumeSnapshot": {"className": "csi", "online": False}}}


def backup(spec: Any = None, obj: Any = None, backups: Any = (), **params: Any) -> Any:
    target = obj or cluster(spec=USES_PLUGIN if spec is None else spec)
    return planned(CnpgBackup(), params, target, backups=backups)


def another(phase: str, of: str = "db") -> dict[str, Any]:
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Backup",
        "metadata": {"name": "nightly-1", "namespace": NS, "uid": "u"},
        "spec": {"cluster": {"name": of}},
        **({"status": {"phase": phase}} if phase else {}),
    }


@pytest.mark.parametrize(
    ("spec", "params", "sent"),
    [
        pytest.param(
            USES_PLUGIN,
            {},
            {"method": "plugin", "target": "prefer-standby", "pluginConfiguration": {"name": PLUGIN}},
            id="plugin",
        ),
        pytest.param(
            STORE,
            {"method": "barmanObjectStore"},
            {"method": "barmanObjectStore", "target": "prefer-standby"},
            id="store",
        ),
        pytest.param(
            SNAPSHOT,
            {"method": "volumeSnapshot", "target": "primary"},
            {"method": "volumeSnapshot", "target": "primary"},
            id="snapshot",
        ),
    ],
)
def test_one_backup(spec, params, sent):
    change = backup(spec, **params)
    name = f"db-{GENERATED_ID}"
    ref = ObjectRef("Backup.postgresql.cnpg.io", NS, name)
    assert change.effects == (Create(ref=ref, body={"spec": {"cluster": {"name": "db"}, **sent}}),)
    assert (change.takes, change.reduces_capacity, change.needs_approval) == (0, False, "")
    assert not change.effects[0].undoable  # an undo is the moment in which it is needed
    assert len(diff_lines(change)) == 1


def test_what_is_deprecated_is_noted():
    assert any("deprecated" in note for note in backup(STORE, method="barmanObjectStore").notes)
    assert not any("deprecated" in note for note in backup().notes)


def test_a_long_name_leaves_room():
    obj = cluster(spec=USES_PLUGIN, metadata={"name": "a" * 51 + "-b"})
    name = backup(obj=obj).effects[0].ref.name
    assert name == "a" * 51 + f"-{GENERATED_ID}"
    assert len(name.replace(GENERATED_ID, "0123456789")) <= 63


@pytest.mark.parametrize(
    ("spec", "ready", "params", "why"),
    [
        pytest.param(COLD, 3, {}, "stops a standby", id="from a standby"),
        pytest.param(COLD, 3, {"target": "primary"}, "stops the primary", id="from the primary"),
        pytest.param(COLD, 1, {}, "stops the primary", id="there is no standby"),
        pytest.param(SNAPSHOT, 3, {"target": "primary"}, "", id="online"),
    ],
)
def test_a_cold_snapshot_stops_an_instance(spec, ready, params, why):
    change = backup(obj=cluster(spec=spec, ready=ready), method="volumeSnapshot", **params)
    assert why in change.needs_approval
    assert change.takes == (1 if why else 0)


@pytest.mark.parametrize(
    ("obj", "params", "backups", "reason", "hold"),
    [
        pytest.param(cluster(), {}, (), "does not use the plugin", False, id="no plugin"),
        pytest.param(
            cluster(spec={"plugins": [{"name": PLUGIN, "enabled": False}]}),
            {},
            (),
            "does not use the plugin",
            False,
            id="plugin switched off",
        ),
        pytest.param(
            cluster(spec=USES_PLUGIN), {"plugin": "other.io"}, (), "the plugin other.io", False, id="another plugin"
        ),
        pytest.param(
            cluster(spec=USES_PLUGIN),
            {"method": "volumeSnapshot"},
            (),
            "no spec.backup.volume",
            False,
            id="none",
        ),
        pytest.param(cluster(spec=USES_PLUGIN), {}, (another("running"),), "over yet (phase running)", True, id="run"),
        pytest.param(cluster(spec=USES_PLUGIN), {}, (another(""),), "not over yet (phase new)", True, id="just made"),
        pytest.param(
            cluster(spec=USES_PLUGIN), {}, (another("walArchivingFailing"),), "not over yet", True, id="waits for WAL"
        ),
        pytest.param(
            cluster(spec=USES_PLUGIN, conditions=({"type": "ContinuousArchiving", "status": "False"},)),
            {},
            (),
            "mend the archive first",
            False,
            id="archiving fails",
        ),
        pytest.param(
            cluster(spec=USES_PLUGIN, phase="Failing over"), {}, (), "in phase Failing over", True, id="fails over"
        ),
        pytest.param(deployment(), {}, (), "is no Cluster", False, id="another kind"),
    ],
)
def test_refused(obj, params, backups, reason, hold):
    with pytest.raises(NotPossible) as refused:
        backup(obj=obj, backups=backups, **params)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(another("completed"), id="completed"),
        pytest.param(another("failed"), id="failed"),
        pytest.param(another("running", of="other"), id="of another Cluster"),
    ],
)
def test_other_backups_do_not_matter(other):
    assert backup(backups=(other,)).effects


@pytest.mark.parametrize(
    "params", [{"method": "pg_dump"}, {"target": "any"}, {"plugin": "no way"}], ids=["method", "target", "plugin"]
)
def test_bad_params(params):
    with pytest.raises(ValidationError):
        CnpgBackupParams(**params)
