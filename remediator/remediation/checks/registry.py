"""Every kind of check by its name in playbooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.playbooks.model import Check
from remediator.remediation.arguments import parse_arguments
from remediator.remediation.checks import (
    alert_resolved,
    argo_rollouts,
    certificate,
    condition,
    error_ratio,
    exec_check,
    http,
    latency,
    made,
    network,
    pods_ready,
    promql,
    pull_request,
    rds,
    replication,
    rollout,
    sql,
)
from remediator.remediation.checks.base import CheckArgs, CheckKind

CHECKS: Mapping[str, CheckKind[Any]] = {
    kind.name: kind
    for kind in (
        rollout.KIND,
        pods_ready.KIND,
        alert_resolved.KIND,
        promql.KIND,
        error_ratio.KIND,
        latency.KIND,
        http.KIND,
        sql.KIND,
        exec_check.KIND,
        condition.KIND,
        *made.KINDS_OF_CHECK,
        certificate.KIND,
        replication.KIND,
        rds.KIND,
        pull_request.KIND,
        argo_rollouts.KIND,
        *network.KINDS_OF_CHECK,
    )
}


@dataclass(frozen=True, slots=True)
class ParsedCheck:
    """A check whose arguments are validated."""

    kind: str
    args: CheckArgs


def parse_check(check: Check) -> ParsedCheck:
    """Raises: InvalidPlaybook, naming the check, the argument and the next step."""
    kind, args = parse_arguments("check", check.kind, check.args, {name: kind.args for name, kind in CHECKS.items()})
    return ParsedCheck(kind, args)
