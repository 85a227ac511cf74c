"""From the configuration to the door: what `people`, `approvals` and the schedules say is what the service asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from remediator.adapters.oncall import connect_oncall
from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.adapters.sql.journal import SqlJournal
from remediator.app import App
from remediator.config import load_config
from remediator.connecting import Outside
from remediator.people.approvers import Granted, Refused
from tests.support.accounts import slack, token
from tests.support.fake_oncall import TOKEN, FakePagerDutySchedules, OnDuty
from tests.support.world import restart_playbook

KEY = "0123456789abcdef0123456789abcdef"


def content(folder: Path, url: str, **changes: Any) -> dict[str, Any]:
    return {
        "listen": {"host": "127.0.0.1", "port": 0},
        "sources": [{"name": "prod", "tokens": [{"value": "secret-of-am"}], "cluster": "c1"}],
        "clusters": [{"name": "c1", "in_cluster": True}],
        "api": [{"name": "robot", "role": "admin", "token": {"value": "secret-of-robot"}}],
        "playbooks": {"folders": [str(folder)]},
        "slack": {"token": {"value": "secret-of-slack"}},
        "pagerduty": {
            "services": {"shop": {"value": KEY}},
            "api": {"token": {"value": TOKEN}, "from_email": "remediator@shop.example", "url": url},
        },
        "people": [{"name": "ann", "slack": "U0ANN", "pagerduty": "PANN001"}],
        "approvals": {"break_glass": {"who": ["oncall:pagerduty/PSCHED1"], "leads": ["C0LEADS"]}},
        **changes,
    }


async def test_from_the_configuration_to_the_door(tmp_path: Path) -> None:
    for name, approvers in (("asks-on-call", ["oncall:pagerduty/PSCHED1"]), ("asks-nobody", ["oncall:opsgenie/shop"])):
        playbook = restart_playbook(name=name, mode="approve", approval={"approvers": approvers})
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(playbook))
    async with FakePagerDutySchedules() as schedules:
        schedules.schedules["PSCHED1"] = [OnDuty("PANN001", "ann@shop.example")]
        file = tmp_path / "config" / "remediator.yaml"
        file.parent.mkdir()
        file.write_text(yaml.safe_dump(content(tmp_path, schedules.root)))
        config = load_config(file, {})
        assert config.pagerduty is not None
        oncall, closing = connect_oncall(config.pagerduty.api, config.opsgenie)
        clock = VirtualClock()
        outside = Outside(
            clusters={"c1": SimulatedCluster("c1", clock)}, journal=SqlJournal.in_memory(), clock=clock, oncall=oncall
        )
        app = App(config, outside)
        async with app.started(loops=False):
            assert [view["name"] for view in app.service.playbooks()] == ["asks-on-call"]
            assert app.playbooks.last is not None
            (problem,) = app.playbooks.last.errors
            assert "approval.approvers[0]: oncall:opsgenie/shop cannot be looked up" in str(problem)
            judge = app.service._approvers.judge
            granted = await judge(slack("U0ANN"), ["oncall:pagerduty/PSCHED1"])
            assert isinstance(granted, Granted)
            assert (granted.person.name, granted.by) == ("ann", "on call in PSCHED1 (PagerDuty)")
            assert isinstance(await judge(token("robot", "admin"), ["oncall:pagerduty/PSCHED1"]), Refused)
            assert app.core.glass is not None
            assert app.core.glass.settings.leads == ("C0LEADS",)
        for close in closing:
            await close()
