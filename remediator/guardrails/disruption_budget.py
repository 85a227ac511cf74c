"""`disruption_budget`: PodDisruptionBudgets hold also where Kubernetes does not apply them (restart, rollback)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.guardrails.answers import cannot_see, gravest_of, holds, passes
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import many
from remediator.objects import Object, dig, generation_of, labels_of, ref_of

NAME = "disruption_budget"
READS = frozenset({"targets"})


def check(facts: Facts) -> Verdict:
    """What a change takes must fit what every budget of these pods allows at this moment."""
    return gravest_of([(target, _one(target)) for target in facts.targets])


def _one(target: TargetFacts) -> Verdict:
    takes, view = target.change.takes, target.view
    if takes <= 0:
        return passes(NAME, "takes no healthy copy", takes=0)
    if "pdbs" in view.unreadable:
        return cannot_see(NAME, f"what the disruption budgets of {view.ref} allow", view.unreadable["pdbs"])
    budgets = [pdb for pdb in view.pdbs if covers(pdb, view.target)]
    for pdb in budgets:
        name = ref_of(pdb).name
        allowed = dig(pdb, "status", "disruptionsAllowed")
        if allowed is None or int(dig(pdb, "status", "observedGeneration", default=0)) < (generation_of(pdb) or 0):
            return cannot_see(NAME, f"what disruption budget {name} allows", "its status is behind its spec")
        if takes > int(allowed):
            taken = many(takes, "ready copy", "ready copies")
            return holds(
                NAME,
                f"budget {name} allows {many(int(allowed), 'disruption')}, this takes {taken}",
                f"passes when it allows {takes}",
                budget=name,
                allowed=int(allowed),
                takes=takes,
            )
    if not budgets:
        return passes(NAME, "no disruption budget covers these pods", takes=takes)
    return passes(NAME, f"within {', '.join(ref_of(pdb).name for pdb in budgets)}", takes=takes)


def covers(pdb: Object, workload: Object) -> bool:
    """Whether the budget selects the pods of this workload's template. An empty selector is every pod there."""
    if dig(pdb, "metadata", "namespace", default="") != dig(workload, "metadata", "namespace", default=""):
        return False
    selector = dig(pdb, "spec", "selector")
    if selector is None:
        return False
    labels = labels_of(dig(workload, "spec", "template", default={}))
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return True  # unknown to us: the budget may cover these pods, so it counts
