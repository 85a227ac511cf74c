"""Effects that are only wanted while an alert lasts: which of them wait to be taken back, and how that is done. Pure.

Only changes of fields are: they alone can be compared with what is there now, so that nothing is taken away from a
person who has changed the same field meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from remediator.actions.change import Change, Direction, FieldChange, NotPossible, Patch
from remediator.actions.paths import value_at
from remediator.actions.render import brief, dotted
from remediator.actions.view import Get, View, Wanted
from remediator.actions.workload import read_workload, takes_by_rollout
from remediator.objects import WORKLOADS, ref_of, uid_of
from remediator.playbooks.model import Step
from remediator.remediation.state import Remediation, State, TakeBack

BACK: Mapping[Direction, Direction] = {"up": "down", "down": "up", "failover": "failover"}
COPIES = frozenset({"replicas", "minReplicas", "maxReplicas"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Temporary:
    """What a remediation has left behind for a time: the steps that are to be put back, newest first, with what each
    puts back. `after_quiet` is the longest that any of them asks for."""

    after_quiet: timedelta
    steps: tuple[Step, ...]
    takes_back: tuple[TakeBack, ...]


def temporary(r: Remediation) -> Temporary | None:
    """None where nothing is left behind for a time: what did not help is a person's, with all that was done."""
    if r.state is not State.SUCCEEDED or r.spec is None or r.plan is None or r.takes_back:
        return None
    found: dict[int, list[Patch]] = {}
    after = timedelta(0)
    for done in reversed(r.done):
        step = r.spec.steps[done.step]
        if step.revert is None or not isinstance(done.inverse, Patch):
            continue
        after = max(after, step.revert.after_quiet)
        if not any(_joined(patches, done.inverse) for patches in found.values()):
            found.setdefault(done.step, []).append(_again(done.inverse))
    return (
        Temporary(
            after_quiet=after,
            steps=tuple(r.spec.steps[index].model_copy(update={"revert": None, "with_": {}}) for index in found),
            takes_back=tuple(
                TakeBack(patches=tuple(patches), goes=BACK.get(r.plan.steps[index].direction, ""))
                for index, patches in found.items()
            ),
        )
        if found
        else None
    )


def _again(patch: Patch) -> Patch:
    """As an effect of its own, which can be undone like any other should it make things worse."""
    return replace(patch, undoable=True)


def _joined(later: list[Patch], patch: Patch) -> bool:
    """Whether it goes on where one of these ends, and is part of that one now: what several steps have done to the
    same fields is put back in one go, or the second would be compared with what the first has left."""
    for place, other in enumerate(later):
        same = (other.ref, other.uid, other.subresource) == (patch.ref, patch.uid, patch.subresource)
        to = {change.path: change.after for change in patch.changes}
        if same and {c.path: c.after for c in other.changes} == {c.path: c.before for c in patch.changes}:
            later[place] = replace(other, changes=tuple(replace(c, after=to[c.path]) for c in other.changes))
            return True
    return False


def wanted_of(back: TakeBack) -> dict[str, Wanted]:
    """Every object that is to be put back, by its own name."""
    return {patch.ref.key: Get(patch.ref) for patch in back.patches}


def put_back(back: TakeBack, view: View, reverts: str) -> Change:
    """The fields as they were. Raises: NotPossible when one of them is not as it was left."""
    for patch in back.patches:
        found = view.found[patch.ref.key]
        if found is None or uid_of(found) != patch.uid:
            raise NotPossible(f"{patch.ref} is gone, or another object by that name: nothing is left to take back")
        for change in patch.changes:
            if (now := value_at(found, change.path)) != change.before:
                what = f"{dotted(change.path)} of {patch.ref} is {brief(now)}, {reverts} left it at"
                raise NotPossible(f"left as it is: {what} {brief(change.before)}: somebody changed it since")
    down = back.goes == "down"
    return Change(
        effects=back.patches,
        takes=max(_takes(patch, view) for patch in back.patches),
        summary=back.says or "; ".join(_said(p, change, view) for p in back.patches for change in p.changes),
        direction=back.goes,
        reduces_capacity=down,
        notes=(f"it takes back what {reverts} did",),
    )


def _said(patch: Patch, change: FieldChange, view: View) -> str:
    """`replicas 5 -> 3`, with the object where it is not the target."""
    where = "" if patch.ref == view.ref else f"{patch.ref}: "
    name = change.path[-1] if change.path[:-1] == ("spec",) else dotted(change.path)
    return f"{where}{name} {brief(change.before)} -> {brief(change.after)}"


def _takes(patch: Patch, view: View) -> int:
    """Fewer copies take what is above them; a new pod template takes what its rollout does."""
    if view.ref.kind not in WORKLOADS:
        return 0
    workload = read_workload(view.target)
    lowered = [
        c.after
        for c in patch.changes
        if c.path[-1] in COPIES and isinstance(c.after, int) and isinstance(c.before, int) and c.after < c.before
    ]
    if lowered:
        return max(0, workload.available - min(lowered))
    of_template = patch.ref == ref_of(view.target) and any(c.path[:2] == ("spec", "template") for c in patch.changes)
    return takes_by_rollout(workload, view.pods) if of_template else 0
