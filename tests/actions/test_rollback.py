"""rollback: to which revision, what is replaced, and when a person must agree."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Delete, FieldChange, NotPossible, Patch
from remediator.actions.view import Revision
from remediator.actions.workloads.rollback import Rollback, RollbackParams
from tests.actions.make import (
    controller_revision,
    daemonset,
    deployment,
    hash_of,
    pod,
    replicaset,
    statefulset,
    template,
    view,
)

BAD = deployment(3, image="shop/api:3")


def row(version: str, *, healthy: bool = False, known_bad: bool = False) -> Revision:
    return Revision(
        workload_uid="uid-deployment-api",
        template_hash=hash_of(f"shop/api:{version}"),
        healthy=healthy,
        known_bad=known_bad,
    )


def history(*versions: str) -> tuple[Any, ...]:
    """ReplicaSets 1, 2, ...; `3r` is version 3, restarted."""
    return tuple(
        replicaset(BAD, number, f"shop/api:{version.rstrip('r')}", restarted="x" if version.endswith("r") else "")
        for number, version in enumerate(versions, 1)
    )


def plan(to: Any, seen: Any) -> Any:
    return Rollback().plan(RollbackParams(to=to), seen)


@pytest.mark.parametrize(
    ("to", "versions", "rows", "number", "doubt"),
    [
        pytest.param("last_healthy", "1 2 3", [row("2", healthy=True)], 2, "", id="the newest healthy"),
        pytest.param("last_healthy", "1 2 3", [row("1", healthy=True)], 1, "", id="a healthy one further back"),
        pytest.param(
            "last_healthy", "1 2 3", [row("1", healthy=True), row("2", healthy=True)], 2, "", id="two healthy"
        ),
        pytest.param("last_healthy", "2 1 3", [row("1", healthy=True), row("2", healthy=True)], 2, "", id="by number"),
        pytest.param(
            "last_healthy",
            "1 2 3",
            [row("1", healthy=True), row("2", healthy=True, known_bad=True)],
            1,
            "",
            id="not one that we have rolled back from",
        ),
        pytest.param(
            "last_healthy", "1 2 3 3r", [row("3", healthy=True), row("1", healthy=True)], 1, "", id="not a restart"
        ),
        pytest.param("last_healthy", "1 2 3", [], 2, "never seen healthy", id="no evidence: a person must agree"),
        pytest.param("last_healthy", "1 2 3", [row("2")], 2, "never seen healthy", id="seen, but not for 30 minutes"),
        pytest.param(
            "last_healthy", "1 2 3", [row("2", known_bad=True)], 1, "never seen healthy", id="fallback skips bad"
        ),
        pytest.param("previous", "1 2 3", [row("2", healthy=True)], 2, "", id="previous"),
        pytest.param("previous", "1 3 3r 3r", [row("1", healthy=True)], 1, "", id="previous skips restarts"),
        pytest.param(
            "previous", "1 2 3", [row("1", healthy=True)], 2, "never seen healthy", id="previous, no evidence"
        ),
        pytest.param(
            "previous", "1 2 3", [row("2", known_bad=True)], 2, "rolled back from before", id="previous is bad"
        ),
        pytest.param(1, "1 2 3", [row("1", healthy=True)], 1, "", id="a number"),
        pytest.param(1, "1 2 3", [], 1, "never seen healthy", id="a number, no evidence"),
        pytest.param(2, "1 2 3", [row("2", known_bad=True)], 2, "rolled back from before", id="a number, known bad"),
    ],
)
def test_which_revision(to, versions, rows, number, doubt):
    numbered = versions.split()
    change = plan(to, view(BAD, revisions=history(*numbered), observed=tuple(rows)))
    (effect,) = change.effects
    assert effect.changes[0].after == template(f"shop/api:{numbered[number - 1]}")
    assert f"(revision {number})" in change.summary
    assert doubt in change.needs_approval
    assert bool(change.needs_approval) is bool(doubt)


def test_only_the_template_is_replaced_whole():
    seen = view(BAD, revisions=history("2", "3"), observed=(row("2", healthy=True),))
    change = plan("last_healthy", seen)
    assert change.effects == (
        Patch(
            ref=seen.ref,
            uid="uid-deployment-api",
            changes=(FieldChange(("spec", "template"), template("shop/api:3"), template("shop/api:2")),),
            replace=True,
        ),
    )
    assert change.summary == "image shop/api:3 -> shop/api:2 (revision 1)"
    assert "pod-template-hash" not in str(change.effects)


@pytest.mark.parametrize(
    ("to", "seen", "reason", "hold"),
    [
        pytest.param(
            "previous", view(BAD, revisions=history("3")), "no revision whose template differs", False, id="only one"
        ),
        pytest.param(
            "previous",
            view(BAD, revisions=history("3", "3r")),
            "differs by more than a restart",
            False,
            id="only restarts",
        ),
        pytest.param(
            7, view(BAD, revisions=history("2", "3")), "no revision 7 (there are: 2, 1)", False, id="no such number"
        ),
        pytest.param(
            2, view(BAD, revisions=history("2", "3")), "has the present template", False, id="the present one"
        ),
        pytest.param(
            "last_healthy",
            view(BAD, revisions=history("2", "3"), observed=(row("2", known_bad=True),)),
            "was rolled back from before",
            False,
            id="all others are bad",
        ),
        pytest.param(
            "previous",
            view(deployment(image="shop/api:3", spec={"paused": True}), revisions=history("2", "3")),
            "is paused",
            False,
            id="paused",
        ),
        pytest.param("previous", view(statefulset(strategy={"type": "OnDelete"})), "OnDelete", False, id="OnDelete"),
        pytest.param("previous", view(BAD, unreadable={"revisions": "403"}), "CANNOT SEE: revisions", True, id="blind"),
        pytest.param(
            "last_healthy", view(BAD, unreadable={"observed": "x"}), "CANNOT SEE: observed", True, id="no evidence"
        ),
    ],
)
def test_refusals(to, seen, reason, hold):
    with pytest.raises(NotPossible) as refused:
        plan(to, seen)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_replicasets_of_somebody_else_are_no_history():
    stranger = replicaset(deployment(metadata={"uid": "other"}), 1, "shop/api:1")
    with pytest.raises(NotPossible, match="no revision whose template differs"):
        plan("previous", view(BAD, revisions=(stranger, *history("3"))))


def test_a_revision_number_that_is_no_number_is_skipped():
    odd = replicaset(BAD, 1, "shop/api:1")
    odd["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "x"
    change = plan("previous", view(BAD, revisions=(odd, replicaset(BAD, 2, "shop/api:2"))))
    assert "(revision 2)" in change.summary


def test_a_revision_without_a_template_is_skipped():
    obj = statefulset(3, image="shop/api:2")
    empty = {**controller_revision(obj, 2, "x"), "data": {"spec": {}}}
    assert "(revision 1)" in plan("previous", view(obj, revisions=(controller_revision(obj, 1, "i:1"), empty))).summary


def test_a_rollout_in_progress_may_be_rolled_back():
    rolling = deployment(3, image="shop/api:3", updated=1, total=4, reason="ReplicaSetUpdated")
    assert plan("previous", view(rolling, revisions=history("2", "3"))).effects


def test_same_image_says_what_else_differs():
    obj = deployment(
        spec={"template": template(containers=[{"name": "api", "image": "i:1", "env": [{"name": "A", "value": "2"}]}])}
    )
    old = replicaset(obj, 1, "i:1")
    old["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
    assert plan("previous", view(obj, revisions=(old,))).summary == "same image, env.value 2 -> 1 (revision 1)"


def test_several_containers_are_named():
    two = [{"name": "api", "image": "a:2"}, {"name": "proxy", "image": "p:2"}]
    obj = deployment(spec={"template": template(containers=two)})
    old = replicaset(obj, 1, "x")
    old["spec"]["template"]["spec"]["containers"] = [{"name": "api", "image": "a:1"}, {"name": "proxy", "image": "p:2"}]
    assert plan("previous", view(obj, revisions=(old,))).summary == "api image a:2 -> a:1 (revision 1)"


def test_a_statefulset_goes_back_by_its_controller_revisions():
    obj = statefulset(3, image="shop/api:2")
    seen = view(obj, revisions=(controller_revision(obj, 1, "shop/api:1"), controller_revision(obj, 2, "shop/api:2")))
    (effect,) = plan("previous", seen).effects
    assert effect.changes[0].after == template("shop/api:1")
    assert "$patch" not in str(effect)


def test_a_daemonset_goes_back_by_its_controller_revisions():
    obj = daemonset()
    seen = view(obj, revisions=(controller_revision(obj, 4, "shop/api:0"), controller_revision(obj, 5, "shop/api:1")))
    assert "(revision 4)" in plan("previous", seen).summary


def test_a_statefulset_stuck_on_its_bad_revision_gets_that_pod_deleted():
    """The rollout of the good template itself waits for the pod that the bad one broke."""
    obj = statefulset(3, 2, image="shop/api:2", revisions=("db-1", "db-2"), updated=1)
    pods = (pod("db-0", obj), pod("db-1", obj), pod("db-2", obj, ready=False, waiting="CrashLoopBackOff"))
    revisions = (controller_revision(obj, 1, "shop/api:1"), controller_revision(obj, 2, "shop/api:2"))
    change = plan("previous", view(obj, revisions=revisions, pods=pods))
    patch, delete = change.effects
    assert isinstance(patch, Patch)
    assert isinstance(delete, Delete)
    assert delete.pod.name == "db-2"
    assert change.summary.endswith("(revision 1), delete broken db-2")


def test_what_it_takes():
    sick = deployment(5, 3, image="shop/api:3")
    for obj, takes in ((deployment(5, image="shop/api:3"), 1), (sick, 0)):
        change = plan("previous", view(obj, revisions=history("2", "3")))
        assert (change.takes, change.reduces_capacity) == (takes, takes > 0)


def test_no_copies_is_nothing_to_replace():
    with pytest.raises(NotPossible, match="wants 0 copies"):
        plan("previous", view(deployment(0, image="shop/api:3"), revisions=history("2", "3")))


@pytest.mark.parametrize(
    ("count", "end"), [(3, "c 1 -> absent"), (4, "c 1 -> absent and 1 more")], ids=["three", "four"]
)
def test_many_differences_are_counted(count, end):
    extra: dict[str, Any] = dict.fromkeys("abcd"[:count], 1)
    obj = deployment(spec={"template": template("i:1", **extra)})
    change = plan("previous", view(obj, revisions=(replicaset(obj, 1, "i:1"),)))
    assert change.summary == f"same image, a 1 -> absent, b 1 -> absent, {end} (revision 1)"


@pytest.mark.parametrize("to", ["last", None, 1.5])
def test_bad_params(to):
    with pytest.raises(ValidationError):
        RollbackParams(to=to)
