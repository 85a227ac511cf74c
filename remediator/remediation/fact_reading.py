"""Gathers what the guardrails look at, for one moment: journal, silences, views and limits. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from remediator.actions.render import marker_of
from remediator.errors import CannotSee
from remediator.guardrails import storm
from remediator.guardrails.facts import AlertFact, EffectiveLimits, Facts, TargetFacts
from remediator.guardrails.policy import Policy, limits_in_force
from remediator.objects import uid_of
from remediator.playbooks.model import Playbook, TargetSpec
from remediator.ports import Silence, Silences
from remediator.remediation.clock_watch import ClockWatch
from remediator.remediation.journal import AlertRecord, Journal
from remediator.remediation.proposing import Proposal
from remediator.remediation.state import Remediation, State


class FactReader:
    """Holds no state but its ports and the operator's policy."""

    def __init__(self, *, journal: Journal, silences: Silences | None, policy: Policy, clock_watch: ClockWatch) -> None:
        self._journal = journal
        self._silences = silences
        self._policy = policy
        self._clock_watch = clock_watch

    async def read(
        self, r: Remediation, proposals: Sequence[Proposal], records: Sequence[AlertRecord], now: datetime
    ) -> Facts:
        assert r.spec is not None
        limits = self.limits(r.spec)
        unknown: dict[str, str] = {}
        silences = await self._silenced(unknown)
        if untrusted := await self._clock_watch.problem(r.cluster):
            unknown["clock"] = untrusted
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

    def limits(self, spec: Playbook) -> EffectiveLimits:
        return limits_in_force(spec, self._policy)


def _names_outright(spec: Playbook, step: int) -> bool:
    """Whether the playbook spells out this very object: no label of an alert has a say in it."""
    target = spec.steps[step].target or spec.target
    return isinstance(target, TargetSpec) and "${" not in f"{target.kind}{target.namespace}{target.name}"
