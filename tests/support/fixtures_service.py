"""Fixtures for tests of the real service process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.controlplane import ControlPlane
from tests.support.service import (
    API_TOKEN,
    CHANNEL,
    PAGER_KEY,
    SLACK_TOKEN,
    WEBHOOK_TOKEN,
    Fake,
    Service,
)

MakeService = Callable[..., Service]


@pytest.fixture(scope="session")
def fake_slack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    fake = Fake("fake_slack", tmp_path_factory.mktemp("slack"), "--token", SLACK_TOKEN, "--channel", CHANNEL)
    yield fake
    fake.stop()


@pytest.fixture(scope="session")
def fake_pagerduty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    fake = Fake("fake_pagerduty", tmp_path_factory.mktemp("pagerduty"))
    yield fake
    fake.stop()


@pytest.fixture
def make_service(
    tmp_path: Path, control_plane: ControlPlane, fake_slack: Fake, fake_pagerduty: Fake
) -> Iterator[MakeService]:
    """`make_service(*playbooks, token=..., **config)` writes a configuration; the test starts the process."""
    made: list[Service] = []

    def make(*playbooks: Mapping[str, Any], token: str = "", name: str = "one", **config: Any) -> Service:
        folder = tmp_path / name / "playbooks"
        folder.mkdir(parents=True, exist_ok=True)
        for playbook in playbooks:
            (folder / f"{playbook['name']}.yaml").write_text(yaml.safe_dump(dict(playbook), sort_keys=False))
        kubeconfig = (
            control_plane.kubeconfig_for(token, f"service-{tmp_path.name}-{name}")
            if token
            else control_plane.kubeconfig
        )
        content: dict[str, Any] = {
            "listen": {"host": "127.0.0.1", "port": 0},
            "sources": [{"name": "prod", "tokens": [{"value": WEBHOOK_TOKEN}]}],
            "api": [{"name": "admin", "role": "admin", "token": {"value": API_TOKEN}}],
            "store": {"path": str(tmp_path / name / "journal.db")},
            "clusters": [{"name": "default", "kubeconfig": str(kubeconfig)}],
            "slack": {"token": {"value": SLACK_TOKEN}, "url": fake_slack.base + "/api/"},
            "pagerduty": {"services": {"shop": {"value": PAGER_KEY}}, "url": fake_pagerduty.base},
            "routes": {"slack": {"default_channel": CHANNEL}, "pagerduty": {"default_service": "shop"}},
            "playbooks": {"folders": [str(folder)], "reload": "1s"},
            "policy": {"mode_ceiling": "auto"},
            **config,
        }
        service = Service(tmp_path / name, content)
        made.append(service)
        return service

    yield make
    for service in made:
        service.stop()
