"""`rollouts`: an Argo Rollout is through with its steps and healthy.

    rollouts: {}
    rollouts: {rollout: checkout, paused: good}

A pause is not a failure: it waits for somebody, so it says nothing unless `paused: good`.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from pydantic import Field

from remediator.objects import Object, ObjectRef, dig, generation_of, ref_of
from remediator.remediation.checks.base import (
    CheckArgs,
    CheckContext,
    CheckKind,
    CheckTarget,
    Unknown,
    answer,
    one_line,
)
from remediator.remediation.checks.condition import one_namespace
from remediator.remediation.checks.rollout import Found, gravest
from remediator.remediation.checks.workload import read_target
from remediator.remediation.samples import CheckSample

NAME = "rollouts"
ROLLOUT = "Rollout.argoproj.io"


class RolloutsArgs(CheckArgs):
    """`rollout`: by default the target. `paused`: what a canary that waits means."""

    rollout: Annotated[str, Field(max_length=253)] = ""
    namespace: Annotated[str, Field(max_length=63)] = ""
    paused: Literal["unknown", "good"] = "unknown"

    @property
    def about(self) -> str:
        return self.rollout


async def sample(args: RolloutsArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, ReadError."""
    targets = tuple(t for t in context.targets if t.ref.kind == ROLLOUT)
    if args.rollout:
        targets = (CheckTarget(ObjectRef(ROLLOUT, args.namespace or one_namespace(context), args.rollout)),)
    if not targets:
        raise Unknown("the target is no Argo Rollout; name one with rollout")
    objects = await asyncio.gather(*(read_target(context, t) for t in targets))
    found = [judge(args, obj) for obj in objects]
    missing = float(sum(f.missing for f in found))
    return answer(NAME, gravest(found), "; ".join(f.detail for f in found), context.now, badness=missing)


def judge(args: RolloutsArgs, obj: Object) -> Found:
    """What the object says; its observedGeneration is text."""
    ref, status = ref_of(obj), obj.get("status") or {}
    wanted, available = int(dig(obj, "spec", "replicas", default=1)), int(status.get("availableReplicas") or 0)
    missing = max(0, wanted - available)
    phase = str(status.get("phase") or "")
    said = f"{ref}: {one_line(phase, 40) or 'no phase yet'}, {available} of {wanted} available"
    if str(status.get("observedGeneration") or "") != str(generation_of(obj) or ""):
        return Found("unknown", f"{ref}: the controller has not seen the last change yet", missing)
    if phase == "Degraded":
        return Found("bad", said, missing)
    if phase == "Healthy" and wanted and not missing:
        return Found("good", said)
    if phase == "Paused" and args.paused == "good" and not missing:
        return Found("good", said)
    return Found("unknown", said, missing)


KIND = CheckKind(NAME, RolloutsArgs, sample)
