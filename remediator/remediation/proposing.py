"""What each action would do to its targets: read the targets, fill in arguments, ask the actions. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from remediator.actions.base import Action
from remediator.actions.change import Change, NotPossible, Patch
from remediator.actions.view import View, Wanted
from remediator.errors import NotFound, ReadError
from remediator.gitops import via
from remediator.gitops.drift import is_hold
from remediator.gitops.owner import ARGOCD_NAMESPACE, claim
from remediator.gitops.wording import Evidence
from remediator.guardrails.verdict import Answer, Verdict
from remediator.objects import ObjectRef, ref_of
from remediator.playbooks.binding import bind_args, bind_target, bind_targets
from remediator.playbooks.model import Playbook, Step
from remediator.playbooks.params import InvalidParam
from remediator.playbooks.templates import TemplateError
from remediator.ports import Callers, Clock, Cluster, Queries
from remediator.remediation.journal import AlertRecord, Journal
from remediator.remediation.reading import read_view
from remediator.remediation.scopes import Scopes
from remediator.remediation.state import Remediation
from remediator.remediation.temporary import put_back, wanted_of
from remediator.remediation.wanting import read_wanted

MOST_ROUNDS = 4
"""How often it is asked what else has to be known: an owner, what that follows, the files there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One action step for one target."""

    step: int
    action: Action[Any]
    view: View
    params: Mapping[str, Any]
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """What a plan looks at: the playbook's own targets, by step the target that a step names for itself, and by step
    what its action wanted to know besides."""

    main: tuple[View, ...]
    of_step: Mapping[int, View]
    more: Mapping[int, tuple[View, ...]] = field(default_factory=dict)

    @property
    def all(self) -> tuple[View, ...]:
        return (*self.main, *self.of_step.values())

    def of(self, step: int) -> tuple[View, ...]:
        """The targets of a step, with all that its action wanted to know."""
        if step in self.more:
            return self.more[step]
        return (self.of_step[step],) if step in self.of_step else self.main


class NoProposal(Exception):
    """Planning cannot go on; these verdicts say why."""

    def __init__(self, *verdicts: Verdict) -> None:
        super().__init__(verdicts[0].reason if verdicts else "")
        self.verdicts = verdicts


def denied(guardrail: str, reason: str) -> Verdict:
    return Verdict(guardrail=guardrail, answer=Answer.DENY, reason=reason)


def not_seen(guardrail: str, reason: str) -> Verdict:
    return Verdict(guardrail=guardrail, answer=Answer.HOLD, reason=reason, cannot_see=True)


class Proposer:
    """Holds no state but its ports."""

    def __init__(
        self,
        *,
        clusters: Mapping[str, Cluster],
        journal: Journal,
        actions: Mapping[str, Action[Any]],
        scopes: Scopes,
        clock: Clock,
        queries: Queries | None = None,
        callers: Callers | None = None,
        argocd_namespace: str = ARGOCD_NAMESPACE,
    ) -> None:
        self._argocd_namespace = argocd_namespace
        self._clusters = clusters
        self._queries = queries
        self._callers = callers or {}
        self._journal = journal
        self._actions = actions
        self._scopes = scopes
        self._clock = clock

    def action(self, name: str) -> Action[Any] | None:
        return self._actions.get(name)

    async def views(self, r: Remediation, records: Sequence[AlertRecord], only_step: int | None = None) -> Views:
        """The playbook's own target(s), and those of steps that name another. Raises: NoProposal."""
        assert r.spec is not None
        cluster = self._clusters[r.cluster]
        main: list[tuple[ObjectRef, ObjectRef, str]] = []
        if r.spec.targets is not None:
            main += [(ref, ref, "") for ref in await self._selected(cluster, r.spec, records)]
        else:
            assert r.target is not None
            assert r.root is not None
            main.append((r.target, r.root, r.alert_pod))
        named = {i: s for i, s in enumerate(r.spec.steps) if s.target is not None and only_step in (None, i)}
        own = {i: self._step_target(r.spec, i, records, r.cluster) for i in named}
        now = self._clock.now()
        wanted = dict.fromkeys((*main, *((ref, ref, "") for ref in own.values())))
        try:
            reads = [read_view(cluster, self._journal, ref, root, now, alert_pod=pod) for ref, root, pod in wanted]
            views = dict(zip(wanted, await asyncio.gather(*reads), strict=True))
        except NotFound as exc:
            raise NoProposal(denied("target", f"the target does not exist: {exc}")) from exc
        except ReadError as exc:
            raise NoProposal(not_seen("target", f"the target cannot be read: {exc}")) from exc
        found = Views(
            main=tuple(views[key] for key in main), of_step={i: views[(ref, ref, "")] for i, ref in own.items()}
        )
        return replace(found, more=await self._more(r, r.spec, found, records, only_step))

    async def _more(
        self, r: Remediation, spec: Playbook, views: Views, records: Sequence[AlertRecord], only_step: int | None
    ) -> dict[int, tuple[View, ...]]:
        """What the actions want to know besides, by step. Arguments that cannot be bound are `one`'s to report."""
        asking = [i for i, step in enumerate(spec.steps) if only_step in (None, i) and self.action(step.action)]
        cluster, callers = self._clusters[r.cluster], self._callers.get(r.cluster, {})

        async def read(index: int, view: View) -> View:
            """In rounds, since what was found may name what else there is; what is missing is `one`'s to report."""
            asked: set[str] = set()
            for _ in range(MOST_ROUNDS):
                wanted = self._wanted(r, spec, index, view, records)
                new = {name: want for name, want in wanted.items() if name not in asked}
                if not new:
                    break
                asked |= new.keys()
                found, unreadable = await read_wanted(new, cluster, self._queries, callers)
                view = replace(view, found={**view.found, **found}, unreadable={**view.unreadable, **unreadable})
            return view

        enriched = await asyncio.gather(*(asyncio.gather(*(read(i, v) for v in views.of(i))) for i in asking))
        return {i: tuple(seen) for i, seen in zip(asking, enriched, strict=True)}

    def _wanted(
        self, r: Remediation, spec: Playbook, index: int, view: View, records: Sequence[AlertRecord]
    ) -> Mapping[str, Wanted]:
        """By the action, and, once that is there, by the way that its change has to go."""
        step = spec.steps[index]
        action = self.action(step.action)
        if action is None or view.ref.kind not in action.kinds:
            return wanted_of(r.takes_back[index]) if r.takes_back else {}
        try:
            wants = self._wanted_by_action(r, spec, index, view, records)
        except (TemplateError, InvalidParam, NotPossible):
            return {}
        seen = wants.keys() <= view.found.keys() and action.needs.isdisjoint(view.unreadable)
        if not seen or not any(claim(obj, self._argocd_namespace) for obj in view.objects()):
            return wants
        try:
            change = self._planned(r, spec, index, view, records)[1]
        except (TemplateError, InvalidParam, NotPossible):
            return wants
        way = "live" if r.takes_back else step.via
        return {**wants, **via.wants(change, view, way, self._argocd_namespace)}

    def _wanted_by_action(
        self, r: Remediation, spec: Playbook, index: int, view: View, records: Sequence[AlertRecord]
    ) -> Mapping[str, Wanted]:
        """Raises: TemplateError, InvalidParam, NotPossible."""
        if r.takes_back:
            return wanted_of(r.takes_back[index])
        action = self._actions[spec.steps[index].action]
        if not hasattr(action, "wants"):
            return {}
        wants: Mapping[str, Wanted] = action.wants(self._bound(r, spec, index, view, records), view)
        return wants

    def _planned(
        self, r: Remediation, spec: Playbook, index: int, view: View, records: Sequence[AlertRecord]
    ) -> tuple[Mapping[str, Any], Change]:
        """The resolved params, and what the action itself would do.

        Raises: NotPossible, TemplateError, InvalidParam.
        """
        if r.takes_back:
            return {"reverts": r.reverts}, put_back(r.takes_back[index], view, r.reverts)
        action = self._actions[spec.steps[index].action]
        params = self._bound(r, spec, index, view, records)
        known = r.plan.steps[index].resolved.get(view.ref.key) if r.plan and (r.done or r.consents) else None
        params = action.resolve(params, view) if known is None else action.params.model_validate(known)
        return params.model_dump(mode="json"), action.plan(params, view)

    def _bound(self, r: Remediation, spec: Playbook, index: int, view: View, records: Sequence[AlertRecord]) -> Any:
        """The params as written. Raises: TemplateError, InvalidParam."""
        step = spec.steps[index]
        action = self._actions[step.action]
        scope = self._scopes.scope(spec, records[0].alert if records else None, view, self._clock.now())
        return bind_args(action.params, step.with_, scope, ("steps", index, "with"))

    def _step_target(self, spec: Playbook, index: int, records: Sequence[AlertRecord], cluster: str) -> ObjectRef:
        """The object that a step names for itself. Raises: NoProposal."""
        target = spec.steps[index].target
        assert target is not None
        try:
            scope = self._scopes.scope(spec, records[0].alert if records else None, None, self._clock.now())
            bound = bind_target(target, scope, ("steps", index, "target"))
        except (TemplateError, InvalidParam) as exc:
            raise NoProposal(denied("template", f"step {index + 1}: {exc}")) from exc
        if bound.cluster not in ("", cluster):
            reason = f"step {index + 1} names cluster {bound.cluster}, the remediation is about {cluster}"
            raise NoProposal(denied("target", reason))
        return bound.ref

    async def _selected(self, cluster: Cluster, spec: Playbook, records: Sequence[AlertRecord]) -> list[ObjectRef]:
        assert spec.targets is not None
        try:
            scope = self._scopes.scope(spec, records[0].alert if records else None, None, self._clock.now())
            wanted = bind_targets(spec.targets, scope)
            found = (await cluster.list(wanted.kind, wanted.namespace, labels=wanted.selector)).items
        except (TemplateError, InvalidParam) as exc:
            raise NoProposal(denied("template", str(exc))) from exc
        except ReadError as exc:
            raise NoProposal(not_seen("target", f"targets cannot be listed: {exc}")) from exc
        if not found:
            raise NoProposal(
                denied("target", f"no {wanted.kind} in {wanted.namespace} matches {wanted.selector!r}: nothing to do")
            )
        if len(found) > wanted.max:
            raise NoProposal(denied("max_targets", f"{len(found)} targets match, the playbook allows {wanted.max}"))
        return sorted(ref_of(o) for o in found)

    def propose(
        self,
        r: Remediation,
        spec: Playbook,
        views: Views,
        records: Sequence[AlertRecord],
        only_step: int | None = None,
    ) -> list[Proposal]:
        """What each action step would do to each of its targets. Raises: NoProposal."""
        proposals: list[Proposal] = []
        for index, step in enumerate(spec.steps):
            if not step.action or only_step not in (None, index):
                continue
            for view in views.of(index):
                try:
                    proposals.append(self.one(r, spec, index, step, view, records))
                except NotPossible as exc:
                    if exc.hold and index > 0 and only_step is None:
                        continue  # a later step is planned in its turn; what holds it now may be our own first step
                    answer = Answer.HOLD if exc.hold else Answer.DENY
                    raise NoProposal(Verdict(guardrail=exc.guardrail, answer=answer, reason=exc.reason)) from exc
        _refuse_second_hold(spec, proposals)
        return proposals

    def one(
        self, r: Remediation, spec: Playbook, index: int, step: Step, view: View, records: Sequence[AlertRecord]
    ) -> Proposal:
        action = self.action(step.action)
        if action is None:
            raise NotPossible(f"action {step.action} is not installed")
        if view.ref.kind not in action.kinds:
            raise NotPossible(f"{step.action} cannot act on a {view.ref.kind}")
        try:
            self._refuse_unseen(action, view, self._wanted_by_action(r, spec, index, view, records))
            params, change = self._planned(r, spec, index, view, records)
        except (TemplateError, InvalidParam) as exc:
            raise NoProposal(denied("template", f"step {index + 1} ({step.action}): {exc}")) from exc
        if step.through_git and not r.takes_back:
            self._refuse_unseen(action, view, via.wants(change, view, step.via, self._argocd_namespace))
            change = via.through_git(
                change,
                view,
                step.via,
                _evidence(r, spec, records),
                begun=any(done.step == index for done in r.done),
                argocd_namespace=self._argocd_namespace,
            )
        return Proposal(step=index, action=action, view=view, params=params, change=change)

    def _refuse_unseen(self, action: Action[Any], view: View, wanted: Mapping[str, Wanted]) -> None:
        """Raises: NoProposal when anything that the action looks at could not be read."""
        needed = {*action.needs, *wanted}
        missing = [f"{p}: {why}" for p, why in sorted(view.unreadable.items()) if p in needed]
        missing += [f"{p}: it was not read" for p in sorted(wanted) if p not in view.found and p not in view.unreadable]
        if missing:
            raise NoProposal(not_seen("target", "; ".join(missing)))


def _refuse_second_hold(spec: Playbook, proposals: Sequence[Proposal]) -> None:
    """Raises: NoProposal where a later step would wait for the end of a hold that lasts until after it."""
    held: dict[ObjectRef, int] = {}
    for p in proposals:
        for effect in p.change.effects:
            if not isinstance(effect, Patch) or not is_hold(effect):
                continue
            first = held.setdefault(effect.ref, p.step)
            if first != p.step and spec.steps[p.step].via == "hold_and_pr":
                both = f"steps {first + 1} and {p.step + 1} would both hold {effect.ref}"
                raise NoProposal(denied("action", f"{both}, and one release would end both: use a playbook for each"))


def _evidence(r: Remediation, spec: Playbook, records: Sequence[AlertRecord]) -> Evidence:
    """Of the alert that began it alone: others may join at any time, and that must not change what people agreed to."""
    alert = records[0].alert.labels.get("alertname", "") if records else r.cause
    return Evidence(remediation=r.id, playbook=spec.name, alert=alert, because=r.because)
