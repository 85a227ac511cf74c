"""A hold of drift correction ends: with its pull request, or after two hours, and never behind anybody's back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from remediator.actions.change import Call, FieldChange, Patch
from remediator.actions.delivery.argo import AUTOMATED_PATH, RECORD_PATH
from remediator.adapters.simulated import FailRead, Reject, Script, SimulatedCaller, VirtualClock
from remediator.errors import CannotSee, Refused
from remediator.guardrails.policy import Policy
from remediator.guardrails.verdict import Answer, Verdict
from remediator.objects import ObjectRef, dig, uid_of
from remediator.playbooks.model import Mode
from remediator.playbooks.projects import Project
from remediator.remediation.events import Approved, PlanMade
from remediator.remediation.holds import holds_of, over
from remediator.remediation.releasing import again_after
from remediator.remediation.state import Done, Remediation, State, StepOutcome
from tests.gitops.made import ARGO, MANIFEST, PROD, files
from tests.gitops.made import application as git_application
from tests.journal.given import to
from tests.remediation.test_triggers import said
from tests.support.building import API, NOW, remediation
from tests.support.world import World, deployment, load, restart_playbook

APP = ObjectRef("Application.argoproj.io", "argocd", "shop")
FLUX = ObjectRef("Kustomization.kustomize.toolkit.fluxcd.io", "flux-system", "shop")
AUTOMATED = {"prune": True, "selfHeal": True}
RECORD = '{"prune":true,"selfHeal":true}'
SUSPEND = ("spec", "suspend")
SCALE = {"action": "scale", "with": {"to": 5, "min": 1, "max": 9}, "via": "hold_and_pr"}
HOUR = timedelta(hours=1)


def application(**spec: Any) -> dict[str, Any]:
    """An Application that is held."""
    meta = {"name": APP.name, "namespace": APP.namespace, "annotations": {RECORD_PATH[-1]: RECORD}}
    policy = {"syncPolicy": {"syncOptions": ["A=b"]}, **spec}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": meta, "spec": policy}


def kustomization() -> dict[str, Any]:
    meta = {"name": FLUX.name, "namespace": FLUX.namespace}
    version = "kustomize.toolkit.fluxcd.io/v1"
    return {"apiVersion": version, "kind": "Kustomization", "metadata": meta, "spec": {"suspend": True}}


@dataclass
class Forge(SimulatedCaller):
    """What it says of the pull request."""

    state: str = "open"
    merged_at: str = ""

    def __post_init__(self) -> None:
        super().__init__(answer=self._says)

    def _says(self, place: str, request: Mapping[str, Any]) -> Any:
        assert (place, dict(request)) == ("deploy", {"about": "pull_request", "branch": "remediator/abc"})
        return {"state": self.state, "number": 12, "url": "https://git.example/12", "merged_at": self.merged_at}


@dataclass
class Held:
    """A world in which r-0 has held Git. `by` is its row, as it was committed last."""

    world: World
    forge: Forge
    by: Remediation

    async def minutes(self, count: float, world: World | None = None) -> None:
        """Time passes, and what waits is looked at as the service does it."""
        world = world or self.world
        end = world.clock.now() + timedelta(minutes=count)
        while world.clock.now() < end:
            await world.core.reverter.turn()
            for _ in range(3):
                self.world.cluster.advance(20)
                await world.turn()

    async def moved(self, state: State, **changes: Any) -> None:
        result = await self.world.journal.commit(
            to(self.by, state, now=self.world.clock.now(), **changes), self.world.clock.now(), holder=""
        )
        self.by = result.remediation  # type: ignore[union-attr]

    async def release(self) -> Remediation:
        """The only one that has begun."""
        (found,) = await self.releases()
        return found

    async def releases(self) -> list[Remediation]:
        return [r for r in await self.world.all() if r.reverts]

    async def waiting(self) -> int:
        return len(await self.world.journal.waiting_holds(9))

    def automated(self) -> Any:
        return dig(self.world.cluster.peek(APP) or {}, *AUTOMATED_PATH)


def hold_of(world: World, ref: ObjectRef = APP) -> Done:
    app = world.cluster.peek(ref)
    assert app is not None
    changes = [FieldChange(SUSPEND, True, None)]
    if ref == APP:
        changes = [FieldChange(AUTOMATED_PATH, None, AUTOMATED), FieldChange(RECORD_PATH, RECORD, None)]
    back = Patch(ref=ref, uid=uid_of(app), changes=tuple(changes), replace=ref == APP)
    return Done(effect_id="r-0/0.0", step=0, at=world.clock.now(), summary="hold", inverse=back)


def live_of(world: World) -> Done:
    back = Patch(ref=API, uid=uid_of(world.peek()), changes=(FieldChange(("spec", "replicas"), 5, 3),))
    return Done(effect_id="r-0/0.1", step=0, at=world.clock.now(), summary="scale", inverse=back)


def proposed(world: World) -> Done:
    close = {"do": "close", "branch": "remediator/abc"}
    back = Call(ref=API, uid="u", via="forge", place="deploy", request=close, says="close the pull request")
    return Done(effect_id="r-0/0.2", step=0, at=world.clock.now(), summary="propose", inverse=back)


async def held(
    *parts: Any,
    mode: str = "approve",
    state: State | None = None,
    owner: dict[str, Any] | None = None,
    guardrails: dict[str, Any] | None = None,
    **changes: Any,
) -> Held:
    """r-0 has done the hold and these of its other effects; it ends in `state`, None = it is under way."""
    clock, forge = VirtualClock(), Forge()
    content = restart_playbook(name="scale-api", mode=mode, steps=[SCALE], guardrails=guardrails or {})
    world = World(content, clock=clock, callers={"forge": forge})
    world.cluster.apply(deployment(), owner or application())
    world.settle()
    ref = FLUX if owner is not None and owner["kind"] == "Kustomization" else APP
    made = remediation(
        State.PLANNED,
        id="r-0",
        episode="",
        alerts=(),
        spec=load(content).playbook,
        mode=mode,
        created_at=clock.now(),
        since=clock.now(),
        due=None,
        deadline=None,
    )
    opened = await world.journal.open(made, clock.now())
    assert opened is not None
    found = Held(world, forge, opened)
    done = (hold_of(world, ref), *(part(world) for part in parts))
    await found.moved(State.VERIFYING, done=done, due=None, deadline=None)
    if state is not None:
        await found.moved(state, due=None, **changes)
    return found


FULL = (live_of, proposed)


async def test_it_is_released_when_its_pull_request_is_merged() -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    await h.minutes(5)
    assert (h.automated(), await h.releases(), await h.waiting()) == (None, [], 1)
    h.forge.state = "merged"
    await h.minutes(3)
    r = await h.release()
    assert (r.state, r.mode, h.automated()) == (State.SUCCEEDED, "auto", AUTOMATED), r.reason
    assert r.cause == "release of the hold of r-0: pull request #12 was merged"
    assert (r.reverts, r.releases, r.target, r.root, r.episode) == ("r-0", "r-0/0.0", APP, API, h.by.episode)
    assert r.plan is not None
    assert r.plan.steps[0].summary == "auto-sync off -> on"
    assert [d.inverse for d in r.done] == [None], "nobody has agreed to a second hold"
    app = h.world.cluster.peek(APP)
    assert app is not None
    assert RECORD_PATH[-1] not in app["metadata"]["annotations"]
    assert app["spec"]["syncPolicy"]["syncOptions"] == ["A=b"]
    messages = await said(h.world)
    assert any("Hold released: argocd resume Application argocd/shop: auto-sync off → on" in m for m in messages)
    assert not any("Approval needed" in m for m in messages), "it was part of what was approved"
    assert await said(h.world, "pagerduty") == [], "it calls nobody, and resolves nothing"
    await h.minutes(180)
    assert (len(await h.releases()), await h.waiting(), h.world.replicas()) == (1, 0, 3)


async def test_flux_is_resumed_as_it_was() -> None:
    h = await held(*FULL, state=State.SUCCEEDED, owner=kustomization())
    h.forge.state = "merged"
    await h.minutes(3)
    found = h.world.cluster.peek(FLUX)
    assert found is not None
    assert "suspend" not in found["spec"]
    assert (await h.release()).plan.steps[0].summary == "suspended -> resumed"  # type: ignore[union-attr]


async def test_after_two_hours_people_are_called_and_it_is_released_all_the_same() -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    await h.minutes(119)
    assert (h.automated(), await said(h.world, "pagerduty")) == (None, [])
    await h.minutes(4)
    assert h.automated() == AUTOMATED
    assert (await h.release()).cause == "release of the hold of r-0: it has lasted for 2h"
    (page,) = await said(h.world, "pagerduty")
    assert "Held for too long: Argo CD application argocd/shop" in page
    assert "Git takes the live change back" in page
    assert "Pull request #12 (https://git.example/12) is open." in page
    assert any("Git takes the live change back" in m for m in await said(h.world))


async def test_a_hold_that_cannot_be_looked_at_keeps_nothing_else_from_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    h = await held(*FULL, state=State.SUCCEEDED)

    async def broken(*_: Any) -> None:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(h.world.core.reverter._releaser, "_decide", broken)
    await h.world.core.reverter.turn()
    assert (h.automated(), await h.waiting()) == (None, 1)


async def test_a_forge_that_cannot_be_asked_at_all_is_one_that_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps nothing else from its turn, and neither people from being called nor the hold from its end."""
    h = await held(*FULL, state=State.SUCCEEDED)

    async def broken(place: str, request: Mapping[str, Any]) -> Any:
        raise RuntimeError("a defect of the caller")

    monkeypatch.setattr(h.forge, "ask", broken)
    await h.world.core.reverter.turn()
    assert (h.automated(), await h.waiting()) == (None, 1)
    h.world.clock.advance(2 * 3600)
    await h.minutes(3)
    assert h.automated() == AUTOMATED
    (page,) = await said(h.world, "pagerduty")
    assert "Held for too long" in page
    assert "cannot be seen: RuntimeError" in page


