"""Each test of this folder runs against both forges."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.adapters.callers.forge import ForgeCaller
from remediator.outside_forges import Forge
from tests.support.forges.github import FakeGitHub
from tests.support.forges.gitlab import FakeGitLab
from tests.support.forges.server import ForgeServer


@pytest.fixture(params=[FakeGitHub, FakeGitLab], ids=["github", "gitlab"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[ForgeServer]:
    async with request.param() as fake:
        yield fake
        assert fake.violations == []


@pytest.fixture
async def caller(server: ForgeServer) -> AsyncIterator[ForgeCaller]:
    made = ForgeCaller((Forge.model_validate(server.place()),))
    yield made
    await made.close()
