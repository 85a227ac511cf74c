"""`remediator demo`: the first thing that anybody runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remediator.demo.stage import configuration


def test_its_configuration_loads(tmp_path: Path) -> None:
    assert configuration(tmp_path, "token", "api").routes.pagerduty.default_service == "shop"


@pytest.mark.slow
def test_every_incident_ends_as_told() -> None:
    command = [sys.executable, "-m", "remediator", "demo", "--once"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "demo: 3 incidents, 3 as expected" in done.stdout
