"""`silence`: hide the alerts of what is being worked on, for a bounded time; never to hide what we were called for.

It ends by itself, carries our name, and is about the target: a namespace or a node of somebody else cannot be hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from remediator.actions.base import Params
from remediator.actions.change import GENERATED_ID, GENERATED_TIME, Call, Change, NotPossible
from remediator.actions.view import Ask, View
from remediator.alerts.matchers import InvalidMatcher, Matcher, parse_matchers
from remediator.objects import WORKLOADS, ObjectRef, uid_of
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import Duration

PLACE = "alertmanager"
LONGEST = timedelta(hours=4)

OF_NAMESPACE = ("namespace", "exported_namespace", "kubernetes_namespace")
OF_NODE = ("node", "nodename", "exported_node", "kubernetes_node", "instance")


def _one_matcher(text: str) -> str:
    """One text is one matcher: a label value that was filled in cannot bring another."""
    try:
        found = parse_matchers(text)
    except InvalidMatcher as exc:
        raise ValueError(f"{text!r:.100}: {exc}") from exc
    if len(found) != 1:
        raise ValueError(f'{text!r:.100}: write one matcher in each item, such as namespace="shop"')
    return str(found[0])


def _bounded(value: timedelta) -> timedelta:
    if not timedelta(minutes=1) <= value <= LONGEST:
        raise ValueError(f"for: from 1m to {format_duration(LONGEST)}; work that takes longer asks again")
    return value


class SilenceParams(Params):
    """`matchers` in Alertmanager's syntax, all of them must hold; one says the target's namespace (or node) with `=`.

    `for` is how long; `comment` is what people read in Alertmanager.
    """

    model_config = ConfigDict(populate_by_name=True)

    matchers: tuple[Annotated[str, Field(max_length=300), AfterValidator(_one_matcher)], ...] = Field(
        min_length=1, max_length=10
    )
    for_: Annotated[Duration, AfterValidator(_bounded)] = Field(alias="for")
    comment: str = Field(min_length=1, max_length=300)


class Silence:
    """Undo expires it."""

    name = "silence"
    kinds: tuple[str, ...] = (*WORKLOADS, "Namespace", "Node")
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = ()
    params = SilenceParams

    def wants(self, params: SilenceParams, view: View) -> Mapping[str, Ask]:
        return {"firing": Ask(PLACE, PLACE, {"about": "matching", "matchers": list(params.matchers)})}

    def resolve(self, params: SilenceParams, view: View) -> SilenceParams:
        return params

    def plan(self, params: SilenceParams, view: View) -> Change:
        """Raises: NotPossible for matchers that are not about the target."""
        matchers = [matcher for text in params.matchers for matcher in parse_matchers(text)]
        if not any(_is_about(matcher, view.ref) for matcher in matchers):
            raise NotPossible(f"a silence is about its target: add a matcher such as {_example(view.ref)}")
        lasts = format_duration(params.for_)
        texts = [str(matcher) for matcher in matchers]
        call = Call(
            ref=view.ref,
            uid=uid_of(view.target),
            via=PLACE,
            place=PLACE,
            request={
                "do": "silence",
                "matchers": texts,
                "starts": GENERATED_TIME,
                "for_s": params.for_.total_seconds(),
                "comment": params.comment,
                "id": GENERATED_ID,
            },
            says=f"silence {', '.join(texts)} for {lasts}: {params.comment}",
            repeatable=True,  # what is there already is found by its id
            inverse={"do": "expire", "id": GENERATED_ID},
        )
        return Change(
            effects=(call,),
            summary=f"silence {', '.join(texts)} for {lasts}",
            needs_approval=_hides(view),
            notes=(f"nobody is told of these alerts for {lasts}; it ends by itself",),
        )


def _is_about(matcher: Matcher, ref: ObjectRef) -> bool:
    if matcher.op != "=" or not matcher.value:
        return False
    if ref.kind == "Node":
        return matcher.name in OF_NODE and (matcher.value == ref.name or matcher.value.startswith(f"{ref.name}:"))
    return matcher.name in OF_NAMESPACE and matcher.value == _namespace(ref)


def _namespace(ref: ObjectRef) -> str:
    return ref.name if ref.kind == "Namespace" else ref.namespace


def _example(ref: ObjectRef) -> str:
    return f'node="{ref.name}"' if ref.kind == "Node" else f'namespace="{_namespace(ref)}"'


def _hides(view: View) -> str:
    """Why a person has to say yes: something that fires now would be hidden, maybe what we were called for."""
    found = view.found["firing"]
    if not found["firing"]:
        return ""
    names = ", ".join(str(name)[:80] for name in found["names"][:5])
    return f"it would hide {found['firing']} alerts that fire now ({names}): a silence is for planned work"
