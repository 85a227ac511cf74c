"""What happens between a plan and its effect: people, other controllers and admission are quicker, and win."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from remediator.guardrails.verdict import Answer
from remediator.objects import ObjectRef
from remediator.remediation.conditions import undo_of
from remediator.remediation.state import Remediation, State
from tests.contract.actions.arrange import set_up
from tests.contract.actions.stage import Stage, objections, open_stage
from tests.contract.actions.test_actions import said, writes
from tests.support.controlplane import ApiError, ControlPlane, KubeClient, wait_until
from tests.support.controlplane import manifests as m
from tests.support.crds import Served

FRIDAY = "not on a Friday: see the calendar of the platform team"


@pytest.fixture
async def running(control_plane: ControlPlane, namespace: str, served: Served) -> AsyncIterator[Stage]:
    """A Deployment of three copies that is to get five."""
    await asyncio.to_thread(set_up, control_plane, namespace, [m.deployment("web")])
    target = ObjectRef("Deployment", namespace, "web")
    params = {"to": 5, "min": 1, "max": 9}
    stage = await open_stage(control_plane, namespace, action="scale", params=params, target=target)
    yield stage
    await stage.close()


async def begun(stage: Stage) -> Remediation:
    """Planned, and about to act."""
    r = stage.remediation(ObjectRef("Deployment", stage.namespace, "web"))
    made = await stage.plan(r)
    assert made.plan is not None, made.explanation
    assert objections(made) == []
    return replace(r, plan=made.plan, state=State.ACTING)


def change(stage: Stage, body: Mapping[str, Any]) -> Callable[..., Any]:
    """Somebody else is quicker: between our last look and our request."""

    async def meanwhile(*_: Any) -> None:
        await asyncio.to_thread(stage.plane.client.patch, "deployments", "web", body, stage.namespace)

    return meanwhile


def copies(stage: Stage) -> int:
    return int(stage.plane.client.get("deployments", "web", stage.namespace)["spec"]["replicas"])


async def test_people_win_when_they_change_the_same_field(running: Stage) -> None:
    r = await begun(running)
    acted = await running.once(r, change(running, {"spec": {"replicas": 7}}))
    assert acted.answer == "conflict"
    assert re.fullmatch(
        r'409 Conflict: Operation cannot be fulfilled on deployments\.apps "web": .*please apply your changes to the '
        r"latest version and try again",
        acted.detail,
    ), acted.detail
    acted = await running.once(r)
    assert (acted.answer, acted.detail) == (
        "changed",
        "changed by someone else, left alone: spec.replicas is 7 now, the plan saw 3",
    )
    assert copies(running) == 7


async def test_a_change_of_something_else_only_takes_another_look(running: Stage) -> None:
    r = await begun(running)
    acted = await running.once(r, change(running, {"metadata": {"labels": {"team": "shop"}}}))
    assert acted.answer == "conflict"
    assert (await running.attempt(r)).answer == "done"
    assert copies(running) == 5


async def test_an_undo_leaves_alone_what_somebody_has_changed_since(running: Stage) -> None:
    r = await begun(running)
    assert r.plan is not None
    r = await running.act(r, r.plan)
    running.plane.client.patch("deployments", "web", {"spec": {"replicas": 6}}, running.namespace)
    left, _ = undo_of(r)
    acted = await running.attempt(replace(r, undoing=True, undo_left=left, undo_sent=0, state=State.UNDOING))
    assert (acted.answer, acted.detail) == (
        "changed",
        "changed by someone else, left alone: spec.replicas is 6 now, the plan saw 5",
    )
    assert copies(running) == 6


async def test_another_object_of_the_same_name_is_left_alone(running: Stage) -> None:
    r = await begun(running)
    client = running.plane.client
    client.delete("deployments", "web", running.namespace)
    gone(client, running.namespace)
    acted = await running.once(r)
    assert (acted.answer, acted.detail) == ("refused", 'it does not exist any more: deployments.apps "web" not found')
    await asyncio.to_thread(set_up, running.plane, running.namespace, [m.deployment("web")])
    acted = await running.once(r)
    assert acted.answer == "changed"
    assert re.fullmatch(
        r"changed by someone else, left alone: Deployment [a-z0-9-]+/web is another object now "
        r"\(uid [0-9a-f-]{36}, planned for [0-9a-f-]{36}\)",
        acted.detail,
    ), acted.detail


def gone(client: KubeClient, namespace: str) -> None:
    wait_until(lambda: client.list("deployments", namespace) == [], what="the Deployment to be gone")


@pytest.fixture
def policy(running: Stage) -> Iterator[Callable[[], None]]:
    """Puts a real admission policy in force, in this namespace: nobody scales, on a Friday."""
    client, name = running.plane.client, running.namespace
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.spec.replicas == oldObject.spec.replicas", "message": FRIDAY}],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
    bound = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}

    def in_force() -> bool:
        try:
            client.patch("deployments", "web", {"spec": {"replicas": 9}}, name, dryRun="All")
        except ApiError as exc:
            return FRIDAY in str(exc)
        return False

    def install() -> None:
        client.apply({**api, "kind": "ValidatingAdmissionPolicy", "spec": spec})
        client.apply({**api, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound})
        wait_until(in_force, timeout_s=60, what="the admission policy in force")

    yield install
    for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        client.delete(f"{kind}.admissionregistration.k8s.io", name)


NOT_ADMITTED = (
    r'422 Invalid: deployments\.apps "web" is forbidden: ValidatingAdmissionPolicy \'[a-z0-9-]+\' with binding '
    r"\'[a-z0-9-]+\' denied request: " + FRIDAY
)


async def test_admission_refuses_the_rehearsal(running: Stage, policy: Callable[[], None]) -> None:
    await asyncio.to_thread(policy)
    made = await running.plan(running.remediation(ObjectRef("Deployment", running.namespace, "web")))
    (verdict,) = objections(made)
    assert (verdict.guardrail, verdict.answer) == ("dry_run", Answer.DENY)
    assert re.fullmatch(f"the API server refuses it: {NOT_ADMITTED}", verdict.reason), verdict.reason
    assert [said(event) for event in writes(running.plane, running.namespace, 0)] == []


async def test_admission_refuses_what_it_has_let_pass_before(running: Stage, policy: Callable[[], None]) -> None:
    r = await begun(running)
    await asyncio.to_thread(policy)
    acted = await running.once(r)
    assert acted.answer == "refused"
    assert re.fullmatch(NOT_ADMITTED, acted.detail), acted.detail
    assert copies(running) == 3


async def test_who_may_not_write_is_only_told_so_when_a_person_would_do_it(
    control_plane: ControlPlane, namespace: str, served: Served
) -> None:
    """In mode suggest nothing is sent by us: the plan stands, and says that it was not validated."""
    await asyncio.to_thread(set_up, control_plane, namespace, [m.deployment("web")])
    target = ObjectRef("Deployment", namespace, "web")
    params = {"to": 5, "min": 1, "max": 9}
    stage = await open_stage(control_plane, namespace, action="scale", params=params, target=target, rights=False)
    try:
        made = await stage.plan(replace(stage.remediation(target), mode="suggest"))
    finally:
        await stage.close()
    assert made.plan is not None
    assert "not validated: no permission" in made.plan.steps[0].notes
