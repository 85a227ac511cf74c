"""From pydantic's errors to problems an author can act on: the field as it was written, the value, the next step."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from remediator.playbooks.fields import FROM_YAML
from remediator.playbooks.model import Playbook
from remediator.playbooks.problems import FieldPath, did_you_mean

Complaint = tuple[FieldPath, str, str]
"""Path, what is wrong, next step."""

_TYPES = {
    "string_type": ("text", "Put it in quotes."),
    "int_type": ("a whole number", "Write it without quotes."),
    "int_parsing": ("a whole number", "Write it without quotes."),
    "int_from_float": ("a whole number", "Leave out the fraction."),
    "float_type": ("a number", "Write it without quotes."),
    "float_parsing": ("a number", "Write it without quotes."),
    "bool_type": ("true or false", "Write true or false without quotes."),
    "bool_parsing": ("true or false", "Write true or false without quotes."),
    "dict_type": ("a mapping (key: value)", "Indent its keys below it."),
    "mapping_type": ("a mapping (key: value)", "Indent its keys below it."),
    "model_type": ("a mapping (key: value)", "Indent its keys below it."),
    "model_attributes_type": ("a mapping (key: value)", "Indent its keys below it."),
    "tuple_type": ("a list", "Write its items as `- ...` or in [brackets]."),
    "list_type": ("a list", "Write its items as `- ...` or in [brackets]."),
}
_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def playbook_complaints(content: Any) -> tuple[Playbook | None, list[Complaint]]:
    """The playbook, or everything its model says against it."""
    try:
        return Playbook.model_validate(content, by_name=False, by_alias=True, context={FROM_YAML: True}), []
    except ValidationError as exc:
        return None, list(complaints(exc, content, Playbook))


def complaints(exc: ValidationError, content: Any, model: type[BaseModel]) -> Iterator[Complaint]:
    """Every error with its path in `content`, as written: without the tags that pydantic adds for unions.

    A value that fits no member of a union has one error for each member; they become one complaint.
    """
    found: dict[FieldPath, list[tuple[str, str]]] = {}
    for error in exc.errors(include_url=False):
        loc = error["loc"]
        if error["type"] == "too_short" and error["input"]:
            continue  # pydantic counts the valid items only; the invalid ones have complaints of their own
        found.setdefault(written_path(loc, content), []).append(_say(error, loc, content, model))
    for path, said in found.items():
        yield path, "; ".join(dict.fromkeys(what for what, _ in said)), said[0][1]


def written_path(loc: Iterable[int | str], content: Any) -> FieldPath:
    path: list[str | int] = []
    parts = list(loc)
    for index, part in enumerate(parts):
        in_list = isinstance(content, list | tuple) and isinstance(part, int) and part < len(content)
        if in_list or (isinstance(content, Mapping) and part in content):
            content = content[part]
            path.append(part)
        elif index == len(parts) - 1 and isinstance(content, Mapping) and part not in ("[key]", "args"):
            path.append(part)  # a missing key
    return tuple(path)


def _say(error: Any, loc: tuple[int | str, ...], content: Any, model: type[BaseModel]) -> tuple[str, str]:
    kind, context, value = error["type"], error.get("ctx") or {}, error["input"]
    path = written_path(loc, content)
    if kind == "missing":
        return "required, but missing", f"Add `{loc[-1]}:`."
    if kind == "extra_forbidden":
        return f'unknown key "{loc[-1]}"', did_you_mean(str(loc[-1]), known_keys(model, path[:-1]))
    if kind in ("enum", "literal_error"):
        options = [option.strip("' ") for option in context["expected"].replace(" or ", ", ").split(",")]
        if loc[-1] == "[key]":
            return f'unknown key "{value}"', did_you_mean(str(value), options)
        return f"cannot be {short(value)}", did_you_mean(str(value), options)
    if kind in _TYPES:
        expected, hint = _TYPES[kind]
        if "mapping" in expected and (keys := sorted(known_keys(model, path))):
            hint = f"Its keys are {', '.join(keys)}."
        return f"expected {expected}, got {short(value)}", hint
    if kind in _BOUNDS:
        word, key = _BOUNDS[kind]
        return f"must be {word} {context[key]}, got {short(value)}", "Choose a value within the bounds."
    if kind in ("too_short", "string_too_short"):
        if loc[-1] == "selector":
            return (
                "must not be empty: that would be every object",
                "Select by labels that only the wanted objects have.",
            )
        return "must not be empty", "Fill it in."
    if kind == "string_pattern_mismatch":
        return f"{short(value)} is not allowed here", _pattern_hint(context["pattern"])
    if kind == "playbook":
        return context["what"], context["hint"]
    return error["msg"].removeprefix("Value error, "), ""


def _pattern_hint(pattern: str) -> str:
    if pattern.startswith("^[a-z0-9]([-a-z0-9]"):
        return "Use lower case letters, digits and -, at most 63."
    if pattern.startswith("^[a-z0-9*]"):
        return "Use lower case letters, digits, - and * for any text."
    if pattern == "^https?://":
        return "Begin it with http:// or https://."
    if pattern.startswith("^[a-z][a-z0-9_]"):
        return "Use lower case letters, digits and _, beginning with a letter."
    if pattern == "^([01][0-9]|2[0-3]):[0-5][0-9]$":
        return "Write hours and minutes with two digits each, such as 08:00."
    for start, hint in _ID_HINTS.items():
        if pattern.startswith(start):
            return hint
    return f"It must match {pattern}."


_ID_HINTS = {
    "^[CGD][": "Write the ID of a Slack channel, such as C0123456789 (at the bottom of its details), not its name.",
    "^[CGDUW][": "Write the ID of a Slack channel (C0123456789) or member (U0123456789), not a name.",
    "^([TE][": "Write the member ID of that Slack account, such as U0123456789 (in its profile), not a name.",
    "^([UWS][": "Write the ID of a Slack member (U...) or group (S...), not a name; or oncall:pagerduty/SCHEDULE.",
    "^(slack:[": "Write slack: and the ID of a channel (slack:C0123456789), or the kind of another channel and its "
    "name, such as apprise:mail-ops, webhook:cmdb or ticket:jira.",
    "^(apprise|": "Write the kind of channel and its name, such as apprise:mail-ops, webhook:cmdb or ticket:jira.",
    "^(page|": "Write page, channel, slack:U... (member), slack:S... (group), pagerduty:SERVICE or apprise:NAME; all of"
    " them are in docs/people.md. Slack has IDs here, no names.",
}
"""How the patterns of places and people begin -> what to write."""


def short(value: Any) -> str:
    """A value for people, cut: files of others may hold anything."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def known_keys(model: type[BaseModel], path: FieldPath) -> set[str]:
    """The keys that the models at `path` take, as they are written."""
    here: list[Any] = [model]
    for part in path:
        here = [inner for annotation in here for inner in _below(annotation, part)]
    models = [found for annotation in here for found in _models(annotation)]
    return {info.alias or name for found in models for name, info in found.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType) or hasattr(annotation, "__metadata__"):
        for inner in get_args(annotation):
            yield from _models(inner)


def _below(annotation: Any, part: str | int) -> Iterator[Any]:
    """The annotations one step further down."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            if part in (info.alias, name):
                yield info.annotation
    elif origin in (Union, types.UnionType):
        for inner in arguments:
            yield from _below(inner, part)
    elif hasattr(annotation, "__metadata__"):
        yield from _below(arguments[0], part)
    elif isinstance(part, int) and arguments:
        yield arguments[0]
    elif origin is not None and issubclass(origin, Mapping) and len(arguments) == 2:
        yield arguments[1]
