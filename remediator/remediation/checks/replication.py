"""`replication_healthy`: a CloudNativePG cluster has all its instances, its primary is the one it wants, and none lags.

    replication_healthy: {query: 'max(cnpg_pg_replication_lag{namespace="${target.namespace}"})', success: "< 30s"}

The operator's status is only as fresh as the operator, so the instances' pods are counted as well. What a switchover
passes through is unknown; bad is what does not mend itself.
"""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field, model_validator

from remediator.actions.pods import name_of, pod_is_leaving, pod_is_ready
from remediator.objects import Object, ObjectRef, annotations_of, dig, ref_of
from remediator.remediation.checks import promql
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
from remediator.remediation.checks.rollout import Found
from remediator.remediation.checks.threshold import ThresholdText
from remediator.remediation.checks.workload import CNPG, OF_CLUSTER, read_target
from remediator.remediation.samples import CheckSample

NAME = "replication_healthy"
HEALTHY = "Cluster in healthy state"
FENCED = "cnpg.io/fencedInstances"

STUCK = ("unrecoverable", "not enough disk space", "waiting for user action", "unable to create", "cannot proceed")
"""In a phase: nothing of this ends by waiting."""


class ReplicationArgs(CheckArgs):
    """`cluster`: by default the target. `query`: the lag in seconds, every value of which must satisfy `success`."""

    cluster: Annotated[str, Field(max_length=253)] = ""
    namespace: Annotated[str, Field(max_length=63)] = ""
    query: str = ""
    success: ThresholdText = "< 30s"

    @property
    def about(self) -> str:
        return self.cluster

    @model_validator(mode="after")
    def _fitting(self) -> ReplicationArgs:
        if "success" in self.model_fields_set and not self.query:
            raise ValueError("success belongs to query; add the query that measures the lag")
        return self


async def sample(args: ReplicationArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, ReadError, TemplateError."""
    cluster = await read_target(context, cnpg_target(args.cluster, args.namespace, context))
    pods = await context.cluster.list("Pod", ref_of(cluster).namespace, labels=f"{OF_CLUSTER}={ref_of(cluster).name}")
    found = judge_cnpg(cluster, pods.items)
    badness, tolerance, at = float(found.missing), 0.0, context.now
    if found.answer != "good" or not args.query:
        return answer(NAME, found.answer, found.detail, at, badness=badness)
    lag = await promql.sample(promql.PromqlArgs(query=args.query, success=args.success), context)
    return answer(
        NAME, lag.answer, f"{found.detail}; lag {lag.detail}", lag.taken_at, badness=badness, tolerance=tolerance
    )


def cnpg_target(name: str, namespace: str, context: CheckContext) -> CheckTarget:
    """Raises: Unknown when none is named and the target is none."""
    if name:
        ref = ObjectRef(CNPG, namespace or one_namespace(context), name)
        return next((t for t in context.targets if t.ref == ref), CheckTarget(ref))
    found = [t for t in context.targets if t.ref.kind == CNPG]
    if len(found) != 1:
        raise Unknown("the target is no CloudNativePG cluster; name one with cluster")
    return found[0]


def judge_cnpg(cluster: Object, pods: tuple[Object, ...]) -> Found:
    """What the operator says of a cluster, and its pods."""
    ref, wanted = ref_of(cluster), int(dig(cluster, "spec", "instances", default=1))
    status = cluster.get("status") or {}
    phase = one_line(str(status.get("phase") or "no phase yet"), 100)
    ready = {name_of(p) for p in pods if pod_is_ready(p) and not pod_is_leaving(p)}
    missing = max(0, wanted - len(ready))
    primary, meant = str(status.get("currentPrimary") or ""), str(status.get("targetPrimary") or "")
    numbers = f"{ref}: {len(ready)} of {wanted} instances ready, {phase}"
    if any(word in phase.lower() for word in STUCK):
        return Found("bad", numbers, missing)
    if fenced := fenced_instances(cluster):
        return Found("bad", f"{numbers}; fenced: {', '.join(fenced[:5])}", missing)
    if not primary or primary != meant:
        return Found("unknown", f"{numbers}; the primary changes", missing)
    if primary not in ready:
        return Found("bad", f"{numbers}; the primary {one_line(primary, 80)} is not ready", missing)
    if phase != HEALTHY or missing or int(status.get("readyInstances") or 0) < wanted:
        return Found("unknown", numbers, missing)
    return Found("good", f"{numbers}, primary {one_line(primary, 80)}")


def fenced_instances(cluster: Object) -> list[str]:
    """Names, or `*` for all; what cannot be read counts as all."""
    text = annotations_of(cluster).get(FENCED, "")
    try:
        names = json.loads(text) if text else []
    except ValueError:
        return ["*"]
    return [one_line(str(n), 80) for n in names] if isinstance(names, list) else ["*"]


KIND = CheckKind(NAME, ReplicationArgs, sample, late=frozenset({"query"}))
