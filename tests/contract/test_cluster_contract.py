"""What the core may rely on in a cluster: objects, patches, preconditions, dry runs, lists, watches, errors.

One suite for the simulated cluster and the real one. Where they differ, the real one is right.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from remediator.errors import CannotSee, Conflict, EffectError, Forbidden, NotFound, Refused, TargetGone
from remediator.objects import ObjectRef, annotations_of, dig, generation_of, labels_of, ref_of, uid_of, version_of
from remediator.ports import FIELD_MANAGER, MARKER, WatchEvent, WriteRequest
from tests.contract.backends import JSON_PATCH, MERGE, PLAIN, STRATEGIC, Bench, Simulated, image_of
from tests.support.controlplane import manifests as m

IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "app:v2"}]}}}}
CRON_JOB = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "night"},
    "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": m.job("x")["spec"]}},
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}},
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def scaler(low: int = 1, high: int = 5) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "minReplicas": low,
            "maxReplicas": high,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        },
    }


# Reading


async def test_an_object_carries_what_we_bind_to(bench: Bench) -> None:
    created = await bench.create(m.deployment("web"))
    read = await bench.get("Deployment", "web")
    assert (read["kind"], read["apiVersion"]) == ("Deployment", "apps/v1")
    assert ref_of(read) == bench.ref("Deployment", "web")
    assert uid_of(read) == uid_of(created) != ""
    assert version_of(read) != ""
    assert generation_of(created) == 1


async def test_defaults_are_filled_in_before_anybody_reads(bench: Bench) -> None:
    spec = (await bench.create(m.deployment("web")))["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    container = spec["template"]["spec"]["containers"][0]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 30


async def test_reading_what_is_not_there(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.get("Deployment", "web")
    with pytest.raises(NotFound):
        await bench.cluster.list("Unheard", bench.namespace)
    assert await bench.list("Deployment") == []


async def test_an_answer_is_the_callers_to_change(bench: Bench) -> None:
    await bench.create(m.deployment("web"))
    read: Any = await bench.get("Deployment", "web")
    read["spec"]["template"]["spec"]["containers"].clear()
    assert image_of(await bench.get("Deployment", "web")) == "app:v1"


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        pytest.param("tier=front", ["a", "b"], id="equal"),
        pytest.param("tier==front,zone!=2", ["a"], id="and"),
        pytest.param("tier!=front", ["c", "d"], id="not equal takes the unlabelled too"),
        pytest.param("zone in (1,2)", ["a", "b"], id="in"),
        pytest.param("zone notin (2, 3)", ["a", "d"], id="notin takes the unlabelled too"),
        pytest.param("tier", ["a", "b", "c"], id="exists"),
        pytest.param("!tier", ["d"], id="absent"),
        pytest.param("", ["a", "b", "c", "d"], id="everything"),
    ],
)
async def test_label_selectors(bench: Bench, selector: str, names: list[str]) -> None:
    labels = {"a": {"tier": "front", "zone": "1"}, "b": {"tier": "front", "zone": "2"}, "c": {"tier": "", "zone": "3"}}
    for name in ("a", "b", "c", "d"):
        await bench.create({**SERVICE, "metadata": {"name": name, "labels": labels.get(name, {})}})
    assert sorted(o["metadata"]["name"] for o in await bench.list("Service", labels=selector)) == names


async def test_field_selectors(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=2))
    pods = await bench.pods("web")
    node = pods[0]["spec"]["nodeName"]
    assert await bench.list("Pod", fields=f"spec.nodeName={node},status.phase!=Running") == []
    on_node = await bench.list("Pod", fields=f"spec.nodeName={node},status.phase=Running")
    assert {uid_of(p) for p in on_node} == {uid_of(p) for p in pods if p["spec"]["nodeName"] == node}
    named = await bench.list("Pod", fields=f"metadata.name={pods[0]['metadata']['name']}")
    assert [uid_of(p) for p in named] == [uid_of(pods[0])]


@pytest.mark.parametrize(
    "selectors", [{"labels": "a in ("}, {"labels": "=b"}, {"fields": "spec.image=app"}, {"fields": "metadata.name"}]
)
async def test_a_selector_that_makes_no_sense_is_no_empty_list(bench: Bench, selectors: dict[str, str]) -> None:
    with pytest.raises(CannotSee):
        await bench.list("Pod", **selectors)


async def test_a_list_is_complete_over_all_pages(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediator.adapters.kubernetes.cluster.PAGE", 3)
    for i in range(8):
        await bench.create({**SERVICE, "metadata": {"name": f"s{i}"}})
    found = await bench.cluster.list("Service", bench.namespace)
    assert [o["metadata"]["name"] for o in found.items] == [f"s{i}" for i in range(8)]
    assert {(o["kind"], o["apiVersion"]) for o in found.items} == {("Service", "v1")}
    assert found.resource_version != ""


async def test_a_list_without_namespace_sees_all(bench: Bench) -> None:
    await bench.create(m.deployment("web"))
    everywhere = await bench.cluster.list("Deployment", labels="app=web")
    assert bench.ref("Deployment", "web") in [ref_of(o) for o in everywhere.items]
    assert len((await bench.cluster.list("Node")).items) == 3


async def test_a_watch_goes_on_where_the_list_ended(bench: Bench) -> None:
    await bench.create({**SERVICE, "metadata": {"name": "before"}})
    listed = await bench.cluster.list("Service", bench.namespace)
    seen: list[WatchEvent] = []

    async def watch() -> None:
        async for event in bench.cluster.watch("Service", bench.namespace, resource_version=listed.resource_version):
            seen.append(event)

    watching = asyncio.create_task(watch())
    await bench.create({**SERVICE, "metadata": {"name": "later"}})
    await bench.patch("Service", "later", {"metadata": {"annotations": {"a": "b"}}})
    await bench.delete("Service", "later")
    await bench.delete("Service", "before")

    async def four() -> bool:
        return len(seen) >= 4

    await bench.settle(four)
    watching.cancel()
    names = [(e.type, e.object["metadata"]["name"]) for e in seen]
    assert names == [("ADDED", "later"), ("MODIFIED", "later"), ("DELETED", "later"), ("DELETED", "before")]
    assert all(e.object["kind"] == "Service" for e in seen)
    versions = [int(version_of(e.object)) for e in seen]
    assert versions == sorted(set(versions))
    assert annotations_of(seen[2].object) == {"a": "b"}


async def test_the_servers_clock(bench: Bench) -> None:
    at = await bench.cluster.server_time()
    assert at.tzinfo is not None
    if not isinstance(bench.backend, Simulated):
        assert abs(at - datetime.now(UTC)) < timedelta(seconds=5)


async def test_permissions_are_asked_for_and_enforced(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1))
    pod = (await bench.pods("web"))[0]
    other = await bench.backend.restricted()

    assert await other.allowed("list", "Pod", bench.namespace)
    assert not await other.allowed("patch", "Deployment", bench.namespace)
    assert not await other.allowed("create", "Pod", bench.namespace, subresource="eviction")
    assert (await other.get(ref_of(pod)))["kind"] == "Pod"
    with pytest.raises(Forbidden):
        await other.get(bench.ref("Deployment", "web"))
    with pytest.raises(Forbidden):
        await other.list("Deployment", bench.namespace)

    deny = Bench(bench.backend)
    deny.cluster = other
    attempts = (
        lambda: deny.patch("Deployment", "web", {"spec": {"replicas": 0}}),
        lambda: deny.patch("Deployment", "web", {"spec": {"replicas": 0}}, dry_run=True),
        lambda: deny.delete("Pod", pod["metadata"]["name"]),
        lambda: deny.evict(pod),
        lambda: deny.create(m.deployment("other")),
    )
    for attempt in attempts:
        with pytest.raises(Refused) as refused:
            await attempt()
        assert refused.value.forbidden


# Writing: patches


async def test_a_merge_patch_merges_and_removes(bench: Bench) -> None:
    await bench.create(m.deployment("web", annotations={"keep": "1", "drop": "1"}))
    patched = await bench.patch("Deployment", "web", {"metadata": {"annotations": {"drop": None, "new": "2"}}})
    found = {k: v for k, v in annotations_of(patched).items() if "/" not in k}
    assert found == {"keep": "1", "new": "2"}


async def test_a_merge_patch_replaces_lists_whole(bench: Bench) -> None:
    manifest = m.deployment("web")
    manifest["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:v1"})
    await bench.create(manifest)
    patched = await bench.patch("Deployment", "web", IMAGE)
    assert [c["name"] for c in patched["spec"]["template"]["spec"]["containers"]] == ["app"]


async def test_a_strategic_patch_finds_containers_by_name(bench: Bench) -> None:
    manifest = m.deployment("web")
    manifest["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:v1"})
    await bench.create(manifest)
    patched = await bench.patch("Deployment", "web", IMAGE, STRATEGIC)
    containers = patched["spec"]["template"]["spec"]["containers"]
    assert [(c["name"], c["image"]) for c in containers] == [("app", "app:v2"), ("side", "side:v1")]


async def test_a_strategic_patch_can_remove_a_container(bench: Bench) -> None:
    manifest = m.deployment("web")
    manifest["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:v1"})
    await bench.create(manifest)
    gone = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    patched = await bench.patch("Deployment", "web", gone, STRATEGIC)
    assert [c["name"] for c in patched["spec"]["template"]["spec"]["containers"]] == ["app"]


async def test_a_strategic_patch_with_a_misspelt_container_is_refused(bench: Bench) -> None:
    await bench.create(m.deployment("web"))
    wrong = {"spec": {"template": {"spec": {"containers": [{"name": "ap", "resources": {}}]}}}}
    with pytest.raises(Refused, match="image"):
        await bench.patch("Deployment", "web", wrong, STRATEGIC)


async def test_a_json_patch_goes_by_path(bench: Bench) -> None:
    await bench.create(m.deployment("web", annotations={"a/b": "1"}))
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 3},
        {"op": "replace", "path": "/spec/replicas", "value": 2},
        {"op": "add", "path": "/metadata/annotations/c", "value": "2"},
        {"op": "remove", "path": "/metadata/annotations/a~1b"},
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "app:v2"},
    ]
    patched = await bench.patch("Deployment", "web", operations, JSON_PATCH)
    assert patched["spec"]["replicas"] == 2
    assert image_of(patched) == "app:v2"
    assert annotations_of(patched).get("c") == "2"
    assert "a/b" not in annotations_of(patched)


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param({"op": "test", "path": "/spec/replicas", "value": 9}, id="failed test"),
        pytest.param({"op": "remove", "path": "/spec/nothing"}, id="remove nothing"),
        pytest.param({"op": "replace", "path": "/spec/nothing", "value": 1}, id="replace nothing"),
        pytest.param({"op": "add", "path": "/spec/nothing/below", "value": 1}, id="add below nothing"),
        pytest.param({"op": "remove", "path": "/spec/template/spec/containers/7"}, id="no such item"),
        pytest.param({"op": "turn", "path": "/spec/replicas"}, id="no such operation"),
    ],
)
async def test_a_json_patch_applies_whole_or_not_at_all(bench: Bench, operation: dict[str, Any]) -> None:
    await bench.create(m.deployment("web"))
    first = {"op": "replace", "path": "/spec/replicas", "value": 1}
    operations = [operation, first] if operation["op"] == "test" else [first, operation]
    with pytest.raises(Refused):
        await bench.patch("Deployment", "web", operations, JSON_PATCH)
    assert (await bench.get("Deployment", "web"))["spec"]["replicas"] == 3


async def test_a_test_for_null_holds_where_nothing_is(bench: Bench) -> None:
    await bench.create(m.deployment("web", annotations={"a": "1"}))
    operations = [{"op": "test", "path": "/metadata/annotations/b", "value": None}]
    assert await bench.patch("Deployment", "web", operations, JSON_PATCH)


async def test_a_patch_that_changes_nothing_is_no_new_version(bench: Bench) -> None:
    await bench.create(m.deployment("web", spec={"paused": True}))
    await bench.backend.rest()
    before = await bench.get("Deployment", "web")
    patched = await bench.patch("Deployment", "web", {"spec": {"replicas": 3}})
    assert version_of(patched) == version_of(before)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param({"spec": {"replica": 3}}, MERGE, id="unknown field"),
        pytest.param({"spec": {"template": {"spec": {"contaners": []}}}}, MERGE, id="unknown field, deep"),
        pytest.param({"spec": {"replicas": "3"}}, MERGE, id="wrong type"),
        pytest.param({"metadata": {"annotations": {"a": 1}}}, MERGE, id="annotation that is no text"),
        pytest.param({"spec": {"replicas": -1}}, MERGE, id="impossible value"),
        pytest.param({"spec": {"selector": {"matchLabels": {"app": "other"}}}}, MERGE, id="immutable"),
        pytest.param({"spec": {"template": {"spec": {"containers": []}}}}, MERGE, id="no containers"),
        pytest.param({"spec": {"strategy": {"type": "Recreate"}}}, MERGE, id="Recreate beside rollingUpdate"),
        pytest.param(
            {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}}, MERGE, id="stuck strategy"
        ),
        pytest.param({"metadata": {"name": "other"}}, MERGE, id="another name"),
        pytest.param({"kind": "StatefulSet"}, MERGE, id="another kind"),
        pytest.param({"spec": {"replicas": 1}}, JSON_PATCH, id="a JSON patch that is no list"),
        pytest.param([], MERGE, id="a merge patch that is a list"),
        pytest.param({"spec": {"replicas": 1}}, "application/unheard+json", id="unknown content type"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_wrong_patch_is_refused_for_good(bench: Bench, body: Any, content_type: str, dry_run: bool) -> None:
    await bench.create(m.deployment("web", spec={"paused": True}))
    await bench.backend.rest()
    before = await bench.get("Deployment", "web")
    with pytest.raises(Refused) as refused:
        await bench.patch("Deployment", "web", body, content_type, dry_run=dry_run)
    assert not refused.value.forbidden
    assert "app:v1" not in str(refused.value)  # the API server dumps whole objects into some of its messages
    assert version_of(await bench.get("Deployment", "web")) == version_of(before)


async def test_a_body_that_is_not_json_is_refused(bench: Bench) -> None:
    await bench.create(m.deployment("web"))
    with pytest.raises(Refused):
        await bench.cluster.write(WriteRequest("patch", bench.ref("Deployment", "web"), MERGE, b"{spec"))


@pytest.mark.parametrize(
    ("manifest", "patch"),
    [
        pytest.param(m.statefulset("web"), {"spec": {"serviceName": "other"}}, id="StatefulSet"),
        pytest.param(m.job("web"), {"spec": {"completions": 5}}, id="Job"),
        pytest.param(scaler(2, 5), {"spec": {"minReplicas": 9}}, id="HPA bounds crossed"),
    ],
)
async def test_other_kinds_refuse_what_they_must_not_become(
    bench: Bench, manifest: dict[str, Any], patch: dict[str, Any]
) -> None:
    await bench.create(manifest)
    with pytest.raises(Refused):
        await bench.patch(manifest["kind"], "web", patch, dry_run=True)


async def test_patching_what_is_not_there(bench: Bench) -> None:
    for kind in ("Deployment", "Pod", "Node"):
        with pytest.raises(TargetGone):
            await bench.patch(kind, "nobody", {"metadata": {"annotations": {"a": "b"}}})
    with pytest.raises(TargetGone):
        await bench.delete("Pod", "nobody")
    ghost = {"kind": "Pod", "metadata": {"name": "nobody", "uid": "x"}}
    with pytest.raises(TargetGone):
        await bench.evict(ghost)


async def test_only_pods_can_be_evicted(bench: Bench) -> None:
    """A 404 that is about the path, not about an object: nothing is gone."""
    await bench.create(m.deployment("web"))
    body = b'{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"web"}}'
    with pytest.raises(Refused):
        await bench.cluster.write(WriteRequest("evict", bench.ref("Deployment", "web"), PLAIN, body))
    assert await bench.get("Deployment", "web")


async def test_a_cluster_scoped_object_has_no_namespace(bench: Bench) -> None:
    name = (await bench.cluster.list("Node", bench.namespace)).items[0]["metadata"]["name"]
    assert (await bench.cluster.get(ObjectRef("Node", bench.namespace, name)))["metadata"]["name"] == name


async def test_a_status_is_not_ours_to_patch(bench: Bench) -> None:
    await bench.create(m.deployment("web", spec={"paused": True}))
    patched = await bench.patch("Deployment", "web", {"status": {"replicas": 99}})
    assert dig(patched, "status", "replicas", default=0) != 99


# Writing: preconditions


@pytest.mark.parametrize("content_type", [MERGE, STRATEGIC, JSON_PATCH])
async def test_a_stale_version_is_a_conflict(bench: Bench, content_type: str) -> None:
    read = await bench.create(m.deployment("web"))
    await bench.patch("Deployment", "web", {"metadata": {"labels": {"someone": "else"}}})
    with pytest.raises(Conflict):
        await bench.patch("Deployment", "web", bound(version_of(read), content_type), content_type)
    assert (await bench.get("Deployment", "web"))["spec"]["replicas"] == 3


@pytest.mark.parametrize("content_type", [MERGE, STRATEGIC, JSON_PATCH])
async def test_a_current_version_passes_once(bench: Bench, content_type: str) -> None:
    """The property that the attempt protocol stands on: the same bytes cannot take effect twice."""
    await bench.create(m.deployment("web", spec={"paused": True}))
    await bench.backend.rest()
    body = bound(version_of(await bench.get("Deployment", "web")), content_type)
    patched = await bench.patch("Deployment", "web", body, content_type)
    assert patched["spec"]["replicas"] == 2
    with pytest.raises(Conflict):
        await bench.patch("Deployment", "web", body, content_type)


@pytest.mark.parametrize("content_type", [MERGE, STRATEGIC, JSON_PATCH])
async def test_a_dry_run_keeps_the_precondition(bench: Bench, content_type: str) -> None:
    read = await bench.create(m.deployment("web"))
    await bench.patch("Deployment", "web", {"metadata": {"labels": {"someone": "else"}}})
    with pytest.raises(Conflict):
        await bench.patch("Deployment", "web", bound(version_of(read), content_type), content_type, dry_run=True)


def bound(version: str, content_type: str) -> Any:
    """A scaling to 2, bound to a resourceVersion."""
    if content_type != JSON_PATCH:
        return {"metadata": {"resourceVersion": version}, "spec": {"replicas": 2}}
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/replicas", "value": 2},
    ]


async def test_a_controllers_status_makes_a_version_stale(bench: Bench) -> None:
    created = await bench.create(m.deployment("web"))
    await bench.rolled_out("Deployment", "web")
    read = await bench.get("Deployment", "web")
    assert generation_of(read) == generation_of(created)
    with pytest.raises(Conflict):
        await bench.patch("Deployment", "web", bound(version_of(created), MERGE))


@pytest.mark.parametrize("content_type", [MERGE, STRATEGIC])
async def test_another_uid_under_the_same_name_is_gone(bench: Bench, content_type: str) -> None:
    await bench.create(m.deployment("web"))
    body = {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "spec": {"replicas": 2}}
    with pytest.raises(TargetGone):
        await bench.patch("Deployment", "web", body, content_type)
    assert (await bench.get("Deployment", "web"))["spec"]["replicas"] == 3


async def test_the_right_uid_passes(bench: Bench) -> None:
    created = await bench.create(m.deployment("web"))
    patched = await bench.patch("Deployment", "web", {"metadata": {"uid": uid_of(created)}, "spec": {"replicas": 2}})
    assert patched["spec"]["replicas"] == 2


# Writing: dry run


async def test_a_dry_run_shows_the_result_and_changes_nothing(bench: Bench) -> None:
    await bench.create(m.deployment("web", spec={"paused": True}))
    await bench.backend.rest()
    before = await bench.get("Deployment", "web")
    body = {"metadata": {"annotations": {MARKER: "e-1"}}, "spec": {"replicas": 5}}
    shown = await bench.patch("Deployment", "web", body, dry_run=True)
    assert shown["spec"]["replicas"] == 5
    assert annotations_of(shown)[MARKER] == "e-1"
    assert generation_of(shown) == (generation_of(before) or 0) + 1
    await bench.backend.rest()
    after = await bench.get("Deployment", "web")
    assert version_of(after) == version_of(before)
    assert after == before


async def test_a_dry_run_creates_nothing(bench: Bench) -> None:
    shown = await bench.create(m.deployment("web"), dry_run=True)
    assert shown["spec"]["revisionHistoryLimit"] == 10
    assert await bench.list("Deployment") == []
    with pytest.raises(Refused):
        await bench.create({**m.deployment("web"), "spec": {"replicas": 1}}, dry_run=True)


async def test_a_dry_run_deletes_nothing(bench: Bench) -> None:
    """The trap: with a body, the API server ignores `?dryRun=All` and really deletes."""
    await bench.running(m.deployment("web", replicas=1))
    pod = (await bench.pods("web"))[0]
    await bench.delete("Pod", pod["metadata"]["name"], preconditions={"uid": uid_of(pod)}, dry_run=True)
    await bench.evict(pod, dry_run=True)
    await bench.delete("Deployment", "web", dry_run=True)
    await bench.backend.rest()
    assert [uid_of(p) for p in await bench.pods("web")] == [uid_of(pod)]
    assert "deletionTimestamp" not in (await bench.get("Pod", pod["metadata"]["name"]))["metadata"]


async def test_a_dry_run_of_a_deletion_keeps_the_precondition(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1))
    pod = (await bench.pods("web"))[0]
    with pytest.raises(TargetGone):
        await bench.delete("Pod", pod["metadata"]["name"], preconditions={"uid": "another"}, dry_run=True)
    with pytest.raises(TargetGone):
        await bench.evict(pod, uid="another", dry_run=True)


# Writing: create


async def test_a_second_creation_is_a_conflict_that_says_so(bench: Bench) -> None:
    await bench.create(m.job("once"))
    with pytest.raises(Conflict, match="already exists"):
        await bench.create(m.job("once"))
    with pytest.raises(Conflict, match="already exists"):
        await bench.create(m.job("once"), dry_run=True)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"spec": {"template": {"spec": {"containers": []}}}}, id="no containers"),
        pytest.param({"spec": {"replica": 1}}, id="unknown field"),
        pytest.param({"kind": "DaemonSet"}, id="another kind"),
    ],
)
async def test_a_wrong_creation_is_refused(bench: Bench, change: dict[str, Any]) -> None:
    body = {**m.deployment("web"), **change}
    ref = bench.ref("Deployment", "web")
    with pytest.raises(Refused):
        await bench.cluster.write(WriteRequest("create", ref, PLAIN, orjson.dumps(body)))


async def test_nothing_is_created_in_a_namespace_that_is_not_there(bench: Bench) -> None:
    ref = ObjectRef("Deployment", "no-such-namespace", "web")
    with pytest.raises(TargetGone):
        await bench.cluster.write(WriteRequest("create", ref, PLAIN, orjson.dumps(m.deployment("web"))))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../pods"])
@pytest.mark.parametrize("verb", ["patch", "delete", "evict"])
async def test_a_name_that_is_none_reaches_nothing(bench: Bench, verb: Any, name: str) -> None:
    """An empty name would address the whole collection: DELETE on it deletes everything."""
    await bench.running(m.deployment("web", replicas=1))
    with pytest.raises(EffectError):
        await bench.cluster.write(WriteRequest(verb, ObjectRef("Pod", bench.namespace, name), PLAIN, b"{}"))
    with pytest.raises((NotFound, CannotSee)):
        await bench.cluster.get(ObjectRef("Pod", bench.namespace, name))
    assert len(await bench.pods("web")) == 1


# Who did what


@pytest.mark.parametrize(
    ("manifest", "by_annotation", "spec"),
    [
        pytest.param(m.deployment("web"), True, {"replicas": 1}, id="Deployment"),
        pytest.param(m.statefulset("web"), False, {"replicas": 1}, id="StatefulSet"),
        pytest.param(m.daemonset("web"), False, {"minReadySeconds": 1}, id="DaemonSet"),
        pytest.param(m.job("web"), False, {"suspend": True}, id="Job"),
        pytest.param(CRON_JOB, False, {"suspend": True}, id="CronJob"),
        pytest.param(m.disruption_budget("web", min_available=1), False, {"minAvailable": 2}, id="PDB"),
        pytest.param(scaler(), None, {"minReplicas": 2}, id="HPA"),
        pytest.param(SERVICE, None, {"selector": {"app": "other"}}, id="Service"),
        pytest.param(CLAIM, None, None, id="PVC"),
    ],
)
async def test_what_raises_the_generation(
    bench: Bench, manifest: dict[str, Any], by_annotation: bool | None, spec: dict[str, Any] | None
) -> None:
    """None: the kind has no generation, so a probe has to look into managedFields."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    created = await bench.create(manifest)
    noted = await bench.patch(kind, name, {"metadata": {"annotations": {"note": "1"}}})
    labelled = await bench.patch(kind, name, {"metadata": {"labels": {"note": "1"}}})
    if by_annotation is None:
        assert [generation_of(o) for o in (created, noted, labelled)] == [None, None, None]
    else:
        assert generation_of(noted) == (generation_of(created) or 0) + by_annotation
        assert generation_of(labelled) == generation_of(noted)
    if spec is not None:
        changed = await bench.patch(kind, name, {"spec": spec})
        expected = None if by_annotation is None else (generation_of(labelled) or 0) + 1
        assert generation_of(changed) == expected


