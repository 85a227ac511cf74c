"""Which playbook, once the alerts of an incident had time to arrive, and why the others were not chosen.

The choice is made after `gather`, so that a scale-up does not win over the rollback of the release that caused it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from remediator.actions.base import Action
from remediator.actions.view import View
from remediator.alerts.alert import Alert
from remediator.errors import NotFound, ReadError
from remediator.guardrails.environments import Place
from remediator.guardrails.explain import explain
from remediator.guardrails.policy import Policy, limits_in_force, quorum_in_force
from remediator.guardrails.verdict import Answer, Verdict
from remediator.playbooks.catalog import (
    AmbiguousPriority,
    Catalog,
    Contender,
    Entry,
    NothingFits,
    Selected,
    ask,
    choose,
)
from remediator.playbooks.durations import format_duration
from remediator.playbooks.expressions import FROM_ALERT
from remediator.playbooks.gates import with_gates
from remediator.playbooks.model import LoadedPlaybook, Mode, Playbook
from remediator.playbooks.params import InvalidParam
from remediator.playbooks.projects import Project
from remediator.ports import Clock, Cluster
from remediator.remediation.aim import NO_WISH, Aim, Aiming, OutsideProject, Start
from remediator.remediation.draft import Decision
from remediator.remediation.events import Chosen, NoneChosen, PlanMade
from remediator.remediation.holds import Hold, release_spec, taken_back
from remediator.remediation.journal import AlertRecord, Journal
from remediator.remediation.places import highest_of, place_at, place_of
from remediator.remediation.reading import read_view
from remediator.remediation.scopes import Scopes
from remediator.remediation.state import Remediation, State
from remediator.remediation.targeting import TargetUnclear
from remediator.remediation.temporary import Temporary

MAX_RUNGS = 3
CHILD_DEADLINE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A candidate after a look at its target: either it contends, or its target is not known, or was not seen."""

    entry: Entry
    alert_id: str
    alert: Alert | None
    """None where a person or a schedule has started it."""
    aim: Aim | None = None
    contender: Contender | None = None
    unclear: str = ""
    """Not known, or not to be touched, for good; `objector` is the guardrail that says so."""
    objector: str = "target"
    unseen: str = ""
    """Something could not be read: it might have been chosen."""


