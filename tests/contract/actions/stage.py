"""One namespace of the real API server with the real planner and effector over it, for one action at a time.

The service account that acts may read everything and write what the action declares, nothing else: a right that is
missing in an action is a refusal here.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from remediator.actions.base import Action, Right
from remediator.actions.registry import load_actions
from remediator.adapters.clock import SystemClock
from remediator.adapters.kubernetes import KubernetesCluster
from remediator.adapters.simulated import SimulatedCaller, SimulatedQueries
from remediator.adapters.sql.journal import SqlJournal
from remediator.guardrails.policy import Policy
from remediator.guardrails.verdict import Answer, Verdict
from remediator.objects import KINDS, Kind, Object, ObjectRef
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.model import LoadedPlaybook, Mode
from remediator.remediation.assembly import Core, Ports, Settings, assemble
from remediator.remediation.conditions import undo_of
from remediator.remediation.effector import Effector, LastLook
from remediator.remediation.events import Acted, PlanMade
from remediator.remediation.journal import Attempt, AttemptOutcome, Journal, NewAttempt
from remediator.remediation.samples import CheckSample
from remediator.remediation.state import Done, Plan, Remediation, State
from tests.contract.actions.arrange import kind_of
from tests.support.controlplane import ControlPlane, wait_until
from tests.support.world import load

ACCOUNT = "acting"
RBAC = "rbac.authorization.k8s.io"
READ = ["get", "list", "watch"]
UP = ({"promql": {"query": "up", "success": "> 0", "failure": "<= 0"}},)
MANY_KINDS = 10
"""An action with more kinds of target than this can act on anything."""


class Later(SystemClock):
    """The machine's clock, so far ahead: what a test has just made is old then."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


class LaterCluster(KubernetesCluster):
    """An API server whose clock agrees with `Later`."""

    ahead = timedelta(0)

    async def server_time(self) -> datetime:
        return await super().server_time() + self.ahead


class Attempts:
    """The part of the journal that the effector asks, without reservations: nobody else is at work."""

    def __init__(self) -> None:
        self._rows: list[Attempt] = []

    async def record_attempt(self, attempt: NewAttempt, now: datetime) -> Attempt:
        row = Attempt(
            id=str(len(self._rows)),
            remediation_id=attempt.remediation_id,
            effect_id=attempt.effect_id,
            number=len(self._rows) + 1,
            epoch=attempt.epoch,
            uid=attempt.uid,
            resource_version=attempt.resource_version,
            generation=attempt.generation,
            request=attempt.request,
            at=now,
            outcome=None,
            detail="",
        )
        self._rows.append(row)
        return row

    async def record_outcome(self, attempt_id: str, outcome: AttemptOutcome, detail: str, now: datetime) -> None:
        self._rows[int(attempt_id)] = replace(self._rows[int(attempt_id)], outcome=outcome, detail=detail)

    async def attempts(self, remediation_id: str) -> tuple[Attempt, ...]:
        return tuple(row for row in self._rows if row.remediation_id == remediation_id)

    async def last_attempt(self, remediation_id: str, effect_id: str) -> Attempt | None:
        return next((row for row in reversed(self._rows) if row.effect_id == effect_id), None)


@dataclass(slots=True, kw_only=True)
class Stage:
    """Made by `open_stage`; `close` it."""

    plane: ControlPlane
    namespace: str
    cluster: KubernetesCluster
    clock: Later
    queries: SimulatedQueries
    caller: SimulatedCaller
    attempts: Attempts = field(default_factory=Attempts)
    playbook: LoadedPlaybook
    _core: Core | None = None

    async def close(self) -> None:
        await self.cluster.close()
        name = f"{self.namespace}-{ACCOUNT}"
        self.plane.client.delete("clusterroles", name)
        self.plane.client.delete("clusterrolebindings", name)

    def remediation(self, target: ObjectRef) -> Remediation:
        now = self.clock.now()
        return Remediation(
            id=f"r-{secrets.token_hex(4)}",
            episode="",
            cluster="test",
            target=target,
            root=target,
            because="a test names it",
            created_at=now,
            state=State.PLANNED,
            since=now,
            due=now,
            spec=self.playbook.playbook,
            playbook_hash=self.playbook.hash,
            mode="auto",
            chain=(self.playbook.playbook.name,),
            cause="a test asked for it",
        )

    async def plan(self, r: Remediation) -> PlanMade:
        """By the real planner, with every guardrail and the API server's rehearsal."""
        return await self.core.planner.plan(r, ())

    async def verify(self, r: Remediation) -> dict[str, CheckSample]:
        """What the checks of its playbook say now, by their names."""
        found = await self.core.verifier.sample(replace(r, state=State.VERIFYING))
        return {check.check: check for check in found.checks}

    @property
    def core(self) -> Core:
        if self._core is None:
            self._core = assemble(
                Ports(
                    clusters={"test": self.cluster},
                    journal=SqlJournal.in_memory(),
                    clock=self.clock,
                    queries=self.queries,
                    callers={"test": {"exec": self.caller}},
                ),
                Settings(policy=Policy(mode_ceiling=Mode.AUTO)),
                lambda: Catalog([self.playbook]),
                holder="test",
                actions=load_actions(),
            )
        return self._core

    async def act(self, r: Remediation, plan: Plan) -> Remediation:
        """Every effect of the plan, in order. Raises: AssertionError when one is not done."""
        r = replace(r, plan=plan, state=State.ACTING)
        for number, effect in enumerate(plan.steps[0].effects):
            acted = await self.attempt(replace(r, effect=number))
            assert acted.answer == "done", f"{effect}: {acted.answer}: {acted.detail}"
            done = Done(
                effect_id=acted.effect_id,
                step=0,
                at=self.clock.now(),
                summary=effect.kind,
                inverse=acted.inverse,
                taken_uid=acted.taken_uid,
                made=acted.made,
            )
            r = replace(r, effect=number + 1, done=(*r.done, done), acted_at=done.at)
        return r

    async def attempt(self, r: Remediation) -> Acted:
        """The effect that is next; again while a controller moves the object between look and request."""
        for _ in range(20):
            acted = await self.once(r)
            if acted.answer not in ("conflict", "budget", "busy"):
                return acted
        return acted

    async def once(self, r: Remediation, meanwhile: LastLook | None = None) -> Acted:
        """One go at the effect that is next. `meanwhile` happens between the last look and the request."""
        effector = Effector({"test": self.cluster}, cast("Journal", self.attempts), self.clock)
        return await effector.act(r, meanwhile or _no_objection)

    async def undo(self, r: Remediation) -> tuple[Remediation, str]:
        """What can be taken back, taken back; and the effect at which that ends. Raises: AssertionError."""
        left, barrier = undo_of(r)
        r = replace(r, undoing=True, undo_left=left, state=State.UNDOING)
        for number in range(len(left)):
            acted = await self.attempt(replace(r, undo_sent=number))
            assert acted.answer == "done", f"undo of {left[number]}: {acted.answer}: {acted.detail}"
        return r, barrier

    def look(self, ref: ObjectRef) -> Object | None:
        """By the admin, as it is now."""
        kind = KINDS[ref.kind]
        resource = f"{kind.plural}.{kind.group}" if "." in ref.kind else kind.plural
        found: list[Object] = [
            item
            for item in self.plane.client.list(resource, ref.namespace or None)
            if item["metadata"]["name"] == ref.name
        ]
        return {"apiVersion": kind.api_version, "kind": kind.kind, **found[0]} if found else None


