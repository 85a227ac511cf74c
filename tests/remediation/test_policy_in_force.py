"""The operator's policy from the choice of a playbook to the reservation: decided once, the same numbers everywhere."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from remediator.actions.workloads.rollout_restart import RolloutRestart
from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.alerts.source import Source
from remediator.cli.explaining import print_explanation
from remediator.guardrails.policy import Policy
from remediator.http.alert_json import alerts_in
from remediator.preview import Preview
from remediator.remediation.state import State
from tests.support.world import World, deployment, restart_playbook

POLICY: dict[str, Any] = {
    "mode_ceiling": "approve",
    "defaults": {"max_attempts": 2},
    "environments": [
        {
            "name": "development",
            "match": {"namespaces": "dev-*"},
            "mode_ceiling": "auto",
            "auto": ["rollout_restart"],
            "ceilings": {"rate_limit": {"target": 1}},
        },
        {"name": "production", "match": {"labels": 'tier="gold"'}, "quorum": 2, "quorum_data": 3},
    ],
    "severities": {"critical": {"defaults": {"cooldown": {"success": "30m"}}}},
}


class Restore(RolloutRestart):
    """A restart that says that it changes data."""

    name = "restore"
    changes_data = True


def world(*playbooks: dict[str, Any], **policy: Any) -> World:
    """Deployments dev-a/api and shop/api, rolled out."""
    clock = VirtualClock()
    made = World(
        *(playbooks or (restart_playbook(mode="auto"),)),
        clock=clock,
        cluster=SimulatedCluster("c1", clock),
        policy=Policy.model_validate({**POLICY, **policy}),
        actions={"restore": Restore()},
    )
    for namespace in ("dev-a", "shop"):
        made.cluster.apply(deployment(namespace=namespace))
        made.settle(namespace=namespace)
    return made


async def test_it_acts_by_itself_where_the_environment_lets_it():
    made = world()
    await made.alert(namespace="dev-a", deployment="api")
    done = await made.run_until("succeeded", "awaiting_approval")
    assert (done.state, done.environment, done.mode) == (State.SUCCEEDED, "development", "auto")


async def test_it_asks_where_none_matches():
    made = world()
    await made.alert()
    asking = await made.run_until("succeeded", "awaiting_approval")
    assert (asking.state, asking.environment, asking.mode) == (State.AWAITING_APPROVAL, "", "approve")
    assert "mode. Mode auto, the ceiling here is approve." in asking.reason


async def test_the_environments_quorum_is_the_remediations():
    made = world()
    await made.alert(namespace="shop", deployment="api", tier="gold")
    asking = await made.run_until("awaiting_approval")
    assert asking.environment == "production"
    assert asking.spec is not None
    assert asking.spec.approval.quorum == 2


async def test_an_action_that_changes_data_needs_more():
    made = world(restart_playbook(mode="auto", steps=[{"action": "restore"}]))
    await made.alert(namespace="shop", deployment="api", tier="gold")
    asking = await made.run_until("awaiting_approval")
    assert asking.spec is not None
    assert asking.spec.approval.quorum == 3


async def test_the_store_counts_by_the_limits_that_the_guards_use():
    """Development's ceiling is one restart an hour; the playbook asks for six."""
    made = world(restart_playbook(mode="auto", guardrails={"rate_limit": {"target": 6}, "cooldown": {"success": "2m"}}))
    for number in (1, 2):
        await made.alert(namespace="dev-a", deployment="api", number=str(number))
        await made.run_for(420)
    first, second = await made.all()
    assert (first.state, second.state) == (State.SUCCEEDED, State.HELD)
    assert [v.guardrail for v in second.verdicts if v.answer.value == "hold"] == ["rate_limit"]
    assert made.core.runner._limits(first).rate_target == 1  # what the reservation hands to the store


async def test_a_step_into_another_environment_denies():
    step = {
        "action": "rollout_restart",
        "target": {"kind": "Deployment", "namespace": "${labels.other}", "name": "api"},
    }
    book = restart_playbook(mode="auto", steps=[{"action": "rollout_restart"}, step], guardrails={"max_targets": 2})
    made = world(book)
    await made.deliver(made.make_alert(namespace="dev-a", deployment="api", other="shop"))
    denied = await made.run_until("denied", "succeeded")
    assert denied.state is State.DENIED
    assert "mode. It acts in what is in no environment, and the policy of development was chosen" in denied.reason
    assert made.writes() == []


