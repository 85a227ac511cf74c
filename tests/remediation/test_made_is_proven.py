"""What a remediation makes is what it is judged by, through the real runner: `created` and `job_succeeded`."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.adapters.simulated import SimulatedCluster
from remediator.kinds import KINDS
from remediator.objects import Object, ObjectRef, ref_of
from remediator.ports import MADE_BY
from remediator.remediation.state import State, StepOutcome
from tests.support.world import World, deployment, restart_playbook

BACKUP = "Backup.velero.io"
LOCATION = "BackupStorageLocation.velero.io"
NOW = "2025-06-02T10:00:00Z"
VERIFY = {"settle": "5s", "interval": "5s", "successes": 2, "failures": 2, "timeout": "5m"}


def template(command: str = "ok") -> dict[str, Any]:
    """A CronJob that people have made as a template for Jobs."""
    meta = {"name": "warm-up", "namespace": "shop", "annotations": {"remediator.dev/job-template": "true"}}
    container = {"name": "main", "image": "shop/tools:1", "command": [command]}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {"spec": {"backoffLimit": 0, "template": pod}}
    spec = {"suspend": True, "schedule": "0 0 1 1 *", "jobTemplate": job}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec}


def ready(playbook: dict[str, Any]) -> World:
    world = World(playbook)
    world.cluster.apply(deployment(), template())
    world.settle()
    world.cluster.advance(60)
    return world


def jobs(cluster: SimulatedCluster) -> list[Object]:
    return [j for j in cluster.all("Job") if MADE_BY in j["metadata"].get("labels", {})]


JOB = restart_playbook(
    steps=[{"action": "run_job", "with": {"template": "warm-up", "timeout": "5m"}}],
    verify={**VERIFY, "checks": [{"job_succeeded": {}}]},
)


@pytest.mark.parametrize(
    ("ended", "state", "outcome"),
    [
        pytest.param("Complete", State.SUCCEEDED, StepOutcome.NONE, id="complete"),
        pytest.param("Failed", State.ESCALATED, StepOutcome.FAILED, id="failed"),
    ],
)
async def test_a_job(ended: str, state: State, outcome: StepOutcome) -> None:
    world = ready(JOB)
    await world.alert()
    await world.run_until("verifying")
    (job,) = jobs(world.cluster)
    world.cluster.replace_status(ref_of(job), {"conditions": [{"type": ended, "status": "True", "reason": "Told"}]})
    done = await world.run_until("succeeded", "escalated")
    assert (done.state, done.outcome) == (state, outcome)
    (check,) = done.samples[-1].checks
    assert str(ref_of(job)) in check.detail


async def test_another_job_of_that_name_proves_nothing() -> None:
    world = ready(JOB)
    await world.alert()
    running = await world.run_until("verifying")
    (job,) = jobs(world.cluster)
    world.cluster.edit(ref_of(job), {"metadata": {"labels": {MADE_BY: "another"}}})
    world.cluster.replace_status(ref_of(job), {"conditions": [{"type": "Complete", "status": "True"}]})
    done = await world.run_until("inconclusive", "escalated")
    assert done.id == running.id
    assert done.state is not State.SUCCEEDED


CREATED = restart_playbook(
    params={"wanted": {"type": "string", "default": "Completed"}},
    target={"kind": LOCATION, "namespace": "velero", "name": "default"},
    steps=[{"action": "velero_backup", "with": {"ttl": "720h", "namespaces": ["shop"]}}],
    verify={
        **VERIFY,
        "checks": [
            {
                "created": {
                    "is": "target.object.status.phase == params.wanted",
                    "failed": 'target.object.status.phase in ["Failed", "PartiallyFailed"]',
                }
            }
        ],
    },
)


@pytest.mark.parametrize(
    ("phase", "state"),
    [("Completed", State.SUCCEEDED), ("PartiallyFailed", State.ESCALATED)],
)
async def test_a_backup_by_its_phase_and_a_parameter(phase: str, state: State) -> None:
    world = World(CREATED)
    known = KINDS[LOCATION]
    location = {"spec": {"provider": "aws"}}
    meta = {"name": "default", "namespace": "velero"}
    world.cluster.apply(
        deployment(), {"apiVersion": known.api_version, "kind": known.kind, "metadata": meta, **location}
    )
    where = ObjectRef(LOCATION, "velero", "default")
    world.cluster.replace_status(where, {"phase": "Available", "lastValidationTime": NOW})
    world.settle()
    await world.alert()
    waiting = await world.run_until("verifying", "denied", "held", "escalated", "observed")
    assert waiting.state is State.VERIFYING, (waiting.state, waiting.reason, waiting.verdicts)
    (backup,) = world.cluster.all(BACKUP)
    world.cluster.set_status(ref_of(backup), phase=phase)
    assert (await world.run_until("succeeded", "escalated")).state is state
