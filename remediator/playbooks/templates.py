"""`${...}` in a playbook's values: CEL inside, plain text outside.

`$${` writes `${`. A value that is exactly one `${...}` keeps the type that CEL gives (a number stays a number);
anything around it makes it text. Only text, numbers, booleans, durations and times can become text: a list, a map or
null in the middle of a sentence is a mistake, and null above all must never turn into an empty string.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from remediator.errors import RemediatorError
from remediator.playbooks.cel_text import closing_brace
from remediator.playbooks.durations import format_duration
from remediator.playbooks.expressions import Expression, ExpressionError, Scope, compile_expression
from remediator.playbooks.problems import FieldPath, path_text

MAX_RENDERED = 65_536


class TemplateError(RemediatorError):
    """A template that cannot be read or filled in. While planning this denies: nothing may act on half a name."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what, self.hint = what, hint
        super().__init__(f"{what}. {hint}" if hint else what)


@dataclass(frozen=True, slots=True)
class Template:
    """A text cut into literal parts and expressions. `$${` is resolved already."""

    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @property
    def whole(self) -> Expression | None:
        """The expression, if the text is nothing else."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Expression) else None


@lru_cache(maxsize=16_384)
def parse_template(text: str) -> Template:
    """Raises: TemplateError for an unclosed `${`, or what `compile_expression` objects to."""
    parts: list[str | Expression] = []
    literal = ""
    at = 0
    while at < len(text):
        if text.startswith("$${", at):
            literal += "${"
            at += 3
        elif text.startswith("${", at):
            end = closing_brace(text, at + 2)
            if end is None:
                raise TemplateError(f"${{ at character {at + 1} is not closed", "Close it with }, or write $${ for ${.")
            if literal:
                parts.append(literal)
                literal = ""
            parts.append(_compiled(text[at + 2 : end]))
            at = end + 1
        else:
            following = text.find("$", at + 1)
            following = len(text) if following < 0 else following
            literal += text[at:following]
            at = following
    if literal or not parts:
        parts.append(literal)
    return Template(tuple(parts))


def _compiled(text: str) -> Expression:
    try:
        return compile_expression(text.strip())
    except ExpressionError as exc:
        raise TemplateError(exc.what, exc.hint) from None


def has_template(value: object) -> bool:
    """Whether a text holds `${`, also an escaped or an unclosed one: whether it must be parsed."""
    return isinstance(value, str) and "${" in value


def texts(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, str]]:
    """All texts with `${` in nested mappings and lists, with their paths; keys are not looked at."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))
    elif has_template(value):
        yield path, value


def render(value: Any, scope: Scope, path: FieldPath = ()) -> Any:
    """`value` with every template in it filled in; mappings and lists are copied, keys stay as they are.

    Raises: TemplateError, naming the field (`path` is where `value` itself stands).
    """
    if isinstance(value, Mapping):
        return {key: render(item, scope, (*path, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render(item, scope, (*path, index)) for index, item in enumerate(value)]
    if not has_template(value):
        return value
    try:
        template = parse_template(value)
        if template.whole:
            return _not_null(scope.evaluate(template.whole), template.whole)
        return _joined(template, scope, as_text)
    except (TemplateError, ExpressionError) as exc:
        at = f"{path_text(path)}: " if path else ""
        raise TemplateError(at + exc.what, exc.hint) from None


def render_text(text: str, scope: Scope, path: FieldPath = ()) -> str:
    """Like `render`, for a field that must be text, such as a name. Raises: TemplateError, also for any other type."""
    value = render(text, scope, path)
    if not isinstance(value, str):
        raise TemplateError(f"{path_text(path)}: {text} gives {value!r:.60}, not text", "Wrap it in string(...).")
    return value


def as_text(expression: Expression, value: object) -> str:
    """A CEL value in the middle of a text: durations as Prometheus writes them, times in RFC 3339.

    Raises: TemplateError for what has no text.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case float() if math.isfinite(value):
            return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
        case timedelta() if value >= timedelta(0):
            return format_duration(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case _:
            raise TemplateError(f"{expression.text} gives {value!r:.60}, which is no text", "Take one value out of it.")


def expander(scope: Scope) -> Callable[[str, Callable[[Any], str]], str]:
    """`expand(text, put)` for texts in another language: every value passes through `put`, which quotes it there.

    This is how PromQL gets its values: a label value such as `x"} or vector(0) #` must not become part of the query.
    The returned function raises TemplateError, and whatever `put` raises.
    """

    def expand(text: str, put: Callable[[Any], str]) -> str:
        try:
            return _joined(parse_template(text), scope, lambda part, found: put(_not_null(found, part)))
        except ExpressionError as exc:
            raise TemplateError(exc.what, exc.hint) from None

    return expand


def _joined(template: Template, scope: Scope, text_of: Callable[[Expression, Any], str]) -> str:
    """Raises: TemplateError for a result that no field could want."""
    parts = template.parts
    text = "".join(part if isinstance(part, str) else text_of(part, scope.evaluate(part)) for part in parts)
    if len(text) > MAX_RENDERED:
        raise TemplateError(f"a text of {len(text)} characters", f"At most {MAX_RENDERED}.")
    return text


def _not_null(value: Any, expression: Expression) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise TemplateError(f"{expression.text} gives {value!r}, which is no value", "Check what it asks for.")
    return value
