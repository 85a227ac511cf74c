"""What schedules have reached: states, rows of the transition table, answers of guardrails, and faults.

Data-driven: a new state, row or guardrail is expected as soon as it exists. `NOT_HERE` says what cannot be reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from remediator.guardrails.order import ORDER
from remediator.guardrails.verdict import Answer, Verdict
from remediator.remediation.draft import Decision
from remediator.remediation.effector import effect_of
from remediator.remediation.events import Joined, Probed
from remediator.remediation.state import State
from remediator.remediation.table import RULES
from tests.sim import callees, faults, landings, slack
from tests.sim.scenario import SPELLS

JOINED = next(rule for rule in RULES if rule.on is Joined)
"""A join is committed beside the runner: no decision of it is heard of."""
STOPPED = frozenset({Answer.ASK, Answer.SUGGEST, Answer.HOLD, Answer.DENY})

_NOT_WATCHED = "the runner looks at the alerts only where nothing else is to be done"
_DATABASES = "no action promotes a database yet"
_CHANGES = "no playbook of the scenarios asks for a change; tests/people/channels/test_change_gate.py"
NOT_HERE: Mapping[str, str] = {
    "rule: reserved on Watched if quiet -> superseded": _NOT_WATCHED,
    "rule: held|planned|approved on Watched -> stay": _NOT_WATCHED,
    "guard: failover_fence passes": _DATABASES,
    "guard: failover_fence stops": _DATABASES,
    "guard: change_gate passes": _CHANGES,
    "guard: change_gate stops": _CHANGES,
    "guard: last_good_revision stops": "it takes ten releases; tests/guardrails/test_health.py",
}
"""What no schedule reaches, and why."""


class Coverage:
    """Of one schedule. What is in here was reached, however often."""

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self._seen: tuple[Verdict, ...] = ()

    def reach(self, kind: str, what: str) -> None:
        self.reached.add(f"{kind}: {what}")

    def decided(self, decision: Decision) -> None:
        self.reach("state", decision.remediation.state.value)
        if decision.rule:
            self.reach("rule", decision.rule)
            if isinstance(decision.event, Probed):
                kind = landings.kind_of_effect(effect_of(decision.before))
                self.reach("effect", f"{kind}: {decision.event.answer}")
        verdicts = getattr(decision.event, "verdicts", ())
        if verdicts is not self._seen:
            self._seen = verdicts
            self.judged(verdicts)

    def joined(self) -> None:
        self.reach("rule", JOINED.name)

    def judged(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            if verdict.answer is Answer.PASS:
                self.reach("guard", f"{verdict.guardrail} passes")
            elif verdict.answer in STOPPED:
                self.reach("guard", f"{verdict.guardrail} stops")
                if verdict.cannot_see:
                    self.reach("guard", f"{verdict.guardrail} cannot see")


def expected() -> list[str]:
    """Everything that some schedule should reach."""
    return [
        *(f"state: {state.value}" for state in State),
        *(f"rule: {rule.name}" for rule in RULES),
        *(f"guard: {guard.name} {answer}" for guard in ORDER for answer in ("passes", "stops")),
        *(f"fault: {name}" for name in faults.expected()),
        *(f"fault: {name}" for name in slack.expected()),
        *(f"fault: {name}" for name in callees.expected()),
        *(f"effect: {name}" for name in landings.expected()),
        *(f"revert: {what}" for what in landings.REVERTS),
        *(f"hold: {what}" for what in landings.HOLDS),
        *(f"fault: {on} {mode}" for on, modes in SPELLS.items() for mode in modes),
        *(f"fault: {name}" for name in ("kill", "freeze", "a clock jumped")),
    ]


def missing(reached: Mapping[str, int]) -> list[str]:
    """What should have been reached and was not."""
    return [what for what in expected() if not reached.get(what) and what not in NOT_HERE]


def report(reached: Counter[str], schedules: int) -> str:
    """For people: everything with the number of schedules that reached it, and what none did."""
    listed = [*expected(), *sorted(reached.keys() - set(expected()))]
    lines = [f"{reached[what]:9d}  {what}" for what in listed]
    never = [f"           {what}: {NOT_HERE.get(what, 'NEVER REACHED')}" for what in expected() if not reached[what]]
    return "\n".join(
        [f"reached in how many of {schedules} schedules:", *lines, "never reached:", *(never or ["           nothing"])]
    )
