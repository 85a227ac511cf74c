"""Random stories told to both clusters at once: after every step both must come to rest in the same state.

The contract suite says what we thought of; this finds what we did not. When it fails, the real cluster is right.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from remediator.adapters.kubernetes import KubernetesCluster
from remediator.errors import EffectError, NotFound
from remediator.objects import Object, ObjectRef, annotations_of, dig, generation_of
from remediator.ports import WriteRequest
from tests.contract.backends import JSON_PATCH, PLAIN, Bench, Real, Simulated, image_of, is_ready
from tests.support.controlplane import ControlPlane
from tests.support.controlplane import manifests as m

MAKERS: dict[str, Any] = {"Deployment": m.deployment, "StatefulSet": m.statefulset, "DaemonSet": m.daemonset}
REVISION = "deployment.kubernetes.io/revision"
STORIES, STEPS = 5, 7
REST_S = 60.0
"""Virtual: enough for everything but crash loops and progress deadlines, which the stories leave out."""

Step = tuple[str, Any]


def story(seed: int) -> list[Step]:
    rng = random.Random(seed)
    rolling = {"maxSurge": rng.choice([0, 1, "50%"]), "maxUnavailable": rng.choice([1, "50%"])}
    steps: list[Step] = [
        ("image", rng.choice(["v1", "v2", "v3"])),
        ("image", rng.choice(["bad", "nopull"])),
        ("scale", rng.randrange(7)),
        ("scale", rng.randrange(7)),
        ("pause", True),
        ("pause", False),
        ("restart", rng.random()),
        ("note", rng.random()),
        ("unready", None),
        ("evict", None),
        ("delete", None),
        ("budget", rng.choice([1, 2, "50%"])),
        ("rollback", None),
        ("strategy", {"type": "RollingUpdate", "rollingUpdate": rolling}),
        ("strategy", {"type": "Recreate", "rollingUpdate": None}),
    ]
    return rng.choices(steps, k=STEPS)


async def take(bench: Bench, kind: str, step: Step) -> str:
    """Do one step; how it ended."""
    try:
        await _take(bench, kind, *step)
    except EffectError as exc:
        return f"{type(exc).__name__}{' by budget' if getattr(exc, 'disruption_budget', False) else ''}"
    return "done"


async def _take(bench: Bench, kind: str, what: str, value: Any) -> None:
    match what:
        case "image":
            containers = [{"name": "app", "image": f"app:{value}"}]
            await bench.patch(kind, "web", {"spec": {"template": {"spec": {"containers": containers}}}})
        case "scale" if kind != "DaemonSet":
            await bench.patch(kind, "web", {"spec": {"replicas": value}})
        case "pause" if kind == "Deployment":
            await bench.patch(kind, "web", {"spec": {"paused": value}})
        case "strategy" if kind == "Deployment":
            await bench.patch(kind, "web", {"spec": {"strategy": value}})
        case "restart":
            await bench.patch(kind, "web", {"spec": {"template": {"metadata": {"annotations": {"at": str(value)}}}}})
        case "note":
            await bench.patch(kind, "web", {"metadata": {"annotations": {"note": str(value)}}})
        case "budget":
            await bench.create(m.disruption_budget("web", min_available=value))
        case "rollback" if kind == "Deployment":
            await _roll_back(bench)
        case "unready" | "evict" | "delete":
            await _take_pod(bench, what)
        case _:
            pass


async def _take_pod(bench: Bench, what: str) -> None:
    """One pod, chosen by what both clusters have in common: names are random, but for a StatefulSet's."""
    pods = sorted(await bench.pods("web"), key=lambda p: (not is_ready(p), image_of(p), p["metadata"]["name"]))
    if not pods:
        return
    pod, name = pods[0], pods[0]["metadata"]["name"]
    match what:
        case "unready":
            mark = {"metadata": {"annotations": {"test.remediator.dev/unready": "true"}}}
            await bench.patch("Pod", name, mark)
        case "evict":
            await bench.evict(pod)
        case _:
            await bench.delete("Pod", name)


async def _roll_back(bench: Bench) -> None:
    sets = sorted(await bench.list("ReplicaSet", labels="app=web"), key=lambda rs: int(annotations_of(rs)[REVISION]))
    if len(sets) > 1:
        template: Any = sets[-2]["spec"]["template"]
        del template["metadata"]["labels"]["pod-template-hash"]
        replace = {"op": "replace", "path": "/spec/template", "value": template}
        await bench.patch("Deployment", "web", [replace], JSON_PATCH)


