"""What an approval is bound to: one hash over everything a plan would do, and over nothing that may drift meanwhile.

In: playbook content, cluster, each step's target, action, resolved parameters, and per effect the object's uid and
every touched path with before and after (or the rule that chooses pods), its inverse, its verification, its revert.
Out, on purpose: resourceVersion, generation, status, managedFields, times, marker, evidence, guard numbers. A
Deployment whose status changes ten times a second must not lose its approval. A time of sending stays the placeholder
GENERATED_TIME.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from remediator.actions.canonical import canonical_json
from remediator.actions.change import Call, Create, Delete, Effect, Evict, Patch, PodRule, Remove
from remediator.objects import JSON, ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestStep:
    """One step of one target, in the order of execution.

    `params` are the resolved parameters as JSON (`model_dump(mode="json")`). A later step that is planned only in its
    turn has no effects yet: its params are the bounds that the approval covers. `verify` and `revert` are what the
    playbook says for this step, as JSON.
    """

    target: ObjectRef
    uid: str
    action: str
    params: Mapping[str, JSON]
    effects: tuple[Effect, ...]
    verify: JSON = None
    revert: JSON = None


def digest(*, playbook_hash: str, cluster: str, steps: Sequence[DigestStep], verify: JSON = None) -> str:
    """SHA-256 (64 hex digits) of a plan; `verify` is how the whole is proved. One digest means the same writes."""
    content = {
        "playbook": playbook_hash,
        "cluster": cluster,
        "steps": [_step(step) for step in steps],
        "verify": verify,
    }
    return hashlib.sha256(canonical_json(content)).hexdigest()


def _step(step: DigestStep) -> dict[str, Any]:
    return {
        "target": {**_ref(step.target), "uid": step.uid},
        "action": step.action,
        "params": step.params,
        "effects": _effects(step.effects),
        "verify": step.verify,
        "revert": step.revert,
    }


def _effects(effects: tuple[Effect, ...]) -> list[dict[str, Any]]:
    """Each effect, but a run of the same pod rule only once.

    How many pods the rule finds today is status (one that flaps is unready now and ready in a second); what was agreed
    is the rule and its bound, and the bound is among the step's params.
    """
    described: list[dict[str, Any]] = []
    for effect in effects:
        entry = described_as_data(effect)
        if not isinstance(effect, Evict | Delete) or not described or described[-1] != entry:
            described.append(entry)
    return described


def described_as_data(effect: Effect) -> dict[str, Any]:
    """What an effect does, as JSON: two that are equal in this are the same request."""
    match effect:
        case Patch():
            changes = [{"path": c.path, "before": c.before, "after": c.after} for c in effect.changes]
            return {
                "kind": effect.kind,
                "object": {**_ref(effect.ref), "uid": effect.uid},
                "changes": sorted(changes, key=canonical_json),
                "replace": effect.replace,
                "undoable": effect.undoable,
                **({"subresource": effect.subresource} if effect.subresource else {}),
                **({"made_here": True} if effect.made_here else {}),
            }
        case Create():
            body = {"object": _ref(effect.ref), "body": effect.body, "undoable": effect.undoable}
            return {"kind": effect.kind, **body}
        case Remove():
            return {
                "kind": effect.kind,
                "object": {**_ref(effect.ref), "uid": effect.uid},
                "holds": [{"path": path, "value": value} for path, value in effect.holds],
                "propagation": effect.propagation,
            }
        case Call():
            return {
                "kind": effect.kind,
                "object": {**_ref(effect.ref), "uid": effect.uid},
                "via": effect.via,
                "place": effect.place,
                "request": _said(effect),
                "repeatable": effect.repeatable,
                "inverse": effect.inverse,
            }
        case Evict() | Delete():
            return {"kind": effect.kind, "pod": _rule(effect.pod)}
        case _:
            assert_never(effect)


def _said(call: Call) -> Mapping[str, JSON]:
    """A pull request is bound to the text of each file that it changes (`before_sha`), not to the commit at which that
    was read: somebody else's commit elsewhere in the repository must not take an approval away. What is sent names the
    commit of the last plan, and the forge refuses it where one of these files has changed since."""
    if call.via != "forge":
        return call.request
    return {key: value for key, value in call.request.items() if key != "head"}


def _ref(ref: ObjectRef) -> dict[str, str]:
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


def _rule(rule: PodRule) -> dict[str, Any]:
    return {
        "namespace": rule.namespace,
        "select": rule.select,
        "owner_uids": sorted(rule.owner_uids),
        "selector": rule.selector,
        "name": rule.name,
        "uid": rule.uid,
    }
