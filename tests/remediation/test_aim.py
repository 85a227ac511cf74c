"""What a playbook acts on where an alert, or a person, names a pod that an operator's object controls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from remediator.actions.registry import load_actions
from remediator.alerts.alert import Alert
from remediator.alerts.labels import LabelRules
from remediator.errors import CannotSee, Forbidden
from remediator.objects import ObjectRef, ref_of
from remediator.playbooks.model import LoadedPlaybook
from remediator.remediation.aim import NO_WISH, Aim, Aiming, Start
from remediator.remediation.scopes import Scopes
from remediator.remediation.targeting import TargetUnclear
from tests.alerts.reading_cluster import ReadingCluster, made
from tests.support.world import load, restart_playbook

NOW = datetime(2025, 6, 1, tzinfo=UTC)
DB = made("Cluster", "db")
DB_POD = made("Pod", "db-1", owner=DB)
API = made("Deployment", "api")
API_SET = made("ReplicaSet", "api-7d9", owner=API)
API_POD = made("Pod", "api-7d9-x", owner=API_SET)

BACKUP: dict[str, Any] = {"action": "cnpg_backup"}
RESTART: dict[str, Any] = {"action": "rollout_restart"}
ELSEWHERE: dict[str, Any] = {**RESTART, "target": {"kind": "Deployment", "namespace": "shop", "name": "api"}}


def playbook(*steps: dict[str, Any], **changes: Any) -> LoadedPlaybook:
    return load(restart_playbook(target="from_alert", steps=list(steps), **changes))


async def aim(loaded: LoadedPlaybook, pod: str, *, cluster: ReadingCluster, start: Start = NO_WISH) -> Aim:
    alert = Alert(
        fingerprint="0123456789abcdef",
        status="firing",
        labels={"namespace": "shop", "pod": pod},
        starts_at=NOW,
        cluster="test",
    )
    aiming = Aiming({"test": cluster}, LabelRules(), Scopes({}), actions=load_actions())
    return await aiming.aim(loaded, None if start is not NO_WISH else alert, NOW, start)


@pytest.fixture
def cluster() -> ReadingCluster:
    return ReadingCluster(DB, DB_POD, API, API_SET, API_POD)


@pytest.mark.parametrize(
    ("loaded", "pod", "target"),
    [
        pytest.param(playbook(BACKUP), "db-1", DB, id="the cluster, whose steps they are"),
        pytest.param(playbook({"wait": "5s"}, BACKUP), "db-1", DB, id="beside steps that act on nothing"),
        pytest.param(playbook(BACKUP, ELSEWHERE), "db-1", DB, id="beside a step with a target of its own"),
        pytest.param(playbook(RESTART), "db-1", DB_POD, id="steps that cannot act on the cluster either"),
        pytest.param(playbook(BACKUP, RESTART), "db-1", DB_POD, id="only one of them can"),
        pytest.param(playbook(ELSEWHERE), "db-1", DB_POD, id="nothing acts on it"),
        pytest.param(playbook(BACKUP), "api-7d9-x", API, id="a workload's pod is the workload's"),
        pytest.param(playbook(RESTART), "api-7d9-x", API, id="as ever"),
    ],
)
async def test_the_steps_decide_between_a_pod_and_what_controls_it(
    cluster: ReadingCluster, loaded: LoadedPlaybook, pod: str, target: Any
) -> None:
    """Locks and episodes are the controller's in any case."""
    found = await aim(loaded, pod, cluster=cluster)
    assert found.ref == ref_of(target)
    assert found.root == ref_of(API if pod.startswith("api") else DB)
    assert found.alert_pod == pod
    assert 'pod="' in found.because


async def test_the_same_for_a_pod_that_a_person_names(cluster: ReadingCluster) -> None:
    start = Start(target=ObjectRef("Pod", "shop", "db-1"))
    found = await aim(playbook(BACKUP, manual=True), "", cluster=cluster, start=start)
    assert (found.ref, found.root) == (ref_of(DB), ref_of(DB))


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        pytest.param((DB_POD,), "is controlled by Cluster shop/db, which is gone", id="gone"),
        pytest.param((DB_POD, made("Cluster", "db", uid="another")), "belongs to an older Cluster shop/db", id="older"),
    ],
)
async def test_another_cluster_under_its_name_is_not_meant(objects: Any, message: str) -> None:
    with pytest.raises(TargetUnclear, match=message):
        await aim(playbook(BACKUP), "db-1", cluster=ReadingCluster(*objects))


@pytest.mark.parametrize("failure", [CannotSee("timed out"), Forbidden("clusters is forbidden")])
async def test_what_cannot_be_seen_holds(cluster: ReadingCluster, failure: Any) -> None:
    cluster.failures["get Cluster"] = failure
    with pytest.raises(type(failure)):
        await aim(playbook(BACKUP), "db-1", cluster=cluster)
    assert (await aim(playbook(RESTART), "db-1", cluster=cluster)).ref == ref_of(DB_POD)
