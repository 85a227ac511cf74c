"""From a chosen playbook to a plan with verdicts: read, let actions propose, rehearse, sample, guard. Reads only.

Everything that can fail becomes a verdict with its reason: a definite no denies, an unknown holds. The digest binds
what people approve to what is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from remediator.actions.canonical import canonical_json
from remediator.actions.change import (
    Call,
    Change,
    Create,
    Delete,
    Effect,
    Evict,
    NotPossible,
    Patch,
    Remove,
    object_of,
)
from remediator.actions.digest import DigestStep, described_as_data, digest
from remediator.actions.render import generated_id, render, resolved
from remediator.actions.view import View
from remediator.actions.workload import template_hash
from remediator.errors import Conflict, EffectError, NotFound, ReadError, Refused, TargetGone, Unavailable
from remediator.gitops import via
from remediator.guardrails import silenced
from remediator.guardrails.explain import explain
from remediator.guardrails.order import ORDER, evaluate
from remediator.guardrails.verdict import Answer, Verdict
from remediator.objects import WORKLOADS, Object, ObjectRef, ref_of, uid_of
from remediator.playbooks.durations import format_duration
from remediator.playbooks.model import Mode, Playbook
from remediator.ports import Callers, Clock, Cluster, section_of
from remediator.remediation.conditions import final_verify
from remediator.remediation.events import PlanMade, StepPlanned
from remediator.remediation.fact_reading import FactReader
from remediator.remediation.journal import AlertRecord, Journal
from remediator.remediation.proposing import NoProposal, Proposal, Proposer, denied, not_seen
from remediator.remediation.reading import read_view
from remediator.remediation.refusals import about, told_once
from remediator.remediation.scopes import Scopes
from remediator.remediation.state import Plan, PlannedStep, Remediation, State
from remediator.remediation.verifier import Verifier


class Planner:
    """Makes plans. Holds no state but its ports."""

    def __init__(
        self,
        *,
        clusters: Mapping[str, Cluster],
        journal: Journal,
        proposer: Proposer,
        facts: FactReader,
        verifier: Verifier,
        scopes: Scopes,
        clock: Clock,
        callers: Callers | None = None,
    ) -> None:
        self._clusters = clusters
        self._callers = callers or {}
        self._journal = journal
        self._proposer = proposer
        self._facts = facts
        self._verifier = verifier
        self._scopes = scopes
        self._clock = clock

    async def plan(self, r: Remediation, records: Sequence[AlertRecord] | None = None) -> PlanMade:
        """The whole playbook, planned and guarded on fresh facts. Raises: JournalUnavailable."""
        assert r.spec is not None
        if records is None:
            records = await self._journal.alerts(r.alerts)
        try:
            views = await self._proposer.views(r, records)
            proposals = self._proposer.propose(r, r.spec, views, records)
        except NoProposal as exc:
            return self._cannot(r, exc.verdicts)
        target = views.main[0]
        steps = _steps(r.spec, proposals)
        first = [p for p in proposals if p.step == 0] or proposals[:1]
        # As old as the first thing that was read for it: what took long to read is looked at again before it is sent.
        made_at, now = min(view.read_at for view in views.all), self._clock.now()
        rehearsal, before, quiet, facts = await asyncio.gather(
            self._rehearse(r, first),
            self._verifier.before(r, views.main, records),
            self._quiet(r, records),
            self._facts.read(r, proposals, records, now),
        )
        notes, objections = rehearsal
        plan = Plan(
            made_at=made_at,
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
            fleet_total=facts.fleet.total if facts.fleet else 0,
            domains=frozenset().union(*(t.domains or () for t in facts.targets)),
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
            views = await self._proposer.views(r, records, only_step=r.step)
            proposals = self._proposer.propose(r, r.spec, views, records, only_step=r.step)
        except NoProposal as exc:
            return StepPlanned(
                plan=None, verdicts=exc.verdicts, explanation=explain(exc.verdicts, subject=_subject(r.plan))
            )
        now = self._clock.now()
        (_, objections), facts = await asyncio.gather(
            self._rehearse(r, proposals), self._facts.read(r, proposals, records, now)
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
            digest=self._digest(r, proposals),
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
            views = await self._proposer.views(r, records, only_step=r.step)
        except NoProposal as exc:
            return exc.verdicts
        planned = r.plan.steps[r.step]
        left = planned.effects[r.effect :]
        targets = views.of(r.step)
        action = self._proposer.action(planned.action)
        if action is None:
            return (denied("action", f"action {planned.action} is not installed"),)
        proposals, verdicts = [], []
        for view in targets:
            mine = tuple(e for e in left if len(targets) == 1 or _belongs(e, view))
            if not mine:
                continue
            try:
                proposals.append(self._proposer.one(r, r.spec, r.step, r.spec.steps[r.step], view, records))
            except NotPossible as exc:
                if exc.guardrail != "action" and r.effect == 0:  # later, our own first effect may be the reason
                    answer = Answer.HOLD if exc.hold else Answer.DENY
                    verdicts.append(Verdict(guardrail=exc.guardrail, answer=answer, reason=exc.reason))
                proposals.append(
                    Proposal(step=r.step, action=action, view=view, params={}, change=_rest(mine, planned))
                )
            except NoProposal as exc:
                verdicts += exc.verdicts
        facts = await self._facts.read(r, proposals, records, self._clock.now())
        began = r.step == 0 and r.effect == 0
        return (*evaluate(replace(facts, planned_at=r.plan.made_at if began else facts.now)), *verdicts)

    async def silenced(self, r: Remediation) -> Verdict:
        """Whether a person has silenced its alerts by now, for requests that are sent again as they are. Raises:
        JournalUnavailable."""
        records = await self._journal.alerts(r.alerts)
        facts = await self._facts.silences(r, records, self._clock.now())
        guard = next(guard for guard in ORDER if guard.name == silenced.NAME)
        return evaluate(facts, (guard,))[0]

    # --- reading and proposing ------------------------------------------------------------------------------------

    async def pods_of(self, r: Remediation, workload: Object) -> tuple[Object, ...]:
        """The pods of a workload, for what an undo would take; none where they cannot be read (then it takes all)."""
        ref = ref_of(workload)
        try:
            view = await read_view(self._clusters[r.cluster], self._journal, ref, ref, self._clock.now())
        except ReadError:
            return ()
        return view.pods

    def _cannot(self, r: Remediation, verdicts: tuple[Verdict, ...]) -> PlanMade:
        what = f"{r.playbook} on {r.target}" if r.target else r.playbook
        return PlanMade(plan=None, verdicts=verdicts, explanation=explain(verdicts, subject=what))

    # --- rehearsing and guarding ----------------------------------------------------------------------------------

    async def _rehearse(
        self, r: Remediation, proposals: Sequence[Proposal]
    ) -> tuple[tuple[str, ...], tuple[Verdict, ...]]:
        """Let the API server, or who is called, rehearse the effects of the first step. Returns notes and objections.

        What is to be done to an object that an earlier effect makes cannot be rehearsed: it does not exist.
        """
        answers = await asyncio.gather(
            *(self._rehearsed(r, p, effect) for p in proposals for effect in p.change.effects if _can_rehearse(effect))
        )
        notes = tuple(a for a in answers if isinstance(a, str) and a)
        return notes, told_once([a for a in answers if isinstance(a, Verdict)])

    async def _rehearsed(self, r: Remediation, proposal: Proposal, effect: Effect) -> str | Verdict | None:
        if isinstance(effect, Call):
            return await self._dry_call(r, effect)
        effect = resolved(effect, generated_id(r.id, r.created_at, proposal.step))
        ref = object_of(effect)
        looked = next((o for o in proposal.view.objects() if ref_of(o) == ref), None)
        if looked is None and not isinstance(effect, Create):
            return None
        return await self._dry_run(r, self._clusters[r.cluster], effect, looked, proposal.step)

    async def _dry_call(self, r: Remediation, effect: Call) -> str | Verdict:
        caller = self._callers.get(r.cluster, {}).get(effect.via)
        if caller is None:
            where = section_of(effect.via)
            return denied("dry_run", f"nothing is configured that can be called by {effect.via} ({where})")
        try:
            return await caller.rehearse(effect.place, effect.request)
        except Refused as exc:
            if exc.forbidden and r.mode in (Mode.OBSERVE, Mode.SUGGEST):
                return "not validated: no permission"
            return denied("dry_run", f"{effect.place} refuses it: {exc}")
        except NotFound as exc:
            return denied("dry_run", f"{effect.place}: {exc}")
        except (ReadError, EffectError) as exc:
            return not_seen("dry_run", f"the rehearsal got no answer: {exc}")

    async def _dry_run(
        self, r: Remediation, cluster: Cluster, effect: Effect, looked: Object | None, step: int
    ) -> str | Verdict | None:
        try:
            request = render(
                effect,
                looked,
                effect_id=r.effect_id,
                now=self._clock.now(),
                generated=generated_id(r.id, r.created_at, step),
                made_by=r.id,
            )
        except ValueError as exc:
            return denied("dry_run", f"it cannot be written as one request: {exc}")
        try:
            await cluster.write(request, dry_run=True)
        except Refused as exc:
            if exc.forbidden and r.mode in (Mode.OBSERVE, Mode.SUGGEST):
                return "not validated: no permission"
            return denied("dry_run", f"the API server refuses it: {about(request.ref, str(exc))}")
        except TargetGone as exc:
            return denied("target", f"the target is gone: {exc}")
        except Conflict as exc:
            if isinstance(effect, Create):
                return denied("target", f"{effect.ref} exists already: {exc}")
            return None  # status moved between read and rehearsal; the last look reads again
        except Unavailable as exc:
            return not_seen("dry_run", f"the API server is busy: {exc}")
        except EffectError as exc:
            return not_seen("dry_run", f"the rehearsal got no answer: {exc}")
        return None

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
    """Whether an effect is about this target: an object that was read with it, or one of its pods."""
    if isinstance(effect, Evict | Delete):
        owners = {uid_of(view.target), *(uid_of(x) for x in view.revisions)}
        return bool(owners & set(effect.pod.owner_uids)) or effect.pod.uid in {uid_of(x) for x in view.objects()}
    if isinstance(effect, Create) or (isinstance(effect, Patch) and effect.made_here):
        return True
    return effect.ref == view.ref or effect.ref in {ref_of(o) for o in view.objects()}


def _can_rehearse(effect: Effect) -> bool:
    return isinstance(effect, Create | Remove | Call) or (isinstance(effect, Patch) and not effect.made_here)


def _rest(effects: tuple[Effect, ...], planned: PlannedStep) -> Change:
    """What is left of a change, when the action itself has nothing more to propose. An eviction may take one copy."""
    takes = (
        planned.takes
        if any(not isinstance(e, Evict | Delete) and not _only_says_it_in_git(e) for e in effects)
        else int(any(e.kind == "evict" for e in effects))
    )
    return Change(effects=effects, takes=takes, summary=planned.summary, direction=planned.direction)


def _only_says_it_in_git(effect: Effect) -> bool:
    """A pull request about what is done already takes nothing more."""
    return isinstance(effect, Call) and effect.via == via.VIA


def _unmet(verdicts: Sequence[Verdict]) -> str:
    """What would need a person's yes that nobody has given."""
    asks = [f"{v.guardrail}: {v.reason}" for v in verdicts if v.answer is Answer.ASK]
    return f"needs approval: {'; '.join(asks)}" if asks else ""