async def test_our_writes_carry_our_name_and_the_marker_stays(bench: Bench) -> None:
    await bench.running(m.deployment("web"))
    await bench.patch("Deployment", "web", {"metadata": {"annotations": {MARKER: "e-1"}}, "spec": {"replicas": 2}})
    await bench.rolled_out("Deployment", "web")
    read = await bench.get("Deployment", "web")
    assert annotations_of(read)[MARKER] == "e-1"
    entries = read["metadata"]["managedFields"]
    mine = [e for e in entries if e["manager"] == FIELD_MANAGER and not e.get("subresource")]
    assert len(mine) == 1
    assert mine[0]["operation"] == "Update"
    assert f"f:{MARKER}" in mine[0]["fieldsV1"]["f:metadata"]["f:annotations"]
    assert mine[0]["fieldsV1"]["f:spec"]["f:replicas"] == {}
    status = [e for e in entries if e.get("subresource") == "status"]
    assert [e["manager"] for e in status] == ["kube-controller-manager"]
    assert "f:status" in status[0]["fieldsV1"]


async def test_the_marker_is_copied_to_the_replica_set(bench: Bench) -> None:
    """The hazard behind "compare the effect id": a rollback by kubectl can bring an old marker back."""
    await bench.running(m.deployment("web"))
    await bench.patch("Deployment", "web", {"metadata": {"annotations": {MARKER: "e-1"}}})

    async def copied() -> bool:
        return all(annotations_of(rs).get(MARKER) == "e-1" for rs in await bench.list("ReplicaSet", labels="app=web"))

    await bench.settle(copied)


