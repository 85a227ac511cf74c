"""YAML as text that stays: where a scalar stands, what it means, and another one in its place. Pure.

What YAML 1.1 and 1.2 read differently (`1e3`, `0755`,
`on`, a date) is not taken for anything, and what stands in several places at once (anchors, aliases, merge keys,
duplicate keys) is not touched: a change of it would change more than one value.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from remediator.actions.paths import Path, selects
from remediator.gitops.yaml_nodes import BOM, EVENTS, CannotEdit, Document, documents

__all__ = [
    "CannotEdit",
    "Document",
    "Scalar",
    "Swap",
    "documents",
    "entries",
    "node_at",
    "scalars",
    "swap_at",
    "swapped",
    "value_of",
    "written",
]

Scalar = str | int | float | bool | None

MAX_SCALAR = 1000
"""Characters of a value that is written."""

_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}")
_WORDS: Mapping[str, Scalar] = {"true": True, "false": False, "null": None, "~": None, "": None}
_LINE_ENDS = ("\n", "\r", "\x85", "\u2028", "\u2029")
"""Also those that only YAML 1.1 knows."""
_BARE = re.compile(r"[A-Za-z0-9/](?:[A-Za-z0-9._/:@+-]*[A-Za-z0-9._/@+-])?")
"""Texts that need no quotes, as far as their characters go."""


def node_at(document: Document, path: Path) -> yaml.Node | None:
    """The node at a path (see `actions.paths`), None where there is none. Raises: CannotEdit on the way to it."""
    node: yaml.Node | None = document.root
    for depth, part in enumerate(path):
        if node is None:
            return None
        _untouched(document, node, path[:depth])
        node = _step(node, part)
    if node is not None:
        _untouched(document, node, path)
    return node


def _untouched(document: Document, node: yaml.Node, path: Path) -> None:
    """Raises: CannotEdit."""
    at = ".".join(path) or "the document"
    if odd := document.odd.get(id(node)):
        raise CannotEdit(f"{at} has {odd}")
    if isinstance(node, yaml.MappingNode):
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if "<<" in keys:
            raise CannotEdit(f"{at} has a merge key (<<)")
        if twice := [key for key, count in keys.items() if count > 1]:
            raise CannotEdit(f"{at} has the key {twice[0]:.60} twice")


def _step(node: yaml.Node, part: str) -> yaml.Node | None:
    """Raises: CannotEdit when a part selects more than one item."""
    if isinstance(node, yaml.MappingNode):
        return entries(node).get(part)
    if not isinstance(node, yaml.SequenceNode):
        return None
    if part.isdigit():
        return node.value[int(part)] if int(part) < len(node.value) else None
    if (wanted := selects(part)) is None:
        return None
    found = [item for item in node.value if _text_at(item, wanted[0]) == wanted[1]]
    if len(found) > 1:
        raise CannotEdit(f"{len(found)} items are {part:.100}")
    return found[0] if found else None


def _text_at(item: yaml.Node, key: str) -> str | None:
    value = entries(item).get(key) if isinstance(item, yaml.MappingNode) else None
    return value.value if isinstance(value, yaml.ScalarNode) else None


def entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """The keys of a mapping that are plain words with their nodes; empty for anything else."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def scalars(node: yaml.Node) -> Iterator[str]:
    """Every text below a node, each node once, however often aliases name it."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, yaml.ScalarNode):
            yield one.value
        elif isinstance(one, yaml.MappingNode):
            waiting += [part for pair in one.value for part in pair]
        else:
            waiting += one.value


def value_of(node: yaml.Node) -> Scalar:
    """What a scalar means for every reader of YAML. Raises: CannotEdit where readers differ, or for a block."""
    if not isinstance(node, yaml.ScalarNode):
        raise CannotEdit("it is no single value")
    text: str = node.value
    if node.style in ("'", '"'):
        return text
    if node.style is not None:
        raise CannotEdit("it is a text block (| or >)")
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if not _is_text(text):
        raise CannotEdit(f"{text:.60} means different things to different readers of YAML: put it in quotes")
    return text


def written(value: Scalar, node: yaml.ScalarNode) -> str:
    """A value in the style of what stands there, quoted where it would otherwise be no text. Raises: CannotEdit."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        text = repr(value)
        if not (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
            raise CannotEdit(f"{text} is no number that every reader of YAML understands")
        return text
    if not isinstance(value, str):
        raise CannotEdit("a value cannot be removed")
    if len(value) > MAX_SCALAR or not value.isprintable():
        raise CannotEdit(f"only printable text of one line and at most {MAX_SCALAR} characters is written")
    if "{{" in value:
        raise CannotEdit("a template ({{ }}) is not written")
    if node.style == "'":
        return "'" + value.replace("'", "''") + "'"
    if node.style is None and _BARE.fullmatch(value) and _is_text(value):
        return value
    return json.dumps(value, ensure_ascii=False)


_RESOLVER = yaml.resolver.Resolver()


def _is_text(text: str) -> bool:
    """Whether a plain scalar is text in YAML 1.1, YAML 1.2 and what Kubernetes' tools make of them."""
    if text.lower() in ("y", "n", "yes", "no", "on", "off", *_WORDS):
        return False
    if _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) != "tag:yaml.org,2002:str":  # type: ignore[no-untyped-call]
        return False
    return not (_number(float, text) or _number(lambda word: int(word, 0), text))


