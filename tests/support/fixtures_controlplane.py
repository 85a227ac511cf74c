"""Fixtures for tests against the real control plane. Loaded by tests/conftest.py through `pytest_plugins`.

A test that asks for `control_plane` or `namespace` is marked `controlplane` by itself.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Generator, Iterator

import pytest

from tests.support.controlplane import ControlPlane, NoControlPlane

REQUIRE_VARIABLE = "REQUIRE_CONTROL_PLANE"
NO_CONTROL_PLANE = "no control plane"


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "control_plane" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.controlplane)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report our skips from one place, so that the summary folds them into one line instead of one per test."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and NO_CONTROL_PLANE in report.longrepr[2]:
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The one control plane of the test run. Skips without Go; `REQUIRE_CONTROL_PLANE=1` turns that into a failure."""
    plane = ControlPlane(tmp_path_factory.mktemp("controlplane"))
    try:
        plane.start()
    except NoControlPlane as exc:
        reason = f"{NO_CONTROL_PLANE}: {exc}"
        if os.environ.get(REQUIRE_VARIABLE) == "1":
            pytest.fail(f"{reason} ({REQUIRE_VARIABLE}=1)", pytrace=False)
        pytest.skip(reason)
    try:
        yield plane
    finally:
        plane.stop()


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace for one test, named after it; deleted afterwards without waiting."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    name = f"{words[:40].rstrip('-')}-{secrets.token_hex(3)}"
    control_plane.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    control_plane.client.delete("namespaces", name)
