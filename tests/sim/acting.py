"""Actions of schedules: what no built-in one does to a Deployment alone, with and without a way back."""

from __future__ import annotations

from typing import Any, Literal

from remediator.actions.base import Params
from remediator.actions.change import GENERATED_ID, GENERATED_TIME, Call, Change, Create
from remediator.actions.registry import load_actions
from remediator.actions.view import View
from remediator.objects import ObjectRef, uid_of

BACKUP = "Backup.velero.io"
NIGHTLY = "nightly"
"""A name that a person has chosen, and that somebody else may take."""


class KeepParams(Params):
    """`named` by people, or by a name of its own."""

    named: bool = False


class Keep:
    """Makes something that can be taken away again."""

    name = "keep"
    kinds: tuple[str, ...] = ("Deployment",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = KeepParams

    def resolve(self, params: KeepParams, view: View) -> KeepParams:
        return params

    def plan(self, params: KeepParams, view: View) -> Change:
        name = NIGHTLY if params.named else f"kept-{GENERATED_ID}"
        body = {"spec": {"ttl": "720h", "note": f"before {GENERATED_TIME}"}}
        made = Create(ref=ObjectRef(BACKUP, view.ref.namespace, name), body=body, undoable=True)
        return Change(effects=(made,), summary=f"keep {name}")


class CallParams(Params):
    """Who is called; `twice` is as good as once; `back` = there is a way back."""

    via: Literal["sure", "half", "blind"]
    twice: bool = False
    back: bool = False
    keep: bool = False
    """With something kept before it, in the same step."""


class CallOut:
    """Tells somebody outside."""

    name = "call_out"
    kinds: tuple[str, ...] = ("Deployment",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = CallParams

    def resolve(self, params: CallParams, view: View) -> CallParams:
        return params

    def plan(self, params: CallParams, view: View) -> Change:
        call = Call(
            ref=view.ref,
            uid=uid_of(view.target),
            via=params.via,
            place="orders",
            request={"do": "analyze", "run": f"run-{GENERATED_ID}"},
            says="analyze orders",
            repeatable=params.twice,
            inverse={"do": "forget", "run": f"run-{GENERATED_ID}"} if params.back else None,
        )
        kept = Keep().plan(KeepParams(), view).effects if params.keep else ()
        return Change(effects=(*kept, call), summary="analyze orders")


OWN: dict[str, Any] = {action.name: action for action in (Keep(), CallOut())}
ACTIONS = {**load_actions(), **OWN}
