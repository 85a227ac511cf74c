"""Changes of what Git owns, on a cluster whose GitOps controller takes drift back."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.base import Params
from remediator.actions.change import Change, NotPossible
from remediator.actions.view import Get, View, Wanted
from remediator.adapters.simulated import FailRead, LoseReply, LoseRequest, Reject, Script
from remediator.adapters.simulated.behaviour import NEVER_READY
from remediator.errors import CannotSee, Refused
from remediator.objects import dig
from remediator.ports import WriteRequest
from remediator.remediation.events import Approved
from remediator.remediation.state import State, StepOutcome
from tests.invariants.given import At, crash
from tests.remediation.test_triggers import said
from tests.remediation.through_git import API, APP, PATH, GitWorld, git_playbook, git_world

VERIFY = {"settle": "5s", "interval": "5s", "successes": 2, "failures": 2, "timeout": "2m", "checks": [{"rollout": {}}]}


async def test_a_live_change_is_refused_and_both_ways_are_named() -> None:
    world = git_world(git_playbook("live"))
    await world.alert()
    r = await world.run_until("denied")
    assert "Argo CD application argocd/shop owns spec.replicas" in r.reason
    assert "via: pr" in r.reason
    assert world.writes() == []


async def test_a_field_whose_drift_argo_cd_ignores_is_changed_live() -> None:
    world = git_world(git_playbook("live"))
    entry = {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}
    world.cluster.edit(APP, {"spec": {"ignoreDifferences": [entry]}})
    world.argo.awake = False
    await world.alert()
    r = await world.run_until("succeeded", "denied")
    assert r.state is State.SUCCEEDED, r.reason
    assert world.replicas() == 5


async def test_what_its_owner_takes_back_is_no_success_and_is_not_undone() -> None:
    """The difference is ignored, but a sync of the object writes it back all the same."""
    world = git_world(git_playbook("live", verify=VERIFY))
    entry = {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}
    world.cluster.edit(APP, {"spec": {"ignoreDifferences": [entry]}})
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    assert (r.state, r.outcome) == (State.ESCALATED, StepOutcome.FAILED)
    owner = "Argo CD (argocd-controller) has set spec.replicas of Deployment shop/api to 3, we left it at 5"
    assert r.reason.startswith(f"undone by its owner: {owner}")
    assert [ref for _, ref in world.writes()] == [str(API)], "nothing is left to be undone"


async def test_what_its_owner_took_back_is_not_undone_even_where_it_is_worse_now() -> None:
    """Somebody ends the hold, Argo CD takes the change back, and copies fail: an undo would only close the pull request
    that says what should be."""
    world = git_world(git_playbook("hold_and_pr", verify={**VERIFY, "settle": "20s", "timeout": "5m"}))
    await world.alert()
    await world.run_until("verifying")
    world.cluster.edit(APP, {"spec": {"syncPolicy": {"automated": {"selfHeal": True}}}})
    await world.run_for(3)
    world.cluster.behave(lambda pod: NEVER_READY)
    world.cluster.reconsider()
    r = await world.run_until("succeeded", "escalated")
    assert (r.state, r.outcome) == (State.ESCALATED, StepOutcome.FAILED)
    assert r.reason.startswith("undone by its owner: Argo CD")
    assert "worse: available copies 3 ->" in r.reason
    assert [request["do"] for _, request, _ in world.forge.done] == ["propose"]


async def test_what_a_person_takes_back_is_a_persons() -> None:
    world = git_world(git_playbook("hold_and_pr", verify={**VERIFY, "settle": "30s"}))
    await world.alert()
    await world.run_until("verifying")
    world.cluster.edit(API, {"spec": {"replicas": 4}})
    r = await world.run_until("succeeded", "escalated")
    assert "undone by its owner" not in r.reason


async def test_a_pull_request_is_waited_for_and_proved_after_the_merge() -> None:
    world = git_world(git_playbook("pr"))
    await world.alert()
    await world.run_for(60)
    r = await world.newest()
    assert (r.state, r.waiting_for) == (State.WAITING, "gate"), r.reason
    (request,) = world.forge.proposed
    assert "replicas: 5" in request["files"][PATH]["text"]
    assert "`Stuck`" in request["body"]
    assert r.plan is not None
    assert r.plan.steps[0].summary == "replicas 3 -> 5, by a pull request"
    assert any(f"({PATH}: replicas 3 -> 5)" in note for note in r.plan.steps[0].notes)
    assert (world.writes(), world.replicas()) == ([], 3)
    asked = [a for _, a in world.forge.asked if a["about"] == "pull_request"]
    assert len(asked) <= 3, "a forge counts requests"
    world.forge.merge()
    r = await world.run_until("succeeded", "escalated")
    assert r.state is State.SUCCEEDED, r.reason
    assert (world.writes(), world.replicas()) == ([], 5)
    assert len(world.forge.done) == 1


async def test_one_that_is_closed_goes_to_a_person() -> None:
    world = git_world(git_playbook("pr"))
    await world.alert()
    await world.run_for(10)
    world.forge.close_it()
    r = await world.run_until("escalated", "succeeded")
    assert "was closed without a merge" in r.reason


async def test_one_that_nobody_merges_goes_to_a_person_after_two_hours() -> None:
    world = git_world(git_playbook("pr"))
    await world.alert()
    await world.run_for(7080, step=30.0)
    assert (await world.newest()).state is State.WAITING
    await world.run_for(180, step=30.0)
    r = await world.newest()
    assert (r.state, r.outcome) == (State.ESCALATED, StepOutcome.STOPPED)
    assert "nobody has merged it yet" in r.reason


async def held(world: GitWorld) -> Any:
    await world.alert()
    r = await world.run_until("succeeded", "escalated", "denied")
    assert r.state is State.SUCCEEDED, r.reason
    return r


async def test_it_is_held_changed_live_and_proposed() -> None:
    world = git_world(git_playbook("hold_and_pr"))
    r = await held(world)
    assert (world.replicas(), world.argo.syncs) == (5, False)
    assert [ref for _, ref in world.writes()] == [str(APP), str(API)]
    assert len(world.forge.proposed) == 1
    assert [getattr(d.inverse, "kind", "") for d in r.done] == ["patch", "patch", "call"]
    step = r.plan.steps[0]
    assert step.summary == "replicas 3 -> 5, live and by a pull request"
    assert any(note.startswith("holds Argo CD application argocd/shop, changes it live, opens") for note in step.notes)
    assert f"{r.cluster}/{APP.key}" in r.plan.locks
    await world.run_for(300, step=10.0)
    assert world.replicas() == 5, "the controller that would take it back is held"


async def test_an_undo_takes_all_three_back_newest_first() -> None:
    down = {"action": "scale", "with": {"to": 2, "min": 1, "max": 9}, "via": "hold_and_pr"}
    status = "target.object.status"
    bad = {"condition": {"is": f"{status}.readyReplicas == 2", "failed": f"{status}.unavailableReplicas > 0"}}
    world = git_world(git_playbook("hold_and_pr", steps=[down], verify={**VERIFY, "settle": "20s", "checks": [bad]}))
    await world.alert()
    await world.run_until("verifying")
    world.cluster.behave(lambda pod: NEVER_READY)
    r = await world.run_until("escalated", "succeeded")
    assert "undo" in r.outcome.value, r.reason
    assert [request["do"] for _, request, _ in world.forge.done] == ["propose", "close"]
    assert [ref for _, ref in world.writes()] == [str(APP), str(API), str(API), str(APP)]
    assert (world.replicas(), world.argo.syncs) == (3, True)


async def minutes(world: GitWorld, count: int) -> None:
    for _ in range(count):
        await world.core.reverter.turn()
        await world.run_for(60, step=20.0)


async def test_the_hold_ends_with_the_merge_and_git_says_what_is_there() -> None:
    world = git_world(git_playbook("hold_and_pr"))
    await held(world)
    await minutes(world, 10)
    assert not world.argo.syncs, "nobody has merged it"
    world.forge.merge()
    await minutes(world, 15)
    assert world.argo.syncs
    assert (world.replicas(), (await world.newest()).releases != "") == (5, True)


async def test_the_hold_ends_after_two_hours_and_git_takes_the_change_back() -> None:
    world = git_world(git_playbook("hold_and_pr"))
    await held(world)
    await minutes(world, 125)
    assert world.argo.syncs
    assert world.replicas() == 3
    assert any("Argo CD application argocd/shop" in text for text in await said(world))


@pytest.mark.parametrize("fault", [LoseReply(), LoseRequest()])
@pytest.mark.parametrize("at", [0, 1], ids=["hold", "live"])
async def test_patches_without_an_answer_happen_once(fault: Any, at: int) -> None:
    world = git_world(git_playbook("hold_and_pr"))
    world.cluster.faults = script = Script()
    for planned in (None,) * at + (fault,):
        script.write(planned, verb="patch")
    await held(world)
    assert [ref for _, ref in world.writes()] == [str(APP), str(API)]
    assert len(world.forge.proposed) == 1


@pytest.mark.parametrize("fault", [LoseReply(), LoseRequest()])
async def test_a_pull_request_without_an_answer_is_opened_once(fault: Any) -> None:
    world = git_world(git_playbook("hold_and_pr"))
    world.forge.faults = [fault]
    await held(world)
    assert len(world.forge.proposed) == 1


@pytest.mark.parametrize("effect", [1, 2, 3], ids=["hold", "live", "pull request"])
@pytest.mark.parametrize(
    ("row", "when"), [("record_attempt", "after"), ("record_outcome", "before"), ("record_outcome", "after")]
)
async def test_another_process_goes_on_where_this_one_died(row: str, when: str, effect: int) -> None:
    """Killed with the request not sent, sent, or answered: each of the three happens once."""
    playbook = git_playbook("hold_and_pr")
    died = At(row, when, crash, number=effect)
    world = git_world(playbook, store_faults=died)
    await world.alert()
    for _ in range(20):
        if died.struck:
            break
        await world.turn()
        world.cluster.advance(1)
    assert died.struck
    other = world.another(playbook, callers={"forge": world.forge})
    await other.journal.takeover("test-2")
    r = await other.run_until("succeeded", "escalated")
    assert r.state is State.SUCCEEDED, r.reason
    assert [ref for _, ref in other.writes()] == [str(APP), str(API)]
    assert len(world.forge.proposed) == 1
    assert (other.replicas(), world.argo.syncs) == (5, False)


async def test_a_forge_that_refuses_leaves_a_held_application_to_a_person() -> None:
    world = git_world(git_playbook("hold_and_pr"))
    world.forge.faults = [Reject(Refused("no right to push"))]
    await world.alert()
    r = await world.run_until("escalated", "succeeded")
    assert r.state is State.ESCALATED
    assert "no right to push" in r.reason


async def test_files_that_cannot_be_read_hold_it() -> None:
    world = git_world(git_playbook("pr"))
    world.forge.blind = [FailRead(CannotSee("the forge is down"))]
    await world.alert()
    await world.turn()
    r = await world.newest()
    assert (r.state, "the forge is down" in r.reason) == (State.HELD, True)
    assert world.writes() == []


async def test_an_unreadable_owner_is_git_as_before() -> None:
    """Reading it is for more precision only: no CANNOT SEE of its own."""
    world = git_world(git_playbook("live"))
    world.cluster.forbid("get", APP.kind)
    await world.alert()
    r = await world.run_until("denied", "held")
    assert r.state is State.DENIED
    assert "Argo CD application shop owns spec.replicas" in r.reason


async def test_a_commit_elsewhere_keeps_the_approval_and_is_what_is_sent() -> None:
    world = git_world(git_playbook("pr", mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    assert any("opens a pull request in deploy" in text for text in await said(world))
    world.forge.head = "b" * 40
    await world.core.runner.apply_from_person(r.id, Approved(who="anna", digest=r.digest))
    await world.run_for(10)
    assert [p["head"] for p in world.forge.proposed] == ["b" * 40]


async def test_another_text_of_the_file_takes_the_approval_away() -> None:
    world = git_world(git_playbook("pr", mode="approve"))
    await world.alert()
    r = await world.run_until("awaiting_approval")
    world.forge.texts[PATH] += "# looked at\n"
    await world.core.runner.apply_from_person(r.id, Approved(who="anna", digest=r.digest))
    r = await world.run_until("cancelled", "waiting")
    assert r.state is State.CANCELLED
    assert world.forge.done == []


async def test_an_app_of_apps_is_not_held() -> None:
    world = git_world(git_playbook("hold_and_pr"))
    tracking = {"argocd.argoproj.io/tracking-id": "apps:argoproj.io/Application:argocd/shop"}
    world.cluster.edit(APP, {"metadata": {"annotations": tracking}})
    await world.alert()
    r = await world.run_until("denied", "succeeded")
    assert "Argo CD application apps writes the spec" in r.reason
    assert world.writes() == []
    assert dig(world.peek(), "spec", "replicas") == 3


async def test_an_application_is_held_by_one_at_a_time() -> None:
    """The end of the first hold would end the second as well."""
    more = git_playbook("hold_and_pr", name="more", match={"alerts": ['alertname="More"']})
    more["steps"][0]["with"] = {"to": 7, "min": 1, "max": 9}
    live = {**more, "name": "live", "match": {"alerts": ['alertname="Live"']}}
    live["steps"] = [{**more["steps"][0], "via": "live"}]
    world = git_world(git_playbook("hold_and_pr"), more, live)
    await held(world)
    await world.run_for(16 * 60, step=30.0)
    await world.alert("Live")
    assert "owns spec.replicas" in (await world.run_until("denied", "succeeded")).reason, "held, and still Git's"
    world.forge.texts[PATH] = world.forge.proposed[0]["files"][PATH]["text"]  # whatever Git says
    await world.alert("More")
    await world.run_for(30, step=5.0)
    r = await world.newest()
    assert (r.playbook, r.state) == ("more", State.HELD), r.reason
    assert "is held for another change already" in r.reason
    assert len(world.forge.proposed) == 1


async def test_a_hold_that_somebody_ends_at_once_stops_the_live_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not held any more, and a second hold was agreed to by nobody: the live change would be taken back."""
    world = git_world(git_playbook("hold_and_pr"))
    write = world.cluster.write

    async def written(request: WriteRequest, *, dry_run: bool = False) -> Any:
        answer = await write(request, dry_run=dry_run)
        if not dry_run and request.ref == APP:
            world.cluster.edit(APP, {"spec": {"syncPolicy": {"automated": {"selfHeal": True}}}})
        return answer

    monkeypatch.setattr(world.cluster, "write", written)
    await world.alert()
    r = await world.run_until("succeeded", "escalated")
    assert (r.state, r.outcome) == (State.ESCALATED, StepOutcome.FAILED), r.reason
    assert "Argo CD application argocd/shop is not held" in r.reason
    assert [ref for _, ref in world.writes()] == [str(APP)]
    assert world.forge.proposed == []


