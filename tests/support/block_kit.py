"""Block Kit's documented limits, as Slack would enforce them: the first problem as text, or None.

`problem` is for a message's blocks, `view_problem` for a modal or a home tab. Only the blocks and elements that this
product may send are known; any other type or property is a problem, as it would be for Slack, which answers
`invalid_blocks`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_PRIVATE = 3000
MAX_VIEW_WHOLE = 250_000
"""Slack refuses a view above 250 kB (`view_too_large`)."""
MAX_WHOLE = 13_000
"""Unpublished; `msg_blocks_too_long` has been seen from roughly this many characters."""

_BLOCKS: Mapping[str, tuple[set[str], set[str]]] = {  # required, optional
    "header": ({"text"}, set()),
    "section": (set(), {"text", "fields", "accessory", "expand"}),
    "context": ({"elements"}, set()),
    "divider": (set(), set()),
    "actions": ({"elements"}, set()),
    "image": ({"image_url", "alt_text"}, {"title"}),
    "input": ({"label", "element"}, {"optional", "hint", "dispatch_action"}),
}
_VIEWS: Mapping[str, tuple[set[str], set[str]]] = {
    "modal": (
        {"type", "title", "blocks"},
        {"submit", "close", "private_metadata", "callback_id", "clear_on_close", "notify_on_close", "external_id"},
    ),
    "home": ({"type", "blocks"}, {"private_metadata", "callback_id", "external_id"}),
}


def problem(blocks: object) -> str | None:
    """What is wrong with a message's blocks."""
    inputs = isinstance(blocks, list) and any(isinstance(b, dict) and b.get("type") == "input" for b in blocks)
    return "unsupported type: input" if inputs else _blocks(blocks, MAX_BLOCKS)


def view_problem(view: object) -> str | None:
    """What is wrong with a modal or a home tab."""
    if not isinstance(view, dict) or view.get("type") not in _VIEWS:
        return "must be a view of type modal or home"
    required, optional = _VIEWS[view["type"]]
    if missing := required - view.keys():
        return f"missing required field: {sorted(missing)[0]}"
    if extra := view.keys() - required - optional:
        return f"additional properties: {sorted(extra)[0]}"
    for name, limit in (("private_metadata", MAX_PRIVATE), ("callback_id", 255)):
        if length(str(view.get(name, ""))) > limit:
            return f"{name} must be less than {limit + 1} characters"
    texts = (_text(view[name], 24, kinds=("plain_text",)) for name in ("title", "submit", "close") if name in view)
    if found := next((found for found in texts if found), None):
        return found
    asks = any(isinstance(block, dict) and block.get("type") == "input" for block in view["blocks"])
    if asks and "submit" not in view:
        return "a view with input blocks needs submit"
    if length(json.dumps(view)) > MAX_VIEW_WHOLE:
        return "view_too_large"
    return _blocks(view["blocks"], MAX_VIEW_BLOCKS)


def _blocks(blocks: object, limit: int) -> str | None:
    if not isinstance(blocks, list):
        return "blocks must be an array"
    if len(blocks) > limit:
        return f"no more than {limit} items allowed [json-pointer:/blocks]"
    ids = [block.get("block_id") for block in blocks if isinstance(block, dict) and block.get("block_id")]
    if len(ids) != len(set(ids)):
        return "block_id must be unique"
    return next((f"{found} [json-pointer:/blocks/{i}]" for i, b in enumerate(blocks) if (found := _block(b))), None)


def too_long(blocks: object) -> bool:
    return len(json.dumps(blocks, ensure_ascii=False)) > MAX_WHOLE


