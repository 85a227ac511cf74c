"""A Prometheus of prepared answers and a cluster of prepared objects, for checks and collectors."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.alerts.alert import Alert
from remediator.errors import NotFound, ReadError
from remediator.objects import Object, ObjectRef, dig, labels_of
from remediator.ports import AlertRule, ObjectList, Sample, Series, WatchEvent, WriteRequest
from remediator.remediation.checks.base import CheckContext, CheckTarget, HttpAnswer, MetricLabels

NOW = datetime(2025, 6, 1, 10, 0, 0, tzinfo=UTC)
EFFECT = NOW - timedelta(minutes=3)
API = ObjectRef("Deployment", "shop", "api")
UID = "uid-api"


def vector(value: float, at: datetime = NOW, **labels: str) -> tuple[Sample, ...]:
    return (Sample(labels, value, at),)


@dataclass
class FakeQueries:
    """Answers a query by the first pattern found in it; a query nobody expected is a failure of the test."""

    answers: list[tuple[str, tuple[Sample, ...] | Exception]] = field(default_factory=list)
    alert_rules: tuple[AlertRule, ...] | Exception = ()
    series: tuple[Series, ...] | Exception = ()
    asked: list[str] = field(default_factory=list)
    ranges: list[tuple[str, datetime, datetime, float]] = field(default_factory=list)

    def on(self, pattern: str, answer: tuple[Sample, ...] | Exception) -> FakeQueries:
        """Later answers come before earlier ones, so a test can change one of a prepared set."""
        self.answers.insert(0, (pattern, answer))
        return self

    async def instant(self, query: str) -> tuple[Sample, ...]:
        self.asked.append(query)
        for pattern, answer in self.answers:
            if re.search(pattern, query):
                if isinstance(answer, Exception):
                    raise answer
                return answer
        raise AssertionError(f"unexpected query {query}")

    async def range(self, query: str, *, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        self.ranges.append((query, start, end, step_s))
        if isinstance(self.series, Exception):
            raise self.series
        return self.series

    async def rules(self, alertname: str) -> tuple[AlertRule, ...]:
        if isinstance(self.alert_rules, Exception):
            raise self.alert_rules
        return tuple(r for r in self.alert_rules if r.name == alertname)

    async def close(self) -> None: ...


@dataclass
class FakeCluster:
    """Objects in a list, filtered by `a=b` labels or involvedObject.uid. `broken`: kinds that cannot be read."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    broken: dict[str, ReadError] = field(default_factory=dict)
    log_texts: dict[tuple[str, str, bool], str | ReadError] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    name: str = "prod"

    async def get(self, ref: ObjectRef) -> Object:
        self.reads.append(str(ref))
        if ref.kind in self.broken:
            raise self.broken[ref.kind]
        for obj in self.objects:
            meta = obj["metadata"]
            if (obj["kind"], meta.get("namespace", ""), meta["name"]) == (ref.kind, ref.namespace, ref.name):
                return obj
        raise NotFound(f"{ref} not found")

    async def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        self.reads.append(f"list {kind}")
        if kind in self.broken:
            raise self.broken[kind]
        wanted = dict(part.split("=") for part in labels.split(",")) if labels else {}
        uid = fields.removeprefix("involvedObject.uid=")
        return ObjectList(
            tuple(
                o
                for o in self.objects
                if o["kind"] == kind
                and (not namespace or o["metadata"].get("namespace") == namespace)
                and all(labels_of(o).get(k) == v for k, v in wanted.items())
                and (not uid or dig(o, "involvedObject", "uid") == uid)
            ),
            "1",
        )

    async def logs(
        self, pod: ObjectRef, *, container: str = "", previous: bool = False, lines: int = 100, limit_bytes: int = 65536
    ) -> str:
        found = self.log_texts.get((pod.name, container, previous), NotFound(f"no log of {pod.name}/{container}"))
        if isinstance(found, ReadError):
            raise found
        return found

    def watch(self, kind: str, namespace: str = "", *, resource_version: str) -> AsyncIterator[WatchEvent]:
        raise NotImplementedError

    async def write(self, request: WriteRequest, *, dry_run: bool = False) -> Object:
        raise AssertionError("checks and collectors never write")

    async def allowed(self, verb: str, kind: str, namespace: str, *, subresource: str = "", name: str = "") -> bool:
        raise NotImplementedError

    async def server_time(self) -> datetime:
        raise NotImplementedError

    async def close(self) -> None: ...


