"""How the CLI finds and addresses the service."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from remediator.config import Listen
from remediator.http.server import Listening
from tests.cli.conftest import Run
from tests.http.harness import World


@pytest.mark.parametrize(
    ("server", "said"),
    [
        pytest.param("http://127.0.0.1:1", "no answer from http://127.0.0.1:1: Connection refused", id="nobody there"),
        pytest.param("unix:/does/not/exist", "no answer from unix:/does/not/exist: No such file", id="no socket"),
        pytest.param("127.0.0.1:8080", "is no address", id="no scheme"),
        pytest.param("ftp://x", "is no address", id="another scheme"),
        pytest.param("http://x:port", "is no address", id="no port"),
    ],
)
async def test_nobody_to_ask_is_2(run: Run, server: str, said: str) -> None:
    result = await run("pause", "--server", server)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


async def test_something_else_answers(world: World, run: Run) -> None:
    async with world.serving() as other:
        result = await run("pause", "--server", f"http://127.0.0.1:{other.port}/some/where")
    assert (result.exit_code, "not like remediator" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("token", "said"),
    [("wrong", "not one of the service's"), ("", "Give a token: --token-file"), ("two\nlines", "no token has")],
)
async def test_a_wrong_token_is_2(run: Run, token: str, said: str) -> None:
    result = await run("pause", REMEDIATOR_TOKEN=token)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


async def test_a_token_from_a_file(run: Run, tmp_path: Path) -> None:
    """The file wins over the variable, the option over both."""
    file = tmp_path / "token"
    file.write_text("token-of-viewer\n")
    env = {"REMEDIATOR_TOKEN": "wrong", "REMEDIATOR_TOKEN_FILE": str(file)}
    assert (await run("pause", **env)).exit_code == 0
    env["REMEDIATOR_TOKEN_FILE"] = "/does/not/exist"
    assert (await run("pause", "--token-file", str(file), **env)).exit_code == 0
    result = await run("pause", **env)
    assert (result.exit_code, "cannot be read" in result.stderr) == (2, True)


async def test_the_store_is_down(world: World, run: Run) -> None:
    world.store.error = "disk full"
    result = await run("pause")
    assert (result.exit_code, result.stderr) == (2, "remediator: disk full\n  Try again in a moment.\n")


async def test_over_a_unix_socket(world: World, run: Run) -> None:
    with tempfile.TemporaryDirectory(prefix="rm-") as folder:
        listen = Listen(host="127.0.0.1", port=0, socket=Path(folder) / "api.sock")
        async with Listening(world.app(listen=listen), listen):
            for server in (f"unix:{listen.socket}", f"unix://{listen.socket}"):
                result = await run("pause", "everything", "--server", server)
                assert (result.exit_code, result.stdout[:7]) == (0, "Paused:")
