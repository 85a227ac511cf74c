"""A playbook as YAML says it, validated. Strict: a misspelt key must not load as a missing guardrail.

Everything here is frozen. Durations are written `90s`, `15m`, `2h`, `1h30m` or as seconds and become `timedelta`.
Numbers and booleans must be written as such: "3" in quotes is text, not a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from remediator.playbooks.durations import duration_of, format_duration

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
PARAM_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
FROM_YAML = "yaml"
"""Key of the validation context that says: this is a file, so only the spelling of files is accepted."""


def complaint(what: str, hint: str) -> PydanticCustomError:
    """A validation error that carries the next step for the author."""
    # Values go in as context: a brace in what people wrote must not be read as a placeholder of the template.
    return PydanticCustomError("playbook", "{what}", {"what": what, "hint": hint})


def _from_yaml(info: ValidationInfo) -> bool:
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


def _bound(value: object) -> object:
    """A bound of a duration may be written as one; it is kept in seconds."""
    return parse_duration(value).total_seconds() if isinstance(value, str) else value


Bound = Annotated[
    Annotated[float, Field(strict=True)] | None,
    BeforeValidator(_bound),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]}),
]


class Param(Strict):
    """One parameter: set by project config, `run`, or an annotation on the workload, within its bounds.

    `min` and `max` are for numbers and durations (then in seconds).
    """

    type: Literal["number", "integer", "string", "boolean", "duration"]
    default: Any = None
    min: Bound = None
    max: Bound = None
    enum: tuple[Any, ...] | None = Field(None, min_length=1)
    description: str = ""

    @model_validator(mode="after")
    def _bounds_make_sense(self) -> Param:
        if self.type in ("string", "boolean") and (self.min is not None or self.max is not None):
            raise complaint(f"min and max mean nothing for a {self.type}", "Remove them, or list values in enum.")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise complaint(f"min {self.min:g} is above max {self.max:g}", "Swap them.")
        return self


class Match(Strict):
    """Which alerts. `alerts` holds matcher texts in Alertmanager syntax, all must hold; `when` is CEL."""

    alerts: tuple[str, ...] = Field(min_length=1)
    when: str = ""
    status: Literal["firing", "resolved"] = "firing"


class TargetSpec(Strict):
    """One object by name; each part may hold `${...}`."""

    kind: str = Field(min_length=1)
    namespace: str = ""
    name: str = Field(min_length=1)
    cluster: str = ""


class TargetsSpec(Strict):
    """Several objects, only when asked for. An empty selector is refused: "all" must be spelled out."""

    kind: str = Field(min_length=1)
    namespace: str = Field(min_length=1)
    selector: str = Field(min_length=1)
    max: Count


class OneKey(Strict):
    """Written as one key with its arguments, `{rollout: {}}` or `{promql: {...}}`."""

    kind: str
    args: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _single_key(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            raise complaint(f"expected one key with its arguments, got {value!r:.60}", "Write it like `rollout: {}`.")
        if not isinstance(value, Mapping):
            return value
        if not _from_yaml(info) and set(value) <= {"kind", "args"}:
            return value
        if len(value) != 1:
            raise complaint(
                f"expected one key with its arguments, got {len(value)} keys",
                "Write one list item for each, such as `- rollout: {}`.",
            )
        kind, args = next(iter(value.items()))
        return {"kind": kind, "args": {} if args is None else args}


class Check(OneKey):
    """One check: its kind and its arguments."""


class Collect(OneKey):
    """One piece of evidence: kind and arguments, from `{logs: {previous: true, lines: 50}}`."""


class Verify(Strict):
    """How success is proved: so many consecutive good or bad samples; no verdict by `timeout` is inconclusive."""

    settle: Duration = timedelta(seconds=60)
    interval: PositiveDuration = timedelta(seconds=15)
    successes: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    failures: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    timeout: PositiveDuration = timedelta(minutes=10)
    checks: tuple[Check, ...] = ()


def _filled_in(value: object) -> object:
    """`{rollout: }` means `{rollout: {}}`."""
    if not isinstance(value, Mapping):
        return value
    return {kind: {} if args is None else args for kind, args in value.items()}


class Step(Strict):
    """One step: exactly one of `action`, `wait`, `check` (a gate) or `ask` (a person confirms mid-way)."""

    action: str = ""
    with_: Mapping[str, Any] = Field(default_factory=dict, alias="with")
    target: TargetSpec | None = None
    verify: Annotated[Mapping[str, Mapping[str, Any]] | None, BeforeValidator(_filled_in)] = None
    """Checks that must hold before the next step, `{rollout: {}}`; None = only at the end."""
    repeatable: Flag = False
    wait: PositiveDuration | None = None
    check: Check | None = None
    ask: str = ""

    @model_validator(mode="after")
    def _exactly_one(self, info: ValidationInfo) -> Step:
        choices = {"action": self.action, "wait": self.wait, "check": self.check, "ask": self.ask}
        given = [name for name, value in choices.items() if value]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise complaint(f"a step is exactly one of action, wait, check or ask, got {found}", "Split or fill it.")
        of_actions = bool(self.with_ or self.target or self.verify is not None or self.repeatable)
        if _from_yaml(info):  # what was written counts, even where it says nothing; a stored model has all fields
            of_actions = not self.model_fields_set.isdisjoint({"with_", "target", "verify", "repeatable"})
        if not self.action and of_actions:
            raise complaint("with, target, verify and repeatable belong to an action", "Move them to an action step.")
        return self


class ApprovalSpec(Strict):
    """Who must agree. `approvers` like `slack:@handle`, `slack:U123`, `role:sre`."""

    quorum: Annotated[int, Field(strict=True, ge=1, le=5)] = 1
    approvers: tuple[str, ...] = ()
    expires: PositiveDuration = timedelta(minutes=15)
    start_within: PositiveDuration = timedelta(minutes=5)


class UndoSpec(Strict):
    after: Literal["failed", "never"] = "failed"
    steps: Literal["all", "failed_step"] = "all"


PAGE_KEYS: Mapping[str, tuple[str, ...]] = {"urgency": ("high", "low"), "service": ()}
"""What a page rung may say; an empty tuple takes any text."""


class Escalation(Strict):
    """One rung: another playbook, or a page (`{urgency: high | low, service: text}`)."""

    playbook: str = ""
    page: Mapping[str, Any] | None = None

    @field_validator("playbook")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if value and not re.match(NAME_PATTERN, value):
            raise complaint(f"{value!r} is no playbook name", "Use the `name` of another playbook.")
        return value

    @field_validator("page")
    @classmethod
    def _page_is_known(cls, value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        for key, said in (value or {}).items():
            if key not in PAGE_KEYS:
                raise complaint(f'unknown key "{key}"', f"Known here: {', '.join(PAGE_KEYS)}.")
            choices = PAGE_KEYS[key]
            if not isinstance(said, str) or (choices and said not in choices):
                raise complaint(f"{key} cannot be {said!r}", f"Write {' or '.join(choices) or 'text'}.")
        return value

    @model_validator(mode="after")
    def _one(self) -> Escalation:
        if bool(self.playbook) == (self.page is not None):
            raise complaint("a rung is exactly one of playbook or page", "Write one list item for each rung.")
        return self


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


class Limits(Strict):
    """The guardrails' numbers a playbook may set. None = the default of the operator's policy."""

    max_targets: Count | None = None
    max_alert_age: PositiveDuration | None = None
    in_flight: Mapping[Literal["target", "playbook", "cluster", "everywhere"], Count] | None = None
    cooldown: Mapping[Literal["success", "failure"], Duration] | None = None
    rate_limit: Mapping[Literal["target", "playbook", "namespace", "cluster"], Count] | None = None
    min_available: ShareOrCopies | None = None
    """Percent ("60%") or copies."""
    max_attempts: Count | None = None
    plan_age: PositiveDuration | None = None


def _target_form(value: object) -> str:
    return "from_alert" if isinstance(value, str) else "object"


Target = Annotated[
    Annotated[Literal["from_alert"], Tag("from_alert")] | Annotated[TargetSpec, Tag("object")],
    Discriminator(_target_form),
]


class Playbook(Strict):
    """One YAML file. Required: name, match, target or targets, steps."""

    api_version: Literal["remediator.dev/v1"] = Field("remediator.dev/v1", alias="apiVersion")
    name: PlaybookName
    description: str = ""
    owner: str = ""
    runbook: str = ""
    params: Mapping[Annotated[str, Field(pattern=PARAM_PATTERN)], Param] = Field(default_factory=dict)
    match: Match
    priority: Annotated[int, Field(strict=True, ge=-1000, le=1000)] = 0
    target: Target | None = None
    targets: TargetsSpec | None = None
    mode: Mode = Mode.OBSERVE
    gather: Duration = timedelta(seconds=20)
    collect: tuple[Collect, ...] = ()
    steps: tuple[Step, ...] = Field(min_length=1)
    verify: Verify = Verify()
    approval: ApprovalSpec = ApprovalSpec()
    undo: UndoSpec = UndoSpec()
    escalate: tuple[Escalation, ...] = ()
    guardrails: Limits = Limits()

    @model_validator(mode="after")
    def _one_target(self) -> Playbook:
        if (self.target is None) == (self.targets is None):
            raise complaint("needs exactly one of target or targets", "Write `target: from_alert`, or name an object.")
        return self


class LoadedPlaybook(BaseModel):
    """A playbook in force: its content, where it came from, and the hash that every plan carries.

    `hash` is SHA-256 (hex) over the canonical JSON of the content as written, so comments, key order and spacing do not
    matter, and a default that a later version adds or changes does not alter the hash of an untouched file.
    """

    model_config = ConfigDict(frozen=True)

    playbook: Playbook
    hash: str
    source: str = ""
