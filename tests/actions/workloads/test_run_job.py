"""run_job: a reviewed template, a few allowed variables, and no way for anything else to get in."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_ID, Create, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.view import Get, ListOf
from remediator.actions.workloads.run_job import RunJob, RunJobParams
from remediator.objects import ObjectRef
from tests.actions.make import NS, deployment, view
from tests.actions.workloads.things import cronjob, job, namespace

REVIEWED = {"remediator.dev/job-template": "true", "remediator.dev/job-env": "TARGET, DEPTH"}
ENV = [{"name": "TARGET", "value": "none"}, {"name": "DEPTH", "value": "1"}, {"name": "OTHER", "value": "x"}]

CHECK = RunJobParams(template="check", timeout=timedelta(minutes=1))


def template(**extra: Any) -> dict[str, Any]:
    given = {"suspend": True, "annotations": REVIEWED, "container": {"env": ENV, "command": ["/bin/check"]}}
    return cronjob("check", **{**given, **extra})


def plan(found: Any = None, jobs: Any = (), target: Any = None, **given: Any) -> Any:
    params = RunJobParams(**{"template": "check", "timeout": "10m", **given})
    params = RunJobParams.model_validate(params.model_dump(mode="json"))
    seen = view(target or deployment(), found={"template": template() if found is None else found, "jobs": jobs})
    return RunJob().plan(params, seen)


def env_of(change: Any) -> dict[str, str]:
    create = change.effects[0]
    assert isinstance(create, Create)
    (container,) = create.body["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"]}


@pytest.mark.parametrize("target", [deployment(), namespace()], ids=["a Deployment", "a Namespace"])
def test_it_asks_in_the_targets_namespace(target):
    wanted = RunJob().wants(CHECK, view(target))
    assert wanted == {
        "template": Get(ObjectRef("CronJob", NS, "check")),
        "jobs": ListOf(kind="Job", namespace=NS, labels="remediator.dev/job-template=check"),
    }


@pytest.mark.parametrize("target", [deployment(), namespace()], ids=["a Deployment", "a Namespace"])
def test_a_job_that_runs_once_and_ends(target):
    change = plan(target=target)
    create, start = change.effects
    assert create.ref == ObjectRef("Job", NS, f"check-{GENERATED_ID}")
    spec = create.body["spec"]
    assert (spec["suspend"], spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (True, 0, 600)
    assert "ttlSecondsAfterFinished" not in spec
    assert create.body["metadata"]["labels"] == {"app": "import", "remediator.dev/job-template": "check"}
    assert "ownerReferences" not in create.body["metadata"]
    assert start.made_here
    assert start.changes[0].after is False
    assert change.summary == "run check for at most 10m"
    assert diff_lines(change)[0].startswith("create Job shop/check-")
    assert (RunJob.changes_data, RunJob.disruptive) == (True, True)


def test_only_the_variables_that_it_may_set():
    change = plan(env={"TARGET": "db-0", "DEPTH": 3})
    assert env_of(change) == {"TARGET": "db-0", "DEPTH": "3", "OTHER": "x"}
    assert change.summary == "run check for at most 10m, DEPTH=3, TARGET=db-0"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        pytest.param("$(PASSWORD)", "$$(PASSWORD)", id="another variable"),
        pytest.param("$$(PASSWORD)", "$$$$(PASSWORD)", id="an escape of its own"),
        pytest.param("; rm -rf / #", "; rm -rf / #", id="shell words stay words"),
        pytest.param("`id` $(id)", "`id` $$(id)", id="a command"),
    ],
)
def test_a_value_is_never_more_than_a_value(value, sent):
    assert env_of(plan(env={"TARGET": value}))["TARGET"] == sent


def test_the_template_itself_is_not_touched():
    found = template()
    before = json.dumps(found)
    plan(found, env={"TARGET": "db-0"})
    assert json.dumps(found) == before


def test_an_image_by_tag_is_told():
    notes = plan(template(container={"image": "shop/check:1"})).notes
    assert notes[1] == "not bound to a digest, so it may have changed since the review: shop/check:1"
    assert len(plan().notes) == 1


@pytest.mark.parametrize(
    ("found", "given", "reason"),
    [
        pytest.param(template(annotations={}), {}, "is no template", id="not reviewed"),
        pytest.param(template(suspend=False), {}, "runs by its own timetable", id="not suspended"),
        pytest.param(
            template(metadata={"deletionTimestamp": "x", "annotations": REVIEWED}), {}, "deleted", id="leaving"
        ),
        pytest.param(template(pod_spec={"restartPolicy": "OnFailure"}), {}, "restartPolicy: Never", id="restarts"),
        pytest.param(template(job_labels={"kueue.x-k8s.io/queue-name": "q"}), {}, "queue", id="queued"),
        pytest.param(None, {"env": {"OTHER": "y"}}, "allows: DEPTH, TARGET", id="not allowed"),
        pytest.param(
            template(annotations={"remediator.dev/job-template": "true"}),
            {"env": {"TARGET": "y"}},
            "allows: none",
            id="none allowed",
        ),
        pytest.param(
            template(container={"env": []}), {"env": {"TARGET": "y"}}, "no plain environment", id="undeclared"
        ),
        pytest.param(
            template(container={"env": [{"name": "TARGET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
            {"env": {"TARGET": "y"}},
            "no plain environment variable TARGET",
            id="a secret one",
        ),
        pytest.param(
            template(container={"env": ENV, "command": ["sh", "-c"], "args": ["check $(TARGET)"]}),
            {"env": {"TARGET": "y"}},
            "could become a command",
            id="in a shell",
        ),
        pytest.param(
            template(container={"env": [*ENV, {"name": "LINE", "value": "x $(TARGET)"}]}),
            {"env": {"TARGET": "y"}},
            "could become a command",
            id="in another variable",
        ),
    ],
)
def test_it_refuses(found, given, reason):
    with pytest.raises(NotPossible) as refused:
        plan(found, **given)
    assert reason in refused.value.reason


def test_a_template_that_is_not_there():
    seen = view(deployment(), found={"template": None, "jobs": ()})
    with pytest.raises(NotPossible, match="there is no CronJob check in shop"):
        RunJob().plan(CHECK, seen)
    with pytest.raises(NotPossible, match="CANNOT SEE: template"):
        RunJob().plan(CHECK, view(deployment()))


def test_one_run_at_a_time():
    with pytest.raises(NotPossible, match=r"is running already \(check-1\)") as refused:
        plan(jobs=(job("check-1"), job("check-0", state="Failed")))
    assert refused.value.hold
    assert plan(jobs=(job("check-0", state="Complete"),)).effects


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"timeout": "2d"}, "is not within 10s and 24h", id="too long"),
        pytest.param({"timeout": None}, "expected a duration", id="no timeout"),
        pytest.param({"template": "../x"}, "pattern", id="a hostile name"),
        pytest.param({"template": "a,b=c"}, "pattern", id="a selector"),
        pytest.param({"env": {"A=B": "x"}}, "no name of an environment variable", id="a hostile variable"),
        pytest.param({"env": {"TARGET": "a\nb"}}, "line breaks", id="a line break"),
        pytest.param({"env": {"TARGET": "a" * 1025}}, "1024", id="too long a value"),
        pytest.param({"env": {f"V{n}": "x" for n in range(21)}}, "20", id="too many"),
        pytest.param({"image": "evil"}, "Extra inputs", id="an image"),
        pytest.param({"args": ["x"]}, "Extra inputs", id="arguments"),
    ],
)
def test_bad_parameters(given, message):
    with pytest.raises(ValidationError, match=message):
        RunJobParams(**{"template": "check", "timeout": "10m", **given})
