"""cnpg_pitr: a new Cluster from the archive of the old one, and never over anything."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Create, NotPossible
from remediator.actions.databases.cnpg_pitr import CnpgPitr, CnpgPitrParams
from remediator.actions.diff import diff_lines
from remediator.actions.view import Get
from remediator.objects import ObjectRef
from tests.actions.databases.make import cluster, planned
from tests.actions.make import NS, deployment, view

KIND = "Cluster.postgresql.cnpg.io"
PLUGIN = "barman-cloud.cloudnative-pg.io"
BY_PLUGIN = {"plugins": [{"name": PLUGIN, "isWALArchiver": True, "parameters": {"barmanObjectName": "store"}}]}
BY_STORE = {
    "backup": {
        "barmanObjectStore": {
            "destinationPath": "s3://backups/db",
            "s3Credentials": {"accessKeyId": {"name": "backup-creds", "key": "ACCESS_KEY_ID"}},
            "wal": {"compression": "gzip", "maxParallel": 8},
        },
        "retentionPolicy": "30d",
    }
}
STORE = {"status": {"serverRecoveryWindow": {"db": {"firstRecoverabilityPoint": "2025-05-20T00:00:00Z"}}}}
PARAMS = {"new_name": "db-restored", "target_time": "2025-05-31T10:00:00Z", "instances": 2, "size": "20Gi"}


def restore(obj: Any = None, **changes: Any) -> Any:
    found = {name: changes.pop(name, default) for name, default in FOUND.items()}
    return planned(CnpgPitr(), {**PARAMS, **changes}, obj or cluster(spec=BY_PLUGIN), **found)


FOUND: dict[str, Any] = {"cluster": None, "pooler": None, "store": STORE}


def test_a_new_cluster_from_the_plugins_archive():
    spec = {
        **BY_PLUGIN,
        "walStorage": {"size": "5Gi"},
        "backup": {"retentionPolicy": "30d"},
        "superuserSecret": {"name": "s"},
    }
    change = restore(cluster(spec=spec))
    assert change.effects == (
        Create(
            ref=ObjectRef(KIND, NS, "db-restored"),
            body={
                "spec": {
                    "imageName": "ghcr.io/cloudnative-pg/postgresql:17.2",
                    "walStorage": {"size": "5Gi"},
                    "instances": 2,
                    "storage": {"size": "20Gi", "storageClass": "fast"},
                    "postgresql": {"parameters": {"max_connections": "200"}},
                    "bootstrap": {
                        "recovery": {
                            "source": "db",
                            "recoveryTarget": {"targetTime": "2025-05-31T10:00:00Z"},
                            "database": "shop",
                            "owner": "shop",
                        }
                    },
                    "externalClusters": [
                        {
                            "name": "db",
                            "plugin": {"name": PLUGIN, "parameters": {"barmanObjectName": "store", "serverName": "db"}},
                        }
                    ],
                }
            },
        ),
    )
    assert change.summary == "new Cluster db-restored from the backups of db as of 2025-05-31T10:00:00Z, 2 x 20Gi"
    assert "costs 2 volumes" in change.needs_approval
    assert CnpgPitr.changes_data
    assert not change.effects[0].undoable
    assert len(diff_lines(change)) == 1


def test_the_archive_inside_the_operator():
    """Secrets are named, and nothing that would make the new Cluster write into the old one's archive."""
    spec = restore(cluster(spec=BY_STORE)).effects[0].body["spec"]
    assert spec["externalClusters"] == [
        {
            "name": "db",
            "barmanObjectStore": {
                "destinationPath": "s3://backups/db",
                "s3Credentials": {"accessKeyId": {"name": "backup-creds", "key": "ACCESS_KEY_ID"}},
                "wal": {"compression": "gzip"},
                "serverName": "db",
            },
        }
    ]
    assert "backup" not in spec
    assert "plugins" not in spec


def test_a_server_of_another_name():
    parameters = {"barmanObjectName": "store", "serverName": "db-v2"}
    obj = cluster(spec={"plugins": [{"name": PLUGIN, "parameters": parameters}]})
    window = {"status": {"serverRecoveryWindow": {"db-v2": {"firstRecoverabilityPoint": "2025-05-30T00:00:00Z"}}}}
    made = restore(obj, store=window).effects[0].body["spec"]["externalClusters"][0]
    assert made["plugin"]["parameters"] == parameters
    with pytest.raises(NotPossible, match="reach back to 2025-05-30T00:00:00Z only"):
        restore(obj, store=window, target_time="2025-05-29T23:59:59Z")


