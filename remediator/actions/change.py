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


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One touched path with the value the plan saw and the value it wants. None means the field is absent."""

    path: tuple[str, ...]
    before: JSON
    after: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Change fields of one object, bound to its uid.

    `replace=False` sends a merge patch and is for single values, `replace=True` a JSON patch that replaces each path
    whole (a pod template). `undoable`: swapping before and after is a meaningful inverse; a restart has none.
    """

    kind: Literal["patch"] = "patch"
    ref: ObjectRef
    uid: str
    changes: tuple[FieldChange, ...]
    replace: bool = False
    undoable: bool = True


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


Effect = Patch | Evict | Delete


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
