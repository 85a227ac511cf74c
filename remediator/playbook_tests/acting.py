"""Operators that a story plays, and what others answer: how both are written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from remediator.objects import KINDS
from remediator.playbook_tests.placed import Manifest, Name, Placed, Ref
from remediator.playbook_tests.times import Moment, When
from remediator.playbook_tests.written import Written, exactly_one
from remediator.playbooks.fields import Flag, PositiveDuration, complaint

Times = Annotated[int, Field(strict=True, ge=1, le=1000)]


def _objects(value: str) -> str:
    if value.partition(" ")[0] not in KINDS:
        raise complaint(f"{value!r:.80} names no kind", 'Write it like "Backup.velero.io" or "Job shop/report-*".')
    return value


Objects = Annotated[Name, AfterValidator(_objects)]
"""`Backup.velero.io`, all of a kind, or `Job shop/report-*`."""


# --- operators

TRIGGERS = {
    "created": frozenset[str](),
    "changed": frozenset({"path", "to"}),
    "removed": frozenset[str](),
    "called": frozenset({"request"}),
}


class Trigger(Written):
    """What an operator waits for, whoever did it. `changed`: the value at `path` becomes `to`, or another one where
    `to` is not given. `called`: `sql`, or `sql orders`, was told something that holds `request`."""

    NULLABLE = frozenset({"to"})

    created: Objects = ""
    changed: Objects = ""
    removed: Objects = ""
    called: Name = ""
    path: Name = ""
    to: Any = None
    request: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> Trigger:
        kind = exactly_one(self, TRIGGERS)
        if kind == "changed" and not self.path:
            raise complaint("changed without a path", "Add `path:`, such as spec.suspend.")
        return self

    @property
    def kind(self) -> str:
        return next(name for name in TRIGGERS if name in self.model_fields_set)


DEEDS = ("status", "patch", "create", "delete")


class Deed(Written):
    """What it does then, `after` a while: to the object that it reacts to, or to another one (`of`)."""

    after: PositiveDuration = timedelta(seconds=1)
    of: Ref | None = None
    status: Manifest | None = None
    patch: Manifest | None = None
    create: Placed | None = None
    delete: Flag | None = None

    @model_validator(mode="after")
    def _one(self) -> Deed:
        exactly_one(self, dict.fromkeys(DEEDS, ()), ("after", "of"))
        return self

    @property
    def kind(self) -> str:
        return next(name for name in DEEDS if name in self.model_fields_set)


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, Mapping) else value


Deeds = Annotated[
    tuple[Deed, ...],
    BeforeValidator(_several, json_schema_input_type=Deed | tuple[Deed, ...]),
    Field(min_length=1),
]


class Operator(Written):
    """An operator in one rule. `times`: it does so that often at most."""

    when: Trigger
    then: Deeds
    times: Times = 100

    @model_validator(mode="after")
    def _about_something(self) -> Operator:
        if self.when.kind in ("called", "removed") and any(d.of is None and d.kind != "create" for d in self.then):
            raise complaint(f"which object it acts on is not said, and {self.when.kind} names none", "Add `of:`.")
        return self


class StatusWord(Written):
    """Somebody's status of an object, merged; conditions one by one, by their type."""

    of: Ref
    set: Manifest


# --- what others answer

SAYINGS = ("ask", "send", "rehearse")
OUTCOMES = ("answer", "refuse", "unavailable", "silent")


class Prepared(Written):
    """What is answered to requests that hold what is given; `*` in a text is any text.

    `ask` is a question, `send` a request that does something, `rehearse` the other side's opinion of one beforehand.
    `answer`: JSON. `refuse`: it will not. `unavailable`: it was not reached. `silent`: there is no answer, and a
    request was carried out (true) or `lost`; `found` is what can be found out about it later.
    Of several that fit, the one of the latest time (`from`) counts, and of those the last.
    """

    NULLABLE = frozenset({"answer"})

    ask: Mapping[str, Any] | None = None
    send: Mapping[str, Any] | None = None
    rehearse: Mapping[str, Any] | None = None
    answer: Any = None
    refuse: Name = ""
    unavailable: Name = ""
    silent: Annotated[
        Literal["done", "lost"] | None,
        BeforeValidator(lambda value: "done" if value is True else value),
        WithJsonSchema({"enum": [True, "lost"]}),
    ] = None
    found: Literal["happened", "never", "unknown"] = "unknown"
    since: When = Field(Moment(timedelta(0)), alias="from")
    times: Times | None = None

    @model_validator(mode="after")
    def _one(self) -> Prepared:
        kind = exactly_one(self, dict.fromkeys(SAYINGS, (*OUTCOMES, "found")), ("since", "times"))
        given = [name for name in OUTCOMES if name in self.model_fields_set]
        if len(given) > 1 or (kind == "ask" and not given):
            found = " and ".join(given) or "none of them"
            raise complaint(f"what comes of it is one of {', '.join(OUTCOMES)}; got {found}", "Keep one.")
        if kind == "ask" and self.silent == "lost":
            raise complaint("a question does nothing, so it makes no difference that it is lost", "Write silent: true.")
        if self.found != "unknown" and (kind != "send" or not self.silent):
            raise complaint("found belongs to a send that is silent", "Remove it.")
        return self

    @property
    def kind(self) -> str:
        return next(name for name in SAYINGS if name in self.model_fields_set)


Place = Annotated[str, Field(min_length=1, max_length=200)]
Outside = Mapping[Name, Mapping[Place, tuple[Prepared, ...]]]
"""By `via` (`sql`, `http`, `exec`), then by place, in which `*` is any text."""