async def state(bench: Bench, kind: str) -> dict[str, Any]:
    """What can be seen of the workload, without names, times, hashes and what is decided by a race."""
    workload = await bench.get(kind, "web")
    status = dict(workload["status"])
    revisions = (status.pop("updateRevision", None), status.pop("currentRevision", None))
    for unlike in ("conditions", "collisionCount", "terminatingReplicas"):
        status.pop(unlike, None)
    return {
        "status": status,
        "generation": generation_of(workload),
        "replicas": workload["spec"].get("replicas"),
        "one revision": revisions[0] == revisions[1],
        "conditions": sorted(map(_condition, dig(workload, "status", "conditions") or ())),
        "replica sets": sorted(map(_replica_set, await bench.list("ReplicaSet", labels="app=web"))),
        "revisions": sorted(
            (r["revision"], r["data"]["spec"]["template"]["spec"]["containers"][0]["image"])
            for r in await bench.list("ControllerRevision", labels="app=web")
        ),
        "pods": sorted((image_of(p), is_ready(p), p["status"]["phase"]) for p in await bench.list("Pod")),
        "budget": await _budget(bench),
    }


def _condition(condition: Object) -> tuple[str, str, str]:
    # Whether the first progress is noticed before the status is written for another reason is a race over there.
    reason = "progress" if condition["type"] == "Progressing" else condition["reason"]
    return condition["type"], condition["status"], reason


def _replica_set(replica_set: Object) -> tuple[Any, ...]:
    notes = {k: v for k, v in annotations_of(replica_set).items() if k.startswith("deployment.kubernetes.io/")}
    ready = replica_set["status"].get("readyReplicas", 0)
    return image_of(replica_set), replica_set["spec"]["replicas"], ready, sorted(notes.items())


async def _budget(bench: Bench) -> dict[str, Any] | None:
    try:
        found = await bench.get("PodDisruptionBudget", "web")
    except NotFound:
        return None
    return {k: v for k, v in (found.get("status") or {}).items() if k not in ("conditions", "disruptedPods")}


async def tell(real: Bench, kind: str, seed: int) -> list[str]:
    """One story; the first difference with the steps that led to it."""
    backend = Simulated()
    simulated = Bench(backend)
    told: list[Step] = []
    for bench in (real, simulated):
        await bench.create(MAKERS[kind]("web"))
    for step in [("create", None), *story(seed)]:
        told.append(step)
        ends = [await take(bench, kind, step) for bench in (real, simulated)]
        backend.advance(REST_S)
        expected = await state(simulated, kind)
        found = await _wait_for(real, kind, expected)
        if found != expected or ends[0] != ends[1]:
            differences = [f"{k}: real {found[k]}, simulated {expected[k]}" for k in found if found[k] != expected[k]]
            return [f"{kind} seed {seed} after {told}, which ended {ends}", *differences]
    return []


async def _wait_for(real: Bench, kind: str, expected: dict[str, Any]) -> dict[str, Any]:
    """The real state once it is the expected one and stays so, or what it is when time is up."""
    found: dict[str, Any] = {}
    for _ in range(100):
        try:
            found = await state(real, kind)
        except KeyError:  # a status that nobody has written yet
            found = {}
        if found == expected:
            await asyncio.sleep(0.3)
            found = await state(real, kind)
            if found == expected:
                return found
        await asyncio.sleep(0.1)
    return found


@pytest.fixture
async def cluster(control_plane: ControlPlane) -> AsyncIterator[KubernetesCluster]:
    made = await KubernetesCluster.connect("test", kubeconfig=control_plane.kubeconfig)
    yield made
    await made.close()


@pytest.mark.slow
@pytest.mark.controlplane
@pytest.mark.parametrize("kind", list(MAKERS))
async def test_both_clusters_tell_the_same_story(
    control_plane: ControlPlane, cluster: KubernetesCluster, namespace: str, kind: str
) -> None:
    async def one(seed: int) -> list[str]:
        name = f"{namespace[:50]}-{seed}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await cluster.write(WriteRequest("create", ObjectRef("Namespace", "", name), PLAIN, orjson.dumps(body)))
        try:
            return await tell(Bench(Real(control_plane, name, cluster)), kind, seed)
        finally:
            await cluster.write(WriteRequest("delete", ObjectRef("Namespace", "", name), PLAIN, b"{}"))

    differences = await asyncio.gather(*(one(seed) for seed in range(STORIES)))
    assert not any(differences), "\n".join(line for lines in differences for line in lines)
