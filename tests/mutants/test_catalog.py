"""Nobody forgets a guardrail, and no mutant has outlived what it was written for. `make mutants` runs them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from remediator.guardrails.order import ORDER
from tests.mutants.catalog import ALL, BY_NAME
from tests.mutants.cutting import Cut
from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
PROTOCOL = (
    "remediator.actions.render",
    "remediator.adapters.sql.attempts",
    "remediator.adapters.sql.pauses",
    "remediator.adapters.sql.reservations",
    "remediator.guardrails.order",
    "remediator.remediation.conditions",
    "remediator.remediation.effector",
    "remediator.remediation.judge",
    "remediator.remediation.planner",
    "remediator.remediation.proofs",
    "remediator.remediation.runner",
    "remediator.remediation.wanting",
)


def test_names_are_unique() -> None:
    assert [name for name, times in Counter(m.name for m in ALL).items() if times > 1] == []


@pytest.mark.parametrize("guard", ORDER, ids=lambda guard: guard.name)
def test_each_guardrail_passes_in_one_mutant_and_is_not_asked_in_another(guard) -> None:
    allowed = BY_NAME[f"allow-{guard.name}"]
    assert [c.where for c in allowed.changes if isinstance(c, Cut)] == [f"{guard.check.__module__}:check"]
    assert f"unasked-{guard.name}" in BY_NAME


def test_every_part_of_the_protocol_has_mutants() -> None:
    cut = {change.where.partition(":")[0] for mutant in ALL for change in mutant.changes if isinstance(change, Cut)}
    assert set(PROTOCOL) <= cut


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_it_can_still_be_applied(mutant: Mutant) -> None:
    for change in mutant.changes:
        change.check()
    for table in mutant.tables:
        assert (ROOT / table.partition("::")[0]).exists(), table