async def test_explain_believes_what_a_source_forces():
    """The environment hangs on a label that the alert itself does not carry."""
    made = world()
    gold = Source(name="am", cluster="c1", forced={"tier": "gold"})
    preview = Preview(made.core, lambda: made.catalog, [gold])
    labels = {"alertname": "Stuck", "deployment": "api", "namespace": "shop"}
    for source, environment in (("am", "production"), ("other", "")):
        (alert,) = alerts_in({"labels": labels, "source": source}, made.clock.now())
        assert (await preview.explain(alert))["environment"] == environment


async def explained(made: World, **labels: str) -> dict[str, Any]:
    (alert,) = alerts_in({"labels": {"alertname": "Stuck", "deployment": "api", **labels}}, made.clock.now())
    return await Preview(made.core, lambda: made.catalog).explain(alert)


async def test_explain_shows_the_limits_side_by_side():
    made = world(restart_playbook(mode="auto", guardrails={"rate_limit": {"target": 3}, "min_available": "70%"}))
    view = await explained(made, namespace="dev-a", severity="critical")
    rows = {row["limit"]: row for row in view["limits"]}
    assert view["environment"] == view["remediation"]["environment"] == "development"
    assert rows["rate_limit.target"] == {
        "limit": "rate_limit.target",
        "guardrail": "rate_limit",
        "shipped": 2,
        "policy": None,
        "environment": None,
        "severity": None,
        "playbook": 3,
        "ceiling": 1,
        "bound": "at most",
        "ceiling_by": "environment development",
        "in_force": 1,
        "by": "ceiling",
        "differs": True,
    }
    assert (rows["cooldown.success"]["severity"], rows["cooldown.success"]["by"]) == ("30m", "severity critical")
    assert (rows["max_attempts"]["policy"], rows["max_attempts"]["in_force"]) == (2, 2)
    assert (rows["mode"]["ceiling"], rows["mode"]["ceiling_by"]) == ("auto", "environment development")
    assert not rows["plan_age"]["differs"]


def printed(view: dict[str, Any], **options: Any) -> list[str]:
    out = io.StringIO()
    print_explanation(Console(file=out, width=110), view, **options)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


async def test_the_sheet_says_what_would_happen_and_what_would_change_it():
    made = world(restart_playbook(mode="auto", guardrails={"rate_limit": {"target": 3}}))
    await made.alert(namespace="dev-a", deployment="api")
    await made.run_until("succeeded")
    lines = printed(await explained(made, namespace="dev-a", severity="warning"))
    assert lines[0].startswith("Would hold, and look again:")
    assert lines[1].startswith("HELD by 2: cooldown (last r-1")
    at = next(n for n, line in enumerate(lines) if line.startswith("Guards"))
    assert lines[at].startswith("Guards ⏸ cooldown last r-1 0s ago, succeeded")
    assert lines[at + 1].startswith("→ over at")
    assert lines[at + 2 : at + 4] == ["⏸ rate_limit target 1/1 in 1h", "→ next token at 11:00 UTC"]
    assert lines[at + 4].startswith("passed: pause, ")
    head = lines.index("LIMIT NOW SHIPPED OPERATOR PLAYBOOK CEILING")
    assert lines[head + 1 :] == [
        "mode auto observe - auto ≤ auto (env)",
        "cooldown.success 15m 15m - - ≥ 2m",  # nobody has set it, but its guard objects
        "cooldown.failure 1h 1h - - ≥ 2m",
        "rate_limit.target 1 2 - 3 ≤ 1 (env)",
        "rate_limit.playbook 5 5 - - ≤ 20",
        "rate_limit.namespace 10 10 - - ≤ 30",
        "rate_limit.cluster 20 20 - - ≤ 60",
        "max_attempts 2 1 2 (policy) - ≤ 3",
        "12 limits are as shipped; --all shows them.",
    ]


async def test_all_of_it():
    made = world()
    lines = printed(await explained(made, namespace="dev-a", severity="critical"), everything=True)
    assert lines[0].startswith("Would act:")
    assert "plan_age 1m 1m - - ≤ 10m" in lines
    assert "cooldown.success 30m 15m 30m (sev) - ≥ 2m" in lines
    assert any(line.startswith("✓ cooldown") for line in lines)
    assert not any("--all" in line for line in lines)


async def test_it_fits_a_terminal():
    made = world()
    out = io.StringIO()
    print_explanation(Console(file=out, width=80), await explained(made, namespace="dev-a"), everything=True)
    assert max(len(line.rstrip()) for line in out.getvalue().splitlines()) <= 80
    assert "circuit_breaker.failures  3" in out.getvalue()
