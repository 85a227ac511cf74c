"""Two teams on one installation: what one of them writes, or sends, does nothing to the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.guardrails.verdict import Answer
from remediator.http.alert_json import alerts_in
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.projects import Project, in_project
from remediator.preview import Preview
from remediator.remediation.draft import Decision
from remediator.remediation.state import Remediation, State
from tests.support.world import World, deployment, load, restart_playbook


def project(name: str, **changes: Any) -> Project:
    return Project.model_validate(
        {
            "name": name,
            "playbooks": {"folders": [f"/{name}"]},
            "clusters": ["c1"],
            "namespaces": [name],
            "mode": "auto",
            **changes,
        }
    )


def world(*projects: Project, **playbooks: dict[str, Any]) -> World:
    """Deployments shop/api and pay/api, rolled out. Each playbook's project is the first part of its name."""
    clock = VirtualClock()
    made = World(clock=clock, cluster=SimulatedCluster("c1", clock), projects=projects)
    by_name = {p.name: p for p in projects}
    made.catalog = Catalog(
        in_project(load({**restart_playbook(), **content, "name": name.replace("_", "-")}), by_name[name.split("_")[0]])
        for name, content in playbooks.items()
    )
    for namespace in ("shop", "pay"):
        made.cluster.apply(deployment(namespace=namespace))
        made.settle(namespace=namespace)
    return made


async def alert(made: World, namespace: str = "shop", source: str = "default") -> None:
    await made.deliver(replace(made.make_alert(namespace=namespace, deployment="api"), source=source))


async def test_a_playbook_works_in_its_project():
    made = world(project("shop"), shop_restart={})
    await alert(made)
    done = await made.run_until("succeeded")
    assert done.project == "shop"
    assert made.restarted_at()
    (verdict,) = (v for v in done.verdicts if v.guardrail == "project")
    assert verdict.reason == "1 object in project shop"


async def test_another_teams_object_denies():
    """Whatever label or template led there."""
    made = world(project("shop"), shop_restart={})
    await alert(made, "pay")
    denied = await made.run_until("denied", "succeeded")
    assert denied.state is State.DENIED
    assert [v.guardrail for v in denied.verdicts] == ["project"]
    assert "project. Namespace pay is none of project shop, which has shop." in denied.reason
    assert made.writes() == []


async def test_another_teams_playbook_does_not_take_an_alert_away():
    """It leads out of its project, so it does not compete, however high its priority."""
    made = world(project("shop"), project("pay"), pay_all={"priority": 1000}, shop_restart={})
    await alert(made)
    done = await made.run_until("succeeded", "denied")
    assert (done.state, done.playbook) == (State.SUCCEEDED, "shop-restart")


async def test_a_later_step_on_another_teams_object_denies():
    """The first target is fine; the guardrail sees all of them."""
    step = {
        "action": "rollout_restart",
        "target": {"kind": "Deployment", "namespace": "${labels.other}", "name": "api"},
    }
    made = world(
        project("shop"), shop_restart={"steps": [{"action": "rollout_restart"}, step], "guardrails": {"max_targets": 2}}
    )
    await made.deliver(made.make_alert(namespace="shop", deployment="api", other="pay"))
    denied = await made.run_until("denied", "succeeded")
    assert denied.state is State.DENIED
    assert [v.guardrail for v in denied.verdicts if v.answer is Answer.DENY] == ["project"]
    assert made.writes() == []


async def test_alerts_of_other_senders_are_on_record_and_do_nothing():
    made = world(project("shop", sources=["prod"]), shop_restart={})
    await alert(made, source="staging")
    await made.run_for(30)
    assert await made.all() == ()
    (record,) = await made.journal.alerts(["a-1"])
    assert (record.alert.source, record.verdict) == (
        "staging",
        "no_playbook: shop-restart: project shop takes alerts only from prod, and this one is from staging",
    )


