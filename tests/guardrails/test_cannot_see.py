"""Unknown is never a go-ahead (invariants 2 and 22): for every guardrail and every fact that it reads.

A fact that could not be read holds with CANNOT SEE. A fact that is nonsense (NaN, a status that is missing, or behind
its spec) holds or denies. A guardrail that fails denies.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest

from remediator.guardrails.explain import explain
from remediator.guardrails.facts import BlockerFact, EffectiveLimits, Facts, Seen
from remediator.guardrails.order import ORDER, Guard, evaluate
from remediator.guardrails.verdict import Answer, Verdict
from tests.actions.make import NOW, deployment, pdb, pod, statefulset
from tests.guardrails.make import HOUR, evict, facts, fleet, promote, restart, rollback, run, scale, target
from tests.guardrails.test_answers_table import CASES, GUARDS

READS = [pytest.param(guard, name, id=f"{guard.name}: {name}") for guard in ORDER for name in sorted(guard.reads)]


def one(guard: Guard, asked: Facts) -> Verdict:
    (verdict,) = [v for v in evaluate(asked, (guard,)) if v.guardrail == guard.name]
    return verdict


# --- could not be read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("guard", "name"), READS)
def test_an_unreadable_fact_holds_whatever_else_is_known(guard, name):
    """Also over facts that would have made it pass, ask, suggest or deny."""
    for asked in CASES[guard.name].values():
        verdict = one(guard, replace(asked, approved=True, unknown={name: "no answer\nfrom the store"}))
        assert (verdict.answer, verdict.cannot_see) == (Answer.HOLD, True)
        assert explain([verdict]) == (
            f"CANNOT SEE: No answer from the store. Nothing was done, because {name} is unknown."
        )


BY_US = frozenset(
    {"now", "remediation_id", "episode_id", "cluster", "playbook", "limits", "zone", "approved", "action", "unknown"}
    | {"action_disruptive", "started", "between_rungs", "protected_namespaces", "environments", "seen", "releases"}
)
"""Not read from anywhere: our own state and configuration."""


class Watched:
    """Facts that remember what was asked of them."""

    def __init__(self, asked: Facts) -> None:
        self._asked = asked
        self.touched: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.touched.add(name)
        return getattr(self._asked, name)


@pytest.mark.parametrize("guard", ORDER, ids=lambda guard: guard.name)
def test_a_guardrail_names_every_fact_that_it_looks_at(guard):
    """Otherwise it would take an unreadable one for empty."""
    touched: set[str] = set()
    for asked in CASES[guard.name].values():
        watched = Watched(asked)
        guard.check(watched)
        touched |= watched.touched
    assert touched <= guard.reads | BY_US
    assert guard.reads <= {field.name for field in fields(Facts)} | {"clock"}


# --- fails itself -----------------------------------------------------------------------------------------------------


class Poison:
    """Whatever is done with it fails."""

    def __getattribute__(self, name: str) -> Any:
        raise KeyError(f"a fact nobody\nexpected: {name}")

    def _fails(self, *_: object) -> Any:
        raise KeyError("a fact nobody\nexpected")

    __bool__ = __iter__ = __len__ = __lt__ = __gt__ = __ge__ = __le__ = __sub__ = __rsub__ = __contains__ = _fails


@pytest.mark.parametrize("guard", ORDER, ids=lambda guard: guard.name)
def test_an_exception_inside_denies(guard):
    """Every fact that it reads is poisoned, and our own numbers with them; an approval changes nothing."""
    poisoned: dict[str, Any] = dict.fromkeys(guard.reads - {"clock"}, Poison())
    verdict = one(guard, replace(facts(approved=True), **{"limits": Poison(), **poisoned}))
    assert verdict.answer is Answer.DENY
    assert "the guardrail itself failed" in verdict.reason
    assert "\n" not in explain([verdict])
    assert verdict.changes


# --- nonsense ---------------------------------------------------------------------------------------------------------

D = deployment(5)
STATUSLESS = {**D, "status": {}}
BEHIND = deployment(5, metadata={"generation": 2})
NAN = {**D, "status": {**D["status"], "availableReplicas": math.nan}}
SICK_PDB: dict[str, Any] = {**pdb(5), "status": {"observedGeneration": 1, "disruptionsAllowed": math.nan}}


def with_pdb(budget: Any) -> Facts:
    return facts(target(D, restart(D, takes=1), pdbs=(budget,)))


BLIND, NO = True, False
"""Whether it says CANNOT SEE; where it does not, it holds or denies for another reason."""


@pytest.mark.parametrize(
    ("name", "asked", "blind"),
    [
        # the status of a workload
        pytest.param("min_available", facts(target(STATUSLESS)), BLIND, id="min_available: no status, 0 of everything"),
        pytest.param(
            "min_available", facts(target(BEHIND, restart(BEHIND, takes=1))), BLIND, id="min_available: behind"
        ),
        pytest.param("min_available", facts(target(BEHIND, evict())), BLIND, id="min_available: behind, evict"),
        pytest.param("min_available", facts(target(NAN, restart(NAN, takes=1))), NO, id="min_available: NaN"),
        pytest.param(
            "min_available",
            facts(target(D, restart(D, takes=1)), limits=EffectiveLimits(min_available="many%")),
            NO,
            id="min_available: a share that is none",
        ),
        pytest.param("rollout_in_progress", facts(target(STATUSLESS)), NO, id="rollout_in_progress: no status"),
        pytest.param("rollout_in_progress", facts(target(BEHIND)), NO, id="rollout_in_progress: behind"),
        # budgets
        pytest.param("disruption_budget", with_pdb({**pdb(5), "status": {}}), BLIND, id="budget: no status"),
        pytest.param("disruption_budget", with_pdb(pdb(None)), BLIND, id="budget: no number"),
        pytest.param("disruption_budget", with_pdb(pdb(5, generation=2)), BLIND, id="budget: behind"),
        pytest.param("disruption_budget", with_pdb(SICK_PDB), NO, id="budget: NaN"),
        pytest.param(
            "disruption_budget",
            facts(target(D, restart(D, takes=1), unreadable={"pdbs": "403"})),
            BLIND,
            id="budget: unreadable",
        ),
        # parts of the view
        pytest.param("pause", facts(target(unreadable={"namespace": "403"})), BLIND, id="pause: namespace"),
        pytest.param("protect", facts(target(unreadable={"namespace": "403"})), BLIND, id="protect: namespace"),
        pytest.param("last_good_revision", facts(target(unreadable={"revisions": "403"})), BLIND, id="revisions"),
        pytest.param("last_good_revision", facts(target(unreadable={"observed": "x"})), BLIND, id="evidence"),
        pytest.param("ownership", facts(target(D, scale(D, 5, 6), unreadable={"hpas": "x"})), BLIND, id="autoscalers"),
        # answers of others
        pytest.param("blockers", facts(blockers=(BlockerFact(name="x", problem="NaN"),)), BLIND, id="blockers: NaN"),
        pytest.param(
            "overload", facts(target(D, evict()), limits=EffectiveLimits(overload="q")), BLIND, id="overload: not asked"
        ),
        pytest.param("failover_fence", facts(target(D, promote(lag_s=math.nan))), BLIND, id="failover: NaN"),
        pytest.param("failover_fence", facts(target(D, promote(lag_s=None))), BLIND, id="failover: no lag"),
        pytest.param("failover_fence", facts(target(D, promote(failing_since=None))), BLIND, id="failover: no signal"),
        pytest.param("min_healthy", facts(fleet=fleet(0)), NO, id="min_healthy: nobody is there"),
        pytest.param("min_healthy", facts(fleet=fleet(1, total=5)), NO, id="min_healthy: most are gone"),
        pytest.param(
            "min_healthy",
            facts(fleet=fleet(3), limits=EffectiveLimits(min_healthy="many%")),
            NO,
            id="min_healthy: a share that is none",
        ),
        # clocks that jumped
        pytest.param("plan_age", facts(planned_at=NOW + HOUR), NO, id="plan_age: from the future"),
        pytest.param("cooldown", facts(runs=(run(ended=-HOUR),)), NO, id="cooldown: from the future"),
        pytest.param(
            "rate_limit", facts(runs=(run("r-x", reserved=-HOUR), run("r-y"))), NO, id="rate_limit: from the future"
        ),
    ],
)
def test_nonsense_is_no_go_ahead(name, asked, blind):
    verdict = one(GUARDS[name], asked)
    assert verdict.answer in (Answer.HOLD, Answer.DENY)
    assert verdict.cannot_see is blind
    assert verdict.changes


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        pytest.param(STATUSLESS, "it has no status yet", id="none"),
        pytest.param(BEHIND, "its status is of generation 1, its spec of generation 2", id="behind"),
    ],
)
def test_a_status_that_proves_nothing_is_said_with_its_generation(obj, said):
    verdict = one(GUARDS["min_available"], facts(target(obj, restart(obj, takes=1))))
    assert explain([verdict]) == (
        f"CANNOT SEE: {said[:1].upper()}{said[1:]}. Nothing was done, because how many copies of Deployment shop/api "
        "are available is unknown."
    )


@pytest.mark.parametrize(
    "obj", [BEHIND, {**statefulset(3), "metadata": {**statefulset(3)["metadata"], "generation": 2}}]
)
def test_what_takes_nothing_need_not_wait_for_the_status(obj):
    """The rollback of what was applied a second ago: by an older status it takes nothing, and waiting would cost."""
    assert one(GUARDS["min_available"], facts(target(obj, rollback(obj)))).answer is Answer.PASS


def test_a_pod_has_no_generation_to_be_behind():
    gone = pod("x", D, ready=False)
    assert one(GUARDS["min_available"], facts(target(gone, evict(0)))).answer is Answer.PASS


def test_what_it_saw_is_on_record_with_place_and_time():
    guard = GUARDS["circuit_breaker"]
    seen = {name: Seen(source="journal", at=NOW) for name in ("outcomes", "runs")}
    assert one(guard, facts(seen=seen)).seen == {"outcomes": "journal at 2025-06-01T12:00:00Z"}
    assert one(guard, facts(seen=seen, unknown={"outcomes": "x"})).seen == {}
