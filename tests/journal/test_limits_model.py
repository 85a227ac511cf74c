"""Reservations against a brute-force oracle: whatever happens in whatever order, never one more than a limit allows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from remediator.adapters.sql.engine import SqliteMemory
from remediator.adapters.sql.journal import SqlJournal
from remediator.guardrails.facts import EffectiveLimits
from remediator.remediation.journal import Committed, ReserveRequest
from remediator.remediation.state import Remediation, State, StepOutcome
from tests.journal.given import HOUR, begun, to
from tests.support.building import NOW

LIMITS = EffectiveLimits(
    in_flight_target=1,
    in_flight_playbook=2,
    in_flight_cluster=3,
    in_flight_everywhere=4,
    rate_target=2,
    rate_playbook=3,
    rate_namespace=4,
    rate_cluster=5,
)
WINDOW = LIMITS.rate_window
PLACES = [
    (cluster, namespace, target, playbook)
    for cluster in ("c1", "c2")
    for namespace in ("n1", "n2")
    for target in ("t1", "t2")
    for playbook in ("p1", "p2")
]


@dataclass
class Token:
    """One token as the oracle remembers it: when, where, whether it was given back."""

    owner: str
    at: datetime
    place: tuple[str, str, str, str]
    refunded: bool = False


def scopes(place: tuple[str, str, str, str]) -> dict[str, Any]:
    cluster, namespace, target, playbook = place
    return {
        "target": (cluster, namespace, target),
        "playbook": (cluster, namespace, playbook),
        "namespace": (cluster, namespace),
        "cluster": cluster,
        "everywhere": None,
    }


class Limits(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.database = SqliteMemory()
        self.journal = SqlJournal.in_memory(self.database)
        self.now = NOW
        self.count = 0
        self.idle: dict[str, Remediation] = {}
        self.running: dict[str, Remediation] = {}
        self.slots: dict[str, tuple[str, str, str, str]] = {}
        self.tokens: list[Token] = []

    def run(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def teardown(self) -> None:
        self.database.dispose()
        self.loop.close()

    def _fits(self, owner: str, place: tuple[str, str, str, str]) -> bool:
        """Everything counted one by one, as slowly as you like."""
        here = scopes(place)
        for scope in ("target", "playbook", "cluster", "everywhere"):
            others = [p for who, p in self.slots.items() if who != owner and scopes(p)[scope] == here[scope]]
            if len(others) >= getattr(LIMITS, f"in_flight_{scope}"):
                return False
        for scope in ("target", "playbook", "namespace", "cluster"):
            young = {
                token.owner
                for token in self.tokens
                if not token.refunded
                and token.owner != owner
                and self.now - token.at < WINDOW
                and scopes(token.place)[scope] == here[scope]
            }
            if len(young) >= getattr(LIMITS, f"rate_{scope}"):
                return False
        return True

    @rule(seconds=st.sampled_from([1, 60, 600, 1799, 1800, 3599, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def one_more(self) -> None:
        self.count += 1
        r = self.run(self.journal.open(begun(self.count), self.now))
        self.idle[r.id] = r

    @precondition(lambda self: self.idle)
    @rule(data=st.data(), place=st.sampled_from(PLACES))
    def reserve(self, data: st.DataObject, place: tuple[str, str, str, str]) -> None:
        r = self.idle[data.draw(st.sampled_from(sorted(self.idle)))]
        cluster, namespace, target, playbook = place
        key = f"{cluster}/Deployment/{namespace}/{target}"
        asked = ReserveRequest(
            locks=(key,),
            target_key=key,
            playbook=playbook,
            cluster=cluster,
            namespace=namespace,
            direction="",
            limits=LIMITS,
        )
        decision = to(r, State.RESERVED, reserve=True)
        result = self.run(self.journal.commit(decision, self.now, holder="", reserve=asked))
        assert isinstance(result, Committed) is self._fits(r.id, place), result
        if isinstance(result, Committed):
            self.running[r.id] = result.remediation
            del self.idle[r.id]
            self.slots[r.id] = place
            self.tokens.append(Token(r.id, self.now, place))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), end=st.booleans(), refund=st.booleans())
    def release(self, data: st.DataObject, end: bool, refund: bool) -> None:
        r = self.running.pop(data.draw(st.sampled_from(sorted(self.running))))
        state = State.CANCELLED if end else State.PLANNED
        decision = to(r, state, now=self.now, release=True, refund=refund, epoch=0)
        result = self.run(self.journal.commit(decision, self.now, holder=""))
        if not end:
            self.idle[r.id] = result.remediation
        del self.slots[r.id]
        for token in self.tokens:
            if token.owner == r.id and refund:
                token.refunded = True

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def pass_on(self, data: st.DataObject) -> None:
        parent = self.running.pop(data.draw(st.sampled_from(sorted(self.running))))
        self.count += 1
        child = begun(self.count, parent=parent.id, episode=parent.episode)
        decision = to(parent, State.ESCALATED, now=self.now, outcome=StepOutcome.FAILED, child="next")
        self.run(self.journal.commit(decision, self.now, holder="", child=child))
        self.idle[child.id] = child
        self.slots[child.id] = self.slots.pop(parent.id)

    @precondition(lambda self: self.idle)
    @rule()
    def crash_and_come_back(self) -> None:
        self.journal = SqlJournal.in_memory(self.database)
        self.run(self.journal.takeover("me"))
        self.running = {name: self.run(self.journal.get(name)) for name in self.running}

    @invariant()
    def no_window_holds_too_many(self) -> None:
        """Every window that ends at a token, which are the fullest ones."""
        runs = self.run(self.journal.runs(self.now, 1000 * HOUR))
        tokens = [run for run in runs if not run.tokens_back]
        for last in tokens:
            young = [t for t in tokens if timedelta(0) <= last.reserved_at - t.reserved_at < WINDOW]
            for scope, limit in (("target_key", LIMITS.rate_target), ("cluster", LIMITS.rate_cluster)):
                same = {t.remediation_id for t in young if getattr(t, scope) == getattr(last, scope)}
                assert len(same) <= limit

    @invariant()
    def slots_are_as_many_as_hold_one(self) -> None:
        runs = self.run(self.journal.runs(self.now, timedelta(0)))
        assert sorted(run.remediation_id for run in runs if run.ended_at is None) == sorted(self.slots)


Limits.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestLimits = Limits.TestCase
