"""Ladders: what may be configured, and the decision that climbs them, under clocks that jump and people who come and
go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import TypeAdapter, ValidationError

from remediator.people.escalation import SHIPPED, Climb, Destination, Escalation, destination
from remediator.people.ladder import (
    Again,
    Answered,
    Ladder,
    Nobody,
    Over,
    Recount,
    Situation,
    Up,
    decide,
    moved,
    need_once,
    needs_ladder,
)
from remediator.people.severity import Sev
from remediator.people.wording import WORDINGS
from tests.people.stories import DENIED, ESCALATED, ROLLBACK

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERYBODY = Escalation.model_validate(
    {
        "who": {
            "second": ["pagerduty:second"],
            "l3": ["slack:S0L3"],
            "leads": ["slack:U0LEAD", "apprise:leads"],
            "mail": ["apprise:stakeholders"],
            "tickets": ["ticket:jira"],
        },
        "incident_channel": {},
        "status_page": "status",
    }
)


def shape(settings: Escalation, sev: Sev) -> list[tuple[int, str]]:
    return [(int(r.after / MINUTE), " ".join(w.text for w in r.to)) for r in settings.ladder(sev)]


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sev", "expected"),
    [
        (
            "sev1",
            [
                (0, "page channel incident_channel status_page:status apprise:stakeholders"),
                (5, "pagerduty:second"),
                (10, "slack:S0L3"),
                (15, "slack:U0LEAD apprise:leads"),
            ],
        ),
        (
            "sev2",
            [
                (0, "page channel incident_channel apprise:stakeholders"),
                (15, "pagerduty:second"),
                (45, "slack:S0L3"),
                (60, "slack:U0LEAD apprise:leads"),
            ],
        ),
        ("sev3", [(0, "channel ticket:jira"), (120, "page:low"), (240, "slack:U0LEAD apprise:leads")]),
        ("sev4", [(0, "ticket:jira"), (1440, "page:low")]),
    ],
)
def test_the_shipped_ladders_are_those_of_the_guides(sev: Sev, expected: list[tuple[int, str]]) -> None:
    assert shape(EVERYBODY, Sev(sev)) == expected


def test_who_nobody_has_named_is_left_out() -> None:
    alone = Escalation.model_validate({"who": {"leads": ["slack:U0LEAD"]}})
    assert shape(alone, Sev.SEV1) == [(0, "page channel"), (15, "slack:U0LEAD")]
    assert shape(Escalation(), Sev.SEV4) == [(1440, "page:low")]
    assert shape(Escalation(), Sev.SEV1) == [(0, "page channel")]


@given(st.sampled_from(Sev), st.sets(st.sampled_from(("second", "l3", "leads", "mail", "tickets"))))
def test_every_ladder_ends_at_a_person_whoever_is_named(sev: Sev, named: set[str]) -> None:
    people = Escalation.model_validate({"who": {name: ["slack:U0ANN"] for name in named}})
    assert any(where.person for where in people.ladder(sev)[-1].to)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        pytest.param({"sev1": [{"to": ["channel"]}]}, "does not end at a person", id="a channel is no person"),
        pytest.param(
            {"sev2": [{"to": ["page"]}, {"after": "5m", "to": ["slack:C0OPS"]}]}, "does not end", id="climbs away"
        ),
        pytest.param({"sev4": [{"to": ["ticket:jira"]}]}, "does not end at a person", id="a ticket is no person"),
        pytest.param({"sev1": [{"to": ["webhook:x"]}]}, "does not end at a person", id="a webhook is no person"),
        pytest.param({"who": {"leads": ["channel"]}, "sev3": [{"to": ["leads"]}]}, "does not end", id="behind a name"),
        pytest.param({"sev1": [{"to": ["nobody"]}]}, "is nobody", id="unknown name"),
        pytest.param({"sev1": [{"to": ["lead"]}], "who": {"leads": ["page"]}}, "leads", id="a slip is pointed out"),
        pytest.param({"sev1": [{"to": ["incident_channel", "page"]}]}, "not set up", id="no incident channel"),
        pytest.param({"sev1": [{"to": ["status_page", "page"]}]}, "not set up", id="no status page"),
        pytest.param(
            {"sev1": [{"after": "5m", "to": ["page"]}, {"after": "5m", "to": ["page"]}]}, "later", id="same time"
        ),
        pytest.param({"sev1": [{"to": []}]}, "", id="an empty rung"),
        pytest.param({"who": {"leads": ["#leads"]}}, "", id="a channel by name"),
        pytest.param({"sev5": []}, "", id="misspelt"),
    ],
)
def test_what_would_reach_nobody_does_not_load(bad: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Escalation.model_validate(bad)
    assert says in str(caught.value) + str([e.get("ctx") for e in caught.value.errors()])


@pytest.mark.parametrize(
    ("text", "expected", "person"),
    [
        ("page", Destination("page"), True),
        ("page:low", Destination("page", low=True), True),
        ("pagerduty:shop", Destination("pagerduty", "shop"), True),
        ("pagerduty:shop:low", Destination("pagerduty", "shop", low=True), True),
        ("pagerduty:low", Destination("pagerduty", low=True), True),
        ("slack:U0ANN", Destination("slack", "U0ANN"), True),
        ("slack:S0LEADS", Destination("slack", "S0LEADS"), True),
        ("slack:C0OPS", Destination("slack", "C0OPS"), False),
        ("apprise:mail", Destination("apprise", "mail"), True),
        ("webhook:cmdb", Destination("webhook", "cmdb"), False),
        ("channel", Destination("channel"), False),
    ],
)
def test_places(text: str, expected: Destination, person: bool) -> None:
    assert (destination(text), destination(text).person) == (expected, person)


def test_what_needs_a_ladder_is_what_rings_for_the_gravest() -> None:
    needing = {state for state in WORDINGS if needs_ladder(replace(ESCALATED, state=state))}
    of_holds = {"hold_over", "hold_stays"}
    ends = {"denied", "inconclusive", "escalated", "cancelled", "left_alone"}
    assert needing == {"awaiting_approval", "asking", *ends, *of_holds}
    assert not needs_ladder(replace(DENIED, mode="observe"))
    assert not needs_ladder(replace(ESCALATED, next_rung="restart"))
    assert not needs_ladder(replace(ESCALATED, cleared_at=NOW))


def test_a_question_that_is_asked_again_is_another_need_and_an_ending_is_one() -> None:
    asked = {need_once(ROLLBACK, at) for at in (NOW, NOW + MINUTE)}
    assert len(asked) == 2
    ends = {
        need_once(replace(ESCALATED, state=s), at) for s in ("inconclusive", "escalated") for at in (NOW, NOW + MINUTE)
    }
    assert len(ends) == 1


# --- the decision -----------------------------------------------------------------------------------------------------


def ladder(**changes: Any) -> Ladder:
    values: dict[str, Any] = {
        "id": "l-1",
        "episode": "e-1",
        "cluster": "c1",
        "sev": Sev.SEV1,
        "opened_at": NOW,
        "since": NOW,
        "rungs": EVERYBODY.ladder(Sev.SEV1),
        "climbed": 1,
        **changes,
    }
    return Ladder(**values)


def seen(**changes: Any) -> Situation:
    values: dict[str, Any] = {"needed": True, "sev": Sev.SEV1, **changes}
    return Situation(**values)


ASKED = (NOW, NOW + 15 * MINUTE)


@pytest.mark.parametrize(
    ("before", "situation", "minutes", "expected"),
    [
        pytest.param({"climbed": 0}, {}, 0, Up(why="begun"), id="the first rung at once"),
        pytest.param({}, {}, 4.9, None, id="not yet"),
        pytest.param({}, {}, 5, Up(why="time"), id="its time is over"),
        pytest.param({}, {"needed": False}, 60, None, id="nobody is needed now"),
        pytest.param({}, {"acknowledged_by": "ann", "needed": False}, 60, Answered(who="ann"), id="somebody has it"),
        pytest.param({"acknowledged_by": "ann"}, {"acknowledged_by": "ann", "needed": False}, 60, None, id="said once"),
        pytest.param({"acknowledged_by": "ann"}, {}, 1, Again(sev=Sev.SEV1), id="needed once more"),
        pytest.param({"sev": Sev.SEV3}, {}, 1, Again(sev=Sev.SEV1), id="graver"),
        pytest.param({}, {"sev": Sev.SEV3}, 1, None, id="less grave changes nothing"),
        pytest.param({}, {"over": True}, 60, Over(), id="the alerts are gone"),
        pytest.param({}, {}, -1, Recount(), id="the clock was put back"),
        pytest.param({}, {"dead": True}, 0, Up(why="dead"), id="the call cannot arrive: at once"),
        pytest.param({"climbed": 4}, {"dead": True}, 0, Nobody(), id="the last one cannot arrive"),
        pytest.param({"climbed": 5}, {"dead": True}, 99, None, id="that was said"),
        pytest.param({"climbed": 4}, {}, 999, None, id="everybody was called"),
        pytest.param(
            {"rungs": EVERYBODY.ladder(Sev.SEV3)}, {"asked": ASKED}, 9.9, None, id="the question has time yet"
        ),
        pytest.param(
            {"rungs": EVERYBODY.ladder(Sev.SEV3)},
            {"asked": ASKED},
            10,
            Up(why="question"),
            id="it climbs before it ends",
        ),
        pytest.param(
            {"rungs": EVERYBODY.ladder(Sev.SEV3), "since": NOW + 10 * MINUTE},
            {"asked": ASKED},
            14,
            None,
            id="a question climbs early once",
        ),
        pytest.param({}, {"asked": ASKED}, 4.9, None, id="the next rung is before the end anyway"),
    ],
)
def test_the_next_move(before: dict[str, Any], situation: dict[str, Any], minutes: float, expected: object) -> None:
    assert decide(ladder(**before), seen(**situation), NOW + minutes * MINUTE) == expected


class Climbing(RuleBasedStateMachine):
    """One ladder with its keeper, true time beside a wall clock that jumps, people and alerts that come and go.

    Never silent: while a person is needed and nobody has answered, no rung that is due stays unclimbed, and one
    spacing of true time is enough but for clocks that were put back. Never twice: each rung once in its round, in
    order. Ends at a person: everything has been climbed up to the last rung.
    """

    @initialize(gaps=st.lists(st.integers(1, 30), min_size=1, max_size=4), first=st.integers(0, 10))
    def begin(self, gaps: list[int], first: int) -> None:
        ends = [first + sum(gaps[:n]) for n in range(len(gaps))]
        self.rungs = tuple(Climb(after=end * MINUTE, to=(Destination("page"),)) for end in ends)
        self.true = self.wall = NOW
        self.ladder = ladder(rungs=self.rungs, climbed=0, sev=Sev.SEV2)
        self.needed, self.answered, self.dead = True, "", False
        self.sev = Sev.SEV2
        self.asked: tuple[datetime, datetime] | None = None
        self.over = False
        self.climbs: list[tuple[int, int]] = []
        self.last_true = self.true
        self.set_back = 0
        self.look()

    def situation(self) -> Situation:
        return Situation(
            needed=self.needed and not self.answered,
            acknowledged_by=self.answered,
            over=self.over,
            sev=self.sev,
            asked=self.asked if self.needed else None,
            dead=self.dead and self.ladder.climbed > 0,
        )

    def look(self) -> None:
        """The keeper looks every few seconds: until there is nothing to do at this moment."""
        for _ in range(20):
            move = decide(self.ladder, self.situation(), self.wall)
            if move is None or isinstance(move, Over):
                return
            before, self.ladder = self.ladder, moved(self.ladder, move, self.rungs, self.wall)
            assert self.ladder != before, "a move that changes nothing is repeated for ever"
            if isinstance(move, Up | Nobody):
                self.climbs.append((self.ladder.round, self.ladder.climbed))
                assert isinstance(move, Nobody) == (self.ladder.climbed == len(self.rungs) + 1)
                self.dead = False
            if isinstance(move, Up | Again | Nobody):
                self.last_true, self.set_back = self.true, 0
        raise AssertionError("the keeper never comes to rest")

    @rule(minutes=st.floats(0.01, 20))
    def time_passes(self, minutes: float) -> None:
        """In small steps, since the keeper looks often."""
        for _ in range(4):
            self.true += minutes * MINUTE / 4
            self.wall += minutes * MINUTE / 4
            self.look()

    @rule(minutes=st.floats(-600, 600))
    def the_clock_jumps(self, minutes: float) -> None:
        climbed = len(self.climbs)
        self.wall += minutes * MINUTE
        self.set_back += minutes < 0
        move = decide(self.ladder, self.situation(), self.wall)
        self.look()
        if not self.dead and not isinstance(move, Again):
            assert len(self.climbs) - climbed <= 1, "a jump skips no rung"

    @rule(who=st.sampled_from(("ann", "bob")))
    def somebody_answers(self, who: str) -> None:
        self.answered = who
        climbed = len(self.climbs)
        self.look()
        assert len(self.climbs) == climbed

    @rule()
    @precondition(lambda self: bool(self.answered))
    def it_is_given_back(self) -> None:
        self.answered = ""
        self.look()

    @rule()
    def needed_or_not(self) -> None:
        self.needed = not self.needed
        self.last_true, self.set_back = self.true, 0
        self.look()

    @rule()
    @precondition(lambda self: self.sev is Sev.SEV2)
    def it_becomes_graver(self) -> None:
        self.sev = Sev.SEV1
        self.look()

    @rule(minutes=st.integers(3, 40))
    def people_are_asked(self, minutes: int) -> None:
        self.asked = (self.wall, self.wall + minutes * MINUTE)

    @rule()
    def the_call_cannot_arrive(self) -> None:
        climbed = self.ladder.climbed
        self.dead = climbed > 0
        called = self.needed and not self.answered and not self.over and 0 < climbed <= len(self.rungs)
        self.look()
        assert not called or self.ladder.climbed > climbed, "the next rung at once"

    @rule()
    def restart(self) -> None:
        """What the store has is all there is."""
        adapter = TypeAdapter(Ladder)
        again = adapter.validate_json(adapter.dump_json(self.ladder))
        assert again == self.ladder
        self.ladder = again

    @invariant()
    def never_twice(self) -> None:
        assert len(set(self.climbs)) == len(self.climbs)
        for (round_, rung), (after_round, after_rung) in zip(self.climbs, self.climbs[1:], strict=False):
            assert (after_round > round_ and after_rung == 1) or (after_round, after_rung) == (round_, rung + 1)

    @invariant()
    def never_silent(self) -> None:
        if not self.needed or self.answered or self.over or self.ladder.climbed >= len(self.rungs):
            return
        before = self.rungs[self.ladder.climbed - 1].after if self.ladder.climbed else timedelta(0)
        spacing = self.rungs[self.ladder.climbed].after - before
        waited = self.true - self.last_true
        # Each time that the clock was put back costs what had been waited, at most one spacing.
        assert waited <= spacing * (1 + self.set_back) + timedelta(seconds=1)


Climbing.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestClimbing = Climbing.TestCase


def test_shipped_ladders_cover_every_severity() -> None:
    assert set(SHIPPED) == set(Sev)
