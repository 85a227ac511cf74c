"""The forge of a schedule, and the Application that takes its manifests from there: people merge, or do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.objects import ObjectRef
from tests.sim.callees import Callee

APP = ObjectRef("Application.argoproj.io", "argocd", "shop")
AUTOMATED = ("spec", "syncPolicy", "automated")
URL, FOLDER = "https://git.example/acme/deploy.git", "apps/shop"
MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: 3
"""


def application() -> dict[str, Any]:
    """It heals by itself, though nobody acts it here: what it would take back is left to the schedules' people."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": APP.name, "namespace": APP.namespace},
        "spec": {
            "source": {"repoURL": URL, "path": FOLDER, "targetRevision": "main"},
            "syncPolicy": {"automated": {"selfHeal": True}},
        },
    }


class Forge(Callee):
    """Takes a key once, as a branch can be made once. `merges_after`: seconds, by which people merge; None = never."""

    merges_after: float | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__("forge", *args, **options)
        self._state: dict[str, str] = {}

    async def ask(self, place: str, request: Mapping[str, Any]) -> Any:
        await self._look()
        if request["about"] == "pull_request":
            return {"state": self._state.get(request["branch"], "none"), "number": 1, "url": "", "merged_at": ""}
        texts = {f"{FOLDER}/deployment.yaml": MANIFEST}
        return {"repository": "deploy", "branch": "main", "head": "a" * 40, "path": FOLDER, "files": texts}

    def _carry_out(self, place: str, request: Mapping[str, Any], key: str) -> None:
        if key in self._done:
            return
        super()._carry_out(place, request, key)
        branch = str(request["branch"])
        if request["do"] == "close":
            self._state[branch] = "closed"
            return
        self._state[branch] = "open"
        if self.merges_after is not None:
            self._at(self.merges_after, lambda: self._merge(branch))

    def _merge(self, branch: str) -> None:
        if self._state[branch] == "open":
            self._state[branch] = "merged"
