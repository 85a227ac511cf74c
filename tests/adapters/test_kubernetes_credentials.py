"""Where credentials come from and how they stay fresh."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from remediator.adapters.kubernetes.credentials import TOKEN_AGE_S, InCluster, KubeConfig, TokenFile
from remediator.adapters.kubernetes.transport import library
from remediator.errors import InvalidConfig


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def configuration() -> Any:
    return library.configuration()


async def header_of(config: Any) -> str:
    """What goes out as Authorization."""
    settings = await config.auth_settings()
    value: str = settings["BearerToken"]["value"]
    return value


async def test_a_token_loses_the_newline_of_its_file(tmp_path: Path) -> None:
    """An Authorization header with a newline is a ValueError in aiohttp."""
    (tmp_path / "token").write_text("abc\n")
    config = configuration()
    TokenFile(tmp_path / "token").attach(config)
    assert await header_of(config) == "Bearer abc"


async def test_a_token_is_read_again_once_a_minute(tmp_path: Path) -> None:
    clock, config = Seconds(), configuration()
    file = tmp_path / "token"
    file.write_text("one")
    TokenFile(file, clock=clock).attach(config)
    file.write_text("two")
    clock.now += TOKEN_AGE_S - 1
    assert await header_of(config) == "Bearer one"
    clock.now += 1
    assert await header_of(config) == "Bearer two"


@pytest.mark.parametrize("trouble", ["missing", "empty"])
async def test_a_token_file_in_trouble_leaves_the_last_token(tmp_path: Path, trouble: str) -> None:
    """The kubelet swaps the file; a moment without it must not stop us."""
    clock, config = Seconds(), configuration()
    file = tmp_path / "token"
    file.write_text("one")
    TokenFile(file, clock=clock).attach(config)
    if trouble == "missing":
        file.unlink()
    else:
        file.write_text(" \n")
    clock.now += TOKEN_AGE_S
    assert await header_of(config) == "Bearer one"


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_without_a_token_we_do_not_start(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(InvalidConfig, match="token"):
        TokenFile(tmp_path / "token").attach(configuration())


@pytest.mark.parametrize(
    ("host", "url"), [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")], ids=["v4", "v6"]
)
async def test_in_a_pod_everything_is_given(tmp_path: Path, host: str, url: str) -> None:
    (tmp_path / "token").write_text("abc\n")
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}
    config = configuration()
    await InCluster(tmp_path / "token", tmp_path / "ca.crt", environ).load(config)
    assert config.host == url
    assert config.ssl_ca_cert == str(tmp_path / "ca.crt")
    assert await header_of(config) == "Bearer abc"


@pytest.mark.parametrize("environ", [{}, {"KUBERNETES_SERVICE_HOST": "", "KUBERNETES_SERVICE_PORT": "443"}])
async def test_outside_a_pod_we_ask_for_a_kubeconfig(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidConfig, match="kubeconfig"):
        await InCluster(environ=environ).load(configuration())


def write_kubeconfig(path: Path, user: dict[str, Any]) -> Path:
    config = {
        "current-context": "one",
        "contexts": [{"name": n, "context": {"cluster": n, "user": "u"}} for n in ("one", "two")],
        "clusters": [{"name": n, "cluster": {"server": f"https://{n}.example.com:6443"}} for n in ("one", "two")],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("context", "host"), [(None, "https://one.example.com:6443"), ("two", "https://two.example.com:6443")]
)
async def test_a_context_of_a_kubeconfig(tmp_path: Path, context: str | None, host: str) -> None:
    path = write_kubeconfig(tmp_path / "kubeconfig", {"token": "abc"})
    config = configuration()
    await KubeConfig(path, context, library.load_kube_config).load(config)
    assert config.host == host
    assert await header_of(config) == "Bearer abc"


async def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "from-plugin"},
    }
    script = tmp_path / "plugin"
    script.write_text(f"#!/bin/sh\necho '{json.dumps(credential)}'\n")
    script.chmod(0o755)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script), "interactiveMode": "Never"}
    path = write_kubeconfig(tmp_path / "kubeconfig", {"exec": plugin})
    config = configuration()
    await KubeConfig(path, None, library.load_kube_config).load(config)
    assert await header_of(config) == "Bearer from-plugin"


async def test_a_token_file_replaces_the_contexts_credentials(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("mine")
    path = write_kubeconfig(tmp_path / "kubeconfig", {"token": "abc"})
    config = configuration()
    await KubeConfig(path, None, library.load_kube_config, tmp_path / "token").load(config)
    assert await header_of(config) == "Bearer mine"


@pytest.mark.parametrize(
    ("content", "context"),
    [
        pytest.param(None, None, id="no file"),
        pytest.param("{", None, id="no YAML"),
        pytest.param("", None, id="empty"),
        pytest.param("[]", None, id="a list"),
        pytest.param("{}", None, id="no contexts"),
        pytest.param("good", "three", id="no such context"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_named(
    tmp_path: Path, content: str | None, context: str | None
) -> None:
    path = tmp_path / "kubeconfig"
    if content == "good":
        write_kubeconfig(path, {"token": "abc"})
    elif content is not None:
        path.write_text(content)
    with pytest.raises(InvalidConfig, match="kubeconfig"):
        await KubeConfig(path, context, library.load_kube_config).load(configuration())


async def test_a_plugin_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediator.adapters.kubernetes.credentials.PLUGIN_TIMEOUT_S", 0.01)

    async def forever(**_: object) -> None:
        import asyncio

        await asyncio.sleep(60)

    path = write_kubeconfig(tmp_path / "kubeconfig", {})
    with pytest.raises(InvalidConfig, match="TimeoutError"):
        await KubeConfig(path, None, forever).load(SimpleNamespace())
