"""Whole runs against both forges: what the core plans is what a forge takes."""

from __future__ import annotations

from remediator.adapters.callers.forge import ForgeCaller
from remediator.remediation.state import State
from tests.gitops.made import PROD, application
from tests.remediation.through_git import MANIFEST, git_playbook
from tests.support.forges.server import ForgeServer
from tests.support.world import World, deployment

PATH = f"{PROD}/deployment.yaml"


def world_at(server: ForgeServer, caller: ForgeCaller, way: str) -> World:
    server.repo.push("main", {PATH: MANIFEST.format(replicas=3, image="shop/api:1")})
    world = World(git_playbook(way), callers={"forge": caller})
    api = deployment()
    api["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"}
    source = {"repoURL": "https://git.example.com/acme/deploy.git", "path": PROD, "targetRevision": "HEAD"}
    world.cluster.apply(application(source=source), api, manager="argocd-controller")
    world.settle()
    world.cluster.advance(60)
    return world


async def test_a_proposal_is_opened_merged_and_seen(server: ForgeServer, caller: ForgeCaller) -> None:
    world = world_at(server, caller, "pr")
    await world.alert()
    await world.run_for(10)
    r = await world.newest()
    assert (r.state, r.waiting_for) == (State.WAITING, "gate"), r.reason
    (pull,) = server.repo.pulls
    server.repo.merge(1)
    assert "replicas: 5" in server.repo.text("main", PATH)
    r = await world.run_until("succeeded", "escalated")
    assert r.state is State.SUCCEEDED, r.reason
    assert world.writes() == []
    assert pull.state == "merged"


async def test_a_held_change_is_proposed_once(server: ForgeServer, caller: ForgeCaller) -> None:
    world = world_at(server, caller, "hold_and_pr")
    await world.alert()
    r = await world.run_until("succeeded", "escalated", "denied")
    assert r.state is State.SUCCEEDED, r.reason
    assert [verb for verb, _ in world.writes()] == ["patch", "patch"]
    assert [pull.state for pull in server.repo.pulls] == ["open"]
