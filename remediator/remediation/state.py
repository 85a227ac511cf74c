"""The state of one remediation: one frozen value, stored whole after every transition.

`decide` (decide.py) turns (state, event, now) into the next state and commands; nothing else changes it. Everything
that waits is a due time in here, never a sleeping coroutine, so a restart costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from remediator.actions.change import Direction, Effect, Inverse, Patch
from remediator.guardrails.verdict import Verdict
from remediator.objects import ObjectRef
from remediator.playbooks.model import Playbook
from remediator.remediation.samples import SampleSet


class State(StrEnum):
    """Where a remediation is. The endings come last."""

    RECEIVED = "received"
    """Gathering the alerts of one incident before a playbook is chosen."""
    PLANNED = "planned"
    """To be planned and guarded now."""
    HELD = "held"
    AWAITING_APPROVAL = "awaiting_approval"
    SNOOZED = "snoozed"
    APPROVED = "approved"
    RESERVED = "reserved"
    """Locks, slots, tokens and an epoch are taken; nothing has been sent."""
    ACTING = "acting"
    UNCERTAIN = "uncertain"
    """An attempt without a clear answer: probe before anything else."""
    WAITING = "waiting"
    """Between steps: a timer, a gate, a question, a pause, or a PDB. The lock is kept."""
    VERIFYING = "verifying"
    UNDOING = "undoing"
    INCONCLUSIVE = "inconclusive"
    """A person was told; sampling goes on, and a later proof resolves it."""
    DENIED = "denied"
    OBSERVED = "observed"
    SUGGESTED = "suggested"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    SUCCEEDED = "succeeded"
    ESCALATED = "escalated"
    """Ended without success and handed to a person, or to the next rung. `outcome` says how."""


ENDINGS = frozenset(
    {
        State.DENIED,
        State.OBSERVED,
        State.SUGGESTED,
        State.REJECTED,
        State.CANCELLED,
        State.SUPERSEDED,
        State.SUCCEEDED,
        State.ESCALATED,
    }
)

HOLDING = frozenset({State.RESERVED, State.ACTING, State.UNCERTAIN, State.WAITING, State.VERIFYING, State.UNDOING})
"""States in which the remediation holds its locks and slots."""


class StepOutcome(StrEnum):
    """How an escalated remediation came to its end."""

    NONE = ""
    HELD_TOO_LONG = "held_too_long"
    TAKEN = "taken"
    """A person has the episode: it ended by its deadline, and nobody else is called for it."""
    EXPIRED = "expired"
    NOT_STARTED = "not_started"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    STOPPED = "stopped"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step with its values. `effects` is empty for wait, check and ask steps.

    `notes` are said to people (not validated: no permission; replicas belong to an HPA, its bound is changed instead).
    """

    action: str
    summary: str
    effects: tuple[Effect, ...] = ()
    takes: int = 0
    direction: Direction = ""
    needs_approval: str = ""
    notes: tuple[str, ...] = ()
    resolved: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Target key -> parameters with `by` and `factor` turned into values once, at the first plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Target, changes and digest: the thing that is approved. `before` is the checks' sample taken with it."""

    made_at: datetime
    digest: str
    target: ObjectRef
    root: ObjectRef
    uid: str
    because: str
    """Which label or template chose the target."""
    steps: tuple[PlannedStep, ...]
    targets: tuple[ObjectRef, ...] = ()
    locks: tuple[str, ...] = ()
    """Everything a reservation locks: named object, root controller, every object written; sorted."""
    before: SampleSet | None = None
    alerts_quiet_since: datetime | None = None
    """Proven by a fresh sample of a live Prometheus; None = firing, or unproven."""
    undo_text: str = ""
    fleet_total: int = 0
    """How many the fleet had when the remediation began; 0 = there is no fleet."""
    domains: frozenset[str] = frozenset()
    """Failure domains that its targets stand in."""
    workload_uid: str = ""
    template_hash: str = ""
    """Of the pod template in force at planning; marked known bad when a rollback leaves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One acknowledged effect. `inverse` is None where it has none: a barrier for undo, which is then named."""

    effect_id: str
    step: int
    at: datetime
    summary: str
    inverse: Inverse | None = None
    taken_uid: str = ""
    """The uid of the pod that an evict or delete took."""
    made: ObjectRef | None = None
    """What a create has made."""
    said: str = ""
    """What was answered to a call, bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """One person's yes, bound to the digest it was given for."""

    who: str
    at: datetime
    digest: str
    via: str = "cli"
    account: str = ""
    """The key of the account that said it, see people/account.py; `who` is the person that quorum counts."""
    by: str = ""
    """By what right: `on call in PSCHED1 (PagerDuty)`, `role sre`."""
    break_glass: str = ""
    """The reason for which this one yes stands for all that were needed; empty = it does not."""
    change: str = ""
    """The number of the change that it is done under; empty = none was named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """One question between the steps that was answered, with everybody whose word counted: what a checklist leaves
    behind. `at` is when the last of them spoke."""

    step: int
    question: str
    who: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A playbook that some alert of the incident matches, with that alert; without one where a person or a schedule has
    started it."""

    playbook: str
    alert_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack:
    """What one step of an earlier remediation has changed, to be put back; one for each step of the one that does it.
    `goes` is the way that putting it back goes."""

    patches: tuple[Patch, ...]
    goes: Direction = ""
    says: str = ""
    """What that changes, for people; empty = each field from what it is to what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remediation:
    """One run of one playbook. Times are aware, UTC.

    `alerts` are alert row ids, the first one is primary. `spec` is the playbook's content as chosen, so that a reload
    changes nothing under a running remediation. `due` is when the runner looks at it next, `deadline` when the state
    ends by itself. `version` counts transitions (compare-and-set in the store). `epoch` fences zombies.
    """

    id: str
    episode: str
    cluster: str
    target: ObjectRef | None
    root: ObjectRef | None
    because: str = ""
    """Which label or template chose the target."""
    alert_pod: str = ""
    """The pod that the primary alert names, if any."""
    created_at: datetime
    state: State
    since: datetime
    due: datetime | None
    deadline: datetime | None = None
    alerts: tuple[str, ...] = ()
    severity: str = ""
    candidates: tuple[Candidate, ...] = ()
    spec: Playbook | None = None
    playbook_hash: str = ""
    project: str = ""
    """The playbook's when it was chosen; empty where no projects are configured."""
    mode: str = "observe"
    environment: str = ""
    """The one whose policy holds, decided when the playbook was chosen; empty = none matched."""
    requester: str = ""
    """Who asked for it (`remediator run`); excluded from approving it. Empty for alerts."""
    cause: str = ""
    """Why it began without an alert, for people: who asked for it and why, or for when it was scheduled."""
    reverts: str = ""
    """The remediation whose temporary effects it takes back; empty = it is none of these."""
    releases: str = ""
    """The effect that holds drift correction, which it ends; empty = it is no release."""
    takes_back: tuple[TakeBack, ...] = ()
    plan: Plan | None = None
    verdicts: tuple[Verdict, ...] = ()
    reason: str = ""
    """The one line that explains the present state."""
    consents: tuple[Consent, ...] = ()
    plan_agreed: bool = False
    """While a question is asked mid-way: whether people had agreed to the plan. An answer to the question does not."""
    digest: str = ""
    """The digest that was proposed to people, and, from `approved` on, that they agreed to."""
    approval_expires: datetime | None = None
    epoch: int = 0
    version: int = 0
    step: int = 0
    effect: int = 0
    resend: bool = False
    """The probe proved that the last attempt's bytes may be sent again."""
    undoing: bool = False
    undo_left: tuple[Inverse, ...] = ()
    undo_sent: int = 0
    act_by: datetime | None = None
    """The effect that is next must have been sent by then; a probe that frees it later hands over to a person."""
    wait_until: datetime | None = None
    """End of the first wait for the effect that is next: a pause or a budget that comes and goes does not extend it."""
    hold_until: datetime | None = None
    """End of the first hold: going round between held, planned and reserved does not extend it."""
    conflicts: int = 0
    conflicts_since: datetime | None = None
    done: tuple[Done, ...] = ()
    acted_at: datetime | None = None
    """When the last effect was acknowledged: samples must postdate it."""
    waiting_for: str = ""
    """In `waiting`: timer, gate, ask, pause, budget, guard."""
    confirmed: tuple[Confirmed, ...] = ()
    """Questions between its steps that were answered, oldest first."""
    samples: tuple[SampleSet, ...] = ()
    quiet_since: datetime | None = None
    unproven: bool = False
    """A resolved webhook came, but Prometheus has not proven it."""
    outcome: StepOutcome = StepOutcome.NONE
    parent: str = ""
    chain: tuple[str, ...] = ()
    """Playbooks of this ladder so far, this one last."""
    ladder: tuple[str, ...] = ()
    """Playbooks that are still to come when this one does not help."""
    collected: bool = False
    """The playbook's evidence is in the journal."""
    told: tuple[str, ...] = ()
    """Kinds of notice already given in this rung, so that each is given once."""
    ended_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDINGS

    @property
    def alerts_quiet(self) -> bool:
        """It ended with the proof that none of its alerts fires any more; other successes prove nothing about them."""
        if self.state is State.SUCCEEDED and self.samples:
            checks = self.samples[-1].checks
            return any(c.check.partition(" ")[0] == "alert_resolved" and c.answer == "good" for c in checks)
        return self.state is State.SUPERSEDED

    @property
    def playbook(self) -> str:
        return self.spec.name if self.spec else ""

    @property
    def may_not_approve(self) -> str:
        """Who asked for it, and so is no second pair of eyes. Of a checklist there is nothing to approve: whoever runs
        it may answer it."""
        return "" if self.spec is not None and self.spec.is_checklist else self.requester

    @property
    def agreed(self) -> bool:
        """Enough different people have said yes to the digest that is on record."""
        quorum = self.spec.approval.quorum if self.spec else 1
        given = [c for c in self.consents if c.digest == self.digest]
        return any(c.break_glass for c in given) or len({c.who for c in given}) >= quorum

    def standing(self, now: datetime) -> tuple[Consent, ...]:
        """Those that count: to the digest on record, and no older than a question lasts, also while a snooze keeps it
        open for longer."""
        if self.spec is None:
            return ()
        lasts = self.spec.approval.expires
        return tuple(c for c in self.consents if c.digest == self.digest and now < c.at + lasts)

    @property
    def change(self) -> str:
        """The number of the change that was named last with a yes to the digest on record."""
        return next((c.change for c in reversed(self.consents) if c.change and c.digest == self.digest), "")

    @property
    def had_effect(self) -> bool:
        return bool(self.done)

    @property
    def effect_id(self) -> str:
        """The id of the effect that is next, the value of our marker annotation."""
        if self.undoing:
            return f"{self.id}/undo.{self.undo_sent}"
        return f"{self.id}/{self.step}.{self.effect}"


_ADAPTER: TypeAdapter[Remediation] = TypeAdapter(Remediation)


def dump(remediation: Remediation) -> bytes:
    """JSON bytes, as the journal stores them."""
    return _ADAPTER.dump_json(remediation, by_alias=True)


def load(data: bytes | str) -> Remediation:
    """The inverse of `dump`."""
    return _ADAPTER.validate_json(data)
