"""YAML as people mean it: the 1.2 core schema, every key once, and the line of every key for error messages.

PyYAML reads the syntax (events only); what the scalars mean is decided here, because PyYAML speaks YAML 1.1, where
`on` and `no` are booleans, `12:30` is the number 750 and `0755` is 493. A plain value that the two versions read
differently is refused rather than guessed: the same file would mean one thing here and another to kubectl or yq.
Tags, merge keys and several documents in one file are refused as well; aliases work within a bound (a "billion laughs"
file is small on disk and huge in memory).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from remediator.errors import RemediatorError
from remediator.playbooks.limits_table import hint_for
from remediator.playbooks.problems import FieldPath, path_text

MAX_TEXT = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 32

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster; wheels always bring it

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
REACHABLE = "Write a number that can be reached."
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_MAYBE_MORE_THAN_TEXT = re.compile(r"[-+.~=0-9]|(?:yes|no|on|off|true|false|null)?\Z", re.IGNORECASE)
"""Most plain scalars are words: nine patterns need not be tried on them."""

_TWO_MEANINGS = (
    (re.compile(r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF"), "a boolean for YAML 1.1 and text for YAML 1.2"),
    (re.compile(r"[-+]?0o?[0-9]+"), "an octal number for one YAML version and something else for the other"),
    (re.compile(r"[-+]?0b[01_]+"), "a binary number for YAML 1.1 and text for YAML 1.2"),
    (re.compile(r"[-+]?(?:[0-9]+_[0-9_]*(?:\.[0-9_]*)?|0x[0-9a-fA-F]*_[0-9a-fA-F_]*)"), "a number for YAML 1.1 only"),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "a number in base 60 for YAML 1.1"),
    (
        re.compile(r"\d{4}-\d\d?-\d\d?(?:(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+][\d:]{1,5}))?)?"),
        "a date for YAML 1.1 and text for YAML 1.2",
    ),
    (
        re.compile(r"[-+]?(?:[0-9]+[eE][-+]?[0-9]+|(?:[0-9]+\.[0-9]*|\.[0-9]+)[eE][0-9]+)"),
        "a number for YAML 1.2 and text for YAML 1.1 (a commit hash may look like this)",
    ),
    (re.compile(r"="), "a special value for YAML 1.1"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds: dicts, lists, str, int, float, bool, None. `places` says where each key and list item is."""

    content: Any
    places: Mapping[FieldPath, Place]

    def place(self, path: FieldPath) -> Place:
        """Where `path` is, or its nearest parent that was written (a missing key has no line of its own)."""
        for length in range(len(path), -1, -1):
            if found := self.places.get(path[:length]):
                return found
        return Place(1, 1)


@dataclass(frozen=True, slots=True)
class YamlProblem:
    place: Place
    field: str
    what: str
    hint: str = ""


class YamlError(RemediatorError):
    """A text that is not strict YAML; `problems` holds everything found up to where reading had to stop."""

    def __init__(self, problems: tuple[YamlProblem, ...], source: str = "") -> None:
        self.problems = problems
        lines = (
            f"{source or 'line'}:{p.place.line}: {f'{p.field}: ' if p.field else ''}{p.what}. {p.hint}"
            for p in problems
        )
        super().__init__("\n".join(lines))


def load_yaml(text: str, source: str) -> Any:
    """The content of one YAML document, for files other than playbooks. Raises: YamlError, with `source` and lines."""
    try:
        return load_strict(text).content
    except YamlError as exc:
        raise YamlError(exc.problems, source) from None


def load_strict(text: str) -> Document:
    """Read one YAML document. Raises: YamlError."""
    builder = _Builder(text)
    try:
        content = builder.document()
    except _Stop as exc:
        builder.problems.append(exc.problem)
    except yaml.YAMLError as exc:
        builder.problems.append(_syntax_problem(exc))
    except UnicodeError as exc:
        builder.problems.append(YamlProblem(Place(1, 1), "", f"not readable as text: {exc}", "Save it as UTF-8."))
    if builder.problems:
        raise YamlError(tuple(builder.problems))
    return Document(content, builder.places)


class _Stop(Exception):
    """Reading cannot go on."""

    def __init__(self, problem: YamlProblem) -> None:
        self.problem = problem


@dataclass(slots=True)
class _Anchor:
    value: Any
    nodes: int
    depth: int


