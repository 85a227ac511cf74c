"""What the tests of collectors share."""

from __future__ import annotations

import json
from typing import Any

from remediator.playbooks.model import Collect
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.evidence import Evidence, collect_all

SECRET = "hunter2-" + "s3cret"
"""Stands in every place from which no value may come out."""


async def collect(context: CheckContext, kind: str, /, **args: Any) -> Evidence:
    (found,) = await collect_all([Collect(kind=kind, args=args)], context)
    json.dumps(found.data)  # it is stored as JSON
    assert SECRET not in f"{found.text} {json.dumps(found.data)} {found.summary} {found.title} {found.error}"
    return found


def container(name: str = "app", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "shop/api:1", **more}
