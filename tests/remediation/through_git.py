"""A cluster whose fields Git owns: a GitOps controller that takes drift back, and a forge with one repository."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from remediator.adapters.simulated import SimulatedCaller, SimulatedCluster
from remediator.objects import ObjectRef, dig
from tests.gitops.made import PROD, URL, application
from tests.support.world import World, deployment, restart_playbook

APP = ObjectRef("Application.argoproj.io", "argocd", "shop")
API = ObjectRef("Deployment", "shop", "api")
MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: {replicas}
  template:
    spec:
      containers:
        - name: app
          image: {image}
"""
PATH = f"{PROD}/deployment.yaml"


class Forge(SimulatedCaller):
    """One repository, `deploy`. A pull request is what was sent; people merge it by `merge`."""

    def __init__(self, replicas: int = 3, image: str = "shop/api:1") -> None:
        super().__init__(tells=True, answer=self._answer)
        self.texts = {PATH: MANIFEST.format(replicas=replicas, image=image)}
        self.head = "a" * 40
        self.states: dict[str, str] = {}

    def _answer(self, place: str, request: Mapping[str, Any]) -> Any:
        if request.get("about") == "files":
            assert place == URL
            found = {"repository": "deploy", "branch": "main", "head": self.head, "path": request["path"]}
            return {**found, "files": dict(self.texts)}
        if request.get("about") == "pull_request":
            state = self.states.get(request["branch"], "none")
            if state == "none" and self.proposed and self.proposed[-1]["branch"] == request["branch"]:
                state = "open"
            return {"state": state, "number": 12, "url": "https://git.example/acme/deploy/pulls/12"}
        return {"number": 12, "says": "opened pull request 12"}

    @property
    def proposed(self) -> list[Mapping[str, Any]]:
        return [request for _, request, _ in self.done if request["do"] == "propose"]

    def merge(self) -> None:
        self.states[self.proposed[-1]["branch"]] = "merged"
        self.texts |= {path: file["text"] for path, file in self.proposed[-1]["files"].items()}

    def close_it(self) -> None:
        self.states[self.proposed[-1]["branch"]] = "closed"


class Argo:
    """Argo CD looks whenever time passes: where it syncs by itself, it writes what Git says."""

    def __init__(self, cluster: SimulatedCluster, forge: Forge) -> None:
        self.cluster, self.forge, self.awake = cluster, forge, True
        self._passes = cluster.advance
        cluster.advance = self._advance  # type: ignore[method-assign]

    @property
    def syncs(self) -> bool:
        return dig(self.cluster.peek(APP), "spec", "syncPolicy", "automated") is not None

    def _advance(self, seconds: float) -> None:
        self._passes(seconds)
        if self.awake and self.syncs:
            self._sync()

    def _says(self, key: str) -> str:
        (line,) = [x for x in self.forge.texts[PATH].splitlines() if x.strip().startswith(f"{key}:")]
        return line.partition(":")[2].strip()

    def _sync(self) -> None:
        api = self.cluster.peek(API)
        assert api is not None
        containers = copy.deepcopy(dig(api, "spec", "template", "spec", "containers"))
        wanted = int(self._says("replicas")), self._says("image")
        if (api["spec"]["replicas"], containers[0]["image"]) == wanted:
            return
        containers[0]["image"] = wanted[1]
        spec = {"replicas": wanted[0], "template": {"spec": {"containers": containers}}}
        self.cluster.edit(API, {"spec": spec}, manager="argocd-controller")


class GitWorld(World):
    """With the two that are played."""

    forge: Forge
    argo: Argo


def git_playbook(way: str, **changes: Any) -> dict[str, Any]:
    up = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}, "via": way}
    return restart_playbook(**{"name": "scale-through-git", "steps": [up], **changes})


def git_world(*playbooks: Mapping[str, Any], forge: Forge | None = None, **options: Any) -> GitWorld:
    """Deployment shop/api with three copies of version 1, as Git says."""
    forge = forge or Forge()
    world = GitWorld(*playbooks, callers={"forge": forge}, **options)
    world.forge = forge
    tracking = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"}
    api = deployment()
    api["metadata"]["annotations"] = tracking
    world.cluster.apply(application(), api, manager="argocd-controller")
    world.settle()
    world.cluster.advance(60)
    world.argo = Argo(world.cluster, forge)
    return world
