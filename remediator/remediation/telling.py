"""From a decision to the messages that are committed with it: the remediation as a story, then the routes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from remediator.people.outbox_rows import OutboxMessage
from remediator.people.routes import News, Routes, notices
from remediator.people.story import ApprovalNote, EvidenceNote, Measure, Story, StoryAlert, Urgency
from remediator.ports import Clock
from remediator.remediation.draft import Decision, Notice
from remediator.remediation.evidence import Evidence
from remediator.remediation.journal import AlertRecord, Journal
from remediator.remediation.samples import CheckSample, SampleSet
from remediator.remediation.state import Remediation, State

SHOWN_ALERTS = 20


class Teller:
    """`instance` says which installation speaks, `console` is where a remediation can be looked at."""

    def __init__(
        self, *, journal: Journal, routes: Routes, clock: Clock, instance: str = "", console: str = ""
    ) -> None:
        self._journal = journal
        self._routes = routes
        self._clock = clock
        self._instance = instance
        self._console = console.rstrip("/")

    async def __call__(self, decision: Decision) -> Sequence[OutboxMessage]:
        """Raises: JournalUnavailable."""
        if not decision.notices:
            return ()
        records = await self._journal.alerts(decision.remediation.alerts[:SHOWN_ALERTS])
        entered = decision.came_from is not decision.remediation.state or Notice.PROPOSED in decision.notices
        story = story_of(
            decision.remediation,
            records,
            self._clock.now(),
            next_rung=decision.child,
            instance=self._instance,
            console=self._console,
        )
        return notices(story, News.STATE if entered else News.DETAIL, self._routes)

    async def evidence(self, r: Remediation, evidence: Sequence[Evidence]) -> None:
        """What was collected, as a reply in the thread. Raises: JournalUnavailable."""
        records = await self._journal.alerts(r.alerts[:SHOWN_ALERTS])
        notes = [EvidenceNote(title=e.title, text=e.summary or e.error, log=e.text) for e in evidence]
        now = self._clock.now()
        story = story_of(r, records, now, evidence=notes, instance=self._instance, console=self._console)
        await self._journal.store_messages(notices(story, News.EVIDENCE, self._routes), now)


def story_of(
    r: Remediation,
    records: Sequence[AlertRecord],
    now: datetime,
    *,
    next_rung: str = "",
    evidence: Sequence[EvidenceNote] = (),
    instance: str = "",
    console: str = "",
) -> Story:
    """Everything that a message says. Pure."""
    spec = r.spec
    primary = records[0].alert if records else None
    about = r.target or r.root
    return Story(
        remediation_id=r.id,
        episode_id=r.episode,
        instance_id=instance,
        cluster=r.cluster,
        namespace=about.namespace if about else "",
        target=str(about or "unknown target"),
        playbook=r.playbook or ", ".join(sorted({c.playbook for c in r.candidates})),
        description=spec.description if spec else "",
        owner=spec.owner if spec else "",
        team=primary.labels.get("team", "") if primary else "",
        mode=r.mode,
        state=r.state.value,
        headline=headline(r),
        explanation=r.reason,
        severity=r.severity,
        alerts=tuple(_alert(a) for a in records),
        diff=diff_lines(r),
        verdicts=r.verdicts,
        evidence=tuple(evidence),
        measures=measures(r),
        undo=r.plan.undo_text if r.plan else "",
        approval=_approval(r),
        outcome=r.outcome.value,
        next_rung=next_rung,
        console_url=f"{console}/remediations/{r.id}" if console else "",
        runbook=spec.runbook if spec else "",
        generator_url=primary.generator_url if primary else "",
        now=now,
        deadline=r.deadline,
        page_urgency=_page_urgency(r),
    )


def headline(r: Remediation) -> str:
    """What it does, imperative, without the state."""
    target = r.target or r.root
    if r.plan is None:
        what = r.spec.steps[0].action if r.spec else "look at"
        return f"{what.replace('_', ' ')} {target}" if what else f"{r.playbook} {target}"
    actions = [s for s in r.plan.steps if s.action]
    if not actions:
        return f"{r.playbook} {target}"
    first = actions[0]
    more = f" (+{len(actions) - 1} more steps)" if len(actions) > 1 else ""
    return f"{first.action.replace('_', ' ')} {target}: {first.summary}{more}"


def diff_lines(r: Remediation) -> tuple[str, ...]:
    if r.plan is None:
        return ()
    lines = []
    for index, step in enumerate(r.plan.steps):
        number = f"{index + 1}. " if len(r.plan.steps) > 1 else ""
        lines.append(f"{number}{step.summary}")
        lines += [f"   {note}" for note in step.notes]
    return tuple(lines)


def measures(r: Remediation) -> tuple[Measure, ...]:
    """Each check before the change and now."""
    before = _by_check(r.plan.before if r.plan else None)
    now = _by_check(r.samples[-1] if r.samples else None)
    return tuple(
        Measure(
            check=name,
            before=before[name].detail if name in before else "",
            after=now[name].detail if name in now else "",
            answer=now[name].answer if name in now else "",
        )
        for name in dict.fromkeys((*before, *now))
    )


def _by_check(sample: SampleSet | None) -> dict[str, CheckSample]:
    return {c.check: c for c in sample.checks} if sample else {}


def _alert(record: AlertRecord) -> StoryAlert:
    alert = record.alert
    return StoryAlert(
        name=alert.name,
        labels=alert.labels,
        starts_at=alert.starts_at,
        summary=alert.annotations.get("summary", ""),
        resolved=record.resolved_at is not None,
    )


def _approval(r: Remediation) -> ApprovalNote | None:
    if r.spec is None or not (r.digest or r.consents or r.state is State.REJECTED):
        return None
    return ApprovalNote(
        approvers=r.spec.approval.approvers,
        quorum=r.spec.approval.quorum,
        expires_at=r.approval_expires,
        approved_by=tuple(c.who for c in r.consents),
        rejected_by=r.reason.removeprefix("rejected by ").partition(":")[0] if r.state is State.REJECTED else "",
    )


def _page_urgency(r: Remediation) -> Urgency:
    pages = [e.page for e in r.spec.escalate if e.page is not None] if r.spec else []
    if not pages:
        return ""
    return "low" if pages[0].get("urgency") == "low" else "high"
