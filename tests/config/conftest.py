"""Programs that judge the shipped configuration. Without Go their tests are skipped, like the control plane's."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.controlplane import NoControlPlane, command
from tests.support.fixtures_controlplane import NO_CONTROL_PLANE, REQUIRE_VARIABLE


@pytest.fixture(scope="session")
def program() -> Callable[[str], list[str]]:
    """The argv that starts a program by its name."""

    def built(name: str) -> list[str]:
        try:
            return command(name)
        except NoControlPlane as exc:
            if os.environ.get(REQUIRE_VARIABLE) == "1":
                pytest.fail(f"{NO_CONTROL_PLANE}: {exc} ({REQUIRE_VARIABLE}=1)", pytrace=False)
            pytest.skip(f"{NO_CONTROL_PLANE}: {exc}")

    return built
