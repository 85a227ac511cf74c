"""The two clusters that the contract suite runs against, and how each waits for something to come true."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import orjson

from remediator.adapters.kubernetes import KubernetesCluster
from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.objects import KINDS, Object, ObjectRef, dig, uid_of
from remediator.ports import Cluster, WriteRequest
from tests.support.controlplane import ControlPlane
from tests.support.controlplane import manifests as m

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
PLAIN = "application/json"

Condition = Callable[[], Awaitable[bool]]


class Backend(Protocol):
    """A cluster under test, with a namespace of its own."""

    cluster: Cluster
    namespace: str

    async def settle(self, holds: Condition, *, within_s: float = 60.0) -> None:
        """Let the cluster work until the condition holds. Raises: TimeoutError."""
        ...

    async def rest(self) -> None:
        """Let the cluster do what it would do by itself, where nothing is expected to happen."""
        ...

    async def restricted(self) -> Cluster:
        """The same cluster as somebody who may only read pods."""
        ...

    async def set_logs(self, pod: ObjectRef, current: str, previous: str) -> None: ...

    async def close(self) -> None: ...


class Simulated:
    """The simulated cluster on virtual time."""

    def __init__(self) -> None:
        self.cluster: Cluster
        self._simulated = self.cluster = SimulatedCluster("test", VirtualClock())
        self.namespace = "contract"
        self._simulated.add_namespace(self.namespace)

    async def settle(self, holds: Condition, *, within_s: float = 20.0) -> None:
        for _ in range(int(within_s / 0.05)):
            if await holds():
                return
            self._simulated.advance(0.05)
            await asyncio.sleep(0)
        raise TimeoutError("it did not come true")

    async def rest(self) -> None:
        self.advance(5.0)

    def advance(self, seconds: float) -> None:
        self._simulated.advance(seconds)

    async def restricted(self) -> Cluster:
        for verb in ("create", "patch", "delete"):
            self._simulated.forbid(verb, "*")
        self._simulated.forbid("create", "*", subresource="eviction")
        for kind in set(KINDS) - {"Pod"}:
            self._simulated.forbid("*", kind)
        return self._simulated

    async def set_logs(self, pod: ObjectRef, current: str, previous: str) -> None:
        self._simulated.log_of = lambda _, __, earlier: previous if earlier else current

    async def close(self) -> None:
        await self.cluster.close()


class Real:
    """The real API server and controllers of the test control plane."""

    def __init__(self, plane: ControlPlane, namespace: str, cluster: KubernetesCluster) -> None:
        self.cluster: Cluster = cluster
        self.namespace = namespace
        self._plane = plane
        self._others: list[KubernetesCluster] = []

    @classmethod
    async def connect(cls, plane: ControlPlane, namespace: str) -> Real:
        return cls(plane, namespace, await KubernetesCluster.connect("test", kubeconfig=plane.kubeconfig))

    async def settle(self, holds: Condition, *, within_s: float = 60.0) -> None:
        async with asyncio.timeout(within_s):
            while not await holds():  # noqa: ASYNC110 there is no event to wait for but the API server's own
                await asyncio.sleep(0.05)

    async def rest(self) -> None:
        await asyncio.sleep(0.5)

    async def restricted(self) -> Cluster:
        client, account = self._plane.client, "restricted"
        rules = (("", "pods pods/log", "get list watch"),)
        client.create(m.role(account, *rules), self.namespace)
        binding = m.role_binding(account, role=account, service_account=account, namespace=self.namespace)
        client.create(binding, self.namespace)
        token = self._plane.token_for(self.namespace, account)
        kubeconfig = self._plane.kubeconfig_for(token, f"{self.namespace}-{account}")
        other = await KubernetesCluster.connect("test", kubeconfig=kubeconfig)
        self._others.append(other)

        async def may_read() -> bool:  # RBAC takes a moment to arrive at the authoriser
            return await other.allowed("list", "Pod", self.namespace)

        await self.settle(may_read)
        return other

    async def set_logs(self, pod: ObjectRef, current: str, previous: str) -> None:
        await asyncio.to_thread(self._plane.set_logs, pod.namespace, pod.name, current, previous)

    async def close(self) -> None:
        for cluster in (*self._others, self.cluster):
            await cluster.close()


class Bench:
    """Short forms for the tests: everything goes through the port."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.cluster = backend.cluster
        self.namespace = backend.namespace
        self._names = itertools.count()

    def ref(self, kind: str, name: str) -> ObjectRef:
        return ObjectRef(kind, self.namespace if KINDS[kind].namespaced else "", name)

    async def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        ref = self.ref(manifest["kind"], manifest["metadata"]["name"])
        body = {**manifest, "metadata": {**manifest["metadata"], "namespace": self.namespace}}
        return await self.cluster.write(WriteRequest("create", ref, PLAIN, orjson.dumps(body)), dry_run=dry_run)

    async def get(self, kind: str, name: str) -> Object:
        return await self.cluster.get(self.ref(kind, name))

    async def patch(
        self, kind: str, name: str, body: Any, content_type: str = MERGE, *, dry_run: bool = False
    ) -> Object:
        request = WriteRequest("patch", self.ref(kind, name), content_type, orjson.dumps(body))
        return await self.cluster.write(request, dry_run=dry_run)

    async def delete(self, kind: str, name: str, *, dry_run: bool = False, **options: Any) -> Object:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", **options}
        request = WriteRequest("delete", self.ref(kind, name), PLAIN, orjson.dumps(body))
        return await self.cluster.write(request, dry_run=dry_run)

    async def evict(self, pod: Object, *, uid: str | None = None, dry_run: bool = False) -> Object:
        name = pod["metadata"]["name"]
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": self.namespace},
            "deleteOptions": {"preconditions": {"uid": uid if uid is not None else uid_of(pod)}},
        }
        request = WriteRequest("evict", self.ref("Pod", name), PLAIN, orjson.dumps(body))
        return await self.cluster.write(request, dry_run=dry_run)

    async def pods(self, app: str) -> list[Object]:
        """Pods of a workload that are not on their way out."""
        found = await self.cluster.list("Pod", self.namespace, labels=f"app={app}")
        return [p for p in found.items if "deletionTimestamp" not in p["metadata"]]

    async def list(self, kind: str, **selectors: str) -> list[Object]:
        return list((await self.cluster.list(kind, self.namespace, **selectors)).items)

    async def settle(self, holds: Condition, *, within_s: float = 60.0) -> None:
        await self.backend.settle(holds, within_s=within_s)

    async def running(self, manifest: Mapping[str, Any]) -> Object:
        """Create a workload and wait until it is rolled out."""
        await self.create(manifest)
        await self.rolled_out(manifest["kind"], manifest["metadata"]["name"])
        return await self.get(manifest["kind"], manifest["metadata"]["name"])

    async def rolled_out(self, kind: str, name: str) -> None:
        async def done() -> bool:
            return is_rolled_out(await self.get(kind, name))

        await self.settle(done)

    async def gone(self, kind: str, name: str, uid: str) -> None:
        """Wait until this very object is no more."""

        async def absent() -> bool:
            return all(uid_of(o) != uid for o in await self.list(kind, fields=f"metadata.name={name}"))

        await self.settle(absent)


def is_rolled_out(workload: Object) -> bool:
    """`kubectl rollout status`, in the strict form for StatefulSets."""
    status = workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return False
    match workload["kind"]:
        case "Deployment":
            wanted = workload["spec"]["replicas"]
            return all(status.get(f, 0) == wanted for f in ("updatedReplicas", "replicas", "availableReplicas"))
        case "StatefulSet":
            wanted = workload["spec"]["replicas"]
            updated = status.get("updateRevision") == status.get("currentRevision")
            return updated and all(status.get(f, 0) == wanted for f in ("readyReplicas", "updatedReplicas"))
        case "DaemonSet":
            wanted = status.get("desiredNumberScheduled", 0)
            counts = ("updatedNumberScheduled", "numberAvailable")
            return wanted > 0 and all(status.get(f, 0) == wanted for f in counts)
        case _:
            return True


def is_ready(pod: Object) -> bool:
    conditions = dig(pod, "status", "conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def image_of(obj: Object) -> str:
    spec = obj["spec"] if obj["kind"] == "Pod" else obj["spec"]["template"]["spec"]
    return str(spec["containers"][0]["image"])