async def test_a_cluster_that_is_not_configured_any_more_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    monkeypatch.setattr(h.world.core.reverter._releaser, "_clusters", {})
    h.world.clock.advance(2 * 3600)
    await h.world.core.reverter.turn()
    (page,) = await said(h.world, "pagerduty")
    assert "It is not released yet: Application argocd/shop cannot be read: cluster c1 is not configured" in page


async def test_a_forge_whose_clock_is_wrong_prolongs_it_by_minutes_only() -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    h.forge.state, h.forge.merged_at = "merged", (h.world.clock.now() + timedelta(days=3)).isoformat()
    h.world.clock.advance(7200)
    await h.minutes(3)
    assert (h.automated(), await h.releases()) == (None, [])
    await h.minutes(4)
    assert h.automated() == AUTOMATED


async def test_a_record_that_somebody_took_away_is_no_end_of_the_hold() -> None:
    """Nobody has switched it on again, so somebody has to hear of it."""
    h = await held(*FULL, state=State.SUCCEEDED)
    h.world.cluster.edit(APP, {"metadata": {"annotations": {RECORD_PATH[-1]: None}}})
    h.forge.state = "merged"
    await h.minutes(3)
    assert (h.automated(), (await h.release()).state, await h.waiting()) == (None, State.DENIED, 0)
    (page,) = await said(h.world, "pagerduty")
    assert "Hold stays" in page
    assert "somebody changed it since" in page


