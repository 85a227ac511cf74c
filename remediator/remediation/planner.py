"""From a chosen playbook to a plan with verdicts: read, let actions propose, rehearse, sample, guard. Reads only.

Everything that can fail becomes a verdict with its reason: a definite no denies, an unknown holds. The digest binds
what people approve to what is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from remediator.actions.base import Action
from remediator.actions.change import Change, Effect, NotPossible, Patch
from remediator.actions.digest import DigestStep, digest
from remediator.actions.render import marker_of, render
from remediator.actions.view import View
from remediator.actions.workload import template_hash
from remediator.errors import CannotSee, Conflict, EffectError, NotFound, ReadError, Refused, TargetGone, Unavailable
from remediator.guardrails import storm
from remediator.guardrails.explain import explain
from remediator.guardrails.facts import AlertFact, EffectiveLimits, Facts, TargetFacts
from remediator.guardrails.order import evaluate
from remediator.guardrails.policy import Policy, limits_in_force
from remediator.guardrails.verdict import Answer, Verdict
from remediator.objects import WORKLOADS, Object, ObjectRef, ref_of, uid_of
from remediator.playbooks.binding import bind_args, bind_target, bind_targets
from remediator.playbooks.model import Mode, Playbook, Step, TargetSpec
from remediator.playbooks.params import InvalidParam
from remediator.playbooks.templates import TemplateError
from remediator.ports import Clock, Cluster, Silence, Silences
from remediator.remediation.conditions import final_verify
from remediator.remediation.events import PlanMade, StepPlanned
from remediator.remediation.journal import AlertRecord, Journal
from remediator.remediation.reading import read_view
from remediator.remediation.scopes import Scopes
from remediator.remediation.state import Plan, PlannedStep, Remediation, State
from remediator.remediation.verifier import Verifier


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
    """What a plan looks at: the playbook's own targets, and by step the target that a step names for itself."""

    main: tuple[View, ...]
    of_step: Mapping[int, View]

    @property
    def all(self) -> tuple[View, ...]:
        return (*self.main, *self.of_step.values())


class _Verdicts(Exception):
    """Planning cannot go on; these verdicts say why."""

    def __init__(self, *verdicts: Verdict) -> None:
        super().__init__(verdicts[0].reason if verdicts else "")
        self.verdicts = verdicts


def _no(guardrail: str, reason: str) -> Verdict:
    return Verdict(guardrail=guardrail, answer=Answer.DENY, reason=reason)


def _not_seen(guardrail: str, reason: str) -> Verdict:
    return Verdict(guardrail=guardrail, answer=Answer.HOLD, reason=reason, cannot_see=True)


