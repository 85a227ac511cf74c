"""The Helm chart as a test sees it: rendered by the real helm, as plain objects."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.controlplane import Object, command

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "remediator"
KUBERNETES = "1.36"
SMALLEST: Mapping[str, Any] = {"webhook": {"existingSecret": "remediator-webhook"}}
"""The least that can be installed."""


class RenderError(Exception):
    """What helm says when it refuses to render."""


def helm(*arguments: str, values: Mapping[str, Any] | None = None) -> str:
    """The output of one helm command. Raises: RenderError; NoControlPlane or BuildFailed without helm."""
    given = ["--values", "-"] if values is not None else []
    done = subprocess.run(
        [*command("helm"), *arguments, *given],
        input=json.dumps(values) if values is not None else None,  # JSON is YAML
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise RenderError(done.stderr + done.stdout)
    return done.stdout


def render(
    values: Mapping[str, Any] = SMALLEST, *, release: str = "remediator", namespace: str = "remediator"
) -> list[Object]:
    """Every object of the chart. Raises: as `helm`."""
    arguments = ("template", release, str(CHART), "--namespace", namespace, "--kube-version", KUBERNETES)
    found = yaml.safe_load_all(helm(*arguments, values=values))
    return [obj for obj in found if obj]


def one(objects: list[Object], kind: str) -> Object:
    """The only object of a kind."""
    (found,) = (obj for obj in objects if obj["kind"] == kind)
    return found
