"""What the models of playbooks and of the operator's policy are made of: durations, counts, shares, strictness."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from remediator.playbooks.durations import duration_of, format_duration

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
FROM_YAML = "yaml"
"""Key of the validation context that says: this is a file, so only the spelling of files is accepted."""


def complaint(what: str, hint: str) -> PydanticCustomError:
    """A validation error that carries the next step for the author."""
    # Values go in as context: a brace in what people wrote must not be read as a placeholder of the template.
    return PydanticCustomError("playbook", "{what}", {"what": what, "hint": hint})


def from_yaml(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get(FROM_YAML))


def parse_duration(value: object) -> timedelta:
    """`1h30m` or a number of seconds to a timedelta."""
    try:
        return duration_of(value)
    except ValueError as exc:
        raise complaint(str(exc), "Write it like 90s, 15m, 2h or 1h30m, or as seconds.") from None


def _more_than_zero(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise complaint("must be longer than 0", "Write it like 15s or 10m.")
    return value


DURATION_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?(\d+ms)?$", "minLength": 2},
        {"type": "number", "minimum": 0},
    ],
    "description": "90s, 15m, 2h, 1h30m, or seconds",
}
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),  # so that what is written as JSON can be read back
    WithJsonSchema(DURATION_SCHEMA),
]
PositiveDuration = Annotated[Duration, AfterValidator(_more_than_zero)]
Count = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Flag = Annotated[bool, Field(strict=True)]
PlaybookName = Annotated[str, Field(pattern=NAME_PATTERN)]


class Mode(StrEnum):
    """What a playbook may do, weakest first."""

    OBSERVE = "observe"
    SUGGEST = "suggest"
    APPROVE = "approve"
    AUTO = "auto"

    @property
    def rank(self) -> int:
        return list(Mode).index(self)


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _share_or_copies(value: object) -> object:
    percent = re.fullmatch(r"([0-9]{1,3})%", value) if isinstance(value, str) else None
    if percent and 1 <= int(percent[1]) <= 100:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10_000:
        return value
    raise complaint(f"expected 1% to 100% or at least 1 copy, got {value!r}", 'Write it like "60%" or 2.')


ShareOrCopies = Annotated[
    str | int,
    BeforeValidator(_share_or_copies),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^[0-9]{1,3}%$"}, {"type": "integer", "minimum": 1}]}),
]
