"""What every collector shares: its arguments, what it hands back, and the bounds.

Evidence may hold text from logs and events. It is redacted and cut here, but no redaction is complete: `private` marks
what stays in the console behind a role, and `summary` is what may go to chat (counts and reasons, no free text).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from remediator.actions.pods import created_at, name_of, pod_has_finished, pod_is_leaving, pod_is_ready
from remediator.objects import Object, uid_of
from remediator.redact import redact
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.checks.workload import pods_of, read_target, restarts_of

MAX_TEXT = 16_384
"""Characters of one piece's text: a screenful or two, and what a database row can bear."""

MAX_LINE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One piece. `data` is JSON-serialisable; `error` says why there is nothing, or not all.

    `summary` is safe for chat. `private`: text or data came from logs or events, so they are not for everyone.
    """

    kind: str
    title: str
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    taken_at: datetime
    truncated: bool = False
    error: str = ""
    summary: str = ""
    private: bool = False


class CollectArgs(BaseModel):
    """Base of every collector's arguments: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


A = TypeVar("A", bound=CollectArgs)


@dataclass(frozen=True, slots=True)
class CollectorKind(Generic[A]):
    """One kind of evidence: its name in playbooks, its arguments, and how it is collected."""

    name: str
    args: type[A]
    collect: Callable[[A, CheckContext], Awaitable[Evidence]]
    late: frozenset[str] = frozenset()
    """Arguments (dotted paths) whose `${...}` the collector fills in itself; see CheckKind."""


def bounded(lines: Sequence[str], *, keep: str = "end", limit: int = MAX_TEXT) -> tuple[str, bool]:
    """Redacted lines as one text within the limit, and whether anything was left out. `keep`: which end matters."""
    # Redact before cutting: half a secret is no secret's shape any more.
    whole = redact("\n".join(lines)).split("\n")
    kept: list[str] = []
    room, cut = limit, False
    for line in reversed(whole) if keep == "end" else whole:
        if len(line) > MAX_LINE:
            line, cut = line[: MAX_LINE - 1] + "…", True
        if len(line) + 1 > room:
            cut = True
            break
        kept.append(line)
        room -= len(line) + 1
    return "\n".join(reversed(kept) if keep == "end" else kept), cut


async def target_objects(context: CheckContext) -> list[Object]:
    """All targets. Raises: Unknown, ReadError."""
    return list(await asyncio.gather(*(read_target(context, t) for t in context.targets)))


async def target_pods(context: CheckContext) -> list[Object]:
    """The pods of all targets, the most troubled first: named by an alert, not ready, most restarts, newest."""
    found: dict[str, Object] = {}
    for workload in await target_objects(context):
        for pod in await pods_of(context.cluster, workload):
            found[uid_of(pod)] = pod
    named = {a.labels.get(label, "") for a in context.alerts for label in ("exported_pod", "pod")} - {""}

    def trouble(pod: Object) -> tuple[bool, bool, bool, int, float]:
        gone = pod_is_leaving(pod) or pod_has_finished(pod)
        return (
            name_of(pod) not in named,
            gone,
            pod_is_ready(pod),
            -restarts_of(pod),
            -created_at(pod).timestamp(),
        )

    return sorted(found.values(), key=trouble)