def _steps(spec: Playbook, proposals: Sequence[Proposal]) -> tuple[PlannedStep, ...]:
    """All steps in order; effects of several targets of one step follow each other."""
    planned = []
    for index, step in enumerate(spec.steps):
        mine = [p for p in proposals if p.step == index]
        if not step.action:
            what = (
                f"wait {format_duration(step.wait)}"
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
                direction=next((p.change.goes for p in mine if p.change.goes), ""),
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
        keys |= {ref.key for e in p.change.effects if (ref := object_of(e)) is not None}
        keys |= {ref.key for ref in p.change.touches}
    return tuple(sorted(f"{cluster}/{key}" for key in keys))


def _undo_text(spec: Playbook, proposals: Sequence[Proposal]) -> str:
    if spec.undo.after == "never":
        return "nothing is undone: the playbook says never"
    able = [p.change.summary for p in proposals if any(e.undoable for e in p.change.effects)]
    unable = [p.change.summary for p in proposals if p.change.effects and p.change.summary not in able]
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
    written = {ref for e in planned.effects if (ref := object_of(e)) is not None and not isinstance(e, Create)}
    unlocked = {f"{r.cluster}/{ref.key}" for ref in written} - set(r.plan.locks)
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
    if _others(approved.effects) != _others(planned.effects):
        return "something else would be done than was planned"
    for key, change in found.items():
        if change.after != wanted[key].after:
            return f"{'.'.join(key[1])} would become {change.after}, planned was {wanted[key].after}"
        if change.before != wanted[key].before and change.before not in ours.get(key, []):
            return f"{'.'.join(key[1])} is {change.before} now, the plan saw {wanted[key].before}"
    return ""


def _others(effects: tuple[Effect, ...]) -> list[bytes]:
    """What is neither a change of fields nor a pod that is chosen late: it has to be the same, word for word."""
    return [canonical_json(described_as_data(e)) for e in effects if isinstance(e, Create | Remove | Call)]
