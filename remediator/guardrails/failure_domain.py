"""`failure_domain`: what is changed at the same time lies in one failure domain (zone), so that the others carry on.

It looks at several targets of one step and at remediations side by side, not at one workload's own rollout, and what is
spread over several domains by design counts as none.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.guardrails.answers import holds, not_applicable, passes
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import first_of, many

NAME = "failure_domain"
READS = frozenset({"targets", "runs", "limits"})

Domains = Mapping[str, frozenset[str]]
"""Who stands where: a target or a remediation, and its domains."""


def check(facts: Facts) -> Verdict:
    """A step's targets count together: their requests follow each other, but what they start goes on."""
    label, most = facts.limits.failure_domain_label, facts.limits.failure_domain_max
    if facts.targets and all(target.domains is None for target in facts.targets):
        return not_applicable(NAME, f"no node of the target carries {label}, or we may not read nodes")
    steps = {target.step for target in facts.targets}
    ours = [_ours([target for target in facts.targets if target.step == step]) for step in sorted(steps)]
    others = _others(facts)
    for step in ours:
        if len(step) > 1 and len(_union(step)) > most:
            return _too_many(facts, step, "passes with targets in fewer; the others can be a step of their own")
    for step in ours:
        if step and others and len(_union(step) | _union(others)) > most:
            return _too_many(facts, {**step, **others}, f"passes when {first_of(sorted(others))} ended")
    touched = sorted({domain for step in ours for domain in _union(step)})
    where = f"{label} {', '.join(touched)}" if touched else "spread over several, or nowhere yet"
    return passes(NAME, f"{where}; at most {most} at the same time", domains=touched, limit=most)


def _ours(targets: list[TargetFacts]) -> Domains:
    """By object, of those that stand in a domain."""
    return {str(target.ref): target.domains for target in targets if target.domains}


def _others(facts: Facts) -> Domains:
    return {
        run.remediation_id: run.domains
        for run in facts.runs
        if run.ended_at is None
        and run.cluster == facts.cluster
        and run.remediation_id != facts.remediation_id
        and run.domains
    }


def _union(parties: Domains) -> frozenset[str]:
    return frozenset().union(*parties.values())


def _too_many(facts: Facts, parties: Domains, changes: str) -> Verdict:
    label, most = facts.limits.failure_domain_label, facts.limits.failure_domain_max
    domains = sorted(_union(parties))
    who = first_of([f"{who} in {', '.join(sorted(where))}" for who, where in parties.items()])
    return holds(
        NAME,
        f"{many(len(domains), 'value')} of {label} at the same time, at most {most} ({who})",
        changes,
        domains=domains,
        limit=most,
    )
