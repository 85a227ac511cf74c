"""Small builders of core values for tests: everything has a sensible default, a test names only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.actions.change import FieldChange, Patch
from remediator.guardrails.verdict import Answer, Verdict
from remediator.objects import ObjectRef
from remediator.playbooks.model import Playbook
from remediator.remediation.events import Acted, PlanMade, Probed
from remediator.remediation.samples import CheckSample, SampleSet
from remediator.remediation.state import Plan, PlannedStep, Remediation, State

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
API = ObjectRef("Deployment", "shop", "api")
RESTART = ("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")


def playbook(**changes: Any) -> Playbook:
    content: dict[str, Any] = {
        "name": "scale-api",
        "match": {"alerts": ['alertname="Busy"']},
        "target": "from_alert",
        "mode": "auto",
        "steps": [{"action": "scale", "with": {"to": 5, "min": 1, "max": 9}}],
        "verify": {"settle": "10s", "interval": "5s", "successes": 2, "failures": 2, "timeout": "60s"},
        **changes,
    }
    return Playbook.model_validate(content)


def patch(before: object = 3, after: object = 5, ref: ObjectRef = API, uid: str = "u1") -> Patch:
    return Patch(ref=ref, uid=uid, changes=(FieldChange(("spec", "replicas"), before, after),))


def planned_step(*effects: Patch, action: str = "scale") -> PlannedStep:
    return PlannedStep(action=action, summary="replicas 3 -> 5", effects=effects or (patch(),))


def plan(*steps: PlannedStep, digest: str = "d1", **changes: Any) -> Plan:
    values: dict[str, Any] = {
        "made_at": NOW,
        "digest": digest,
        "target": API,
        "root": API,
        "uid": "u1",
        "because": "label deployment",
        "steps": steps or (planned_step(),),
        "targets": (API,),
        "locks": ("c1/Deployment/shop/api",),
        "before": samples("bad", at=NOW, available=3),
        **changes,
    }
    return Plan(**values)


def samples(
    answer: str = "good", *, at: datetime, available: int | None = 3, badness: float | None = None
) -> SampleSet:
    check = CheckSample(check="promql errors", answer=answer, detail=f"{answer}", taken_at=at, badness=badness)  # type: ignore[arg-type]
    return SampleSet(taken_at=at, checks=(check,), available=available)


def remediation(state: State = State.PLANNED, **changes: Any) -> Remediation:
    values: dict[str, Any] = {
        "id": "r-1",
        "episode": "e-1",
        "cluster": "c1",
        "target": API,
        "root": API,
        "created_at": NOW,
        "state": state,
        "since": NOW,
        "due": NOW,
        "deadline": NOW + timedelta(minutes=15),
        "alerts": ("a-1",),
        "severity": "warning",
        "spec": playbook(),
        "playbook_hash": "h1",
        "mode": "auto",
        "chain": ("scale-api",),
        **changes,
    }
    return Remediation(**values)


def verdict(answer: Answer | str, guardrail: str = "rate_limit", reason: str = "because") -> Verdict:
    return Verdict(guardrail=guardrail, answer=Answer(answer), reason=reason)


def made(*answers: Answer | str, plan_: Plan | None = None, missing: bool = False) -> PlanMade:
    """A plan with these guard answers."""
    verdicts = tuple(verdict(a) for a in answers)
    return PlanMade(plan=None if missing else plan_ or plan(), verdicts=verdicts, explanation="explained")


def acted(answer: str, effect_id: str = "r-1/0.0", **changes: Any) -> Acted:
    return Acted(effect_id=effect_id, answer=answer, detail=f"it was {answer}", **changes)  # type: ignore[arg-type]


def probed(answer: str, effect_id: str = "r-1/0.0", **changes: Any) -> Probed:
    return Probed(effect_id=effect_id, answer=answer, detail=f"probe says {answer}", **changes)  # type: ignore[arg-type]
