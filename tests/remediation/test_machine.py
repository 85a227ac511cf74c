"""A remediation's life as a state machine over the real `decide`: every order of alerts, people, clocks, crashes and
answers must keep the promises that `life_checks` spells out, and must come to an end.

`REMEDIATOR_SOAK_EXAMPLES=5000` runs that many lives instead of the usual few.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from remediator.guardrails.verdict import Answer
from remediator.remediation.events import Approved, Event, Joined, Rejected
from remediator.remediation.state import State
from remediator.remediation.table import RULES
from tests.remediation.life import PEOPLE, STARTS, Life, Weather
from tests.remediation.life_playbooks import FIRST

SOAK = int(os.environ.get("REMEDIATOR_SOAK_EXAMPLES", "0"))
AT_LEAST = 800
ASKED = (State.AWAITING_APPROVAL, State.SNOOZED)

NOT_PRODUCED = {
    "reserved on Watched if quiet -> superseded": "nobody watches the alerts of what is reserved",
    "held|planned|approved on Watched -> stay": "in these states the runner watches only what is proven quiet",
}
"""Rows that nothing in the service can reach today, and why. tests/remediation/test_decide.py has their examples."""

WEATHERS = (
    Weather(fate="done", health="good"),
    Weather(fate="carried out", health="worse"),
    Weather(fate="lost", health="unknown"),
    Weather(fate="busy"),
    Weather(fate="conflict"),
    Weather(fate="budget"),
    Weather(fate="under way", health="bad"),
    Weather(look="hold"),
    Weather(look="paused"),
    Weather(look="cannot_see"),
    Weather(plan=Answer.HOLD),
    Weather(plan=Answer.ASK, fate="done", health="good"),
)
"""How the world may answer for ever after: each must lead to an end."""


def to_the_end(life: Life, number: int, *, deps_up: bool, paused: bool) -> None:
    life.deps_up = deps_up
    if not paused:
        life.resume()
    weather = WEATHERS[number]
    life.to_the_end(
        Weather(weather.plan or Answer.PASS, weather.look, weather.fate or "done", weather.health or "good", kind=True)
    )
    life.api.land_late(lambda options: options[0])


def meanwhile(life: Life, choose: Any) -> Event:
    return choose((Approved(who=choose(PEOPLE), digest=life.r.digest), Rejected(who="bob"), Joined(alerts=("a-3",))))


class Lives(RuleBasedStateMachine):
    """Hypothesis chooses everything."""

    life: Life

    @initialize(spec=st.sampled_from(FIRST), start=st.sampled_from((STARTS[0],) * 4 + STARTS))
    def begin(self, spec: str, start: Any) -> None:
        self.life = Life(spec, lambda options: options[0], *start)

    def draws(self, data: st.DataObject) -> None:
        self.life.choose = lambda options: data.draw(st.sampled_from(options))

    def _goes_on(self) -> bool:
        return not self.life.r.ended

    @precondition(_goes_on)
    @rule(data=st.data(), times=st.integers(1, 6))
    def works(self, data: st.DataObject, times: int) -> None:
        self.draws(data)
        for _ in range(times):
            self.life.sleep()
            self.life.work()

    @precondition(_goes_on)
    @rule(data=st.data())
    def crashes(self, data: st.DataObject) -> None:
        """What was sent was sent; what was decided is lost."""
        self.draws(data)
        self.life.sleep()
        self.life.work(lost=True)
        self.life.restart()

    @precondition(_goes_on)
    @rule(data=st.data())
    def somebody_is_faster(self, data: st.DataObject) -> None:
        self.draws(data)
        self.life.sleep()
        self.life.work(meanwhile=meanwhile(self.life, self.life.choose))

    @precondition(lambda self: self.life.r.state in ASKED or self.life.r.waiting_for == "ask")
    @rule(who=st.sampled_from(PEOPLE), right=st.sampled_from((True, True, True, False)), late=st.booleans())
    def approves(self, who: str, right: bool, late: bool) -> None:
        if late and self.life.r.deadline is not None:
            self.life.now = max(self.life.now, self.life.r.deadline)
        self.life.approve(who, self.life.r.digest if right else "other")

    @rule(who=st.sampled_from(PEOPLE))
    def rejects(self, who: str) -> None:
        self.life.reject(who)

    @precondition(lambda self: self.life.r.state in ASKED)
    @rule(minutes=st.sampled_from((-1, 5, 120)))
    def snoozes(self, minutes: int) -> None:
        self.life.snooze(minutes)

    @rule(resolved=st.booleans(), quiet=st.booleans())
    def alert_changes(self, resolved: bool, quiet: bool) -> None:
        self.life.resolved, self.life.quiet = resolved, quiet

    @rule()
    def another_alert_joins(self) -> None:
        self.life.join("a-2", "critical")

    @rule(up=st.booleans())
    def what_it_depends_on_goes_or_comes(self, up: bool) -> None:
        self.life.deps_up = up

    @rule(paused=st.booleans(), taken=st.booleans())
    def pauses_or_resumes(self, paused: bool, taken: bool) -> None:
        if paused:
            self.life.pause(taken=taken)
        else:
            self.life.resume()

    @rule(minutes=st.sampled_from((5, 30, 300)))
    def storm(self, minutes: int) -> None:
        self.life.storm = self.life.now + timedelta(minutes=minutes)

    @rule(hours=st.sampled_from((1, -1)))
    def clock_jumps(self, hours: int) -> None:
        self.life.now += timedelta(hours=hours)

    @rule(seconds=st.sampled_from((1, 29, 301)))
    def time_passes(self, seconds: int) -> None:
        self.life.now += timedelta(seconds=seconds)

    @rule(data=st.data())
    def a_late_write_lands(self, data: st.DataObject) -> None:
        self.life.api.land_late(lambda options: data.draw(st.sampled_from(options)))

    @rule(spec=st.booleans())
    def somebody_else_writes(self, spec: bool) -> None:
        self.life.api.moved_by_somebody(spec=spec)
        self.life.variant += spec

    @rule(answer=st.sampled_from(("done", "changed", "uncertain", "refused")))
    def a_late_word_comes(self, answer: str) -> None:
        self.life.late_word(answer)

    @rule()
    def another_process_is_behind(self) -> None:
        self.life.stale_decision()

    @rule(number=st.integers(0, len(WEATHERS) - 1), deps_up=st.sampled_from((True, True, False)), paused=st.booleans())
    def is_left_alone(self, number: int, deps_up: bool, paused: bool) -> None:
        """From here on nobody does anything: it ends, whatever the weather."""
        to_the_end(self.life, number, deps_up=deps_up, paused=paused)

    def teardown(self) -> None:
        if hasattr(self, "life"):
            to_the_end(self.life, 0, deps_up=True, paused=False)


Lives.TestCase.settings = settings(max_examples=SOAK or 50, stateful_step_count=30, deadline=None)
TestLives = Lives.TestCase


def walk(seed: int) -> Life:
    """The same, much faster, from a seed: for finding out which rows of the table are taken."""
    rng = random.Random(seed)
    life = Life(rng.choice(FIRST), rng.choice, *rng.choice(((STARTS[0],) * 12) + STARTS))
    for _ in range(rng.choice((3, 8, 15, 40))):
        if life.r.ended:
            break
        if rng.random() < 0.2:
            life.weather = _mood(rng)
        _step(life, rng)
    weather = rng.randrange(len(WEATHERS)) if seed % 5 == 0 else 0
    to_the_end(life, weather, deps_up=seed % 10 != 0, paused=seed % 15 == 0)
    return life


def _mood(rng: random.Random) -> Weather:
    """The same answers for a while: what has to come several times in a row would hardly ever be drawn so."""
    health = rng.choice((None, "good", "worse", "worse", "bad", "unknown"))
    return Weather(plan=rng.choice((None, *(Answer.PASS,) * 4)), health=health, kind=rng.random() < 0.7)


def _step(life: Life, rng: random.Random) -> None:
    r = life.r
    asked = r.state in ASKED or r.waiting_for == "ask"
    life.late_word(rng.choice(("done", "changed")))
    if asked and rng.random() < 0.5:
        if rng.random() < 0.1 and r.deadline is not None:
            life.now = max(life.now, r.deadline)
        life.approve(rng.choice(PEOPLE), rng.choice((r.digest, r.digest, r.digest, "other")))
        return
    what = rng.choices(range(12), (60, 4, 4, 2, 2, 3, 2, 3, 2, 2, 1, 1))[0]
    match what:
        case 0 | 1:
            life.sleep()
            life.work(lost=what == 1)
        case 2:
            life.sleep()
            life.work(meanwhile=meanwhile(life, rng.choice))
        case 3:
            life.deps_up = not life.deps_up
        case 4:
            life.resume() if life.pauses else life.pause(taken=rng.random() < 0.5)
        case 5:
            life.resolved, life.quiet = rng.choice(((True, True), (False, True), (True, False), (False, False)))
        case 6:
            life.snooze(rng.choice((-1, 5, 60)))
        case 7:
            life.api.land_late(rng.choice)
        case 8:
            life.api.moved_by_somebody(spec=rng.random() < 0.4)
            life.variant += rng.random() < 0.3
        case 9:
            life.now += timedelta(seconds=rng.choice((30, 301, 3600, -3600)))
        case 10:
            life.join("a-2", "critical")
        case _:
            life.restart()


GOOD = Weather(plan=Answer.PASS, fate="done", health="good", kind=True)
WORSE = Weather(plan=Answer.PASS, fate="done", health="worse", kind=True)


def begun(spec: str, weather: Weather = GOOD) -> Life:
    life = Life(spec, lambda options: options[0], *STARTS[0])
    life.weather = weather
    return life


def until(life: Life, state: State, weather: Weather | None = None, **changes: Any) -> Life:
    """On until it is there; then the world changes."""
    for _ in range(2000):
        if life.r.state is state:
            break
        life.sleep()
        life.work()
    assert life.r.state is state, life.stuck()
    life.weather = weather or life.weather
    for name, value in changes.items():
        setattr(life, name, value)
    return life


def yes(life: Life, *people: str) -> Life:
    for who in people:
        life.approve(who, life.r.digest)
    return life


def undoing(fate: Any) -> Life:
    return until(begun("scale", WORSE), State.UNDOING, Weather(plan=Answer.PASS, fate=fate, health="good", kind=True))


def undo_that_never_lands() -> Life:
    life = until(undoing("lost"), State.UNCERTAIN)
    life.api.moved_by_somebody(spec=False)
    return until(life, State.UNDOING)


def approved_and_busy() -> Life:
    busy = Weather(plan=Answer.PASS, fate="conflict", health="good", kind=True)
    return until(yes(until(begun("approve"), State.AWAITING_APPROVAL, busy), "ann"), State.RESERVED)


def gate_without_an_answer() -> Life:
    life = begun("gates")
    while life.r.waiting_for != "gate":
        life.sleep()
        life.work()
    life.weather = Weather(plan=Answer.PASS, fate="done", health="unknown", kind=True)
    life.work()
    return life


def denied_later() -> Life:
    life = begun("barrier")
    while life.r.step == 0:
        life.sleep()
        life.work()
    life.weather = Weather(plan=Answer.DENY, fate="done", health="worse", kind=True)
    return until(life, State.UNDOING)


def approval_ran_out() -> Life:
    """A guard asked, a person agreed, nothing could be sent until that yes had expired; then no guard asks any more."""
    asks = Weather(plan=Answer.ASK, fate="done", health="good", kind=True)
    life = until(yes(until(begun("scale", asks), State.AWAITING_APPROVAL), "ann"), State.RESERVED)
    assert life.r.approval_expires is not None
    life.now = life.r.approval_expires
    return until(until(life, State.PLANNED, GOOD), State.RESERVED)


def asked_twice() -> Life:
    life = begun("asks two")
    while life.r.waiting_for != "ask":
        life.sleep()
        life.work()
    return until(yes(life, "ann", "bob"), State.SUCCEEDED)


def paused_before_the_answer_was_known() -> Life:
    """The first request is still under way when a pause keeps it from being sent again: the object is moved on before
    a person takes over and before the tokens come back."""
    late = Weather(plan=Answer.PASS, fate="under way", health="good", kind=True)
    life = until(begun("scale", late), State.UNCERTAIN)
    life.work()
    life.pause()
    until(life, State.ESCALATED)
    life.api.land_late(lambda options: options[0])
    assert not life.api.landed
    return life


RARE = {
    "paused before the answer was known": paused_before_the_answer_was_known,
    "alerts stay quiet while people are asked": lambda: until(
        until(begun("approve"), State.AWAITING_APPROVAL, quiet=True), State.SUPERSEDED
    ),
    "a busy object under an approval": lambda: until(approved_and_busy(), State.APPROVED),
    "an undo that is lost and given up": lambda: until(undoing("lost"), State.ESCALATED),
    "an undo that can never land": undo_that_never_lands,
    "nobody sampled for hours": lambda: until(
        until(begun("scale"), State.VERIFYING, now=STARTS[0][0] + timedelta(hours=4)), State.INCONCLUSIVE
    ),
    "an approval ran out": approval_ran_out,
    "a last question with two answers": asked_twice,
    "a gate shows that it is worse": lambda: until(begun("gates", WORSE), State.UNDOING),
    "a gate sees nothing": gate_without_an_answer,
    "a later step is denied and it is worse": denied_later,
    "a rung is denied": lambda: until(
        until(begun("ladder", WORSE), State.UNDOING, Weather(plan=Answer.DENY, fate="done", health="good", kind=True)),
        State.ESCALATED,
    ),
}
"""Lives that hardly ever come up by chance."""


def rare(name: str) -> Life:
    life = RARE[name]()
    if not life.r.ended:
        to_the_end(life, 0, deps_up=True, paused=False)
    return life


def test_every_row_of_the_table_is_taken() -> None:
    """By some life of many; a row that none can take is named with its reason."""
    wanted = {r.name for r in RULES} - NOT_PRODUCED.keys()
    taken: Counter[str] = Counter()
    for name in RARE:
        taken.update(rare(name).checks.rules)
    for seed in range(SOAK or 6000):
        taken.update(walk(seed).checks.rules)
        if seed >= AT_LEAST and wanted <= taken.keys():
            break
    assert wanted - taken.keys() == set()
    assert NOT_PRODUCED.keys() & taken.keys() == set()