async def test_a_project_that_lists_its_actions_does_not_keep_it() -> None:
    """It lets a step hold, so it lets the hold end: nobody writes `argocd_resume` for that."""
    h = await held(*FULL, state=State.SUCCEEDED, project="shop")
    of = {"name": "shop", "playbooks": {"folders": ["/shop"]}, "clusters": ["c1"], "namespaces": ["shop", "argocd"]}
    later = h.world.another(
        restart_playbook(name="other"),
        callers={"forge": h.forge},
        projects=(Project.model_validate({**of, "actions": ["scale"], "mode": "approve"}),),
    )
    h.forge.state = "merged"
    await h.minutes(3, later)
    assert h.automated() == AUTOMATED


async def test_a_controller_has_looked_at_git_by_then() -> None:
    """Released at once it would apply what it saw minutes ago, and take the live change back."""
    h = await held(*FULL, state=State.SUCCEEDED)
    await h.minutes(117)
    h.forge.state, h.forge.merged_at = "merged", h.world.clock.now().isoformat()
    await h.minutes(4)
    assert (h.automated(), await h.releases(), await said(h.world, "pagerduty")) == (None, [], [])
    await h.minutes(4)
    assert h.automated() == AUTOMATED
    assert (await said(h.world, "pagerduty"), (await h.release()).cause.endswith("was merged")) == ([], True)


