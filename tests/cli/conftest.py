"""A real service on a loopback port, and commands run against it as a person would."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from remediator.cli.main import app
from tests.http.harness import FakeClock, World

Run = Callable[..., Awaitable[Result]]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Server and command share this process here; the server's log would end up in what the command prints."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own environment."""
    for name in ("SERVER", "TOKEN", "TOKEN_FILE", "CONFIG"):
        monkeypatch.delenv(f"REMEDIATOR_{name}", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def world() -> World:
    """At the present time: what is printed counts the minutes."""
    return World(clock=FakeClock(datetime.now(UTC)))


@pytest.fixture
async def run(world: World) -> AsyncIterator[Run]:
    """`await run("remediations", "list", role="viewer")` against a running `world`."""
    async with world.serving() as client:

        async def run_it(*args: str, role: str = "admin", typed: str | None = None, **env: Any) -> Result:
            given = {"REMEDIATOR_SERVER": f"http://127.0.0.1:{client.port}", "REMEDIATOR_TOKEN": f"token-of-{role}"}
            return await asyncio.to_thread(CliRunner().invoke, app, list(args), input=typed, env={**given, **env})

        yield run_it
