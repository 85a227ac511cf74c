"""The normalised target: one vocabulary for all workloads; unknown is left out, never zero."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.actions.times import format_time
from remediator.playbooks.expressions import TARGET_FIELDS, Environment, ExpressionError, compile_expression
from remediator.playbooks.target_view import normalise_target
from tests.playbooks.registry import NOW, make_alert, make_view

META = {"name": "api", "namespace": "shop", "uid": "u1", "labels": {"team": "checkout"}, "annotations": {"a": "b"}}


def template(image: str = "shop/api:2", restarted: str = ""):
    annotations = {"kubectl.kubernetes.io/restartedAt": restarted} if restarted else {}
    containers = [{"name": "api", "image": image}, {"name": "proxy", "image": "proxy:1"}]
    return {"metadata": {"annotations": annotations}, "spec": {"containers": containers}}


def deployment(status=None, **spec):
    spec = {"replicas": 3, "template": template(), **spec}
    return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": META, "spec": spec, "status": status or {}}


def replica_set(number: int, age: timedelta, pod_template=None, uid: str = "u1"):
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"api-{number}",
            "annotations": {"deployment.kubernetes.io/revision": str(number)},
            "creationTimestamp": format_time(NOW - age),
            "ownerReferences": [{"kind": "Deployment", "name": "api", "uid": uid, "controller": True}],
        },
        "spec": {"template": pod_template or template()},
    }


def pod(name: str, restarts: int, *, ready: bool = True):
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"containers": [{"name": "api", "image": "shop/api:2"}]},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"restartCount": restarts}, {"restartCount": 1}],
        },
    }


def test_zeros_that_the_api_omits_are_filled_in():
    found = normalise_target(make_view(deployment()))
    numbers = {key: found[key] for key in ("desired", "ready", "updated", "available")}
    assert numbers == {"desired": 3, "ready": 0, "updated": 0, "available": 0}


@pytest.mark.parametrize(
    ("kind", "spec", "status"),
    [
        (
            "Deployment",
            {"replicas": 5},
            {"replicas": 5, "readyReplicas": 4, "updatedReplicas": 3, "availableReplicas": 2},
        ),
        (
            "StatefulSet",
            {"replicas": 5},
            {"replicas": 5, "readyReplicas": 4, "updatedReplicas": 3, "availableReplicas": 2},
        ),
        (
            "DaemonSet",
            {},
            {"desiredNumberScheduled": 5, "numberReady": 4, "updatedNumberScheduled": 3, "numberAvailable": 2},
        ),
    ],
)
def test_all_workloads_speak_the_same_words(kind, spec, status):
    obj = {**deployment(status), "kind": kind, "spec": {"template": template(), **spec}}
    found = normalise_target(make_view(obj))
    assert (found["desired"], found["ready"], found["updated"], found["available"]) == (5, 4, 3, 2)
    assert (found["image"], found["images"]) == ("shop/api:2", ["shop/api:2", "proxy:1"])
    assert (found["kind"], found["namespace"], found["name"]) == (kind, "shop", "api")
    assert (found["labels"], found["annotations"]) == ({"team": "checkout"}, {"a": "b"})
    assert found["object"] is obj


def test_a_pod():
    found = normalise_target(make_view(pod("api-1", 4, ready=False)))
    assert (found["desired"], found["ready"], found["available"], found["restarts"]) == (1, 0, 0, 5)
    assert "revision_age" not in found


def test_other_kinds_have_no_copies():
    obj = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "w1"}}
    found = normalise_target(make_view(obj))
    assert not {"ready", "desired", "image", "restarts", "revision_age"} & set(found)


def test_restarts_are_counted_over_all_pods():
    found = normalise_target(make_view(deployment(), pods=(pod("a", 2), pod("b", 0))))
    assert found["restarts"] == 4


def test_what_could_not_be_read_is_left_out_with_the_reason():
    view = make_view(deployment(), unreadable={"pods": "403", "revisions": "timeout"})
    found = normalise_target(view)
    assert "restarts" not in found
    assert "revision_age" not in found
    scope = Environment(make_alert(), NOW).scope(params={}, target=found)
    with pytest.raises(ExpressionError, match=r"target\.restarts is not known: its pods could not be read: 403"):
        scope.evaluate(compile_expression("target.restarts > 5"))
    with pytest.raises(ExpressionError, match="its revisions could not be read: timeout"):
        scope.evaluate(compile_expression('target.revision_age < duration("2h")'))


class TestRevisionAge:
    def age(self, *revisions, target=None):
        return normalise_target(make_view(target or deployment(), revisions=revisions)).get("revision_age")

    def test_age_of_the_present_template(self):
        older = replica_set(1, timedelta(days=30), template("shop/api:1"))
        assert self.age(older, replica_set(2, timedelta(hours=1))) == timedelta(hours=1)

    def test_a_restart_does_not_make_it_younger(self):
        target = deployment(template=template(restarted="2025-06-01T11:00:00Z"))
        restarted = replica_set(3, timedelta(minutes=5), template(restarted="2025-06-01T11:00:00Z"))
        first = replica_set(2, timedelta(days=3))
        old = replica_set(1, timedelta(days=30), template("shop/api:1"))
        assert self.age(old, first, restarted, target=target) == timedelta(days=3)

    def test_the_same_template_before_another_one_does_not_count(self):
        """It came back later: what counts is the unbroken row up to now."""
        rows = (
            replica_set(1, timedelta(days=30)),
            replica_set(2, timedelta(days=2), template("shop/api:1")),
            replica_set(3, timedelta(hours=1)),
        )
        assert self.age(*rows) == timedelta(hours=1)

    def test_unknown_while_the_controller_has_not_made_the_revision_yet(self):
        assert self.age(replica_set(1, timedelta(days=30), template("shop/api:1"))) is None

    def test_unknown_without_revisions(self):
        assert self.age() is None

    def test_revisions_of_others_do_not_count(self):
        assert self.age(replica_set(5, timedelta(hours=1), uid="another")) is None

    def test_never_negative(self):
        assert self.age(replica_set(1, timedelta(minutes=-5))) == timedelta(0)

    def test_controller_revisions(self):
        target = {**deployment(), "kind": "StatefulSet"}
        data = {"spec": {"template": {"$patch": "replace", **template()}}}
        revision = {
            "kind": "ControllerRevision",
            "metadata": {
                "name": "api-5d",
                "creationTimestamp": format_time(NOW - timedelta(hours=3)),
                "ownerReferences": [{"kind": "StatefulSet", "name": "api", "uid": "u1", "controller": True}],
            },
            "revision": 4,
            "data": data,
        }
        assert self.age(revision, target=target) == timedelta(hours=3)


def test_no_field_is_missing_from_the_vocabulary():
    """What expressions may ask for is what there is."""
    view = make_view(deployment(), pods=(), revisions=(replica_set(1, timedelta(hours=1)),))
    assert set(normalise_target(view)) - {"unknown"} == set(TARGET_FIELDS)
