"""The operators' kinds, once for the whole run."""

from __future__ import annotations

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.crds import NoCrds, Served, install, without


@pytest.fixture(scope="session")
def served(control_plane: ControlPlane) -> Served:
    """The operators' kinds, on the control plane of this run. Skips without Go."""
    try:
        return install(control_plane)
    except NoCrds as exc:
        without(str(exc))
