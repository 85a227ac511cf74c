"""Gathers what the guardrails look at, for one moment: journal, silences, views, limits, and what the outside says.
Reads only.

Every fact is noted with its source and time. What could not be read is in `unknown`, and the guardrails that need it
hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from remediator.actions.render import marker_of
from remediator.errors import CannotSee, ReadError
from remediator.guardrails import overload, windows
from remediator.guardrails.calendars import Calendar
from remediator.guardrails.facts import (
    AlertFact,
    Channel,
    EffectiveLimits,
    Facts,
    Fleet,
    Overload,
    Seen,
    TargetFacts,
)
from remediator.guardrails.policy import Policy, limits_in_force
from remediator.objects import uid_of
from remediator.playbooks.binding import bind_fleet, bind_targets
from remediator.playbooks.model import Mode, Playbook, TargetSpec
from remediator.playbooks.params import InvalidParam
from remediator.playbooks.projects import Project, UnknownProject, project_named
from remediator.playbooks.templates import TemplateError
from remediator.ports import ChangeRecord, ChangeRecords, Cluster, Silence, Silences
from remediator.remediation.clock_watch import ClockWatch
from remediator.remediation.condition_reading import ConditionReader
from remediator.remediation.domain_reading import DomainReader
from remediator.remediation.fleet_reading import read_fleet
from remediator.remediation.journal import AlertRecord, Journal
from remediator.remediation.places import place_at, place_of
from remediator.remediation.proposing import Proposal
from remediator.remediation.scopes import Scopes
from remediator.remediation.state import Remediation, State
from remediator.remediation.storm_reading import StormReader

OUTCOMES = 20
"""Endings of a playbook that are looked at, here and everywhere: the highest breaker counts five in a row."""

JOURNAL, ALERTMANAGER, PROMETHEUS = "journal", "Alertmanager", "Prometheus"
JOURNALED = (
    *("alerts", "runs", "pauses", "arrivals", "storm"),
    *("outcomes", "ladders", "known_workloads", "unknown_marker"),
)

UNBOUNDED: Mapping[str, Any] = {
    "windows": (),
    "blockers": (),
    "overload": "",
    **dict.fromkeys(("in_flight_playbook", "in_flight_cluster", "in_flight_everywhere"), 1_000_000),
    **dict.fromkeys(("rate_target", "rate_playbook", "rate_namespace", "rate_cluster"), 1_000_000),
}
"""Limits that do not keep a hold from being released. One at a time on a target stays one."""

Reach = Callable[[], Awaitable[tuple[Channel, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCalendars:
    """Freeze calendars by name as they are known now, and why the others cannot be read."""

    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


def no_calendars() -> KnownCalendars:
    return KnownCalendars()


@dataclass(slots=True)
class _Notes:
    """What is noted on the way: what could not be read, and where the rest came from."""

    now: datetime
    unknown: dict[str, str] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)

    def saw(self, source: str, *names: str) -> None:
        self.seen |= {name: Seen(source=source, at=self.now) for name in names}


class FactReader:
    """Holds no state but its ports and what the operator set. `reach` None = nobody is told through a channel."""

    def __init__(
        self,
        *,
        journal: Journal,
        clusters: Mapping[str, Cluster],
        silences: Silences | None,
        policy: Policy,
        clock_watch: ClockWatch,
        conditions: ConditionReader,
        scopes: Scopes,
        projects: Sequence[Project] = (),
        reach: Reach | None = None,
        calendars: Callable[[], KnownCalendars] = no_calendars,
        changes: ChangeRecords | None = None,
    ) -> None:
        self._journal = journal
        self._clusters = clusters
        self._silences = silences
        self._policy = policy
        self._clock_watch = clock_watch
        self._conditions = conditions
        self._domains = DomainReader(clusters)
        self._storms = StormReader(journal, clusters)
        self._scopes = scopes
        self._projects = projects
        self._reach = reach
        self._calendars = calendars
        self._changes = changes

    async def read(
        self, r: Remediation, proposals: Sequence[Proposal], records: Sequence[AlertRecord], now: datetime
    ) -> Facts:
        """Raises: JournalUnavailable."""
        assert r.spec is not None
        limits = self.limits(r)
        notes = _Notes(now)
        disruptive = any(p.action.disruptive for p in proposals)
        reduces = any(overload.reduces_capacity(p.change) for p in proposals)
        journaled, outside, fleet, domains, _ = await asyncio.gather(
            self._journaled(r, limits, proposals, notes),
            self._outside(limits, records, notes, disruptive=disruptive, reduces=reduces),
            self._fleet(r, records, notes),
            self._domains_of(r, proposals, limits, notes),
            self._clock(r, notes),
        )
        notes.saw(f"API server of {r.cluster}", "targets", "domains", "fleet")
        return Facts(
            now=now,
            remediation_id=r.id,
            episode_id=r.episode,
            cluster=r.cluster,
            playbook=r.spec,
            limits=limits,
            project=self._project(r, notes),
            alerts=tuple(_alert(a) for a in records),
            targets=tuple(_target(r.spec, p, found) for p, found in zip(proposals, domains, strict=True)),
            action=proposals[0].action.name if proposals else "",
            action_disruptive=disruptive,
            planned_at=now,
            reverts=r.reverts,
            releases=bool(r.releases),
            between_rungs=bool(r.parent),
            approved=r.state is State.APPROVED or r.agreed,
            started=bool(r.done),
            protected_namespaces=self._policy.protected_namespaces,
            environments=self._environments(r, proposals, records),
            calendars=self._freezes(limits, notes),
            change_record=await self._change(r, notes),
            fleet=fleet,
            unknown=notes.unknown,
            seen=notes.seen,
            **journaled,
            **outside,
        )

    async def silences(self, r: Remediation, records: Sequence[AlertRecord], now: datetime) -> Facts:
        """Only what the guardrail `silenced` looks at: asked again where nothing else may have changed."""
        assert r.spec is not None
        notes = _Notes(now)
        silences = await self._silenced(notes)
        return Facts(
            now=now,
            remediation_id=r.id,
            episode_id=r.episode,
            cluster=r.cluster,
            playbook=r.spec,
            limits=self.limits(r),
            alerts=tuple(_alert(a) for a in records),
            targets=(),
            action="",
            releases=bool(r.releases),
            silences=silences,
            unknown=notes.unknown,
            seen=notes.seen,
        )

    def limits(self, r: Remediation) -> EffectiveLimits:
        """The numbers in force for it, also for what it reserves."""
        assert r.spec is not None
        limits = limits_in_force(r.spec, self._policy, place_of(r, self._projects))
        return replace(limits, **UNBOUNDED) if r.releases else limits

    def _environments(
        self, r: Remediation, proposals: Sequence[Proposal], records: Sequence[AlertRecord]
    ) -> frozenset[str]:
        """Those that its targets lie in, as the policy is now."""
        primary = next((a.alert for a in records if a.id == r.alerts[0]), None) if r.alerts else None
        labels = primary.labels if primary else {}
        found = (self._policy.environment_at(place_at(r.cluster, p.view.ref, labels)) for p in proposals)
        return frozenset(environment.name if environment else "" for environment in found)

    def closes_at(self, r: Remediation, now: datetime) -> datetime | None:
        """The moment from which its next effect may not begin any more; None = no window closes."""
        in_force = self.limits(r).windows
        return windows.closes_at(in_force, self._calendars().calendars, now, bool(r.done)) if in_force else None

    # --- groups of facts ------------------------------------------------------------------------------------------

    async def _journaled(
        self, r: Remediation, limits: EffectiveLimits, proposals: Sequence[Proposal], notes: _Notes
    ) -> dict[str, Any]:
        """What the store knows. Raises: JournalUnavailable."""
        journal, now = self._journal, notes.now
        runs, pauses, episode, outcomes = await asyncio.gather(
            journal.runs(now, limits.history),
            journal.pauses(now),
            journal.episode(r.episode),
            journal.outcomes(r.playbook, r.cluster, OUTCOMES),
        )
        weather, marker = await asyncio.gather(
            self._storms.read(r.cluster, now, [p.view for p in proposals]), self._foreign_marker(proposals)
        )
        if weather.problem:
            notes.unknown["parent"] = weather.problem
        notes.saw(JOURNAL, *JOURNALED)
        return {
            "runs": tuple(x for x in runs if x.remediation_id != r.id),
            "pauses": pauses,
            "ladders": episode.ladders if episode else 0,
            "outcomes": tuple(o for o in outcomes if o.remediation_id != r.id),
            "arrivals": weather.arrivals,
            "known_workloads": weather.known_workloads,
            "storm": weather.on_record,
            "parent": weather.parent,
            "unknown_marker": marker,
        }

    async def _outside(
        self,
        limits: EffectiveLimits,
        records: Sequence[AlertRecord],
        notes: _Notes,
        *,
        disruptive: bool,
        reduces: bool,
    ) -> dict[str, Any]:
        """What Alertmanager, Prometheus and the channels to people say, asked only for what matters here."""
        silences, blockers, overloaded, channels = await asyncio.gather(
            self._silenced(notes),
            self._conditions.blockers(limits.blockers, [a.alert.labels for a in records], notes.now),
            self._overloaded(limits.overload if reduces else "", notes),
            self._channels(disruptive and limits.mode is Mode.AUTO),
        )
        notes.saw(PROMETHEUS, *(("blockers",) if blockers else ()), *(("overload",) if overloaded else ()))
        return {"silences": silences, "blockers": blockers, "overload": overloaded, "channels": channels}

    # --- one fact each --------------------------------------------------------------------------------------------

    async def _clock(self, r: Remediation, notes: _Notes) -> None:
        if untrusted := await self._clock_watch.problem(r.cluster):
            notes.unknown["clock"] = untrusted

    async def _silenced(self, notes: _Notes) -> tuple[Silence, ...] | None:
        if self._silences is None:
            return None
        notes.saw(ALERTMANAGER, "silences")
        try:
            return await self._silences.active()
        except CannotSee as exc:
            notes.unknown["silences"] = f"Alertmanager did not answer: {exc}"
            return ()

    async def _foreign_marker(self, proposals: Sequence[Proposal]) -> str:
        """The marker of an effect that this journal does not know: the store's history is missing."""
        for proposal in proposals:
            marker = marker_of(proposal.view.target)
            if marker and not await self._journal.knows_effect(marker):
                return marker
        return ""

    async def _overloaded(self, query: str, notes: _Notes) -> Overload | None:
        if not query:
            return None
        try:
            return await self._conditions.overload(query, notes.now)
        except CannotSee as exc:
            notes.unknown["overload"] = str(exc)
            return Overload(query=query)

    async def _channels(self, wanted: bool) -> tuple[Channel, ...]:
        """Asked only where it matters: before something disruptive is done by itself."""
        return await self._reach() if wanted and self._reach is not None else ()

    async def _change(self, r: Remediation, notes: _Notes) -> ChangeRecord | None:
        """What its system says of the change that was named with the approval."""
        assert r.spec is not None
        required = r.spec.approval.change == "required"
        if self._changes is None:
            if required:
                notes.unknown["change_record"] = "change_gate is not configured"
            return None
        if not r.change:
            return None
        notes.saw("change system", "change_record")
        try:
            return await self._changes.change(r.change)
        except CannotSee as exc:
            notes.unknown["change_record"] = str(exc)
            return None

    async def _fleet(self, r: Remediation, records: Sequence[AlertRecord], notes: _Notes) -> Fleet | None:
        assert r.spec is not None
        try:
            scope = self._scopes.scope(r.spec, records[0].alert if records else None, None, notes.now)
            if r.spec.targets is not None:
                wanted = bind_targets(r.spec.targets, scope)
            elif r.spec.fleet is not None:
                wanted = bind_fleet(r.spec.fleet, scope)
            else:
                return None
            firing = await self._journal.firing_roots(r.cluster)
            return await read_fleet(self._clusters[r.cluster], wanted, firing, self._fleet_total(r))
        except (TemplateError, InvalidParam, ReadError) as exc:
            notes.unknown["fleet"] = f"the fleet cannot be listed: {exc}"
            return None

    def _fleet_total(self, r: Remediation) -> int | None:
        return r.plan.fleet_total if r.plan is not None and r.done else None

    async def _domains_of(
        self, r: Remediation, proposals: Sequence[Proposal], limits: EffectiveLimits, notes: _Notes
    ) -> list[frozenset[str] | None]:
        label = limits.failure_domain_label
        try:
            reads = [self._domains.domains(r.cluster, label, p.view) for p in proposals]
            return list(await asyncio.gather(*reads))
        except ReadError as exc:
            notes.unknown["domains"] = f"nodes cannot be read: {exc}"
            return [None] * len(proposals)

    def _freezes(self, limits: EffectiveLimits, notes: _Notes) -> Mapping[str, Calendar]:
        """The calendars that the windows in force name."""
        known = self._calendars()
        names = sorted({name for each in limits.windows for name in each.calendars})
        missing = [name for name in names if name not in known.calendars]
        if missing:
            why = known.problems.get(missing[0], "it is not configured")
            notes.unknown["calendars"] = f"calendar {missing[0]}: {why}"
        notes.saw("calendar files", "calendars")
        return {name: known.calendars[name] for name in names if name in known.calendars}

    def _project(self, r: Remediation, notes: _Notes) -> Any:
        try:
            return project_named(r.project, self._projects)
        except UnknownProject as exc:
            notes.unknown["project"] = str(exc)
            return None


def _alert(record: AlertRecord) -> AlertFact:
    alert = record.alert
    return AlertFact(
        fingerprint=alert.fingerprint,
        labels=alert.labels,
        starts_at=alert.starts_at,
        first_seen=record.first_seen,
    )


def _target(spec: Playbook, proposal: Proposal, domains: frozenset[str] | None) -> TargetFacts:
    view = proposal.view
    return TargetFacts(
        ref=view.ref,
        root=view.root,
        uid=uid_of(view.target),
        view=view,
        change=proposal.change,
        named=_names_outright(spec, proposal.step),
        step=proposal.step,
        domains=domains,
    )


def _names_outright(spec: Playbook, step: int) -> bool:
    """Whether the playbook spells out this very object: no label of an alert has a say in it."""
    target = spec.steps[step].target or spec.target
    return isinstance(target, TargetSpec) and "${" not in f"{target.kind}{target.namespace}{target.name}"
