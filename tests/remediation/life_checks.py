"""What must hold after every commit of a remediation's life, whatever was chosen."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from remediator.guardrails.verdict import Answer, gravest
from remediator.remediation.conditions import verify_of
from remediator.remediation.draft import Decision
from remediator.remediation.events import PlanMade, Sampled
from remediator.remediation.state import HOLDING, Remediation, State, StepOutcome

if TYPE_CHECKING:
    from tests.remediation.life import Life

S = State
TOLD = {"escalated", "denied", "suggested", "ended_by_person", "next_rung"}
QUIET = (S.SUCCEEDED, S.OBSERVED, S.SUPERSEDED)
ACTS = ("auto", "approve")
LONGEST_STORM = timedelta(hours=4)
NO_LONGER = timedelta(hours=4)
"""No deadline lies further ahead, but that of a snooze."""


class Checks:
    def __init__(self, life: Life) -> None:
        self.life = life
        self.rules: Counter[str] = Counter()
        self.locks = ""
        """Who has the locks."""
        self.tokens: Counter[str] = Counter()
        self.inherited = False
        self.told: dict[str, Counter[str]] = defaultdict(Counter)
        self.yes: set[str] = set()
        """Who may be counted for the present proposal, by the words of the promise and not by those of the code."""
        self.done_by: dict[str, int] = Counter()
        self.over: Remediation | None = None
        self.good_in_a_row = 0
        self.bad_in_a_row: list[str] = []

    # --- what others tell ------------------------------------------------------------------------------------------

    def approves(self, who: str, digest: str) -> None:
        r = self.life.r
        asks = r.state in (S.AWAITING_APPROVAL, S.SNOOZED) or (r.state is S.WAITING and r.waiting_for == "ask")
        late = r.state is not S.SNOOZED and r.deadline is not None and self.life.now >= r.deadline
        if asks and digest == r.digest and who != r.requester and not late:
            self.yes.add(who)

    def landed(self, effect: str) -> None:
        self.good_in_a_row, self.bad_in_a_row = 0, []
        life, r = self.life, self.life.r
        assert life.api.landed[effect] == 1, f"{effect} happened {life.api.landed[effect]} times"
        owner = effect.partition("/")[0]
        self.done_by[owner] += 1
        over = self.over if self.over is not None and self.over.id == owner else r if r.id == owner else None
        if over is None or over.ended:
            given_up = over is not None and over.outcome is StepOutcome.UNCERTAIN and "abandoned" not in over.reason
            assert given_up, f"{effect} lands after {over and (over.state, over.outcome, over.reason)}"
        assert self.tokens[owner] > 0 or (over is not None and over.ended), f"{effect} lands without a token"

    def row(self, r: Remediation) -> None:
        """An attempt row is asked for."""
        assert r.state in HOLDING
        assert self.locks == r.id, f"{r.id} sends without its locks"
        assert r.mode in ACTS, f"{r.mode} never sends"
        assert r.spec is not None
        if r.mode == "approve" and not r.undoing:
            assert len(self.yes) >= r.spec.approval.quorum, f"{r.effect_id} with only {sorted(self.yes)}"
            assert {c.who for c in r.consents if c.digest == r.digest} >= self.yes
        if r.undoing:
            assert r.undo_left, "nothing to undo"

    def opened(self, child: Remediation) -> None:
        self.yes = set()

    def ignored(self, decision: Decision) -> None:
        before, after = decision.before, decision.remediation
        assert after.state is before.state
        assert before.ended or (after.due is not None and after.due > self.life.now), "it would be ignored for ever"

    # --- a commit --------------------------------------------------------------------------------------------------

    def committed(self, decision: Decision) -> None:
        before, after = decision.before, decision.remediation
        self.rules[decision.rule] += 1
        assert not before.ended, f"ended is ended: {decision.rule}"
        assert after.version == before.version + 1
        if isinstance(decision.event, Sampled):
            self._sampled(decision.event)
        self._people(decision)
        self._owns(decision)
        self._undoes(decision)
        self._succeeds(decision)
        self._times(decision)
        for notice in decision.notices:
            self.told[after.id][notice.value] += 1
        if after.ended:
            self.over = after
            self._ends(after)

    def _people(self, decision: Decision) -> None:
        before, after = decision.before, decision.remediation
        if "proposed" in {n.value for n in decision.notices} and before.state is not S.SNOOZED:
            self.yes = set()
            assert not after.consents
        for consent in after.consents:
            assert consent.who != after.requester
        assert len({c.who for c in after.consents}) == len(after.consents)
        assert after.spec is not None or not decision.reserve
        if after.state is S.APPROVED and before.state is not S.APPROVED:
            assert after.spec is not None
            assert len(self.yes) >= after.spec.approval.quorum, f"approved by {sorted(self.yes)}"
        if not decision.reserve:
            return
        event = decision.event
        assert isinstance(event, PlanMade)
        assert after.mode in ACTS
        assert gravest(event.verdicts).rank <= Answer.ASK.rank, "a guard said no"
        assert not self.life.pauses
        assert event.plan is not None
        assert {c.digest for c in after.consents} <= {event.plan.digest}, "a yes for something else is still there"
        assert before.state is S.APPROVED or not after.consents, "a yes that has expired is still there"
        if after.mode == "approve" or gravest(event.verdicts) is Answer.ASK:
            assert before.state is S.APPROVED, "nobody was asked"
        if before.state is S.APPROVED:
            assert event.plan.digest == before.digest, "something else was approved"
            assert before.approval_expires is not None

    def _owns(self, decision: Decision) -> None:
        """Locks and tokens: taken by a reservation, given back at the end, passed to a child."""
        before, after = decision.before, decision.remediation
        if decision.reserve:
            assert self.locks in ("", before.id)
            self.locks = after.id
            self.tokens[after.id] += 1
            self.inherited = False
        if decision.refund:
            assert not self.done_by[after.id], f"tokens of {after.id} come back although it did something"
            self.tokens[after.id] = 0
        if decision.release:
            assert not decision.child
            self.locks = ""
        if decision.child:
            assert after.ended
            self.inherited = bool(self.locks)
            self.locks = f"r-1.{self.life.rungs + 1}" if self.locks else ""
            return
        if after.state in HOLDING:
            assert self.locks == after.id, f"{after.state.value} without locks"
            assert after.epoch > 0
        else:
            assert not self.locks or (self.inherited and not after.ended), f"{after.state.value} keeps its locks"

    def _sampled(self, event: Sampled) -> None:
        """In the order in which they were taken, whatever the clock said."""
        answer = event.sample.checks[0].answer
        self.good_in_a_row = self.good_in_a_row + 1 if answer == "good" else 0
        health = "worse" if event.sample.available == 1 else "bad"
        self.bad_in_a_row = [*self.bad_in_a_row, health] if answer == "bad" else []

    def _undoes(self, decision: Decision) -> None:
        before, after, event = decision.before, decision.remediation, decision.event
        if after.undoing and not before.undoing:
            assert before.spec is not None
            assert before.spec.undo.after == "failed"
            assert after.undo_left
            done = [x.inverse for x in reversed(before.done)]
            assert tuple(done[: len(after.undo_left)]) == after.undo_left, "not in reverse"
            if isinstance(event, Sampled):
                assert self.bad_in_a_row[-2:] == ["worse", "worse"], f"undone after {self.bad_in_a_row}"
            else:
                assert getattr(event, "worse", False), "undone although nothing is worse"
        if before.undoing and after.undoing:
            assert after.undo_left == before.undo_left
            assert after.undo_sent >= before.undo_sent
        if after.outcome is StepOutcome.UNDONE:
            assert before.undo_sent == len(before.undo_left)

    def _succeeds(self, decision: Decision) -> None:
        after = decision.remediation
        if after.state is S.SUCCEEDED:
            assert self.good_in_a_row >= verify_of(decision.before).successes, "no fresh evidence"
            assert decision.before.step == len(after.spec.steps) - 1 if after.spec else False

    def _times(self, decision: Decision) -> None:
        before, after = decision.before, decision.remediation
        if after.ended:
            assert after.due is None
            assert after.deadline is None
            assert after.ended_at == self.life.now
            return
        assert after.due is not None or after.deadline is not None, f"{after.state.value} is never looked at again"
        if after.state is not S.RECEIVED:
            assert after.deadline is not None, f"{after.state.value} has no end"
        if after.deadline is not None and after.state is not S.SNOOZED and before.state is not after.state:
            assert after.deadline - self.life.now <= NO_LONGER, f"{after.state.value} until {after.deadline}"
        if before.hold_until is not None and after.hold_until != before.hold_until:
            assert self._storms(decision), "the end of the first hold moved"
            assert after.hold_until is not None
            assert before.hold_until < after.hold_until <= before.created_at + LONGEST_STORM
        if before.wait_until is not None and after.wait_until is not None:
            assert after.wait_until == before.wait_until, "the end of the first wait moved"
        stays = before.state is after.state and before.deadline is not None and after.deadline is not None
        if stays and before.deadline != after.deadline:
            self._moved_out(before, after)

    def _storms(self, decision: Decision) -> bool:
        """A storm that is seen, and not one that nobody could look for."""
        return any(
            v.guardrail == "storm" and v.answer is Answer.HOLD and not v.cannot_see
            for v in getattr(decision.event, "verdicts", ())
        )

    def _moved_out(self, before: Remediation, after: Remediation) -> None:
        """Within a state a deadline moves only where people, a next step or a pause of what was approved moves it."""
        assert before.deadline is not None
        assert after.deadline is not None
        allowed: datetime | None = None
        match after.state:
            case S.APPROVED:
                allowed = after.approval_expires
            case S.SNOOZED | S.WAITING:
                return
            case _:
                allowed = after.hold_until
        assert allowed is not None, f"the deadline of {after.state.value} moved"
        assert after.deadline <= max(allowed, before.deadline)

    def _ends(self, r: Remediation) -> None:
        given = Counter({n: c for n, c in self.told[r.id].items() if n in TOLD})
        unclear_before = r.outcome is StepOutcome.INCONCLUSIVE
        if r.state in QUIET and not unclear_before:
            assert not given, f"{r.state.value} called somebody: {given}"
        else:
            assert given.total() == 1, f"{r.state.value} {r.outcome.value}: people were told {dict(given)}"
        assert self.told[r.id]["succeeded"] == (r.state is S.SUCCEEDED)
        assert self.told[r.id]["held"] <= 1
        nothing = r.state in (S.DENIED, S.OBSERVED, S.SUGGESTED, S.REJECTED, S.CANCELLED)
        assert not (nothing and self.done_by[r.id]), f"{r.state.value} had an effect"
