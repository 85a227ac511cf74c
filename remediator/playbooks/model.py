"""A playbook as YAML says it, validated. Strict: a misspelt key must not load as a missing guardrail.

Everything here is frozen. Durations are written `90s`, `15m`, `2h`, `1h30m` or as seconds and become `timedelta`.
Numbers and booleans must be written as such: "3" in quotes is text, not a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from remediator.playbooks.fields import (
    NAME_PATTERN,
    Count,
    Duration,
    Flag,
    PlaybookName,
    PositiveDuration,
    Strict,
    complaint,
    from_yaml,
    parse_duration,
)
from remediator.playbooks.fields import Mode as Mode
from remediator.playbooks.limits import Limits as Limits
from remediator.playbooks.schedule_model import Schedule as Schedule

PARAM_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
PROCEDURE_PATTERN = r"^[A-Z][A-Z0-9]{1,7}-[0-9]{1,4}$"


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


class FleetSpec(Strict):
    """What the single target is one of: `min_healthy` counts these. `namespace` stays empty for kinds without one."""

    kind: str = Field(min_length=1)
    namespace: str = ""
    selector: str = Field(min_length=1)


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
        if not from_yaml(info) and set(value) <= {"kind", "args"}:
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


SHORTEST_REVERT = timedelta(minutes=5)
LONGEST_REVERT = timedelta(hours=12)
"""That an alert is quiet is only believed where Prometheus has seen it fire within the last day."""


class RevertSpec(Strict):
    """When the effect of a step is taken back: once its alerts have been proven quiet for that long."""

    after_quiet: PositiveDuration

    @field_validator("after_quiet")
    @classmethod
    def _in_bounds(cls, value: timedelta) -> timedelta:
        if not SHORTEST_REVERT <= value <= LONGEST_REVERT:
            raise complaint("after_quiet is between 5m and 12h", "Write it like 30m.")
        return value


THROUGH_GIT = ("pr", "hold_and_pr")


class Step(Strict):
    """One step: exactly one of `action`, `wait`, `check` (a gate) or `ask` (a person confirms mid-way)."""

    action: str = ""
    with_: Mapping[str, Any] = Field(default_factory=dict, alias="with")
    target: TargetSpec | None = None
    verify: Annotated[Mapping[str, Mapping[str, Any]] | None, BeforeValidator(_filled_in)] = None
    """Checks that must hold before the next step, `{rollout: {}}`; None = only at the end."""
    repeatable: Flag = False
    revert: RevertSpec | None = None
    """Its effect is only wanted while the alert lasts; None = it stays."""
    via: Literal["live", "pr", "hold_and_pr"] = "live"
    """The way to a field that Git owns: `pr` proposes it there and changes nothing live, `hold_and_pr` keeps the GitOps
    controller from taking it back, changes it live, and proposes it. `live` is refused where Git owns the field."""
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
        of_actions = bool(self.with_ or self.target or self.verify is not None or self.repeatable or self.revert)
        of_actions = of_actions or self.through_git
        if from_yaml(info):  # what was written counts, even where it says nothing; a stored model has all fields
            keys = {"with_", "target", "verify", "repeatable", "revert", "via"}
            of_actions = not self.model_fields_set.isdisjoint(keys)
        if not self.action and of_actions:
            raise complaint(
                "with, target, verify, repeatable, revert and via belong to an action", "Move them to an action step."
            )
        return self

    @model_validator(mode="after")
    def _one_way_back(self) -> Step:
        """What goes through Git is taken back there, and is proved only once people have merged it."""
        if not self.through_git:
            return self
        if self.revert is not None:
            raise complaint(
                f"via: {self.via} and revert exclude each other: what Git says is taken back in Git",
                "Remove revert, or write via: live.",
            )
        if self.repeatable:
            raise complaint(f"via: {self.via} and repeatable exclude each other", "Remove repeatable.")
        if self.via == "pr" and self.verify is not None:
            raise complaint(
                "via: pr changes nothing until people merge it, so verify of this step proves nothing",
                "Write its checks in verify.checks of the playbook.",
            )
        return self

    @property
    def through_git(self) -> bool:
        return self.via in THROUGH_GIT


class ApprovalSpec(Strict):
    """Who must agree. `approvers` like `slack:@handle`, `slack:U123`, `role:sre`."""

    quorum: Annotated[int, Field(strict=True, ge=1, le=5)] = 1
    approvers: tuple[str, ...] = ()
    expires: PositiveDuration = timedelta(minutes=15)
    start_within: PositiveDuration = timedelta(minutes=5)
    change: Literal["", "required"] = ""
    """Whether the approval must name a change that is approved and under way."""


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


def _target_form(value: object) -> str:
    return "from_alert" if isinstance(value, str) else "object"


Target = Annotated[
    Annotated[Literal["from_alert"], Tag("from_alert")] | Annotated[TargetSpec, Tag("object")],
    Discriminator(_target_form),
]


NotifyPlace = Annotated[
    str, Field(pattern=r"^(slack:[CGD][A-Z0-9]{2,}|(apprise|webhook|ticket):[A-Za-z0-9][A-Za-z0-9._-]{0,62})$")
]
"""`slack:C0123456789`, or one of the operator's `channels`: `apprise:mail-ops`, `webhook:cmdb`, `ticket:jira`."""


