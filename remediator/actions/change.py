"""What an action proposes: effects as plain data.

The same value is hashed into the digest, shown as a diff, rehearsed by the API server's dry run, checked by the
guardrails, approved, reserved and sent. "What was checked is what is sent" then holds by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from remediator.objects import JSON, ObjectRef

Direction = Literal["", "up", "down", "failover"]
"""Which way a change goes, for the opposite-action cooldown. A failover is its own opposite: the next one goes back."""

GENERATED_TIME = "${generated:time}"
"""Placeholder for the time of sending (RFC 3339, seconds). The digest hashes it as it is, the last look fills it in."""

GENERATED_ID = "${generated:id}"
"""Placeholder, also inside a longer text, for ten characters that are the same for all effects of one step of one
remediation, and of no other: the name of what is created, a run id. A request sent twice then names the same thing."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One touched path with the value the plan saw and the value it wants. None means the field is absent.

    A path goes through mappings by key, and through lists by `[name=app]` (the item with that value) or by a number:
    `("spec", "template", "spec", "containers", "[name=app]", "image")`.
    """

    path: tuple[str, ...]
    before: JSON
    after: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Change fields of one object, bound to its uid.

    `replace=False` sends a merge patch and is for single values, `replace=True` a JSON patch that replaces each path
    whole (a pod template); a path through a list always is a JSON patch. `undoable`: swapping before and after is a
    meaningful inverse; a restart has none.
    `subresource` (`status`, `resize`) names where it is sent. A subresource keeps no marker: proof that such a patch
    happened is our own entry in managedFields, so its values must be absolute and harmless when they are there already.
    `made_here`: the object is what an earlier effect of this remediation creates; `uid` is empty until then, and the
    name may hold GENERATED_ID.
    """

    kind: Literal["patch"] = "patch"
    ref: ObjectRef
    uid: str
    changes: tuple[FieldChange, ...]
    replace: bool = False
    undoable: bool = True
    subresource: str = ""
    made_here: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Make one object. Nothing else has its name: `ref.name` holds GENERATED_ID, or is a name that people chose.

    `body` is the object without `apiVersion`, `kind`, name and namespace, which `ref` says; texts in it may hold
    GENERATED_ID and GENERATED_TIME. We add our marker and the label that names the remediation. What has that name
    already and is not ours is left alone, and refused. `undoable`: deleting it again is a meaningful inverse.
    A Job is created suspended and started by a `Patch` with `made_here`: a create that is sent twice is harmless then.
    """

    kind: Literal["create"] = "create"
    ref: ObjectRef
    body: Mapping[str, JSON]
    undoable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Delete one object, bound to its uid and to what it was at the last look.

    `holds` = paths with values that must still be there at the last look (`status.phase` is `Failed`), otherwise it is
    left alone. `summary` describes it for people.
    """

    kind: Literal["remove"] = "remove"
    ref: ObjectRef
    uid: str
    holds: tuple[tuple[tuple[str, ...], JSON], ...] = ()
    propagation: Literal["Background", "Foreground", "Orphan"] = "Background"
    undoable: Literal[False] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to something outside the Kubernetes API: a database, a helm release, an HTTP endpoint, a process.

    `via` names the caller (`sql`, `http`, `exec`, `helm`, ...), `place` what the operator's configuration calls the
    other side, `request` what is said to it, as JSON (texts may hold GENERATED_ID and GENERATED_TIME). `ref` and `uid`
    are the object that it is about: locks, pauses and protection are asked of that. `says` is the line for people.
    At most one request: one without an answer goes to a person, unless the caller can find out, or the step says
    `repeatable`. `inverse` is the request that takes it back, None where there is none.
    """

    kind: Literal["call"] = "call"
    ref: ObjectRef
    uid: str
    via: str
    place: str
    request: Mapping[str, JSON]
    says: str
    repeatable: bool = False
    inverse: Mapping[str, JSON] | None = None

    @property
    def undoable(self) -> bool:
        return self.inverse is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRule:
    """Which pod to take, chosen late (at the last look), so that the plan survives pods coming and going.

    `owner_uids` are the uids of the pods' controllers, `selector` narrows the list call. `select`:
    `named` the pod `name` with `uid`; `oldest` the oldest pod that existed when the remediation started and that this
    remediation has not taken yet; `unready` the same among unready pods only. `unready` with `name` and `uid` is that
    one pod, for as long as it is unready.
    """

    namespace: str
    select: Literal["named", "oldest", "unready"]
    owner_uids: tuple[str, ...] = ()
    selector: str = ""
    name: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evict:
    """Evict one pod through the Eviction API, bound to its uid. A PDB that says no is waited for, never bypassed."""

    kind: Literal["evict"] = "evict"
    pod: PodRule
    undoable: Literal[False] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete one pod, bound to its uid: only for a pod that is broken and that its StatefulSet waits for."""

    kind: Literal["delete"] = "delete"
    pod: PodRule
    undoable: Literal[False] = False


Effect = Patch | Create | Remove | Evict | Delete | Call

Inverse = Patch | Remove | Call
"""What an undo sends."""


def object_of(effect: Effect) -> ObjectRef | None:
    """The object that an effect names; None for a pod that is chosen late."""
    return None if isinstance(effect, Evict | Delete) else effect.ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """What an action that promotes another primary has measured; the guardrail `failover_fence` judges it.

    `old_primary` = what each vantage point says of it; at least two must say `stopped` or `unreachable`. `lag_s` of the
    candidate, None = not measured. `failing_since` = since when the primary is proven to fail, without a break.
    `operator_busy` = an operator that is failing over already (its words). `regions` = of the old and the new primary.
    """

    old_primary: Mapping[str, Literal["running", "stopped", "unreachable", "unknown"]]
    candidate: str
    lag_s: float | None
    max_lag_s: float
    failing_since: datetime | None
    debounce: timedelta
    operator_busy: str = ""
    regions: tuple[str, str] = ("", "")
    cross_region: bool = False
    """Whether the playbook allows another region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one step would do to one target, in order.

    `takes` = healthy copies it may remove at once (design: "what a change takes"); `summary` is the one-line diff for
    people (`replicas 3 -> 5`, `image a -> b`). `direction` feeds the opposite-action cooldown.
    `needs_approval` carries the reason when this change must not run on its own, whatever the mode.
    """

    effects: tuple[Effect, ...]
    takes: int = 0
    summary: str
    direction: Direction = ""
    reduces_capacity: bool = False
    needs_approval: str = ""
    notes: tuple[str, ...] = field(default=())
    failover: Failover | None = None
    """Set by whatever promotes another primary."""
    touches: tuple[ObjectRef, ...] = ()
    """Whatever else is affected and must be locked with it: the namespace of a Helm release, the pods of a node."""

    @property
    def goes(self) -> Direction:
        """Its direction, also that of an action that forgot to say that it fails over."""
        return "failover" if self.failover is not None else self.direction


class NotPossible(Exception):
    """An action will not do this to that object; a definite no (deny), with the reason for people.

    `hold=True`: it may become possible by itself (a rollout in progress), so the remediation is held and re-checked.
    `guardrail` names the guardrail that stands behind it ("action" otherwise), a closed set, also a metric label.
    """

    def __init__(self, reason: str, *, hold: bool = False, guardrail: str = "action") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hold = hold
        self.guardrail = guardrail