class Chooser:
    """`catalog` gives the playbooks in force at the moment of asking."""

    def __init__(
        self,
        *,
        catalog: Callable[[], Catalog],
        clusters: Mapping[str, Cluster],
        journal: Journal,
        aiming: Aiming,
        scopes: Scopes,
        policy: Policy,
        clock: Clock,
        new_id: Callable[[], str],
        projects: Sequence[Project] = (),
        actions: Mapping[str, Action[Any]] | None = None,
    ) -> None:
        self._catalog = catalog
        self._clusters = clusters
        self._journal = journal
        self._aiming = aiming
        self._scopes = scopes
        self._policy = policy
        self._clock = clock
        self._new_id = new_id
        self._projects = projects
        self._actions = actions or {}

    @property
    def home(self) -> str:
        """The first of the clusters: where is to be written what is about none of them."""
        return next(iter(self._clusters))

    async def choose(
        self, r: Remediation, given: Sequence[AlertRecord] | None = None, start: Start = NO_WISH
    ) -> Chosen | NoneChosen | PlanMade:
        """The playbook with the highest priority among those that apply. `start` counts for candidates without an
        alert, see there. Raises: JournalUnavailable."""
        records = {a.id: a for a in (await self._journal.alerts(r.alerts) if given is None else given)}
        catalog = self._catalog()
        looked: dict[str, Looked] = {}
        gone = list(dict.fromkeys(str(no) for record in records.values() for no in catalog.refused(record.alert)))
        for candidate in r.candidates:
            entry = catalog.entry(candidate.playbook)
            if entry is not None and not candidate.alert_id:
                if start.params:
                    entry = replace(entry, loaded=given_to(entry.loaded, start.params))
                looked[entry.name] = await self._look(entry, None, start)
                continue
            record = records.get(candidate.alert_id)
            if entry is None or record is None:
                gone.append(f"{candidate.playbook} is no longer loaded")
                continue
            if not entry.takes_from(record.alert.source):
                continue  # said above
            known = looked.get(candidate.playbook)
            if known is None or known.contender is None or not known.contender.holds:
                looked[candidate.playbook] = await self._look(entry, record)
        return self.pick(r, tuple(looked.values()), gone)

    async def _look(self, entry: Entry, record: AlertRecord | None, start: Start = NO_WISH) -> Looked:
        """Without a record it was asked for by name: its matchers have no say, and neither has a condition that asks
        about an alert. One that does not is about the target, and holds for people and schedules as well."""
        spec, now = entry.loaded.playbook, self._clock.now()
        alert = record.alert if record is not None else None
        found = Looked(entry=entry, alert_id=record.id if record is not None else "", alert=alert)
        when = entry.when
        if alert is None and when is not None and when.roots & FROM_ALERT:
            when = None
        try:
            aim = await self._aiming.aim(entry.loaded, alert, now, start)
            view: View | None = None
            if when is not None and "target" in when.roots and spec.targets is None:
                view = await read_view(self._clusters[aim.cluster], self._journal, aim.ref, aim.root, now)
            contender = Contender(entry=entry, holds=True)
            if alert is not None or when is not None:
                contender = ask(entry, self._scopes.scope(spec, alert, view, now))
        except OutsideProject as exc:
            return replace(found, unclear=str(exc), objector="project")
        except TargetUnclear as exc:
            return replace(found, unclear=str(exc))
        except InvalidParam as exc:
            return replace(found, contender=Contender(entry=entry, holds=None, error=str(exc)))
        except NotFound as exc:
            return replace(found, unclear=f"the target does not exist: {exc}")
        except ReadError as exc:
            return replace(found, unseen=str(exc))
        return replace(found, aim=aim, contender=contender)

    def pick(self, r: Remediation, looked: Sequence[Looked], gone: Sequence[str]) -> Chosen | NoneChosen | PlanMade:
        """Pure: highest priority wins, a tie denies, and what cannot be seen holds if it could have won."""
        choice = choose([x.contender for x in looked if x.contender is not None])
        won = choice.loaded.playbook.priority if isinstance(choice, Selected) else None
        for x in looked:
            if x.unseen and (won is None or x.entry.priority >= won):
                return self._no(r, Answer.HOLD, "target", x.unseen, cannot_see=True)
        unclear = [x for x in looked if x.unclear]
        match choice:
            case AmbiguousPriority():
                return self._no(r, Answer.DENY, "priority", str(choice))
            case NothingFits() if unclear:
                return self._no(r, Answer.DENY, unclear[0].objector, unclear[0].unclear)
            case NothingFits():
                reasons = [*gone, *(str(n) for n in choice.not_chosen)]
                return NoneChosen(
                    reason="no playbook applies: " + ("; ".join(reasons) or "none is loaded for it any more")
                )
            case Selected():
                pass
        chosen = next(x for x in looked if x.entry.name == choice.loaded.playbook.name)
        assert chosen.aim is not None
        place = place_at(
            chosen.aim.cluster,
            chosen.aim.ref,
            chosen.alert.labels if chosen.alert else {},
            chosen.alert.severity if chosen.alert else r.severity,
            highest_of(choice.loaded.project, self._projects),
        )
        environment = self._policy.environment_at(place)
        spec = self._with_quorum(choice.loaded.playbook, place)
        return Chosen(
            spec=spec,
            playbook_hash=choice.loaded.hash,
            project=choice.loaded.project,
            mode=self._mode(spec, place),
            environment=environment.name if environment else "",
            alert_id=chosen.alert_id,
            cluster="" if chosen.alert else chosen.aim.cluster,
            target=chosen.aim.ref,
            root=chosen.aim.root,
            because=chosen.aim.because,
            alert_pod=chosen.aim.alert_pod,
            ladder=self._ladder(spec),
            not_chosen=(
                *gone,
                *(f"{x.entry.name}: {x.unclear}" for x in unclear if x.objector == "project"),
                *(f"not chosen: {n}" for n in choice.not_chosen),
            ),
        )

    def _with_quorum(self, spec: Playbook, place: Place) -> Playbook:
        """The playbook as it is run, with as many approvers as the operator wants at least."""
        spec = with_gates(spec)
        found = (self._actions.get(step.action) for step in spec.steps)
        data = any(getattr(action, "changes_data", False) for action in found)
        quorum = quorum_in_force(spec, self._policy, place, data=data)
        if quorum == spec.approval.quorum:
            return spec
        return spec.model_copy(update={"approval": spec.approval.model_copy(update={"quorum": quorum})})

    def _mode(self, spec: Playbook, place: Place) -> str:
        """A report only looks, whatever is allowed there."""
        return Mode.OBSERVE.value if spec.is_report else limits_in_force(spec, self._policy, place).mode.value

    def _ladder(self, spec: Playbook) -> tuple[str, ...]:
        """Playbooks that follow, each once, at most three deep. The first playbook's list governs the whole ladder."""
        names = [e.playbook for e in spec.escalate if e.playbook and e.playbook != spec.name]
        return tuple(dict.fromkeys(names))[: MAX_RUNGS - 1]

    def _no(self, r: Remediation, answer: Answer, guardrail: str, reason: str, *, cannot_see: bool = False) -> PlanMade:
        verdict = Verdict(guardrail=guardrail, answer=answer, reason=reason, cannot_see=cannot_see)
        subject = f"{', '.join(sorted({c.playbook for c in r.candidates}))} for {r.root}"
        return PlanMade(plan=None, verdicts=(verdict,), explanation=explain((verdict,), subject=subject))

    async def child(self, decision: Decision, now: datetime) -> Remediation | None:
        """The next rung of the ladder, as a child that keeps target, alerts and locks; None when it is not loaded, or
        is another project's."""
        loaded = self._catalog().get(decision.child) if decision.child else None
        parent = decision.remediation
        if loaded is None or loaded.project != parent.project:
            return None
        place = replace(place_of(parent, self._projects), highest=highest_of(loaded.project, self._projects))
        spec = self._with_quorum(loaded.playbook, place)
        return replace(
            self._following(parent, spec, loaded.hash, now),
            mode=self._mode(spec, place),
            alert_pod=parent.alert_pod,
            environment=parent.environment,
            requester=parent.requester,
            cause=parent.cause,
            parent=parent.id,
            chain=(*parent.chain, loaded.playbook.name),
            ladder=parent.ladder[1:],
            reason=f"next rung after {parent.id} ({parent.playbook}, {parent.outcome.value})",
        )

    def _following(self, parent: Remediation, spec: Playbook, playbook_hash: str, now: datetime) -> Remediation:
        """What begins because another one has ended: about the same target and alerts, with a playbook of its own."""
        return Remediation(
            id=self._new_id(),
            episode=parent.episode,
            cluster=parent.cluster,
            target=parent.target,
            root=parent.root,
            because=parent.because,
            created_at=now,
            state=State.PLANNED,
            since=now,
            due=now,
            deadline=now + CHILD_DEADLINE,
            alerts=parent.alerts,
            severity=parent.severity,
            spec=spec,
            playbook_hash=playbook_hash,
            project=parent.project,
        )

    def take_back(self, parent: Remediation, left: Temporary, now: datetime) -> Remediation | None:
        """What puts back the temporary effects of `parent`, with the playbook as it is in force now; None when it is
        not loaded any more, is another project's, or is about several targets by now."""
        loaded = self._catalog().get(parent.playbook)
        if loaded is None or loaded.project != parent.project or not _stays_single(loaded.playbook, parent):
            return None
        place = replace(place_of(parent, self._projects), highest=highest_of(loaded.project, self._projects))
        spec = self._with_quorum(loaded.playbook, place).model_copy(
            update={
                "steps": left.steps,
                "collect": (),
                "escalate": (),
                "given": parent.spec.given if parent.spec else {},
            }
        )
        environment = self._policy.environment_at(place)
        cause = f"revert of {parent.id}: its alerts have been quiet for {format_duration(left.after_quiet)}"
        return replace(
            self._following(parent, spec, loaded.hash, now),
            mode=self._mode(spec, place),
            environment=environment.name if environment else "",
            cause=cause,
            reverts=parent.id,
            takes_back=left.takes_back,
            chain=(loaded.playbook.name,),
            reason=cause,
        )

    def release(self, parent: Remediation, hold: Hold, why: str, now: datetime) -> Remediation:
        """What ends a hold of `parent`. It was agreed to together with the hold: neither the playbook's mode nor what
        has become of the playbook since can leave Git held."""
        assert parent.spec is not None
        cause = f"release of the hold of {parent.id}: {why}"
        return replace(
            self._following(parent, release_spec(parent.spec, hold), parent.playbook_hash, now),
            target=hold.patch.ref,
            because=f"{parent.id} held it",
            environment=parent.environment,
            mode=Mode.AUTO.value,
            cause=cause,
            reverts=parent.id,
            releases=hold.effect_id,
            takes_back=(taken_back(hold),),
            chain=(parent.playbook,),
            reason=cause,
        )


def _stays_single(spec: Playbook, parent: Remediation) -> bool:
    return spec.targets is None and parent.target is not None and parent.root is not None


def given_to(loaded: LoadedPlaybook, params: Mapping[str, str]) -> LoadedPlaybook:
    """The playbook with the values that somebody gave its parameters. Its hash stays that of the content as written;
    the values belong to every digest."""
    spec = loaded.playbook.model_copy(update={"given": dict(params)})
    return loaded.model_copy(update={"playbook": spec})