@dataclass(slots=True)
class _Builder:
    """One reading of one text."""

    text: str
    places: dict[FieldPath, Place] = field(default_factory=dict)
    problems: list[YamlProblem] = field(default_factory=list)
    anchors: dict[str, _Anchor | None] = field(default_factory=dict)
    """None while the anchored value is still being read."""
    nodes: int = 0
    deepest: int = 0
    events: Iterator[Any] = field(default_factory=lambda: iter(()))

    def document(self) -> Any:
        if len(self.text) > MAX_TEXT:
            self._stop(Place(1, 1), (), f"longer than {MAX_TEXT // 1024} KiB", "Split it.")
        self.events = yaml.parse(self.text, Loader=_LOADER)
        next(self.events)  # StreamStart
        start: Any = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            self._stop(Place(1, 1), (), "empty", "Write one YAML document.")
        if start.tags or (start.version and tuple(start.version) != (1, 2)):
            self._stop(_place(start), (), "a %TAG directive or another version than 1.2", "Remove the directive.")
        self.places[()] = _place(start)
        value = self._value(next(self.events), (), 1)
        next(self.events)  # DocumentEnd
        extra = next(self.events)
        if not isinstance(extra, yaml.StreamEndEvent):
            self._stop(_place(extra), (), "a second document in one file", "Put it in a file of its own.")
        return value

    def _value(self, event: Any, path: FieldPath, depth: int) -> Any:
        self.nodes += 1
        self.deepest = max(self.deepest, depth)
        if self.nodes > MAX_NODES:
            self._stop(_place(event), path, f"more than {MAX_NODES} values, aliases counted in full", "Split it.")
        if depth > MAX_DEPTH:
            self._stop(_place(event), path, f"nested deeper than {MAX_DEPTH} levels", "Flatten it.")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path, depth)
        if event.tag is not None:
            self._note(_place(event), path, f"the tag {event.tag}", "Remove it; tags are not read.")
        anchor = event.anchor
        before, deepest = self.nodes, self.deepest
        if anchor:
            self.anchors[anchor] = None
            self.deepest = depth
        value = self._content(event, path, depth)
        if anchor:
            self.anchors[anchor] = _Anchor(value, self.nodes - before + 1, self.deepest - depth)
            self.deepest = max(self.deepest, deepest)
        return value

    def _content(self, event: Any, path: FieldPath, depth: int) -> Any:
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._scalar(event, path)

    def _alias(self, event: Any, path: FieldPath, depth: int) -> Any:
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            known = event.anchor in self.anchors
            what = f"*{event.anchor} contains itself" if known else f"*{event.anchor} refers to nothing above it"
            self._stop(_place(event), path, what, "Write the value out.")
        self.nodes += anchor.nodes
        self.deepest = max(self.deepest, depth + anchor.depth)
        if self.nodes > MAX_NODES or self.deepest > MAX_DEPTH:
            what = f"more than {MAX_NODES} values or {MAX_DEPTH} levels, aliases counted in full"
            self._stop(_place(event), path, what, "Write the values out.")
        return anchor.value

    def _mapping(self, path: FieldPath, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first: dict[str, Place] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key, place = self._key(event, path), _place(event)
            here = (*path, key)
            if key in found:
                what = f'the key "{key}" is given twice, first on line {first[key].line}'
                self._note(place, here, what, "Keep one of them.")
            first.setdefault(key, place)
            self.places.setdefault(here, place)
            found[key] = self._value(next(self.events), here, depth + 1)
        return found

    def _key(self, event: Any, path: FieldPath) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or event.anchor:
            self._stop(_place(event), path, "a key that is not plain text", "Write the key out as text.")
        text = str(event.value)
        if text == "<<" and _plain(event):
            self._note(_place(event), (*path, text), "a merge key (<<) is not YAML 1.2", "Write the keys out.")
            return text
        if not isinstance(self._scalar(event, (*path, text)), str):
            self._note(_place(event), (*path, text), f"the key {text!r} is not text", "Put it in quotes.")
        return text

    def _sequence(self, path: FieldPath, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            here = (*path, len(found))
            self.places[here] = _place(event)
            found.append(self._value(event, here, depth + 1))
        return found

    def _scalar(self, event: Any, path: FieldPath) -> Any:
        text = str(event.value)
        if not _plain(event) or not _MAYBE_MORE_THAN_TEXT.match(text):
            return text
        for pattern, reading in _TWO_MEANINGS:
            if pattern.fullmatch(text):
                quoted = f'Put it in quotes ("{text}") if you mean text; otherwise write true, false or a plain number.'
                self._note(_place(event), path, f"{text} is {reading}", hint_for(path, text) or quoted)
                return text
        if _NOT_FINITE.fullmatch(text):
            self._note(_place(event), path, f"{text} is not a finite number", hint_for(path, text) or REACHABLE)
            return text
        return self._resolved(event, text, path)

    def _resolved(self, event: Any, text: str, path: FieldPath) -> Any:
        """A plain scalar by the core schema."""
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        number: int | float | None = None
        if len(text) > 40 and (_INT.fullmatch(text) or _HEX.fullmatch(text) or _FLOAT.fullmatch(text)):
            number = float("inf")  # int() of many digits is slow, and no field wants it
        elif _INT.fullmatch(text) or _HEX.fullmatch(text):
            number = int(text, 0)
        elif _FLOAT.fullmatch(text):
            number = float(text)
        if number is None:
            return text
        if abs(number) >= 2**63:
            self._note(_place(event), path, f"{text[:40]} is larger than any number used here", "Write a smaller one.")
        return number

    def _note(self, place: Place, path: FieldPath, what: str, hint: str) -> None:
        self.problems.append(YamlProblem(place, path_text(path), what, hint))

    def _stop(self, place: Place, path: FieldPath, what: str, hint: str) -> NoReturn:
        raise _Stop(YamlProblem(place, path_text(path), what, hint))


def _plain(event: Any) -> bool:
    """Whether a scalar was written without quotes, bar or tag."""
    return not event.style and event.tag is None


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _syntax_problem(exc: yaml.YAMLError) -> YamlProblem:
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    parts = [getattr(exc, "context", None), getattr(exc, "problem", None) or (None if mark else str(exc))]
    what = "not YAML: " + " ".join(", ".join(part for part in parts if part).split())
    return YamlProblem(place, "", what, "Check indentation, quotes and brackets around this place.")
