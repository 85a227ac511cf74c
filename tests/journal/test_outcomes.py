"""How a playbook has fared, for the circuit breaker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remediator.adapters.sql.journal import SqlJournal
from remediator.remediation.state import State, StepOutcome
from tests.journal.given import DONE, HOUR, MINUTE, moved, opened, to
from tests.support.building import NOW, playbook

SPEC = playbook()


async def ended(
    journal: SqlJournal, number: int, state: State, outcome: str = "", *, after: int = 0, **changes: Any
) -> None:
    r = await opened(journal, number, spec=SPEC, done=(DONE,), **changes)
    at = NOW + after * MINUTE
    await moved(journal, to(r, state, now=at, outcome=StepOutcome(outcome)), now=at)


async def test_newest_first_with_how_they_ended(journal: SqlJournal) -> None:
    await ended(journal, 1, State.SUCCEEDED, after=1)
    await ended(journal, 2, State.ESCALATED, "failed", after=3)
    await ended(journal, 3, State.ESCALATED, "undone", after=2)
    found = await journal.outcomes(SPEC.name, "c1", 50)
    assert [(o.remediation_id, o.good, o.outcome) for o in found] == [
        ("r-2", False, "failed"),
        ("r-3", False, "undone"),
        ("r-1", True, "succeeded"),
    ]
    assert found[0].target_key == "c1/Deployment/shop/svc2"
    assert found[0].ended_at == NOW + 3 * MINUTE
    assert [o.remediation_id for o in await journal.outcomes(SPEC.name, "c1", 1)] == ["r-3"], (
        "the latest opened of them"
    )
    assert await journal.outcomes("another", "c1", 50) == ()


@pytest.mark.parametrize("outcome", ["held_too_long", "expired", "not_started", "refused", "stopped"])
async def test_what_says_nothing_about_the_playbook_does_not_count(journal: SqlJournal, outcome: str) -> None:
    await ended(journal, 1, State.ESCALATED, outcome)
    assert await journal.outcomes(SPEC.name, "c1", 50) == ()


async def test_what_had_no_effect_does_not_count(journal: SqlJournal) -> None:
    r = await opened(journal, 1, spec=SPEC)
    await moved(journal, to(r, State.ESCALATED, outcome=StepOutcome.FAILED))
    assert await journal.outcomes(SPEC.name, "c1", 50) == ()


async def test_inconclusive_counts_at_once_and_a_later_proof_takes_it_back(journal: SqlJournal) -> None:
    r = await opened(journal, 1, spec=SPEC, done=(DONE,))
    waiting = to(r, State.INCONCLUSIVE, now=NOW, outcome=StepOutcome.INCONCLUSIVE)
    r = await moved(journal, replace(waiting, remediation=replace(waiting.remediation, since=NOW + MINUTE)))
    (found,) = await journal.outcomes(SPEC.name, "c1", 50)
    assert (found.good, found.outcome, found.ended_at) == (False, "inconclusive", NOW + MINUTE)
    await moved(journal, to(r, State.SUCCEEDED, now=NOW + HOUR), now=NOW + HOUR)
    (found,) = await journal.outcomes(SPEC.name, "c1", 50)
    assert found.good


async def test_other_clusters_do_not_crowd_out_what_happened_here(journal: SqlJournal) -> None:
    await ended(journal, 1, State.ESCALATED, "failed")
    for number in range(2, 6):
        await ended(journal, number, State.SUCCEEDED, cluster="c2", after=number)
    assert {o.remediation_id for o in await journal.outcomes(SPEC.name, "c1", 2)} == {"r-1", "r-4", "r-5"}
