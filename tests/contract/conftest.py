"""Every test of this folder that asks for `bench` runs on the simulated cluster and on the real control plane."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.backends import Backend, Bench, Real, Simulated


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.controlplane)])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    backend: Backend
    if request.param == "real":
        plane, namespace = request.getfixturevalue("control_plane"), request.getfixturevalue("namespace")
        backend = await Real.connect(plane, namespace)
    else:
        backend = Simulated()
    yield Bench(backend)
    await backend.close()
