"""Deny or hold: what each guardrail can answer, as a table, with facts that bring out each of its answers.

A guardrail that can never object guards nothing, and one that can never pass stops everything; neither can be in this
table. A deny is final, so only what will not change by waiting may deny.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.actions.change import FieldChange
from remediator.actions.view import Revision
from remediator.guardrails.explain import explain, explain_one
from remediator.guardrails.facts import (
    Arrival,
    BlockerFact,
    Channel,
    EffectiveLimits,
    Facts,
    Overload,
    Parent,
    Pause,
)
from remediator.guardrails.order import ORDER, Guard, evaluate
from remediator.guardrails.verdict import Answer, Verdict
from remediator.playbooks.model import Mode
from remediator.playbooks.projects import Project
from remediator.playbooks.windows_model import Window, Windows
from remediator.ports import ChangeRecord, Silence
from tests.actions.make import NOW, deployment, hash_of, hpa, owner, pdb, pod, replicaset
from tests.guardrails.make import (
    HOUR,
    MINUTE,
    a_patch,
    alert,
    evict,
    facts,
    fleet,
    outcome,
    playbook,
    promote,
    restart,
    rollback,
    run,
    scale,
    target,
)

NA, PASS, ASK, SUGGEST, HOLD, DENY = Answer

D = deployment(5)
MOVING = deployment(3, updated=1, total=4, reason="ReplicaSetUpdated")
SHORT = deployment(image="shop/api:2", spec={"revisionHistoryLimit": 1})
HISTORY = (replicaset(SHORT, 1, "shop/api:1"), replicaset(SHORT, 2, "shop/api:2"))
GOOD = Revision(workload_uid="uid-deployment-api", template_hash=hash_of("shop/api:1"), healthy=True)
OPERATED = deployment(metadata={"ownerReferences": owner({**hpa(), "apiVersion": "x/v1", "kind": "Shop"})})
BUSY = run("r-x", ended=None)
STORM = tuple(Arrival(target_key=f"t{n}", at=NOW - n * timedelta(seconds=10)) for n in range(7))

CHANGED = playbook(approval={"change": "required"})
CHANGE = ChangeRecord(
    number="CHG1", found=True, state="being implemented", ready=True, starts_at=NOW - HOUR, ends_at=NOW + HOUR
)


def silence(*matchers: str) -> Silence:
    return Silence(id="s1", created_by="ada", comment="mine", ends_at=NOW + HOUR, matchers=matchers)


def mode(mode: Mode) -> EffectiveLimits:
    return EffectiveLimits(mode=mode, mode_ceiling=Mode.AUTO)


def within(cron: str) -> EffectiveLimits:
    """23 hours from then on are allowed; it is noon."""
    window = Window(cron=cron, duration=timedelta(hours=23), zone="UTC")
    return EffectiveLimits(windows=(Windows(allow=(window,)),))


def project(namespace: str) -> Project:
    given = {"name": "p", "playbooks": {"folders": ["p"]}, "clusters": ["prod"], "namespaces": [namespace]}
    return Project.model_validate({**given, "mode": "auto"})


CASES: Mapping[str, Mapping[Answer, Facts]] = {
    "pause": {
        PASS: facts(),
        HOLD: facts(pauses=(Pause(id="p1", scope="everything", who="ada", why="a\nmove", until=None, created_at=NOW),)),
    },
    "silenced": {
        NA: facts(silences=None),
        PASS: facts(silences=(silence('alertname="Y"'),)),
        HOLD: facts(silences=(silence(),)),
        DENY: facts(silences=(silence('alertname="X"'),)),
    },
    "store_history": {PASS: facts(), HOLD: facts(unknown_marker="r-0/0.0")},
    "max_alert_age": {NA: facts(alerts=()), PASS: facts(), SUGGEST: facts(alerts=(alert(9 * HOUR, MINUTE),))},
    "plan_age": {NA: facts(planned_at=None), PASS: facts(), HOLD: facts(planned_at=NOW - HOUR)},
    "max_targets": {PASS: facts(), DENY: replace(facts(), targets=())},
    "project": {NA: facts(), PASS: facts(project=project("shop")), DENY: facts(project=project("web"))},
    "protect": {
        PASS: facts(),
        HOLD: facts(target(unreadable={"namespace": "403"})),
        DENY: facts(protected_namespaces=frozenset({"shop"})),
    },
    "mode": {
        PASS: facts(),
        ASK: facts(limits=mode(Mode.APPROVE)),
        SUGGEST: facts(limits=mode(Mode.SUGGEST)),
        DENY: facts(environments=frozenset({"staging", "production"})),
    },
    "change_gate": {
        NA: facts(),
        PASS: facts(playbook=CHANGED, approved=True, change_record=CHANGE),
        ASK: facts(playbook=CHANGED),
        HOLD: facts(playbook=CHANGED, approved=True),
    },
    "storm": {
        PASS: facts(),
        ASK: facts(arrivals=STORM, parent=Parent(what="Node n1", members=7, of=7)),
        HOLD: facts(arrivals=STORM),
    },
    "windows": {
        NA: facts(),
        PASS: facts(limits=within("0 0 * * *")),
        HOLD: facts(limits=within("0 13 * * *")),
    },
    "blockers": {
        NA: facts(),
        PASS: facts(blockers=(BlockerFact(name="x"),)),
        HOLD: facts(blockers=(BlockerFact(name="x", blocks=("y",)),)),
    },
    "overload": {
        NA: facts(),
        PASS: facts(target(D, evict()), overload=Overload(query="q")),
        ASK: facts(target(D, evict()), overload=Overload(query="q", says="1")),
        HOLD: facts(target(D, evict()), limits=EffectiveLimits(overload="q")),
    },
    "notify_first": {
        NA: facts(),
        PASS: facts(channels=(Channel(name="slack"),)),
        SUGGEST: facts(channels=(Channel(name="slack", problem="503"),)),
    },
    "failover_fence": {
        NA: facts(),
        PASS: facts(target(D, promote())),
        HOLD: facts(target(D, promote(operator_busy="failing over"))),
        DENY: facts(target(D, promote(old_primary={"a": "running"}))),
    },
    "rollout_in_progress": {
        NA: facts(target(pod("x", D), evict())),
        PASS: facts(),
        HOLD: facts(target(MOVING)),
        DENY: facts(target(deployment(spec={"paused": True}))),
    },
    "min_available": {
        PASS: facts(),
        ASK: facts(target(deployment(1), restart(deployment(1), takes=1))),
        HOLD: facts(target(D, restart(D, takes=5))),
    },
    "min_healthy": {NA: facts(), PASS: facts(fleet=fleet(3)), HOLD: facts(fleet=fleet(1, "sick", "sick"))},
    "disruption_budget": {
        PASS: facts(target(D, restart(D, takes=1), pdbs=(pdb(1),))),
        HOLD: facts(target(D, restart(D, takes=1), pdbs=(pdb(0),))),
    },
    "failure_domain": {
        NA: facts(target(domains=None)),
        PASS: facts(target(domains=frozenset("a"))),
        HOLD: facts(target(domains=frozenset("a")), runs=(replace(BUSY, domains=frozenset("b")),)),
    },
    "last_good_revision": {
        NA: facts(target(SHORT, rollback(SHORT))),
        PASS: facts(),
        HOLD: facts(target(SHORT, unreadable={"revisions": "403"})),
        DENY: facts(target(SHORT, revisions=HISTORY, observed=(GOOD,))),
    },
    "ownership": {
        NA: facts(target(D, evict())),
        PASS: facts(),
        ASK: facts(target(OPERATED, restart(OPERATED))),
        HOLD: facts(target(D, scale(D, 5, 6), unreadable={"hpas": "403"})),
        DENY: facts(target(D, scale(D, 5, 6), hpas=(hpa(),))),
    },
    "cooldown": {NA: facts(between_rungs=True), PASS: facts(), HOLD: facts(runs=(run(ended=MINUTE),))},
    "circuit_breaker": {
        PASS: facts(),
        ASK: facts(outcomes=tuple(outcome(f"r-{n}", ago=9 * HOUR) for n in range(3))),
        DENY: facts(outcomes=tuple(outcome(f"r-{n}") for n in range(3))),
    },
    "max_attempts": {NA: facts(between_rungs=True), PASS: facts(), DENY: facts(ladders=1)},
    "rate_limit": {PASS: facts(), HOLD: facts(runs=(run("r-x"), run("r-y")))},
    "in_flight": {PASS: facts(), HOLD: facts(runs=(BUSY,))},
}

FINAL = {
    "silenced",
    "max_targets",
    "mode",  # targets of several environments
    "project",
    "protect",
    "failover_fence",
    "rollout_in_progress",  # a paused workload: a person has stopped it
    "last_good_revision",
    "ownership",
    "circuit_breaker",
    "max_attempts",
}
"""Those that may deny. All others hold: what they object to passes by itself."""

GUARDS = {guard.name: guard for guard in ORDER}
TABLE = [
    pytest.param(GUARDS[name], answer, asked, id=f"{name}: {answer.value}")
    for name, answers in CASES.items()
    if name in GUARDS
    for answer, asked in answers.items()
]


@pytest.mark.parametrize(("guard", "answer", "asked"), TABLE)
def test_every_answer_can_be_brought_about(guard, answer, asked):
    (verdict,) = evaluate(asked, (guard,))
    assert verdict.answer is answer, verdict.reason


def test_every_guardrail_is_in_the_table_can_object_and_can_pass():
    assert set(CASES) == set(GUARDS)
    for name, answers in CASES.items():
        assert PASS in answers, name
        assert set(answers) & {ASK, SUGGEST, HOLD, DENY}, name


def test_only_what_will_not_change_by_waiting_denies():
    assert {name for name, answers in CASES.items() if DENY in answers} == FINAL & set(GUARDS)


@pytest.mark.parametrize("guard", ORDER, ids=lambda guard: guard.name)
def test_no_answer_is_left_out(guard):
    """What a guardrail's file can say at all, read from its source, is what the table shows that it says."""
    assert _answers_in(guard) | {PASS} == set(CASES[guard.name]) | {PASS}


