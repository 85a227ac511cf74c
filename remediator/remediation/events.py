"""What can happen to a remediation. Each event is a value with everything `decide` needs: it reads nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from remediator.actions.change import Inverse
from remediator.guardrails.verdict import Verdict
from remediator.objects import ObjectRef
from remediator.playbooks.model import Playbook
from remediator.remediation.samples import SampleSet
from remediator.remediation.state import Candidate, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Gathering is over: this playbook was chosen, the others were not, and why."""

    spec: Playbook
    playbook_hash: str
    mode: str
    alert_id: str
    cluster: str = ""
    """Empty = the one that its alerts came from."""
    target: ObjectRef | None = None
    root: ObjectRef | None = None
    because: str = ""
    alert_pod: str = ""
    ladder: tuple[str, ...] = ()
    not_chosen: tuple[str, ...] = ()
    project: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoneChosen:
    """No playbook's condition holds: nothing to do, on record."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade:
    """Planned and guarded on fresh facts. `plan` is None when no plan could be made; the verdicts say why."""

    plan: Plan | None
    verdicts: tuple[Verdict, ...]
    explanation: str
    collected: bool = False
    """The playbook's evidence was collected with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlanned:
    """A later step was planned and guarded in its turn. `plan` is None when that was not possible.

    `differs` says how it departs from what was approved, other than by our own recorded effects; empty = it does not.
    `digest` is that of the step as it would be done now, which people are then asked about.
    """

    plan: Plan | None
    verdicts: tuple[Verdict, ...]
    explanation: str
    differs: str = ""
    digest: str = ""
    worse: bool = False
    """For a denied step: whether the target is measurably worse than at planning."""

    @property
    def detail(self) -> str:
        return self.differs or self.explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRefused:
    """Another remediation was faster: a lock, a slot or a token was taken between planning and reserving."""

    verdicts: tuple[Verdict, ...]
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """A person said yes to this digest. Who may has been checked at the door."""

    who: str
    digest: str
    via: str = "cli"
    account: str = ""
    by: str = ""
    break_glass: str = ""
    """The reason for which it alone is enough; see `Consent` for these three."""
    change: str = ""
    """The number of the change that it is done under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Any veto is final."""

    who: str
    why: str = ""
    via: str = ""
    account: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snoozed:
    who: str
    until: datetime
    via: str = ""
    account: str = ""
    by: str = ""


ActAnswer = Literal[
    "done",  # acknowledged
    "nothing_to_do",  # the pod rule found no pod any more
    "conflict",  # a precondition moved, nothing was done: a new attempt
    "not_sent",  # the attempt row was not granted or not used: nothing was done
    "changed",  # a touched field no longer holds the plan's before: people win
    "paused",  # a pause or silence covers it
    "busy",  # nothing was done, try later (429, connection refused)
    "budget",  # a PodDisruptionBudget said no
    "refused",  # permanent no
    "uncertain",  # maybe done
    "cannot_see",  # the last look failed: nothing was done
    "hold",  # a guard of this step says not now
    "deny",  # a guard of this step says no
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """How one go at the next effect (or the next undo) ended. `worse` = the target is measurably worse than at
    planning."""

    effect_id: str
    answer: ActAnswer
    detail: str = ""
    inverse: Inverse | None = None
    taken_uid: str = ""
    made: ObjectRef | None = None
    """What a create has made."""
    said: str = ""
    """What was answered to a call, bounded."""
    retry_after: timedelta | None = None
    worse: bool = False


ProbeAnswer = Literal[
    "happened",  # our marker, or the pod is gone or terminating
    "again",  # resourceVersion is still the attempt's: send the same bytes again
    "never",  # it moved without us: the attempt can never land, a new one is allowed
    "person",  # cannot be decided by looking
    "cannot_see",  # the look failed
    "abandoned",  # giving up, and proven: it did not happen and never will
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a consistent read said about an attempt without an answer."""

    effect_id: str
    answer: ProbeAnswer
    detail: str = ""
    inverse: Inverse | None = None
    taken_uid: str = ""
    made: ObjectRef | None = None
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One sample of the checks of this phase."""

    sample: SampleSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The alerts were looked at. `quiet_since` = proven absent since; `resolved` = a webhook said so, unproven."""

    quiet_since: datetime | None
    resolved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSampled:
    """A `check` step was asked once."""

    answer: Literal["good", "bad", "unknown"]
    detail: str
    worse: bool = False
    retry_after: timedelta | None = None
    """Of what answers slowly, or counts who asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """More alerts of the same incident."""

    alerts: tuple[str, ...]
    candidates: tuple[Candidate, ...] = ()
    severity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """The state's deadline is over. `taken`: by whom the episode is taken, empty = by nobody."""

    taken: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A `wait` step or a hold between steps is over."""


Event = (
    Chosen
    | NoneChosen
    | PlanMade
    | StepPlanned
    | ReserveRefused
    | Approved
    | Rejected
    | Snoozed
    | Acted
    | Probed
    | Sampled
    | Watched
    | GateSampled
    | Joined
    | DeadlinePassed
    | TimerFired
)
