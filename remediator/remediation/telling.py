"""From a decision to the messages that are committed with it: the remediation as a story, then the routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from remediator.guardrails.facts import Pause
from remediator.guardrails.pause import taker
from remediator.guardrails.scopes import episode_scope
from remediator.people.beside import NOTHING_BESIDE, Beside, Effected, Scene, beside
from remediator.people.changes import change_events
from remediator.people.incidents import IncidentNotes
from remediator.people.leads import broke_the_glass
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.routes import News, Routes, notices
from remediator.people.story import ApprovalNote, EvidenceNote, Measure, Story, StoryAlert, Urgency
from remediator.people.wording import (
    ASKING,
    CHECK_FAILED,
    HOLD_STAYS,
    LEFT_ALONE,
    LEFT_AS_IT_IS,
    QUESTIONS,
    RELEASED,
    REPORT,
    TAKEN,
    wording,
)
from remediator.ports import Clock
from remediator.remediation.altered import altered
from remediator.remediation.break_glass import Glass
from remediator.remediation.company import Company
from remediator.remediation.draft import Decision, Notice
from remediator.remediation.events import Approved, Event
from remediator.remediation.evidence import Evidence
from remediator.remediation.journal import AlertRecord, Journal, JournalEvent
from remediator.remediation.risk import arrows, plan_lines, risk_of
from remediator.remediation.samples import CheckSample, SampleSet
from remediator.remediation.state import Remediation, State, StepOutcome

SHOWN_ALERTS = 20
NAMED_ALERTS = 3
"""Of each remediation, where there are many."""
ALERTS_AT_ONCE = 300
EVIDENCE = "evidence"
"""Type of the journal notes that carry what was collected: `title`, `text` (a count, a reason) and `log`."""
BESIDE = frozenset({State.DENIED, State.HELD, State.SUGGESTED, State.SUPERSEDED})
"""Nothing was done in these, so they must not take the place of one of the same incident that is under way."""
NEEDS_PEOPLE = frozenset({State.AWAITING_APPROVAL, State.SNOOZED})
NOT_UNDER_WAY = frozenset({State.RECEIVED, State.PLANNED, State.HELD})


class Teller:
    """`instance` says which installation speaks, `console` is where a remediation can be looked at, `channels` are
    those of each project, `interactive` whether clicks in chat reach us, `notes` what is written on the pager's
    incidents."""

    def __init__(
        self,
        *,
        journal: Journal,
        routes: Routes,
        clock: Clock,
        instance: str = "",
        console: str = "",
        channels: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
        interactive: bool = False,
        beside: Beside = NOTHING_BESIDE,
        notes: IncidentNotes | None = None,
        glass: Glass | None = None,
        company: Company | None = None,
    ) -> None:
        self._company = company or Company(journal=journal, routes=routes)
        self._glass = glass
        self._notes = notes
        self._journal = journal
        self._routes = routes
        self._clock = clock
        self._instance = instance
        self._console = console.rstrip("/")
        self._channels = channels
        self._interactive = interactive
        self._beside = beside

    async def __call__(self, decision: Decision) -> Sequence[OutboxMessage]:
        """Raises: JournalUnavailable."""
        r, effects = decision.remediation, altered(decision)
        told = bool(decision.notices) and wording(told_as(r)).told
        if not told and not effects:
            return ()
        records = await self._journal.alerts(r.alerts[:SHOWN_ALERTS])
        story = await self._story(r, records, next_rung=decision.child)
        if told_as(r) == REPORT:
            story = replace(story, evidence=_found(await self._journal.history(r.id), r))
        changes = change_events(story, effects, self._routes.pagerduty)
        if not told:
            return changes
        messages = await self._company.messages(story, _news(decision), r)
        if r.state in BESIDE and await self._another_is_under_way(r):
            return [m for m in messages if not await self._speaks_over(m)]
        messages = (*messages, *changes, *await self._noted(story, _news(decision)))
        return (*messages, *beside(story, scene_of(decision), self._beside), *self._broken(story, decision.event))

    def _broken(self, story: Story, event: Event) -> Sequence[OutboxMessage]:
        """The leads hear of it when somebody breaks the glass."""
        if self._glass is None or not isinstance(event, Approved) or not event.break_glass:
            return ()
        return broke_the_glass(story, event.who, event.by, event.break_glass, self._glass.settings.leads)

    async def refresh(self, r: Remediation) -> None:
        """Brings what is shown of it up to date, without a sound. Raises: JournalUnavailable."""
        if not wording(told_as(r)).told:
            return
        records = await self._journal.alerts(r.alerts[:SHOWN_ALERTS])
        told = notices(await self._story(r, records), News.DETAIL, self._routes, quiet=self._company.quiet)
        shown = [m for m in told if m.kind == "update"]
        if r.state in BESIDE and await self._another_is_under_way(r):
            shown = [m for m in shown if not await self._speaks_over(m)]
        await self._journal.store_messages(shown, self._clock.now())

    async def _noted(self, story: Story, news: News) -> Sequence[OutboxMessage]:
        """Raises: JournalUnavailable."""
        return await self._notes(story, news) if self._notes else ()

    async def _another_is_under_way(self, r: Remediation) -> bool:
        others = await self._journal.unfinished(r.cluster, r.root) if r.root else ()
        return any(o.id != r.id and o.episode == r.episode and o.state not in NOT_UNDER_WAY for o in others)

    async def _speaks_over(self, message: OutboxMessage) -> bool:
        """Whether it would replace what the incident's main message says, or resolve what the other one rang for.

        Where nothing was posted yet nothing is replaced, and a reply would have no thread.
        """
        if message.kind == "event":
            return bool(message.payload.get("event_action") == "resolve")
        return message.kind == "update" and await self._journal.message_ref(message.key) is not None

    async def cleared(self, r: Remediation) -> Sequence[OutboxMessage]:
        """After an ending that was not a success all alerts of the episode are over. Raises: JournalUnavailable."""
        records = await self._journal.alerts(r.alerts[:SHOWN_ALERTS])
        over = max((a.resolved_at for a in records if a.resolved_at is not None), default=self._clock.now())
        story = replace(await self._story(r, records), cleared_at=over)
        return (*await self._company.messages(story, News.CLEARED, r), *await self._noted(story, News.CLEARED))

    async def beside(self, r: Remediation, state: str, text: str, *, about: str = "") -> Sequence[OutboxMessage]:
        """What became later of something that it has done for a time only: told where it was told, in the words of
        `state`. `about` stands for what it did. Raises: JournalUnavailable."""
        records = await self._journal.alerts(r.alerts[:SHOWN_ALERTS])
        whole = await self._story(r, records)
        story = replace(whole, state=state, explanation=text, headline=about or whole.headline, outcome="", measures=())
        told = notices(story, News.STATE, self._routes, quiet=self._company.quiet)
        return (*told, *await self._noted(story, News.STATE))

    async def _story(self, r: Remediation, records: Sequence[AlertRecord], *, next_rung: str = "") -> Story:
        """Raises: JournalUnavailable."""
        pauses = await self._journal.pauses(self._clock.now())
        return await self._company.with_ladder(self._told(r, records, pauses, next_rung=next_rung))

    def _told(
        self, r: Remediation, records: Sequence[AlertRecord], pauses: Sequence[Pause], *, next_rung: str = ""
    ) -> Story:
        now, scope = self._clock.now(), episode_scope(r.episode)
        return replace(
            story_of(r, records, now, next_rung=next_rung, instance=self._instance, console=self._console),
            channels=(*self._channels.get(r.project, ()), *_added(r, slack=True)),
            also=_added(r, slack=False),
            sev=self._company.sev(r, records).value,
            interactive=self._interactive,
            taken_by=next((taker(pause) for pause in pauses if pause.scope == scope), ""),
            break_glass_offered=self._glass is not None and offers_glass(r, self._glass),
        )

    async def whole(self, r: Remediation) -> Story:
        """All that is on record about one, as it would be told now. Raises: JournalUnavailable."""
        records, history = await self._journal.alerts(r.alerts[:SHOWN_ALERTS]), await self._journal.history(r.id)
        notes = [e for e in history if e.type == EVIDENCE]
        return replace(
            await self._story(r, records),
            evidence=tuple(
                EvidenceNote(title=str(e.data.get("title") or e.reason), text=str(e.data.get("text", "")))
                for e in notes
            ),
            timeline=tuple(
                f"{e.at:%H:%M:%S} {e.to_state.replace('_', ' ')}" + (f": {arrows(e.reason)}" if e.reason else "")
                for e in history
                if e.type != EVIDENCE and e.from_state != e.to_state
            ),
        )

    async def stories(self, several: Sequence[Remediation]) -> list[Story]:
        """Each as it would be told now, with its first alerts, for a message about all of them. Raises:
        JournalUnavailable."""
        wanted = [alert for r in several for alert in r.alerts[:NAMED_ALERTS]]
        records: dict[str, AlertRecord] = {}
        for start in range(0, len(wanted), ALERTS_AT_ONCE):
            found = await self._journal.alerts(wanted[start : start + ALERTS_AT_ONCE])
            records |= {record.id: record for record in found}
        pauses = await self._journal.pauses(self._clock.now()) if several else ()
        return [self._told(r, [records[a] for a in r.alerts[:NAMED_ALERTS] if a in records], pauses) for r in several]

    async def evidence(self, r: Remediation, evidence: Sequence[Evidence]) -> None:
        """What was collected, as a reply in the thread. Raises: JournalUnavailable."""
        records = await self._journal.alerts(r.alerts[:SHOWN_ALERTS])
        notes = [EvidenceNote(title=e.title, text=e.summary or e.error, log=e.text) for e in evidence]
        story = replace(await self._story(r, records), evidence=tuple(notes))
        told = notices(story, News.EVIDENCE, self._routes, quiet=self._company.quiet)
        messages = (*told, *await self._noted(story, News.EVIDENCE))
        await self._journal.store_messages(messages, self._clock.now())


def _found(history: Sequence[JournalEvent], r: Remediation) -> tuple[EvidenceNote, ...]:
    """What a report has collected, as it is on record; of a report that was begun twice the last time only."""
    pieces = len(r.spec.collect) if r.spec else 0
    notes = [e for e in history if e.type == EVIDENCE][-pieces:]
    return tuple(
        EvidenceNote(
            title=str(e.data.get("title") or e.reason),
            text=str(e.data.get("text", "")),
            log=str(e.data.get("log", "")),
        )
        for e in notes
    )


def scene_of(decision: Decision) -> Scene | None:
    """What this transition did to which object; None where nothing was done by then."""
    before, r = decision.before, decision.remediation
    if r.plan is None or not r.done:
        return None
    return Scene(
        target=r.plan.target,
        uid=r.plan.uid,
        effects=tuple(Effected(id=d.effect_id, summary=d.summary) for d in r.done[len(before.done) :]),
        acted_at=r.done[0].at,
        verdict=r.state is not before.state and (r.ended or r.state is State.INCONCLUSIVE),
    )


def _news(decision: Decision) -> News:
    """How loud it is: something new, or the same with another detail."""
    before, after = decision.before, decision.remediation
    if after.ended and set(decision.notices) == {Notice.PROGRESS}:
        return News.DETAIL  # this ending was told before it came: a person has been called
    if Notice.PROPOSED in decision.notices or told_as(before) != told_as(after):
        return News.STATE
    # What waits for people has become graver: whoever was not to be woken for it may have to be now.
    rose = after.severity != before.severity and told_as(after) in QUESTIONS
    return News.STATE if rose else News.DETAIL


def told_as(r: Remediation) -> str:
    """The state as people are told it: a question is no mere wait, and without an approval none can be void."""
    if question(r):
        return ASKING
    if r.outcome is StepOutcome.TAKEN:
        return TAKEN
    if r.releases and r.state is State.SUCCEEDED:
        return RELEASED  # which resolves nothing: what was wrong there has its own end
    if r.reverts and r.state is State.DENIED:
        return HOLD_STAYS if r.releases else LEFT_AS_IT_IS
    if r.state is State.OBSERVED and r.spec is not None and r.spec.is_report:
        return REPORT
    if r.state is State.CANCELLED and not r.consents:
        return LEFT_ALONE
    return r.state.value


def offers_glass(r: Remediation, glass: Glass) -> bool:
    """Whether one person could approve it alone who otherwise could not."""
    waits = r.state in NEEDS_PEOPLE or bool(question(r))
    return waits and not r.agreed and not glass.objection(r)


def question(r: Remediation) -> str:
    """What people are asked between two steps, now; empty when nothing is."""
    if r.state is not State.WAITING or r.waiting_for != "ask" or r.spec is None:
        return ""
    return r.spec.steps[r.step].ask or r.reason


def _added(r: Remediation, *, slack: bool) -> tuple[str, ...]:
    """Who else hears of it, by its playbook: Slack channels, or all the others."""
    places = r.spec.notify if r.spec else ()
    return tuple(p.removeprefix("slack:") for p in places if p.startswith("slack:") is slack)


def story_of(
    r: Remediation,
    records: Sequence[AlertRecord],
    now: datetime,
    *,
    next_rung: str = "",
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
        state=told_as(r),
        step=r.step,
        headline=headline(r),
        explanation=question(r) or (_why_this(r) if r.state in NEEDS_PEOPLE else _why_here(r)),
        severity=r.severity,
        environment=r.environment,
        project=r.project,
        alerts=tuple(_alert(a) for a in records),
        cause=r.cause,
        because=r.because,
        diff=diff_lines(r),
        plan=plan_lines(r.plan),
        risk=risk_of(r.plan),
        verdicts=r.verdicts,
        measures=measures(r),
        undo=arrows(r.plan.undo_text) if r.plan else "",
        approval=_approval(r),
        outcome=CHECK_FAILED if r.outcome is StepOutcome.FAILED and not r.done else r.outcome.value,
        next_rung=next_rung,
        console_url=f"{console}/remediations/{r.id}" if console else "",
        runbook=spec.runbook if spec else "",
        generator_url=primary.generator_url if primary else "",
        now=now,
        deadline=r.deadline,
        page_urgency=_page_urgency(r),
        digest=r.digest,
        snoozed_by=r.reason.removeprefix("snoozed by ").rpartition(" until ")[0] if _is_snoozed(r) else "",
    )


def _is_snoozed(r: Remediation) -> bool:
    return r.state is State.SNOOZED and r.reason.startswith("snoozed by ")


def _why_here(r: Remediation) -> str:
    """What it stands in is the headline's to say: `rollout: good 3/3`, not `succeeded: rollout: good 3/3`."""
    if told_as(r) == REPORT and r.spec is not None:
        return " ".join(text for text in (r.spec.description.strip(), f"{r.reason}.") if text)
    return arrows(r.reason.removeprefix(f"{r.state}: "))