def length(text: str) -> int:
    """UTF-16 units: the stricter way to count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _block(block: object) -> str | None:
    if not isinstance(block, dict):
        return "must be an object"
    kind = str(block.get("type"))
    if kind not in _BLOCKS:
        return f"unsupported type: {kind}"
    required, optional = _BLOCKS[kind]
    if missing := required - block.keys():
        return f"missing required field: {sorted(missing)[0]}"
    if extra := block.keys() - required - optional - {"type", "block_id"}:
        return f"additional properties: {sorted(extra)[0]}"
    if length(str(block.get("block_id", ""))) > 255:
        return "block_id must be less than 256 characters"
    match kind:
        case "header":
            return _text(block["text"], 150, kinds=("plain_text",))
        case "section":
            return _section(block)
        case "context":
            return _items(block["elements"], 10, lambda e: _image(e) if e.get("type") == "image" else _text(e, 3000))
        case "actions":
            found = _items(block["elements"], 25, _element)
            ids = [e.get("action_id") for e in block["elements"]]
            return found or ("action_id must be unique" if len(ids) != len(set(ids)) else None)
        case "input":
            return _text(block["label"], 2000, kinds=("plain_text",)) or _input(block["element"])
        case "image":
            return _image(block)
        case _:
            return None


def _section(block: Mapping[str, Any]) -> str | None:
    if "text" not in block and "fields" not in block:
        return "must provide text or fields"
    if "text" in block and (found := _text(block["text"], 3000)):
        return found
    if "fields" in block and (found := _items(block["fields"], 10, lambda e: _text(e, 2000))):
        return found
    return _element(block["accessory"]) if "accessory" in block else None


def _items(items: object, limit: int, check: Callable[[dict[str, Any]], str | None]) -> str | None:
    if not isinstance(items, list) or not items:
        return "must have at least one item"
    if len(items) > limit:
        return f"no more than {limit} items allowed"
    found = (check(item) if isinstance(item, dict) else "must be an object" for item in items)
    return next((problem for problem in found if problem), None)


def _text(value: object, limit: int, *, kinds: Sequence[str] = ("mrkdwn", "plain_text")) -> str | None:
    if not isinstance(value, dict) or value.get("type") not in kinds:
        return f"text must be an object of type {' or '.join(kinds)}"
    own = {"emoji"} if value["type"] == "plain_text" else {"verbatim"}
    if extra := value.keys() - {"type", "text"} - own:
        return f"additional properties: {sorted(extra)[0]}"
    text = value.get("text")
    if not isinstance(text, str) or not text:
        return "must be more than 0 characters"
    if length(text) > limit:
        return f"must be less than {limit + 1} characters"
    return None


def _image(value: Mapping[str, Any]) -> str | None:
    if not value.get("image_url") or not value.get("alt_text"):
        return "image needs image_url and alt_text"
    return "image is too long" if length(value["image_url"]) > 3000 or length(value["alt_text"]) > 2000 else None


def _element(value: Mapping[str, Any]) -> str | None:
    match value.get("type"):
        case "button":
            return _button(value)
        case "static_select":
            return _select(value)
        case "overflow":
            return _overflow(value)
        case kind:
            return f"unsupported element: {kind}"


def _select(value: Mapping[str, Any]) -> str | None:
    known = {"type", "action_id", "placeholder", "options", "initial_option", "confirm", "focus_on_load"}
    if extra := value.keys() - known:
        return f"additional properties: {sorted(extra)[0]}"
    if length(str(value.get("action_id", ""))) > 255:
        return "action_id must be less than 256 characters"
    if "placeholder" in value and (found := _text(value["placeholder"], 150, kinds=("plain_text",))):
        return found
    if "confirm" in value and (found := _confirm(value["confirm"])):
        return found
    return _items(value.get("options"), 100, _option)


def _overflow(value: Mapping[str, Any]) -> str | None:
    if extra := value.keys() - {"type", "action_id", "options", "confirm"}:
        return f"additional properties: {sorted(extra)[0]}"
    if isinstance(options := value.get("options"), list) and len(options) < 2:
        return "must have at least 2 items"
    return _items(value.get("options"), 5, _option)


def _option(value: Mapping[str, Any]) -> str | None:
    if extra := value.keys() - {"text", "value", "description", "url"}:
        return f"additional properties: {sorted(extra)[0]}"
    if not isinstance(value.get("value"), str) or length(value["value"]) > 150:
        return "value must be less than 151 characters"
    return _text(value.get("text"), 75)


def _input(value: object) -> str | None:
    if not isinstance(value, dict) or value.get("type") != "plain_text_input":
        return "unsupported element in input"
    known = {"type", "action_id", "placeholder", "initial_value", "multiline", "min_length", "max_length"}
    if extra := value.keys() - known - {"dispatch_action_config", "focus_on_load"}:
        return f"additional properties: {sorted(extra)[0]}"
    shortest, longest = value.get("min_length", 0), value.get("max_length", 3000)
    if not (0 <= shortest <= longest and 1 <= longest <= 3000):
        return "min_length and max_length must be in order, at most 3000"
    return _text(value["placeholder"], 150, kinds=("plain_text",)) if "placeholder" in value else None


def _button(value: Mapping[str, Any]) -> str | None:
    known = {"type", "text", "action_id", "value", "url", "style", "confirm", "accessibility_label"}
    if extra := value.keys() - known:
        return f"additional properties: {sorted(extra)[0]}"
    if value.get("style", "primary") not in ("primary", "danger"):
        return "style must be primary or danger"
    for name, limit in (("action_id", 255), ("value", 2000), ("url", 3000)):
        if length(str(value.get(name, ""))) > limit:
            return f"{name} must be less than {limit + 1} characters"
    if "confirm" in value and (found := _confirm(value["confirm"])):
        return found
    return _text(value.get("text"), 75, kinds=("plain_text",))


def _confirm(value: Mapping[str, Any]) -> str | None:
    if extra := value.keys() - {"title", "text", "confirm", "deny", "style"}:
        return f"additional properties: {sorted(extra)[0]}"
    if value.get("style", "primary") not in ("primary", "danger"):
        return "style must be primary or danger"
    plain = ("plain_text",)
    checks = (
        _text(value.get("title"), 100, kinds=plain),
        _text(value.get("text"), 300),
        _text(value.get("confirm"), 30, kinds=plain),
        _text(value.get("deny"), 30, kinds=plain),
    )
    return next((found for found in checks if found), None)
