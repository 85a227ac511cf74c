"""What an action sees: one frozen snapshot of the target and what stands around it, read at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from remediator.objects import JSON, Object, ObjectRef


@dataclass(frozen=True, slots=True)
class Get:
    """One object more; None in the View when it does not exist."""

    ref: ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """All objects of a kind, as a tuple. Empty namespace = all; `labels`, `fields` are selectors in API syntax."""

    kind: str
    namespace: str = ""
    labels: str = ""
    fields: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """An instant PromQL query; a tuple of `Sample` in the View."""

    promql: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to something outside the Kubernetes API, see `ports.Caller.ask`; JSON in the View."""

    via: str
    place: str
    request: Mapping[str, JSON]


Wanted = Get | ListOf | Query | Ask
"""What an action wants to know besides the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What the observer recorded about one pod template of one workload.

    `template_hash` leaves out our annotations and restart annotations, so a restart is the same revision.
    `available_since` and `available_until` bound the newest time it was fully available; `until` None = it still is, or
    we have not seen otherwise. `healthy` = once fully available for the healthy period with no matched alert firing.
    `known_bad` is set when we rolled back from it. `alerts` are the matched alerts seen firing while it ran.
    """

    workload_uid: str
    template_hash: str
    available_since: datetime | None = None
    available_until: datetime | None = None
    healthy: bool = False
    known_bad: bool = False
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The target and its surroundings. Everything was read by consistent reads at `read_at` (UTC).

    `revisions` are ReplicaSets (Deployment) or ControllerRevisions (StatefulSet, DaemonSet) that the target controls.
    `pods` are the pods of the target (by selector and controller uid). `alert_pod` is the pod an alert names, if any.
    `unreadable` names what could not be read, with the reason: an action that needs it must not take it for empty.
    """

    target: Object
    ref: ObjectRef
    root: ObjectRef
    read_at: datetime
    namespace: Object | None = None
    pods: tuple[Object, ...] = ()
    revisions: tuple[Object, ...] = ()
    pdbs: tuple[Object, ...] = ()
    hpas: tuple[Object, ...] = ()
    observed: tuple[Revision, ...] = ()
    alert_pod: str = ""
    found: Mapping[str, Any] = field(default_factory=dict)
    """What the action wanted to know, by its own names. All of it, or the action is not asked."""
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def objects(self) -> tuple[Object, ...]:
        """Every object that was read whole: the target, its autoscalers and pods, and what an action wanted to know."""
        more = [x for value in self.found.values() for x in (value if isinstance(value, tuple) else (value,))]
        return (self.target, *self.hpas, *self.pods, *(x for x in more if isinstance(x, Mapping) and "metadata" in x))
