"""`condition`: an object says in its own status that it is well, in words of the author's: CEL on the object.

    condition: {is: 'target.object.status.phase == "Completed"', failed: 'target.object.status.phase == "Failed"'}
    condition:
      target: {kind: Application.argoproj.io, namespace: argocd, name: shop}
      is: 'target.object.status.sync.status == "Synced" && target.object.status.health.status == "Healthy"'
      failed: 'target.object.status.health.status == "Degraded"'
      after: status.reconciledAt

`target` is in these expressions the object that is asked about. Where `is` does not hold, it does not hold yet: only
`failed` says bad. A field that is not there yet is no answer, and neither is a status that describes an older spec, or,
with `after`, one whose time is from before the last effect.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from remediator.actions.times import parse_time
from remediator.actions.view import View
from remediator.kinds import KINDS
from remediator.objects import Object, ObjectRef, dig, generation_of, ref_of
from remediator.playbooks.expressions import (
    Environment,
    ExpressionError,
    check_read_again,
    compile_expression,
)
from remediator.playbooks.expressions import Scope as Scope
from remediator.playbooks.fields import complaint
from remediator.playbooks.problems import did_you_mean
from remediator.playbooks.target_view import normalise_target
from remediator.remediation.checks.base import (
    CheckArgs,
    CheckContext,
    CheckKind,
    CheckTarget,
    Unknown,
    answer,
    one_line,
)
from remediator.remediation.checks.rollout import Found, gravest
from remediator.remediation.checks.workload import read_target
from remediator.remediation.samples import CheckSample

NAME = "condition"
LATE = frozenset({"is", "failed"})
"""Expressions have the values as names; a value pasted into one could change what it says."""


def _cel(text: str) -> str:
    if "${" in text:
        raise complaint("an expression has no ${...}", "Write the name itself: params.name, labels.name.")
    try:
        check_read_again(compile_expression(text))
    except ExpressionError as exc:
        raise complaint(exc.what, exc.hint or "Correct the expression.") from None
    return text


Cel = Annotated[str, AfterValidator(_cel)]


def _path(text: str) -> str:
    if "${" not in text and not all(text.split(".")):
        raise complaint(f"{text!r:.60} is no path", "Write it like status.completionTimestamp.")
    return text


def _known(kind: str) -> str:
    if "${" not in kind and kind not in KINDS:
        raise complaint(f"unknown kind {kind!r:.60}", did_you_mean(kind, KINDS))
    return kind


class NamedObject(BaseModel):
    """An object by name. `namespace` empty: the target's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Annotated[str, AfterValidator(_known)]
    namespace: str = ""
    name: Annotated[str, Field(min_length=1, max_length=253)]


class Conditions(CheckArgs):
    """`is`: good when it holds. `failed`: bad when it holds. `after`: path of a time that the effect must precede."""

    is_: Cel = Field(alias="is")
    failed: Cel | None = None
    after: Annotated[str, AfterValidator(_path)] = ""

    @model_validator(mode="after")
    def _differ(self) -> Conditions:
        if self.is_ == self.failed:
            raise ValueError("is and failed say the same")
        return self


class ConditionArgs(Conditions):
    """`target`: another object than the playbook's."""

    target: NamedObject | None = None

    @property
    def about(self) -> str:
        return f"{self.target.kind.partition('.')[0]} {self.target.name}" if self.target else ""


async def sample(args: ConditionArgs, context: CheckContext) -> CheckSample:
    """Every object must be good; one that failed is enough for bad. Raises: Unknown, ReadError."""
    targets = (named(args.target, context),) if args.target else context.targets
    found = await asyncio.gather(*(_look(args, context, target) for target in targets))
    if not found:
        raise Unknown("there is no target; name one with target")
    bad = sum(f.missing for f in found)
    return answer(NAME, gravest(found), "; ".join(f.detail for f in found), context.now, badness=float(bad))


def named(spec: NamedObject, context: CheckContext) -> CheckTarget:
    """The object that is meant, with its uid where it is a target. Raises: Unknown without a namespace."""
    known = KINDS[_known(spec.kind)]
    namespace = (spec.namespace or one_namespace(context)) if known.namespaced else ""
    ref = ObjectRef(spec.kind, namespace, spec.name)
    return next((t for t in context.targets if t.ref == ref), CheckTarget(ref))


def one_namespace(context: CheckContext) -> str:
    """The targets' namespace. Raises: Unknown where there is none, or more than one."""
    namespaces = {namespace_of(t.ref) for t in context.targets} - {""}
    if len(namespaces) != 1:
        raise Unknown("the target has no namespace, so one has to be named")
    return namespaces.pop()


def namespace_of(ref: ObjectRef) -> str:
    """Where an object is; a Namespace is in itself. Empty for other objects of the cluster."""
    return ref.name if ref.kind == "Namespace" else ref.namespace


async def _look(args: Conditions, context: CheckContext, target: CheckTarget) -> Found:
    return judge(args, await read_target(context, target), context)


def judge(args: Conditions, obj: Object, context: CheckContext) -> Found:
    """What one object says. A ref and our own words only: what is in the object is not for everyone."""
    ref = ref_of(obj)
    if stale := _from_before(args, obj, context):
        return Found("unknown", f"{ref}: {stale}")
    scope = _scope(obj, context)
    good, why = _holds(args.is_, scope)
    bad, _ = _holds(args.failed, scope) if args.failed else (False, "")
    if good and bad:
        return Found("unknown", f"{ref}: both is and failed hold")
    if bad:
        return Found("bad", f"{ref}: {_short(args.failed or '')}", 1)
    if good:
        return Found("good", f"{ref}: {_short(args.is_)}")
    return Found("unknown", f"{ref}: {why or 'not yet ' + _short(args.is_)}")


def _short(expression: str) -> str:
    return one_line(expression, 120)


def _from_before(args: Conditions, obj: Object, context: CheckContext) -> str:
    """Why the object cannot speak of what was done; empty when it can."""
    observed, generation = dig(obj, "status", "observedGeneration"), generation_of(obj)
    if isinstance(observed, int) and generation is not None and observed < generation:
        return "its controller has not seen the last change yet"
    if not args.after:
        return ""
    text = dig(obj, *args.after.split("."))
    try:
        at = parse_time(text)
    except (TypeError, ValueError):
        return f"there is no time at {args.after} yet"
    return "" if context.is_after_effect(at) else f"{args.after} is {at:%H:%M:%S} UTC, before the last effect"


def _holds(expression: str, scope: Scope) -> tuple[bool, str]:
    """Whether it holds, and why that cannot be said. A field that is not there yet makes nothing true."""
    try:
        return scope.holds(compile_expression(expression)), ""
    except ExpressionError as exc:
        return False, one_line(exc.what, 200)


def _scope(obj: Object, context: CheckContext) -> Scope:
    """The playbook's names, with this object as `target`."""
    ref, unread = ref_of(obj), dict.fromkeys(("pods", "revisions"), "not read for checks")
    view: dict[str, Any] = normalise_target(View(target=obj, ref=ref, root=ref, read_at=context.now, unreadable=unread))
    if context.scope is not None:
        return replace(context.scope, target=view)
    alert = context.alerts[0] if context.alerts else None
    return Environment(alert, context.now).scope(params={}, target=view)


KIND = CheckKind(NAME, ConditionArgs, sample, late=LATE)