class Planner:
    """Makes plans. Holds no state but its ports."""

    def __init__(
        self,
        *,
        clusters: Mapping[str, Cluster],
        journal: Journal,
        silences: Silences | None,
        actions: Mapping[str, Action[Any]],
        verifier: Verifier,
        scopes: Scopes,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._clusters = clusters
        self._journal = journal
        self._silences = silences
        self._actions = actions
        self._verifier = verifier
        self._scopes = scopes
        self._policy = policy
        self._clock = clock

    async def plan(self, r: Remediation, records: Sequence[AlertRecord] | None = None) -> PlanMade:
        """The whole playbook, planned and guarded on fresh facts. Raises: JournalUnavailable."""
        assert r.spec is not None
        if records is None:
            records = await self._journal.alerts(r.alerts)
        try:
            views = await self._views(r, records)
            proposals = self._propose(r, r.spec, views, records)
        except _Verdicts as exc:
            return self._cannot(r, exc.verdicts)
        target = views.main[0]
        steps = _steps(r.spec, proposals)
        first = [p for p in proposals if p.step == 0] or proposals[:1]
        now = self._clock.now()
        rehearsal, before, quiet, facts = await asyncio.gather(
            self._rehearse(r, first),
            self._verifier.before(r, views.main, records),
            self._quiet(r, records),
            self._facts(r, proposals, records, now),
        )
        notes, objections = rehearsal
        plan = Plan(
            made_at=now,
            digest=self._digest(r, proposals),
            target=target.ref,
            root=r.root or target.root,
            uid=uid_of(target.target),
            because=r.because,
            steps=tuple(replace(s, notes=(*s.notes, *notes)) if i == 0 else s for i, s in enumerate(steps)),
            targets=tuple(dict.fromkeys(v.ref for v in views.all)),
            locks=_locks(r.cluster, proposals),
            before=before,
            alerts_quiet_since=quiet,
            undo_text=_undo_text(r.spec, proposals),
            workload_uid=uid_of(target.target),
            template_hash=template_hash(target.target["spec"]["template"]) if target.ref.kind in WORKLOADS else "",
        )
        verdicts = (*evaluate(facts), *objections)
        return PlanMade(plan=plan, verdicts=verdicts, explanation=explain(verdicts, subject=_subject(plan)))

    async def plan_step(self, r: Remediation) -> StepPlanned:
        """Step `r.step` in its turn. `before` may differ only by our own recorded effects. Raises:
        JournalUnavailable."""
        assert r.spec is not None
        assert r.plan is not None
        records = await self._journal.alerts(r.alerts)
        try:
            views = await self._views(r, records, only_step=r.step)
            proposals = self._propose(r, r.spec, views, records, only_step=r.step)
        except _Verdicts as exc:
            return StepPlanned(
                plan=None, verdicts=exc.verdicts, explanation=explain(exc.verdicts, subject=_subject(r.plan))
            )
        now = self._clock.now()
        (_, objections), facts = await asyncio.gather(
            self._rehearse(r, proposals), self._facts(r, proposals, records, now)
        )
        verdicts = (*evaluate(facts), *objections)
        planned = _steps(r.spec, proposals)[r.step]
        approved = r.plan.steps[r.step]
        steps = (*r.plan.steps[: r.step], planned, *r.plan.steps[r.step + 1 :])
        return StepPlanned(
            plan=replace(r.plan, steps=steps, made_at=now),
            verdicts=verdicts,
            explanation=explain(verdicts, subject=_subject(r.plan)),
            differs=_difference(r, approved, planned) or _unmet(verdicts),
        )

    async def guard(self, r: Remediation) -> tuple[Verdict, ...]:
        """Every guard again on fresh facts, for the effects of this step that are still to come.

        The change is half done, so an action may have nothing left to propose: then what is left of the plan is guarded
        as it stands. Raises: JournalUnavailable.
        """
        assert r.spec is not None
        assert r.plan is not None
        records = await self._journal.alerts(r.alerts)
        try:
            views = await self._views(r, records, only_step=r.step)
        except _Verdicts as exc:
            return exc.verdicts
        planned = r.plan.steps[r.step]
        left = planned.effects[r.effect :]
        targets = (views.of_step[r.step],) if r.step in views.of_step else views.main
        action = self._actions.get(planned.action)
        if action is None:
            return (_no("action", f"action {planned.action} is not installed"),)
        proposals, verdicts = [], []
        for view in targets:
            mine = tuple(e for e in left if _belongs(e, view))
            if not mine:
                continue
            try:
                proposals.append(self._one(r, r.spec, r.step, r.spec.steps[r.step], view, records))
            except NotPossible as exc:
                if exc.guardrail != "action":
                    answer = Answer.HOLD if exc.hold else Answer.DENY
                    verdicts.append(Verdict(guardrail=exc.guardrail, answer=answer, reason=exc.reason))
                proposals.append(
                    Proposal(step=r.step, action=action, view=view, params={}, change=_rest(mine, planned))
                )
            except _Verdicts as exc:
                verdicts += exc.verdicts
        facts = await self._facts(r, proposals, records, self._clock.now())
        began = r.step == 0 and r.effect == 0
        return (*evaluate(replace(facts, planned_at=r.plan.made_at if began else facts.now)), *verdicts)

    # --- reading and proposing ------------------------------------------------------------------------------------

    async def _views(self, r: Remediation, records: Sequence[AlertRecord], only_step: int | None = None) -> Views:
        """The playbook's own target(s), and those of steps that name another. Raises: _Verdicts."""
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
            raise _Verdicts(_no("target", f"the target does not exist: {exc}")) from exc
        except ReadError as exc:
            raise _Verdicts(_not_seen("target", f"the target cannot be read: {exc}")) from exc
        return Views(
            main=tuple(views[key] for key in main), of_step={i: views[(ref, ref, "")] for i, ref in own.items()}
        )

    def _step_target(self, spec: Playbook, index: int, records: Sequence[AlertRecord], cluster: str) -> ObjectRef:
        """The object that a step names for itself. Raises: _Verdicts."""
        target = spec.steps[index].target
        assert target is not None
        try:
            scope = self._scopes.scope(spec, records[0].alert if records else None, None, self._clock.now())
            bound = bind_target(target, scope, ("steps", index, "target"))
        except (TemplateError, InvalidParam) as exc:
            raise _Verdicts(_no("template", f"step {index + 1}: {exc}")) from exc
        if bound.cluster not in ("", cluster):
            reason = f"step {index + 1} names cluster {bound.cluster}, the remediation is about {cluster}"
            raise _Verdicts(_no("target", reason))
        return bound.ref

    async def _selected(self, cluster: Cluster, spec: Playbook, records: Sequence[AlertRecord]) -> list[ObjectRef]:
        assert spec.targets is not None
        try:
            scope = self._scopes.scope(spec, records[0].alert if records else None, None, self._clock.now())
            wanted = bind_targets(spec.targets, scope)
            found = (await cluster.list(wanted.kind, wanted.namespace, labels=wanted.selector)).items
        except (TemplateError, InvalidParam) as exc:
            raise _Verdicts(_no("template", str(exc))) from exc
        except ReadError as exc:
            raise _Verdicts(_not_seen("target", f"targets cannot be listed: {exc}")) from exc
        if not found:
            raise _Verdicts(
                _no("target", f"no {wanted.kind} in {wanted.namespace} matches {wanted.selector!r}: nothing to do")
            )
        if len(found) > wanted.max:
            raise _Verdicts(_no("max_targets", f"{len(found)} targets match, the playbook allows {wanted.max}"))
        return sorted(ref_of(o) for o in found)

    def _propose(
        self,
        r: Remediation,
        spec: Playbook,
        views: Views,
        records: Sequence[AlertRecord],
        only_step: int | None = None,
    ) -> list[Proposal]:
        """What each action step would do to each of its targets. Raises: _Verdicts."""
        proposals: list[Proposal] = []
        for index, step in enumerate(spec.steps):
            if not step.action or only_step not in (None, index):
                continue
            for view in (views.of_step[index],) if index in views.of_step else views.main:
                try:
                    proposals.append(self._one(r, spec, index, step, view, records))
                except NotPossible as exc:
                    if exc.hold and index > 0 and only_step is None:
                        continue  # a later step is planned in its turn; what holds it now may be our own first step
                    answer = Answer.HOLD if exc.hold else Answer.DENY
                    raise _Verdicts(Verdict(guardrail=exc.guardrail, answer=answer, reason=exc.reason)) from exc
        return proposals

    def _one(
        self, r: Remediation, spec: Playbook, index: int, step: Step, view: View, records: Sequence[AlertRecord]
    ) -> Proposal:
        action = self._actions.get(step.action)
        if action is None:
            raise NotPossible(f"action {step.action} is not installed")
        if view.ref.kind not in action.kinds:
            raise NotPossible(f"{step.action} cannot act on a {view.ref.kind}")
        missing = [f"{p}: {why}" for p, why in sorted(view.unreadable.items()) if p in action.needs]
        if missing:
            raise _Verdicts(_not_seen("target", "; ".join(missing)))
        primary = records[0].alert if records else None
        try:
            known = r.plan.steps[index].resolved.get(view.ref.key) if r.plan and r.done else None
            scope = self._scopes.scope(spec, primary, view, self._clock.now())
            params = bind_args(action.params, step.with_, scope, ("steps", index, "with"))
            params = action.resolve(params, view) if known is None else action.params.model_validate(known)
        except (TemplateError, InvalidParam) as exc:
            raise _Verdicts(_no("template", f"step {index + 1} ({step.action}): {exc}")) from exc
        change = action.plan(params, view)
        return Proposal(step=index, action=action, view=view, params=params.model_dump(mode="json"), change=change)

    def _cannot(self, r: Remediation, verdicts: tuple[Verdict, ...]) -> PlanMade:
        what = f"{r.playbook} on {r.target}" if r.target else r.playbook
        return PlanMade(plan=None, verdicts=verdicts, explanation=explain(verdicts, subject=what))

    # --- rehearsing and guarding ----------------------------------------------------------------------------------

    async def _rehearse(
        self, r: Remediation, proposals: Sequence[Proposal]
    ) -> tuple[tuple[str, ...], tuple[Verdict, ...]]:
        """Let the API server rehearse the patches of the first step. Returns notes and objections."""
        cluster = self._clusters[r.cluster]
        answers = await asyncio.gather(
            *(
                self._dry_run(r, cluster, effect, looked)
                for p in proposals
                for effect in p.change.effects
                if isinstance(effect, Patch)
                for looked in (p.view.target, *p.view.hpas)
                if ref_of(looked) == effect.ref
            )
        )
        notes = tuple(a for a in answers if isinstance(a, str))
        return notes, tuple(a for a in answers if isinstance(a, Verdict))

    async def _dry_run(self, r: Remediation, cluster: Cluster, effect: Patch, looked: Object) -> str | Verdict | None:
        request = render(effect, looked, effect_id=r.effect_id, now=self._clock.now())
        try:
            await cluster.write(request, dry_run=True)
        except Refused as exc:
            if exc.forbidden and r.mode in (Mode.OBSERVE, Mode.SUGGEST):
                return "not validated: no permission"
            return _no("dry_run", f"the API server refuses it: {exc}")
        except TargetGone as exc:
            return _no("target", f"the target is gone: {exc}")
        except Conflict:
            return None  # status moved between read and rehearsal; the last look reads again
        except Unavailable as exc:
            return _not_seen("dry_run", f"the API server is busy: {exc}")
        except EffectError as exc:
            return _not_seen("dry_run", f"the rehearsal got no answer: {exc}")
        return None

    async def _facts(
        self, r: Remediation, proposals: Sequence[Proposal], records: Sequence[AlertRecord], now: datetime
    ) -> Facts:
        assert r.spec is not None
        limits = self.limits(r.spec)
        unknown: dict[str, str] = {}
        silences = await self._silenced(unknown)
        window = max(limits.rate_window, limits.cooldown_success, limits.cooldown_failure)
        runs, pauses, episode, arrivals, workloads = await asyncio.gather(
            self._journal.runs(now, window),
            self._journal.pauses(now),
            self._journal.episode(r.episode),
            self._journal.arrivals(r.cluster, now - storm.LOOK_BACK),
            self._journal.known_workloads(r.cluster),
        )
        marker = await self._foreign_marker(proposals)
        return Facts(
            now=now,
            remediation_id=r.id,
            episode_id=r.episode,
            cluster=r.cluster,
            playbook=r.spec,
            limits=limits,
            alerts=tuple(
                AlertFact(
                    fingerprint=a.alert.fingerprint,
                    labels=a.alert.labels,
                    starts_at=a.alert.starts_at,
                    first_seen=a.first_seen,
                )
                for a in records
            ),
            targets=tuple(
                TargetFacts(
                    ref=p.view.ref,
                    root=p.view.root,
                    uid=uid_of(p.view.target),
                    view=p.view,
                    change=p.change,
                    named=_names_outright(r.spec, p.step),
                )
                for p in proposals
            ),
            action=proposals[0].action.name if proposals else "",
            action_disruptive=any(p.action.disruptive for p in proposals),
            planned_at=now,
            pauses=pauses,
            silences=silences,
            runs=tuple(x for x in runs if x.remediation_id != r.id),
            arrivals=arrivals,
            known_workloads=workloads,
            ladders=episode.ladders if episode else 0,
            between_rungs=bool(r.parent),
            approved=r.state is State.APPROVED or bool(r.consents),
            protected_namespaces=self._policy.protected_namespaces,
            unknown_marker=marker,
            unknown=unknown,
        )

    async def _silenced(self, unknown: dict[str, str]) -> tuple[Silence, ...] | None:
        if self._silences is None:
            return None
        try:
            return await self._silences.active()
        except CannotSee as exc:
            unknown["silences"] = f"Alertmanager did not answer: {exc}"
            return ()

    async def _foreign_marker(self, proposals: Sequence[Proposal]) -> str:
        """The marker of an effect that this journal does not know: the store's history is missing."""
        for proposal in proposals:
            marker = marker_of(proposal.view.target)
            if marker and not await self._journal.knows_effect(marker):
                return marker
        return ""

    async def _quiet(self, r: Remediation, records: Sequence[AlertRecord]) -> datetime | None:
        """Asked only where it can matter: after a resolved webhook, or when some time has passed."""
        if r.state is State.PLANNED and not all(a.resolved_at for a in records):
            return None
        return await self._verifier.quiet_since(r, records)

    def _params(self, r: Remediation, proposals: Sequence[Proposal]) -> dict[str, str]:
        """The parameters in force: they reach the checks as well, so they belong to what is approved."""
        assert r.spec is not None
        view = proposals[0].view if proposals else None
        scope = self._scopes.scope(r.spec, None, view, self._clock.now())
        return {name: str(value) for name, value in scope.params.items()}

    def limits(self, spec: Playbook) -> EffectiveLimits:
        return limits_in_force(spec, self._policy)

    def _digest(self, r: Remediation, proposals: Sequence[Proposal]) -> str:
        assert r.spec is not None
        return digest(
            playbook_hash=r.playbook_hash,
            cluster=r.cluster,
            steps=[
                DigestStep(
                    action=p.action.name,
                    target=p.view.ref,
                    uid=uid_of(p.view.target),
                    params=p.params,
                    effects=p.change.effects,
                )
                for p in proposals
            ],
            verify={"checks": final_verify(r.spec).model_dump(mode="json"), "params": self._params(r, proposals)},
        )


def _belongs(effect: Effect, view: View) -> bool:
    """Whether an effect is about this target: the object itself, its autoscaler, or one of its pods."""
    if isinstance(effect, Patch):
        return effect.ref == view.ref or effect.ref in {ref_of(h) for h in view.hpas}
    owners = {uid_of(view.target), *(uid_of(x) for x in view.revisions)}
    return bool(owners & set(effect.pod.owner_uids)) or effect.pod.uid in {uid_of(p) for p in view.pods}


def _rest(effects: tuple[Effect, ...], planned: PlannedStep) -> Change:
    """What is left of a change, when the action itself has nothing more to propose. An eviction may take one copy."""
    takes = (
        planned.takes if any(isinstance(e, Patch) for e in effects) else int(any(e.kind == "evict" for e in effects))
    )
    return Change(effects=effects, takes=takes, summary=planned.summary, direction=planned.direction)


def _unmet(verdicts: Sequence[Verdict]) -> str:
    """What would need a person's yes that nobody has given."""
    asks = [f"{v.guardrail}: {v.reason}" for v in verdicts if v.answer is Answer.ASK]
    return f"needs approval: {'; '.join(asks)}" if asks else ""


def _names_outright(spec: Playbook, step: int) -> bool:
    """Whether the playbook spells out this very object: no label of an alert has a say in it."""
    target = spec.steps[step].target or spec.target
    return isinstance(target, TargetSpec) and "${" not in f"{target.kind}{target.namespace}{target.name}"


def _steps(spec: Playbook, proposals: Sequence[Proposal]) -> tuple[PlannedStep, ...]:
    """All steps in order; effects of several targets of one step follow each other."""
    planned = []
    for index, step in enumerate(spec.steps):
        mine = [p for p in proposals if p.step == index]
        if not step.action:
            what = (
                f"wait {step.wait}"
                if step.wait is not None
                else step.ask or f"check {step.check.kind if step.check else ''}"
            )
            planned.append(PlannedStep(action="", summary=what))
            continue
        planned.append(
            PlannedStep(
                action=step.action,
                summary="; ".join(p.change.summary for p in mine) or f"{step.action}, planned in its turn",
                effects=tuple(e for p in mine for e in p.change.effects),
                takes=sum(p.change.takes for p in mine),
                direction=next((p.change.direction for p in mine if p.change.direction), ""),
                needs_approval="; ".join(p.change.needs_approval for p in mine if p.change.needs_approval),
                notes=tuple(n for p in mine for n in p.change.notes),
                resolved={p.view.ref.key: p.params for p in mine},
            )
        )
    return tuple(planned)


def _locks(cluster: str, proposals: Sequence[Proposal]) -> tuple[str, ...]:
    """Named object, its root controller, every object written; sorted, so that two reservations cannot deadlock."""
    keys = set()
    for p in proposals:
        keys |= {p.view.ref.key, p.view.root.key}
        keys |= {e.ref.key for e in p.change.effects if isinstance(e, Patch)}
    return tuple(sorted(f"{cluster}/{key}" for key in keys))


def _undo_text(spec: Playbook, proposals: Sequence[Proposal]) -> str:
    if spec.undo.after == "never":
        return "nothing is undone: the playbook says never"
    able = [p.change.summary for p in proposals if any(isinstance(e, Patch) and e.undoable for e in p.change.effects)]
    unable = [p.change.summary for p in proposals if p.change.summary not in able]
    parts = []
    if able:
        parts.append(f"taken back if it makes things worse: {'; '.join(able)}")
    if unable:
        parts.append(f"cannot be undone: {'; '.join(unable)}")
    return ". ".join(parts)


def subject_of(r: Remediation) -> str:
    """What it is about, for people: `replicas 3 -> 5 of Deployment shop/api`."""
    return _subject(r.plan) if r.plan else f"{r.playbook or 'remediation'} of {r.target or r.root}"


def _subject(plan: Plan) -> str:
    return f"{plan.steps[0].summary or plan.steps[0].action} of {plan.target}" if plan.steps else str(plan.target)


def _difference(r: Remediation, approved: PlannedStep, planned: PlannedStep) -> str:
    """How a later step departs from what was approved, other than by our own recorded effects."""
    assert r.plan is not None
    unlocked = {f"{r.cluster}/{e.ref.key}" for e in planned.effects if isinstance(e, Patch)} - set(r.plan.locks)
    if unlocked:
        return f"{', '.join(sorted(unlocked))} would be changed, which was not planned and is not locked"
    if not approved.effects:
        return ""  # it could not be planned earlier; its bounds were approved with the playbook's content
    ours: dict[tuple[ObjectRef, tuple[str, ...]], list[Any]] = {}
    assert r.plan is not None
    for step in r.plan.steps[: r.step]:
        for effect in step.effects:
            if isinstance(effect, Patch):
                for change in effect.changes:
                    ours.setdefault((effect.ref, change.path), []).append(change.after)
    wanted = {(e.ref, c.path): c for e in approved.effects if isinstance(e, Patch) for c in e.changes}
    found = {(e.ref, c.path): c for e in planned.effects if isinstance(e, Patch) for c in e.changes}
    if wanted.keys() != found.keys() or len(approved.effects) != len(planned.effects):
        return "other fields would be changed than were planned"
    for key, change in found.items():
        if change.after != wanted[key].after:
            return f"{'.'.join(key[1])} would become {change.after}, planned was {wanted[key].after}"
        if change.before != wanted[key].before and change.before not in ours.get(key, []):
            return f"{'.'.join(key[1])} is {change.before} now, the plan saw {wanted[key].before}"
    return ""
