"""Corners of the transition table that chance seldom finds: what must go wrong, and the moment at which it must.

Each sets a scene of its own; whatever else the scenario has still happens around it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.sim.playbooks import RUNGS
from tests.sim.scenario import Edit, Incident, Pause, Scenario, Spell, Trouble

Corner = Callable[[Scenario, random.Random], None]

GIVEN_UP = 190.0
"""The last request is sent again at most three minutes after the first, and two minutes later a person takes over: in
between the API server answers again."""


def _scene(s: Scenario, playbook: str, alertname: str, *cures: str, names: tuple[str, ...] = ("api",)) -> None:
    """One alert for each workload, at once; people agree."""
    s.replicas, s.troubles = 1, [[]]
    s.deployments = dict.fromkeys(names, "plain")
    s.cures = {name: [*cures, *["heals"] * 6][:6] for name in names}
    s.playbooks = (playbook, *RUNGS)
    s.people, s.answers_after = 1.0, 0.5
    s.incidents = [
        Incident(
            at=1.0,
            alertname=alertname,
            deployment=name,
            severity="warning",
            resend=60.0,
            duplicate=False,
            gone_after=None,
            again_after=None,
        )
        for name in names
    ]


def _an_old_plan(s: Scenario, rng: random.Random) -> None:
    _scene(s, "scale", "B")
    s.troubles = [[Trouble("kill", "reserve", 1, "after", lasts=rng.uniform(9.0, 20.0))]]


def _paused_between_effects(s: Scenario, rng: random.Random) -> None:
    _scene(s, "evict", "C")
    s.pauses.append(Pause(0.0, "everything", lasts=rng.choice((5.0, 20.0)), after="record_outcome"))


def _changed_between_effects(s: Scenario, rng: random.Random) -> None:
    _scene(s, "two-steps", "C", rng.choice(("nothing", "worse")))
    s.edits.append(Edit(0.0, rng.choice(("scale", "pause", "protect")), "api", after="acting"))


def _cut_off_while_acting(s: Scenario, rng: random.Random) -> None:
    _scene(s, "evict", "C")
    s.spells.append(Spell("api", "down", at=0.0, lasts=rng.uniform(110.0, 150.0), after="record_outcome"))
    s.calm_at += 130.0


def _cut_off_before_acting(s: Scenario, rng: random.Random) -> None:
    _scene(s, rng.choice(("scale-approve", "scale")), "B")
    s.spells.append(Spell("api", "down", at=0.0, lasts=45.0, after="reserve"))


def _conflicts(s: Scenario, rng: random.Random) -> None:
    _scene(s, rng.choice(("scale-approve", "scale")), "B")
    s.spells.append(Spell("api", "conflicts", at=0.0, lasts=rng.uniform(5.0, 15.0), after="reserve"))


def _no_word(s: Scenario, rng: random.Random) -> None:
    """An attempt without an answer, for about as long as anybody waits for it."""
    _scene(s, "scale", "B", rng.choice(("heals", "nothing")))
    mode, after = rng.choice(("hangs", "mute", "mute")), "record_attempt"
    s.spells.append(Spell("api", mode, at=0.0, lasts=rng.choice((rng.uniform(80.0, 125.0), GIVEN_UP)), after=after))
    s.calm_at += GIVEN_UP
    if rng.random() < 0.5:
        s.edits.append(Edit(0.0, "status", "api", after="uncertain"))


def _no_word_of_an_undo(s: Scenario, rng: random.Random) -> None:
    _scene(s, rng.choice(("scale", "two-steps")), rng.choice("BC"), "worse", "worse")
    s.incidents[0].alertname = "B" if s.playbooks[0] == "scale" else "C"
    mode = rng.choice(("down", "hangs", "mute", "mute", "mute", "conflicts", "forbids"))
    lasts = rng.choice((5.0, rng.uniform(80.0, 125.0), *[GIVEN_UP] * 3, 320.0))
    s.spells.append(Spell("api", mode, at=0.0, lasts=lasts, after="undoing"))
    s.calm_at += lasts
    if rng.random() < 0.5:
        s.edits.append(Edit(0.0, "status", "api", after="uncertain"))


def _a_zombie(s: Scenario, rng: random.Random) -> None:
    """It stops around its attempt; when it goes on, somebody else has taken over, and perhaps finished."""
    playbook, alertname = rng.choice((("scale", "B"), ("restart", "A"), ("evict", "C"), ("two-steps", "C")))
    _scene(s, playbook, alertname, rng.choice(("heals", "nothing", "worse")))
    s.replicas = 2
    call, when = rng.choice(("get", "reserve", "record_attempt", "write")), rng.choice(("before", "during", "after"))
    s.troubles = [[Trouble("freeze", call, rng.choice((1, 1, 2)), when, rng.uniform(20.0, 60.0))] for _ in range(2)]


def _away_while_verifying(s: Scenario, rng: random.Random) -> None:
    _scene(s, "scale", "B", rng.choice(("heals", "nothing")))
    # Until the next sample says that it took too long, or until nobody has sampled for more than two hours.
    s.troubles = [[Trouble("kill", "commit", 2, "after", lasts=rng.choice((80.0, 7400.0)))]]


def _blind_while_verifying(s: Scenario, rng: random.Random) -> None:
    _scene(s, "scale", "B", rng.choice(("heals", "nothing")))
    mode = rng.choice(("down", "empty", "nan", "stale"))
    s.spells.append(Spell("prometheus", mode, at=0.0, lasts=rng.uniform(60.0, 100.0), after="verifying"))
    s.calm_at += 60.0


def _a_race_for_the_slot(s: Scenario, rng: random.Random) -> None:
    playbook = rng.choice(("restart", "restart-approve"))
    _scene(s, playbook, "A", names=("api", "web"))
    s.limits = {**s.limits, "in_flight": {"cluster": 1}}


def _a_rung_that_must_not(s: Scenario, rng: random.Random) -> None:
    _scene(s, rng.choice(("restart-then-scale", "restart-then-suggest")), "A", "nothing")
    s.edits.append(Edit(0.0, "protect", "api", after="verifying"))


def _refused_half_way(s: Scenario, rng: random.Random) -> None:
    _scene(s, rng.choice(("two-steps", "gated")), "C", rng.choice(("worse", "worse", "nothing")))
    s.spells.append(Spell("api", "forbids", at=0.0, lasts=rng.choice((15.0, 40.0)), after="waiting"))


def _undone_by_others(s: Scenario, rng: random.Random) -> None:
    _scene(s, rng.choice(("scale", "two-steps")), "B", "worse", "worse")
    s.incidents[0].alertname = "B" if s.playbooks[0] == "scale" else "C"
    s.edits.append(Edit(0.0, rng.choice(("scale", "pause", "status")), "api", after="undoing"))


def _budget_at_the_last_moment(s: Scenario, rng: random.Random) -> None:
    _scene(s, "evict", "C")
    s.api_writes, s.api_favourite = 0.6, "429 by a disruption budget"


def _once_more(s: Scenario, rng: random.Random) -> None:
    _scene(s, "restart", "A", "heals", "nothing")
    s.incidents[0].again_after = 15.0
    s.limits = {**s.limits, "max_attempts": 1, "rate_limit": {"target": 1}}


def _answered_by_two(s: Scenario, rng: random.Random) -> None:
    _scene(s, rng.choice(("asking-last", "scale-quorum")), "C", "heals")
    s.incidents[0].alertname = "B" if s.playbooks[0] == "scale-quorum" else "C"


def _through_the_gate(s: Scenario, rng: random.Random) -> None:
    _scene(s, rng.choice(("gated", "ends-in-a-gate")), "C", rng.choice(("heals", "heals", "worse")))


def _taken_and_not_answered(s: Scenario, rng: random.Random) -> None:
    """A person takes it before a question is answered, and keeps it for longer than the question lasts."""
    name, alertname, asked = rng.choice((("scale-approve", "B", "awaiting_approval"), ("asking-last", "C", "waiting")))
    _scene(s, name, alertname)
    s.answers_after = 500.0
    s.pauses.append(Pause(0.0, "episode", lasts=260.0, after=asked))
    s.calm_at += 260.0


CORNERS: tuple[Corner, ...] = (
    _an_old_plan,
    _paused_between_effects,
    _changed_between_effects,
    _cut_off_while_acting,
    _cut_off_before_acting,
    _conflicts,
    _no_word,
    *[_no_word_of_an_undo] * 4,
    *[_a_zombie] * 3,
    _away_while_verifying,
    _blind_while_verifying,
    _a_race_for_the_slot,
    _a_rung_that_must_not,
    _refused_half_way,
    _undone_by_others,
    _budget_at_the_last_moment,
    _once_more,
    _answered_by_two,
    *[_through_the_gate] * 2,
    _taken_and_not_answered,
)


def corner(s: Scenario, rng: random.Random) -> None:
    rng.choice(CORNERS)(s, rng)
