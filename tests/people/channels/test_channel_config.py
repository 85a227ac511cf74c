"""`channels:`, `grafana:`, `tracing:` in the configuration: what is wrong is said, and no secret with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.adapters.channels import connect_channels
from remediator.cli.serving import secrets_of
from remediator.config import Config, load_config
from remediator.connecting import connect
from remediator.errors import InvalidConfig
from tests.people.channels.rows import StillClock

SOURCE = {"name": "am", "auth": "none"}
TOKEN = {"value": "token-0123456789"}
JIRA = {"kind": "jira", "url": "https://acme.atlassian.net", "project": "OPS", "token": TOKEN}
SNOW = {"kind": "servicenow", "url": "https://acme.service-now.com", "user": "bot", "token": TOKEN}
HOOK = {"url": "https://hooks.example.com/x", "secret": TOKEN}


def loaded(tmp_path: Path, **more: Any) -> Config:
    path = tmp_path / "remediator.yaml"
    path.write_text(yaml.safe_dump({"sources": [SOURCE], **more}))
    return load_config(path, {})


def channels(tmp_path: Path, **more: Mapping[str, Any]) -> Config:
    return loaded(tmp_path, channels=more)


async def test_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("mailtos://bot:mail-password-1@mail.example.com?to=ops@example.com\n")
    config = loaded(
        tmp_path,
        channels={
            "mail-ops": {"apprise": {"url": str(tmp_path / "mail"), "timeout": "20s"}},
            "cmdb": {"webhook": HOOK},
            "page": {
                "webhook": {"url": HOOK["url"], "headers": {"Authorization": TOKEN}, "template": {"a": "${title}"}}
            },
            "jira": {"ticket": {**JIRA, "user": "bot@example.com", "priorities": {"sev1": "Highest"}}},
            "snow": {"ticket": {**SNOW, "table": "change_request", "priorities": {"critical": 1}}},
            "issues": {"ticket": {"kind": "github", "repo": "acme/ops", "token": TOKEN}},
        },
        grafana={
            "url": "https://grafana.example.com",
            "token": TOKEN,
            "dashboards": [{"uid": "x", "namespace": ["shop"]}],
        },
        tracing={"endpoint": "http://collector:4318/v1/traces"},
        kubernetes_events=False,
    )
    assert {name: channel.carried_by for name, channel in config.channels.items()} == {
        "mail-ops": "apprise",
        "cmdb": "webhook",
        "page": "webhook",
        "jira": "ticket",
        "snow": "ticket",
        "issues": "ticket",
    }
    carriers, closing = connect_channels(config.channels, config.grafana, StillClock())
    assert set(carriers) == {"apprise", "webhook", "ticket", "grafana"}
    assert {"mailtos://bot:mail-password-1@mail.example.com?to=ops@example.com", TOKEN["value"]} <= set(
        secrets_of(config)
    ), "logs are searched for them"
    for close in closing:
        await close()


def test_nothing_is_configured_but_events(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert config.kubernetes_events
    assert connect_channels(config.channels, config.grafana, StillClock()) == ({}, [])


WRONG = [
    pytest.param({"x": {}}, "exactly one of apprise, webhook, ticket", id="nothing"),
    pytest.param({"x": {"webhook": HOOK, "apprise": {"url": TOKEN}}}, "exactly one of", id="two"),
    pytest.param({"X y": {"webhook": HOOK}}, "channels", id="a name"),
    pytest.param({"x": {"webhook": {**HOOK, "url": "http://hooks.example.com"}}}, "insecure: true", id="clear text"),
    pytest.param(
        {"x": {"webhook": {**HOOK, "url": "http://127.0.0.1.evil.example/"}}}, "insecure: true", id="not this machine"
    ),
    pytest.param(
        {"x": {"webhook": {**HOOK, "url": "http://localhost@evil.example/"}}}, "insecure: true", id="a user's name"
    ),
    pytest.param({"x": {"webhook": {**HOOK, "url": "ftp://x"}}}, "url", id="no HTTP"),
    pytest.param({"x": {"webhook": {"url": HOOK["url"]}}}, "give secret", id="not signed"),
    pytest.param({"x": {"ticket": {"kind": "trello"}}}, "kind", id="another system"),
    pytest.param({"x": {"ticket": {**JIRA, "project": 'A" OR "'}}}, "project", id="a project that is a query"),
    pytest.param({"x": {"ticket": {**SNOW, "table": "sys_user"}}}, "table", id="another table"),
    pytest.param({"x": {"ticket": {"kind": "github", "repo": "../x", "token": TOKEN}}}, "repo", id="a path"),
    pytest.param({"x": {"ticket": {**JIRA, "priorities": {"P1": "Highest"}}}}, "priorities", id="no severity"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_mistakes_are_named(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        channels(tmp_path, **wrong)
    assert said in str(caught.value)
    assert TOKEN["value"] not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x", "http://localhost/x", "http://[::1]:1/x", "https://example.com"]
)
def test_this_machine_needs_no_encryption(tmp_path: Path, url: str) -> None:
    channels(tmp_path, x={"webhook": {**HOOK, "url": url}})


async def test_the_service_connects_what_is_configured(tmp_path: Path) -> None:
    """From the file to the adapters, without a request to anybody; all of it is closed again."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )
    config = loaded(
        tmp_path,
        store={"path": str(tmp_path / "remediator.db")},
        clusters=[{"name": "default", "kubeconfig": str(kubeconfig)}],
        channels={"cmdb": {"webhook": HOOK}, "jira": {"ticket": JIRA}, "mail": {"apprise": {"url": TOKEN}}},
        grafana={"url": "https://grafana.example.com", "token": TOKEN},
        change_gate=SNOW,
        tracing={"endpoint": "http://127.0.0.1:9/v1/traces"},
    )
    async with AsyncExitStack() as stack:
        outside = await connect(config, stack)
        assert {"apprise", "webhook", "ticket", "grafana"} <= set(outside.carriers)
        assert outside.changes is not None
        assert outside.tracing is not None


def test_a_secret_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    config = channels(tmp_path, x={"webhook": {**HOOK, "secret": str(tmp_path / "no-such-file")}})
    with pytest.raises(InvalidConfig, match="no-such-file cannot be read"):
        connect_channels(config.channels, None, StillClock())


def test_a_certificate_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    config = channels(tmp_path, x={"webhook": {**HOOK, "ca": str(tmp_path / "no-such-ca")}})
    with pytest.raises(InvalidConfig, match=r"no-such-ca cannot be read"):
        connect_channels(config.channels, None, StillClock())
