"""Every action that writes to Kubernetes, on the real API server with the operators' own schemas, from plan to undo."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from remediator.actions.base import Action, Right
from remediator.actions.change import Create, Effect, Patch
from remediator.actions.registry import BUILT_IN, load_actions
from remediator.actions.render import generated_id, resolved
from remediator.kinds import KINDS
from remediator.objects import Object, ObjectRef, annotations_of, labels_of
from remediator.ports import FIELD_MANAGER, MADE_BY, MARKER, Sample
from remediator.remediation.samples import CheckSample
from remediator.remediation.state import Plan, Remediation
from remediator.rights import needed_rights
from tests.contract.actions.arrange import clean_up, play, set_up
from tests.contract.actions.cases import Case, Proof, changed_paths, differs, filled, read_cases, ref
from tests.contract.actions.stage import ACCOUNT, READ, Stage, objections, open_stage, playbook_of
from tests.support.controlplane import ControlPlane
from tests.support.controlplane.audit import AuditEvent
from tests.support.crds import Served

CASES = read_cases()
BY_THE_API_SERVER = "deprecated.daemonset.template.generation"
PROVED_WITHIN_S = 150.0
"""The controllers of a busy machine; seconds otherwise."""
BOOKKEEPING = ("resourceVersion", "generation", "managedFields")
NOT_HERE: Mapping[str, str] = {
    "fence_node": "a simulated kubelet brings a silent node back; see tests/actions/nodes/test_on_a_real_api_server.py",
}


def writes_to_kubernetes(action: type[Action[Any]]) -> bool:
    """Not what only speaks to something outside, or runs a program in a pod: those have tests of their caller.

    Whoever declares no rights patches its kinds.
    """
    declared: tuple[Right, ...] | None = getattr(action, "rights", None)
    return declared is None or any(r.verb not in READ and r.subresource != "exec" for r in declared)


def test_every_action_is_tried_here_or_says_why_not() -> None:
    names = {action.name for action in BUILT_IN if writes_to_kubernetes(action)}
    tried = {case.action for case in CASES}
    assert names - tried - set(NOT_HERE) == set(), "add a row to tests/contract/actions/cases, or a reason to NOT_HERE"
    assert (tried | set(NOT_HERE)) - names == set(), "no such action"
    assert tried & set(NOT_HERE) == set(), "it is tried and has a reason not to be"
    assert len({case.id for case in CASES}) == len(CASES), "two rows have the same name"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_an_action_writes_is_what_its_playbook_asks_rights_for(case: Case) -> None:
    """What `doctor` checks and `remediator rbac` prints; that these rights are enough, the runs below show."""
    where = ref(filled(case.target, "shop"), "shop")
    playbook = playbook_of(case.action, filled(case.with_, "shop"), where)
    asked = {
        (right.verb, f"{KINDS[right.kind].plural}/{right.subresource}".rstrip("/"))
        for right in needed_rights([playbook], load_actions(), (), "test")
    }
    lacking = {tuple(line.removeprefix("~").split()[:2]) for line in case.does} - asked
    assert lacking == set()


def test_kinds_are_what_the_crds_say(control_plane: ControlPlane, served: Served) -> None:
    """Version, plural, scope and status: a wrong one is a 404 for people who have the operator."""
    wrong = []
    for crd in control_plane.client.list("customresourcedefinitions"):
        spec = crd["spec"]
        name = f"{spec['names']['kind']}.{spec['group']}"
        if name not in served.kinds:
            continue
        kind = KINDS[name]
        version = next((v for v in spec["versions"] if f"{spec['group']}/{v['name']}" == kind.api_version), None)
        if version is None or not version["served"]:
            wrong.append(f"{name}: {kind.api_version} is not served")
            continue
        status = "status" in (version.get("subresources") or {})
        found = (spec["names"]["plural"], spec["scope"] == "Namespaced", status)
        if found != (kind.plural, kind.namespaced, kind.status):
            wrong.append(f"{name}: plural, namespaced, status are {found}")
    assert wrong == []


@pytest.fixture
async def stage(
    request: pytest.FixtureRequest, control_plane: ControlPlane, namespace: str, served: Served
) -> AsyncIterator[Stage]:
    case: Case = request.param
    served.needs(case.kinds)
    target = ref(filled(case.target, namespace), namespace)
    params = filled(case.with_, namespace)
    checks = filled(case.verify.checks, namespace)
    made = await open_stage(
        control_plane, namespace, action=case.action, params=params, target=target, ahead=case.ahead, checks=checks
    )
    measured(made, filled(case.queries, namespace))
    yield made
    await made.close()
    clean_up(control_plane, filled(list(case.given), namespace))


@pytest.mark.parametrize(("case", "stage"), [pytest.param(c, c, id=c.id) for c in CASES], indirect=["stage"])
async def test_an_action(case: Case, stage: Stage) -> None:
    plane, namespace = stage.plane, stage.namespace
    await asyncio.to_thread(set_up, plane, namespace, filled(list(case.given), namespace))
    r = stage.remediation(ref(filled(case.target, namespace), namespace))

    start = plane.audit_offset()
    made = await stage.plan(r)
    assert [f"{v.guardrail}: {v.reason}" for v in objections(made)] == []
    assert made.plan is not None, made.explanation
    assert not [n for n in made.plan.steps[0].notes if "not validated" in n]
    why = made.plan.steps[0].needs_approval
    assert case.asks in why if case.asks else not why, f"it asks people: {why}"
    assert writes(plane, namespace, start) == [], "a plan has written"
    rehearsed(plane, namespace, start, made.plan)

    generated = generated_id(r.id, r.created_at, 0)
    effects = [resolved(effect, generated) for effect in made.plan.steps[0].effects]
    before = {e.ref: stage.look(e.ref) for e in effects if isinstance(e, Patch)}
    assert None not in before.values() or any(isinstance(e, Patch) and e.made_here for e in effects)
    mark = plane.audit_offset()
    r = await stage.act(r, made.plan)
    sent = writes(plane, namespace, mark)
    assert differs([said(event) for event in sent], filled(list(case.does), namespace, generated)) == []
    for event, effect in zip(sent, effects, strict=True):
        only_what_was_planned(event, effect, before)
        before |= {effect.ref: event.response_object} if isinstance(effect, Patch) else {}
    carries_our_mark(stage, r, effects)
    stands(stage, filled(case.then, namespace, generated))
    await proved(stage, r, case.verify, generated)

    r, barrier = await stage.undo(r)
    if case.undo is None:
        assert barrier, "it can be taken back: say undo"
        assert r.undo_left == ()
    else:
        assert r.undo_left != ()
        stands(stage, filled(case.undo, namespace, generated))


def measured(stage: Stage, queries: Mapping[str, Any]) -> None:
    """What Prometheus answers from now on."""
    for query, value in queries.items():
        samples = [Sample(labels=labels, value=number, at=stage.clock.now()) for labels, number in value]
        stage.queries.set(query, samples)


async def proved(stage: Stage, r: Remediation, proof: Proof, generated: str) -> None:
    """What was there before the effect proves nothing; what others say of it since is believed, good and bad."""

    def played(manifests: Sequence[Mapping[str, Any]]) -> Any:
        return asyncio.to_thread(play, stage.plane, stage.namespace, filled(manifests, stage.namespace, generated))

    def answers(found: Mapping[str, CheckSample]) -> set[str]:
        return {sample.answer for sample in found.values()}

    if proof.stands or proof.metrics:
        found = await stage.verify(r)
        assert answers(found) != {"good"}, f"proved by what was there before: {found}"
    if proof.fails:
        assert "bad" not in answers(found), f"bad before anybody has said so: {found}"
        await played(proof.fails)
        found = await stage.verify(r)
        assert "bad" in answers(found), found
    await played(proof.stands)
    measured(stage, filled(proof.metrics, stage.namespace))
    deadline = asyncio.get_running_loop().time() + PROVED_WITHIN_S
    while answers(found := await stage.verify(r)) != {proof.answer}:
        assert asyncio.get_running_loop().time() < deadline, {name: sample.detail for name, sample in found.items()}
        await asyncio.sleep(0.2)


def writes(plane: ControlPlane, namespace: str, since: int) -> list[AuditEvent]:
    """By the account that acts, wherever."""
    user = f"system:serviceaccount:{namespace}:{ACCOUNT}"
    return [event for event in plane.effects(since=since, user=user) if event.code != 409]


def rehearsed(plane: ControlPlane, namespace: str, since: int, plan: Plan) -> None:
    """What can be tried beforehand was tried, strictly, and the API server took it."""
    user = f"system:serviceaccount:{namespace}:{ACCOUNT}"
    tries = [e for e in plane.effects(since=since, user=user, dry_runs=True) if e.dry_run]
    first = plan.steps[0].effects[0]
    assert tries or not isinstance(first, Patch | Create)
    # 409: its status moved between read and rehearsal, which the last look is for.
    assert all(event.code < 300 or event.code == 409 for event in tries), [said(event) for event in tries]


def said(event: AuditEvent) -> str:
    sub = f"/{event.subresource}" if event.subresource else ""
    name = event.name or str(((event.response_object or {}).get("metadata") or {}).get("name", ""))
    refused = "" if 200 <= event.code < 300 else f" ({event.code})"
    return f"{event.verb} {event.resource}{sub} {name}{refused}"


def only_what_was_planned(event: AuditEvent, effect: Effect, before: Mapping[ObjectRef, Object | None]) -> None:
    """Nothing else of the object has changed by our request, and it was sent strictly, in our name."""
    if event.verb in ("create", "patch") and event.subresource != "eviction":
        assert f"fieldManager={FIELD_MANAGER}" in event.request_uri
        assert "fieldValidation=Strict" in event.request_uri
    old = before.get(effect.ref) if isinstance(effect, Patch) else None
    if not isinstance(effect, Patch) or old is None or effect.made_here:
        return
    allowed = [_without_items(change.path) for change in effect.changes]
    allowed += [("metadata", "annotations", key) for key in (MARKER, BY_THE_API_SERVER)]
    new: Any = event.response_object
    found = [p for p in changed_paths(_bare(old), _bare(new)) if not any(_below(p, a) for a in allowed)]
    if not effect.subresource:  # status is somebody else's, and moves by itself
        found = [p for p in found if p[0] != "status"]
    assert found == [], f"changed beside what was planned: {found}"


def _bare(obj: Any) -> dict[str, Any]:
    meta = {k: v for k, v in obj["metadata"].items() if k not in BOOKKEEPING}
    return {**{k: v for k, v in obj.items() if k not in ("kind", "apiVersion")}, "metadata": meta}


def _without_items(path: tuple[str, ...]) -> tuple[str, ...]:
    """Up to the first list: a list is compared as one value."""
    for number, part in enumerate(path):
        if part.isdigit() or part.startswith("["):
            return path[:number]
    return path


def _below(path: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
    """Below what is allowed, or what had to be made or removed around it."""
    return path[: len(allowed)] == allowed or allowed[: len(path)] == path


def carries_our_mark(stage: Stage, r: Remediation, effects: list[Effect]) -> None:
    """The last patch of each object is the one that its marker names; what we made says by whom."""
    last: dict[ObjectRef, str] = {}
    for number, effect in enumerate(effects):
        if isinstance(effect, Patch) and not effect.subresource:
            last[effect.ref] = f"{r.id}/0.{number}"
        if isinstance(effect, Create):
            assert labels_of(_there(stage, effect.ref))[MADE_BY] == r.id
            last[effect.ref] = f"{r.id}/0.{number}"
    for where, effect_id in last.items():
        assert annotations_of(_there(stage, where))[MARKER] == effect_id


def _there(stage: Stage, where: ObjectRef) -> Object:
    found = stage.look(where)
    assert found is not None, f"{where} is not there"
    return found


def stands(stage: Stage, wanted: Mapping[str, Any]) -> None:
    for text, content in wanted.items():
        where = ref(text, stage.namespace)
        found = stage.look(where)
        if content is None:
            assert found is None or found["metadata"].get("deletionTimestamp"), f"{where} is still there"
            continue
        assert found is not None, f"{where} is not there"
        lines = differs(found, content)
        assert lines == [], f"{where}: {lines}"
