"""Draws a scenario from its seed: a base, and some themes of what can go wrong on top of it.

Nine of ten schedules are small: one or two incidents, a few themes, trouble in the first minute or so. The tenth is
large: several workloads, many incidents, about half of the menu at once, for five minutes. All of the menu can come up
in either.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.sim import faults, surroundings
from tests.sim.corners import corner
from tests.sim.playbooks import EFFECTS, FIRST, FOR_A_TIME, HOLDING, MORE_EFFECTS, NAMESPACE, RUNGS
from tests.sim.scenario import SPELLS, Edit, Incident, Jump, Pause, Scenario, Silence, Spell, Trouble

LARGE = 0.1
STORMS = 0.003
"""A storm has seven targets, and lasts a quarter of an hour: as dear as fifty others."""
OTHER_EFFECTS = 0.15
"""Schedules about what is created, removed, called, or written to a status."""
REVERTS = 0.03
"""Schedules about what is only done for a time: each lasts for ten minutes more."""
THEMES_AT_ONCE = (0, 1, 1, 2, 2, 3)

CALLS = (
    "await",
    "await",
    "await",
    "record_attempt",
    "record_attempt",
    "record_outcome",
    "write",
    "write",
    "get",
    "reserve",
    "commit",
    "commit",
    "claim",
)
EDITS = (
    "scale",
    "annotate",
    "image",
    "image",
    "old-marker",
    "old-marker",
    "foreign-marker",
    "delete-pod",
    "pause",
    "pause",
    "protect",
    "status",
    "status",
)
MOMENTS = ("commit", "reserve", "reserve", "record_attempt", "record_attempt", "record_outcome", "record_outcome")
"""Commits of the store after which somebody else does something at once."""
GENEROUS = {
    "cooldown": {"success": "2m", "failure": "2m"},
    "rate_limit": {"target": 6, "playbook": 10, "namespace": 20},
    "in_flight": {"playbook": 2},
    "max_attempts": 3,
    "circuit_breaker": {"failures": 5},
    "plan_age": "10s",
}


class Draw(random.Random):
    def chance(self, share: float) -> bool:
        return self.random() < share


def draw(seed: int) -> Scenario:
    rng = Draw(f"scenario {seed}")
    s = Scenario(seed=seed, large=rng.chance(LARGE))
    _base(s, rng)
    if s.large:
        chosen = [name for name in THEMES if rng.chance(0.4)]
    else:
        drawn = {*rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=rng.choice(THEMES_AT_ONCE))}
        drawn |= {name for name, share in OFTEN.items() if rng.chance(share)}
        chosen = sorted(drawn, key=list(THEMES).index)
    # Drawn apart, so that all other schedules stay as they are.
    apart = Draw(f"effects {seed}")
    if apart.chance(OTHER_EFFECTS):
        chosen = [name for name in chosen if name not in SCENES]
        _other_effects(s, apart)
        s.themes = ("other effects",)
    later = Draw(f"for a time {seed}")
    if not s.themes and later.chance(REVERTS):
        chosen = [name for name in chosen if name not in SCENES]
        theme, name = later.choice(((_for_a_time, "for a time"), (_held, "held")))
        theme(s, later)
        s.themes = (name,)
    for name in chosen:
        THEMES[name](s, rng)
    if not s.large and rng.chance(STORMS):
        _storm(s, rng)
        chosen.append("storm")
    s.themes = (*s.themes, *chosen)
    return s


def _base(s: Scenario, rng: Draw) -> None:
    s.calm_at = 300.0 if s.large else rng.uniform(70.0, 100.0)
    s.replicas = 2 if rng.chance(0.4 if s.large else 0.25) else 1
    names = ("api", "web", "db")[: rng.choice((1, 1, 2, 3) if s.large else (1, 1, 1, 2))]
    s.deployments = dict.fromkeys(names, "plain")
    groups = sorted(set(rng.choices("ABCD", (5, 7, 7, 1), k=rng.choice((1, 2, 3) if s.large else (1, 1, 1, 2)))))
    s.playbooks = (*(rng.choice(FIRST[g]) for g in groups), *RUNGS)
    for _ in range(rng.randint(1, 6) if s.large else rng.choice((1, 1, 2))):
        unknown = ("Unknown",) if rng.chance(0.1) else ()
        s.incidents.append(_incident(s, rng, rng.choice(unknown or groups)))
    for name in s.deployments:
        s.cures[name] = [rng.choice(("heals", "heals", "heals", "nothing", "worse", "worse")) for _ in range(6)]
    s.troubles = [[] for _ in range(s.replicas)]
    s.limits = GENEROUS
    s.people = rng.choice((0.0, 0.5, 0.9, 0.9))
    s.healed_at_last = rng.chance(0.9 if s.large else 0.97)
    s.store_latency_s = rng.choice((0.0, 0.0, 0.02))


def _incident(s: Scenario, rng: Draw, alertname: str) -> Incident:
    return Incident(
        at=rng.uniform(0.0, s.calm_at / 2 if s.large else 15.0),
        alertname=alertname,
        deployment=rng.choice(list(s.deployments)),
        severity=rng.choice(("warning", "critical", "info")),
        resend=rng.uniform(20.0, 200.0),
        duplicate=rng.chance(0.5),
        gone_after=rng.uniform(1.0, s.calm_at) if rng.chance(0.15) else None,
        again_after=rng.uniform(10.0, 60.0) if rng.chance(0.2) else None,
    )


def _when(s: Scenario, rng: Draw) -> float:
    return rng.uniform(0.0, 0.7 * s.calm_at)


def _some(s: Scenario, rng: Draw) -> range:
    return range(rng.choice((1, 2, 4) if s.large else (1, 1, 2)))


def _meeting(s: Scenario, rng: Draw) -> tuple[float, str]:
    """People and processes meet: two of three things that people do fall into a moment that may be the worst."""
    if rng.chance(0.66):
        return rng.uniform(0.0, 0.3 * s.calm_at), rng.choice(MOMENTS)
    return _when(s, rng), ""


# Themes ---------------------------------------------------------------------------------------------------------------


def _crashes(s: Scenario, rng: Draw) -> None:
    for troubles in s.troubles:
        for _ in range(rng.choice((1, 2, 3, 5) if s.large else (1, 1, 2, 3))):
            call = rng.choice(CALLS)
            # Any await of its life is as likely as the ones around it.
            number = int(10 ** rng.uniform(0.0, 3.2)) if call == "await" else rng.choice((1, 1, 2, 3, 5))
            troubles.append(
                Trouble(
                    kind=rng.choice(("kill", "kill", "freeze")),
                    call=call,
                    number=number,
                    when=rng.choice(("before", "during", "after")),
                    lasts=rng.choice((0.5, 5.0, 12.0, 40.0, 100.0)),
                )
            )


def _faulty_api(s: Scenario, rng: Draw) -> None:
    s.api_writes, s.api_reads = rng.choice((0.2, 0.5, 0.9)), rng.choice((0.0, 0.0, 0.05, 0.2))
    s.api_favourite = rng.choice(("", *faults.WRITES, faults.LATER))
    if s.api_favourite and rng.chance(0.3):
        s.calm_at += 100.0  # some states last for two minutes
    s.late_s = rng.choice((0.5, 5.0, 60.0) if s.large else (0.5, 5.0, 20.0))
    s.stale_s = rng.choice((0.0, 0.0, 5.0))


def _slow_api(s: Scenario, rng: Draw) -> None:
    s.slow_api = rng.choice((0.02, 0.1))


def _faulty_store(s: Scenario, rng: Draw) -> None:
    s.store = rng.choice((0.02, 0.1))


def _spell(*on: str) -> Callable[[Scenario, Draw], None]:
    def theme(s: Scenario, rng: Draw) -> None:
        for _ in _some(s, rng):
            name = rng.choice(on)
            s.spells.append(
                Spell(name, rng.choice(SPELLS[name]), at=_when(s, rng), lasts=rng.choice((3.0, 15.0, 15.0, 60.0)))
            )

    return theme


def _api_spell(s: Scenario, rng: Draw) -> None:
    _spell("api")(s, rng)
    if rng.chance(0.3):
        s.spells[-1].lasts, s.spells[-1].at = 150.0, rng.uniform(0.0, 40.0)
        s.calm_at += 100.0


def _pauses(s: Scenario, rng: Draw) -> None:
    for _ in range(rng.choice((1, 2))):
        scope = rng.choice(("everything", "playbook", "target", "namespace", "episode"))
        at, after = _meeting(s, rng)
        # A person keeps what he has taken for longer than people wait for an answer.
        lasts = rng.choice((3.0, 20.0, 60.0) if scope != "episode" else (3.0, 60.0, 250.0))
        s.pauses.append(Pause(at, scope, lasts=lasts, after=after))
        s.calm_at += lasts if lasts > 60.0 else 0.0


def _silenced(s: Scenario, rng: Draw) -> None:
    s.silences = []
    for _ in range(rng.choice((0, 1, 1, 2))):
        s.silences.append(Silence(_when(s, rng), rng.choice(list(s.deployments)), lasts=rng.choice((5.0, 30.0))))
    if rng.chance(0.4):
        _spell("alertmanager")(s, rng)


def _edits(s: Scenario, rng: Draw) -> None:
    for _ in range(rng.choice((1, 3, 6) if s.large else (1, 1, 2, 3))):
        at, after = _meeting(s, rng)
        s.edits.append(Edit(at, rng.choice(EDITS), rng.choice(list(s.deployments)), after=after))


def _jumps(s: Scenario, rng: Draw) -> None:
    s.jumps.append(Jump(_when(s, rng), rng.randrange(s.replicas), rng.choice((3600.0, -3600.0))))


def _other_effects(s: Scenario, rng: Draw) -> None:
    """Something else than a change of a workload; whatever it is about changes by itself as well."""
    s.playbooks = (rng.choice((*EFFECTS, *MORE_EFFECTS)), *RUNGS)
    s.incidents = [_incident(s, rng, "E") for _ in range(rng.choice((1, 1, 2)))]
    s.calls = rng.choice((0.0, 0.3, 0.6, 0.9))
    if rng.chance(0.7):
        s.api_writes, s.late_s = rng.choice((0.2, 0.4, 0.6)), rng.choice((0.5, 5.0, 20.0, 60.0))
        s.api_favourite = rng.choice(("", *faults.UNANSWERED, *faults.UNANSWERED, *faults.WRITES))
    for _ in range(rng.choice((0, 1, 1, 2))):
        at, after = _meeting(s, rng)
        s.edits.append(Edit(at, rng.choice(surroundings.EDITS), rng.choice(list(s.deployments)), after=after))
    for troubles in s.troubles:
        if rng.chance(0.4):
            call = rng.choice(("call", "find", "write", "get", "record_attempt", "record_outcome", "commit"))
            kind, when = rng.choice(("kill", "freeze")), rng.choice(("before", "during", "after"))
            troubles.append(Trouble(kind, call, rng.choice((1, 1, 2)), when, lasts=rng.choice((0.5, 12.0, 40.0))))
    if s.playbooks[0].startswith("sweep") and rng.chance(0.4):
        s.api_writes, s.api_favourite = 0.9, "timeout, never applied"
        s.edits.append(Edit(0.0, "touch a job", s.incidents[0].deployment, after="record_attempt"))
    if rng.chance(0.3):
        for name in s.cures:
            s.cures[name] = ["worse"] * 6
    if rng.chance(0.6):
        s.people = 0.9


def _for_a_time(s: Scenario, rng: Draw) -> None:
    """Done while the alert lasts, and put back after five quiet minutes; trouble goes on until then."""
    s.large, s.for_a_time, s.healed_at_last = False, True, True
    s.playbooks = (rng.choice(list(FOR_A_TIME)), *RUNGS)
    s.deployments = {"api": "plain"}
    s.cures = {"api": ["heals", *(rng.choice(("heals", "nothing", "worse")) for _ in range(5))]}
    s.incidents = [_incident(s, rng, "B")]
    s.incidents[0].at, s.incidents[0].gone_after = 1.0, None
    s.people = 1.0
    s.calm_at = rng.choice((300.0, 500.0, 700.0))
    for _ in range(rng.choice((0, 1, 1, 2))):
        s.edits.append(Edit(rng.uniform(60.0, 400.0), rng.choice(("scale", "scale", "image", "pause")), "api"))
    for troubles in s.troubles:
        for _ in range(rng.choice((0, 1, 2))):
            call = rng.choice(("settle_revert", "settle_revert", "looked_at_revert", "record_attempt", "write"))
            kind, when = rng.choice(("kill", "freeze")), rng.choice(("before", "during", "after"))
            troubles.append(Trouble(kind, call, rng.choice((1, 1, 2)), when, lasts=rng.choice((0.5, 12.0, 40.0))))


def _held(s: Scenario, rng: Draw) -> None:
    """Git is held for a live change, and let go on: by a merge, by the time, or by somebody."""
    s.large, s.for_a_time, s.healed_at_last = False, True, True
    s.playbooks = (rng.choice(list(HOLDING)), *RUNGS)
    s.deployments = {"api": "of-argo"}
    s.cures = {"api": [rng.choice(("heals", "heals", "nothing", "worse")) for _ in range(6)]}
    s.incidents = [_incident(s, rng, "B")]
    s.incidents[0].at, s.incidents[0].gone_after = 1.0, None
    s.people = 1.0
    s.merges_after = rng.choice((None, 10.0, 200.0, 400.0, 4000.0))
    s.calm_at = rng.choice((200.0, 500.0))
    s.calls = rng.choice((0.0, 0.0, 0.3, 0.6))
    if rng.chance(0.4):
        s.edits.append(Edit(rng.uniform(40.0, 400.0), rng.choice(("sync on", "sync on", "scale")), "api"))
    for troubles in s.troubles:
        for _ in range(rng.choice((0, 1, 2))):
            call = rng.choice(("release_hold", "settle_hold", "ask", "commit", "record_attempt", "write", "call"))
            kind, when = rng.choice(("kill", "freeze")), rng.choice(("before", "during", "after"))
            troubles.append(Trouble(kind, call, rng.choice((1, 1, 2, 3)), when, lasts=rng.choice((0.5, 12.0, 40.0))))


def _tight_limits(s: Scenario, rng: Draw) -> None:
    s.limits = {
        "cooldown": {"success": "2m", "failure": "2m"},
        "rate_limit": {
            "target": rng.choice((1, 2, 4)),
            "playbook": rng.choice((2, 5)),
            "namespace": rng.choice((3, 10)),
        },
        "in_flight": {"playbook": rng.choice((1, 2)), "cluster": rng.choice((1, 3))},
        "max_attempts": rng.choice((1, 2, 3)),
        "circuit_breaker": {"failures": rng.choice((1, 3))},
        "plan_age": "5s",
    }
    if len(s.deployments) == 1:
        s.deployments["web"], s.cures["web"] = "plain", ["heals"] * 6
    if rng.chance(0.3):
        s.playbooks = ("restart-approve", "scale-approve", *RUNGS)
        s.people = 0.9
    first, other = s.incidents[0], _incident(s, rng, s.incidents[0].alertname)
    other.deployment, other.at = rng.choice(list(s.deployments)), first.at if rng.chance(0.5) else other.at
    s.incidents.append(other)


def _zones(s: Scenario, rng: Draw) -> None:
    """The only copies of two workloads, in trouble at the same moment."""
    s.deployments = {"api": "single", "web": "single"}
    s.cures = {name: ["heals"] * 6 for name in s.deployments}
    s.playbooks, s.people = ("restart-approve", *RUNGS), 1.0
    s.incidents = [_incident(s, rng, "A") for _ in s.deployments]
    for incident, name in zip(s.incidents, s.deployments, strict=True):
        incident.at, incident.deployment, incident.gone_after = 1.0, name, None


def _evictions(s: Scenario, rng: Draw) -> None:
    """A budget that allows none, at first or for good."""
    s.deployments = {**s.deployments, "api": "budget"}
    s.playbooks = ("evict", *RUNGS)
    s.incidents = [_incident(s, rng, "C")]
    s.incidents[0].deployment = "api"
    if rng.chance(0.5):
        s.edits.append(Edit(rng.uniform(0.0, 40.0), "lift-budget", "api"))


def _second_thoughts(s: Scenario, rng: Draw) -> None:
    """Between the steps of an approved plan, somebody changes what it is about."""
    s.playbooks = ("two-steps-approve", *RUNGS)
    s.incidents = [_incident(s, rng, "C")]
    s.people = 1.0
    name = s.incidents[0].deployment
    s.cures[name] = [rng.choice(("heals", "nothing", "worse")) for _ in range(6)]
    s.edits.append(Edit(0.0, rng.choice(("scale", "protect", "pause", "image")), name, after="record_outcome"))


def _special_workload(s: Scenario, rng: Draw) -> None:
    special = ("single", "budget", "budget", "of-argo", "autoscaled", "protected", "rollout-paused", "recreated")
    s.deployments[rng.choice(list(s.deployments))] = rng.choice(special)


def _old_alert(s: Scenario, rng: Draw) -> None:
    s.incidents[0].age = 7200.0


def _windows(s: Scenario, rng: Draw) -> None:
    """The clock says 10:00 at the beginning."""
    shut = {"deny": [{"cron": f"{rng.choice((0, 1))} 10 * * *", "duration": "1m", "zone": "UTC"}]}
    ends = {"allow": [{"cron": "0 10 * * *", "duration": "1m", "zone": "UTC"}]}
    s.policy["windows"] = {**rng.choice((shut, shut, ends)), "overrun": rng.chance(0.3)}


def _blocked(s: Scenario, rng: Draw) -> None:
    s.policy["blockers"] = [{"alerts": 'alertname="Boss"'}]
    _spell("blocker")(s, rng)
    if rng.chance(0.3):
        _spell("prometheus")(s, rng)


def _overloaded(s: Scenario, rng: Draw) -> None:
    s.policy["overload"] = "overloaded > 0"
    _spell("overload")(s, rng)


def _projects(s: Scenario, rng: Draw) -> None:
    namespaces = rng.choice(([NAMESPACE], [NAMESPACE], ["elsewhere"]))
    s.project = {
        "name": "ours",
        "playbooks": {"folders": ["ours"]},
        "clusters": ["c1"],
        "namespaces": namespaces,
        "mode": "auto",
    }


def _told(s: Scenario, rng: Draw) -> None:
    s.chat = rng.choice((0.0, 0.1, 0.4))
    if rng.chance(0.5):
        _spell("slack")(s, rng)


def _storm(s: Scenario, rng: Draw) -> None:
    """One cause, many victims."""
    names = [f"svc{n}" for n in range(7)]
    s.deployments |= dict.fromkeys(names, "plain")
    s.cures |= {name: ["heals"] * 6 for name in names}
    alertname = s.incidents[0].alertname
    for name in names:
        made = _incident(s, rng, alertname)
        made.deployment, made.again_after = name, None
        s.incidents.append(made)


THEMES: dict[str, Callable[[Scenario, Draw], None]] = {
    # These set the scene,
    "corner": corner,
    "zones": _zones,
    "evictions": _evictions,
    "second thoughts": _second_thoughts,
    "tight limits": _tight_limits,
    "special workload": _special_workload,
    # and these happen in it.
    "crashes": _crashes,
    "faulty api": _faulty_api,
    "slow api": _slow_api,
    "faulty store": _faulty_store,
    "api spell": _api_spell,
    "store spell": _spell("store"),
    "prometheus spell": _spell("prometheus"),
    "pauses": _pauses,
    "silences": _silenced,
    "edits": _edits,
    "jumps": _jumps,
    "old alert": _old_alert,
    "windows": _windows,
    "blockers": _blocked,
    "overload": _overloaded,
    "projects": _projects,
    "told": _told,
}

SCENES = ("corner", "zones", "evictions", "second thoughts", "tight limits", "special workload")
OFTEN = {"crashes": 0.4, "faulty api": 0.3}
"""What every other schedule has besides its themes."""
WEIGHTS = dict.fromkeys(THEMES, 10) | {
    "crashes": 0,
    "faulty api": 0,
    "edits": 35,
    "pauses": 15,
    "tight limits": 15,
    "told": 20,
    "old alert": 2,
    "projects": 4,
    "corner": 60,
    "zones": 3,
    "evictions": 5,
}
