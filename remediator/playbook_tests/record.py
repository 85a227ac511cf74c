"""What came of a story: what the service decided, changed and said, each with its time in seconds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from remediator.adapters.simulated import AuditEntry
from remediator.guardrails.verdict import Answer, Verdict
from remediator.objects import Object, ObjectRef, annotations_of
from remediator.ports import ABANDONED, MARKER, Verb
from remediator.remediation.state import Remediation

GONE = "(none)"
OURS = frozenset({f"metadata.annotations.{MARKER}", f"metadata.annotations.{ABANDONED}"})
"""Written for us, not for the workload."""
_COMPARED = ("metadata.labels", "metadata.annotations", "metadata.finalizers", "spec")
_NOT_COMPARED = ("metadata", "status", "apiVersion", "kind")

Source = Literal["alert", "happens", "service", "effect", "chat", "pager", "prometheus", "outside"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the timeline."""

    at: float
    source: Source
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A remediation came into another state."""

    at: float
    id: str
    playbook: str
    before: str
    state: str
    outcome: str
    reason: str
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the guardrails said of one plan."""

    at: float
    playbook: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One write or call of ours that was carried out. `object` is what it is about, or `VIA PLACE`, also with the group
    of its kind (`full`). `paths` -> value before and after; a pod that goes has none. `made` = every value of what was
    created, `request` what a call said."""

    at: float
    id: str
    action: str
    verb: str = "patch"
    """`patch`, `create`, `delete`, `evict` or `call`."""
    object: str
    full: str = ""
    paths: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    undo: bool
    made: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        said = "; ".join(f"{path}: {shown(a)} -> {shown(b)}" for path, (a, b) in sorted(self.paths.items()))
        said = said or ", ".join(f"{key}={shown(value)}" for key, value in self.request.items())
        what = f"undo of {self.action}" if self.undo else self.action or "change"
        how = f" ({self.verb})" if self.verb in ("create", "call") and self.action != self.verb else ""
        return f"{what}{how} {self.object}{f', {said}' if said else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A request to something outside of the cluster that was carried out. `key` is the effect's."""

    at: float
    via: str
    place: str
    request: Mapping[str, Any]
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message as people read it."""

    at: float
    to: Literal["chat", "pager"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A person wanted something that was not done. `where` is the index of what happened."""

    at: float
    who: str
    text: str
    where: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the story could not be played as it is written, or a defect of the service. `where`: part and number."""

    text: str
    where: tuple[str, int] | None = None


@dataclass(slots=True)
class Record:
    """Filled while a story is played, read when it is over."""

    timeline: list[Line] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    choices: list[tuple[float, str]] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    """`NAME: reason`, of playbooks that matched and were not chosen."""
    judged: list[Judged] = field(default_factory=list)
    changes: list[Changed] = field(default_factory=list)
    called: list[Called] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    objects: dict[str, Object] = field(default_factory=dict)
    """The cluster when it was over, by `Deployment shop/api`."""
    last: dict[str, Remediation] = field(default_factory=dict)
    """Each remediation as it was left, by id."""
    ended_at: float = 0.0
    unfinished: bool = False
    """The time was up before everything was over."""
    troubles: list[Trouble] = field(default_factory=list)

    def trouble(self, text: str, where: tuple[str, int] | None = None) -> None:
        self.troubles.append(Trouble(text, where))

    def line(self, at: float, source: Source, text: str) -> None:
        self.timeline.append(Line(at, source, " ".join(text.split())))

    def objections(self, answer: Answer) -> Iterator[tuple[Judged, Verdict]]:
        for judged in self.judged:
            yield from ((judged, verdict) for verdict in judged.verdicts if verdict.answer is answer)


Sent = Mapping[tuple[Verb, ObjectRef, bytes], str]
"""The effect that a request was sent for, by its verb, object and body."""


def changes(
    audit: Iterable[AuditEntry],
    remediations: Iterable[Remediation],
    seconds: Callable[[datetime], float],
    *,
    sent: Sent | None = None,
    called: Iterable[Called] = (),
) -> Iterator[Changed]:
    """What was done, from the API server's audit log and the calls. Writes that only leave marks of ours are none."""
    by_id = {r.id: r for r in remediations}
    for entry in audit:
        paths = differences(entry.before, entry.after, status=entry.subresource == "status")
        if entry.verb == "patch" and not paths:
            continue
        marked = annotations_of(entry.after).get(MARKER, "") if entry.after is not None else ""
        effect = (sent or {}).get((entry.verb, entry.ref, entry.body)) or (marked if entry.verb != "delete" else "")
        made = flat(entry.after) if entry.verb == "create" and entry.after is not None else {}
        yield Changed(
            at=seconds(entry.at),
            verb=entry.verb,
            object=str(entry.ref),
            full=full_name(entry.ref),
            paths=paths,
            made=made,
            **_whose(by_id, effect, entry.verb),
        )
    for call in called:
        where = f"{call.via} {call.place}"
        yield Changed(
            at=call.at, verb="call", object=where, full=where, request=call.request, **_whose(by_id, call.key, "call")
        )


