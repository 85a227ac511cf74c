"""What people read when the API server says no: which object it is about, and its reason, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from remediator.guardrails.verdict import Answer, Verdict
from remediator.guardrails.words import many
from remediator.objects import ObjectRef


def about(ref: ObjectRef, said: str) -> str:
    """What was said, after the object unless it names it itself, as in `deployments.apps "web" is forbidden`.

    Admission webhooks say only what their author wrote, and a create that is not allowed is answered by its kind.
    """
    return said if f'"{ref.name}"' in said else f"{ref}: {said}"


def told_once(objections: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Of those by the same guardrail with the same answer the first, and how many more there are: what refuses the
    first of many effects mostly refuses them all, and nobody reads the same sentence thirty times.
    """
    groups: dict[tuple[str, Answer], list[Verdict]] = {}
    for verdict in objections:
        groups.setdefault((verdict.guardrail, verdict.answer), []).append(verdict)
    return tuple(_with_count(first, len(more)) for first, *more in groups.values())


def _with_count(first: Verdict, more: int) -> Verdict:
    if not more:
        return first
    others = f"{many(more, 'more request')} of this step {'was' if more == 1 else 'were'} not accepted either"
    return replace(first, reason=f"{first.reason} ({others})")
