"""What stands under most of a storm's targets may go on, after a person agreed: it may be the one cause."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.base import Params
from remediator.actions.change import Change, FieldChange, Patch
from remediator.actions.view import View
from remediator.adapters.simulated import FailRead, Script, SimulatedCluster, VirtualClock
from remediator.errors import CannotSee
from remediator.objects import ObjectRef, dig, uid_of
from remediator.remediation.events import Approved
from remediator.remediation.parent_reading import MOST_MEMBERS, belongs_to, read_parent
from remediator.remediation.state import Remediation, State
from tests.support.fake_slack import shown
from tests.support.world import World, deployment, restart_playbook

NINE = tuple(f"svc-{n}" for n in range(9))
BAD = ObjectRef("Node", "", "bad")
UNSCHEDULABLE = ("spec", "unschedulable")


class Cordon:
    """A test's own action: no shipped one acts on nodes."""

    name = "cordon"
    kinds = ("Node",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = Params

    def resolve(self, params: Params, view: View) -> Params:
        return params

    def plan(self, params: Params, view: View) -> Change:
        before = dig(view.target, *UNSCHEDULABLE)
        change = FieldChange(path=UNSCHEDULABLE, before=before, after=True)
        patch = Patch(ref=view.ref, uid=uid_of(view.target), changes=(change,))
        return Change(effects=(patch,), takes=0, summary="no new pods")


def on(node: str, name: str, **labels: str) -> dict[str, Any]:
    made = deployment(name)
    made["spec"]["template"]["spec"]["nodeName"] = node
    made["metadata"]["labels"] = labels
    return made


def world(on_bad: int = 8) -> World:
    """Nine services, so many of them on the bad node."""
    cordon = restart_playbook(
        name="cordon-node",
        match={"alerts": ['alertname="NodeSick"']},
        steps=[{"action": "cordon"}],
        verify={"settle": "1s", "interval": "5s", "checks": [{"alert_resolved": {}}], "timeout": "1m"},
    )
    w = World(restart_playbook(), cordon, actions={"cordon": Cordon()})
    w.cluster.add_node("bad", zone="zone-x")
    w.cluster.add_node("good", zone="zone-y")
    for index, name in enumerate(NINE):
        w.cluster.apply(on("bad" if index < on_bad else "good", name))
    w.cluster.advance(60)
    return w


async def all_at_once(w: World, then: Script | None = None) -> Remediation:
    """The node's own alert comes with those of the nine services. Returns the node's remediation. `then`: what goes
    wrong once their targets are known."""
    node = w.make_alert("NodeSick", node="bad")
    await w.deliver(*(w.make_alert(deployment=name) for name in NINE), node)
    await w.core.intake.take_all()
    if then is not None:
        w.cluster.faults = then
    await w.run_for(40)
    return next(r for r in await w.all() if r.playbook == "cordon-node")


async def test_the_common_node_may_go_on_but_asks_also_in_auto() -> None:
    w = world()
    r = await all_at_once(w)
    assert (r.mode, r.state) == ("auto", State.AWAITING_APPROVAL), r.reason
    assert r.reason == (
        "NEEDS APPROVAL no new pods of Node bad: storm. 10 targets in 5m (limit 5); Node bad stands under 8 of 9 of "
        "them. Runs once it is approved."
    )
    held = [x for x in await w.all() if x.id != r.id]
    assert {x.state for x in held} == {State.HELD}
    late = w.clock.now().replace(year=2030)
    rows = [row for row in await w.journal.due("slack", late, 100) if "/s-" in row.key]
    assert f"Node bad stands under 8 of 9 of them. cordon-node asks for approval: remediator approve {r.id}" in shown(
        rows[-1].payload["blocks"]
    )
    await w.core.runner.apply_from_person(r.id, Approved(who="ann", digest=r.digest))
    await w.run_for(5)
    assert w.writes() == [("patch", "Node bad")]


async def test_what_stands_under_too_few_is_held_like_the_rest_and_says_so() -> None:
    w = world(on_bad=7)
    r = await all_at_once(w)
    assert r.state is State.HELD
    assert "Node bad stands under 7 of 9 of them, which is less than 80%" in r.reason
    assert w.writes() == []


async def test_what_cannot_be_read_holds() -> None:
    w = world()
    script = Script()
    script.read(FailRead(CannotSee("no answer")), verb="get", kind="Deployment", name="svc-3", times=100_000)
    r = await all_at_once(w, then=script)
    assert r.state is State.HELD
    assert r.reason.startswith("CANNOT SEE: ")
    assert any(v.guardrail == "storm" and v.cannot_see for v in r.verdicts)


# --- who stands on what -----------------------------------------------------------------------------------------------


def view(ref: ObjectRef) -> View:
    return View(target={}, ref=ref, root=ref, read_at=VirtualClock().now())


def cluster() -> SimulatedCluster:
    found = SimulatedCluster("c1", VirtualClock())
    found.add_node("bad", zone="zone-x")
    found.add_node("good", zone="zone-y")
    found.apply(on("bad", "a"), on("bad", "b"), on("good", "c"), deployment("gone"))
    found.advance(60)
    found.delete(ObjectRef("Deployment", "shop", "gone"))
    return found


def ref(name: str, kind: str = "Deployment") -> ObjectRef:
    return ObjectRef(kind, "shop", name)


@pytest.mark.parametrize(
    ("target", "members"),
    [
        (BAD, 2),
        (ObjectRef("Node", "", "good"), 1),
        (ObjectRef("Zone", "", "zone-x"), 2),
        (ObjectRef("Zone", "", "q"), 0),
    ],
)
async def test_members_stand_where_their_pods_run(target: ObjectRef, members: int) -> None:
    everybody = (ref("a"), ref("b"), ref("c"), ref("gone"), ref("0123", "Alert"), target)
    found = await read_parent(cluster(), [view(target)], everybody)
    assert found is not None
    assert (found.members, found.of, found.what) == (members, 5, str(target)), "it does not stand on itself"


async def test_only_one_target_of_such_a_kind_can_be_a_parent() -> None:
    assert await read_parent(cluster(), [view(ref("a"))], (ref("b"),)) is None
    assert await read_parent(cluster(), [view(BAD), view(ObjectRef("Node", "", "good"))], (ref("b"),)) is None


async def test_a_storm_of_very_many_is_not_judged_by_a_part_of_it() -> None:
    with pytest.raises(CannotSee, match=f"at most {MOST_MEMBERS} are looked at"):
        await read_parent(cluster(), [view(BAD)], [ref(f"x{n}") for n in range(MOST_MEMBERS + 1)])


HELM = {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop"}


@pytest.mark.parametrize(
    ("metadata", "belongs"),
    [
        pytest.param({"annotations": HELM}, True, id="Helm's annotations"),
        pytest.param(
            {"annotations": {**HELM, "meta.helm.sh/release-namespace": "x"}}, False, id="of another namespace"
        ),
        pytest.param({"labels": {"app.kubernetes.io/instance": "shop"}}, True, id="the common label"),
        pytest.param(
            {
                "annotations": {**HELM, "meta.helm.sh/release-name": "x"},
                "labels": {"app.kubernetes.io/instance": "shop"},
            },
            False,
            id="Helm knows better",
        ),
        pytest.param({"labels": {"app.kubernetes.io/instance": "shop"}, "namespace": "x"}, False, id="elsewhere"),
        pytest.param({}, False, id="nothing said"),
    ],
)
def test_who_belongs_to_a_release(metadata: dict[str, Any], belongs: bool) -> None:
    found = {"metadata": {"namespace": "shop", **metadata}}
    assert belongs_to(found, ObjectRef("Release", "shop", "shop")) is belongs


async def test_a_release_is_what_its_objects_say() -> None:
    found = cluster()
    found.apply(on("good", "d", **{"app.kubernetes.io/instance": "web"}))
    parent = await read_parent(found, [view(ObjectRef("Release", "shop", "web"))], (ref("a"), ref("d")))
    assert parent is not None
    assert (parent.members, parent.of) == (1, 2)
