"""What `explain` says about limits: everything that was said about each, side by side, and what is in force. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from remediator.guardrails.environments import Place
from remediator.guardrails.layers import SHIPPED, Row
from remediator.guardrails.policy import Policy, limit_rows, limits_in_force
from remediator.playbooks.durations import format_duration
from remediator.playbooks.model import Mode, Playbook

View = dict[str, Any]


def limit_views(playbook: Playbook, policy: Policy, place: Place) -> list[View]:
    """The mode first, then every limit in the order of the shipped table.

    Durations are text (`15m`), shares as well (`60%`), counts are numbers; null = nothing said. `by` and `ceiling_by`
    say whose word counts. `differs`: somebody other than us had a say.
    """
    return [_mode(playbook, policy, place), *(_limit(row) for row in limit_rows(playbook, policy, place))]


def _limit(row: Row) -> View:
    said = {who.partition(" ")[0]: value for who, value in row.said.items()}
    return _view(
        row.limit.key,
        row.limit.guardrail,
        shipped=row.limit.default,
        said=said,
        ceiling=row.ceiling,
        bound=row.limit.bound,
        ceiling_by=row.ceiling_by,
        in_force=row.value,
        by=row.by,
    )


def _mode(playbook: Playbook, policy: Policy, place: Place) -> View:
    limits = limits_in_force(playbook, policy, place)
    environment = policy.environment_at(place)
    by = "policy" if "mode_ceiling" in policy.model_fields_set else SHIPPED
    if environment is not None and environment.mode_ceiling is not None:
        by = f"environment {environment.name}"
    if place.highest is not None and place.highest is limits.mode_ceiling:
        by = "project"
    own = "mode" in playbook.model_fields_set
    capped = limits.mode is not playbook.mode
    return _view(
        "mode",
        "mode",
        shipped=Mode.OBSERVE,
        said={"playbook": playbook.mode} if own else {},
        ceiling=limits.mode_ceiling,
        bound="at most",
        ceiling_by=by,
        in_force=limits.mode,
        by="ceiling" if capped else "playbook" if own else SHIPPED,
    )


def _view(
    key: str,
    guardrail: str,
    *,
    shipped: object,
    said: Mapping[str, object],
    ceiling: object,
    bound: str,
    ceiling_by: str,
    in_force: object,
    by: str,
) -> View:
    return {
        "limit": key,
        "guardrail": guardrail,
        "shipped": _json(shipped),
        "policy": _json(said.get("policy")),
        "environment": _json(said.get("environment")),
        "severity": _json(said.get("severity")),
        "playbook": _json(said.get("playbook")),
        "ceiling": _json(ceiling),
        "bound": bound,
        "ceiling_by": ceiling_by,
        "in_force": _json(in_force),
        "by": by,
        "differs": bool(said) or ceiling_by != SHIPPED,
    }


def _json(value: object) -> object:
    if isinstance(value, timedelta):
        return format_duration(value)
    return str(value) if isinstance(value, str) else value
