"""A drain in a playbook of several steps, on the simulated cluster."""

from __future__ import annotations

from typing import Any

from remediator.objects import ObjectRef
from remediator.remediation.aim import Start
from remediator.remediation.risk import risk_of
from remediator.remediation.starting import Wish
from tests.support.world import World

NODE = ObjectRef("Node", "", "worker-9")


def maintenance(*steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "remediator.dev/v1",
        "name": "maintain",
        "manual": True,
        "target": "from_alert",
        "mode": "auto",
        "steps": list(steps),
        "verify": {
            "settle": "1s",
            "interval": "1s",
            "successes": 1,
            "checks": [{"condition": {"is": "!has(target.object.spec.unschedulable)"}}],
        },
        "undo": {"after": "never"},
    }


async def test_an_empty_node_is_drained_at_once_and_the_steps_after_it_go_on() -> None:
    steps: list[dict[str, Any]] = [{"action": "cordon"}, {"action": "drain", "with": {"cordon": False}}]
    world = World(maintenance(*steps, {"action": "uncordon", "with": {"await_cordon": True}}))
    world.cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE.name}})
    world.cluster.set_status(NODE, conditions=[{"type": "Ready", "status": "True"}])
    await world.core.starter.by_person(Wish(playbook="maintain", who="ann", start=Start(target=NODE)))
    done = await world.run_until("succeeded", "escalated", "held")
    assert done.state.value == "succeeded", done.reason
    assert [effect.step for effect in done.done] == [0, 2]


async def test_a_step_without_anything_to_do_is_no_loss_and_no_secret() -> None:
    """People who agree to it are told neither that it cannot be undone nor that it is planned later."""
    content = maintenance({"action": "drain"}, {"action": "uncordon", "with": {"force_owner": "any"}})
    world = World({**content, "mode": "approve", "undo": {"after": "failed"}})
    world.cluster.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE.name}, "spec": {"unschedulable": True}}
    )
    world.cluster.set_status(NODE, conditions=[{"type": "Ready", "status": "True"}])
    await world.core.starter.by_person(Wish(playbook="maintain", who="ann", start=Start(target=NODE)))
    proposed = await world.run_until("awaiting_approval", "denied", "held")
    assert proposed.plan is not None, proposed.reason
    assert proposed.plan.steps[0].summary == "drain: no pod to evict"
    assert "drain" not in proposed.plan.undo_text
    risk = risk_of(proposed.plan)
    assert risk is not None
    assert risk.unplanned == 0