@dataclass
class FakeProbe:
    """Answers every address alike, and remembers them."""

    answer: HttpAnswer | ReadError = field(default_factory=lambda: HttpAnswer(200, ""))
    asked: list[str] = field(default_factory=list)

    async def get(self, url: str, *, timeout_s: float, limit_bytes: int) -> HttpAnswer:
        self.asked.append(url)
        if isinstance(self.answer, ReadError):
            raise self.answer
        return self.answer


def deployment(
    *,
    replicas: int = 3,
    updated: int | None = None,
    available: int | None = None,
    total: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Deployment shop/api, complete unless told otherwise. `more`: generation, observed, conditions, paused."""
    updated = replicas if updated is None else updated
    available = replicas if available is None else available
    spec: dict[str, Any] = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "api"}},
        "template": {"spec": {"containers": [{"name": "app", "image": "api:v1"}]}},
    }
    spec |= {k: more[k] for k in ("paused", "strategy") if k in more}
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "api", "namespace": "shop", "uid": UID, "generation": more.get("generation", 2)},
        "spec": spec,
        "status": {
            "observedGeneration": more.get("observed", more.get("generation", 2)),
            "replicas": replicas if total is None else total,
            "updatedReplicas": updated,
            "readyReplicas": available,
            "availableReplicas": available,
            "conditions": more.get("conditions", [progressing("NewReplicaSetAvailable")]),
        },
    }


def progressing(reason: str, status: str = "True", at: datetime | None = None) -> dict[str, Any]:
    condition: dict[str, Any] = {"type": "Progressing", "status": status, "reason": reason}
    return condition if at is None else {**condition, "lastUpdateTime": at.strftime("%Y-%m-%dT%H:%M:%SZ")}


def replicaset(name: str = "api-7d9f", uid: str = "uid-rs", owner: str = UID) -> dict[str, Any]:
    return {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": uid,
            "labels": {"app": "api"},
            "ownerReferences": [{"kind": "Deployment", "name": "api", "uid": owner, "controller": True}],
        },
    }


def pod(
    name: str = "api-7d9f-bcdfg",
    *,
    ready: bool = True,
    created: datetime = NOW - timedelta(minutes=2),
    owner: str = "uid-rs",
    restarts: int = 0,
    waiting: str = "",
    phase: str = "Running",
    deleting: bool = False,
    terminated: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-{name}",
        "labels": {"app": "api"},
        "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ownerReferences": [{"kind": "ReplicaSet", "name": "x", "uid": owner, "controller": True}],
    }
    if deleting:
        meta["deletionTimestamp"] = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    status: dict[str, Any] = {"name": "app", "ready": ready, "restartCount": restarts}
    status["state"] = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    if terminated:
        status["lastState"] = {"terminated": dict(terminated)}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": meta,
        "spec": {"nodeName": "node-1", "containers": [{"name": "app"}]},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [status],
        },
    }


def alert(name: str = "HighErrorRate", *, starts_at: datetime = NOW - timedelta(minutes=20), **labels: str) -> Alert:
    given = {"alertname": name, "namespace": "shop", **labels}
    return Alert(fingerprint="0" * 16, status="firing", labels=given, starts_at=starts_at)


def renderer(**values: Any) -> Callable[[str, Callable[[Any], str]], str]:
    """`${name}` by table; stands for the real templates."""
    return lambda text, put: re.sub(r"\$\{(?:params\.)?(\w+)\}", lambda m: put(values[m[1]]), text)


def context(**more: Any) -> CheckContext:
    """A moment three minutes after an effect on shop/api, everything healthy, no Prometheus."""
    given: dict[str, Any] = {
        "cluster": FakeCluster([deployment(), replicaset(), *(pod(f"api-7d9f-{x * 5}") for x in "bcd")]),
        "targets": (CheckTarget(API, UID),),
        "now": NOW,
        "since": EFFECT,
        "labels": MetricLabels(),
    }
    return CheckContext(**given | more)
