"""What the caller says of a release, in few words."""

from __future__ import annotations

from typing import Any

from tests.actions.make import deployment

PART = deployment(annotations={"meta.helm.sh/release-name": "cmp"})
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "uid-ns"}}


def difference(*lines: str, **more: Any) -> dict[str, Any]:
    given = {"lines": list(lines) or ["~ Deployment api: spec.replicas 2 -> 3"], "added": 0, "changed": 1, "removed": 0}
    return {**given, "workloads": ["Deployment/shop/api"], "data": [], **more}


def release(**more: Any) -> dict[str, Any]:
    return {
        "release": "cmp",
        "namespace": "shop",
        "revision": 7,
        "status": "deployed",
        "deployed": "cmp-1.2.0",
        "description": "Upgrade complete",
        "history": [],
        "allowed": True,
        "diff": difference(),
        "hooks": [],
        **more,
    }
