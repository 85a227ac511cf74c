"""Playbooks of two teams, in a folder and in ConfigMaps of a real API server, read with exactly the chart's right."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.app import App
from remediator.config import Config
from remediator.connecting import connect
from remediator.errors import InvalidConfig
from tests.support.chart import CHART
from tests.support.controlplane import ControlPlane, manifests, wait_until
from tests.support.world import restart_playbook

ACCOUNT = "reader"


def playbook(name: str, **changes: Any) -> str:
    return yaml.safe_dump({**restart_playbook(), "mode": "approve", "name": name, **changes})


def config_map(name: str, team: str, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"playbooks": team}},
        "data": {f"{key}.yaml": text for key, text in data.items()},
    }


@pytest.fixture
def reader(control_plane: ControlPlane, namespace: str) -> Path:
    """The kubeconfig of somebody with the chart's right to list playbooks in this namespace, and none besides."""
    client = control_plane.client
    rules = yaml.safe_load((CHART / "files" / "playbook-rules.yaml").read_text())
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": ACCOUNT}}
    client.create({**kind, "rules": rules}, namespace)
    binding = manifests.role_binding(ACCOUNT, role=ACCOUNT, service_account=ACCOUNT, namespace=namespace)
    client.create(binding, namespace)
    token = control_plane.token_for(namespace, ACCOUNT)
    me = client.with_token(token)
    wait_until(lambda: listed(me, namespace), what="the right to list")
    return control_plane.kubeconfig_for(token, f"{namespace}-{ACCOUNT}")


def listed(client: Any, namespace: str) -> bool:
    try:
        client.list("configmaps", namespace)
    except Exception:  # not yet
        return False
    return True


def config(tmp_path: Path, kubeconfig: Path, namespace: str, **shop: Any) -> Config:
    (tmp_path / "pay").mkdir(exist_ok=True)
    return Config.model_validate(
        {
            "listen": {"host": "127.0.0.1", "port": 0},
            "sources": [{"name": "am", "auth": "none"}],
            "store": {"path": tmp_path / "journal.db"},
            "clusters": [{"name": "default", "kubeconfig": kubeconfig}],
            "observer": False,
            "policy": {"mode_ceiling": "auto"},
            "projects": [
                {
                    "name": "shop",
                    "playbooks": {"config_maps": [{"namespaces": [namespace], "labels": "playbooks=shop"}]},
                    "clusters": ["default"],
                    "namespaces": ["shop"],
                    **shop,
                },
                {
                    "name": "pay",
                    "playbooks": {"folders": [str(tmp_path / "pay")]},
                    "clusters": ["default"],
                    "namespaces": ["pay"],
                },
            ],
        }
    )


def shown(app: App) -> list[tuple[str, str, str]]:
    return sorted((one["project"], one["name"], one["source"]) for one in app.playbooks.views())


async def test_playbooks_from_a_folder_and_from_configmaps(
    control_plane: ControlPlane, namespace: str, reader: Path, tmp_path: Path
) -> None:
    """A reload sees what changed; without the right to list, what was there stays and the reload says why."""
    client = control_plane.client
    client.create(config_map("team", "shop", one=playbook("one"), wild=playbook("wild", mode="auto")), namespace)
    client.create(config_map("other", "pay", two=playbook("two")), namespace)
    made = config(tmp_path, reader, namespace)
    (tmp_path / "pay" / "three.yaml").write_text(playbook("three"))
    mine = ("shop", "one", f"configmap {namespace}/team:one.yaml")
    theirs = ("pay", "three", str(tmp_path / "pay" / "three.yaml"))
    async with AsyncExitStack() as stack:
        app = App(made, await connect(made, stack))
        await stack.enter_async_context(app.started(loops=False))
        assert shown(app) == [theirs, mine]
        assert app.playbooks.last is not None
        (error,) = app.playbooks.last.errors
        assert str(error).startswith(f"configmap {namespace}/team:wild.yaml: mode: auto is above")
        client.apply(config_map("team", "shop", one=playbook("one"), four=playbook("four")), namespace)
        await app.playbooks.scan()
        assert shown(app) == [theirs, ("shop", "four", f"configmap {namespace}/team:four.yaml"), mine]
        client.delete("rolebindings.rbac.authorization.k8s.io", ACCOUNT, namespace)
        wait_until(lambda: not listed(client.with_token(_token(reader)), namespace), what="the right to be gone")
        result = await app.playbooks.scan()
        assert [name for _, name, _ in shown(app)] == ["three", "four", "one"]
        assert "cannot be listed: " in str(result.errors[0])
        assert "forbidden" in str(result.errors[0])


def _token(kubeconfig: Path) -> str:
    return str(yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"])


async def test_an_action_that_nobody_has_stops_the_start(tmp_path: Path, reader: Path, namespace: str) -> None:
    made = config(tmp_path, reader, namespace, actions=["rolback"])
    async with AsyncExitStack() as stack:
        app = App(made, await connect(made, stack))
        with pytest.raises(InvalidConfig, match=r"projects\[shop\]\.actions: there is no rolback"):
            await stack.enter_async_context(app.started(loops=False))