async def test_it_has_not_the_last_word_on_an_incident() -> None:
    """Whoever was left with it hears of its end all the same."""
    h = await held(state=State.ESCALATED, outcome=StepOutcome.REFUSED)
    await h.minutes(3)
    assert (await h.release()).state is State.SUCCEEDED
    quiet = await h.world.journal.quiet_episodes(h.world.clock.now() + 2 * HOUR, HOUR)
    assert [r.id for r in quiet.values() if r is not None] == ["r-0"]


async def test_releases_that_fail_all_day_have_not_the_last_word_either() -> None:
    h = await held(state=State.ESCALATED, outcome=StepOutcome.REFUSED)
    (hold,) = holds_of(h.by)
    now = h.world.clock.now()
    for _ in range(24):
        opened = await h.world.journal.open(h.world.core.chooser.release(h.by, hold, "why", now), now)
        assert opened is not None
        await h.world.journal.commit(to(opened, State.ESCALATED, now=now, due=None), now, holder="")
    quiet = await h.world.journal.quiet_episodes(now + 2 * HOUR, HOUR)
    assert [r.id for r in quiet.values() if r is not None] == ["r-0"]


@pytest.mark.parametrize("state", ["open", "closed", "none", "odd"])
async def test_only_a_merged_one_ends_it_before(state: str) -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    h.forge.state = state
    await h.minutes(30)
    assert (h.automated(), await h.releases(), await h.waiting()) == (None, [], 1)


async def test_a_forge_that_cannot_be_seen_has_merged_nothing() -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    h.forge.blind = [FailRead(CannotSee("timeout")) for _ in range(500)]
    await h.minutes(60)
    assert (h.automated(), await h.waiting()) == (None, 1)
    await h.minutes(63)
    assert h.automated() == AUTOMATED
    assert "(branch remediator/abc of deploy) cannot be seen: timeout" in (await said(h.world, "pagerduty"))[0]


@pytest.mark.parametrize(
    ("parts", "changes", "why"),
    [
        ((), {"state": State.ESCALATED, "outcome": StepOutcome.REFUSED}, "no pull request was opened"),
        ((live_of,), {"state": State.ESCALATED, "outcome": StepOutcome.FAILED}, "no pull request was opened"),
    ],
)
async def test_without_a_pull_request_nothing_has_to_be_waited_for(parts: Any, changes: Any, why: str) -> None:
    """Denied at its second effect, or at the third: it has held Git all the same."""
    h = await held(*parts, **changes)
    await h.minutes(3)
    assert (await h.release()).cause == f"release of the hold of r-0: {why}"
    assert (h.automated(), h.forge.asked) == (AUTOMATED, [])


async def test_a_pull_request_in_doubt_may_be_there() -> None:
    h = await held(live_of, state=State.ESCALATED, outcome=StepOutcome.UNCERTAIN)
    await h.minutes(60)
    assert h.automated() is None
    await h.minutes(63)
    assert h.automated() == AUTOMATED


async def test_what_was_undone_needs_no_hold() -> None:
    """The undo closed the request and took the live change back, and could not release the hold."""
    h = await held(*FULL)
    hold, live, request = (d.inverse for d in h.by.done)
    left = (request, live, hold)
    await h.moved(
        State.ESCALATED, outcome=StepOutcome.UNDO_FAILED, undo_left=left, undo_sent=1, due=None
    )  # only the request so far
    await h.minutes(3)
    assert h.automated() is None
    found = await held(*FULL)
    hold, live, request = (d.inverse for d in found.by.done)
    await found.moved(
        State.ESCALATED, outcome=StepOutcome.UNDO_FAILED, undo_left=(request, live, hold), undo_sent=2, due=None
    )
    await found.minutes(3)
    assert found.automated() == AUTOMATED
    assert (await found.release()).cause == "release of the hold of r-0: its live change was undone"


async def test_what_has_no_pull_request_yet_may_still_get_one() -> None:
    h = await held(live_of)
    await h.minutes(10)
    assert (h.automated(), await h.releases()) == (None, [])
    (hold,) = holds_of(h.by)
    assert over(h.by, hold) == ""


async def test_while_it_is_under_way_nothing_is_released() -> None:
    h = await held(*FULL)
    h.forge.state = "merged"
    await h.minutes(30)
    assert (h.automated(), await h.releases(), h.forge.asked) == (None, [], [])
    await h.moved(State.ESCALATED, outcome=StepOutcome.FAILED, due=None)
    await h.minutes(3)
    assert h.automated() == AUTOMATED


