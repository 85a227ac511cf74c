"""rollout_restart: a dated template, or evictions; and everything it refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.actions.change import GENERATED_TIME, Delete, Evict, FieldChange, NotPossible, Patch
from remediator.actions.view import Revision
from remediator.actions.workloads.rollout_restart import RESTART_PATH, RolloutRestart, RolloutRestartParams
from tests.actions.make import daemonset, deployment, hash_of, pod, replicaset, statefulset, template, view

ROLLOUT, EVICT = RolloutRestartParams(), RolloutRestartParams(strategy="evict")


def plan(seen: Any, params: RolloutRestartParams = ROLLOUT) -> Any:
    return RolloutRestart().plan(params, seen)


@pytest.mark.parametrize(
    "obj", [deployment(), statefulset(), daemonset()], ids=["Deployment", "StatefulSet", "DaemonSet"]
)
def test_it_dates_the_template_and_nothing_else(obj):
    change = plan(view(obj))
    (effect,) = change.effects
    assert isinstance(effect, Patch)
    assert effect.changes == (FieldChange(RESTART_PATH, None, GENERATED_TIME),)
    assert effect.uid == obj["metadata"]["uid"]
    assert not effect.undoable
    assert not effect.replace
    assert change.summary == "restart 3 copies by rollout"


def test_the_last_restart_is_what_it_expects_to_find():
    """Somebody who restarts it meanwhile has touched the field: theirs wins."""
    obj = deployment(spec={"template": template(restarted="2025-05-01T00:00:00Z")})
    assert plan(view(obj)).effects[0].changes[0].before == "2025-05-01T00:00:00Z"


def test_what_it_takes():
    change = plan(view(deployment(5)))
    assert (change.takes, change.reduces_capacity, change.direction) == (1, True, "")
    change = plan(view(deployment(5, 3)))
    assert (change.takes, change.reduces_capacity) == (0, False)


@pytest.mark.parametrize(
    ("seen", "params", "reason", "guardrail", "hold"),
    [
        pytest.param(
            view(deployment(spec={"paused": True})), ROLLOUT, "is paused", "rollout_in_progress", False, id="paused"
        ),
        pytest.param(
            view(deployment(spec={"paused": True})),
            EVICT,
            "is paused",
            "rollout_in_progress",
            False,
            id="paused, evict",
        ),
        pytest.param(
            view(statefulset(strategy={"type": "OnDelete"})), ROLLOUT, "OnDelete", "action", False, id="OnDelete"
        ),
        pytest.param(
            view(daemonset(strategy={"type": "OnDelete"})), ROLLOUT, "OnDelete", "action", False, id="OnDelete, ds"
        ),
        pytest.param(view(deployment(0)), ROLLOUT, "wants 0 copies", "action", False, id="no copies"),
        pytest.param(view(daemonset(0)), ROLLOUT, "wants 0 copies", "action", False, id="no nodes"),
        pytest.param(view(deployment(0)), EVICT, "wants 0 copies", "action", False, id="no copies, evict"),
        pytest.param(
            view(deployment(), unreadable={"revisions": "timeout"}),
            ROLLOUT,
            "CANNOT SEE: revisions",
            "action",
            True,
            id="blind",
        ),
        pytest.param(
            view(deployment(), unreadable={"observed": "timeout"}),
            ROLLOUT,
            "CANNOT SEE: observed",
            "action",
            True,
            id="blind 2",
        ),
        pytest.param(
            view(statefulset(), unreadable={"pods": "403"}),
            ROLLOUT,
            "CANNOT SEE: pods",
            "action",
            True,
            id="blind, ordered",
        ),
        pytest.param(
            view(deployment(), unreadable={"pods": "403"}), EVICT, "CANNOT SEE: pods", "action", True, id="blind, evict"
        ),
        pytest.param(view(deployment()), EVICT, "no pod to evict", "action", False, id="evict, no pod"),
        pytest.param(view(pod("x", deployment())), ROLLOUT, "is no Deployment", "action", False, id="a pod"),
    ],
)
def test_refusals(seen, params, reason, guardrail, hold):
    with pytest.raises(NotPossible) as refused:
        plan(seen, params)
    assert reason in refused.value.reason
    assert (refused.value.guardrail, refused.value.hold) == (guardrail, hold)


def test_unreadable_pods_do_not_matter_to_a_deployment():
    assert plan(view(deployment(), unreadable={"pods": "403"})).effects


# --- a StatefulSet that waits for a broken pod ------------------------------------------------------------------------


def test_a_stuck_statefulset_gets_the_patch_and_the_broken_pod_deleted():
    """Measured: with pod 0 broken, a new template alone updates no pod."""
    obj = statefulset(3, 2)
    pods = (pod("db-0", obj, ready=False), pod("db-1", obj), pod("db-2", obj))
    change = plan(view(obj, pods=pods))
    patch, delete = change.effects
    assert isinstance(patch, Patch)
    assert isinstance(delete, Delete)
    assert (delete.pod.name, delete.pod.uid, delete.pod.select) == ("db-0", "uid-pod-db-0", "unready")
    assert change.takes == 0
    assert change.summary == "restart 3 copies by rollout, delete broken db-0"


@pytest.mark.parametrize(
    ("obj", "pods"),
    [
        pytest.param(
            statefulset(3, 2), [("db-0", {"ready": False, "unready_for": timedelta(seconds=5)})], id="starting"
        ),
        pytest.param(statefulset(3), [("db-0", {})], id="ready"),
        pytest.param(statefulset(3, 2), [("db-0", {"ready": False, "leaving": True})], id="going away"),
        pytest.param(statefulset(3, 2, parallel=True), [("db-0", {"ready": False})], id="Parallel waits for nobody"),
        pytest.param(deployment(3, 2), [("api-x", {"ready": False})], id="a Deployment waits for nobody"),
    ],
)
def test_no_other_pod_is_ever_deleted(obj, pods):
    change = plan(view(obj, pods=tuple(pod(name, obj, **extra) for name, extra in pods)))
    assert not [effect for effect in change.effects if isinstance(effect, Delete)]


# --- the last healthy revision ----------------------------------------------------------------------------------------

WORKLOAD = deployment(image="shop/api:2", spec={"revisionHistoryLimit": 2})
GOOD = Revision(workload_uid="uid-deployment-api", template_hash=hash_of("shop/api:1"), healthy=True)


def history(*images: str) -> tuple[Any, ...]:
    """ReplicaSets 1, 2, ... with these images; a repeated image is a restart."""
    return tuple(replicaset(WORKLOAD, n, image, restarted=str(n)) for n, image in enumerate(images, 1))


@pytest.mark.parametrize(
    ("images", "rows", "refused"),
    [
        pytest.param(("shop/api:1", "shop/api:2"), [GOOD], False, id="still room"),
        pytest.param(("shop/api:1", "shop/api:2", "shop/api:2"), [GOOD], True, id="one restart too many"),
        pytest.param(("shop/api:1", "shop/api:2", "shop/api:2"), [], False, id="nothing is known healthy"),
        pytest.param(("shop/api:1", "shop/api:1", "shop/api:2"), [GOOD], False, id="it is there twice"),
        pytest.param(("shop/api:0", "shop/api:1", "shop/api:2"), [GOOD], False, id="an older one falls out"),
        pytest.param(
            ("shop/api:1", "shop/api:2", "shop/api:2"),
            [GOOD, Revision(workload_uid="uid-deployment-api", template_hash=hash_of("shop/api:2"), healthy=True)],
            False,
            id="the present one is healthy itself",
        ),
        pytest.param(
            ("shop/api:1", "shop/api:2", "shop/api:2"),
            [
                Revision(
                    workload_uid="uid-deployment-api", template_hash=hash_of("shop/api:1"), healthy=True, known_bad=True
                )
            ],
            False,
            id="it is known bad by now",
        ),
        pytest.param(
            ("shop/api:1", "shop/api:2", "shop/api:2"),
            [Revision(workload_uid="another", template_hash=hash_of("shop/api:1"), healthy=True)],
            False,
            id="evidence about another workload",
        ),
    ],
)
def test_a_restart_that_would_lose_the_last_healthy_revision(images, rows, refused):
    seen = view(WORKLOAD, revisions=history(*images), observed=tuple(rows))
    if not refused:
        assert plan(seen).effects
        return
    with pytest.raises(NotPossible, match="revision 1 is the last healthy one") as no:
        plan(seen)
    assert no.value.guardrail == "last_good_revision"
    assert not no.value.hold


def test_evictions_make_no_revision():
    revisions = history("shop/api:1", "shop/api:2", "shop/api:2")
    seen = view(WORKLOAD, revisions=revisions, observed=(GOOD,), pods=(pod("api-x", revisions[-1]),))
    (effect,) = plan(seen, EVICT).effects
    assert isinstance(effect, Evict)


def test_evict_takes_all_pods_one_at_a_time():
    owner = replicaset(WORKLOAD, 1, "shop/api:2")
    pods = tuple(pod(f"api-{i}", owner) for i in range(3))
    change = plan(view(WORKLOAD, revisions=(owner,), pods=pods), EVICT)
    assert len(change.effects) == 3
    assert {effect.pod.select for effect in change.effects} == {"oldest"}
    assert change.takes == 1
    assert change.summary == "evict 3 of 3 pods, one at a time"