NOTHING_STARTS_IT = "nothing starts it"
HOW_TO_START = "Add match: for alerts, schedule: for certain times, or manual: true for people."


class Playbook(Strict):
    """One YAML file. Required: name, what starts it (match, schedule or manual), target or targets, steps."""

    api_version: Literal["remediator.dev/v1"] = Field("remediator.dev/v1", alias="apiVersion")
    name: PlaybookName
    description: str = ""
    owner: str = ""
    runbook: str = ""
    covers: tuple[Annotated[str, Field(pattern=PROCEDURE_PATTERN)], ...] = Field((), max_length=50)
    """Which procedures of the operators' own books it stands for; for their lists, nothing here depends on it."""
    params: Mapping[Annotated[str, Field(pattern=PARAM_PATTERN)], Param] = Field(default_factory=dict)
    match: Match | None = None
    schedule: Schedule | None = None
    manual: Flag = False
    """Whether people may start it, see `remediator run`."""
    priority: Annotated[int, Field(strict=True, ge=-1000, le=1000)] = 0
    target: Target | None = None
    targets: TargetsSpec | None = None
    fleet: FleetSpec | None = None
    mode: Mode = Mode.OBSERVE
    gather: Duration = timedelta(seconds=20)
    collect: tuple[Collect, ...] = ()
    steps: tuple[Step, ...]
    """None at all is a report: what is collected is told, and nothing can be changed."""
    verify: Verify = Verify()
    approval: ApprovalSpec = ApprovalSpec()
    undo: UndoSpec = UndoSpec()
    escalate: tuple[Escalation, ...] = ()
    notify: tuple[NotifyPlace, ...] = ()
    """Who else hears of it: what operators want to hear of is in their routes, and an author can only add to it."""
    guardrails: Limits = Limits()
    given: SkipJsonSchema[Mapping[str, str]] = Field(default_factory=dict)
    """Values of parameters that whoever started it gave, over all others. Never written in a file: they are put here
    when a remediation begins, so that all that reads its playbook reads them."""

    @model_validator(mode="after")
    def _nothing_given(self, info: ValidationInfo) -> Playbook:
        if from_yaml(info) and "given" in self.model_fields_set:
            raise complaint('unknown key "given"', "Write values of parameters as their default.")
        return self

    @model_validator(mode="after")
    def _starts_somehow(self, info: ValidationInfo) -> Playbook:
        starts = self.match is not None or self.schedule is not None or self.manual
        if not starts and not from_yaml(info):  # in a file it is told with its place, also beside other mistakes
            raise complaint(NOTHING_STARTS_IT, HOW_TO_START)
        return self

    @field_validator("steps")
    @classmethod
    def _does_something(cls, value: tuple[Step, ...], info: ValidationInfo) -> tuple[Step, ...]:
        if value:
            return value
        if not info.data.get("collect", True):  # not there where it is complained about already
            raise complaint("must not be empty", "Fill it in; only a report has no steps, and it needs collect.")
        if info.data.get("targets") is not None:
            raise complaint("a report, which has no steps, is about a single target", "Write target, not targets.")
        return value

    @property
    def is_report(self) -> bool:
        """It only collects and tells."""
        return not self.steps

    @property
    def is_checklist(self) -> bool:
        """Every step is a question, so people do it all and nothing is changed by us."""
        return bool(self.steps) and all(step.ask for step in self.steps)

    @model_validator(mode="after")
    def _one_target(self) -> Playbook:
        if (self.target is None) == (self.targets is None):
            raise complaint("needs exactly one of target or targets", "Write `target: from_alert`, or name an object.")
        if self.targets is not None and self.fleet is not None:
            raise complaint("fleet is for a single target", "Remove it: the targets are their own fleet.")
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
    project: str = ""
    """Empty where no projects are configured."""
    sources: frozenset[str] = frozenset()
    """Senders whose alerts it takes; empty = those of all."""