async def test_two_hours_under_way_call_people_and_are_waited_for() -> None:
    h = await held(*FULL)
    await h.minutes(125)
    (page,) = await said(h.world, "pagerduty")
    assert "It is not released yet: r-0 is under way there." in page
    assert (h.automated(), await h.releases()) == (None, [])
    await h.moved(State.SUCCEEDED, due=None)
    await h.minutes(3)
    assert (h.automated(), len(await said(h.world, "pagerduty"))) == (AUTOMATED, 1)


@pytest.mark.parametrize("scope", ["everything", "playbook:scale-api", f"target:c1/{APP.key}", "namespace:c1/shop"])
async def test_a_pause_is_waited_for_and_told_once_after_two_hours(scope: str) -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    h.forge.state = "merged"
    now = h.world.clock.now()
    pause = await h.world.journal.pause(scope, "ann", "database work", None, now)
    await h.minutes(110)
    assert (h.automated(), await h.releases(), await said(h.world, "pagerduty")) == (None, [], [])
    await h.minutes(60)
    (page,) = await said(h.world, "pagerduty")
    assert "Hold stays: Argo CD application argocd/shop" in page
    assert "paused by ann: database work" in page
    await h.world.journal.resume(pause.id, "ann", h.world.clock.now())
    await h.minutes(3)
    assert h.automated() == AUTOMATED


async def test_a_pause_on_the_object_itself_refuses_it_and_is_tried_again() -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    h.forge.state = "merged"
    h.world.cluster.edit(APP, {"metadata": {"annotations": {"remediator.dev/pause": "by hand"}}})
    await h.minutes(20)
    assert ((await h.release()).outcome, h.automated()) == (StepOutcome.HELD_TOO_LONG, None)
    assert any("held too long" in m for m in await said(h.world, "pagerduty"))
    h.world.cluster.edit(APP, {"metadata": {"annotations": {"remediator.dev/pause": None}}})
    await h.minutes(40)
    assert h.automated() is None
    await h.minutes(30)
    assert (h.automated(), len(await h.releases()), await h.waiting()) == (AUTOMATED, 2, 0)


async def test_what_the_api_server_refuses_is_tried_again_ever_more_seldom() -> None:
    """Somebody may mend a webhook or a right; until then nobody is called every hour."""
    h = await held(*FULL, state=State.SUCCEEDED)
    h.forge.state = "merged"
    h.world.cluster.faults = script = Script()
    script.write(Reject(Refused("403 Forbidden: no")), kind=APP.kind, dry_run=True, times=3)
    await h.minutes(5)
    assert ((await h.release()).state, h.automated(), await h.waiting()) == (State.DENIED, None, 1)
    assert any("Hold stays" in m and "403 Forbidden" in m for m in await said(h.world, "pagerduty"))
    await h.minutes(250)
    begun = [r.created_at for r in await h.releases()]
    assert [round((b - a) / HOUR) for a, b in pairwise(begun)] == [1, 1, 2]
    assert (h.automated(), await h.waiting()) == (AUTOMATED, 0)


@pytest.mark.parametrize(("lasted", "hours"), [(timedelta(minutes=5), 1), (3 * HOUR, 3), (timedelta(days=9), 24)])
def test_when_it_is_tried_again(lasted: timedelta, hours: int) -> None:
    assert again_after(lasted) == hours * HOUR


async def test_it_minds_nothing_but_people() -> None:
    """Neither rates, nor windows, nor a mode that only observes by now."""
    shut = {"deny": [{"cron": "* * * * *", "duration": "24h", "zone": "UTC"}]}
    limits = {"windows": shut, "rate_limit": {"target": 1}, "blockers": [{"promql": "always_there"}]}
    h = await held(*FULL, state=State.SUCCEEDED, guardrails=limits)
    strict = restart_playbook(name="scale-api", mode="observe", steps=[SCALE], guardrails=limits)
    later = h.world.another(strict, callers={"forge": h.forge}, policy=Policy(mode_ceiling=Mode.OBSERVE))
    h.forge.state = "merged"
    await h.minutes(3, later)
    assert h.automated() == AUTOMATED