def _number(read: Any, text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Swap:
    """Another scalar at one place of a text. `start` and `end` count characters; `value` is what it must then mean."""

    start: int
    end: int
    text: str
    value: Scalar


def swap_at(text: str, node: yaml.Node, value: Scalar) -> Swap:
    """Raises: CannotEdit for what is not on one line, or not a scalar."""
    value_of(node)
    assert isinstance(node, yaml.ScalarNode)
    before = len(text) - len(text.removeprefix(BOM))
    start, end = before + node.start_mark.index, before + node.end_mark.index
    if start == end or any(end_of_line in text[start:end] for end_of_line in _LINE_ENDS):
        raise CannotEdit("it does not stand on one line")
    return Swap(start, end, written(value, node), value)


def swapped(text: str, swaps: list[Swap]) -> str:
    """The text with these scalars replaced, read again: nothing else may have changed. Raises: CannotEdit."""
    new = text
    for one in sorted(swaps, key=lambda swap: swap.start, reverse=True):
        new = new[: one.start] + one.text + new[one.end :]
    wanted = [one.value for one in sorted(swaps, key=lambda swap: swap.start)]
    if _changed(text, new) != [_plain_text(value) for value in wanted]:
        raise CannotEdit("the edited text would not read as intended")
    return new


def _changed(before: str, after: str) -> list[str]:
    """The scalars that differ, in their order. Raises: CannotEdit when anything else differs."""
    try:
        olds, news = list(_events(before)), list(_events(after))
    except (yaml.YAMLError, ValueError) as exc:
        raise CannotEdit("the edited text would be no YAML") from exc
    if len(olds) != len(news):
        raise CannotEdit("the edited text would have another shape")
    found = []
    for old, new in zip(olds, news, strict=True):
        if old == new:
            continue
        if old[0] != new[0] or old[0] != "ScalarEvent" or old[1:3] != new[1:3]:
            raise CannotEdit("the edited text would have another shape")
        found.append(new[3])
    return found


def _events(text: str) -> Iterator[tuple[Any, ...]]:
    """What the syntax says, without where: (name, anchor, tag, value, whether it is quoted)."""
    for event in yaml.parse(text.removeprefix(BOM), Loader=EVENTS):
        tag, anchor = getattr(event, "tag", None), getattr(event, "anchor", None)
        quoted = getattr(event, "style", None) in ("'", '"')
        yield type(event).__name__, anchor, tag, getattr(event, "value", None), quoted


def _plain_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
