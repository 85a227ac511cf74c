"""Invariant 14, held to an oracle: whatever is said, in whatever order, while clocks jump.

A remediation is approved exactly when enough different people, none of them the requester, have said yes to the digest
that is proposed while the question was open, none of it older than the question lasts, and nobody has said no.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.guardrails.environments import Place
from remediator.guardrails.policy import Policy, quorum_in_force
from remediator.people.directory import Directory
from remediator.remediation.decide import decide
from remediator.remediation.events import Approved, DeadlinePassed, Rejected, Snoozed
from remediator.remediation.state import Remediation, State
from tests.people.approvals.given import person
from tests.support.accounts import slack, token
from tests.support.building import NOW, plan, playbook, remediation

LASTS = timedelta(minutes=15)
DIRECTORY = Directory([person("ann", slack="U0ANN", tokens="laptop"), person("bob", slack="U0BOB")])
ACCOUNTS = (slack("U0ANN"), token("ann"), token("laptop"), slack("U0BOB"), slack("U0CYD"), token("robot"))
PERSON = {
    "U0ANN": "ann",
    "ann": "ann",
    "laptop": "ann",
    "U0BOB": "bob",
    "U0CYD": "slack:T0SHOP/U0CYD",
    "robot": "robot",
}
OPEN = (State.AWAITING_APPROVAL, State.SNOOZED)


@dataclass
class Oracle:
    """What should be the case. `yes` = person -> when, to the digest that is asked for."""

    quorum: int
    requester: str
    until: datetime
    yes: dict[str, datetime] = field(default_factory=dict)
    state: str = "open"
    snoozed: bool = False

    def approve(self, who: str, right: bool, glass: bool, now: datetime) -> None:
        if self.state != "open" or not right or who == self.requester or (not self.snoozed and now >= self.until):
            return
        self.yes[who] = now
        if glass or sum(now < at + LASTS for at in self.yes.values()) >= self.quorum:
            self.state = "approved"

    def reject(self) -> None:
        if self.state in ("open", "approved"):
            self.state = "rejected"

    def snooze(self, until: datetime) -> None:
        if self.state == "open":
            self.snoozed, self.until = True, until

    def over(self, now: datetime) -> None:
        """The deadline was noticed."""
        if self.state != "open" or now < self.until:
            return
        if self.snoozed:
            self.snoozed, self.until, self.yes = False, now + LASTS, {}
        else:
            self.state = "expired"


SAYS = st.one_of(
    st.tuples(st.just("yes"), st.sampled_from(ACCOUNTS), st.sampled_from((True, True, True, False))),
    st.tuples(st.just("glass"), st.sampled_from(ACCOUNTS), st.just(True)),
    st.tuples(st.just("no"), st.sampled_from(ACCOUNTS), st.just(True)),
    st.tuples(st.just("later"), st.sampled_from(ACCOUNTS), st.sampled_from((5, 60))),
    st.tuples(st.just("look"), st.sampled_from(ACCOUNTS), st.just(True)),
)
JUMPS = st.sampled_from((0, 1, 30, 300, 899, 900, 901, 3600, -30, -3600, -90_000))
"""Seconds, also back: the wall clock is what the deadlines are made of."""


@settings(max_examples=400, deadline=None)
@given(
    quorum=st.integers(1, 3),
    requester=st.sampled_from(("", "ann", "robot")),
    said=st.lists(st.tuples(JUMPS, SAYS), max_size=12),
    rare=st.booleans(),
)
def test_approved_exactly_when_it_should_be(quorum: int, requester: str, said: list[Any], rare: bool) -> None:
    spec = playbook(mode="approve", approval={"quorum": quorum, "expires": "15m", "start_within": "24h"})
    r: Remediation = remediation(
        State.AWAITING_APPROVAL,
        spec=spec,
        plan=plan(),
        mode="approve",
        digest="d1",
        requester=requester,
        deadline=NOW + LASTS,
        approval_expires=NOW + LASTS,
    )
    oracle, now = Oracle(quorum, requester, NOW + LASTS), NOW
    for jump, (what, account, extra) in said:
        now += timedelta(seconds=jump)
        who = DIRECTORY.of(account).name
        assert who == PERSON[account.id]
        match what:
            case "yes" | "glass":
                glass = "the house is on fire" if what == "glass" and rare else ""
                oracle.approve(who, extra, bool(glass), now)
                event: Any = Approved(who=who, digest="d1" if extra else "d0", break_glass=glass)
            case "no":
                oracle.reject()
                event = Rejected(who=who)
            case "later":
                until = now + timedelta(minutes=extra)
                oracle.snooze(until)
                event = Snoozed(who=who, until=until)
            case _:
                if r.deadline is None or now < r.deadline or r.state not in OPEN:
                    continue
                oracle.over(now)
                event = DeadlinePassed()
        decision = decide(r, event, now)
        if not decision.ignored:
            r = decision.remediation
        expected = {
            "open": State.SNOOZED if oracle.snoozed else State.AWAITING_APPROVAL,
            "approved": State.APPROVED,
            "rejected": State.REJECTED,
            "expired": State.ESCALATED,
        }[oracle.state]
        assert r.state is expected, (what, account.key, now)
        if r.state is State.APPROVED:
            people = {c.who for c in r.consents if c.digest == r.digest}
            assert requester not in people
            assert len(people) >= quorum or any(c.break_glass for c in r.consents)


def test_after_a_snooze_it_is_asked_anew() -> None:
    """Ann said yes, Bob put it off: what Ann saw then is not what is asked now."""
    spec = playbook(mode="approve", approval={"quorum": 2, "expires": "15m"})
    r = remediation(State.AWAITING_APPROVAL, spec=spec, plan=plan(), digest="d1", deadline=NOW + LASTS)
    until = NOW + timedelta(minutes=5)
    for event, at in (
        (Approved(who="ann", digest="d1"), NOW),
        (Snoozed(who="bob", until=until), NOW),
        (DeadlinePassed(), until),
        (Approved(who="bob", digest="d1"), until),
    ):
        r = decide(r, event, at).remediation
    assert (r.state, [c.who for c in r.consents]) == (State.AWAITING_APPROVAL, ["bob"])


def test_a_yes_is_no_older_than_a_question_lasts() -> None:
    """While it is snoozed it can be answered for hours; what was said at the beginning does not count for so long."""
    spec = playbook(mode="approve", approval={"quorum": 2, "expires": "15m"})
    r = remediation(State.AWAITING_APPROVAL, spec=spec, plan=plan(), digest="d1", deadline=NOW + LASTS)
    for who, event, minutes, state in (
        ("ann", Approved(who="ann", digest="d1"), 0, State.AWAITING_APPROVAL),
        ("cyd", Snoozed(who="cyd", until=NOW + timedelta(hours=2)), 0, State.SNOOZED),
        ("bob", Approved(who="bob", digest="d1"), 15, State.SNOOZED),
        ("ann", Approved(who="ann", digest="d1"), 16, State.APPROVED),
    ):
        r = decide(r, event, NOW + timedelta(minutes=minutes)).remediation
        assert r.state is state, who


@pytest.mark.parametrize(
    ("policy", "data", "needed"),
    [
        pytest.param({}, False, 1, id="one"),
        pytest.param({}, True, 2, id="two for what changes data or cannot be taken back"),
        pytest.param({"quorum_data": 3}, True, 3, id="the operator wants more"),
        pytest.param({"quorum_data": 1}, True, 1, id="the operator says that one is enough"),
        pytest.param({"quorum": 2}, False, 2, id="the operator wants two for everything"),
    ],
)
def test_how_many_are_needed(policy: dict[str, int], data: bool, needed: int) -> None:
    assert quorum_in_force(playbook(), Policy.model_validate(policy), Place(), data=data) == needed