async def _no_objection(*_: Any) -> None:
    return None


async def open_stage(
    plane: ControlPlane,
    namespace: str,
    *,
    action: str,
    params: Mapping[str, Any],
    target: ObjectRef,
    ahead: timedelta = timedelta(0),
    rights: bool = True,
    kinds: Mapping[str, Kind] = KINDS,
    checks: Sequence[Mapping[str, Any]] = UP,
) -> Stage:
    """`rights=False`: an account that may read, and write nothing."""
    playbook = playbook_of(action, params, target, checks)
    allowed = _rights(load_actions()[action], params, target) if rights else ()
    kubeconfig = _account(plane, namespace, allowed)
    cluster = await LaterCluster.connect("test", kubeconfig=kubeconfig, kinds=kinds, read_timeout_s=20.0)
    cluster.ahead = ahead
    clock = Later(ahead)
    return Stage(
        plane=plane,
        namespace=namespace,
        cluster=cluster,
        clock=clock,
        queries=SimulatedQueries(clock),
        caller=SimulatedCaller(),
        playbook=playbook,
    )


def playbook_of(
    action: str, params: Mapping[str, Any], target: ObjectRef, checks: Sequence[Mapping[str, Any]] = UP
) -> LoadedPlaybook:
    """One step of one action, which a person may start. Raises: InvalidPlaybook."""
    return load(
        {
            "name": "try-it",
            "manual": True,
            "target": {"kind": target.kind, "name": target.name, **_in(target.namespace)},
            "mode": "auto",
            "steps": [{"action": action, "with": dict(params)}],
            "verify": {"checks": list(checks)},
        }
    )


def _in(namespace: str) -> dict[str, str]:
    return {"namespace": namespace} if namespace else {}


def _rights(action: Action[Any], params: Mapping[str, Any], target: ObjectRef) -> Iterable[Right]:
    """What the action declares; of a generic one, which declares every kind, what concerns the kind that it writes."""
    manifest = params.get("manifest")
    written = kind_of(manifest) if manifest else target.kind
    declared: tuple[Right, ...] | None = getattr(action, "rights", None)
    if declared is None:
        more = ("HorizontalPodAutoscaler",) if "hpas" in action.needs else ()
        pods = (Right("create", "Pod", "eviction"), Right("delete", "Pod")) if "pods" in action.needs else ()
        return (*pods, *(Right("patch", kind) for kind in (written, *more)))
    return tuple(right for right in declared if right.kind == written) if len(action.kinds) > MANY_KINDS else declared


def _account(plane: ControlPlane, namespace: str, rights: Iterable[Right]) -> Path:
    """A kubeconfig of an account that reads everything, and has these rights besides."""
    name = f"{namespace}-{ACCOUNT}"
    rules: list[dict[str, Any]] = [{"apiGroups": ["*"], "resources": ["*"], "verbs": READ}]
    for right in rights:
        kind = KINDS[right.kind]
        resource = f"{kind.plural}/{right.subresource}" if right.subresource else kind.plural
        rules.append({"apiGroups": [kind.group], "resources": [resource], "verbs": [right.verb]})
    token = plane.token_for(namespace, ACCOUNT)
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
    }
    plane.client.apply(role)
    plane.client.apply(binding)
    client = plane.client.with_token(token)

    def arrived() -> bool:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": "list", "group": "", "resource": "nodes"}},
        }
        answer = client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    wait_until(arrived, what="the rights to arrive")
    return plane.kubeconfig_for(token, name)


def objections(made: PlanMade) -> list[Verdict]:
    """Whatever would keep it from being done now: denied, or held."""
    return [v for v in made.verdicts if v.answer in (Answer.DENY, Answer.HOLD)]
