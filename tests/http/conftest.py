"""Fixtures of the HTTP tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.http.harness import Client, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    """The HTTP side of `world`, on a free loopback port."""
    async with world.serving() as client:
        yield client
