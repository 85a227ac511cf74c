"""A few stories as they would really happen, for tests and for looking at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.story import ApprovalNote, EvidenceNote, Measure, Risk, Story, StoryAlert

NOW = datetime(2025, 6, 2, 3, 5, 10, tzinfo=UTC)
PASSING = tuple(
    Verdict(guardrail=name, answer=Answer.PASS, reason="fine")
    for name in ("mode", "pause", "silenced", "protect", "max_targets", "in_flight", "cooldown", "rate_limit")
)

ROLLBACK = Story(
    remediation_id="r-4f2c91",
    episode_id="e-81aa03",
    instance_id="eu-1",
    cluster="prod-eu",
    namespace="shop",
    target="Deployment shop/checkout",
    playbook="rollback-bad-release",
    description="A release that raised the error rate goes back to the last revision that was healthy.",
    owner="team-checkout",
    team="checkout",
    mode="approve",
    state="awaiting_approval",
    headline="roll back Deployment shop/checkout to revision 41",
    explanation="Released 14 min ago, errors rose from 0.1 % to 20 % since; revision 41 was healthy for 6 days.",
    severity="critical",
    alerts=(
        StoryAlert(
            name="HighErrorRate",
            labels={"alertname": "HighErrorRate", "severity": "critical", "namespace": "shop"},
            starts_at=NOW - timedelta(minutes=4),
            summary="20 % of requests to checkout fail",
        ),
    ),
    diff=("image registry.example.com/shop/checkout:2.14.0 → registry.example.com/shop/checkout:2.13.7",),
    verdicts=PASSING,
    evidence=(
        EvidenceNote(title="Logs", text="50 lines, 31 with ERROR", log="ERROR secret customer 4711\nERROR again"),
        EvidenceNote(title="Events", text="12 x BackOff in 4 min"),
    ),
    measures=(Measure(check="error_ratio", before="20 %"), Measure(check="rollout", before="3 of 5 available")),
    undo="image goes back to registry.example.com/shop/checkout:2.14.0",
    approval=ApprovalNote(approvers=("slack:@checkout-leads", "role:sre"), expires_at=NOW + timedelta(minutes=15)),
    console_url="https://remediator.example.com/remediations/r-4f2c91",
    runbook="https://runbooks.example.com/checkout/errors",
    generator_url="https://prometheus.example.com/graph?g0.expr=rate%28x%5B5m%5D%29&g0.tab=1",
    now=NOW,
)

HELD = replace(
    ROLLBACK,
    state="held",
    playbook="scale-up",
    mode="auto",
    headline="scale Deployment shop/checkout, replicas 3 → 5",
    explanation="HELD by 2: cooldown, rate_limit.",
    diff=("replicas 3 → 5",),
    verdicts=(
        *PASSING,
        Verdict(
            guardrail="cooldown",
            answer=Answer.HOLD,
            reason="last r-3b11 7m ago, undone",
            changes="Over at 03:32 UTC",
        ),
        Verdict(guardrail="rate_limit", answer=Answer.HOLD, reason="5 of 5 in 1h", changes="Next token 03:20 UTC"),
        Verdict(guardrail="blockers", answer=Answer.HOLD, reason="Prometheus did not answer", cannot_see=True),
    ),
    approval=None,
    deadline=NOW + timedelta(minutes=15),
)

DENIED = replace(
    HELD,
    state="denied",
    explanation="DENIED scale Deployment shop/checkout: ownership. The HPA shop/checkout owns replicas.",
    verdicts=(
        *PASSING,
        Verdict(guardrail="ownership", answer=Answer.DENY, reason="HPA shop/checkout owns .spec.replicas"),
    ),
    deadline=None,
)

OFFERED = replace(
    ROLLBACK,
    interactive=True,
    digest="5f1c9ab02d7e4c11" * 4,
    risk=Risk(takes=2, of=5),
    plan=(
        "rollback image registry.example.com/shop/checkout:2.14.0 → registry.example.com/shop/checkout:2.13.7",
        "   spec.template.spec.containers.app.image shop/checkout:2.14.0 → shop/checkout:2.13.7",
        "   only the pod template goes back: ConfigMaps, replicas and schemas stay",
    ),
)
"""The same where clicks reach us."""

SUGGESTED = replace(ROLLBACK, state="suggested", mode="suggest", approval=None)

ACTING = replace(
    ROLLBACK,
    state="acting",
    approval=ApprovalNote(
        approvers=("role:sre",),
        approved_by=("ann",),
        approved_at=NOW,
        rights={"ann": "role sre"},
        expires_at=NOW + timedelta(minutes=15),
    ),
)
VERIFYING = replace(ACTING, state="verifying")

SUCCEEDED = replace(
    ACTING,
    state="succeeded",
    explanation="3 good measurements in a row after 1m45s.",
    measures=(
        Measure(check="error_ratio", before="20 %", after="0.1 %", answer="good"),
        Measure(check="rollout", before="3 of 5 available", after="5 of 5 available", answer="good"),
        Measure(check="alert_resolved", before="firing", after="gone", answer="good"),
    ),
    timeline=("03:05:10 proposed", "03:06:02 approved by ann", "03:06:03 patch done", "03:07:48 succeeded"),
)

ESCALATED = replace(
    ACTING,
    state="escalated",
    outcome="undone",
    explanation="3 bad measurements in a row; fewer copies than before, so the change was taken back.",
    measures=(
        Measure(check="error_ratio", before="20 %", after="35 %", answer="bad"),
        Measure(check="rollout", before="3 of 5 available", after="2 of 5 available", answer="bad"),
    ),
)
INCONCLUSIVE = replace(
    ACTING,
    state="inconclusive",
    explanation="Prometheus gave no fresh sample for 10 min.",
    measures=(Measure(check="error_ratio", before="20 %", after="no data", answer="unknown"),),
)

ALL = {
    "proposal": ROLLBACK,
    "held": HELD,
    "denied": DENIED,
    "suggested": SUGGESTED,
    "acting": ACTING,
    "verifying": VERIFYING,
    "succeeded": SUCCEEDED,
    "escalated": ESCALATED,
    "inconclusive": INCONCLUSIVE,
    "superseded": replace(ROLLBACK, state="superseded", explanation="Prometheus shows the alert gone for 5 min."),
}
