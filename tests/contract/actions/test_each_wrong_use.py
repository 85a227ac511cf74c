"""Each action, used wrongly in each way that there is, on the real API server: one clear sentence, nothing written."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from remediator.actions.change import Create, Delete, Effect, Evict
from remediator.actions.registry import load_actions
from remediator.actions.render import generated_id, render, resolved
from remediator.adapters.simulated import SimulatedCaller, SimulatedQueries
from remediator.errors import InvalidPlaybook
from remediator.guardrails.verdict import Answer, Verdict
from remediator.objects import KINDS, Kind, ObjectRef
from remediator.ports import Sample
from remediator.remediation.events import PlanMade
from remediator.remediation.state import Remediation, State
from tests.contract.actions.arrange import clean_up, resource, set_up
from tests.contract.actions.cases import Case, filled, ref
from tests.contract.actions.stage import MANY_KINDS, RBAC, READ, Later, LaterCluster, Stage, objections, playbook_of
from tests.contract.actions.test_actions import CASES, said
from tests.support.controlplane import ControlPlane
from tests.support.crds import Served
from tests.support.denying import NAME, denying, wait_until_denied

ACTING, READING, DENIED = "acting", "reading", "denied"
FRIDAY = "not on a Friday: see the calendar of the platform team"
LONGEST = 900
"""Most characters of a sentence; an API server's own words are at most 500 of them."""

ONE_OF_EACH = list({case.action: case for case in reversed(CASES)}.values())[::-1]
"""The first row of each action."""

ANY_KIND: Mapping[str, str] = {
    "annotate": "it acts on every kind",
    "label": "it acts on every kind",
    "patch": "it acts on every kind",
    "create": "its target is only where people look for it",
    "apply": "its target is only where people look for it",
}
"""Actions for which there is no wrong kind, and why."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Three accounts: one may do everything, one may only read, and of one admission refuses all writes."""

    plane: ControlPlane
    home: str
    files: Mapping[str, Path]

    def wrote(self, since: int) -> list[str]:
        """What any of them has really written."""
        users = {f"system:serviceaccount:{self.home}:{name}" for name in self.files}
        events = self.plane.effects(since=since)
        return [said(event) for event in events if event.user in users and 200 <= event.code < 300]

    @asynccontextmanager
    async def stage(
        self, case: Case, namespace: str, who: str, *, target: ObjectRef, kinds: Mapping[str, Kind] = KINDS
    ) -> AsyncIterator[Stage]:
        playbook = playbook_of(case.action, filled(case.with_, namespace), target)
        cluster = await LaterCluster.connect("test", kubeconfig=self.files[who], kinds=kinds, read_timeout_s=20.0)
        cluster.ahead = case.ahead
        clock = Later(case.ahead)
        queries = SimulatedQueries(clock)
        for query, value in filled(case.queries, namespace).items():
            queries.set(query, [Sample(labels=labels, value=number, at=clock.now()) for labels, number in value])
        made = Stage(
            plane=self.plane,
            namespace=namespace,
            cluster=cluster,
            clock=clock,
            queries=queries,
            caller=SimulatedCaller(),
            playbook=playbook,
        )
        try:
            yield made
        finally:
            await cluster.close()


@pytest.fixture(scope="module")
def accounts(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    home = f"accounts-{secrets.token_hex(3)}"
    client = control_plane.client
    client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}})
    tokens = {name: control_plane.token_for(home, name) for name in (ACTING, READING, DENIED)}
    for name in tokens:
        _grant(control_plane, home, name, READ if name == READING else ["*"])
    files = {name: control_plane.kubeconfig_for(token, f"{home}-{name}") for name, token in tokens.items()}
    folder = tmp_path_factory.mktemp("webhook")
    with denying(control_plane, folder, f"system:serviceaccount:{home}:{DENIED}", FRIDAY):
        wait_until_denied(control_plane, tokens[DENIED], home)
        yield Accounts(control_plane, home, files)
    for name in tokens:
        client.delete("clusterroles", f"{home}-{name}")
        client.delete("clusterrolebindings", f"{home}-{name}")
    client.delete("namespaces", home)


