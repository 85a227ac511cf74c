"""The watching half of the observer: keeps the revision rows that rollbacks rest on.

A list and a watch per kind; every change of a workload is folded into its rows (observed.py), and once a minute what
has been quiet for long enough becomes healthy. API servers end every watch after a while; the next one goes on where it
ended, and nothing is missed. When a watch breaks, the time nobody looked is not counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

import structlog

from remediator.actions.view import Revision
from remediator.errors import Forbidden, JournalUnavailable, ReadError
from remediator.objects import WORKLOADS, Object, ref_of, uid_of, version_of
from remediator.ports import Clock, Cluster
from remediator.remediation.journal import Journal
from remediator.remediation.observed import Snapshot, healthy_at, interrupted, observe

log = structlog.get_logger()

TICK = timedelta(minutes=1)
RETRY = timedelta(seconds=5)
AT_ONCE = timedelta(seconds=0.1)
FORBIDDEN_RETRY = timedelta(minutes=10)


class Observer:
    """One per cluster. `namespaces` empty = all of them (that needs cluster-wide list and watch)."""

    def __init__(self, cluster: Cluster, journal: Journal, clock: Clock, *, namespaces: Sequence[str] = ()) -> None:
        self._cluster = cluster
        self._journal = journal
        self._clock = clock
        self._namespaces = tuple(namespaces) or ("",)
        self._objects: dict[str, Object] = {}
        self._rows: dict[str, tuple[Revision, ...]] = {}
        self._firing: dict[str, frozenset[str]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick_for_ever(), name="observer tick")
            for namespace in self._namespaces:
                for kind in WORKLOADS:
                    group.create_task(self._follow(kind, namespace), name=f"observer {kind} {namespace}")

    async def _follow(self, kind: str, namespace: str) -> None:
        lost_at: datetime | None = None
        version = ""
        while True:
            began = self._clock.now()
            resumed, heard = bool(version), False
            try:
                if not resumed:
                    version = await self._list(kind, namespace, lost_at)
                    lost_at = None
                async with aclosing(  # type: ignore[type-var]  # adapters return async generators
                    self._cluster.watch(kind, namespace, resource_version=version)
                ) as events:
                    async for event in events:
                        heard = True
                        if event.type == "DELETED":
                            self._forget(event.object)
                        else:
                            await self.see(event.object)
                        version = version_of(event.object)
                # It has ended as it should: everything until now was seen.
                pause = AT_ONCE
            except Forbidden as exc:
                log.warning("observer_forbidden", kind=kind, namespace=namespace, error=str(exc))
                version, pause = "", FORBIDDEN_RETRY
                lost_at = lost_at or self._clock.now()
            except (ReadError, JournalUnavailable) as exc:
                log.info("observer_interrupted", kind=kind, namespace=namespace, error=str(exc))
                version, pause = "", RETRY
                if resumed and not heard and self._clock.now() - began <= RETRY:
                    # The server may only have forgotten that version (410). A list at once leaves no gap; if that
                    # fails too, time is being lost.
                    pause = AT_ONCE
                else:
                    lost_at = lost_at or self._clock.now()
            await self._clock.sleep(pause.total_seconds())

    async def _list(self, kind: str, namespace: str, lost_at: datetime | None) -> str:
        """See all there is, forget what is there no more. Returns the version to watch from."""
        listed = await self._cluster.list(kind, namespace)
        present = {uid_of(obj) for obj in listed.items}
        for uid, obj in list(self._objects.items()):
            ref = ref_of(obj)
            if ref.kind == kind and namespace in ("", ref.namespace) and uid not in present:
                self._forget(obj)
        for obj in listed.items:
            await self.see(obj, lost_at=lost_at)
        return listed.resource_version

    async def see(self, obj: Object, *, lost_at: datetime | None = None) -> None:
        """Fold one look at a workload into its rows; write down what changed. Raises: JournalUnavailable."""
        uid = uid_of(obj)
        now = self._clock.now()
        if uid not in self._rows:
            # Recorded by an earlier process: nobody knows when it stopped looking, so an open span counts for nothing.
            known = await self._journal.revisions(self._cluster.name, uid)
            self._rows[uid] = tuple(r for row in known for r in interrupted((row,), row.available_since or now))
        elif lost_at is not None:
            self._rows[uid] = interrupted(self._rows[uid], lost_at)
        self._objects[uid] = obj
        before = self._rows[uid]
        firing = self._firing.get(ref_of(obj).key, frozenset())
        after = observe(before, Snapshot(at=now, workload=obj, firing=firing))
        changed = [row for row in after if row not in before]
        if changed:
            await self._journal.save_revisions(self._cluster.name, changed, now)
        self._rows[uid] = after

    async def tick(self) -> None:
        """Read what fires, and let time pass for workloads that nobody changes. Raises: JournalUnavailable."""
        fresh = dict(await self._journal.firing_roots(self._cluster.name))
        old, self._firing = self._firing, fresh
        now = self._clock.now()
        for uid, obj in list(self._objects.items()):
            key = ref_of(obj).key
            due = any((at := healthy_at(row)) is not None and at <= now for row in self._rows.get(uid, ()))
            if due or old.get(key) != fresh.get(key):
                await self.see(obj)

    async def _tick_for_ever(self) -> None:
        while True:
            try:
                await self.tick()
            except JournalUnavailable as exc:
                log.info("observer_interrupted", error=str(exc))
            await self._clock.sleep(TICK.total_seconds())

    def _forget(self, obj: Object) -> None:
        self._objects.pop(uid_of(obj), None)
        self._rows.pop(uid_of(obj), None)