def _whose(by_id: Mapping[str, Remediation], effect: str, verb: str) -> dict[str, Any]:
    id_, _, number = effect.partition("/")
    undo = number.startswith("undo.")
    return {"id": id_, "action": _action(by_id.get(id_), number, undo=undo) or verb, "undo": undo}


def _action(r: Remediation | None, number: str, *, undo: bool) -> str:
    """`0.1` is the second effect of the first step. An undo is called by the action of the first one."""
    if r is None or r.plan is None:
        return ""
    step = 0 if undo else int(number.partition(".")[0])
    named = [s.action for s in r.plan.steps if s.action] if undo else [s.action for s in r.plan.steps[step : step + 1]]
    return named[0] if named else ""


def differences(before: Object | None, after: Object | None, *, status: bool = False) -> dict[str, tuple[Any, Any]]:
    """Every value that a write changed, by its path; without what is written for us alone. `status`: of the status."""
    if before is None or after is None or after["metadata"].get("deletionTimestamp"):
        return {}
    old, new = flat(before), flat(after)
    compared = (
        ("status",) if status else (*_COMPARED, *(key for key in {**before, **after} if key not in _NOT_COMPARED))
    )
    changed = {path for path in old.keys() | new.keys() if old.get(path, GONE) != new.get(path, GONE)}
    wanted = sorted(path for path in changed if path.startswith(compared) and path not in OURS)
    return {path: (old.get(path, GONE), new.get(path, GONE)) for path in wanted}


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Values by their path: `spec.template.spec.containers[app].image`, `status.conditions[Ready].status`. Other items
    of a list have their number."""
    if isinstance(value, Mapping) and value:
        parts = [(f"{path}.{key}" if path else str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list | tuple) and value:
        parts = [(f"{path}[{_name_of(inner, index)}]", inner) for index, inner in enumerate(value)]
    else:
        return {path: value}
    return dict(itertools.chain.from_iterable(flat(inner, where).items() for where, inner in parts))


def _name_of(item: Any, index: int) -> str:
    if not isinstance(item, Mapping):
        return str(index)
    if "name" in item:
        return str(item["name"])
    return str(item["type"]) if "type" in item and "status" in item else str(index)  # a condition


def full_name(ref: ObjectRef) -> str:
    """`Backup.velero.io velero/nightly`: with the group, which is left out where people read."""
    return f"{ref.kind} {ref.namespace}/{ref.name}" if ref.namespace else f"{ref.kind} {ref.name}"


def same(wanted: Any, value: Any) -> bool:
    """`*` in a text is any text; None is a value that is not there."""
    if wanted is None:
        return value is None or value == GONE
    if isinstance(wanted, str) and isinstance(value, str):
        return wanted == value or fnmatchcase(value, wanted)
    return bool(wanted == value)


def shown(value: Any) -> str:
    """A value in one short line."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
