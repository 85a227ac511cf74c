"""Asks the checks: before anything changes, while verifying, at a gate, and whether the alerts are proven quiet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.actions.change import Call, Patch
from remediator.actions.view import View
from remediator.errors import ReadError
from remediator.gitops.taken_back import KEPT, TAKEN_BACK, taken_back
from remediator.guardrails import ownership
from remediator.objects import WORKLOADS, Object, ObjectRef, uid_of
from remediator.people.graph import Graph, Mark
from remediator.playbooks.gates import PULL_REQUEST
from remediator.playbooks.model import Check
from remediator.playbooks.templates import expander
from remediator.ports import Callers, Clock, Cluster, Queries
from remediator.remediation.checks import pull_request
from remediator.remediation.checks.base import (
    CheckContext,
    CheckTarget,
    HttpProbe,
    MetricLabels,
    answer,
    no_templates,
)
from remediator.remediation.conditions import BY_WORD, CONFIRMED, final_verify, verify_of
from remediator.remediation.events import GateSampled, Watched
from remediator.remediation.evidence import Evidence, collect_all
from remediator.remediation.graphs import measure, wanted_graphs
from remediator.remediation.holds import CHECK, is_released
from remediator.remediation.journal import AlertRecord, Journal
from remediator.remediation.judge import is_worse
from remediator.remediation.samples import CheckSample, SampleSet
from remediator.remediation.scopes import Scopes
from remediator.remediation.state import Remediation
from remediator.remediation.verify import sample_all, templates_of

ROLLOUT = Check(kind="rollout")
QUIET = Check(kind="alert_resolved")
SELDOM = {PULL_REQUEST: timedelta(seconds=30)}
"""Gates that are not asked every few seconds: people merge, and a forge counts requests."""


class Verifier:
    """Holds no state but its ports."""

    def __init__(
        self,
        *,
        clusters: Mapping[str, Cluster],
        journal: Journal,
        queries: Queries | None,
        http: HttpProbe | None,
        scopes: Scopes,
        labels: MetricLabels,
        clock: Clock,
        callers: Callers | None = None,
    ) -> None:
        self._clusters = clusters
        self._callers = callers or {}
        self._journal = journal
        self._queries = queries
        self._http = http
        self._scopes = scopes
        self._labels = labels
        self._clock = clock

    async def before(self, r: Remediation, views: Sequence[View], records: Sequence[AlertRecord]) -> SampleSet | None:
        """The sample that "worse" is judged against, taken while planning. A playbook that only observes needs none."""
        if r.releases:
            return None
        if r.spec is None or r.mode == "observe":
            return None
        targets = tuple(CheckTarget(v.ref, uid_of(v.target)) for v in views)
        objects = {v.ref: v.target for v in views}
        context = self._context(r, records, targets, objects=objects, since=None, view=views[0])
        return await sample_all(final_verify(r.spec).checks, context)

    async def sample(self, r: Remediation) -> SampleSet:
        """The checks of the present phase, once. Raises: JournalUnavailable."""
        if r.releases:
            return await self._released(r)
        if verify_of(r) is BY_WORD:
            return confirmed(r, self._clock.now())
        records = await self._journal.alerts(r.alerts)
        checks = verify_of(r).checks
        view = await self._view_for(r, checks)
        found = await sample_all(checks, self._context(r, records, self._targets(r), since=r.acted_at, view=view))
        return await self._unless_taken_back(r, found)

    async def _unless_taken_back(self, r: Remediation, found: SampleSet) -> SampleSet:
        """The sample, with one more check that is bad where a GitOps controller has undone what was changed: then it
        proves nothing about the change, good or bad. Looked for where Git tracks the object, or something is wrong."""
        inverses = [done.inverse for done in r.done if isinstance(done.inverse, Patch)]
        tracked = any(v.guardrail == ownership.NAME and v.facts.get("owner") for v in r.verdicts)
        tracked = tracked or any(step.through_git for step in (r.spec.steps if r.spec else ()))
        if not inverses or r.takes_back or not (tracked or any(c.answer == "bad" for c in found.checks)):
            return found
        objects: dict[ObjectRef, Object] = {}
        for ref in dict.fromkeys(patch.ref for patch in inverses):
            with suppress(ReadError):  # what cannot be seen was not taken back, as far as anybody knows
                objects[ref] = await self._clusters[r.cluster].get(ref)
        said = taken_back(inverses, objects)
        if not said:
            return found
        check = answer(KEPT, "bad", said, found.taken_at)
        return replace(found, checks=(*found.checks, check), facts={**found.facts, TAKEN_BACK: said})

    async def _released(self, r: Remediation) -> SampleSet:
        """Whether drift correction is on again, by a look at what holds it."""
        (patch,) = r.takes_back[0].patches
        now = self._clock.now()
        try:
            good = is_released(patch, await self._clusters[r.cluster].get(patch.ref))
        except ReadError as exc:
            found = answer(CHECK, "unknown", f"CANNOT SEE: {str(exc) or type(exc).__name__}", now)
        else:
            said = f"{patch.ref} is {'as it was before' if good else 'held again'}"
            found = answer(CHECK, "good" if good else "bad", said, now)
        return SampleSet(taken_at=now, checks=(found,), available=None)

    async def rollout(self, r: Remediation) -> SampleSet:
        """Whether all copies of what was undone are back."""
        return await sample_all((ROLLOUT,), self._context(r, (), self._targets(r), since=r.acted_at))

    async def is_worse(self, r: Remediation) -> bool:
        """Whether the target is measurably worse now than at planning; what cannot be seen is not."""
        if r.plan is None or r.plan.before is None:
            return False
        records = await self._journal.alerts(r.alerts)
        assert r.spec is not None
        checks = final_verify(r.spec).checks
        view = await self._view_for(r, checks)
        context = self._context(r, records, self._targets(r), since=r.acted_at, view=view)
        return is_worse(r.plan.before, await sample_all(checks, context))

    async def collect(self, r: Remediation) -> tuple[Evidence, ...]:
        """The playbook's evidence, before anything changes. Raises: JournalUnavailable."""
        if r.spec is None or not r.spec.collect:
            return ()
        records = await self._journal.alerts(r.alerts)
        targets = self._targets(r) or ((CheckTarget(r.target),) if r.target else ())
        wanted = tuple(Check(kind=c.kind, args=c.args) for c in r.spec.collect)
        view = await self._view_for(r, wanted)
        return await collect_all(r.spec.collect, self._context(r, records, targets, since=None, view=view))

    async def graphs(self, r: Remediation, marks: Sequence[Mark], since: datetime | None) -> tuple[Graph, ...]:
        """What the playbook watches, drawn as data, up to now. Raises: JournalUnavailable."""
        wanted = wanted_graphs(r.spec) if r.spec and self._queries is not None else ()
        if not wanted:
            return ()
        records = await self._journal.alerts(r.alerts)
        texts = tuple(Check(kind="graph", args={**w.args, "success": w.success, "failure": w.failure}) for w in wanted)
        view = await self._view_for(r, texts)
        context = self._context(r, records, self._targets(r), since=None, view=view)
        subject = f"{r.target or r.root}, cluster {r.cluster}"
        return await measure(wanted, context, playbook=r.playbook, subject=subject, marks=marks, since=since)

    async def gate(self, r: Remediation) -> GateSampled:
        """A `check` step, asked once. Raises: JournalUnavailable."""
        assert r.spec is not None
        check = r.spec.steps[r.step].check
        assert check is not None
        records = await self._journal.alerts(r.alerts)
        view = await self._view_for(r, (check,))
        context = self._context(r, records, self._targets(r), since=r.acted_at, view=view)
        found = (await sample_all((check,), context)).checks[0]
        return GateSampled(answer=found.answer, detail=found.detail, retry_after=SELDOM.get(check.kind))

    async def watch(self, r: Remediation) -> Watched:
        """Whether its alerts are proven quiet. Raises: JournalUnavailable."""
        records = await self._journal.alerts(r.alerts)
        resolved = bool(records) and all(a.resolved_at is not None for a in records)
        return Watched(quiet_since=await self.quiet_since(r, records), resolved=resolved)

    async def over(self, r: Remediation) -> Watched | None:
        """After resolved webhooks for all of its alerts: whether that is proven; None = it is not. Cheap until then."""
        records = await self._journal.alerts(r.alerts)
        if not records or any(a.resolved_at is None for a in records):
            return None
        since = await self.quiet_since(r, records)
        return Watched(quiet_since=since, resolved=True) if since is not None else None

    async def quiet_since(self, r: Remediation, records: Sequence[AlertRecord]) -> datetime | None:
        """Since when every alert is proven absent by a live Prometheus; None = firing, or not proven. What began
        without one is not over because alerts that joined it are."""
        if self._queries is None or not records or r.cause:
            return None
        context = self._context(r, records, self._targets(r), since=None)
        found = (await sample_all((QUIET,), context)).checks[0]
        if found.check != QUIET.kind or found.answer != "good":
            return None
        return r.quiet_since or found.taken_at

    async def _view_for(self, r: Remediation, checks: Sequence[Check]) -> View | None:
        """The target as `${target...}` in checks may ask for it, read only where one does; None = it cannot be read."""
        if r.target is None or r.root is None or not any("target" in text for text in templates_of(checks)):
            return None
        try:
            found = await self._clusters[r.cluster].get(r.target)
        except ReadError:
            return None  # the check that needs it says that its target is not known, which is no verdict
        unread = dict.fromkeys(("pods", "revisions"), "not read for checks")
        return View(target=found, ref=r.target, root=r.root, read_at=self._clock.now(), unreadable=unread)

    def _targets(self, r: Remediation) -> tuple[CheckTarget, ...]:
        if r.plan is None:
            return (CheckTarget(r.target),) if r.target is not None and r.target.kind in WORKLOADS else ()
        return tuple(CheckTarget(ref, r.plan.uid if ref == r.plan.target else "") for ref in r.plan.targets)

    def _context(
        self,
        r: Remediation,
        records: Sequence[AlertRecord],
        targets: tuple[CheckTarget, ...],
        *,
        since: datetime | None,
        objects: Mapping[ObjectRef, Object] | None = None,
        view: View | None = None,
    ) -> CheckContext:
        now = self._clock.now()
        scope = self._scopes.scope(r.spec, records[0].alert if records else None, view, now) if r.spec else None
        return CheckContext(
            cluster=self._clusters[r.cluster],
            targets=targets,
            now=now,
            queries=self._queries,
            http=self._http,
            callers=self._callers.get(r.cluster, {}),
            scope=scope,
            remediation=r.id,
            made=tuple(done.made for done in r.done if done.made is not None),
            proposed=proposed_by(r),
            alerts=tuple(a.alert for a in records),
            since=since,
            render=expander(scope) if scope else no_templates,
            labels=self._labels,
            objects=objects or {},
        )


def proposed_by(r: Remediation) -> tuple[tuple[str, str], ...]:
    """Its pull requests, as repository and branch."""
    calls = [done.inverse for done in r.done if isinstance(done.inverse, Call) and done.inverse.via == pull_request.VIA]
    return tuple((call.place, str(call.request.get("branch", ""))) for call in calls)


def confirmed(r: Remediation, now: datetime) -> SampleSet:
    """What people have said of a checklist: good when each of its questions was answered."""
    assert r.spec is not None
    answered = {c.step: c.who for c in r.confirmed}
    people = ", ".join(dict.fromkeys(name for names in answered.values() for name in names))
    total = len(r.spec.steps)
    detail = f"{len(answered)} of {total} confirmed" + (f" by {people}" if people else "")
    good = len(answered) == total
    check = CheckSample(check=CONFIRMED.kind, answer="good" if good else "unknown", detail=detail, taken_at=now)
    return SampleSet(taken_at=now, checks=(check,), available=None)
