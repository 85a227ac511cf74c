"""What a message to people is made from: one remediation, as values that need no look-up.

A `Story` is the only thing the texts see. It holds raw text: escaping is the renderer's work, because Slack, PagerDuty
and a terminal need different kinds of it. Label values, reasons and headlines are untrusted (they come from alerts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from remediator.guardrails.verdict import Verdict

Urgency = Literal["", "low", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryAlert:
    """One alert of the episode. `summary` is the annotation of that name."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime
    summary: str = ""
    resolved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One check before the change and now, already in words (`3 of 5 ready`). `after` is empty until it was sampled."""

    check: str
    before: str = ""
    after: str = ""
    answer: Literal["", "good", "bad", "unknown"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceNote:
    """One piece of evidence: `text` is a count or a reason, safe for chat and pager. `log` is not: it stays out of both

    unless a route says otherwise for chat, and never goes to a pager. It must be redacted before it gets here.
    """

    title: str
    text: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalNote:
    """Who may agree, how many must, who did, and until when.

    `rights`: name -> why that word counts (`on call in pagerduty/PABC`), where that is known. `approved_at` is when the
    last of them agreed.
    """

    approvers: tuple[str, ...] = ()
    quorum: int = 1
    expires_at: datetime | None = None
    approved_by: tuple[str, ...] = ()
    approved_at: datetime | None = None
    rights: Mapping[str, str] = field(default_factory=dict)
    alone: str = ""
    """The reason for which one person's yes stands for all that were needed."""
    rejected_by: str = ""
    comment: str = ""

    @property
    def missing(self) -> int:
        """How many more must agree."""
        return 0 if self.alone else max(0, self.quorum - len(self.approved_by))


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """What a plan may cost, counted from its effects; nothing in here is a guess.

    `takes` = the most healthy copies that one step may take away at once, `of` = the copies that were available when it
    was planned (None = not seen). `pods` = pods that are evicted or deleted by name or rule. `lasting` = what has no
    way back, in words. `unplanned` = steps that are planned in their turn, so that their size is not known yet.
    """

    takes: int = 0
    of: int | None = None
    pods: int = 0
    lasting: tuple[str, ...] = ()
    unplanned: int = 0

    @property
    def disruptive(self) -> bool:
        return self.takes > 0 or self.unplanned > 0

    @property
    def needs_confirming(self) -> bool:
        """Whether a single tap is too little to start it."""
        return self.disruptive or bool(self.lasting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One remediation at one moment. Times are aware and UTC; strings may be empty where they have a default.

    `state` is a name of the state diagram (`awaiting_approval`, `held`, `succeeded`, ...) or a finer one with words of
    its own (`asking`, `left_alone`); one that has no words yet is shown by its name. `outcome` tells how an escalated
    one ended before (`undone`, `expired`, ...).
    """

    remediation_id: str
    episode_id: str
    instance_id: str = ""
    """Which installation speaks; part of the pager's key, so that two of them never share an incident."""
    cluster: str
    namespace: str = ""
    target: str
    """`Deployment prod/checkout`."""

    playbook: str
    description: str = ""
    owner: str = ""
    team: str = ""
    mode: str = ""

    state: str
    step: int = 0
    """Which step of the playbook it is at: each of several questions may ring."""
    headline: str
    """What it does, imperative, without the state: `scale Deployment prod/checkout, replicas 3 → 5`."""
    explanation: str = ""
    """For a proposal why this playbook, for a question its text, for held, denied and ended ones the verdict's line."""
    severity: str = ""
    """The gravest `severity` label among the alerts, as the alert spells it."""
    sev: str = ""
    """The same in our own scheme (severity.Sev): `sev1` to `sev4`; empty = nobody has worked it out yet."""
    environment: str = ""
    project: str = ""
    alerts: tuple[StoryAlert, ...] = ()
    cause: str = ""
    """Who or what began it where no alert did."""
    because: str = ""
    """Which label or template chose the target."""
    diff: tuple[str, ...] = ()
    """`replicas 3 → 5`, one line per change."""
    plan: tuple[str, ...] = ()
    """The plan field by field, for who wants to see all of it."""
    risk: Risk | None = None
    """None where nothing was planned."""
    verdicts: tuple[Verdict, ...] = ()
    evidence: tuple[EvidenceNote, ...] = ()
    measures: tuple[Measure, ...] = ()
    undo: str = ""
    """What an undo would do, or did: `replicas go back 5 → 3`, `A restart cannot be undone.`"""
    approval: ApprovalNote | None = None
    outcome: str = ""
    next_rung: str = ""
    """The playbook that takes over when this one did not help; empty at the end of the ladder."""
    timeline: tuple[str, ...] = ()
    """One line per event, oldest first, each with its time."""

    console_url: str = ""
    runbook: str = ""
    generator_url: str = ""

    digest: str = ""
    """Of what is proposed now; what the buttons carry."""
    interactive: bool = False
    """Whether clicks can reach us: else there are no buttons but commands."""
    break_glass_offered: bool = False
    """One person on call may approve it alone, with a reason."""
    snoozed_by: str = ""
    taken_by: str = ""
    """Who has taken the episode, so that nothing more is sent for it."""

    now: datetime
    """The moment the story is told."""
    deadline: datetime | None = None
    """When the present state gives up by itself."""
    cleared_at: datetime | None = None
    """When the alerts were proven gone after an ending that was not a success."""

    channels: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """`ticket:jira`, ...: what the playbook adds besides Slack."""
    """Channels the playbook adds to the routes."""
    page_urgency: Urgency = ""
    """Set when the playbook's own ladder has a `page` rung."""
