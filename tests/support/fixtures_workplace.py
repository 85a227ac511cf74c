"""Fixtures for tests of people and the real process on the real control plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.scenes import Grounds
from tests.support.workplace import Scene, Workplace, approve_playbook

MakeScene = Callable[..., Scene]
SCENES = 24
"""As many as the tests of one module need at most."""


@pytest.fixture(scope="module")
def workplace() -> Iterator[Workplace]:
    with Workplace() as place:
        yield place


@pytest.fixture(scope="module")
def grounds(control_plane: ControlPlane) -> Iterator[Grounds]:
    grounds = Grounds(control_plane, SCENES)
    yield grounds
    grounds.close()


@pytest.fixture
def make_scene(
    workplace: Workplace, grounds: Grounds, control_plane: ControlPlane, tmp_path: Path
) -> Iterator[MakeScene]:
    """`make_scene(playbook=None)`: a Deployment, and a service about to be started. Nothing may be violated by then."""
    made: list[Scene] = []

    def make(playbook: dict[str, Any] | None = None) -> Scene:
        place = tmp_path / f"scene-{len(made)}"
        made.append(Scene(workplace, control_plane, place, grounds.take(), playbook or approve_playbook()))
        return made[-1]

    yield make
    for scene in made:
        scene.stop()
    workplace.mend()
    assert workplace.violations == []
