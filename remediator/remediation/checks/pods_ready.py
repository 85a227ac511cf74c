"""`pods_ready`: enough of the target's pods are Ready, counted one by one, not taken from the workload's status."""

from __future__ import annotations

import asyncio
import math
import re
from typing import Annotated

from pydantic import BeforeValidator

from remediator.actions.pods import name_of, pod_has_finished, pod_is_leaving, pod_is_ready
from remediator.actions.workload import read_workload
from remediator.objects import WORKLOADS, Object, dig, kind_of
from remediator.remediation.checks.base import CheckArgs, CheckContext, CheckKind, CheckTarget, Unknown, answer
from remediator.remediation.checks.rollout import Found, cannot_start, gravest
from remediator.remediation.checks.workload import CNPG, HAVE_PODS, pods_of, read_target
from remediator.remediation.samples import CheckSample

NAME = "pods_ready"


def _percent(value: object) -> object:
    """`90%` or `90` to a number; anything else is left for pydantic to refuse."""
    found = re.fullmatch(r"\s*(\d{1,3}(?:\.\d+)?)\s*%?\s*", value) if isinstance(value, str) else None
    percent = float(found[1]) if found else value
    if isinstance(percent, bool) or (isinstance(percent, int | float) and not 0 < percent <= 100):
        raise ValueError(f"expected a percentage above 0 and up to 100, got {value!r}")
    return percent


class PodsReadyArgs(CheckArgs):
    """`min`: percent of the wanted copies that must be Ready, rounded up to whole copies."""

    min: Annotated[float, BeforeValidator(_percent)] = 100.0


async def sample(args: PodsReadyArgs, context: CheckContext) -> CheckSample:
    """Every target must have enough. Beside what has pods, what has none is left out: a step may have backed up a claim
    or refreshed a Secret. Raises: Unknown, ReadError."""
    targets = [t for t in context.targets if t.ref.kind in HAVE_PODS] or context.targets
    found = await asyncio.gather(*(_look(args, context, t) for t in targets))
    if not found:
        raise Unknown("there is no target")
    return answer(
        NAME, gravest(found), "; ".join(f.detail for f in found), context.now, badness=sum(f.missing for f in found)
    )


async def _look(args: PodsReadyArgs, context: CheckContext, target: CheckTarget) -> Found:
    obj = await read_target(context, target)
    wanted = _wanted(obj)
    pods = [p for p in await pods_of(context.cluster, obj) if not (pod_is_leaving(p) or pod_has_finished(p))]
    ready = sum(1 for p in pods if pod_is_ready(p))
    needed = math.ceil(wanted * args.min / 100)
    detail = f"{target.ref}: {ready} of {wanted} pods ready, {needed} needed"
    if wanted == 0:
        return Found("unknown", f"{target.ref}: no pod is wanted, which proves nothing")
    if ready >= needed:
        return Found("good", detail)
    broken = cannot_start(tuple(pods), context.since) if context.since else ""
    if broken:
        return Found("bad", f"{detail}; {broken}", wanted - ready)
    unready = [name_of(p) for p in pods if not pod_is_ready(p)]
    return Found(
        "unknown", f"{detail}; waiting for {', '.join(unready[:3]) or 'pods to be made'}", max(0, wanted - ready)
    )


def _wanted(obj: Object) -> int:
    kind = kind_of(obj)
    if kind == CNPG:
        return int(dig(obj, "spec", "instances", default=1))
    return read_workload(obj).desired if kind in WORKLOADS else 1


KIND = CheckKind(NAME, PodsReadyArgs, sample)