async def test_two_steps_do_not_hold_one_application() -> None:
    """The second would wait for the end of the first, which comes only after both."""
    up = git_playbook("hold_and_pr")["steps"][0]
    image = {"container": "app", "image": "shop/api:2", "repositories": ["shop/api"]}
    more = {"action": "set_image", "with": image, "via": "hold_and_pr"}
    world = git_world(git_playbook("hold_and_pr", steps=[up, more]))
    await world.alert()
    r = await world.run_until("denied", "waiting", "verifying")
    assert r.state is State.DENIED
    assert "teps 1 and 2 would both hold Application argocd/shop" in r.reason
    assert world.writes() == []


async def test_what_stands_in_a_protected_namespace_is_not_held() -> None:
    """Whoever protects a namespace means all of it; a hold there could not be released either."""
    world = git_world(git_playbook("hold_and_pr"))
    annotations = {"remediator.dev/protect": "true"}
    meta = {"name": APP.namespace, "annotations": annotations}
    world.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    await world.alert()
    r = await world.run_until("denied", "succeeded")
    assert (r.state, world.writes()) == (State.DENIED, [])
    assert "Namespace argocd carries remediator.dev/protect" in r.reason


class Rounds:
    """Asks for one more thing whenever it was told one: at most `until` of them."""

    name, kinds, needs, disruptive, params = "rounds", ("Deployment",), frozenset[str](), False, Params

    def __init__(self, until: int) -> None:
        self.until = until

    def resolve(self, params: Params, view: View) -> Params:
        return params

    def wants(self, params: Params, view: View) -> dict[str, Wanted]:
        known = sum(name.startswith("round") for name in view.found)
        return {f"round {n}": Get(API) for n in range(min(known + 1, self.until))}

    def plan(self, params: Params, view: View) -> Change:
        raise NotPossible(f"it was told {sum(name.startswith('round') for name in view.found)} things")


@pytest.mark.parametrize(
    ("until", "said"), [(1, "told 1 things"), (4, "told 4 things"), (5, "ound 4: it was not read")]
)
async def test_what_an_action_wants_is_read_in_rounds(until: int, said: str) -> None:
    """What it asks for may depend on what it was told; four times is enough."""
    world = git_world(git_playbook("live", steps=[{"action": "rounds"}]), actions={"rounds": Rounds(until)})
    await world.alert()
    r = await world.run_until("denied", "held")
    assert said in r.reason
