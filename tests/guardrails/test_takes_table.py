"""docs/guardrails.md has a table of what each change takes and what the guardrails say to it; every cell is tried here.

The page is the data: a cell holds one entry for 0, 1, 2, ... ready copies, the number taken followed by `m` where
min_available (60 %) holds, `a` where it asks, `b` where disruption_budget (maxUnavailable: 1) holds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remediator.actions.eviction import evict_by_rule
from remediator.actions.workload import read_workload, takes_by_rollout
from remediator.actions.workloads.scale import Scale, ScaleParams
from remediator.guardrails import disruption_budget, min_available
from remediator.guardrails.facts import EffectiveLimits, TargetFacts
from remediator.guardrails.verdict import Answer
from tests.actions.make import daemonset, deployment, pdb, pod, statefulset, view
from tests.guardrails.make import facts, restart, rollback, target

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guardrails.md"
HEADING = "### Copies, ready copies and strategies"

Make = Callable[[int, int], TargetFacts]


def rolling(unavailable: int | str, surge: int | str = 0) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}}


def budget(copies: int, ready: int) -> tuple[Any, ...]:
    """As Kubernetes computes it for maxUnavailable: 1."""
    return (pdb(max(0, ready - (copies - 1))),)


def rollout(make: Callable[[int, int], Any], change: Callable[..., Any] = restart) -> Make:
    def made(copies: int, ready: int) -> TargetFacts:
        obj = make(copies, ready)
        return target(obj, change(obj, takes_by_rollout(read_workload(obj))), pdbs=budget(copies, ready))

    return made


def evict_oldest(copies: int, ready: int) -> TargetFacts:
    obj = deployment(copies, ready)
    pods = tuple(pod(f"p{n}", obj, ready=n < ready) for n in range(copies))
    change = evict_by_rule(view(obj, pods=pods), "oldest", 1)
    return target(obj, change, pods=pods, pdbs=budget(copies, ready))


def scale_to(after: Callable[[int], int]) -> Make:
    def made(copies: int, ready: int) -> TargetFacts:
        obj = deployment(copies, ready)
        change = Scale().plan(ScaleParams(to=after(copies), min=0, max=9), view(obj))
        return target(obj, change, pdbs=budget(copies, ready))

    return made


ROWS: dict[str, Make] = {
    "Deployment, `maxUnavailable: 0`": rollout(lambda n, r: deployment(n, r, strategy=rolling(0, 1))),
    "Deployment, `maxUnavailable: 25%`": rollout(lambda n, r: deployment(n, r, strategy=rolling("25%", "25%"))),
    "Deployment, `maxUnavailable: 1`": rollout(lambda n, r: deployment(n, r, strategy=rolling(1))),
    "Deployment, `Recreate`": rollout(lambda n, r: deployment(n, r, strategy={"type": "Recreate"})),
    "StatefulSet": rollout(statefulset),
    "DaemonSet, `maxUnavailable: 1`": rollout(daemonset),
    "DaemonSet, `maxSurge: 1`": rollout(lambda n, r: daemonset(n, r, strategy=rolling(0, 1))),
    "evict the oldest pod": evict_oldest,
    "scale down by 1": scale_to(lambda n: n - 1),
    "scale down to 1": scale_to(lambda n: 1),
}
COPIES = (1, 2, 3, 5)

MIN_AVAILABLE = {Answer.PASS: "", Answer.HOLD: "m", Answer.ASK: "a"}
BUDGET = {Answer.PASS: "", Answer.HOLD: "b"}


def written() -> dict[tuple[str, int], list[str]]:
    """(change, copies) -> entries, as the page has them. `-` = there is no such change."""
    lines = PAGE.read_text(encoding="utf-8").partition(f"{HEADING}\n")[2].splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("|---"))
    found = {}
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for copies, cell in zip(COPIES, cells, strict=True):
            found[name, copies] = cell.split()
    return found


def entry(one: TargetFacts) -> str:
    asked = facts(one, limits=EffectiveLimits())
    counted, budgeted = min_available.check(asked), disruption_budget.check(asked)
    return f"{one.change.takes}{MIN_AVAILABLE[counted.answer]}{BUDGET[budgeted.answer]}"


def test_the_table_is_whole():
    cells = written()
    assert set(cells) == {(name, copies) for name in ROWS for copies in COPIES}
    assert [key for key, cell in cells.items() if cell == ["-"]] == [("scale down to 1", 1)]
    assert all(len(cell) == copies + 1 for (_, copies), cell in cells.items() if cell != ["-"])


@pytest.mark.parametrize(
    ("name", "copies", "ready", "said"),
    [
        pytest.param(name, copies, ready, said, id=f"{name}: {ready} of {copies}")
        for (name, copies), cell in written().items()
        for ready, said in enumerate(cell)
        if said != "-"
    ],
)
def test_every_cell(name, copies, ready, said):
    assert entry(ROWS[name](copies, ready)) == said


@pytest.mark.parametrize("copies", COPIES)
def test_a_rollback_is_judged_like_a_restart(copies):
    """disruption_budget and min_available hold also where Kubernetes does not apply budgets."""
    for ready in range(copies + 1):
        for strategy in (rolling(0, 1), rolling("25%", "25%"), rolling(1), {"type": "Recreate"}):

            def make(n: int, r: int, strategy: Any = strategy) -> Any:
                return deployment(n, r, strategy=strategy)

            assert entry(rollout(make, rollback)(copies, ready)) == entry(rollout(make)(copies, ready))
