"""suspend_cronjob, resume_cronjob, rerun_cronjob and restart_job: runs, and their timetable."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.change import GENERATED_ID, Create, FieldChange, NotPossible, Patch, Remove
from remediator.actions.diff import diff_lines
from remediator.actions.view import ListOf
from remediator.actions.workloads.cronjobs import NoParams, RerunCronJob, ResumeCronJob, SuspendCronJob
from remediator.actions.workloads.job_objects import job_name
from remediator.actions.workloads.restart_job import RestartJob, RestartJobParams
from remediator.objects import ObjectRef
from remediator.ports import MADE_BY
from tests.actions.make import NS, view
from tests.actions.workloads.things import cronjob, job, owned_by

OURS = [{"manager": "remediator", "operation": "Update", "fieldsV1": {"f:spec": {"f:suspend": {}}}}]


def timetable(action: Any, obj: Any) -> Any:
    return action.plan(NoParams(), view(obj))


def rerun(obj: Any, *jobs: Any) -> Any:
    return RerunCronJob().plan(NoParams(), view(obj, found={"jobs": jobs}))


def test_suspending_and_resuming():
    change = timetable(SuspendCronJob(), cronjob(active=2))
    assert change.effects[0].changes == (FieldChange(("spec", "suspend"), False, True),)
    assert change.effects[0].undoable
    assert change.notes[1] == "2 runs under way go on"
    back = timetable(ResumeCronJob(), cronjob(suspend=True, metadata={"managedFields": OURS}))
    assert back.effects[0].changes == (FieldChange(("spec", "suspend"), True, False),)
    assert back.needs_approval == ""
    assert "begin at once" in back.notes[0]


def test_what_others_suspended_needs_a_person():
    change = timetable(ResumeCronJob(), cronjob(suspend=True))
    assert change.needs_approval == "somebody suspended it, not the remediator"


@pytest.mark.parametrize(
    ("action", "obj", "reason"),
    [
        (SuspendCronJob(), cronjob(suspend=True), "is suspended already"),
        (ResumeCronJob(), cronjob(), "is not suspended"),
        (SuspendCronJob(), cronjob(metadata={"ownerReferences": owned_by("Backup")}), "Backup x makes CronJob"),
        (SuspendCronJob(), cronjob(metadata={"deletionTimestamp": "x"}), "is being deleted"),
    ],
    ids=["suspended", "not suspended", "owned", "leaving"],
)
def test_a_timetable_that_stays(action, obj, reason):
    with pytest.raises(NotPossible, match=reason):
        action.plan(NoParams(), view(obj))


# --- a run now --------------------------------------------------------------------------------------------------------


def test_a_run_is_created_suspended_and_then_started():
    change = rerun(cronjob(job_labels={"app": "import", "remediator.dev/x": "y"}))
    create, start = change.effects
    assert isinstance(create, Create)
    assert create.ref == ObjectRef("Job", NS, f"nightly-{GENERATED_ID}")
    assert not create.undoable
    assert create.body["metadata"] == {
        "labels": {"app": "import"},
        "annotations": {"team": "data", "cronjob.kubernetes.io/instantiate": "manual"},
        "ownerReferences": [
            {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "name": "nightly",
                "uid": "uid-cronjob-nightly",
                "controller": True,
            }
        ],
    }
    spec = create.body["spec"]
    assert spec["suspend"] is True
    assert spec["backoffLimit"] == 3
    assert "ttlSecondsAfterFinished" not in spec
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert isinstance(start, Patch)
    assert start.made_here
    assert start.ref == create.ref
    assert start.changes == (FieldChange(("spec", "suspend"), True, False),)
    assert diff_lines(change)[0].startswith("create Job shop/nightly-")


def test_it_asks_for_the_jobs():
    assert RerunCronJob().wants(NoParams(), view(cronjob())) == {"jobs": ListOf(kind="Job", namespace=NS)}


def test_a_run_beside_another():
    """The API server lets it in, whatever concurrencyPolicy says."""
    mine = {"ownerReferences": owned_by("CronJob", "nightly")}
    others = {"ownerReferences": owned_by("CronJob", "weekly")}
    with pytest.raises(NotPossible, match=r"is running \(nightly-1\), and its concurrencyPolicy is Forbid") as refused:
        rerun(cronjob(), job("nightly-1", metadata=mine))
    assert refused.value.hold
    allowed = rerun(cronjob(spec={"concurrencyPolicy": "Allow"}), job("nightly-1", metadata=mine))
    assert allowed.notes[0] == "runs beside nightly-1"
    assert rerun(cronjob(), job("nightly-1", state="Failed", metadata=mine), job("w", metadata=others)).effects


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        pytest.param(cronjob(job_spec={"suspend": True}), "makes suspended Jobs", id="started elsewhere"),
        pytest.param(cronjob(job_spec={"managedBy": "kueue.x-k8s.io/multikueue"}), "is managed by kueue", id="managed"),
        pytest.param(cronjob(job_labels={"kueue.x-k8s.io/queue-name": "q"}), "waits in a queue", id="queued"),
        pytest.param(cronjob(job_spec={"manualSelector": True}), "manualSelector", id="selects itself"),
    ],
)
def test_no_run(obj, reason):
    with pytest.raises(NotPossible, match=reason):
        rerun(obj)


def test_a_suspended_timetable_can_be_run_once():
    assert "its timetable is suspended, and stays so" in rerun(cronjob(suspend=True)).notes


def test_names_fit():
    assert len(job_name("a" * 253).replace(GENERATED_ID, "0" * 10)) == 63
    assert job_name("a" * 51 + "-b") == f"{'a' * 51}-{GENERATED_ID}"


# --- restart_job ------------------------------------------------------------------------------------------------------


def restart(obj: Any) -> Any:
    return RestartJob().plan(RestartJobParams(), view(obj))


def test_a_failed_job_is_copied_and_then_deleted():
    change = restart(job(state="Failed", metadata={"annotations": {"team": "data", "remediator.dev/effect": "e"}}))
    create, start, remove = change.effects
    assert isinstance(create, Create)
    assert create.ref.name == f"import-{GENERATED_ID}"
    assert create.body["metadata"] == {"labels": {"app": "import"}, "annotations": {"team": "data"}}
    spec = create.body["spec"]
    assert spec["suspend"] is True
    assert "selector" not in spec
    assert spec["template"]["metadata"] == {"labels": {"app": "import"}}
    assert isinstance(start, Patch)
    assert start.made_here
    assert isinstance(remove, Remove)
    assert (remove.ref.name, remove.uid, remove.propagation) == ("import", "uid-job-import", "Background")
    assert change.needs_approval == ""
    assert RestartJob.changes_data


def test_a_hanging_one_stops_first_and_needs_a_person():
    change = restart(job(active=2))
    stop = change.effects[0]
    assert stop.changes == (FieldChange(("spec", "suspend"), False, True),)
    assert stop.undoable
    assert [effect.kind for effect in change.effects] == ["patch", "create", "patch", "remove"]
    assert change.needs_approval == "2 pods may work on for 30 s, beside the new ones"


def test_names_do_not_grow_with_each_restart():
    again = job("import-0123456789", state="Failed", metadata={"labels": {MADE_BY: "r1"}})
    assert restart(again).effects[0].ref.name == f"import-{GENERATED_ID}"
    assert MADE_BY not in restart(again).effects[0].body["metadata"]["labels"]
    other = job("import-0123456789", state="Failed")
    assert restart(other).effects[0].ref.name == f"import-0123456789-{GENERATED_ID}"


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        pytest.param(job(metadata={"ownerReferences": owned_by("CronJob", "nightly")}), "rerun_cronjob", id="CronJob"),
        pytest.param(job(metadata={"ownerReferences": owned_by("Workflow")}), "restart it there", id="an operator's"),
        pytest.param(job(state="Complete"), "is complete", id="complete"),
        pytest.param(job(spec={"suspend": True}), "is suspended", id="suspended"),
        pytest.param(job(spec={"manualSelector": True}), "manualSelector", id="selects itself"),
        pytest.param(job(metadata={"deletionTimestamp": "x"}), "is being deleted", id="leaving"),
        pytest.param(
            job(metadata={"annotations": {"meta.helm.sh/release-name": "shop"}}), "would run twice", id="by Helm"
        ),
    ],
)
def test_a_job_that_is_not_restarted(obj, reason):
    with pytest.raises(NotPossible, match=reason):
        restart(obj)
