"""Every kind of check by its name in playbooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from remediator.errors import InvalidPlaybook
from remediator.playbooks.model import Check
from remediator.playbooks.problems import did_you_mean
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
    kind = CHECKS.get(check.kind)
    if kind is None:
        raise InvalidPlaybook(f"there is no check {check.kind}. {did_you_mean(check.kind, CHECKS)}")
    try:
        return ParsedCheck(check.kind, kind.args.model_validate(dict(check.args)))
    except ValidationError as exc:
        problems = "; ".join(_problem(kind, error) for error in exc.errors(include_url=False))
        raise InvalidPlaybook(f"check {check.kind}: {problems}") from None


def _problem(kind: CheckKind[Any], error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown argument {where}. Known here: {', '.join(_arguments(kind)) or 'none'}"
    return f"{where}: {error['msg']}" if where else str(error["msg"])


def _arguments(kind: CheckKind[Any]) -> list[str]:
    return [field.alias or name for name, field in kind.args.model_fields.items()]
