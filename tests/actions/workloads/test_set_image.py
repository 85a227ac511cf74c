"""set_image: another image for a container that is there, out of repositories that are allowed."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Delete, FieldChange, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.view import Revision
from remediator.actions.workloads.set_image import SetImage, SetImageParams
from tests.actions.make import daemonset, deployment, hash_of, owner, pod, replicaset, statefulset, template, view

DIGEST = "@sha256:" + "0a" * 32
PATH = ("spec", "template", "spec", "containers", "[name=api]", "image")


def params(image: str = "shop/api:2", container: str = "api", repositories: Any = ("shop",)) -> SetImageParams:
    return SetImageParams(container=container, image=image, repositories=repositories)


def plan(obj: Any, given: SetImageParams | None = None, **parts: Any) -> Any:
    action, seen = SetImage(), view(obj, **parts)
    return action.plan(action.resolve(given or params(), seen), seen)


@pytest.mark.parametrize("obj", [deployment(), statefulset(), daemonset()], ids=lambda obj: obj["kind"])
def test_one_field_by_the_containers_name(obj):
    change = plan(obj)
    (effect,) = change.effects
    assert effect.changes == (FieldChange(PATH, "shop/api:1", "shop/api:2"),)
    assert effect.uid == obj["metadata"]["uid"]
    assert effect.undoable
    assert change.summary == "api: image shop/api:1 -> shop/api:2"
    (line,) = diff_lines(change, view(obj).ref)
    assert line.endswith("image shop/api:1 -> shop/api:2")


def test_an_init_container_too():
    made = template(initContainers=[{"name": "wait", "image": "shop/wait:1"}])
    change = plan(deployment(spec={"template": made}), params("shop/wait:2", "wait"))
    assert change.effects[0].changes[0].path[3:5] == ("initContainers", "[name=wait]")


def test_a_rollout_takes_copies():
    change = plan(deployment(5, strategy={"type": "Recreate"}))
    assert (change.takes, change.reduces_capacity) == (5, True)


def test_a_tag_is_told_from_a_digest():
    assert any("digest" in note for note in plan(deployment()).notes)
    assert not any("digest" in note for note in plan(deployment(), params(f"shop/api{DIGEST}")).notes)


def test_the_pod_that_a_statefulset_waits_for_is_deleted():
    obj = statefulset(3, 2)
    broken = pod("db-0", obj, ready=False, waiting="CrashLoopBackOff")
    change = plan(obj, pods=(broken,))
    assert isinstance(change.effects[1], Delete)
    assert change.summary.endswith("delete broken db-0")


def test_what_was_rolled_back_before_needs_a_person():
    obj = deployment()
    bad = Revision(workload_uid=obj["metadata"]["uid"], template_hash=hash_of("shop/api:2"), known_bad=True)
    assert "rolled back" in plan(obj, observed=(bad,)).needs_approval
    assert plan(obj).needs_approval == ""


@pytest.mark.parametrize(
    ("obj", "given", "parts", "reason"),
    [
        pytest.param(deployment(), params(container="web"), {}, "no container web (there are: api)", id="unknown"),
        pytest.param(deployment(), params("shop/api:1"), {}, "has image shop/api:1 already", id="the same"),
        pytest.param(deployment(spec={"paused": True}), params(), {}, "is paused", id="paused"),
        pytest.param(statefulset(strategy={"type": "OnDelete"}), params(), {}, "OnDelete", id="OnDelete"),
        pytest.param(deployment(metadata={"deletionTimestamp": "x"}), params(), {}, "being deleted", id="leaving"),
        pytest.param(
            deployment(metadata={"ownerReferences": owner(deployment())}), params(), {}, "change it there", id="owned"
        ),
        pytest.param(deployment(), params(), {"unreadable": {"revisions": "403"}}, "CANNOT SEE", id="unreadable"),
        pytest.param({**deployment(), "kind": "Job"}, params(), {}, "is no Deployment", id="another kind"),
    ],
)
def test_it_refuses(obj, given, parts, reason):
    with pytest.raises(NotPossible) as refused:
        plan(obj, given, **parts)
    assert reason in refused.value.reason


def test_the_last_healthy_revision_stays_in_history():
    obj = deployment(image="shop/api:3", spec={"revisionHistoryLimit": 0})
    good = Revision(workload_uid=obj["metadata"]["uid"], template_hash=hash_of("shop/api:1"), healthy=True)
    with pytest.raises(NotPossible) as refused:
        plan(obj, observed=(good,), revisions=(replicaset(obj, 1, "shop/api:1"),))
    assert refused.value.guardrail == "last_good_revision"


@pytest.mark.parametrize(
    ("image", "repositories"),
    [
        pytest.param("registry.example.com/shop/api:2", ["registry.example.com/shop"], id="a folder"),
        pytest.param("registry.example.com/shop/api:2", ["registry.example.com/shop/"], id="a folder with a slash"),
        pytest.param("registry.example.com/shop/api:2", ["registry.example.com/shop/api"], id="just this one"),
        pytest.param("registry.example.com:5000/api:2", ["x", "registry.example.com:5000"], id="a whole registry"),
        pytest.param(f"shop/api:2{DIGEST}", ["shop"], id="tag and digest"),
    ],
)
def test_allowed(image, repositories):
    assert params(image, repositories=repositories).image == image


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"image": "shop-evil/api:2"}, "none of repositories", id="only begins alike"),
        pytest.param({"image": "evil.example.com/shop/api:2"}, "none of repositories", id="another registry"),
        pytest.param({"image": "shop/../evil:2"}, "is no image", id="up and away"),
        pytest.param({"image": "shop/api"}, "whatever was pushed last", id="no tag"),
        pytest.param({"image": "shop/api:latest"}, "whatever was pushed last", id="latest"),
        pytest.param({"image": "shop/api:2\nx"}, "is no image", id="a line break"),
        pytest.param({"image": "shop/api@sha256:12"}, "is no image", id="half a digest"),
        pytest.param({"image": "shop/api:${TAG}"}, "is no image", id="a placeholder"),
        pytest.param({"repositories": []}, "at least 1", id="no allow-list"),
        pytest.param({"repositories": ["*"]}, "is no repository", id="a wildcard"),
        pytest.param({"repositories": [""]}, "is no repository", id="empty, which would be everything"),
        pytest.param({"repositories": ["/"]}, "is no repository", id="only a slash"),
        pytest.param({"container": "a]b"}, "pattern", id="a hostile container name"),
    ],
)
def test_not_allowed(given, message):
    with pytest.raises(ValidationError, match=message):
        SetImageParams(**{"container": "api", "image": "shop/api:2", "repositories": ["shop"], **given})
