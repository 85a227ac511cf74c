"""The operator's policy by environment and severity: what is in force where, and what a playbook may ask for."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.actions.change import Change
from remediator.guardrails import mode
from remediator.guardrails.ceilings import highest_mode, over_ceiling, policy_problems, unknown_words
from remediator.guardrails.environments import SEVERITIES, Place
from remediator.guardrails.facts import EffectiveLimits, Facts
from remediator.guardrails.policy import Policy, limit_rows, limits_in_force, quorum_in_force
from remediator.guardrails.verdict import Answer
from remediator.playbooks.limits import Blocker
from remediator.playbooks.model import Mode, Playbook
from remediator.playbooks.projects import Project
from tests.actions.make import deployment
from tests.guardrails.make import evict, facts, playbook, restart, rollback, scale, target

ROOT = Path(__file__).parents[2]
ELSEWHERE = Place()


def example(file: str, begin: str) -> Any:
    """A block that stands in comments in a file that people copy from, up to the first line that is no part of it."""
    lines = (ROOT / file).read_text().splitlines()
    at = next(index for index, line in enumerate(lines) if line.strip() == begin)
    depth = lines[at].index("#") + 1
    block = [lines[at][depth:]]
    for line in lines[at + 1 :]:
        if not line[depth:].startswith("  ") or line[depth - 1 : depth] != "#":
            break
        block.append(line[depth:])
    return yaml.safe_load(textwrap.dedent("\n".join(block)))


SHIPPED = Policy.model_validate(example("config/remediator.yaml", "# environments:"))


def policy(**content: Any) -> Policy:
    return Policy.model_validate(content)


def at(environment: str, **place: Any) -> Place:
    return Place(labels={"environment": environment}, **place)


# --- the shipped table --------------------------------------------------------------------------------------------


def test_the_chart_shows_the_same_environments_as_the_example():
    chart = (ROOT / "helm/remediator/values.yaml").read_text().splitlines()
    at = next(index for index, line in enumerate(chart) if line.startswith("#  policy:"))
    end = next(index for index in range(at, len(chart)) if not chart[index].startswith("#"))
    shown = yaml.safe_load("\n".join(line[3:] for line in chart[at:end]))
    assert Policy.model_validate(shown["policy"]).environments == SHIPPED.environments


def test_the_shipped_environments_are_right():
    assert [e.name for e in SHIPPED.environments] == ["development", "staging", "production"]
    assert policy_problems(SHIPPED) == ()
    assert unknown_words(SHIPPED, frozenset({"rollout_restart", "evict_pod", "scale"})) == ()


def changes() -> dict[str, Change]:
    obj = deployment()
    return {
        "rollout_restart": restart(obj),
        "evict_pod": evict(),
        "scale": scale(obj, 3, 5),
        "rollback": rollback(obj),
        "delete_pod": evict(),
    }


def asked(environment: str, action: str, wanted: str, *, using: Policy = SHIPPED, **more: Any) -> Facts:
    """One action of a playbook with that mode, for an alert of that environment."""
    book = Playbook.model_validate(playbook(mode=wanted).model_dump() | {"steps": [{"action": action}]})
    limits = limits_in_force(book, using, at(environment))
    one = target(change=changes()[action])
    return facts(one, playbook=book, limits=limits, environments=frozenset({limits.environment}), **more)


RUNS, ASKS, PROPOSES = Answer.PASS, Answer.ASK, Answer.SUGGEST

TABLE: dict[str, dict[str, Answer]] = {
    "development": {
        "rollout_restart": RUNS,
        "evict_pod": RUNS,
        "scale": RUNS,
        "rollback": RUNS,
        "delete_pod": ASKS,
    },
    "staging": {"rollout_restart": RUNS, "scale": RUNS, "evict_pod": ASKS, "rollback": ASKS, "delete_pod": ASKS},
    "production": dict.fromkeys(("rollout_restart", "evict_pod", "scale", "rollback", "delete_pod"), ASKS),
    "somewhere": dict.fromkeys(("rollout_restart", "evict_pod", "scale", "rollback", "delete_pod"), ASKS),
}
"""What happens with a playbook in auto. In approve all of it asks, in observe and suggest it is proposed at most."""


@pytest.mark.parametrize("wanted", list(Mode))
@pytest.mark.parametrize(("environment", "action"), [(e, a) for e, row in TABLE.items() for a in row])
def test_what_happens(environment, action, wanted):
    of_mode = {
        Mode.OBSERVE: PROPOSES,
        Mode.SUGGEST: PROPOSES,
        Mode.APPROVE: ASKS,
        Mode.AUTO: TABLE[environment][action],
    }
    assert mode.check(asked(environment, action, wanted)).answer is of_mode[wanted]


@pytest.mark.parametrize("alias", [("dev", "development"), ("qa", "staging"), ("prod", "production")])
def test_environments_have_short_names(alias):
    short, name = alias
    assert limits_in_force(playbook(), SHIPPED, at(short)).environment == name


def test_who_approved_is_not_asked_again():
    assert mode.check(asked("production", "rollback", "auto", approved=True)).answer is Answer.PASS


@pytest.mark.parametrize(
    ("environment", "action", "said"),
    [
        pytest.param(
            "staging",
            "rollback",
            "staging runs rollout_restart and scale by itself; rollback needs an approval",
            id="a list",
        ),
        pytest.param(
            "development",
            "delete_pod",
            "development runs what can be taken back, rollout_restart and evict_pod by itself; delete_pod needs an "
            "approval",
            id="reversible and a list",
        ),
        pytest.param("production", "scale", "mode auto, the ceiling of production is approve", id="a ceiling"),
        pytest.param("somewhere", "scale", "mode auto, the ceiling here is approve", id="no environment"),
    ],
)
def test_the_mode_says_why_it_asks(environment, action, said):
    verdict = mode.check(asked(environment, action, "auto"))
    assert verdict.reason == said
    assert verdict.changes == "runs once it is approved"


def test_several_targets_ask_when_one_of_them_must():
    book = playbook(mode="auto", steps=[{"action": "scale"}, {"action": "rollback"}])
    one, other = target(change=scale(deployment(), 3, 5)), target(change=rollback(deployment()))
    limits = EffectiveLimits(mode=Mode.AUTO, mode_ceiling=Mode.AUTO, auto=("scale",), environment="qa")
    second = facts(one, replace(other, step=1), playbook=book, limits=limits)
    assert "rollback needs an approval" in mode.check(second).reason
    assert mode.check(facts(one, playbook=book, limits=limits)).answer is Answer.PASS


def test_a_target_of_another_environment_denies():
    """A step may name an object of its own: it must not be production's under development's rules."""
    seen = asked("development", "scale", "auto", approved=True)
    verdict = mode.check(replace(seen, environments=frozenset({"development", "production"})))
    assert verdict.answer is Answer.DENY
    assert verdict.reason == "it acts in production, and the policy of development was chosen for it"


# --- projects -----------------------------------------------------------------------------------------------------


def project(highest: str) -> Project:
    return Project.model_validate(
        {
            "name": "team",
            "playbooks": {"folders": ["/x"]},
            "clusters": ["prod"],
            "namespaces": ["shop"],
            "mode": highest,
        }
    )


@pytest.mark.parametrize(
    ("wanted", "ceiling", "highest", "answer"),
    [
        pytest.param("auto", "auto", "auto", RUNS, id="all of them"),
        pytest.param("auto", "auto", "approve", ASKS, id="the project asks"),
        pytest.param("auto", "approve", "auto", ASKS, id="the policy asks"),
        pytest.param("approve", "auto", "auto", ASKS, id="the playbook asks"),
        pytest.param("auto", "approve", "suggest", PROPOSES, id="the lowest counts"),
        pytest.param("observe", "auto", "auto", PROPOSES, id="the playbook observes"),
    ],
)
def test_the_mode_is_the_lowest_of_playbook_policy_and_project(wanted, ceiling, highest, answer):
    book, of = playbook(mode=wanted), project(highest)
    place = Place(highest=of.mode)
    limits = limits_in_force(book, policy(mode_ceiling=ceiling), place)
    seen = facts(playbook=book, limits=limits, project=of)
    assert limits.mode is min(Mode(wanted), Mode(ceiling), of.mode, key=lambda m: m.rank)
    assert mode.check(seen).answer is answer
    if of.mode.rank < Mode(wanted).rank and of.mode.rank <= Mode(ceiling).rank:
        assert mode.check(seen).reason == f"mode {wanted}, the ceiling of project team is {of.mode}"


# --- which environment --------------------------------------------------------------------------------------------

SEVERAL = policy(
    mode_ceiling="suggest",
    environments=[
        {"name": "labels", "match": {"labels": ['environment=~"a|b"', 'team="x"']}},
        {"name": "spaces", "match": {"namespaces": ["shop-*", "pay"]}},
        {"name": "both", "match": {"clusters": "west*", "namespaces": "shop"}},
        {"name": "cluster", "match": {"clusters": ["west1"]}},
    ],
)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        pytest.param(Place(labels={"environment": "b", "team": "x"}), "labels", id="all labels"),
        pytest.param(Place(labels={"environment": "b"}), "", id="one label of two"),
        pytest.param(Place(labels={"environment": "bb", "team": "x"}), "", id="the whole value"),
        pytest.param(Place(namespace="shop-a"), "spaces", id="a pattern"),
        pytest.param(Place(namespace="pay"), "spaces", id="the other name"),
        pytest.param(Place(namespace="payments"), "", id="no more than the name"),
        pytest.param(Place(cluster="west1", namespace="shop"), "both", id="the first one that matches"),
        pytest.param(Place(cluster="west2", namespace="shop"), "both", id="cluster and namespace"),
        pytest.param(Place(cluster="west1", namespace="x"), "cluster", id="the next one"),
        pytest.param(Place(cluster="west1"), "cluster", id="outside namespaces"),
        pytest.param(ELSEWHERE, "", id="none"),
        pytest.param(Place(cluster="west1", environment="spaces"), "spaces", id="decided before"),
        pytest.param(Place(cluster="west1", environment=""), "", id="decided before: none"),
        pytest.param(Place(cluster="west1", environment="gone"), "", id="no longer configured"),
    ],
)
def test_which_environment(place, name):
    assert limits_in_force(playbook(), SEVERAL, place).environment == name


def test_what_lies_in_no_namespace_is_in_none_of_them():
    everywhere = policy(environments=[{"name": "any", "match": {"namespaces": "*"}}])
    assert limits_in_force(playbook(), everywhere, Place(namespace="x")).environment == "any"
    assert limits_in_force(playbook(), everywhere, Place(cluster="c")).environment == ""


@pytest.mark.parametrize(
    ("match", "said"),
    [
        pytest.param({}, "matches every place", id="nothing"),
        pytest.param({"labels": [""]}, "matches every alert", id="an empty matcher"),
        pytest.param({"labels": ["a~b"]}, "unexpected", id="no matcher"),
    ],
)
def test_an_environment_is_somewhere(match, said):
    with pytest.raises(ValueError, match=said):
        policy(environments=[{"name": "a", "match": match}])


# --- defaults and ceilings ----------------------------------------------------------------------------------------

LAYERS = policy(
    defaults={"max_targets": 2, "max_attempts": 2, "rate_limit": {"target": 3}, "min_available": "70%"},
    ceilings={"max_targets": 8, "rate_limit": {"target": 5}},
    environments=[
        {
            "name": "production",
            "match": {"clusters": "prod"},
            "mode_ceiling": "auto",
            "defaults": {"max_targets": 3, "rate_limit": {"target": 4}},
            "ceilings": {"max_targets": 9, "rate_limit": {"target": 2}, "min_available": "50%"},
        }
    ],
    severities={"critical": {"defaults": {"max_targets": 4}}},
)
PROD = Place(cluster="prod")


@pytest.mark.parametrize(
    ("place", "guardrails", "value", "by"),
    [
        pytest.param(ELSEWHERE, {}, 2, "policy", id="the policy's"),
        pytest.param(PROD, {}, 3, "environment production", id="the environment's"),
        pytest.param(Place(severity="critical"), {}, 4, "severity critical", id="the severity's"),
        pytest.param(Place(cluster="prod", severity="P1"), {}, 4, "severity critical", id="another word for it"),
        pytest.param(Place(cluster="prod", severity="info"), {}, 3, "environment production", id="another severity"),
        pytest.param(Place(cluster="prod", severity="p1"), {"max_targets": 5}, 5, "playbook", id="the playbook's"),
        pytest.param(PROD, {"max_targets": 9}, 8, "ceiling", id="the tightest ceiling"),
    ],
)
def test_the_strongest_word_counts(place, guardrails, value, by):
    row = next(r for r in limit_rows(playbook(guardrails=guardrails), LAYERS, place) if r.limit.key == "max_targets")
    assert (row.value, row.by) == (value, by)
    assert limits_in_force(playbook(guardrails=guardrails), LAYERS, place).max_targets == value


def test_a_row_tells_the_whole_story():
    rows = {r.limit.key: r for r in limit_rows(playbook(guardrails={"rate_limit": {"target": 6}}), LAYERS, PROD)}
    row = rows["rate_limit.target"]
    assert row.said == {"policy": 3, "environment production": 4, "playbook": 6}
    assert (row.ceiling, row.ceiling_by, row.value, row.by) == (2, "environment production", 2, "ceiling")
    silent = rows["plan_age"]
    assert (silent.said, silent.ceiling_by, silent.by, silent.differs) == ({}, "shipped", "shipped", False)
    assert rows["min_available"].differs


def test_an_operators_floor_in_percent_is_kept_beside_copies():
    found = limits_in_force(playbook(guardrails={"min_available": 2, "min_healthy": 3}), LAYERS, PROD)
    assert (found.min_available, found.min_available_floor) == (2, "50%")
    assert (found.min_healthy, found.min_healthy_floor) == (3, 1)


@pytest.mark.parametrize(
    ("guardrails", "value"),
    [
        pytest.param({}, ("51%", "topology.kubernetes.io/zone", 1, 3, 4), id="shipped"),
        pytest.param(
            {
                "min_healthy": "80%",
                "failure_domain": {"label": "example.com/rack", "max": 2},
                "circuit_breaker": {"failures": 5, "open": "1h"},
            },
            ("80%", "example.com/rack", 2, 5, 1),
            id="a playbook's",
        ),
    ],
)
def test_the_numbers_of_fleet_domain_and_breaker(guardrails, value):
    found = limits_in_force(playbook(guardrails=guardrails), Policy())
    hours = found.breaker_open.total_seconds() / 3600
    assert (
        found.min_healthy,
        found.failure_domain_label,
        found.failure_domain_max,
        found.breaker_failures,
        hours,
    ) == value


def test_the_operator_may_fix_the_label_of_failure_domains():
    """One that no node has would switch the guardrail off."""
    fixed = policy(ceilings={"failure_domain": {"label": "example.com/room"}})
    own = playbook(guardrails={"failure_domain": {"label": "example.com/rack"}})
    assert limits_in_force(own, fixed).failure_domain_label == "example.com/room"
    assert "the operator has fixed it to example.com/room" in over_ceiling(own, fixed)[0]
    preset = policy(defaults={"failure_domain": {"label": "example.com/room"}})
    assert limits_in_force(playbook(), preset).failure_domain_label == "example.com/room"
    zone = playbook(guardrails={"failure_domain": {"label": "topology.kubernetes.io/zone"}})
    assert limits_in_force(zone, preset).failure_domain_label == "topology.kubernetes.io/zone"
    assert over_ceiling(zone, preset) == ()


def test_a_playbook_chooses_among_the_labels_that_the_operator_has_named():
    """`kubernetes.io/os` is the same on every node, so that nothing would ever be in two domains."""
    own = playbook(guardrails={"failure_domain": {"label": "kubernetes.io/os"}})
    (said,) = over_ceiling(own, policy(severities={"critical": {"defaults": {"failure_domain": {"label": "x/rack"}}}}))
    assert "kubernetes.io/os is none that the operator has named" in said
    assert "Write topology.kubernetes.io/zone or x/rack" in said


# --- what adds up -------------------------------------------------------------------------------------------------

ADDING = policy(
    blockers=[{"name": "everywhere", "promql": "a"}],
    windows={"deny": [{"cron": "0 0 * * *", "duration": "1h"}]},
    zone="Europe/Berlin",
    overload="general",
    quorum=2,
    environments=[
        {
            "name": "production",
            "match": {"clusters": "prod"},
            "blockers": [{"name": "here", "promql": "b"}],
            "windows": {"calendars": ["freeze"]},
            "overload": "own",
            "quorum_data": 3,
        },
        {"name": "test", "match": {"clusters": "test"}, "quorum": 1},
    ],
)
OWN = playbook(
    guardrails={
        "blockers": [Blocker(name="mine", promql="c"), Blocker(name="everywhere", promql="a")],
        "windows": {"allow": [{"cron": "0 1 * * *", "duration": "2h", "zone": "UTC"}]},
    }
)


def test_blockers_and_windows_add_up():
    here = limits_in_force(OWN, ADDING, PROD)
    assert [b.name for b in here.blockers] == ["everywhere", "here", "mine"]
    assert [(len(w.deny), len(w.calendars), len(w.allow)) for w in here.windows] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert [w.zone for one in here.windows for w in (*one.deny, *one.allow)] == ["Europe/Berlin", "UTC"]
    assert here.overload == "own"
    other = limits_in_force(playbook(), ADDING)
    assert [b.name for b in other.blockers] == ["everywhere"]
    assert (len(other.windows), other.overload) == (1, "general")


@pytest.mark.parametrize(
    ("place", "own", "data", "quorum"),
    [
        pytest.param(ELSEWHERE, 1, False, 2, id="the policy's"),
        pytest.param(PROD, 1, False, 2, id="an environment that says nothing"),
        pytest.param(PROD, 1, True, 3, id="for data"),
        pytest.param(PROD, 4, True, 4, id="never lowered"),
        pytest.param(Place(cluster="test"), 1, False, 1, id="an environment that says less"),
        pytest.param(Place(cluster="test"), 1, True, 2, id="says nothing about data, which is two people's"),
    ],
)
def test_the_operator_raises_the_quorum(place, own, data, quorum):
    assert quorum_in_force(playbook(approval={"quorum": own}), ADDING, place, data=data) == quorum


# --- loading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spot", "fine"),
    [
        pytest.param({"target": "from_alert"}, True, id="known later: the loosest counts"),
        pytest.param({"target": {"kind": "Node", "name": "n", "cluster": "prod"}}, True, id="production allows auto"),
        pytest.param({"target": {"kind": "Node", "name": "n", "cluster": "test"}}, False, id="elsewhere approve"),
        pytest.param({"target": {"kind": "Node", "name": "n", "cluster": "${labels.c}"}}, True, id="a template"),
        pytest.param(
            {"target": None, "targets": {"kind": "Pod", "namespace": "x", "selector": "a=b", "max": 1}},
            True,
            id="several, in the alert's cluster",
        ),
    ],
)
def test_a_playbook_is_measured_by_the_loosest_place_it_can_reach(spot, fine):
    problems = over_ceiling(playbook(mode="auto", **spot), LAYERS)
    assert highest_mode(playbook(mode="auto", **spot), LAYERS) is (Mode.AUTO if fine else Mode.APPROVE)
    assert highest_mode(playbook(mode="suggest", **spot), LAYERS) is Mode.SUGGEST
    assert problems == (() if fine else ("mode: auto is above the ceiling approve; write mode: approve",))


def test_the_ceiling_that_is_named_is_that_of_the_environment():
    strict = policy(
        environments=[
            {"name": "shop", "match": {"namespaces": "shop"}, "ceilings": {"max_targets": 2}, "mode_ceiling": "suggest"}
        ]
    )
    book = playbook(
        mode="approve", target={"kind": "Pod", "namespace": "shop", "name": "a"}, guardrails={"max_targets": 4}
    )
    assert over_ceiling(book, strict) == (
        "mode: approve is above the ceiling suggest of environment shop; write mode: suggest",
        "guardrails.max_targets: 4 is above the ceiling of environment shop, which is at most 2; write 2, or ask the "
        "operator for ceilings.max_targets",
    )
    assert over_ceiling(playbook(mode="approve", guardrails={"max_targets": 4}), strict) == ()


@pytest.mark.parametrize(
    ("match", "fine"),
    [
        pytest.param({"namespaces": "shop"}, False, id="it is there for sure"),
        pytest.param({"namespaces": "shop", "labels": 'tier="gold"'}, True, id="only with a label"),
        pytest.param({"namespaces": "shop", "clusters": "prod"}, True, id="only in one cluster"),
        pytest.param({"namespaces": "pay"}, True, id="elsewhere"),
    ],
)
def test_a_stricter_environment_counts_at_load_where_it_is_certain(match, fine):
    strict = policy(environments=[{"name": "strict", "match": match, "mode_ceiling": "suggest"}])
    book = playbook(mode="approve", target={"kind": "Deployment", "namespace": "shop", "name": "api"})
    assert (over_ceiling(book, strict) == ()) is fine


def test_a_window_needs_a_zone():
    book = playbook(guardrails={"windows": {"deny": [{"cron": "0 0 * * *", "duration": "1h"}]}})
    assert "guardrails.windows.deny[0].zone: required" in over_ceiling(book, Policy())[0]
    assert over_ceiling(book, policy(zone="UTC")) == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param({"ceilings": {"max_targets": 20}}, "ceilings can only be made tighter", id="a looser ceiling"),
        pytest.param({"ceilings": {"min_healthy": "40%"}}, "", id="a share is tighter than one copy"),
        pytest.param(
            {
                "ceilings": {"min_available": "50%"},
                "environments": [{"name": "a", "match": {"clusters": "a"}, "ceilings": {"min_available": 2}}],
            },
            "environments[a].ceilings.min_available: 2 cannot be compared with 50%",
            id="a share and copies",
        ),
        pytest.param(
            {"environments": [{"name": "a", "match": {"clusters": x}} for x in "ab"]},
            "environments[a] is there twice",
            id="twice",
        ),
        pytest.param(
            {"environments": [{"name": "a", "match": {"clusters": "a"}, "defaults": {"plan_age": "1s"}}]},
            "environments[a].defaults.plan_age: 1s is not allowed",
            id="an environment's nonsense",
        ),
        pytest.param(
            {"severities": {"info": {"defaults": {"plan_age": "1s"}}}},
            "severities.info.defaults.plan_age: 1s",
            id="a severity's nonsense",
        ),
        pytest.param({"severities": {"P1": {}}}, "severity_map turns it into critical", id="a severity never reached"),
        pytest.param({"severities": {"mine": {}}}, "", id="a severity of one's own"),
        pytest.param(
            {"windows": {"deny": [{"cron": "0 0 * * *", "duration": "1h"}]}}, "windows.deny[0].zone", id="no zone"
        ),
    ],
)
def test_what_an_operator_cannot_mean(content, said):
    problems = policy_problems(policy(**content))
    assert len(problems) == bool(said)
    assert not said or said in problems[0]


def test_auto_names_actions_that_exist():
    odd = policy(
        auto="rolout", environments=[{"name": "a", "match": {"clusters": "a"}, "auto": ["reversible", "scale"]}]
    )
    assert unknown_words(odd, {"scale"}) == (
        "policy.auto: there is no action rolout. Known here: any, reversible, scale.",
    )


def test_words_for_severities():
    assert {SEVERITIES[word] for word in ("sev1", "sev2", "p1", "critical")} == {"critical"}
    assert (SEVERITIES["p3"], SEVERITIES["sev4"]) == ("warning", "info")
    own = policy(severity_map={"Rot": "critical"}, severities={"Critical": {"defaults": {"max_targets": 3}}})
    assert limits_in_force(playbook(), own, Place(severity="ROT")).max_targets == 3
    assert limits_in_force(playbook(), own, Place(severity="critical")).max_targets == 3
    assert limits_in_force(playbook(), own, Place(severity="p1")).max_targets == 1