def test_commits_do_not_wait_for_standbys_that_are_not_there():
    postgresql = {"parameters": {"x": "1"}, "synchronous": {"number": 2}, "syncReplicaElectionConstraint": {}}
    spec = restore(cluster(spec={**BY_PLUGIN, "postgresql": postgresql})).effects[0].body["spec"]
    assert spec["postgresql"] == {"parameters": {"x": "1"}}


def test_how_far_back_is_not_always_on_record():
    note = "how far the backups reach back is not on record"
    assert note not in restore().notes
    assert note in restore(store={}).notes
    assert note in restore(cluster(spec=BY_STORE)).notes
    known = {"firstRecoverabilityPoint": "2025-05-01T00:00:00Z"}
    assert note not in restore(cluster(spec=BY_STORE, status=known)).notes


def test_what_it_wants_to_know():
    params = CnpgPitrParams.model_validate(PARAMS)
    assert CnpgPitr().wants(params, view(cluster(spec=BY_PLUGIN))) == {
        "cluster": Get(ObjectRef(KIND, NS, "db-restored")),
        "pooler": Get(ObjectRef("Pooler.postgresql.cnpg.io", NS, "db-restored")),
        "store": Get(ObjectRef("ObjectStore.barmancloud.cnpg.io", NS, "store")),
    }
    assert "store" not in CnpgPitr().wants(params, view(cluster(spec=BY_STORE)))


@pytest.mark.parametrize(
    ("obj", "changes", "reason"),
    [
        pytest.param(None, {"new_name": "db"}, "never goes over the old one", id="the old name"),
        pytest.param(None, {"cluster": cluster()}, "Cluster shop/db-restored exists already", id="name taken"),
        pytest.param(None, {"pooler": {"kind": "Pooler"}}, "Pooler shop/db-restored exists", id="a pooler's name"),
        pytest.param(None, {"target_time": "2025-06-01T12:00:00Z"}, "is not in the past", id="now"),
        pytest.param(None, {"target_time": "2025-06-01T13:30:00+01:00"}, "is not in the past", id="by its zone"),
        pytest.param(None, {"target_time": "2025-05-19T23:59:59Z"}, "reach back to 2025-05-20", id="before backups"),
        pytest.param(None, {"size": "19Gi"}, "size 19Gi is less than the 20Gi", id="too small"),
        pytest.param(None, {"size": "900Mi"}, "is less than", id="another unit"),
        pytest.param(None, {"store": None}, "ObjectStore store of Cluster shop/db does not exist", id="no store"),
        pytest.param(cluster(), {}, "archives nowhere", id="no archive"),
        pytest.param(
            cluster(spec={"plugins": [{"name": PLUGIN, "enabled": False, "parameters": {"barmanObjectName": "s"}}]}),
            {},
            "archives nowhere",
            id="plugin switched off",
        ),
        pytest.param(cluster(spec={**BY_PLUGIN, "storage": {"size": "a lot"}}), {}, "is no size", id="no size"),
        pytest.param(deployment(), {}, "is no Cluster", id="another kind"),
    ],
)
def test_refused(obj, changes, reason):
    with pytest.raises(NotPossible) as refused:
        restore(obj, **changes)
    assert reason in refused.value.reason
    assert not refused.value.hold


def test_a_cluster_that_is_broken_can_be_restored_beside():
    broken = cluster(spec=BY_PLUGIN, phase="Cluster is unrecoverable and needs manual intervention", ready=0)
    assert restore(broken).effects
    assert restore({**broken, "status": {}}).effects


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        pytest.param("2024-12-04T10:00:00Z", "2024-12-04T10:00:00Z", id="UTC"),
        pytest.param("2024-12-04T12:00:00+02:00", "2024-12-04T10:00:00Z", id="another zone"),
        pytest.param("2024-12-04 10:00:00+00:00", "2024-12-04T10:00:00Z", id="with a space"),
    ],
)
def test_one_spelling_of_the_time(given, sent):
    assert CnpgPitrParams(**{**PARAMS, "target_time": given}).target_time == sent


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"target_time": "2024-12-04T10:00:00"}, id="no zone"),
        pytest.param({"target_time": "yesterday"}, id="no time"),
        pytest.param({"new_name": "DB"}, id="upper case"),
        pytest.param({"new_name": "a" * 51}, id="too long"),
        pytest.param({"new_name": "db/../x"}, id="hostile"),
        pytest.param({"size": "20"}, id="no unit"),
        pytest.param({"size": "0Gi"}, id="no size"),
        pytest.param({"instances": 6}, id="too many"),
    ],
)
def test_bad_params(wrong):
    with pytest.raises(ValidationError):
        CnpgPitrParams(**{**PARAMS, **wrong})
