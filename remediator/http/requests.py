"""What the API takes. Unknown fields are refused: a misspelt `untill` must not pause something for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self, TypeVar

import orjson
from aiohttp import web
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from remediator.http.body import BodyReader
from remediator.playbooks.fields import PositiveDuration
from remediator.service import InvalidRequest

M = TypeVar("M", bound=BaseModel)
LONGEST = timedelta(days=366)


def _as_text(value: object) -> object:
    """Numbers and booleans as a playbook writes them: values of parameters are read as text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


ParamText = Annotated[str, BeforeValidator(_as_text), Field(max_length=1000)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListAlerts(_Request):
    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class ListRemediations(_Request):
    """`state`: one state of the state diagram, or `open` for all that have not ended."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    state: str = ""
    playbook: str = ""


class HandOver(_Request):
    """`since`: how long the shift was."""

    since: Annotated[PositiveDuration, Field(le=timedelta(days=7))] = timedelta(hours=12)


class TestPage(_Request):
    """`service`: the pager's, by the operator's name; the default one when it is not said."""

    service: Annotated[str, Field(max_length=100)] = ""


class Nothing(_Request):
    """Nothing is taken."""


class Approve(_Request):
    """`digest`: what the person looked at, at least its first 8 digits; empty = what is proposed now. `break_glass`:
    why this one yes must be enough. `change`: the number of the change that it is done under."""

    digest: Annotated[str, Field(pattern=r"^([0-9a-fA-F]{8,64})?$")] = ""
    break_glass: str = ""
    change: str = ""


class Reject(_Request):
    reason: str = ""


class Run(_Request):
    """`target`: Kind/namespace/name, where the playbook leaves it to alerts. `key`: the same request again starts
    nothing again; the header Idempotency-Key says the same."""

    target: Annotated[str, Field(max_length=600)] = ""
    cluster: Annotated[str, Field(max_length=63)] = ""
    params: Annotated[dict[str, ParamText], Field(max_length=50)] = {}
    reason: str = ""
    key: Annotated[str, Field(max_length=200)] = ""


class _Until(_Request):
    """A time to come: `for` a while ("30m", "1h30m", seconds), or `until` a moment (RFC 3339 with offset)."""

    for_: Annotated[PositiveDuration | None, Field(alias="for")] = None
    until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.for_ is not None and self.until is not None:
            raise ValueError("give `for` or `until`, not both")
        if self.for_ is not None and self.for_ > LONGEST:
            raise ValueError("`for` is at most 366 days")
        return self

    def end(self, now: datetime) -> datetime | None:
        """The moment, in UTC."""
        if self.for_ is not None:
            return now + self.for_
        return self.until.astimezone(UTC) if self.until else None


class Snooze(_Until):
    """Exactly one of `for` and `until`."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.for_ is None and self.until is None:
            raise ValueError('say how long: {"for": "30m"}')
        return self


class Pause(_Until):
    """Without `for` and `until` it lasts until a person lifts it."""

    scope: Annotated[str, Field(min_length=1, max_length=600)]
    reason: str = ""


class Resume(_Request):
    scope: Annotated[str, Field(min_length=1, max_length=600)]


async def from_body(model: type[M], request: web.Request, reader: BodyReader) -> M:
    """An empty body is an empty object. Raises: InvalidRequest."""
    return _checked(model, await json_body(request, reader))


def from_query(model: type[M], request: web.Request) -> M:
    """Raises: InvalidRequest."""
    twice = sorted({key for key in request.query if len(request.query.getall(key)) > 1})
    if twice:
        raise InvalidRequest(f"{twice[0]}: given twice")
    return _checked(model, dict(request.query))


async def json_body(request: web.Request, reader: BodyReader) -> Any:
    """Raises: InvalidRequest."""
    body = await reader.read(request)
    if not body:
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise InvalidRequest(f"body: not JSON: {exc}") from exc


def _checked(model: type[M], value: Any) -> M:
    if not isinstance(value, dict):
        raise InvalidRequest("body: expected a JSON object")
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        problems = exc.errors(include_url=False, include_input=False)
        said = "; ".join(f"{_where(p['loc'])}{p['msg'].removeprefix('Value error, ')}" for p in problems[:5])
        known = ", ".join(field.alias or name for name, field in model.model_fields.items())
        raise InvalidRequest(said, advice=f"Known here: {known or 'nothing'}.") from exc


def _where(loc: tuple[int | str, ...]) -> str:
    return f"{'.'.join(map(str, loc))}: " if loc else ""
