"""The people of a schedule: they click, pause, and work on objects by hand."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from remediator.actions.render import marker_of
from remediator.adapters.simulated import StatusError
from remediator.adapters.simulated.clock import START
from remediator.guardrails.pause import PAUSE_ANNOTATION
from remediator.guardrails.protect import PROTECT_ANNOTATION
from remediator.guardrails.scopes import episode_scope
from remediator.objects import ObjectRef
from remediator.ports import MARKER
from remediator.remediation.events import Approved, Rejected, Snoozed
from remediator.remediation.state import Remediation, State
from tests.sim import surroundings
from tests.sim.forge import APP
from tests.sim.playbooks import NAMESPACE

if TYPE_CHECKING:
    from tests.sim.scenario import Edit, Pause
    from tests.sim.world import World


def ref(name: str) -> ObjectRef:
    return ObjectRef("Deployment", NAMESPACE, name)


class People:
    """`editing`: somebody's change is under way, it is not one of ours."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked: set[tuple[str, int]] = set()
        self.editing = False

    def see(self, r: Remediation) -> None:
        """What was committed; whoever is asked something will answer, perhaps."""
        if r.state is State.AWAITING_APPROVAL or r.waiting_for == "ask":
            turn = (r.id, r.step * 100 + len(r.consents))
            if turn not in self._asked:
                self._asked.add(turn)
                self._world.happens(self._answer(r))

    async def _answer(self, r: Remediation) -> None:
        """A person clicks some time later, perhaps twice, perhaps on an old message, perhaps too late."""
        world = self._world
        takes = world.rng.choice((0.5, 0.5, 3.0, 3.0, 20.0, 20.0, 100.0, 175.0, 181.0, 200.0))
        await asyncio.sleep(takes if world.scenario.answers_after is None else world.scenario.answers_after)
        who = world.rng.choice(("ann", "bob", "cyd", "dan"))
        event: Any = Approved(who=who, digest=r.digest)
        if world.rng.random() > world.scenario.people:
            until = START + timedelta(seconds=world.loop.now + world.rng.choice((20.0, 120.0)))
            event = world.rng.choice(
                (None, Rejected(who=who), Snoozed(who=who, until=until), Approved(who=who, digest="0" * 64))
            )
        for _ in range(world.rng.choice((1, 1, 2)) if event is not None else 0):
            await self._click(r.id, event)

    async def _click(self, remediation_id: str, event: Any) -> None:
        world = self._world
        for _ in range(5):
            process = world.somebody()
            if process is not None:
                world.say(f"person: {type(event).__name__} {remediation_id} at {process.name}")
                if await world.ask(process, process.core.runner.apply_from_person(remediation_id, event)):
                    return
            await asyncio.sleep(3.0)

    async def pause(self, pause: Pause) -> None:
        world = self._world
        await world.moment(pause.at, pause.after)
        opened = world.store.rows("select id from episodes where closed_at is null order by opened_at desc limit 1")
        text = {
            "everything": "everything",
            "episode": episode_scope(opened[0][0] if opened else "e-none"),
            "playbook": f"playbook:{world.rng.choice(world.scenario.playbooks)}",
            "target": f"target:c1/{ref(world.rng.choice(list(world.scenario.deployments))).key}",
            "namespace": f"namespace:c1/{NAMESPACE}",
        }[pause.scope]
        while not world.calm:
            process = world.somebody()
            if process is not None and await world.ask(
                process, process.journal.pause(text, "ann", "hands off", None, process.clock.now())
            ):
                break
            await asyncio.sleep(1.0)
        await asyncio.sleep(pause.lasts)
        while rows := world.store.rows("select id from pauses where scope = ? and ended_at is null", text):
            for (row,) in rows:
                process = world.somebody()
                if process is not None:
                    await world.ask(process, process.journal.resume(f"p-{row}", "ann", process.clock.now()))
            await asyncio.sleep(1.0)

    def edit(self, edit: Edit) -> None:
        """Somebody works on the object by hand."""
        self._world.say(f"person: {edit.what} {edit.deployment}")
        self.editing = True
        try:
            self._edit(edit.what, edit.deployment)
        except StatusError as exc:
            self._world.say(f"person: {exc}")
        finally:
            self.editing = False

    def _edit(self, what: str, name: str) -> None:
        world, rng, cluster, target = self._world, self._world.rng, self._world.cluster, ref(name)
        now = cluster.peek(target)
        assert now is not None
        if what in surroundings.EDITS:
            world.surroundings.edit(what, name)
            return
        match what:
            case "scale":
                cluster.edit(target, {"spec": {"replicas": rng.choice((2, 4, 7))}})
            case "sync on":
                cluster.edit(APP, {"spec": {"syncPolicy": {"automated": {"prune": True}}}})
            case "annotate":
                cluster.edit(target, {"metadata": {"annotations": {"note": str(world.loop.now)}}})
            case "image":
                container = {"name": "app", "image": f"shop/api:{rng.randint(2, 9)}"}
                cluster.edit(target, {"spec": {"template": {"spec": {"containers": [container]}}}})
            case "old-marker":
                old = [m for m in world.checks.landings.markers.get(name, []) if m != marker_of(now)]
                patch: dict[str, Any] = {"metadata": {"annotations": {MARKER: rng.choice(old) if old else None}}}
                if rng.random() < 0.7:  # as `kubectl rollout undo` does
                    patch["spec"] = {"template": {"metadata": {"annotations": {"undone": str(world.loop.now)}}}}
                cluster.edit(target, patch)
            case "foreign-marker":
                cluster.edit(target, {"metadata": {"annotations": {MARKER: "r-of-another-store/0.0"}}})
            case "lift-budget":
                cluster.edit(ObjectRef("PodDisruptionBudget", NAMESPACE, name), {"spec": {"minAvailable": 1}})
            case "delete-pod":
                if pods := cluster.all("Pod", NAMESPACE):
                    cluster.delete(ObjectRef("Pod", NAMESPACE, rng.choice(pods)["metadata"]["name"]))
            case "pause":
                cluster.edit(target, {"metadata": {"annotations": {PAUSE_ANNOTATION: "mine"}}})
                world.at(30.0, lambda: self.unpause(name))
            case "protect":
                cluster.edit(target, {"metadata": {"annotations": {PROTECT_ANNOTATION: "true"}}})
                world.at(30.0, lambda: self.unpause(name))
            case _:
                conditions = [{"type": "Noise", "status": str(world.loop.now)}]
                cluster.set_status(target, conditions=conditions)

    def unpause(self, name: str) -> None:
        """And whatever else of a person's would stand in the way for ever."""
        now = self._world.cluster.peek(ref(name))
        if now is None:
            return
        notes: dict[str, None] = {PAUSE_ANNOTATION: None}
        if self._world.scenario.deployments[name] != "protected":
            notes[PROTECT_ANNOTATION] = None
        if marker_of(now).startswith("r-of-another-store"):
            notes[MARKER] = None
        self.editing = True
        try:
            self._world.cluster.edit(ref(name), {"metadata": {"annotations": notes}})
        finally:
            self.editing = False
