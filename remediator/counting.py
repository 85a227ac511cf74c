"""Turns decisions into metrics and log lines: one event per change of state, the remediation's id in every line."""

from __future__ import annotations

import structlog

from remediator.guardrails.verdict import Answer
from remediator.metrics import Metrics
from remediator.people.outbox import Result
from remediator.ports import Clock
from remediator.remediation.draft import Decision
from remediator.remediation.events import Acted, Approved, Rejected
from remediator.remediation.state import State

log = structlog.get_logger()


class Counting:
    """Called after each commit; never raises into it."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def decision(self, decision: Decision) -> None:
        """Count and log one committed decision."""
        r, event = decision.remediation, decision.event
        if decision.came_from is not r.state:
            log.info(
                "state_changed",
                remediation=r.id,
                playbook=r.playbook,
                target=str(r.target or r.root),
                from_state=decision.came_from.value,
                to_state=r.state.value,
                outcome=r.outcome.value,
                reason=r.reason,
            )
            if r.state in (State.DENIED, State.HELD):
                for verdict in r.verdicts:
                    if verdict.answer in (Answer.DENY, Answer.HOLD):
                        self._metrics.denials.labels(verdict.guardrail, verdict.answer.value).inc()
            if r.ended:
                self._metrics.remediations.labels(r.playbook or "none", r.outcome.value or r.state.value).inc()
            if r.state is State.SUCCEEDED and r.done:
                took = (self._clock.now() - r.done[0].at).total_seconds()
                self._metrics.recovery.labels(r.playbook).observe(took)
        if isinstance(event, Acted) and decision.before.plan is not None:
            step = decision.before.plan.steps[decision.before.step]
            self._metrics.effects.labels("undo" if decision.before.undoing else step.action, event.answer).inc()
            if event.answer == "done" and len(r.done) == 1 and not r.cause:
                self._metrics.alert_to_effect.observe((r.done[0].at - r.created_at).total_seconds())
        if isinstance(event, Approved | Rejected):
            self._metrics.approvals.labels("approved" if isinstance(event, Approved) else "rejected").inc()

    def message(self, channel: str, result: Result) -> None:
        """How one outgoing message went."""
        self._metrics.messages.labels(channel, result).inc()
        if result == "failed":
            self._metrics.dead_letters.labels(channel).inc()