# Deletion


async def test_a_deleted_pod_is_replaced(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=2))
    pod = (await bench.pods("web"))[0]
    await bench.delete("Pod", pod["metadata"]["name"], preconditions={"uid": uid_of(pod)})
    await bench.gone("Pod", pod["metadata"]["name"], uid_of(pod))
    await bench.rolled_out("Deployment", "web")
    uids = [uid_of(p) for p in await bench.pods("web")]
    assert len(uids) == 2
    assert uid_of(pod) not in uids


async def test_deletion_is_bound_to_uid_and_version(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1))
    pod = (await bench.pods("web"))[0]
    name = pod["metadata"]["name"]
    with pytest.raises(TargetGone):
        await bench.delete("Pod", name, preconditions={"uid": "another"})
    with pytest.raises(TargetGone):
        await bench.evict(pod, uid="another")
    with pytest.raises(Conflict):
        await bench.delete("Pod", name, preconditions={"resourceVersion": "1"})
    assert [uid_of(p) for p in await bench.pods("web")] == [uid_of(pod)]


async def test_a_finalizer_holds_what_is_deleted(bench: Bench) -> None:
    held = {**SERVICE, "metadata": {"name": "web", "finalizers": ["example.com/hold"]}}
    created = await bench.create(held)
    await bench.delete("Service", "web")
    assert "deletionTimestamp" in (await bench.get("Service", "web"))["metadata"]
    await bench.patch("Service", "web", {"metadata": {"finalizers": None}})
    await bench.gone("Service", "web", uid_of(created))


