"""The documents of a text as nodes that know where they stand. Pure.

Made from the events of libyaml: PyYAML's own composer takes a second for a file of 256 KiB, and the service has other
things to do meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from remediator.errors import RemediatorError

MAX_DEPTH = 64
SHARED = "an anchor (&) or alias (*), which stands for more than one value"
TAGGED = "a tag (!)"
TEMPLATE = "it is a template ({{ }})"

BOM = "\ufeff"
"""Which libyaml does not count: texts are read without it."""

EVENTS: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CannotEdit(RemediatorError):
    """The text cannot be changed so that exactly this changes; the message is for people."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file. `flaw`: why nothing in it is touched; empty = it may be."""

    index: int
    root: yaml.Node
    odd: Mapping[int, str]
    """By the id of a node: what stands at it that we do not touch."""
    flaw: str = ""


def documents(text: str) -> tuple[Document, ...]:
    """All documents of a file; marks count characters behind a byte order mark. Raises: CannotEdit for no YAML."""
    text = text.removeprefix(BOM)
    reader = _Reader(text)
    try:
        for event in yaml.parse(text, Loader=EVENTS):
            reader.take(event)
    except (yaml.YAMLError, ValueError) as exc:
        if "{{" in text:
            raise CannotEdit(TEMPLATE) from exc
        mark = getattr(exc, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise CannotEdit(f"it is no YAML{where}") from exc
    return tuple(reader.found)


@dataclass(slots=True)
class _Reader:
    """Puts nodes together. `open` are the collections that are not at their end yet, `keys` what a mapping has last
    read as a key."""

    text: str
    found: list[Document] = field(default_factory=list)
    root: yaml.Node | None = None
    open: list[Any] = field(default_factory=list)
    keys: dict[int, yaml.Node] = field(default_factory=dict)
    anchors: dict[str, yaml.Node] = field(default_factory=dict)
    odd: dict[int, str] = field(default_factory=dict)

    def take(self, event: yaml.Event) -> None:
        """Raises: CannotEdit, yaml.YAMLError."""
        if isinstance(event, yaml.DocumentStartEvent):
            self.root, self.anchors, self.odd = None, {}, {}
        elif isinstance(event, yaml.DocumentEndEvent):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.open.pop().end_mark = event.end_mark
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)

    def _end(self) -> None:
        assert self.root is not None
        begun, ended = self.root.start_mark, self.root.end_mark
        template = "{{" in self.text[begun.index : ended.index]
        self.found.append(Document(len(self.found), self.root, self.odd, TEMPLATE if template else ""))

    def _alias(self, event: yaml.AliasEvent) -> None:
        node = self.anchors.get(str(event.anchor))
        if node is None:
            raise CannotEdit("it is no YAML (an alias without its anchor)")
        self._put(node)  # its anchor marks it already

    def _node(self, event: Any) -> None:
        kinds = {yaml.SequenceStartEvent: yaml.SequenceNode, yaml.MappingStartEvent: yaml.MappingNode}
        kind = kinds.get(type(event))
        node: yaml.Node
        if kind is None:
            # An unquoted scalar has no style for PyYAML and an empty one for libyaml.
            node = yaml.ScalarNode("", event.value, event.start_mark, event.end_mark, event.style or None)
        else:
            node = kind("", [], event.start_mark, event.end_mark, event.flow_style)
        if event.anchor:
            self.anchors[str(event.anchor)] = node
            self.odd[id(node)] = SHARED
        elif event.tag is not None:
            self.odd[id(node)] = TAGGED
        self._put(node)
        if kind is not None:
            if len(self.open) >= MAX_DEPTH:
                raise CannotEdit(f"it is nested more than {MAX_DEPTH} deep")
            self.open.append(node)

    def _put(self, node: yaml.Node) -> None:
        """Where the innermost open collection goes on."""
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent, yaml.SequenceNode):
            parent.value.append(node)
        elif (key := self.keys.pop(id(parent), None)) is None:
            self.keys[id(parent)] = node
        else:
            parent.value.append((key, node))