def _grant(plane: ControlPlane, home: str, account: str, verbs: list[str]) -> None:
    api, name = f"{RBAC}/v1", f"{home}-{account}"
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}]
    plane.client.apply({"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
    binding = {
        "apiVersion": api,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
    }
    plane.client.apply(binding)


@dataclass(frozen=True, slots=True)
class Arena:
    """A namespace in which the objects of one row stand."""

    case: Case
    accounts: Accounts
    namespace: str

    @property
    def target(self) -> ObjectRef:
        return ref(filled(self.case.target, self.namespace), self.namespace)

    def stage(self, who: str) -> AbstractAsyncContextManager[Stage]:
        return self.accounts.stage(self.case, self.namespace, who, target=self.target)


@pytest.fixture(scope="module")
def arena(request: pytest.FixtureRequest, accounts: Accounts, served: Served) -> Iterator[Arena]:
    case: Case = request.param
    served.needs(case.kinds)
    plane, namespace = accounts.plane, f"{case.action.replace('_', '-')}-{secrets.token_hex(3)}"
    plane.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    given = filled(list(case.given), namespace)
    try:
        set_up(plane, namespace, given)
        yield Arena(case, accounts, namespace)
    finally:
        clean_up(plane, given)
        plane.client.delete("namespaces", namespace)


each = pytest.mark.parametrize("case", ONE_OF_EACH, ids=lambda case: case.action)
in_its_arena = pytest.mark.parametrize(
    "arena", [pytest.param(case, id=case.action) for case in ONE_OF_EACH], indirect=True
)


# --- before anything of it is read -----------------------------------------------------------------------------------


@each
async def test_its_target_does_not_exist(case: Case, accounts: Accounts, served: Served) -> None:
    kind = case.target.partition("/")[0]
    served.needs({kind})
    target = ref(f"{kind}/no-such", accounts.home)
    since = accounts.plane.audit_offset()
    async with accounts.stage(case, accounts.home, ACTING, target=target) as stage:
        made = await stage.plan(stage.remediation(target))
    known = KINDS[kind]
    what = f"{known.plural}.{known.group}" if known.group else known.plural
    verdict = only_one(made)
    assert (verdict.guardrail, verdict.answer) == ("target", Answer.DENY)
    assert verdict.reason == f'the target does not exist: {what} "no-such" not found'
    is_clear(made.explanation, "no-such")
    assert accounts.wrote(since) == []


OPERATORS = [case for case in ONE_OF_EACH if "." in case.target.partition("/")[0]]


@pytest.mark.parametrize("case", OPERATORS, ids=lambda case: case.action)
async def test_the_operator_of_its_target_is_not_installed(case: Case, accounts: Accounts) -> None:
    """A version of its group that nobody serves: an API server says the same of it as of an absent operator."""
    kind = case.target.partition("/")[0]
    absent = replace(KINDS[kind], api_version=f"{KINDS[kind].group}/v0")
    target = ref(f"{kind}/shop", accounts.home)
    since = accounts.plane.audit_offset()
    kinds = {**KINDS, kind: absent}
    async with accounts.stage(case, accounts.home, ACTING, target=target, kinds=kinds) as stage:
        made = await stage.plan(stage.remediation(target))
    verdict = only_one(made)
    assert (verdict.guardrail, verdict.answer) == ("target", Answer.HOLD)
    assert re.fullmatch(
        rf"the target cannot be read: .*{absent.plural}.*{re.escape(absent.group)}.*", verdict.reason
    ), verdict.reason
    is_clear(made.explanation, absent.plural, absent.group)
    assert accounts.wrote(since) == []


def test_who_acts_on_any_kind() -> None:
    actions = load_actions()
    assert {case.action for case in ONE_OF_EACH if len(actions[case.action].kinds) > MANY_KINDS} == set(ANY_KIND)


@pytest.mark.parametrize("case", [c for c in ONE_OF_EACH if c.action not in ANY_KIND], ids=lambda case: case.action)
async def test_its_target_is_of_another_kind(case: Case, accounts: Accounts) -> None:
    """No playbook is loaded that says so; one that learns its target's kind from an alert is told when it plans."""
    target = ObjectRef("ConfigMap", accounts.home, "kube-root-ca.crt")
    with pytest.raises(InvalidPlaybook, match=rf"{case.action} cannot act on a ConfigMap") as refused:
        playbook_of(case.action, filled(case.with_, accounts.home), target)
    assert str(refused.value).count("cannot act on") == 1

    its_own = ref(filled(case.target, accounts.home), accounts.home)
    since = accounts.plane.audit_offset()
    async with accounts.stage(case, accounts.home, ACTING, target=its_own) as stage:
        made = await stage.plan(stage.remediation(target))
    verdict = only_one(made)
    assert (verdict.guardrail, verdict.answer) == ("action", Answer.DENY)
    assert verdict.reason == f"{case.action} cannot act on a ConfigMap"
    is_clear(made.explanation, "kube-root-ca.crt")
    assert accounts.wrote(since) == []


# --- when it is rehearsed --------------------------------------------------------------------------------------------

NO_RIGHT = r'403 Forbidden: .*User "[^"]+:reading" cannot (patch|create|delete) resource "[^"]+" in API group "[^"]*".*'
NOT_ADMITTED = rf'\w+ [^ :]+: 403: admission webhook "{re.escape(NAME)}" denied the request: {FRIDAY}'

NO_REHEARSAL: Mapping[str, str] = {"evict_pod": "its pod is chosen when it is sent"}
"""Actions of which the first effect cannot be rehearsed, and why; the send below is where they are told."""


@in_its_arena
@pytest.mark.parametrize(("who", "says"), [(READING, NO_RIGHT), (DENIED, NOT_ADMITTED)], ids=["no right", "webhook"])
async def test_it_is_refused_when_it_is_rehearsed(arena: Arena, who: str, says: str) -> None:
    since = arena.accounts.plane.audit_offset()
    async with arena.stage(who) as stage:
        made = await rehearsed(stage, arena.target)
    if arena.case.action in NO_REHEARSAL:
        assert objections(made) == []
    else:
        verdict = only_one(made)
        assert (verdict.guardrail, verdict.answer) == ("dry_run", Answer.DENY)
        others = r"( \(\d+ more requests? of this step (was|were) not accepted either\))?"
        pattern = rf"the API server refuses it: ([^:]+: )?{says}{others}"
        assert re.fullmatch(pattern, verdict.reason), verdict.reason
        is_clear(made.explanation, arena.target.name)
    assert arena.accounts.wrote(since) == []


@pytest.mark.parametrize("arena", [c for c in ONE_OF_EACH if c.action == "scale"], ids=["scale"], indirect=True)
async def test_a_webhook_that_gives_no_reason_is_no_missing_right(arena: Arena) -> None:
    """In mode suggest a person does it, whose rights may be others; what admission says, it says to everybody."""
    async with arena.stage(DENIED) as stage:
        made = await rehearsed(stage, arena.target, mode="suggest")
    assert re.fullmatch(f"the API server refuses it: .*{NOT_ADMITTED}", only_one(made).reason)


# --- when it is sent -------------------------------------------------------------------------------------------------


@in_its_arena
@pytest.mark.parametrize(("who", "says"), [(READING, NO_RIGHT), (DENIED, NOT_ADMITTED)], ids=["no right", "webhook"])
async def test_it_is_refused_when_it_is_sent(arena: Arena, who: str, says: str) -> None:
    """The right, or the webhook, is from after the rehearsal."""
    since = arena.accounts.plane.audit_offset()
    async with arena.stage(ACTING) as before, arena.stage(who) as now:
        r = await begun(before, arena.target)
        acted = await now.attempt(r)
    assert acted.answer == "refused"
    assert re.fullmatch(rf"([^:]+: )?{says}", acted.detail), acted.detail
    is_clear(acted.detail, name_of(arena, r))
    assert arena.accounts.wrote(since) == []


@in_its_arena
async def test_somebody_else_is_quicker(arena: Arena) -> None:
    """Between the last look and the request: nothing is written over."""
    since = arena.accounts.plane.audit_offset()
    async with arena.stage(ACTING) as stage:
        r = await begun(stage, arena.target)
        effect = next_effect(r)

        async def meanwhile(_: Any, __: Any, looked: Any) -> None:
            await asyncio.to_thread(interfere, stage, effect, looked)

        try:
            acted = await stage.once(r, meanwhile)
            if isinstance(effect, Evict):  # of one pod, whatever its state is: only another one in its place matters
                assert (acted.answer, acted.detail[:4]) == ("nothing_to_do", "404 "), acted
            else:
                assert (acted.answer, acted.detail[:4]) == ("conflict", "409 "), acted
            is_clear(acted.detail, name_of(arena, r))
            if isinstance(effect, Create):
                acted = await stage.once(r)
                assert acted.answer == "refused"
                assert acted.detail == f"{effect.ref} exists already, and this is not what made it"
        finally:
            if isinstance(effect, Create):
                where = (effect.ref.name, effect.ref.namespace or None)
                arena.accounts.plane.client.delete(resource(effect.ref.kind), *where)
    assert arena.accounts.wrote(since) == []


def interfere(stage: Stage, effect: Effect, looked: Mapping[str, Any]) -> None:
    """As somebody else: mark what is about to be written, make what is about to be made, take what is to be evicted."""
    client = stage.plane.client
    if isinstance(effect, Create):
        body = json.loads(render(effect, None, effect_id="", now=stage.clock.now()).body)
        client.create({**body, "metadata": {"name": effect.ref.name}}, effect.ref.namespace or None)
        return
    if isinstance(effect, Evict):
        gone = {"gracePeriodSeconds": 0}
        client.delete("pods", looked["metadata"]["name"], looked["metadata"]["namespace"], gone)
        return
    kind = "Pod" if isinstance(effect, Delete) else effect.ref.kind
    meta = looked["metadata"]
    mark = {"metadata": {"annotations": {"example.com/quicker": secrets.token_hex(3)}}}
    client.patch(resource(kind), meta["name"], mark, meta.get("namespace"))


# --- helpers ---------------------------------------------------------------------------------------------------------


async def rehearsed(stage: Stage, target: ObjectRef, mode: str = "auto") -> PlanMade:
    """Again where a controller was quicker: such a rehearsal says nothing, and the last look reads anew."""
    for _ in range(20):
        since = stage.plane.audit_offset()
        made = await stage.plan(replace(stage.remediation(target), mode=mode))
        if not any(event.dry_run and event.code == 409 for event in stage.plane.effects(since=since, dry_runs=True)):
            break
    return made


async def begun(stage: Stage, target: ObjectRef) -> Remediation:
    """Planned, and about to act."""
    r = stage.remediation(target)
    made = await stage.plan(r)
    assert made.plan is not None, made.explanation
    assert objections(made) == []
    return replace(r, plan=made.plan, state=State.ACTING)


def only_one(made: PlanMade) -> Verdict:
    found = objections(made)
    assert len(found) == 1, [f"{v.guardrail}: {v.reason}" for v in found]
    return found[0]


def is_clear(sentence: str, *names: str) -> None:
    assert "\n" not in sentence
    assert len(sentence) <= LONGEST, len(sentence)
    assert not [name for name in names if name not in sentence], sentence


def next_effect(r: Remediation) -> Effect:
    assert r.plan is not None
    return resolved(r.plan.steps[0].effects[0], generated_id(r.id, r.created_at, 0))


def name_of(arena: Arena, r: Remediation) -> str:
    """Of the object that is written first; of a rule for pods the begin of their names."""
    effect = next_effect(r)
    if isinstance(effect, Evict | Delete):
        return effect.pod.name or f"{arena.target.name}-"
    return effect.ref.name
