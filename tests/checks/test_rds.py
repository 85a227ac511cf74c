"""rds_snapshot: a snapshot is proof only when RDS is through with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remediator.adapters.simulated import SimulatedCaller
from remediator.remediation.checks.base import Unknown
from remediator.remediation.checks.rds import RdsSnapshotArgs, sample
from tests.checks.fakes import context

WELL = {"status": "available", "under_way": [], "snapshots": 3}


async def asked(**more: Any) -> Any:
    caller = SimulatedCaller(answer=lambda place, request: WELL | more)
    return await sample(RdsSnapshotArgs(instance="prod-db"), replace(context(), callers={"rds": caller}))


async def test_none_is_being_made() -> None:
    found = await asked()
    assert (found.answer, found.detail) == ("good", "prod-db: 3 manual snapshots, none is being made")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"under_way": ["manual-snapshot-1"]}, "manual-snapshot-1 of prod-db is being made"),
        ({"status": "backing-up"}, "prod-db is backing-up"),
        ({"snapshots": 0}, "no manual snapshot"),
    ],
)
async def test_anything_else_proves_nothing(more: dict[str, Any], why: str) -> None:
    with pytest.raises(Unknown, match=why):
        await asked(**more)


async def test_without_rds_it_is_unknown() -> None:
    with pytest.raises(Unknown, match="nothing is configured"):
        await sample(RdsSnapshotArgs(instance="prod-db"), context())
