"""Tests of what is shipped around the package: image, chart, example configuration, docs."""

from __future__ import annotations

import os

import pytest

from tests.support.controlplane import NoControlPlane, command
from tests.support.fixtures_controlplane import NO_CONTROL_PLANE, REQUIRE_VARIABLE


@pytest.fixture(scope="session")
def helm_built() -> None:
    """The helm binary is there. Without Go the test is skipped, as those that need the control plane are."""
    try:
        command("helm")
    except NoControlPlane as exc:
        if os.environ.get(REQUIRE_VARIABLE) == "1":
            pytest.fail(f"{NO_CONTROL_PLANE}: {exc} ({REQUIRE_VARIABLE}=1)", pytrace=False)
        pytest.skip(f"{NO_CONTROL_PLANE}: {exc}")