async def test_dependents_follow_their_owner(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=2))
    await bench.delete("Deployment", "web", propagationPolicy="Background")

    async def nothing_left() -> bool:
        return not await bench.list("ReplicaSet", labels="app=web") and not await bench.list("Pod", labels="app=web")

    await bench.settle(nothing_left)


async def test_dependents_go_first_in_the_foreground(bench: Bench) -> None:
    created = await bench.running(m.deployment("web", replicas=1))
    await bench.delete("Deployment", "web", propagationPolicy="Foreground")
    await bench.gone("Deployment", "web", uid_of(created))
    assert await bench.pods("web") == []


# Logs


async def test_logs_of_now_and_before(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1))
    pod = ref_of((await bench.pods("web"))[0])
    lines = [f"line {i}" for i in range(50)]
    await bench.backend.set_logs(pod, "\n".join(lines) + "\n", '{"a": true}\n')
    assert (await bench.cluster.logs(pod, lines=3)).splitlines() == lines[-3:]
    assert (await bench.cluster.logs(pod, limit_bytes=20)).endswith("line 49\n")
    assert len(await bench.cluster.logs(pod, limit_bytes=20)) == 20


async def test_logs_that_are_not_there(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1))
    pod = ref_of((await bench.pods("web"))[0])
    with pytest.raises(NotFound):
        await bench.cluster.logs(pod, container="nobody")
    with pytest.raises(NotFound):
        await bench.cluster.logs(ObjectRef("Pod", bench.namespace, "nobody"))
    with pytest.raises(NotFound):
        await bench.cluster.logs(pod, previous=True)


async def test_labels_of_pods_come_from_the_template(bench: Bench) -> None:
    await bench.running(m.deployment("web", replicas=1, pod_annotations={"a": "1"}))
    pod = (await bench.pods("web"))[0]
    assert labels_of(pod)["app"] == "web"
    assert annotations_of(pod)["a"] == "1"
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
