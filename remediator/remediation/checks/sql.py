"""`sql`: a database answers, and a number from it is as it should be.

    sql: {database: orders-db}                                          SELECT 1
    sql: {database: orders-db, query: connections_ratio, expect: "<= 0.7"}
    sql: {database: orders-db, query: waiting_locks, longer_than: 30s, expect: "== 0"}
    sql: {database: orders-db, query: statement, statement: open-orders, expect: "> 0"}

The database is a name of the configuration, the query one of a few fixed ones or a statement that the operator has
named there. No answer is unknown, because it may be the network between us; so is a number that is not there, such as
the lag of standbys where none is connected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from remediator.playbooks.fields import NAME_PATTERN, Duration
from remediator.remediation.checks.base import CheckArgs, CheckContext, CheckKind, Unknown, answer
from remediator.remediation.checks.promql import RELATIVE_TOLERANCE
from remediator.remediation.checks.threshold import Threshold, ThresholdText
from remediator.remediation.samples import CheckSample

NAME = "sql"
VIA = "sql"

_DEFAULTS = {"select_one": "== 1", "waiting_locks": "== 0"}


class SqlArgs(CheckArgs):
    """`longer_than` is for `waiting_locks`, `statement` and `params` for a statement of the operator's."""

    database: Annotated[str, Field(pattern=NAME_PATTERN)]
    query: Literal["select_one", "connections_ratio", "waiting_locks", "replication_lag", "statement"] = "select_one"
    expect: ThresholdText | None = None
    longer_than: Duration = timedelta(seconds=30)
    statement: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None
    params: Mapping[str, bool | int | float | str] = Field(default_factory=dict, max_length=20)

    @model_validator(mode="after")
    def _fitting(self) -> SqlArgs:
        if (self.query == "statement") != (self.statement is not None):
            raise ValueError("query: statement and statement: NAME go together")
        if self.params and self.statement is None:
            raise ValueError("params belong to a statement; remove them")
        if self.expect is None and self.query not in _DEFAULTS:
            raise ValueError(f'{self.query} needs expect, such as "<= 0.7"')
        if "longer_than" in self.model_fields_set and self.query != "waiting_locks":
            raise ValueError("longer_than belongs to waiting_locks; remove it")
        return self

    @property
    def about(self) -> str:
        return f"{self.database} {self.statement or self.query}"


async def sample(args: SqlArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, CannotSee, Forbidden, NotFound."""
    caller = context.callers.get(VIA)
    if caller is None:
        raise Unknown("no database is configured (outside.databases)")
    found = await caller.ask(args.database, _question(args))
    value = found.get("value")
    if value is None:
        raise Unknown(f"{args.about}: {found.get('why') or 'no number'}")
    if not isinstance(value, int | float) or math.isnan(value):
        raise Unknown(f"{args.about} gave no number")
    wanted = Threshold.parse(args.expect or _DEFAULTS[args.query])
    badness = wanted.badness(value)
    return answer(
        NAME,
        "good" if wanted.holds(value) else "bad",
        f"{args.about}: {value:.4g} {wanted}" if wanted.holds(value) else f"{args.about}: {value:.4g}, wanted {wanted}",
        context.now,
        badness=badness,
        tolerance=abs(badness or 0.0) * RELATIVE_TOLERANCE,
    )


def _question(args: SqlArgs) -> Mapping[str, Any]:
    asked: dict[str, Any] = {"ask": "number", "query": args.query, "longer_than_s": args.longer_than.total_seconds()}
    return asked | ({"statement": args.statement, "params": dict(args.params)} if args.statement else {})


KIND = CheckKind(NAME, SqlArgs, sample)
