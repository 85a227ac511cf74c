"""Patterns of namespaces: exact names, or with `*` for any text. Pure.

Two patterns may meet although neither covers the other (`team-*` and `*-prod` meet in `team-prod`), so whether they do
is found by walking both at once, as one automaton, and the answer is a name that proves it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fnmatch import fnmatchcase

MAX_NAMESPACE = 63


def matches(pattern: str, name: str) -> bool:
    """Whether a namespace is one of those that a pattern names. `*` is the only wildcard."""
    return fnmatchcase(name, pattern)


def matches_any(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)


def common_name(one: str, other: str) -> str | None:
    """The shortest namespace that both patterns name, or None where there is none.

    Only what can be a namespace counts: letters, digits and `-`, with a letter or digit at both ends, at most 63 long.
    """
    if "*" not in one or "*" not in other:
        name, pattern = (other, one) if "*" in one else (one, other)
        return name if matches(pattern, name) else None
    alphabet = sorted(({*one, *other} - {"*"}) | {"a"})
    start = (_reached(one, 0), _reached(other, 0), False)
    seen, waiting = {start}, deque([(start, "")])
    while waiting:
        (here, there, may_end), name = waiting.popleft()
        if may_end and len(one) in here and len(other) in there:
            return name
        if len(name) == MAX_NAMESPACE:
            continue
        for char in alphabet:
            if char == "-" and not name:
                continue
            state = (_step(one, here, char), _step(other, there, char), char != "-")
            if state[0] and state[1] and state not in seen:
                seen.add(state)
                waiting.append((state, name + char))
    return None


def _step(pattern: str, places: frozenset[int], char: str) -> frozenset[int]:
    """Where one can be in a pattern after one more character."""
    found: set[int] = set()
    for place in places:
        if place < len(pattern) and pattern[place] == "*":
            found |= _reached(pattern, place)
        elif place < len(pattern) and pattern[place] == char:
            found |= _reached(pattern, place + 1)
    return frozenset(found)


def _reached(pattern: str, place: int) -> frozenset[int]:
    """A place, and those behind the stars that follow: a star may stand for nothing."""
    found = {place}
    while place < len(pattern) and pattern[place] == "*":
        place += 1
        found.add(place)
    return frozenset(found)
