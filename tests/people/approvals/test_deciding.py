"""A yes, a no, a snooze at the door of the service: who, once per person, and what can change while it asks around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.actions.change import Evict, FieldChange, Patch, PodRule
from remediator.objects import ObjectRef
from remediator.people.account import Account
from remediator.people.approval_settings import BreakGlass
from remediator.people.approvers import OnCallUser
from remediator.people.directory import PersonSpec
from remediator.remediation.break_glass import Glass, objection
from remediator.remediation.decide import decide
from remediator.remediation.events import Approved, PlanMade, Rejected
from remediator.remediation.state import Plan, PlannedStep, Remediation, State
from remediator.service import InvalidRequest, NotAllowed, NotNow, Service
from tests.http.harness import DIGEST, World
from tests.people.approvals.given import House, person
from tests.support.accounts import slack, token
from tests.support.building import API, NOW, plan, playbook, verdict

ANN, ANN_CLI = slack("U0ANN"), token("ann", via="cli")
BOB = slack("U0BOB")
CYD = slack("U0CYD")
PEOPLE = (
    person("ann", slack="U0ANN", pagerduty="PANN001", roles=["approver"]),
    person("bob", slack="U0BOB", roles=["approver"]),
    person("cyd", slack="U0CYD", roles=["operator"]),
)
WHY = "checkout is down, nobody else answers"
GLASS = BreakGlass.model_validate({"who": ["oncall:pagerduty/PSCHED1"], "leads": ["C0LEADS", "U0LEAD"]})


@dataclass
class Desk:
    """A service with people on it, and one remediation that waits for an approval."""

    world: World
    house: House
    service: Service

    async def r(self) -> Remediation:
        found = await self.world.journal.get("r-1")
        assert found is not None
        return found

    def count(self, result: str) -> float:
        return self.world.metrics.registry.get_sample_value("remediator_approvals_total", {"result": result}) or 0.0


def changes_data(action: str) -> bool | None:
    return {"scale": False, "drop_table": True}.get(action)


async def desk(
    people: Sequence[PersonSpec] = PEOPLE,
    *,
    approval: dict[str, Any] | None = None,
    glass: BreakGlass | None = None,
    made: Plan | None = None,
    protected: Sequence[str] = ("kube-system",),
    steps: list[Any] | None = None,
    guarded: Any = None,
    **changes: Any,
) -> Desk:
    world = World()
    house = House(people=people, clock=world.clock)
    house.pagerduty.on_call["PSCHED1"] = [OnCallUser(id="PANN001")]
    world.service = service = Service(
        journal=world.journal,
        runner=world.mover,
        poke_intake=lambda: None,
        clock=world.clock,
        metrics=world.metrics,
        playbooks=list,
        explain=world._explain,
        clusters=("c1",),
        approvers=house.approvers(),
        glass=Glass(settings=glass, objection=lambda r: objection(r, protected=protected, changes_data=changes_data))
        if glass
        else None,
    )
    spec = playbook(mode="approve", approval=approval or {}, **({"steps": steps} if steps else {}))
    r = await world.proposed(spec=spec, made=made, **changes)
    looked = PlanMade(plan=r.plan, verdicts=(guarded or verdict("pass", "protect"),), explanation="looked again")
    await world.mover.commit(decide(r, looked, world.clock.now()))
    return Desk(world, house, service)


# --- who, and how often -----------------------------------------------------------------------------------------------


async def test_the_consent_says_who_by_what_account_by_what_right() -> None:
    at = await desk(approval={"approvers": ["oncall:pagerduty/PSCHED1"]})
    told = await at.service.approve("r-1", ANN)
    assert "Approved r-1 by ann" in told["message"]
    (given,) = (await at.r()).consents
    assert (given.who, given.account, given.via) == ("ann", "slack:T0SHOP/U0ANN", "slack")
    assert (given.by, given.digest, given.break_glass) == ("on call in PSCHED1 (PagerDuty)", DIGEST, "")
    line = (await at.world.journal.history("r-1"))[-1]
    assert line.data["event"]["account"] == "slack:T0SHOP/U0ANN"  # type: ignore[index]
    assert line.data["event"]["by"] == "on call in PSCHED1 (PagerDuty)"  # type: ignore[index]
    shown = (await at.service.show("r-1"))["approval"]["given"][0]
    assert (shown["who"], shown["by"]) == ("ann", "on call in PSCHED1 (PagerDuty)")


async def test_two_accounts_of_one_person_are_one_yes() -> None:
    at = await desk(approval={"quorum": 2})
    assert "1 of 2 agreed" in (await at.service.approve("r-1", ANN))["message"]
    again = await at.service.approve("r-1", ANN_CLI)
    assert "ann has approved r-1 already. 1 of 2 agreed, 1 more needed." in again["message"]
    assert (await at.r()).state is State.AWAITING_APPROVAL
    await at.service.approve("r-1", BOB)
    assert (await at.r()).state is State.APPROVED


async def test_a_yes_that_is_too_old_counts_no_more_and_can_be_said_again() -> None:
    """A snooze keeps the question open for longer than a yes lasts. Whoever says it again is not sent away."""
    at = await desk(approval={"quorum": 2})
    await at.service.approve("r-1", ANN)
    await at.service.snooze("r-1", BOB, until=NOW + timedelta(hours=2))
    at.world.clock.time += timedelta(hours=1)
    told = await at.service.approve("r-1", BOB)
    assert "1 of 2 agreed, 1 more needed" in told["message"]
    told = await at.service.approve("r-1", ANN)
    assert "Approved r-1 by ann. It is planned" in told["message"]
    assert (await at.r()).state is State.APPROVED


async def test_one_account_is_one_yes_whoever_it_is_taken_for() -> None:
    """In the group it is an account that nobody listed; where that cannot be read it is whoever PagerDuty knows."""
    people = (person("ann", pagerduty="PANN001"),)
    at = await desk(people, approval={"quorum": 2, "approvers": ["slack:@shop", "oncall:pagerduty/PSCHED1"]})
    at.house.pagerduty.on_call["PSCHED1"] = [OnCallUser(id="PANN001", email="ann@shop.example")]
    at.house.slack.has("U0ANN", "ann@shop.example")
    at.house.slack.user_groups["S0SHOP"] = ("shop", {"U0ANN"})
    await at.service.approve("r-1", ANN)
    at.house.slack.user_groups.clear()
    at.world.clock.time += timedelta(seconds=61)
    told = await at.service.approve("r-1", ANN)
    assert "has approved r-1 already. 1 of 2 agreed, 1 more needed." in told["message"]
    r = await at.r()
    assert (r.state, len(r.consents)) == (State.AWAITING_APPROVAL, 1)
    for who in ("somebody", "somebody else"):  # and whatever comes to the state machine
        await at.world.mover.apply_from_person("r-1", Approved(who=who, digest=DIGEST, account=ANN.key))
    assert ((await at.r()).state, len((await at.r()).consents)) == (State.AWAITING_APPROVAL, 1)


async def test_two_accounts_that_nobody_listed_are_two() -> None:
    at = await desk((), approval={"quorum": 2, "approvers": ["slack:U0ANN", "slack:U0BOB"]})
    await at.service.approve("r-1", ANN)
    await at.service.approve("r-1", BOB)
    r = await at.r()
    assert (r.state, [c.who for c in r.consents]) == (State.APPROVED, [ANN.key, BOB.key])


@pytest.mark.parametrize("requester", ["ann", "ann-laptop", "slack:T0SHOP/U0ANN"])
async def test_the_requester_is_excluded_with_every_account(requester: str) -> None:
    people = (person("ann", slack="U0ANN", tokens="ann-laptop", roles=["approver"]),)
    at = await desk(people, requester=requester)
    for account in (ANN, ANN_CLI) if requester != ANN.key else (ANN,):
        with pytest.raises(NotAllowed, match="ann asked for r-1 and cannot approve it"):
            await at.service.approve("r-1", account)
    assert (await at.r()).consents == ()


async def test_who_may_not_hears_why_and_what_could_not_be_read() -> None:
    at = await desk(approval={"approvers": ["oncall:pagerduty/PSCHED1", "role:sre"]})
    with pytest.raises(NotAllowed) as refused:
        await at.service.approve("r-1", BOB)
    assert str(refused.value) == "bob may not approve r-1: this needs oncall:pagerduty/PSCHED1 or role:sre"
    at.house.pagerduty.down = "PagerDuty answered 500"
    at.world.clock.time += timedelta(seconds=61)
    with pytest.raises(NotAllowed, match="PagerDuty schedule PSCHED1: PagerDuty answered 500") as refused:
        await at.service.approve("r-1", ANN)
    assert refused.value.advice == "Try again in a moment, or ask somebody else."
    assert ((await at.r()).consents, at.count("not_allowed")) == ((), 2)


@pytest.mark.parametrize(
    ("who", "may"),
    [
        pytest.param(ANN, True, id="whoever may approve"),
        pytest.param(CYD, True, id="an operator"),
        pytest.param(token("robot", "operator"), True, id="an operator's token"),
        pytest.param(slack("U0DAN"), False, id="nobody"),
        pytest.param(token("vic", "viewer"), False, id="a viewer"),
    ],
)
async def test_who_may_reject(who: Account, may: bool) -> None:
    at = await desk(approval={"quorum": 2})
    await at.service.approve("r-1", BOB)
    if not may:
        with pytest.raises(NotAllowed):
            await at.service.reject("r-1", who)
        assert (await at.r()).state is State.AWAITING_APPROVAL
        return
    await at.service.reject("r-1", who, why="not now")
    r = await at.r()
    assert (r.state, r.reason.endswith(": not now")) == (State.REJECTED, True)
    with pytest.raises(NotNow, match="rejected"):
        await at.service.approve("r-1", ANN)


async def test_a_veto_needs_no_lookup_that_works() -> None:
    at = await desk(approval={"approvers": ["oncall:pagerduty/PSCHED1"]})
    at.house.pagerduty.down = "down"
    await at.service.reject("r-1", CYD)
    assert (await at.r()).state is State.REJECTED


@pytest.mark.parametrize(("who", "may"), [(ANN, True), (CYD, False), (slack("U0DAN"), False)])
async def test_who_may_snooze(who: Account, may: bool) -> None:
    at = await desk()
    until = NOW + timedelta(minutes=30)
    if may:
        await at.service.snooze("r-1", who, until=until)
        assert (await at.r()).state is State.SNOOZED
    else:
        with pytest.raises(NotAllowed):
            await at.service.snooze("r-1", who, until=until)


async def test_an_operator_whose_slack_account_is_known_by_its_address_may_stop_things() -> None:
    at = await desk((person("eve", email="eve@shop.example", roles=["operator"]),))
    at.house.slack.has("U0EVE", "eve@shop.example")
    made = await at.service.pause("everything", slack("U0EVE"))
    assert made["who"] == "eve"
    await at.service.resume(made["id"], slack("U0EVE"))
    await at.service.reject("r-1", slack("U0EVE"))
    assert (await at.r()).state is State.REJECTED


async def test_who_cannot_be_told_stops_nothing_and_hears_why() -> None:
    at = await desk((person("eve", email="eve@shop.example", roles=["operator"]),))
    at.house.slack.down = "Slack answered 503"
    with pytest.raises(NotAllowed, match="Slack answered 503"):
        await at.service.pause("everything", slack("U0EVE"))


@pytest.mark.parametrize("who", [slack("U0DAN"), token("vic", "viewer"), person], ids=["nobody", "viewer", "approver"])
async def test_pausing_needs_an_operator(who: Any) -> None:
    at = await desk()
    if not isinstance(who, Account):
        made = await at.service.pause("everything", CYD, why="deploy")
        assert (made["who"], (await at.service.resume(made["id"], ANN))["resumed"]) == ("cyd", [made["id"]])
        return
    made = await at.service.pause("everything", CYD)
    for refused in (
        at.service.pause("everything", who),
        at.service.resume(made["id"], who),
        at.service.resume_scope("everything", who),
    ):
        with pytest.raises(NotAllowed, match="needs the role operator"):
            await refused
    assert len(await at.service.pauses()) == 1


# --- what changes while it asks around --------------------------------------------------------------------------------


async def _expires(at: Desk) -> None:
    at.world.clock.time += timedelta(minutes=15)


async def _vetoed(at: Desk) -> None:
    await at.world.mover.apply_from_person("r-1", Rejected(who="eve"))


async def _paused(at: Desk) -> None:
    await at.world.journal.pause("everything", "eve", "", None, at.world.clock.now())


async def _another_plan(at: Desk) -> None:
    r = await at.r()
    asks = replace(r, digest="f" * 64, version=r.version)
    at.world.journal.get = lambda _: _answer(asks)  # type: ignore[method-assign, assignment]


async def _answer(r: Remediation) -> Remediation:
    return r


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (_expires, "the time to approve r-1 ended"),
        (_vetoed, "rejected"),
        (_paused, "paused by eve"),
        (_another_plan, "what you looked at is not what would be done"),
    ],
    ids=["expiry", "veto", "pause", "another plan"],
)
async def test_a_yes_counts_as_things_stand_when_it_is_known_whose_it_is(
    happens: Callable[[Desk], Any], said: str
) -> None:
    """PagerDuty takes its time, and the proposal may be over when it answers."""
    at = await desk(approval={"approvers": ["oncall:pagerduty/PSCHED1"]})
    real = at.house.pagerduty.now

    async def slow(schedule: str) -> Any:
        await happens(at)
        return await real(schedule)

    at.house.pagerduty.now = slow  # type: ignore[method-assign]
    with pytest.raises(NotNow, match=said):
        await at.service.approve("r-1", ANN)
    consents = await at.world.journal.history("r-1")
    assert not any(line.type == "Approved" for line in consents)


async def test_what_cannot_be_approved_asks_nobody() -> None:
    at = await desk(approval={"approvers": ["oncall:pagerduty/PSCHED1"]})
    await _vetoed(at)
    with pytest.raises(NotNow):
        await at.service.approve("r-1", ANN)
    assert at.house.pagerduty.asked == []


# --- breaking the glass -----------------------------------------------------------------------------------------------


async def test_one_on_call_with_a_reason_replaces_the_quorum() -> None:
    at = await desk(approval={"quorum": 3, "approvers": ["role:nobody"]}, glass=GLASS)
    told = await at.service.approve("r-1", ANN, break_glass=f"  {WHY}\n")
    assert "by ann, who breaks the glass; the leads are told" in told["message"]
    r = await at.r()
    assert (r.state, r.agreed, [c.break_glass for c in r.consents]) == (State.APPROVED, True, [WHY])
    assert r.reason == f"approved by ann, who breaks the glass: {WHY}"
    line = (await at.world.journal.history("r-1"))[-1]
    assert line.data["event"]["break_glass"] == WHY  # type: ignore[index]
    assert at.count("break_glass") == 1


async def test_a_plain_yes_before_does_not_keep_from_it() -> None:
    at = await desk(approval={"quorum": 2}, glass=GLASS)
    await at.service.approve("r-1", ANN)
    await at.service.approve("r-1", ANN, break_glass=WHY)
    r = await at.r()
    assert (r.state, len(r.consents)) == (State.APPROVED, 1)


ROLLOUT = ("spec", "template", "metadata", "annotations", "x")
PATCH = Patch(ref=API, uid="u1", changes=(FieldChange(("spec", "replicas"), 3, 5),))


def planned(*effects: Any, ref: ObjectRef = API) -> Plan:
    step = PlannedStep(action="scale", summary="it", effects=effects)
    return plan(digest=DIGEST, target=ref, root=ref, steps=(step,))


KUBE = ObjectRef("Deployment", "kube-system", "dns")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, "", id="a change with an inverse"),
        pytest.param(
            {"made": planned(replace(PATCH, undoable=False, changes=(FieldChange(ROLLOUT, None, "t"),)))},
            "",
            id="restart",
        ),
        pytest.param({"made": planned(Evict(pod=PodRule(namespace="shop", select="oldest")))}, "", id="eviction"),
        pytest.param({"made": planned(replace(PATCH, undoable=False))}, "it cannot be taken back", id="no inverse"),
        pytest.param({"made": planned(PATCH, ref=KUBE)}, "namespace kube-system is protected", id="protected target"),
        pytest.param(
            {"made": planned(replace(PATCH, ref=KUBE))}, "namespace kube-system is protected", id="protected object"
        ),
        pytest.param({"protected": ["shop"]}, "namespace shop is protected", id="protected by the operator"),
        pytest.param({"steps": [{"action": "drop_table"}]}, "drop_table changes data, or what cannot", id="data"),
        pytest.param({"steps": [{"action": "gone"}]}, "gone is not known", id="an action that is not there any more"),
        pytest.param({"made": planned()}, "scale is planned in its turn", id="a step that is not planned yet"),
        pytest.param({"guarded": verdict("hold", "protect")}, "not proven that nothing", id="protection unknown"),
        pytest.param({"guarded": verdict("pass", "mode")}, "not proven that nothing", id="protection not looked at"),
    ],
)
async def test_never_for_what_is_protected_or_lasts(changes: dict[str, Any], said: str) -> None:
    at = await desk(approval={"quorum": 2}, glass=GLASS, **changes)
    if not said:
        await at.service.approve("r-1", ANN, break_glass=WHY)
        return
    with pytest.raises(NotAllowed, match=f"nobody can approve r-1 alone: .*{said}"):
        await at.service.approve("r-1", ANN, break_glass=WHY)


@pytest.mark.parametrize(
    ("who", "reason", "glass", "error", "said"),
    [
        pytest.param(ANN, WHY, None, NotAllowed, "not configured", id="not configured"),
        pytest.param(ANN, "urgent !!", GLASS, InvalidRequest, "9 characters, at least 10", id="too short"),
        pytest.param(ANN, "a \n       b", GLASS, InvalidRequest, "3 characters", id="white space is no reason"),
        pytest.param(ANN, "x" * 501, GLASS, InvalidRequest, "501 characters", id="too long"),
        pytest.param(BOB, WHY, GLASS, NotAllowed, "bob may not break the glass for r-1", id="an approver off duty"),
        pytest.param(token("root", "admin"), WHY, GLASS, NotAllowed, "root may not break the glass", id="admin"),
        pytest.param(token("ann", "operator"), WHY, GLASS, NotAllowed, "no role that approves", id="a weak token"),
    ],
)
async def test_its_limits(who: Account, reason: str, glass: Any, error: type[Exception], said: str) -> None:
    at = await desk(approval={"quorum": 2}, glass=glass)
    with pytest.raises(error, match=said):
        await at.service.approve("r-1", who, break_glass=reason)


@pytest.mark.parametrize("happens", [_expires, _vetoed, _paused], ids=["expired", "vetoed", "paused"])
async def test_it_breaks_nothing_else(happens: Callable[[Desk], Any]) -> None:
    at = await desk(approval={"quorum": 2}, glass=GLASS)
    await happens(at)
    with pytest.raises((NotNow, NotAllowed)):
        await at.service.approve("r-1", ANN, break_glass=WHY)


async def test_the_requester_cannot_break_it() -> None:
    at = await desk(approval={"quorum": 2}, glass=GLASS, requester="ann")
    with pytest.raises(NotAllowed, match="asked for"):
        await at.service.approve("r-1", ANN, break_glass=WHY)


@pytest.mark.parametrize("state", [State.RESERVED, State.ACTING, State.VERIFYING])
async def test_who_comes_too_late_to_reject_hears_how_to_stop_it(state: State) -> None:
    at = await desk()
    r = replace(await at.r(), state=state)
    at.world.journal.get = lambda _: _answer(r)  # type: ignore[method-assign, assignment]
    with pytest.raises(NotNow) as refused:
        await at.service.reject("r-1", ANN)
    assert "remediator take r-1" in refused.value.advice


async def test_a_refusal_says_what_was_refused_and_what_would_do() -> None:
    at = await desk(approval={"approvers": ["role:sre"]})
    nobody = slack("U0DAN")
    until = NOW + timedelta(minutes=30)
    for refused, said in (
        (
            at.service.reject("r-1", nobody),
            "may not reject r-1: this needs role:sre; the role operator would do as well",
        ),
        (at.service.take("r-1", nobody), "may not take r-1: this needs role:sre; the role operator would do as well"),
        (at.service.snooze("r-1", nobody, until=until), "may not snooze r-1: this needs role:sre"),
        (at.service.approve("r-1", nobody), "may not approve r-1: this needs role:sre"),
    ):
        with pytest.raises(NotAllowed) as caught:
            await refused
        assert str(caught.value) == f"{nobody.key} {said}"
