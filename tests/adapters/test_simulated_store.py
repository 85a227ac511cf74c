"""Objects, versions, history, field ownership, selectors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.adapters.simulated.selectors import BadSelectorError, label_selector, matches_selector
from remediator.adapters.simulated.store import HISTORY, Store
from remediator.errors import CannotSee
from remediator.objects import Object, ObjectRef, version_of
from remediator.ports import WriteRequest

WEB = ObjectRef("Service", "shop", "web")


def service(name: str = "web", **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", **meta},
        "spec": {"ports": [{"port": 80}], "selector": {"app": name}},
    }


@pytest.fixture
def cluster() -> SimulatedCluster:
    return SimulatedCluster("c", VirtualClock())


# History


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "put", "remove", "wait"])), max_size=30))
def test_every_past_moment_can_be_seen_again(steps: list[tuple[str, str]]) -> None:
    clock = VirtualClock()
    store = Store(clock.now)
    moments = []
    for name, step in steps:
        found = store.get("Service", "shop", name)
        if step == "put":
            store.put(service(name))
        elif step == "remove" and found is not None:
            store.remove(found)
        elif step == "wait":
            moments.append((clock.now(), {o["metadata"]["name"]: version_of(o) for o in store.all("Service")}))
            clock.advance(1)
    for at, seen in moments:
        then = store.as_of("Service", at)
        assert {name: version_of(o) for (_, name), o in then.items()} == seen


def test_versions_only_grow_and_every_change_is_told(cluster: SimulatedCluster) -> None:
    store = cluster._world.store
    start = store.version
    cluster.apply(service())
    cluster.edit(WEB, {"metadata": {"annotations": {"a": "1"}}})
    cluster.edit(WEB, {"metadata": {"annotations": {"a": "1"}}})  # changes nothing
    cluster.delete(WEB)
    changes = store.since("Service", start)
    assert [c.type for c in changes] == ["ADDED", "MODIFIED", "DELETED"]
    assert [int(version_of(c.object)) for c in changes] == [c.version for c in changes]


async def test_a_watch_from_too_long_ago_is_expired(cluster: SimulatedCluster) -> None:
    version = (await cluster.list("Service")).resource_version
    cluster.apply(service())
    for i in range(HISTORY):
        cluster.edit(WEB, {"metadata": {"annotations": {"i": str(i)}}})
    with pytest.raises(CannotSee, match="410"):
        await anext(cluster.watch("Service", resource_version=version))


async def test_a_watch_that_breaks_can_be_resumed_unless_the_past_is_forgotten(cluster: SimulatedCluster) -> None:
    changes = cluster.watch("Service", resource_version="1000")
    cluster.apply(service())
    seen = await anext(changes)
    cluster.break_watches()
    with pytest.raises(CannotSee, match="broke"):
        await anext(changes)
    cluster.apply(service("more"))
    resumed = cluster.watch("Service", resource_version=version_of(seen.object))
    assert (await anext(resumed)).object["metadata"]["name"] == "more"
    cluster.break_watches(forget=True)
    with pytest.raises(CannotSee):
        await anext(resumed)
    with pytest.raises(CannotSee, match="410"):
        await anext(cluster.watch("Service", resource_version=version_of(seen.object)))
    version = (await cluster.list("Service")).resource_version
    cluster.apply(service("again"))
    assert (await anext(cluster.watch("Service", resource_version=version))).type == "ADDED"


async def test_a_watch_ends_in_its_time() -> None:
    cluster = SimulatedCluster("c", VirtualClock(), watch_s=60.0)
    cluster.apply(service())
    changes = cluster.watch("Service", resource_version="1000")
    assert (await anext(changes)).type == "ADDED"
    cluster.advance(60)
    assert [event async for event in changes] == []


async def test_a_namespace_means_nothing_to_kinds_without(cluster: SimulatedCluster) -> None:
    node = ObjectRef("Node", "shop", "node-1")
    assert (await cluster.get(node))["metadata"]["name"] == "node-1"
    assert len((await cluster.list("Node", "shop")).items) == 3
    body = b'{"metadata":{"labels":{"a":"b"}}}'
    assert await cluster.write(WriteRequest("patch", node, "application/merge-patch+json", body))


async def test_what_leaves_the_cluster_is_a_copy(cluster: SimulatedCluster) -> None:
    manifest = service(annotations={"a": "1"})
    cluster.apply(manifest)
    manifest["metadata"]["annotations"]["a"] = "2"
    for read in (
        await cluster.get(WEB),
        (await cluster.list("Service")).items[0],
        cluster.peek(WEB),
        cluster.all("Service")[0],
        (await anext(cluster.watch("Service", resource_version="1000"))).object,
    ):
        changed: Any = read
        changed["metadata"]["annotations"]["a"] = "3"
        changed["spec"]["ports"].clear()
    found = await cluster.get(WEB)
    assert found["metadata"]["annotations"] == {"a": "1"}
    assert len(found["spec"]["ports"]) == 1


def test_the_same_seed_tells_the_same_story() -> None:
    def names(seed: int) -> list[str]:
        cluster = SimulatedCluster("c", VirtualClock(), seed=seed)
        cluster.apply(deployment())
        cluster.advance(10)
        return [f"{p['metadata']['name']} {version_of(p)} {p['metadata']['uid']}" for p in cluster.all("Pod")]

    assert names(1) == names(1)
    assert names(1) != names(2)


def deployment(**spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "app:v1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


# managedFields


def owners(obj: Object | None, *path: str) -> list[str]:
    """Managers of a field."""
    assert obj is not None
    found = []
    for entry in obj["metadata"]["managedFields"]:
        fields = entry["fieldsV1"]
        for key in path:
            fields = fields.get(key, None) if fields is not None else None
        if fields is not None:
            found.append(entry["manager"] + ("/" + entry["subresource"] if "subresource" in entry else ""))
    return found


def test_a_field_belongs_to_who_changed_it_last(cluster: SimulatedCluster) -> None:
    cluster.apply(deployment(), manager="argocd-controller")
    ref = ObjectRef("Deployment", "shop", "web")
    replicas, image = ("f:spec", "f:replicas"), ("f:spec", "f:template", "f:spec", "f:containers")
    assert owners(cluster.peek(ref), *replicas) == ["argocd-controller"]

    cluster.edit(ref, {"spec": {"replicas": 4}}, manager="kubectl-edit")
    assert owners(cluster.peek(ref), *replicas) == ["kubectl-edit"]
    assert owners(cluster.peek(ref), *image) == ["argocd-controller"]

    cluster.edit(ref, {"spec": {"replicas": 4}}, manager="helm")  # says the same: takes nothing
    assert owners(cluster.peek(ref), *replicas) == ["kubectl-edit"]


def test_a_removed_field_belongs_to_nobody(cluster: SimulatedCluster) -> None:
    cluster.apply(service(annotations={"a": "1", "b": "1"}), manager="one")
    cluster.edit(WEB, {"metadata": {"annotations": {"a": None}}}, manager="two")
    assert owners(cluster.peek(WEB), "f:metadata", "f:annotations", "f:a") == []
    assert owners(cluster.peek(WEB), "f:metadata", "f:annotations", "f:b") == ["one"]


def test_a_status_leaves_the_other_entries_alone(cluster: SimulatedCluster) -> None:
    """The probe of an unanswered write looks for entries that are no status."""
    ref = ObjectRef("Deployment", "shop", "web")
    cluster.apply(deployment(), manager="kubectl-edit")
    before = cluster.peek(ref)
    cluster.advance(30)
    after = cluster.peek(ref)
    assert before is not None
    assert after is not None
    assert version_of(before) != version_of(after)

    def others(obj: Object) -> list[Any]:
        return [e for e in obj["metadata"]["managedFields"] if e.get("subresource") != "status"]

    assert others(before) == others(after)
    assert owners(after, "f:status") == ["kube-controller-manager/status"]


def test_times_in_managed_fields_are_those_of_the_change(cluster: SimulatedCluster) -> None:
    cluster.apply(service())
    cluster.advance(60)
    cluster.edit(WEB, {"metadata": {"labels": {"a": "b"}}}, manager="late")
    found = cluster.peek(WEB)
    assert found is not None
    times = {e["manager"]: e["time"] for e in found["metadata"]["managedFields"]}
    start = VirtualClock().now()
    assert times["late"] == f"{start + timedelta(seconds=60):%Y-%m-%dT%H:%M:%SZ}"


# Selectors


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a = b , c", {"a": "b", "c": ""}, True),
        ("a=", {"a": ""}, True),
        ("a.b/c-d_e=1.2-3", {"a.b/c-d_e": "1.2-3"}, True),
        ("a in (b)", {"a": "b"}, True),
        ("a in (b, )", {"a": ""}, True),
        ("a notin (b)", {"a": "b"}, False),
        ("a notin (b)", {}, True),
        ("a!=b", {}, True),
        ("!a", {"a": ""}, False),
        ("! a", {}, True),
        ("inner", {"inner": "1"}, True),
        ("notinside=x", {"notinside": "x"}, True),
    ],
)
def test_label_selectors(selector: str, labels: dict[str, str], matches: bool) -> None:
    assert label_selector(selector)(labels) is matches


@pytest.mark.parametrize("selector", ["=b", "a in", "a in (", "a in b", "a=b c=d", "a==b=c", "(a)", ",a", "!"])
def test_selectors_that_make_no_sense(selector: str) -> None:
    with pytest.raises(BadSelectorError):
        label_selector(selector)


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        (None, {"a": "1"}, False),
        ({}, {"a": "1"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {"a": "1"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
        ({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}, {"a": "1"}, False),
    ],
)
def test_selector_objects(selector: Any, labels: dict[str, str], matches: bool) -> None:
    assert matches_selector(selector, labels) is matches


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("spec.unschedulable=true", ["node-2"]),
        ("spec.unschedulable=false", ["node-1", "node-3"]),
        ("spec.unschedulable!=true,metadata.name!=node-1", ["node-3"]),
    ],
)
async def test_fields_that_are_false_when_missing(cluster: SimulatedCluster, field: str, found: list[str]) -> None:
    cluster.edit(ObjectRef("Node", "", "node-2"), {"spec": {"unschedulable": True}})
    nodes = await cluster.list("Node", fields=field)
    assert [n["metadata"]["name"] for n in nodes.items] == found