BUILDERS = {
    "passes": PASS,
    "not_applicable": NA,
    "holds": HOLD,
    "cannot_see": HOLD,
    "denies": DENY,
    "asks": ASK,
    "suggests": SUGGEST,
}


def _answers_in(guard: Guard) -> set[Answer]:
    tree = ast.parse(inspect.getsource(sys.modules[guard.check.__module__]))
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    return {answer for name, answer in BUILDERS.items() if name in called}


# --- how it is explained ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("guard", "answer", "asked"), TABLE)
def test_every_answer_explains_itself_in_one_line(guard, answer, asked):
    """A reason, its numbers, when or how it changes; one line, whatever others have written into it."""
    (verdict,) = evaluate(asked, (guard,))
    for text in (explain([verdict], subject="restart"), explain_one(verdict)):
        assert "\n" not in text
        assert text.endswith(".")
        assert not text.endswith("..")
    assert verdict.reason
    if answer in (ASK, SUGGEST, HOLD, DENY):
        assert verdict.changes
        assert verdict.changes in explain([verdict]) or verdict.changes[1:] in explain([verdict])
        if any(isinstance(value, int | float) for value in verdict.facts.values()):
            assert re.search(r"\d", verdict.reason + verdict.changes), verdict.reason


def test_a_line_break_that_others_wrote_is_none():
    verdict = Verdict(guardrail="pause", answer=HOLD, reason="a\r\n b", changes="c\u2028d", brief="e\n")
    assert (verdict.reason, verdict.changes, verdict.brief) == ("a b", "c d", "e")


def test_several_holds_are_one_line_too():
    asked = facts(runs=(run(ended=MINUTE),), unknown_marker="r-0/0.0", planned_at=NOW - HOUR, playbook=playbook())
    text = explain([v for v in evaluate(asked) if v.answer is HOLD])
    assert text.startswith("HELD by 3: store_history (")
    assert text.count(";") >= 2
    assert "\n" not in text


def test_a_field_that_is_no_restart_is_asked_about_as_well():
    """ownership looks at every field of a patch, not at the first one."""
    both = replace(restart(D), effects=(*restart(D).effects, a_patch(D, FieldChange(("spec", "replicas"), 5, 6))))
    (verdict,) = evaluate(facts(target(D, both, hpas=(hpa(),))), (GUARDS["ownership"],))
    assert verdict.answer is DENY
