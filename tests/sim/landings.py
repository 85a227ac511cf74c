"""What reaches the cluster, and whoever is called: each effect at most once, as it was planned and agreed to, and of
nobody whose turn is over.

Checked where it lands: by every change of an object that a request of ours makes, and by every request that is carried
out elsewhere.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from remediator.actions.change import (
    GENERATED_ID,
    GENERATED_TIME,
    Call,
    Create,
    Delete,
    Effect,
    Evict,
    Patch,
    Remove,
)
from remediator.actions.paths import value_at
from remediator.actions.render import generated_id, made_by, marker_of, resolved
from remediator.guardrails.pause import PAUSE_ANNOTATION
from remediator.guardrails.protect import is_protected
from remediator.objects import ObjectRef, annotations_of, dig, ref_of, uid_of
from remediator.ports import ABANDONED
from remediator.remediation.state import Remediation, State, StepOutcome
from tests.sim.forge import APP, AUTOMATED

if TYPE_CHECKING:
    from tests.sim.invariants import Checks, Row

NO_EFFECT_ENDS = (State.DENIED, State.OBSERVED, State.SUGGESTED, State.REJECTED, State.SUPERSEDED, State.CANCELLED)
TOUCHED = (("spec", "replicas"), ("spec", "template"))
"""What a person and we both write of a Deployment."""
LONG_AGO_S = 15.0
"""No last look is older than that."""


REVERTS = ("put back", "left as it is")
HOLDS = ("taken", "released", "ended by somebody")


def kind_of_effect(effect: Effect) -> str:
    """For coverage: what kinds of proof there are."""
    match effect:
        case Patch() if effect.made_here:
            return "start"
        case Patch() if effect.subresource:
            return "status"
        case Call() if effect.repeatable:
            return "repeatable call"
        case _:
            return effect.kind


class Landings:
    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._world = checks.world
        self.landed: Counter[str] = Counter()
        """By effect id."""
        self.markers: dict[str, list[str]] = defaultdict(list)
        """By the name of a Deployment, in their order."""
        self._author: dict[tuple[ObjectRef, tuple[str, ...]], str] = {}
        self._made: dict[str, str] = {}
        """By the uid of what was made: the remediation that did it."""
        self._started: Counter[str] = Counter()
        self._reverted: dict[str, set[str]] = defaultdict(set)
        """By the remediation whose temporary effect it is: what has put it back."""
        self._closed: dict[ObjectRef, float] = {}
        """Since when a Deployment has been paused or protected by annotation, without a break."""
        self._taken_away: dict[ObjectRef, float] = {}
        """When somebody else removed what was made."""

    # --- the cluster ---------------------------------------------------------------------------------------------

    def changed(self, change: Any) -> None:
        """Every change of an object, by whomever, as etcd sees it."""
        request = self._world.carried_out
        if request is None or ABANDONED.encode() in request.body:
            self._by_others(change.before, change.after)
            return
        if request.verb == "evict" or ref_of(change.object) != request.ref:
            return
        row = self._row_of(request)
        if row is None:
            return  # found by the audit at the end
        effect_id = row.attempt.effect_id
        r = self._checks.latest[row.attempt.remediation_id]
        effect = self._lands(effect_id, r, again=self._may_be_made_again(request, row))
        before, after = change.before, change.after
        if before is not None and self._may_not(before):
            self._broken(13, f"{effect_id} lands on {request.ref}, which is paused")
        match effect:
            case None | Evict() | Delete():
                return
            case Patch():
                self._patched(r, effect_id, effect, before, after)
            case Create():
                self._created(r, effect_id, effect, before, after)
            case Remove():
                self._removed(effect_id, effect, before)
            case Call():
                self._broken(4, f"{effect_id} is a call, and changes {request.ref}")
        if request.ref.kind not in ("Deployment", APP.kind):
            self._world.touched(r)

    def _by_others(self, before: Any, after: Any) -> None:
        if after is None and made_by(before):
            self._taken_away[ref_of(before)] = self._world.loop.now
        if after is None or before is None:
            return
        ref = ref_of(after)
        if ref == APP and value_at(before, AUTOMATED) != value_at(after, AUTOMATED):
            self._author[ref, AUTOMATED[:2]] = "somebody"
        if after["kind"] != "Deployment":
            return
        if self._world.people.editing:
            for path in TOUCHED:
                if dig(before, *path) != dig(after, *path):
                    self._author[ref, path] = "somebody"
        if self._may_not(after) or is_protected(after):
            self._closed.setdefault(ref, self._world.loop.now)
        else:
            self._closed.pop(ref, None)

    @staticmethod
    def _may_not(obj: Any) -> bool:
        return PAUSE_ANNOTATION in annotations_of(obj)

    def _row_of(self, request: Any) -> Row | None:
        """Its newest row, of whoever is not over yet if there are several: bytes of a deletion name no effect."""
        rows = [row for row in self._checks.rows if row.attempt.request == request]
        alive = [row for row in rows if not self._checks.latest[row.attempt.remediation_id].ended]
        return (alive or rows or [None])[-1]  # type: ignore[list-item]

    def _may_be_made_again(self, request: Any, row: Row) -> bool:
        """A create whose name somebody else made free: while it was under way, or before we knew that it was there."""
        freed = self._taken_away.get(request.ref)
        if request.verb != "create" or freed is None:
            return False
        known = "select 1 from attempts where effect_id = ? and outcome in ('done', 'happened', 'conflict')"
        return row.at < freed or not self._world.store.rows(known, row.attempt.effect_id)

    def _lands(self, effect_id: str, r: Remediation, *, again: bool = False) -> Effect | None:
        """Whether it may, whatever it is; None = there is no such effect, which has been said."""
        self.landed[effect_id] += 1
        effect = self._effect(r, effect_id)
        if again:
            self._checks.sometimes["made again by a late request"] += 1
            return effect
        if self.landed[effect_id] > 1 and isinstance(effect, Call) and effect.repeatable:
            return effect  # that is what it means, also when it comes late
        if self.landed[effect_id] > 1:
            self._broken(6, f"{effect_id} happened {self.landed[effect_id]} times")
        if r.ended and r.state in NO_EFFECT_ENDS:
            self._broken(3, f"{effect_id} lands although {r.id} ended as {r.state.value}")
        if r.ended and not (r.outcome is StepOutcome.UNCERTAIN and "given up" not in r.reason):
            self._broken(18, f"{effect_id} lands after {r.id} was handed over ({r.state.value} {r.outcome.value})")
        if effect is None:
            self._broken(4, f"{effect_id} is in no plan of {r.id}")
            return None
        kind = kind_of_effect(effect)
        if _undoes(effect_id):
            self._checks.sometimes["undone an effect"] += 1
            self._checks.coverage.reach("effect", f"{kind} takes something back")
        else:
            self._checks.coverage.reach("effect", f"{kind} lands")
            self._approved(r, effect_id, effect)
        return effect

    def _effect(self, r: Remediation, effect_id: str) -> Effect | None:
        number = effect_id.partition("/")[2]
        if number.startswith("undo."):
            return r.undo_left[int(number.removeprefix("undo."))]
        step, _, index = number.partition(".")
        planned = (p.steps[int(step)].effects for p in reversed(self._checks.plans[r.id]))
        effect = next((e[int(index)] for e in planned if len(e) > int(index)), None)
        return None if effect is None else resolved(effect, generated_id(r.id, r.created_at, int(step)))

    def _patched(self, r: Remediation, effect_id: str, effect: Patch, before: Any, after: Any) -> None:
        ref = ref_of(after)
        if not effect.subresource and marker_of(after) != effect_id:
            self._broken(6, f"{effect_id} left the marker {marker_of(after)!r} on {ref}")
        if ref.kind == "Deployment":
            self.markers[ref.name].append(effect_id)
        if effect.made_here:
            self._starts(r, effect_id, before)
        elif uid_of(before) != effect.uid:
            self._broken(4, f"{effect_id} changed {ref} with uid {uid_of(before)}, planned was {effect.uid}")
        puts_back = bool(r.reverts) and not _undoes(effect_id)
        if puts_back:
            self._put_back(r, effect_id)
        touched = {c.path for c in effect.changes}
        for change in effect.changes:
            said, where = value_at(before, change.path), ".".join(change.path)
            if said != change.before:
                self._broken(19, f"{effect_id} overwrites {where}={said!r}, which it saw as {change.before!r}")
            if not _generated(change.after) and value_at(after, change.path) != change.after:
                self._broken(4, f"{effect_id} set {where} to {value_at(after, change.path)!r}")
            if _undoes(effect_id):
                author = self._author.get((ref, change.path[:2]), "nobody")
                if not author.startswith(f"{r.id}/"):
                    self._broken(19, f"{effect_id} undoes {where}, last written by {author}")
            if puts_back and self._author.get((ref, change.path[:2])) == "somebody":
                self._broken(19, f"{effect_id} puts back {where}, which somebody has changed since {r.reverts}")
            self._author[ref, change.path[:2]] = effect_id
        for path in TOUCHED if ref.kind == "Deployment" else (("spec",), ("status",)):
            if dig(before, *path) != dig(after, *path) and not any(t[: len(path)] == path for t in touched):
                self._broken(4, f"{effect_id} also changed {'.'.join(path)} of {ref}")

    def _put_back(self, r: Remediation, effect_id: str) -> None:
        """What was only to last for a time, once."""
        what = r.releases or r.reverts
        self._reverted[what].add(effect_id)
        self._checks.coverage.reach(*(("hold", "released") if r.releases else ("revert", "put back")))
        if len(self._reverted[what]) > 1:
            self._broken(6, f"what {what} did is put back by {sorted(self._reverted[what])}")

    def _starts(self, r: Remediation, effect_id: str, before: Any) -> None:
        """Only what this remediation made, and that once."""
        uid = uid_of(before)
        if made_by(before) != r.id or self._made.get(uid) != r.id:
            self._broken(4, f"{effect_id} starts {ref_of(before)}, which {self._made.get(uid, 'somebody else')} made")
        self._started[uid] += 1
        if self._started[uid] > 1:
            self._broken(6, f"{ref_of(before)} was started {self._started[uid]} times")

    def _created(self, r: Remediation, effect_id: str, effect: Create, before: Any, after: Any) -> None:
        if before is not None:
            self._broken(19, f"{effect_id} writes over {effect.ref}")
        if ref_of(after) != effect.ref:
            self._broken(4, f"{effect_id} made {ref_of(after)}, planned was {effect.ref}")
        if marker_of(after) != effect_id or made_by(after) != r.id:
            self._broken(6, f"{effect_id} made {effect.ref}, which does not say so")
        if not _within(effect.body, after):
            self._broken(4, f"{effect_id} made {effect.ref} otherwise than it was planned")
        self._made[uid_of(after)] = r.id

    def _removed(self, effect_id: str, effect: Remove, before: Any) -> None:
        """What was planned, while it was what the plan says. Bound to the version of the last look."""
        if uid_of(before) != effect.uid:
            self._broken(4, f"{effect_id} removed {effect.ref} with uid {uid_of(before)}, planned was {effect.uid}")
        for path, value in effect.holds:
            if value_at(before, path) != value:
                self._broken(19, f"{effect_id} removed {effect.ref} with {'.'.join(path)}={value_at(before, path)!r}")
        if is_protected(before):
            self._broken(13, f"{effect_id} removed {effect.ref}, which is protected")
        if _undoes(effect_id) and effect.uid not in self._made:
            self._broken(19, f"{effect_id} takes {effect.ref} back, which we did not make")

    def _approved(self, r: Remediation, effect_id: str, effect: Effect) -> None:
        """[4, 14] What a person agreed to is what is sent."""
        if r.mode != "approve":
            return
        step, _, index = effect_id.partition("/")[2].partition(".")
        proposed = self._checks.proposed.get((r.id, r.digest))
        if proposed is None:
            self._broken(4, f"{effect_id}: nothing with digest {r.digest[:8]} was ever proposed")
            return
        planned: Sequence[Effect] = proposed.steps[int(step)].effects
        if not planned:
            return
        agreed = resolved(planned[int(index)], generated_id(r.id, r.created_at, int(step)))
        if isinstance(agreed, Patch) and isinstance(effect, Patch):
            same = [c.after for c in agreed.changes] == [c.after for c in effect.changes] and agreed.ref == effect.ref
        else:
            same = agreed == effect
        if not same:
            self._broken(4, f"{effect_id} differs from what was approved")

    # --- elsewhere -----------------------------------------------------------------------------------------------

    def called(self, via: str, place: str, request: Mapping[str, Any], key: str) -> None:
        """A request is carried out by whoever was called."""
        row = next((x for x in reversed(self._checks.rows) if _says(x, via, place, request, key)), None)
        if row is None:
            self._broken(6, f"{via} is told to {request} at {place} without a row")
            return
        r = self._checks.latest[row.attempt.remediation_id]
        effect = self._lands(key, r)
        if effect is None:
            return
        if not isinstance(effect, Call) or (effect.via, effect.place) != (via, place):
            self._broken(4, f"{key} calls {via} at {place}, planned was {effect}")
        elif not _within(effect.request, request):
            self._broken(4, f"{key} says {request}, planned was {effect.request}")
        self._world.touched(r)

    def calls(self, effect_id: str, ref: ObjectRef) -> None:
        """A call leaves: about an object that has been paused or protected for so long nobody is to be called."""
        since = self._closed.get(ref)
        if since is not None and self._world.loop.now - since > LONG_AGO_S:
            self._broken(13, f"{effect_id} is called although {ref} says since {since:.1f} s to leave it alone")

    def _broken(self, number: int, text: str) -> None:
        self._checks.broken(number, text)


def says(attempt_request: Any, via: str, place: str, request: Mapping[str, Any], key: str) -> bool:
    """Whether a recorded request is this call."""
    if attempt_request.verb != "call":
        return False
    said = json.loads(attempt_request.body)
    return bool((said["via"], said["place"], said["request"], said["key"]) == (via, place, request, key))


def _says(row: Row, *call: Any) -> bool:
    return says(row.attempt.request, *call)


def _undoes(effect_id: str) -> bool:
    return effect_id.partition("/")[2].startswith("undo.")


def _generated(value: Any) -> bool:
    text = json.dumps(value)
    return GENERATED_TIME in text or GENERATED_ID in text


def _within(planned: Any, found: Any) -> bool:
    """Whether all that was planned is there; whoever takes it may add defaults."""
    if isinstance(planned, Mapping):
        return isinstance(found, Mapping) and all(_within(value, found.get(key)) for key, value in planned.items())
    if isinstance(planned, list | tuple):
        return isinstance(found, list | tuple) and all(map(_within, planned, found)) and len(planned) == len(found)
    if isinstance(planned, str) and _generated(planned):
        return isinstance(found, str) and "${generated" not in found
    return bool(planned == found)


def expected() -> list[str]:
    """Every kind of effect lands, and is found out about where its answer is lost; what can be taken back is."""
    proven = {
        "patch": ("happened", "again", "never", "person"),
        "start": ("happened", "again", "never"),
        "status": ("happened", "again", "person"),
        "create": ("happened", "again", "person"),
        "remove": ("happened", "again", "never"),
        "call": ("happened", "never", "person"),
        "repeatable call": ("again", "happened"),
    }
    return [
        *(f"{kind} lands" for kind in proven),
        *(f"{kind}: {answer}" for kind, answers in proven.items() for answer in answers),
        *(f"{kind} takes something back" for kind in ("patch", "remove", "call")),
    ]
