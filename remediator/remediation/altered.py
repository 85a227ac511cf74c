"""Which effects a decision records as acknowledged, one by one, in words."""

from __future__ import annotations

from remediator.people.changes import Altered
from remediator.remediation.draft import Decision
from remediator.remediation.events import Acted
from remediator.remediation.state import Done, Remediation


def altered(decision: Decision) -> tuple[Altered, ...]:
    """New in this decision, an undo as well. What was not sent, or not acknowledged, is not among them."""
    before, after = decision.before, decision.remediation
    done = [
        Altered(id=effect.effect_id, what=_what(after, effect), at=effect.at)
        for effect in after.done[len(before.done) :]
    ]
    sent_nothing = isinstance(decision.event, Acted) and decision.event.answer == "nothing_to_do"
    if before.undoing and after.undo_sent > before.undo_sent and not sent_nothing:
        patch = before.undo_left[before.undo_sent]
        effect = next((effect for effect in before.done if effect.inverse == patch), None)
        what = _what(before, effect) if effect else f"change of {patch.ref}"
        done.append(Altered(id=before.effect_id, what=what, at=after.acted_at or after.since, undo=True))
    return tuple(done)


def _what(r: Remediation, effect: Done) -> str:
    """`scale Deployment shop/checkout: replicas 3 → 5`."""
    action = r.plan.steps[effect.step].action if r.plan and effect.step < len(r.plan.steps) else ""
    on = r.plan.target if r.plan else r.target or r.root
    return f"{action.replace('_', ' ')} {on}: {effect.summary}".strip().removesuffix(":").replace(" -> ", " → ")
