"""A change as people read it: `replicas 3 -> 5`, `image shop/api:2 -> shop/api:1`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

from remediator.actions.change import (
    GENERATED_ID,
    GENERATED_TIME,
    Call,
    Change,
    Create,
    Delete,
    Effect,
    Evict,
    FieldChange,
    Patch,
    PodRule,
    Remove,
)
from remediator.actions.render import brief, dotted
from remediator.objects import JSON, ObjectRef


def diff_lines(change: Change, target: ObjectRef | None = None) -> tuple[str, ...]:
    """One line per field that changes and per pod rule, in the order of sending.

    Lines about another object than `target` begin with its name. Several evictions by one rule are one line.
    """
    lines: dict[str, int] = {}
    for effect in change.effects:
        for line in _effect_lines(effect, target):
            lines[line] = lines.get(line, 0) + 1
    return tuple(line if count == 1 else f"{line} ({count} times)" for line, count in lines.items())


def field_lines(change: FieldChange) -> tuple[str, ...]:
    """The leaves in which `before` and `after` of one path differ."""
    lines = []
    for path, before, after in _leaves(change.path, change.before, change.after):
        lines.append(f"{_short(path)} {_value(before)} -> {_value(after)}")
    return tuple(lines)


def _effect_lines(effect: Effect, target: ObjectRef | None) -> Iterator[str]:
    match effect:
        case Patch():
            prefix = "" if target is None or effect.ref == target else f"{_named(effect.ref)}: "
            for change in effect.changes:
                yield from (prefix + line for line in field_lines(change))
        case Create():
            yield f"create {_named(effect.ref)}"
        case Remove():
            yield f"delete {effect.ref}"
        case Call():
            yield effect.says
        case Evict():
            yield f"evict {describe_rule(effect.pod)}"
        case Delete():
            yield f"delete {describe_rule(effect.pod)}"
        case _:
            assert_never(effect)


def _named(ref: ObjectRef) -> str:
    """`Job shop/dump-…`: the end of a name that is made up only when it is sent."""
    return str(ref).replace(GENERATED_ID, "…")


def describe_rule(rule: PodRule) -> str:
    """`pod shop/api-1`, `the oldest pod` or `an unready pod`."""
    if rule.uid:
        waits = ", if it is still unready" if rule.select == "unready" else ""
        return f"pod {rule.namespace}/{rule.name}{waits}"
    return "the oldest pod" if rule.select == "oldest" else "an unready pod"


def _leaves(path: tuple[str, ...], before: JSON, after: JSON) -> Iterator[tuple[tuple[str, ...], JSON, JSON]]:
    """Every path below which the two differ, down to single values."""
    if before == after:
        return
    left, right = _children(before), _children(after)
    if left is None or right is None:
        yield path, before, after
        return
    keys = list(dict.fromkeys((*left, *right)))
    # The only item of a list needs no name: `image a -> b`, not `api.image a -> b`.
    only = len(keys) == 1 and not isinstance(before, Mapping)
    for key in keys:
        yield from _leaves(path if only else (*path, key), left.get(key), right.get(key))


def _children(value: JSON) -> Mapping[str, Any] | None:
    """The parts of a mapping, or of a list whose items all have distinct names; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str):
        named = {str(item["name"]): item for item in value if isinstance(item, Mapping) and "name" in item}
        return named if value and len(named) == len(value) else None
    return None


def _short(path: tuple[str, ...]) -> str:
    """A path without the parts that say nothing to people: `replicas`, `image`, `env.value`."""
    parts = [part for part in path if part not in ("spec", "template", "containers", "metadata", "annotations")]
    return dotted(tuple(parts)) if len(parts) > 1 else "".join(parts or path[-1:])


def _value(value: JSON) -> str:
    return "time of sending" if value == GENERATED_TIME else brief(value)