async def test_a_limit_that_came_while_alerts_were_gathered():
    """After a restart with another configuration the choice is made with what is in force now."""
    made = world(project("shop"), shop_restart={"gather": "30s"})
    await alert(made, source="staging")
    await made.turn()
    limited = project("shop", sources=["prod"])
    later = made.another(projects=(limited,))
    later.catalog = Catalog(in_project(loaded, limited) for loaded in made.catalog)
    ended = await later.run_until("observed", "succeeded")
    assert (ended.state, ended.reason) == (
        State.OBSERVED,
        "no playbook applies: shop-restart: project shop takes alerts only from prod, and this one is from staging",
    )


async def test_explain_asks_as_the_sender_that_is_named():
    """Nobody is nobody's sender; with its name the answer is the one that its alert would get."""
    made = world(project("shop", sources=["prod"]), shop_restart={})
    labels = {"alertname": "Stuck", "namespace": "shop", "deployment": "api"}
    preview = Preview(made.core, lambda: made.catalog)
    (nobody,) = alerts_in({"labels": labels}, made.clock.now())
    (sender,) = alerts_in({"labels": labels, "source": "prod"}, made.clock.now())
    refused = await preview.explain(nobody)
    assert (refused["would"], refused["acts"]) == ("nothing", False)
    assert refused["explanation"] == (
        "shop-restart: project shop takes alerts only from prod, and this one is from explain"
    )
    assert (await preview.explain(sender))["acts"]


async def test_what_was_refused_is_said_where_another_playbook_was_chosen():
    made = world(project("shop", sources=["prod"]), project("pay"), shop_restart={}, pay_restart={})
    await alert(made, "pay", source="staging")
    await made.run_until("succeeded")
    chosen = next(d.remediation.reason for d in made.decisions if _chose(d))
    assert chosen == (
        "chose pay-restart; shop-restart: project shop takes alerts only from prod, and this one is from staging"
    )


def _chose(decision: Decision) -> bool:
    return type(decision.event).__name__ == "Chosen"


async def test_a_ladder_does_not_lead_into_another_project():
    """A person is next, as when the playbook is not loaded."""
    made = world(
        project("shop"), project("pay"), shop_restart={"escalate": [{"playbook": "pay-restart"}]}, pay_restart={}
    )
    parent = Remediation(
        id="r-9",
        episode="e",
        cluster="c1",
        target=None,
        root=None,
        created_at=made.clock.now(),
        state=State.ESCALATED,
        since=made.clock.now(),
        due=None,
        project="shop",
    )
    for name, child in (("shop-restart", True), ("pay-restart", False), ("gone", False)):
        decision = Decision(before=parent, remediation=parent, event=None, child=name)  # type: ignore[arg-type]
        assert (await made.core.chooser.child(decision, made.clock.now()) is not None) is child


async def test_the_projects_channels_hear_of_it():
    made = world(project("shop", channels=["C0SHOP"]), project("pay"), shop_restart={}, pay_restart={})
    await alert(made)
    await made.run_until("succeeded")
    assert await _destinations(made) == {"C0OPS", "C0SHOP"}


async def test_other_projects_channels_do_not() -> None:
    made = world(project("shop", channels=["C0SHOP"]), project("pay"), shop_restart={}, pay_restart={})
    await alert(made, "pay")
    await made.run_until("succeeded")
    assert await _destinations(made) == {"C0OPS"}


async def _destinations(made: World) -> set[str]:
    rows = await made.journal.due("slack", made.clock.now() + timedelta(days=1), 1000)
    return {row.destination for row in rows}


@pytest.mark.parametrize("projects", [(), (project("pay"),)])
async def test_what_was_under_way_when_its_project_went_away_is_held(projects):
    """No project is configured any more: it is as without projects. Others are: nobody knows what it may do."""
    made = world(project("shop"), shop_restart={"mode": "approve"})
    await alert(made)
    await made.run_until("awaiting_approval")
    later = made.another(projects=projects)
    later.catalog = made.catalog
    await later.run_for(60)
    (r,) = await later.all()
    verdict = next(v for v in r.verdicts if v.guardrail == "project")
    assert verdict.cannot_see is bool(projects)
