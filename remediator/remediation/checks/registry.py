"""Every kind of check by its name in playbooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.playbooks.model import Check
from remediator.remediation.arguments import parse_arguments
from remediator.remediation.checks import (
    alert_resolved,
    error_ratio,
    http,
    latency,
    pods_ready,
    promql,
    rollout,
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
