"""`change_gate`: what needs a change is done under one: approved, in its window, named with the approval."""

from __future__ import annotations

from remediator.guardrails.answers import asks, holds, not_applicable, passes
from remediator.guardrails.facts import Facts
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import clock, iso

NAME = "change_gate"
READS = frozenset({"change_record"})


def check(facts: Facts) -> Verdict:
    """Nothing runs by itself where a change is required: somebody has to name it. Then its system has the last word,
    also about one that was named without need.
    """
    record, required = facts.change_record, facts.playbook.approval.change == "required"
    if record is None and not required:
        return not_applicable(NAME, "the playbook needs no change")
    answer = f"remediator approve {facts.remediation_id} --change NUMBER"
    if not facts.approved:
        return asks(NAME, facts, "a change is needed", changes=f"Runs within its window once it is approved: {answer}")
    # An approval is given once: with another number it has to be proposed again.
    anew = f"Not like this: remediator reject {facts.remediation_id}; while it fires it is proposed again"
    if record is None:
        return holds(NAME, "it was approved without the number of a change", anew)
    number = record.number
    if not record.found:
        return holds(NAME, f"there is no change {number}", anew, number=number)
    if not record.ready:
        return holds(NAME, f"{number} is {record.state}", "goes on once it is being implemented", number=number)
    if record.starts_at is None or record.ends_at is None:
        return holds(NAME, f"{number} has no planned start and end", "goes on once it has both", number=number)
    window = {"number": number, "starts_at": iso(record.starts_at), "ends_at": iso(record.ends_at)}
    if facts.now < record.starts_at:
        begins = clock(record.starts_at, facts.now, facts.zone)
        return holds(NAME, f"{number} has not begun", f"Begins {begins}", **window)
    ends = clock(record.ends_at, facts.now, facts.zone)
    if facts.now >= record.ends_at:
        return holds(NAME, f"{number} was over at {ends}", anew, **window)
    return passes(NAME, f"{number} is {record.state}, until {ends}", **window)
