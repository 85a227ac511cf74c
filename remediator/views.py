"""Our values as JSON, in the shapes that the API promises: CLI, console and other people's scripts read these.

Pure. A key is never left out: what is not there is null, empty text or an empty list. Times are RFC 3339 in UTC with
`Z`. The bytes that were sent to a cluster are not shown: a pod template may carry secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from remediator.actions.change import Change
from remediator.actions.diff import diff_lines
from remediator.alerts.alert import Alert
from remediator.guardrails.facts import Pause
from remediator.guardrails.pause import lifted_by, paused_by
from remediator.guardrails.scopes import describe_scope
from remediator.guardrails.verdict import Verdict
from remediator.objects import ObjectRef
from remediator.people.parts import risk_lines
from remediator.playbooks.durations import format_duration
from remediator.playbooks.model import LoadedPlaybook, Step
from remediator.remediation.journal import AlertRecord, Attempt, JournalEvent
from remediator.remediation.risk import risk_of
from remediator.remediation.samples import CheckSample, SampleSet
from remediator.remediation.state import Done, Plan, PlannedStep, Remediation
from remediator.remediation.telling import EVIDENCE, question, told_as

View = dict[str, Any]


def time(moment: datetime | None) -> str | None:
    """`2025-06-01T10:00:00.123Z`"""
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ref(target: ObjectRef | None) -> View | None:
    if target is None:
        return None
    return {"kind": target.kind, "namespace": target.namespace, "name": target.name}


def verdict(v: Verdict) -> View:
    """One guardrail's answer: pass, not_applicable, ask, suggest, hold or deny."""
    return {
        "guardrail": v.guardrail,
        "answer": v.answer.value,
        "reason": v.reason,
        "changes": v.changes,
        "cannot_see": v.cannot_see,
        "facts": dict(v.facts),
        "seen": dict(v.seen),
    }


def alert_body(alert: Alert) -> View:
    return {
        "fingerprint": alert.fingerprint,
        "name": alert.name,
        "status": alert.status,
        "severity": alert.severity,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "starts_at": time(alert.starts_at),
        "ends_at": time(alert.ends_at),
        "generator_url": alert.generator_url,
        "source": alert.source,
        "cluster": alert.cluster,
    }


def alert(record: AlertRecord) -> View:
    """One alert with what became of it; an empty `verdict` is still to be decided."""
    kind, _, rest = record.verdict.partition(":")
    return {
        "id": record.id,
        **alert_body(record.alert),
        "first_seen": time(record.first_seen),
        "last_seen": time(record.last_seen),
        "resolved_at": time(record.resolved_at),
        "verdict": kind,
        "remediation": rest if kind in ("remediation", "joined") else "",
        "detail": record.detail or ("" if kind in ("remediation", "joined") else rest.strip()),
    }


def summary(r: Remediation) -> View:
    """One remediation in a list. `told_as` is the state in people's words, `question` what they are asked mid-way."""
    return {
        "id": r.id,
        "episode": r.episode,
        "cluster": r.cluster,
        "playbook": r.playbook,
        "candidates": list(dict.fromkeys(c.playbook for c in r.candidates)),
        "mode": r.mode,
        "environment": r.environment,
        "state": r.state.value,
        "told_as": told_as(r),
        "question": question(r),
        "ended": r.ended,
        "outcome": r.outcome.value,
        "target": ref(r.target),
        "root": ref(r.root),
        "severity": r.severity,
        "reason": r.reason,
        "change": _change(r),
        "alert_count": len(r.alerts),
        "created_at": time(r.created_at),
        "since": time(r.since),
        "deadline": time(r.deadline),
        "ended_at": time(r.ended_at),
        "approval": _approval(r),
    }


def _change(r: Remediation) -> str:
    """What it does, in one line; empty before it was planned."""
    return "; ".join(s.summary for s in r.plan.steps if s.effects) if r.plan else ""


def _approval(r: Remediation) -> View | None:
    """Null until it was proposed to people."""
    if not r.digest or r.approval_expires is None or r.spec is None:
        return None
    given = [c for c in r.consents if c.digest == r.digest]
    return {
        "digest": r.digest,
        "quorum": r.spec.approval.quorum,
        "approvers": list(r.spec.approval.approvers),
        "expires_at": time(r.approval_expires),
        "given": [
            {"who": c.who, "at": time(c.at), "via": c.via, "by": c.by, "break_glass": c.break_glass} for c in given
        ],
    }


def remediation(
    r: Remediation,
    *,
    records: Sequence[AlertRecord] = (),
    history: Sequence[JournalEvent] = (),
    attempts: Sequence[Attempt] = (),
    pauses: Sequence[Pause] = (),
    evidence: bool = True,
) -> View:
    """Everything on record about one remediation. `evidence=False` leaves log text out."""
    spec = r.spec
    return {
        **summary(r),
        "description": spec.description if spec else "",
        "owner": spec.owner if spec else "",
        "runbook": spec.runbook if spec else "",
        "playbook_hash": r.playbook_hash,
        "because": r.because,
        "requester": r.requester,
        "cause": r.cause,
        "params": dict(spec.given) if spec else {},
        "confirmed": [
            {"step": c.step, "question": c.question, "who": list(c.who), "at": time(c.at)} for c in r.confirmed
        ],
        "parent": r.parent,
        "chain": list(r.chain),
        "ladder": list(r.ladder),
        "waiting_for": r.waiting_for,
        "undoing": r.undoing,
        "step": r.step,
        "plan": plan(r.plan),
        "verdicts": [verdict(v) for v in r.verdicts],
        "done": [_done(d) for d in r.done],
        "before": sample(r.plan.before) if r.plan else None,
        "samples": [sample(s) for s in r.samples],
        "alerts": [alert(record) for record in records],
        "attempts": [attempt(a) for a in attempts],
        "pauses": [pause(p) for p in pauses],
        "timeline": [event(e) for e in history if e.type != EVIDENCE],
        "evidence": [_evidence(e, log=evidence) for e in history if e.type == EVIDENCE],
    }