async def test_it_takes_no_turn_of_anybody() -> None:
    """Neither a cooldown nor a rate keeps the next remedy away because Git was given back."""
    h = await held(*FULL, state=State.SUCCEEDED)
    h.forge.state = "merged"
    await h.minutes(3)
    release = await h.release()
    runs = await h.world.journal.runs(h.world.clock.now(), HOUR)
    found = [(run.ended_at is not None, run.tokens_back) for run in runs if run.remediation_id == release.id]
    assert set(found) == {(True, True)}


async def test_it_says_nothing_for_its_playbook() -> None:
    """A playbook that holds and fails again and again must not look as if every second run went well."""
    h = await held(live_of, state=State.ESCALATED, outcome=StepOutcome.FAILED)
    await h.minutes(3)
    assert (await h.release()).state is State.SUCCEEDED
    assert [o.remediation_id for o in await h.world.journal.outcomes("scale-api", "c1", 9)] == ["r-0"]


async def test_one_that_cannot_be_planned_is_no_part_of_a_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    """There it would be waited for up to four hours, and people told of a storm."""
    h = await held(*FULL, state=State.SUCCEEDED)
    (hold,) = holds_of(h.by)
    release = h.world.core.chooser.release(h.by, hold, "why", h.world.clock.now())
    storms = h.world.core.runner._storms

    async def holds(cluster: str) -> Verdict:
        return Verdict(guardrail="storm", answer=Answer.HOLD, reason="7 alerts")

    monkeypatch.setattr(storms, "holds", holds)
    unseen = PlanMade(plan=None, verdicts=(), explanation="CANNOT SEE")
    assert await storms.marked(release, unseen) == unseen
    assert await storms.marked(h.by, unseen) != unseen


async def test_it_goes_on_without_its_playbook_and_in_another_process() -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    await h.minutes(10)
    later = h.world.another(restart_playbook(name="other"), callers={"forge": h.forge})
    h.forge.state = "merged"
    await h.minutes(3, later)
    assert h.automated() == AUTOMATED


@pytest.mark.parametrize(
    "edit",
    [
        {"spec": {"syncPolicy": {"automated": {"prune": False}}}},
        {"spec": {"syncPolicy": {"automated": AUTOMATED}}, "metadata": {"annotations": {RECORD_PATH[-1]: None}}},
    ],
)
async def test_what_a_person_has_switched_on_again_is_settled_quietly(edit: dict[str, Any]) -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    h.world.cluster.edit(APP, edit)
    before = h.automated()
    await h.minutes(130)
    assert (await h.releases(), await h.waiting(), h.automated()) == ([], 0, before)
    assert (await said(h.world), await said(h.world, "pagerduty")) == ([], [])


async def test_an_application_that_is_gone_or_another_one_is_left_alone() -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    h.world.cluster.delete(APP)
    h.world.cluster.apply(application())
    await h.minutes(130)
    assert (await h.releases(), await h.waiting(), h.automated()) == ([], 0, None)


async def test_an_application_that_cannot_be_read_is_waited_for_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    h.forge.state = "merged"
    real = h.world.cluster.get

    async def get(ref: ObjectRef) -> Any:
        if ref == APP:
            raise CannotSee("timeout")
        return await real(ref)

    monkeypatch.setattr(h.world.cluster, "get", get)
    await h.minutes(125)
    assert (await h.releases(), await h.waiting()) == ([], 1)
    assert "argocd/shop cannot be read: timeout" in (await said(h.world, "pagerduty"))[0]
    monkeypatch.setattr(h.world.cluster, "get", real)
    await h.minutes(3)
    assert h.automated() == AUTOMATED


async def test_a_definite_no_is_told_and_is_the_end_of_it() -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    h.forge.state = "merged"
    h.world.cluster.edit(APP, {"metadata": {"annotations": {"remediator.dev/protect": "true"}}})
    await h.minutes(5)
    assert ((await h.release()).state, h.automated(), await h.waiting()) == (State.DENIED, None, 0)
    assert any("Hold stays" in m and "remediator.dev/protect" in m for m in await said(h.world, "pagerduty"))


async def test_two_processes_release_it_once() -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    (waiting,) = await h.world.journal.waiting_holds(9)
    (hold,) = holds_of(h.by)
    now = h.world.clock.now()
    one, other = (h.world.core.chooser.release(h.by, hold, "why", now) for _ in range(2))
    assert await h.world.journal.release_hold(waiting, one, now) is not None
    assert await h.world.journal.release_hold(waiting, other, now) is None
    assert len(await h.releases()) == 1


