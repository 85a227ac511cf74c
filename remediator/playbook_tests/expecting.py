"""What a test can expect, as it is written. Each item of the list is one kind with the keys that go with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from remediator.guardrails.order import NAMES
from remediator.people.wording import WORDINGS
from remediator.playbook_tests.written import Written, exactly_one
from remediator.playbooks.fields import Duration, Flag, complaint
from remediator.playbooks.problems import did_you_mean
from remediator.remediation.state import ENDINGS, State, StepOutcome

Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Many = Annotated[int, Field(strict=True, ge=0, le=1000)]


def _among(words: Iterable[str], what: str) -> Callable[[str], str]:
    known = frozenset(words)

    def check(value: str) -> str:
        if value not in known:
            raise complaint(f"{value!r:.60} is no {what}", did_you_mean(value, known))
        return value

    return check


GUARDRAILS = frozenset({*NAMES, "target", "template", "action", "dry_run"})
"""Besides the guardrails: finding the target, filling in values, the action itself, and the API server's dry run."""
TOLD = frozenset(name for name, words in WORDINGS.items() if words.told)
"""States as messages have them; a few of them are no states of a remediation."""

Guardrail = Annotated[str, AfterValidator(_among(GUARDRAILS, "guardrail"))]
AnyState = Annotated[str, AfterValidator(_among(State, "state"))]
Ending = Annotated[str, AfterValidator(_among(ENDINGS, "ending"))]
ToldState = Annotated[str, AfterValidator(_among(TOLD, "state that people are told"))]
Outcome = Annotated[str, AfterValidator(_among(set(StepOutcome) - {""}, "outcome"))]


def _texts(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Texts = Annotated[tuple[Name, ...], BeforeValidator(_texts), WithJsonSchema(_TEXTS)]


class Effect(Written):
    """One change of the cluster; what is not given may be anything. `path` like `spec.replicas` or
    `spec.template.spec.containers[app].image`; `before` and `after` its value, `*` in it any text."""

    NULLABLE = frozenset({"before", "after"})

    action: Name = ""
    object: Name = ""
    path: Name = ""
    before: Any = None
    after: Any = None
    undo: Flag | None = None

    @model_validator(mode="after")
    def _path_of_values(self) -> Effect:
        if not self.path and self.model_fields_set & {"before", "after"}:
            raise complaint("before and after are values of a path", "Add `path:`.")
        return self


class Made(Written):
    """One object that we created. `fields` = values by their path, as in `path` of an effect; None = not there."""

    object: Name = ""
    action: Name = ""
    undo: Flag | None = None
    fields: Mapping[str, Any] = Field(default_factory=dict)


class Gone(Written):
    """One object that we deleted or evicted; `undo`: because we had created it."""

    object: Name = ""
    action: Name = ""
    undo: Flag | None = None


class Told(Written):
    """One request to something outside of the cluster that was carried out. `request`: what it holds at least; `*` in
    a text is any text."""

    via: Name = ""
    place: Name = ""
    action: Name = ""
    undo: Flag | None = None
    request: Mapping[str, Any] = Field(default_factory=dict)


class Message(Written):
    """Something that people were told. `state` is what the message says has become of it, `contains` its words."""

    to: Literal["chat", "pager"] | None = None
    state: ToldState = ""
    contains: Texts = ()


class Value(Written):
    """A value in the cluster when the test is over."""

    NULLABLE = frozenset({"is"})

    of: Name
    path: Name
    is_: Any = Field(None, alias="is")


TIMES = frozenset({"by", "not_before"})
SIBLINGS: Mapping[str, frozenset[str]] = {
    "chosen": TIMES,
    "not_chosen": frozenset({"contains"}),
    "denied": TIMES | {"contains", "playbook"},
    "held": TIMES | {"contains", "playbook"},
    "asked": TIMES | {"contains", "playbook"},
    "effect": TIMES | {"times"},
    "created": TIMES | {"times"},
    "removed": TIMES | {"times"},
    "called": TIMES | {"times"},
    "effects": frozenset[str](),
    "message": TIMES | {"times"},
    "state": TIMES | {"playbook"},
    "ends": TIMES | {"playbook", "outcome", "contains"},
    "refused": TIMES | {"contains"},
    "field": frozenset[str](),
    "remediations": frozenset[str](),
}


class Expectation(Written):
    """Exactly one of the kinds in `SIBLINGS`.

    `chosen`, `not_chosen`: a playbook. `denied`, `held`, `asked`: the guardrail that answered so. `effect`: one change,
    `times` so often (0 = never). `created`, `removed`: one object; `called`: one request to something outside of the
    cluster. `effects`: how many changes in all, whatever they are. `message`: what people were told. `state`: a
    remediation came into it; `ends`: all remediations ended so. `refused`: a person who may not, or not now.
    `field`: a value in the cluster at the end. `remediations`: how many.
    """

    chosen: Name = ""
    not_chosen: Name = ""
    denied: Guardrail = ""
    held: Guardrail = ""
    asked: Guardrail = ""
    effect: Effect | None = None
    created: Made | None = None
    removed: Gone | None = None
    called: Told | None = None
    effects: Many | None = None
    message: Message | None = None
    state: AnyState = ""
    ends: Ending = ""
    refused: Name = ""
    field: Value | None = None
    remediations: Many | None = None
    by: Duration | None = None
    not_before: Duration | None = None
    times: Many | None = None
    playbook: Name = ""
    outcome: Outcome = ""
    contains: Texts = ()

    @property
    def kind(self) -> str:
        return next(name for name in SIBLINGS if name in self.model_fields_set)

    @model_validator(mode="after")
    def _one(self) -> Expectation:
        exactly_one(self, SIBLINGS)
        return self
