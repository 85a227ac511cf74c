"""`pause`: what a person has paused stays untouched until a person resumes it.

A pause lives in the journal, or as an annotation on the object or its namespace, for those who have kubectl and nothing
else. It is checked again by the store when an attempt is recorded: nothing starts after a pause that covers it.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediator.guardrails.answers import cannot_see, holds, passes
from remediator.guardrails.facts import Facts, Pause
from remediator.guardrails.scopes import EPISODE, describe_scope, episode_scope
from remediator.guardrails.verdict import Verdict
from remediator.guardrails.words import clock
from remediator.objects import Object, annotations_of, ref_of

NAME = "pause"
READS = frozenset({"pauses", "targets"})

PAUSE_ANNOTATION = "remediator.dev/pause"
"""Hands off; the value is the reason, and any value counts."""

EVERYTHING = "everything"


def check(facts: Facts) -> Verdict:
    """Object while a pause covers the playbook, the episode, a namespace, a target or anything that would be
    written."""
    scopes = covering_scopes(facts)
    for pause in facts.pauses:
        if pause.scope in scopes and (pause.until is None or pause.until > facts.now):
            return _paused(facts, pause)
    for target in facts.targets:
        for obj in (target.view.target, target.view.namespace):
            if obj is not None and PAUSE_ANNOTATION in annotations_of(obj):
                return _annotated(obj)
        if "namespace" in target.view.unreadable:
            why = target.view.unreadable["namespace"]
            return cannot_see(NAME, f"whether namespace {target.ref.namespace} is paused", why)
    return passes(NAME, "nothing here is paused", pauses=len(facts.pauses))


def covering_scopes(facts: Facts) -> frozenset[str]:
    """Every pause scope that covers this remediation."""
    return frozenset(_scopes(facts))


def _scopes(facts: Facts) -> Iterator[str]:
    yield EVERYTHING
    yield f"playbook:{facts.playbook.name}"
    yield episode_scope(facts.episode_id)
    for target in facts.targets:
        written = (effect.ref for effect in target.change.effects if effect.kind == "patch")
        for ref in (target.ref, target.root, *written):
            yield f"target:{facts.cluster}/{ref.key}"
            if ref.namespace:
                yield f"namespace:{facts.cluster}/{ref.namespace}"


def _paused(facts: Facts, pause: Pause) -> Verdict:
    until = (
        f"ends at {clock(pause.until, facts.now, facts.zone)}, or with: {lifted_by(pause)}"
        if pause.until
        else f"until somebody says: {lifted_by(pause)}"
    )
    return holds(
        NAME,
        paused_by(pause),
        until,
        pause=pause.id,
        scope=pause.scope,
        who=pause.who,
    )


def paused_by(pause: Pause) -> str:
    """`namespace shop in eu is paused by ann: database work`, `taken by ann (PagerDuty)`"""
    if pause.scope.startswith(EPISODE):
        return f"taken by {taker(pause)}"
    return f"{describe_scope(pause.scope)} is paused by {pause.who}{f': {pause.why}' if pause.why else ''}"


def taker(pause: Pause) -> str:
    """Who took an episode, and how: `ann (PagerDuty)`."""
    return f"{pause.who} ({pause.why})" if pause.why else pause.who


def lifted_by(pause: Pause) -> str:
    """The command that ends it."""
    if pause.scope.startswith(EPISODE):
        return f"remediator give-back {pause.scope.removeprefix(EPISODE)}"
    return f"remediator resume {pause.id}"


def _annotated(obj: Object) -> Verdict:
    why = annotations_of(obj)[PAUSE_ANNOTATION]
    return holds(
        NAME,
        f"{ref_of(obj)} carries {PAUSE_ANNOTATION}{': ' + why if why else ''}",
        "passes when the annotation is removed",
        scope=ref_of(obj).key,
    )
