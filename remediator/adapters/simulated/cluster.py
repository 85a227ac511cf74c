"""The `Cluster` port on the simulated world, and the handles by which a test or demo moves it."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

from remediator.adapters.answers import effect_error, read_error
from remediator.adapters.simulated import api, nodes, status
from remediator.adapters.simulated.agenda import Agenda, Schedule
from remediator.adapters.simulated.behaviour import BehaviourOf, Timing, by_tag
from remediator.adapters.simulated.clock import Now, VirtualClock
from remediator.adapters.simulated.controllers import Controllers
from remediator.adapters.simulated.defaults import with_defaults
from remediator.adapters.simulated.faults import (
    FailRead,
    Faults,
    LandLater,
    LoseReply,
    LoseRequest,
    NoFaults,
    ReadVerb,
    Reject,
    Stale,
)
from remediator.adapters.simulated.kubelet import Kubelet
from remediator.adapters.simulated.logs import read_log
from remediator.adapters.simulated.patches import MERGE
from remediator.adapters.simulated.selectors import BadSelectorError, select
from remediator.adapters.simulated.store import Change, ExpiredError, Obj, border, key_of
from remediator.adapters.simulated.world import World
from remediator.errors import CannotSee, NotFound, Refused, Uncertain
from remediator.objects import KINDS, Object, ObjectRef, kind_of
from remediator.ports import ObjectList, Verb, WatchEvent, WriteRequest

ZONES = ("a", "b", "c")
NAMESPACES = ("default", "kube-system")
PEOPLE = "kubectl-edit"
"""Who edits by default when we do not: the manager name of `kubectl edit`."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One write of ours that was carried out, as the API server's audit log has it. Rehearsals and Events are not in
    it."""

    at: datetime
    verb: Verb
    ref: ObjectRef
    body: bytes
    late: bool = False
    """It landed after its caller had given up on it."""
    before: Object | None = None
    after: Object | None = None
    """The object around it; `after` None = it is gone."""
    subresource: str = ""


class SimulatedCluster:
    """A Kubernetes cluster in memory.

    Time is `clock`'s. Nothing happens between two calls; each call first lets happen what is due by then. In a test,
    `advance` moves a `VirtualClock` and the cluster with it. With `schedule` (`loop.call_later`) the cluster also moves
    by itself, in real or in virtual time. `latency` (seconds, drawn per direction) makes calls take time and lets
    others run in between; without it they return at once. Watches end after `watch_s`, as a real server's do, or never.
    """

    def __init__(
        self,
        name: str,
        clock: Now,
        *,
        schedule: Schedule | None = None,
        seed: int = 0,
        timing: Timing | None = None,
        faults: Faults | None = None,
        latency: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        watch_s: float | None = None,
        node_count: int = 3,
    ) -> None:
        self._clock = clock
        self._agenda = Agenda(clock, schedule)
        self._world = World(name, self._agenda, timing if timing is not None else Timing(), seed)
        self._world.behaviours = [by_tag]
        self._kubelet = Kubelet(self._world)
        Controllers(self._world)
        self._world.store.listeners.append(self._tell_watchers)
        self._wake_watchers: set[asyncio.Event] = set()
        self._denied: list[tuple[str, str, str]] = []
        self._latency = latency
        self._sleep = sleep
        self._watch_s = watch_s
        self._watch_breaks = 0
        self.faults: Faults = faults if faults is not None else NoFaults()
        self.audit: list[AuditEntry] = []
        self.log_of: Callable[[Object, str, bool], str | None] = lambda pod, container, previous: None
        """(pod, container, previous) → a log, for stories that need a certain one; None = the behaviour's."""
        for namespace in NAMESPACES:
            self.add_namespace(namespace)
        for i in range(node_count):
            self.add_node(f"node-{i + 1}", zone=f"zone-{ZONES[i % len(ZONES)]}")

    # The port

    @property
    def name(self) -> str:
        return self._world.name

    async def get(self, ref: ObjectRef) -> Object:
        at = await self._ask("get", ref)
        objects = self._objects(ref.kind, at)
        obj = objects.get((ref.namespace if KINDS[ref.kind].namespaced else "", ref.name))
        await self._travel()
        if obj is None:
            raise read_error(status.not_found(ref.kind, ref.name).answer)
        return dict(border(obj))

    async def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        at = await self._ask("list", ObjectRef(kind, namespace, ""))
        try:
            matches = select(kind, labels, fields)
        except BadSelectorError as exc:
            raise CannotSee(f"400 BadRequest: {exc}") from exc
        found = [
            obj
            for (where, _), obj in sorted(self._objects(kind, at).items())
            if where in ("", namespace or where) and matches(obj)
        ]
        answer = ObjectList(tuple(border(found)), str(self._world.store.version))
        await self._travel()
        return answer

    async def watch(self, kind: str, namespace: str = "", *, resource_version: str) -> AsyncIterator[WatchEvent]:
        await self._ask("watch", ObjectRef(kind, namespace, ""))
        at, wake, breaks = int(resource_version), asyncio.Event(), self._watch_breaks
        ends = self._agenda.now() + timedelta(seconds=self._watch_s) if self._watch_s is not None else None
        if self._watch_s is not None:
            self._agenda.after(self._watch_s, wake.set)
        self._wake_watchers.add(wake)
        try:
            while True:
                wake.clear()
                try:
                    changes = self._world.store.since(kind, at)
                except ExpiredError as exc:
                    raise CannotSee(f"410 Expired: {exc}") from exc
                for change in changes:
                    at = change.version
                    if key_of(change.object)[0] in ("", namespace or key_of(change.object)[0]):
                        yield WatchEvent(change.type, border(change.object))
                if breaks != self._watch_breaks:
                    raise CannotSee(f"watch of {kind} broke: simulated")
                if ends is not None and self._agenda.now() >= ends:
                    return
                if not changes:
                    await wake.wait()
        finally:
            self._wake_watchers.discard(wake)

    async def write(self, request: WriteRequest, *, dry_run: bool = False) -> Object:
        self._agenda.catch_up()
        await self._travel()
        if request.ref.kind not in KINDS:
            raise Refused(f"kind {request.ref.kind!r} is not known")
        if request.ref.namespace and not KINDS[request.ref.kind].namespaced:
            request = replace(request, ref=replace(request.ref, namespace=""))
        fault = self.faults.on_write(request, dry_run=dry_run)
        match fault:
            case Reject(error):
                raise error
            case LoseRequest():
                raise Uncertain(f"no answer to {request.verb} {request.ref}: simulated")
            case LandLater(delay_s):
                self._agenda.after(delay_s, lambda: self._land(request, dry_run))
                raise Uncertain(f"no answer to {request.verb} {request.ref}: simulated")
            case LoseReply() | None:
                pass
        self._agenda.catch_up()
        try:
            answer = self._carry_out(request, dry_run)
        except status.StatusError as exc:
            if isinstance(fault, LoseReply):
                raise Uncertain(f"no answer to {request.verb} {request.ref}: simulated") from None
            raise effect_error(exc.answer) from exc
        finally:
            await self._travel()
        if isinstance(fault, LoseReply):
            raise Uncertain(f"no answer to {request.verb} {request.ref}: simulated")
        return answer

    async def logs(
        self, pod: ObjectRef, *, container: str = "", previous: bool = False, lines: int = 100, limit_bytes: int = 65536
    ) -> str:
        await self._ask("logs", pod)
        found = self._world.store.at(pod)
        if found is None:
            raise read_error(status.not_found("Pod", pod.name).answer)
        container, text = read_log(self._world, found, container, previous=previous)
        told = self.log_of(border(found), container, previous)
        last = (told if told is not None else text).splitlines(keepends=True)[-lines:] if lines else []
        return "".join(last).encode()[-limit_bytes:].decode("utf-8", "replace")

    async def allowed(self, verb: str, kind: str, namespace: str, *, subresource: str = "", name: str = "") -> bool:
        self._agenda.catch_up()
        return not self._is_denied(verb, kind, subresource)

    async def server_time(self) -> datetime:
        self._agenda.catch_up()
        return self._clock.now().astimezone(UTC).replace(microsecond=0)

    async def close(self) -> None:
        """Nothing to close; open watches are their readers'."""

    # Behind the port

    async def _travel(self) -> None:
        if self._latency is not None:
            await self._sleep(self._latency())
            self._agenda.catch_up()

    async def _ask(self, verb: ReadVerb, ref: ObjectRef) -> datetime | None:
        """What every read begins with. The moment whose state answers it, None for the present."""
        self._agenda.catch_up()
        await self._travel()
        if ref.kind not in KINDS:
            raise NotFound(f"kind {ref.kind!r} is not known")
        subresource = "log" if verb == "logs" else ""
        if self._is_denied("get" if verb == "logs" else verb, ref.kind, subresource):
            raise read_error(status.forbidden(verb, ref, subresource).answer)
        match self.faults.on_read(verb, ref):
            case FailRead(error):
                raise error
            case Stale(age_s):
                return self._clock.now() - timedelta(seconds=age_s)
            case None:
                return None

    def _objects(self, kind: str, at: datetime | None) -> Mapping[tuple[str, str], Obj]:
        if at is not None:
            return self._world.store.as_of(kind, at)
        return {key_of(obj): obj for obj in self._world.store.all(kind)}

    def _carry_out(self, request: WriteRequest, dry_run: bool, *, late: bool = False) -> Object:
        verb, subresource = ("create", "eviction") if request.verb == "evict" else (request.verb, "")
        if self._is_denied(verb, request.ref.kind, subresource):
            raise status.forbidden(verb, request.ref, subresource)
        before = self._world.store.at(request.ref)
        answer = api.handle(self._world, request, dry_run=dry_run)
        if not dry_run and b'"dryRun"' not in request.body and request.ref.kind != "Event":  # messages, no effects
            after = self._world.store.at(request.ref)
            now, part = self._agenda.now(), request.subresource
            self.audit.append(AuditEntry(now, request.verb, request.ref, request.body, late, before, after, part))
        return dict(border(answer))

    def _land(self, request: WriteRequest, dry_run: bool) -> None:
        try:
            self._carry_out(request, dry_run, late=True)
        except status.StatusError:
            return  # nobody is there any more to hear it

    def _is_denied(self, verb: str, kind: str, subresource: str) -> bool:
        return any(v in ("*", verb) and k in ("*", kind) and s == subresource for v, k, s in self._denied)

    def _tell_watchers(self, change: Change) -> None:
        for wake in self._wake_watchers:
            wake.set()

    # Time

    def advance(self, seconds: float) -> None:
        """Move the `VirtualClock` this cluster was made with, and everything that happens meanwhile."""
        if not isinstance(self._clock, VirtualClock):
            raise TypeError("only a VirtualClock can be advanced; another clock moves by itself")
        self._clock.advance(seconds)
        self._agenda.catch_up()

    def run_until(self, holds: Callable[[], bool], *, within_s: float = 600.0) -> float:
        """Advance from event to event until `holds()`; the seconds it took. Raises: TimeoutError."""
        if not isinstance(self._clock, VirtualClock):
            raise TypeError("only a VirtualClock can be advanced; another clock moves by itself")
        start = self._clock.now()
        limit = start + timedelta(seconds=within_s)
        self._agenda.catch_up()
        while not holds():
            due = self._agenda.next_due()
            if due is None or due > limit:
                raise TimeoutError(f"it did not come true within {within_s} s")
            self._clock.advance_to(due)
            self._agenda.catch_up()
        return (self._clock.now() - start).total_seconds()

    # Other people and the world

    def apply(self, *manifests: Object, manager: str = "kubectl-client-side-apply") -> None:
        """Create objects, or change existing ones to what a manifest says (a merge). Namespaces are made as needed."""
        for manifest in manifests:
            self._agenda.catch_up()
            obj: Obj = border(manifest)
            known = KINDS[kind_of(obj)]
            meta = obj["metadata"]
            if known.namespaced:
                self.add_namespace(meta.setdefault("namespace", "default"))
            ref = ObjectRef(kind_of(obj), meta.get("namespace", "") if known.namespaced else "", meta["name"])
            verb: Literal["patch", "create"] = "create" if self._world.store.at(ref) is None else "patch"
            content_type = MERGE if verb == "patch" else "application/json"
            request = WriteRequest(verb, ref, content_type, orjson.dumps(obj))
            api.handle(self._world, request, manager=manager)

    def edit(self, ref: ObjectRef, patch: Mapping[str, Any], *, manager: str = PEOPLE) -> Object:
        """Somebody else's merge patch. Raises: StatusError."""
        self._agenda.catch_up()
        request = WriteRequest("patch", ref, MERGE, orjson.dumps(patch))
        return dict(border(api.handle(self._world, request, manager=manager)))

    def delete(self, ref: ObjectRef, **options: Any) -> None:
        """Somebody else's deletion, with DeleteOptions. Raises: StatusError."""
        self._agenda.catch_up()
        request = WriteRequest("delete", ref, "application/json", orjson.dumps(options))
        api.handle(self._world, request, manager=PEOPLE)

    def set_status(self, ref: ObjectRef, **fields: Any) -> None:
        """Somebody else's status, for kinds that no controller here looks after."""
        self._agenda.catch_up()
        obj = self._world.store.at(ref)
        if obj is None:
            raise KeyError(str(ref))
        self._world.set_status(obj, {**(obj.get("status") or {}), **border(fields)})

    def replace_status(self, ref: ObjectRef, status: Mapping[str, Any]) -> None:
        """The same, whole: what is not given is gone."""
        self._agenda.catch_up()
        obj = self._world.store.at(ref)
        if obj is None:
            raise KeyError(str(ref))
        self._world.set_status(obj, border(dict(status)))

    def backdate(self, ref: ObjectRef, created: str) -> None:
        """An object is older than it could become here; `created` as objects carry it."""
        self._agenda.catch_up()
        obj = self._world.store.at(ref)
        if obj is None:
            raise KeyError(str(ref))
        self._world.store.put({**obj, "metadata": {**obj["metadata"], "creationTimestamp": created}})

    def listen(self, listener: Callable[[Object | None, Object | None], None]) -> None:
        """Tell of every change from now on: the object before and after it, None where there is none. The listener
        must not change anything at once."""
        self._world.store.listeners.append(lambda change: listener(border(change.before), border(change.after)))

    def peek(self, ref: ObjectRef) -> Object | None:
        """An object, without the port's faults and permissions."""
        self._agenda.catch_up()
        obj = self._world.store.at(ref)
        return dict(border(obj)) if obj is not None else None

    def all(self, kind: str, namespace: str = "") -> builtins.list[Object]:
        """All objects of a kind, without the port's faults and permissions."""
        self._agenda.catch_up()
        return [border(obj) for obj in self._world.store.all(kind, namespace)]

    def add_namespace(self, name: str) -> None:
        if self._world.store.get("Namespace", "", name) is None:
            meta = {"name": name, "labels": {"kubernetes.io/metadata.name": name}}
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}
            self._world.create({**space, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})

    def add_node(self, name: str, *, zone: str = "", labels: dict[str, str] | None = None, pods: int = 110) -> None:
        made = self._world.create(with_defaults(nodes.node(name, zone=zone, labels=labels, pods=pods)))
        nodes.report(self._world, made, "True")

    def fail_node(self, name: str) -> None:
        """A node falls silent."""
        self._agenda.catch_up()
        nodes.fail(self._world, self._kubelet, name)

    def recover_node(self, name: str) -> None:
        self._agenda.catch_up()
        nodes.recover(self._world, self._kubelet, name)

    def behave(self, opinion: BehaviourOf) -> Callable[[], None]:
        """From now on ask this first how a pod behaves; pods that run already, too. Returns what takes it back."""
        self._agenda.catch_up()
        self._world.behaviours.insert(0, opinion)
        self._kubelet.reconsider()

        def take_back() -> None:
            self._world.behaviours.remove(opinion)
            self._kubelet.reconsider()

        return take_back

    def reconsider(self) -> None:
        """Ask all opinions again: what they depend on has changed."""
        self._agenda.catch_up()
        self._kubelet.reconsider()

    def break_watches(self, *, forget: bool = False) -> None:
        """Every open watch fails; with `forget` the past is gone too, so that it cannot be resumed (410)."""
        if forget:
            self._world.store.forget()
        self._watch_breaks += 1
        for wake in self._wake_watchers:
            wake.set()

    def forbid(self, verb: str, kind: str, *, subresource: str = "") -> None:
        """From now on the port answers 403. Verbs as in RBAC; `*` = any. Eviction is `create`, `Pod`, `eviction`."""
        self._denied.append((verb, kind, subresource))

    def permit_all(self) -> None:
        """Take back every `forbid`."""
        self._denied.clear()
