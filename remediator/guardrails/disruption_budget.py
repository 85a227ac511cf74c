"""`disruption_budget`: PodDisruptionBudgets hold also where Kubernetes does not apply them (restart, rollback)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediator.guardrails.answers import cannot_see, gravest_of, holds, passes
from remediator.guardrails.facts import Facts, TargetFacts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import many
from remediator.objects import Object, dig, generation_of, labels_of, ref_of

NAME = "disruption_budget"
READS = frozenset({"targets"})


def check(facts: Facts) -> Verdict:
    """What a step takes must fit what every budget of these pods allows at this moment.

    Targets that share a budget share what it allows: their requests follow each other, but what they start goes on.
    """
    return gravest_of([(target, _one(facts, target)) for target in facts.targets])


def _one(facts: Facts, target: TargetFacts) -> Verdict:
    takes, view = target.change.takes, target.view
    if takes <= 0:
        return passes(NAME, "takes no healthy copy", takes=0)
    if "pdbs" in view.unreadable:
        return cannot_see(NAME, f"what the disruption budgets of {view.ref} allow", view.unreadable["pdbs"])
    budgets = [pdb for pdb in view.pdbs if _counts(pdb, target)]
    for pdb in budgets:
        name, allowed = ref_of(pdb).name, dig(pdb, "status", "disruptionsAllowed")
        seen, generation = dig(pdb, "status", "observedGeneration") or 0, generation_of(pdb) or 0
        if allowed is None or int(seen) < generation:
            why = f"its status is of generation {seen}, its spec of generation {generation}"
            return cannot_see(NAME, f"what disruption budget {name} allows", why)
        sharing = [other for other in facts.targets if other.step == target.step and _counts(pdb, other)]
        taken = sum(other.change.takes for other in sharing)
        if taken > int(allowed):
            who = f"{len(sharing)} targets take" if len(sharing) > 1 else "this takes"
            return holds(
                NAME,
                f"budget {name} allows {many(int(allowed), 'disruption')}, "
                f"{who} {many(taken, 'ready copy', 'ready copies')}",
                f"passes when it allows {taken}",
                budget=name,
                allowed=int(allowed),
                takes=taken,
            )
    if not budgets:
        return passes(NAME, "no disruption budget covers these pods", takes=takes)
    return passes(NAME, f"within {', '.join(ref_of(pdb).name for pdb in budgets)}", takes=takes)


def _counts(pdb: Object, target: TargetFacts) -> bool:
    return target.change.takes > 0 and covers(pdb, target.view.target, target.view.pods)


def covers(pdb: Object, workload: Object, pods: Sequence[Object] = ()) -> bool:
    """Whether the budget selects pods of this workload: those of its template, or those that are there, which may be
    older than a label of the template. A pod stands for itself. An empty selector is every pod of the namespace."""
    if dig(pdb, "metadata", "namespace", default="") != dig(workload, "metadata", "namespace", default=""):
        return False
    selector = dig(pdb, "spec", "selector")
    if selector is None:
        return False
    ours = workload if workload.get("kind") == "Pod" else dig(workload, "spec", "template", default={})
    return any(_selects(selector, labels_of(one)) for one in (ours, *pods))


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
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