async def test_an_alert_that_fires_meanwhile_is_no_business_of_a_release() -> None:
    h = await held(*FULL, state=State.SUCCEEDED)
    h.forge.state = "merged"
    h.world.cluster.edit(APP, {"metadata": {"annotations": {"remediator.dev/pause": "by hand"}}})
    await h.minutes(3)
    release = await h.release()
    await h.world.alert()
    await h.world.turn()
    newest = await h.world.newest()
    assert (newest.reverts, newest.id != release.id, bool(newest.alerts)) == ("", True, True)


async def test_the_hold_is_on_record_with_its_effect() -> None:
    h = await held()
    (waiting,) = await h.world.journal.waiting_holds(9)
    assert (waiting.effect_id, waiting.remediation_id) == ("r-0/0.0", "r-0")
    assert waiting.at == h.by.done[0].at


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        (ObjectRef("HelmRelease.helm.toolkit.fluxcd.io", "shop", "api"), ("spec", "values", "replicas")),
        (API, ("spec", "suspend")),
    ],
)
def test_only_what_keeps_a_controller_away_is_a_hold(ref: ObjectRef, path: tuple[str, ...]) -> None:
    """A live change may well be one of a GitOps object."""
    patch = Patch(ref=ref, uid="u", changes=(FieldChange(path, True, None),))
    done = Done(effect_id="r-0/0.0", step=0, at=NOW, summary="live", inverse=patch)
    spec = load(restart_playbook(steps=[SCALE])).playbook
    assert holds_of(remediation(State.SUCCEEDED, spec=spec, done=(done,))) == ()


@pytest.mark.parametrize("merged", [True, False])
async def test_from_the_hold_to_its_release(merged: bool) -> None:
    """Nothing is made up here: the step says `via: hold_and_pr`, and a person agrees to what it proposes."""
    clock, sent = VirtualClock(), list[str]()

    def forge(place: str, request: Mapping[str, Any]) -> Any:
        if request.get("about") == "files":
            return files({f"{PROD}/deployment.yaml": MANIFEST})
        sent.append(str(request.get("do") or request["branch"]))
        return {"state": "merged" if merged else "open", "number": 12, "url": "https://git.example/12", "says": "#12"}

    content = restart_playbook(name="scale-api", mode="approve", steps=[SCALE])
    world = World(content, clock=clock, callers={"forge": SimulatedCaller(tells=True, answer=forge)})
    owned = deployment()
    owned["metadata"]["annotations"] = dict(ARGO)
    world.cluster.apply(owned, git_application(), manager="argocd-controller")
    world.settle()
    await world.alert()
    r = await world.run_until("awaiting_approval", "denied", "held")
    assert r.state is State.AWAITING_APPROVAL, r.reason
    assert r.plan is not None
    assert any(note.endswith("the hold ends when that is merged, or after 2 h") for note in r.plan.steps[0].notes)
    await world.core.runner.apply_from_person(r.id, Approved(who="alice", digest=r.digest))
    r = await world.run_until("succeeded", "escalated", "cancelled")
    assert (r.state, world.replicas(), [len(holds_of(r)), sent]) == (State.SUCCEEDED, 5, [1, ["propose"]]), r.reason
    h = Held(world, Forge(), r)
    assert h.automated() is None
    await h.minutes(3 if merged else 118)
    assert (h.automated(), len(await h.releases())) == ((AUTOMATED, 1) if merged else (None, 0))
    await h.minutes(5)
    assert (h.automated(), (await h.release()).state, await h.waiting()) == (AUTOMATED, State.SUCCEEDED, 0)
    assert any("Held for too long" in page for page in await said(world, "pagerduty")) is not merged


@pytest.mark.parametrize("via", ["live", "pr"])
def test_only_a_step_that_says_so_holds(via: str) -> None:
    patch = Patch(ref=APP, uid="u", changes=(FieldChange(AUTOMATED_PATH, None, AUTOMATED),))
    done = Done(effect_id="r-0/0.0", step=0, at=NOW, summary="hold", inverse=patch)
    spec = load(restart_playbook(steps=[{**SCALE, "via": via}])).playbook
    assert holds_of(remediation(State.SUCCEEDED, spec=spec, done=(done,))) == ()
