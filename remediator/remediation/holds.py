"""Holds of drift correction: which effects keep a GitOps controller away for a time, and what ends that. Pure.

A hold lasts until its pull request is merged. Where none was opened, or the live change was taken back, nothing has to
be waited for. It never lasts for longer than two hours: a controller that is switched off and forgotten heals nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remediator.actions.change import Call, Patch
from remediator.actions.delivery.argo import APPLICATION, AUTOMATED_PATH
from remediator.actions.delivery.flux import HELM_RELEASE, KUSTOMIZATION, SUSPEND_PATH
from remediator.actions.paths import value_at
from remediator.actions.render import brief, dotted
from remediator.gitops.owner import TOOLS
from remediator.objects import Object, uid_of
from remediator.playbooks.model import Check, Mode, Playbook, Step, Verify
from remediator.remediation.state import Done, Remediation, State, StepOutcome, TakeBack

LONGEST_HOLD = timedelta(hours=2)
CHECK = "released"
FORGE = "forge"
"""What a call says in `via` that opens a pull request."""


HOLDING_FIELDS = frozenset({AUTOMATED_PATH, SUSPEND_PATH})


@dataclass(frozen=True, slots=True)
class Resume:
    """The action that lets a controller go on, and what that changes in words."""

    action: str
    summary: str


RESUMES: Mapping[str, Resume] = {
    APPLICATION: Resume("argocd_resume", "auto-sync off -> on"),
    KUSTOMIZATION: Resume("flux_resume", "suspended -> resumed"),
    HELM_RELEASE: Resume("flux_resume", "suspended -> resumed"),
}

RELEASED = Verify.model_validate(
    {"settle": 0, "interval": 5, "successes": 1, "failures": 2, "timeout": 120, "checks": (Check(kind=CHECK),)}
)
"""Proven by one look. How the application does is not the release's to answer for: Git says what it is like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold. `patch` is what ends it, `requests` are the inverses of the calls that opened its pull requests, and
    `undone` says that the live change beside it was taken back."""

    effect_id: str
    at: datetime
    patch: Patch
    requests: tuple[Call, ...] = ()
    undone: bool = False

    @property
    def owner(self) -> str:
        """`Argo CD application argocd/shop`."""
        ref = self.patch.ref
        return f"{TOOLS[ref.kind]} {ref.namespace}/{ref.name}"


def holds_of(r: Remediation) -> tuple[Hold, ...]:
    """Of all that it has done, whatever has become of it since."""
    if r.spec is None:
        return ()
    held = [d for d in r.done if r.spec.steps[d.step].via == "hold_and_pr" and ends_a_hold(d)]
    return tuple(_hold(r, d, d.inverse) for d in held if isinstance(d.inverse, Patch))


def ends_a_hold(done: Done) -> bool:
    """Whether its inverse lets a GitOps controller go on; other fields of such an object are no hold."""
    if not isinstance(done.inverse, Patch) or done.inverse.ref.kind not in RESUMES:
        return False
    return any(change.path in HOLDING_FIELDS for change in done.inverse.changes)


def _hold(r: Remediation, done: Done, patch: Patch) -> Hold:
    beside = [d.inverse for d in r.done if d.step == done.step and d is not done and not ends_a_hold(d)]
    taken_back = r.undo_left[: r.undo_sent]
    live = [inverse for inverse in beside if not isinstance(inverse, Call)]
    return Hold(
        effect_id=done.effect_id,
        at=done.at,
        patch=patch,
        requests=tuple(i for i in beside if isinstance(i, Call) and i.via == FORGE),
        undone=bool(live) and all(inverse is not None and inverse in taken_back for inverse in live),
    )


def over(r: Remediation, hold: Hold) -> str:
    """Why there is nothing to wait for, as the record tells it; empty = only its pull request can tell, or the time."""
    if under_way(r):
        return ""
    if hold.undone:
        return "its live change was undone"
    if not hold.requests and r.outcome is not StepOutcome.UNCERTAIN:  # there the request itself may be in doubt
        return "no pull request was opened"
    return ""


def under_way(r: Remediation) -> bool:
    return not (r.ended or r.state is State.INCONCLUSIVE)


def settled_by_others(hold: Hold, found: Object | None) -> str:
    """Why nothing is left to be released, when that is so; empty = everything is as the hold has left it."""
    patch = hold.patch
    if found is None or uid_of(found) != patch.uid:
        return f"{patch.ref} is gone, or another object by that name"
    if is_released(patch, found):
        return f"{hold.owner} is as it was before already"
    for change in patch.changes:
        if change.path not in HOLDING_FIELDS:
            continue  # a note beside it says nothing about who holds it
        if (now := value_at(found, change.path)) != change.before:
            what = f"{dotted(change.path)} of {patch.ref} is {brief(now)}"
            return f"left as it is: {what}, it was left at {brief(change.before)}: somebody changed it since"
    return ""


def is_released(patch: Patch, found: Object) -> bool:
    return all(value_at(found, change.path) == change.after for change in patch.changes)


def taken_back(hold: Hold) -> TakeBack:
    """Without a way back of its own: nobody has agreed to a second hold."""
    return TakeBack(patches=(replace(hold.patch, undoable=False),), says=RESUMES[hold.patch.ref.kind].summary)


def release_spec(spec: Playbook, hold: Hold) -> Playbook:
    """The playbook that was agreed to, with nothing in it but the end of its hold. Whoever it pages, it pages."""
    return spec.model_copy(
        update={
            "mode": Mode.AUTO,
            "steps": (Step(action=RESUMES[hold.patch.ref.kind].action),),
            "targets": None,
            "fleet": None,
            "collect": (),
            "escalate": tuple(rung for rung in spec.escalate if rung.page is not None),
            "verify": RELEASED,
        }
    )