def _why_this(r: Remediation) -> str:
    """Why this playbook is proposed for this target; what the guards say stands below it."""
    description = r.spec.description.strip() if r.spec else ""
    chosen = f"Target by {r.because}." if r.because else ""
    return " ".join(text for text in (description, chosen) if text) or r.reason


def headline(r: Remediation) -> str:
    """What it does, imperative, without the state."""
    target = r.target or r.root
    if r.spec is not None and r.spec.is_report:
        return f"{r.playbook} {target}"
    if r.plan is None:
        what = r.spec.steps[0].action if r.spec else "look at"
        return f"{what.replace('_', ' ')} {target}" if what else f"{r.playbook} {target}"
    actions = [s for s in r.plan.steps if s.action]
    if not actions:
        return f"{r.playbook} {target}"
    first = actions[0]
    more = f" (+{len(actions) - 1} more steps)" if len(actions) > 1 else ""
    if first.summary.partition(" ")[0] in first.action.split("_"):  # "restart 3 copies by rollout" says what is done
        return arrows(f"{first.summary} of {target}{more}")
    return arrows(f"{first.action.replace('_', ' ')} {target}: {first.summary}{more}")


def diff_lines(r: Remediation) -> tuple[str, ...]:
    if r.plan is None:
        return ()
    lines = []
    for index, step in enumerate(r.plan.steps):
        number = f"{index + 1}. " if len(r.plan.steps) > 1 else ""
        lines.append(f"{number}{step.summary}")
        lines += [f"   {note}" for note in step.notes]
    return tuple(arrows(line) for line in lines)


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
    said = r.reason.removeprefix("rejected by ") if r.state is State.REJECTED else ""
    rejected_by, _, comment = said.partition(":")
    return ApprovalNote(
        approvers=r.spec.approval.approvers,
        quorum=r.spec.approval.quorum,
        expires_at=r.approval_expires,
        approved_by=tuple(c.who for c in r.consents),
        approved_at=max((c.at for c in r.consents), default=None),
        rights={c.who: c.by for c in r.consents if c.by},
        alone=next((c.break_glass for c in r.consents if c.break_glass), ""),
        rejected_by=rejected_by,
        comment=comment.strip(),
    )


def _page_urgency(r: Remediation) -> Urgency:
    pages = [e.page for e in r.spec.escalate if e.page is not None] if r.spec else []
    if not pages:
        return ""
    return "low" if pages[0].get("urgency") == "low" else "high"
