"""`incident_snapshot`: how a namespace stands at this moment, for later: counts, what is ill, warnings."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated

from pydantic import Field

from remediator.actions.pods import pod_is_ready
from remediator.actions.workload import images_of
from remediator.objects import WORKLOADS, Object, dig
from remediator.people.beside import CONTROLLER
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.collectors.base import CollectorKind, Evidence
from remediator.remediation.collectors.events import event_time
from remediator.remediation.collectors.nodes import node_problems
from remediator.remediation.collectors.reading import (
    Part,
    ScopedArgs,
    age,
    count,
    hand_over,
    namespaces_of,
    place_of,
    read,
    said,
    where,
    word,
)
from remediator.remediation.collectors.status import describe
from remediator.remediation.collectors.troubled import state_of

NAME = "incident_snapshot"

MOST_OBJECTS = 40
COUNTED = ("HorizontalPodAutoscaler", "PersistentVolumeClaim", "Service", "Ingress", "Job")


class SnapshotArgs(ScopedArgs):
    """`events`: how many warnings, the newest."""

    events: Annotated[int, Field(ge=0, le=100)] = 30


async def collect(args: SnapshotArgs, context: CheckContext) -> Evidence:
    """Workloads with their images, pods that are ill, nodes that are ill, warnings."""
    spaces = namespaces_of(args, context)
    kinds = (*WORKLOADS, "Pod", *COUNTED)
    parts = dict(zip(kinds, await asyncio.gather(*(read(context, kind, spaces) for kind in kinds)), strict=True))
    nodes, events = await asyncio.gather(read(context, "Node"), read(context, "Event", spaces))
    workloads = [obj for kind in WORKLOADS for obj in parts[kind].items]
    ill = [p for p in parts["Pod"].items if not pod_is_ready(p) and dig(p, "status", "phase") != "Succeeded"]
    warnings = _warnings(events)
    ill_nodes = [n for n in nodes.items if node_problems(n)]
    lines = [f"taken {context.now:%Y-%m-%d %H:%M:%S} UTC"]
    lines += [_counts(kind, part) for kind, part in parts.items() if not part.problem]
    lines += [_workload(obj) for obj in workloads[:MOST_OBJECTS]]
    lines += [f"pod {where(p)}: {state_of(p)}" for p in ill[:MOST_OBJECTS]]
    lines += [f"node {where(n)}: {', '.join(node_problems(n))}" for n in ill_nodes[:MOST_OBJECTS]]
    lines += [_event(e, context) for e in warnings[-args.events :]] if args.events else []
    pods = count(len(parts["Pod"].items), "pod")
    return hand_over(
        NAME,
        context,
        title=f"snapshot {place_of(spaces)}",
        lines=lines,
        summary=f"{count(len(workloads), 'workload')}, {len(ill)} of {pods} not ready, "
        f"{len(ill_nodes)} of {count(len(nodes.items), 'node')} not well, {count(len(warnings), 'warning')}",
        parts=(*parts.values(), nodes, events),
        data={
            "counts": {kind: len(part.items) for kind, part in parts.items() if not part.problem},
            "pods_ill": [where(p) for p in ill[:MOST_OBJECTS]],
            "images": {where(o): images_of(dig(o, "spec", "template") or {}) for o in workloads[:MOST_OBJECTS]},
            "warnings": dict(Counter(word(e.get("reason"), 64) for e in warnings).most_common(20)),
        },
        private=True,
    )


def _counts(kind: str, part: Part) -> str:
    return count(len(part.items), kind)


def _workload(obj: Object) -> str:
    images = ", ".join(one_line(image, 150) for image in images_of(dig(obj, "spec", "template") or {}).values())
    return f"{describe(obj)[0]}; {images or 'no image'}"


def _warnings(part: Part) -> list[Object]:
    """Oldest first, without what we have said ourselves."""
    found = [e for e in part.items if e.get("type") == "Warning" and e.get("reportingComponent") != CONTROLLER]
    return sorted(found, key=event_time)


def _event(event: Object, context: CheckContext) -> str:
    whom = f"{word(dig(event, 'involvedObject', 'kind'))}/{word(dig(event, 'involvedObject', 'name'), 253)}"
    return (
        f"{age(context.now, event_time(event))} ago {word(event.get('reason'), 64)} {whom}{said(event.get('message'))}"
    )


KIND = CollectorKind(NAME, SnapshotArgs, collect)
