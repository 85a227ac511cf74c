"""Kubernetes Events on the target, so that `kubectl describe` tells what was done to it and how that ended.

Events are messages, not effects: they leave from the outbox, at least once, and nothing depends on them. They are kept
few as client-go keeps its own: the same event within ten minutes is counted, many that differ only in their text are
combined, and an object that gets too many gets one every five minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog

from remediator.errors import Conflict, EffectError, Refused, TargetGone, Unavailable
from remediator.objects import KINDS, Object, ObjectRef
from remediator.people.beside import CONTROLLER, NOTE_LIMIT
from remediator.people.carrier import Pace
from remediator.people.outbox_rows import OutboxRow
from remediator.ports import ChatError, Clock, Cluster, MessageRef, WriteRequest

log = structlog.get_logger(__name__)

PACE = Pace(
    gap=timedelta(seconds=0.05),
    first_retry=timedelta(seconds=5),
    longest_retry=timedelta(minutes=2),
    give_up_after=timedelta(minutes=50),
)
"""The API server forgets Events after an hour; nobody needs one that is as old."""

SAME_WITHIN = timedelta(minutes=10)
COMBINED_FROM = 10
"""So many of one kind within ten minutes, and the next ones are counted in one."""
BURST = 25
REFILL = timedelta(minutes=5)
"""One more Event for an object every so often, beyond the burst."""
REMEMBERED = 4096
CLUSTER_SCOPED_IN = "default"
NAME_LIMIT = 200
MERGE = "application/merge-patch+json"


@dataclass(slots=True)
class _Written:
    """An Event that is there, to be counted up."""

    ref: ObjectRef
    last: datetime
    count: int = 1


@dataclass(slots=True)
class _Alike:
    """How many events differ from each other only in their text, since when."""

    notes: set[str] = field(default_factory=set)
    last: datetime | None = None


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime


class EventCarrier:
    """Channel `kubernetes_event`; destinations are clusters. What it remembers is lost with the process, which costs
    at most an Event that is not counted."""

    pace = PACE

    def __init__(self, clusters: Mapping[str, Cluster], clock: Clock, *, instance: str = "") -> None:
        self._clusters = clusters
        self._clock = clock
        self._instance = instance or "remediator"
        self._written: OrderedDict[tuple[str, ...], _Written] = OrderedDict()
        self._alike: OrderedDict[tuple[str, ...], _Alike] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, ...], _Bucket] = OrderedDict()
        self.dropped = 0

    async def deliver(self, row: OutboxRow, main: MessageRef | None) -> MessageRef | None:
        """Raises: ChatError."""
        cluster = self._clusters.get(row.destination)
        if cluster is None:
            raise ChatError(f"no cluster is called {row.destination!r}")
        event, now = row.payload, self._clock.now()
        subject = (row.destination, event["kind"], event["namespace"], event["name"], event["uid"])
        if row.tries == 0 and not self._may(subject, now):
            self.dropped += 1
            log.info("kubernetes_event_dropped", target=f"{event['namespace']}/{event['name']}", reason=event["reason"])
            return None
        note, key = self._combined(subject, event, now)
        try:
            await self._tell(cluster, event, note, key, now)
        except Unavailable as exc:
            raise ChatError(str(exc), retry_after_s=exc.retry_after_s or PACE.first_retry.total_seconds()) from exc
        except Refused as exc:
            hint = " (grant create and patch on events, or set kubernetes_events: false)" if exc.forbidden else ""
            raise ChatError(f"Event on {event['name']} refused{hint}: {exc}") from exc
        except (TargetGone, Conflict):
            return None  # its namespace is gone, or this very Event is there already
        except EffectError as exc:
            raise ChatError(str(exc), retry_after_s=PACE.first_retry.total_seconds()) from exc
        return None

    async def _tell(
        self, cluster: Cluster, event: Mapping[str, Any], note: str, key: tuple[str, ...], now: datetime
    ) -> None:
        """Count the one that is there, or write one. Raises: EffectError."""
        known = self._written.get(key)
        if known is not None and now - known.last <= SAME_WITHIN:
            change = {"count": known.count + 1, "lastTimestamp": _stamp(now), "message": note}
            try:
                await cluster.write(WriteRequest("patch", known.ref, MERGE, orjson.dumps(change)))
            except TargetGone:
                pass  # somebody removed it
            else:
                known.count, known.last = known.count + 1, now
                return
        ref = ObjectRef("Event", event["namespace"] or CLUSTER_SCOPED_IN, _name(event))
        body = _event(ref, event, note, now, self._instance)
        await cluster.write(WriteRequest("create", ref, "application/json", orjson.dumps(body)))
        self._written[key] = _Written(ref, now)
        _forget_old(self._written)

    def _combined(
        self, subject: tuple[str, ...], event: Mapping[str, Any], now: datetime
    ) -> tuple[str, tuple[str, ...]]:
        """The text to show, and what makes an Event the same as an earlier one."""
        kind = (*subject, event["type"], event["reason"])
        alike = self._alike.setdefault(kind, _Alike())
        if alike.last is not None and now - alike.last > SAME_WITHIN:
            alike.notes.clear()
        alike.last = now
        if len(alike.notes) < COMBINED_FROM:
            alike.notes.add(event["note"])
        self._alike.move_to_end(kind)
        _forget_old(self._alike)
        if len(alike.notes) < COMBINED_FROM:
            return event["note"], (*kind, event["note"])
        return f"(combined from similar events): {event['note']}"[:NOTE_LIMIT], kind

    def _may(self, subject: tuple[str, ...], now: datetime) -> bool:
        bucket = self._buckets.setdefault(subject, _Bucket(float(BURST), now))
        gained = max(0.0, (now - bucket.at) / REFILL)
        bucket.tokens, bucket.at = min(float(BURST), bucket.tokens + gained), now
        self._buckets.move_to_end(subject)
        _forget_old(self._buckets)
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True


def _forget_old(known: OrderedDict[tuple[str, ...], Any]) -> None:
    while len(known) > REMEMBERED:
        known.popitem(last=False)


def _name(event: Mapping[str, Any]) -> str:
    """`checkout.1f0c…`: the same when it is sent again, so that a lost answer makes no second one."""
    return f"{event['name'][:NAME_LIMIT].rstrip('.-')}.{event['id']}"


def _event(ref: ObjectRef, event: Mapping[str, Any], note: str, now: datetime, instance: str) -> Object:
    known = KINDS.get(event["kind"])
    about = {
        "apiVersion": known.api_version if known else "",
        "kind": event["kind"],
        "namespace": event["namespace"],
        "name": event["name"],
        "uid": event["uid"],
    }
    at = _stamp(datetime.fromisoformat(event["at"]))
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "involvedObject": {name: value for name, value in about.items() if value},
        "reason": event["reason"],
        "message": note,
        "type": event["type"],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": "remediator"},
        "reportingComponent": CONTROLLER,
        "reportingInstance": instance[:128],
    }


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
