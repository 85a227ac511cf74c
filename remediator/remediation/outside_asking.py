"""Asking something outside the Kubernetes API, for checks and collectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.remediation.checks.base import CheckContext, Unknown


async def ask(context: CheckContext, via: str, place: str, request: Mapping[str, Any]) -> Any:
    """Raises: Unknown where nothing is configured that could be asked, ReadError."""
    caller = context.callers.get(via)
    if caller is None:
        raise Unknown(f"nothing is configured that can be asked by {via}: an operator has to name it under `outside`")
    return await caller.ask(place, request)