def plan(p: Plan | None) -> View | None:
    """Target, steps with their diff, digest; null where no plan could be made."""
    if p is None:
        return None
    return {
        "made_at": time(p.made_at),
        "digest": p.digest,
        "target": ref(p.target),
        "root": ref(p.root),
        "targets": [ref(t) for t in p.targets],
        "because": p.because,
        "steps": [_planned_step(step, p.target) for step in p.steps],
        "risk": list(risk_lines(risk)) if (risk := risk_of(p)) else [],
        "undo": p.undo_text,
        "alerts_quiet_since": time(p.alerts_quiet_since),
    }


def _planned_step(step: PlannedStep, target: ObjectRef) -> View:
    change = Change(effects=step.effects, summary=step.summary)
    return {
        "action": step.action,
        "summary": step.summary,
        "diff": list(diff_lines(change, target)),
        "effects": len(step.effects),
        "takes": step.takes,
        "undoable": bool(step.effects) and all(e.undoable for e in step.effects),
        "needs_approval": step.needs_approval,
        "notes": list(step.notes),
    }


def _done(d: Done) -> View:
    return {
        "effect": d.effect_id,
        "step": d.step,
        "at": time(d.at),
        "summary": d.summary,
        "undoable": d.inverse is not None,
    }


def sample(s: SampleSet | None) -> View | None:
    """All checks of one moment: good, bad, or unknown (never counted as either)."""
    if s is None:
        return None
    return {
        "taken_at": time(s.taken_at),
        "available": s.available,
        "checks": [
            {"check": c.check, "answer": c.answer, "detail": c.detail, "clearing": c.clearing} for c in s.checks
        ],
    }


def _check(c: CheckSample) -> View:
    return {"check": c.check, "answer": c.answer, "detail": c.detail, "clearing": c.clearing}


def attempt(a: Attempt) -> View:
    """One request. `outcome` null = no answer on record: maybe done."""
    return {
        "id": a.id,
        "effect": a.effect_id,
        "number": a.number,
        "epoch": a.epoch,
        "verb": a.request.verb,
        "object": ref(a.request.ref),
        "resource_version": a.resource_version,
        "at": time(a.at),
        "outcome": a.outcome,
        "detail": a.detail,
    }


def event(e: JournalEvent) -> View:
    """One line of the record. `from` and `to` are equal where the state stayed. `who` is set where a person spoke."""
    said = e.data.get("event")
    return {
        "seq": e.seq,
        "at": time(e.at),
        "type": e.type,
        "from": e.from_state,
        "to": e.to_state,
        "who": str(said.get("who", "")) if isinstance(said, dict) else "",
        "reason": e.reason,
    }


def _evidence(e: JournalEvent, *, log: bool) -> View:
    return {
        "at": time(e.at),
        "title": str(e.data.get("title") or e.reason),
        "text": str(e.data.get("text", "")),
        "log": str(e.data.get("log", "")) if log else "",
        "withheld": bool(e.data.get("log")) and not log,
    }


def pause(p: Pause) -> View:
    """One live pause. `covers` says in words what `scope` names, `said` all of it; `lifted_by` is a command."""
    return {
        "id": p.id,
        "scope": p.scope,
        "covers": describe_scope(p.scope),
        "said": paused_by(p),
        "lifted_by": lifted_by(p),
        "who": p.who,
        "why": p.why,
        "until": time(p.until),
        "created_at": time(p.created_at),
    }


def playbook(loaded: LoadedPlaybook, *, mode: str = "", problem: str = "") -> View:
    """One playbook in force. `mode` is the highest that policy leaves it anywhere; `problem` why a newer version is
    not."""
    p = loaded.playbook
    return {
        "name": p.name,
        "description": p.description,
        "owner": p.owner,
        "runbook": p.runbook,
        "mode": mode or p.mode.value,
        "wanted_mode": p.mode.value,
        "priority": p.priority,
        "match": list(p.match.alerts) if p.match else [],
        "when": p.match.when if p.match else "",
        "schedule": p.schedule.rule if p.schedule else "",
        "manual": p.manual,
        "report": p.is_report,
        "steps": [_step(s) for s in p.steps],
        "checks": [c.kind for c in p.verify.checks],
        "escalate": [e.playbook or "page" for e in p.escalate],
        "quorum": p.approval.quorum,
        "hash": loaded.hash,
        "source": loaded.source,
        "project": loaded.project,
        "problem": problem,
    }


def _step(step: Step) -> str:
    if step.wait is not None:
        return f"wait {format_duration(step.wait)}"
    if step.check is not None:
        return f"check {step.check.kind}"
    return step.action or f"ask: {step.ask}"
