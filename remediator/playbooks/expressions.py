"""CEL: what a playbook may ask about an alert and its target, compiled once and evaluated in microseconds.

Names: `alert` (name, labels, annotations, severity, status, cluster, starts_at, age as a duration), `labels` (short for
`alert.labels`), `target` (the normalised view of `target_view`, the raw object under `target.object`), `params`.
Functions beside CEL's own (`has`, `size`, `duration`, `timestamp`, `int`, `string`, `matches`, ...):
`m.get(key, default)` on any map, `quantity("100Mi")` as a double, `text.split(sep)`, `min(...)` and `max(...)`.
CEL's `duration()` is Go's: it knows hours but no days.

A missing label, annotation, field or parameter is an error that names it, never an empty string: ask `has(labels.x)`,
`"x" in labels` or `labels.get("x", "")` where it may be absent.

Cost is bounded before anything runs: expressions are short, and comprehensions (the only loops CEL has) few and flat,
because three chained `map`s that each double a text a hundred times fit into one line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from remediator.alerts.alert import Alert
from remediator.errors import RemediatorError
from remediator.playbooks.cel_extension import extension
from remediator.playbooks.cel_functions import FUNCTIONS, NATIVE, TYPE_NAMES
from remediator.playbooks.cel_text import Scan, path_before, scan, tokens
from remediator.playbooks.problems import did_you_mean

MAX_EXPRESSION = 1000
MAX_COMPREHENSIONS = 3
MAX_NESTED = 2

CelValue = None | bool | int | float | str | bytes | list[Any] | dict[str, Any] | datetime | timedelta
"""What an expression can give."""

ALERT_FIELDS = ("name", "labels", "annotations", "severity", "status", "cluster", "starts_at", "age")
TARGET_FIELDS = (
    *("kind", "namespace", "name", "ready", "desired", "updated", "available", "image", "images"),
    *("revision_age", "restarts", "labels", "annotations", "object"),
)
NOT_READ_AGAIN = frozenset({"revision_age", "restarts"})
"""Take the target's revisions and pods, which a check every 15 s does not read again."""

ROOTS = ("alert", "labels", "target", "params")
FROM_ALERT = frozenset({"alert", "labels"})
"""Names that only an alert gives a meaning."""
_GO_DURATION = re.compile(r"[-+]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|s|us|µs|ns))+)", re.ASCII)


class ExpressionError(RemediatorError):
    """An expression that does not compile or gives no answer; `hint` is the next step for the playbook's author."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what, self.hint = what, hint
        super().__init__(f"{what}. {hint}" if hint else what)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. `roots` are the names of `ROOTS` it uses, `params` and `target` what it asks of these two.

    `needs_object`: whether it looks at the raw object, which costs up to a millisecond to hand over.
    """

    text: str
    roots: frozenset[str]
    params: frozenset[str]
    target: frozenset[str]
    needs_object: bool
    program: Any = field(repr=False, compare=False)


@lru_cache(maxsize=16_384)
def compile_expression(text: str) -> Expression:
    """Check and compile. Raises: ExpressionError, also for unknown names, fields and functions, and for the bounds."""
    if len(text) > MAX_EXPRESSION:
        raise ExpressionError(f"an expression of {len(text)} characters", f"Keep it below {MAX_EXPRESSION}.")
    if not text.strip():
        raise ExpressionError("an empty expression", "Write CEL, such as alert.labels.namespace.")
    try:
        program = extension.compile(text)
        names = program.references()
    except Exception as exc:
        raise ExpressionError(f"not CEL: {_parse_message(str(exc))}", "Correct the expression.") from None
    except BaseException as exc:
        _reraise_unless_panic(exc)
        raise ExpressionError("not CEL: the parser gave up", "Simplify the expression.") from None
    found = scan(text)
    _check_cost(found)
    _check_names(found, names)
    _check_durations(text)
    return Expression(
        text=text,
        roots=frozenset(names["variables"]) & set(ROOTS),
        params=frozenset(name for root, name in found.fields if root == "params"),
        target=frozenset(name for root, name in found.fields if root == "target"),
        needs_object=("target", "object") in found.fields or "target" in found.bare,
        program=program,
    )


def check_params(expression: Expression, known: Collection[str]) -> None:
    """Raises: ExpressionError when a parameter is named that the playbook has not."""
    for name in sorted(expression.params - set(known)):
        raise ExpressionError(f"there is no parameter {name}", did_you_mean(name, known))


def check_roots(expression: Expression, allowed: Collection[str], why: str) -> None:
    """Raises: ExpressionError when a name is used that is not known yet at that place."""
    for root in sorted(expression.roots - set(allowed)):
        raise ExpressionError(f"{root} cannot be used here: {why}", f"Known here: {', '.join(allowed)}.")


def check_read_again(expression: Expression) -> None:
    """Raises: ExpressionError when something is asked for that is read while planning only, not for checks."""
    for name in sorted(expression.target & NOT_READ_AGAIN):
        raise ExpressionError(f"target.{name} is not known in checks", "Ask it in match.when, or use another field.")


class Environment:
    """One CEL context for one alert at one moment, reused by all expressions that are asked about it.

    Filling a context costs 40 µs and an evaluation 1 to 5, so the alert is handed over once and `scope` only notes what
    belongs to one playbook; it is handed over when an expression of that scope is evaluated. Not for several threads.
    """

    def __init__(self, alert: Alert | None, now: datetime) -> None:
        """`alert` None: only parameters are known, as when a playbook is checked."""
        self._context = extension.Context()
        self._handed: dict[str, tuple[Any, Any]] = {}
        self.alert = alert
        for name, function in FUNCTIONS.items():
            self._context.add_function(name, function)
        if alert is not None:
            self._context.add_variable("alert", alert_view(alert, now))
            self._context.add_variable("labels", dict(alert.labels))

    def scope(self, *, params: Mapping[str, Any], target: Mapping[str, Any] | None = None) -> Scope:
        """What one playbook sees: its parameters and, once it is known, its target (from `normalise_target`)."""
        return Scope(environment=self, params=params, target=target)

    def run(self, expression: Expression, scope: Scope) -> CelValue:
        """Hand over what is new, then evaluate. Raises whatever the library raises."""
        if "params" in expression.roots:
            self._hand("params", scope.params, dict)
        if expression.needs_object:
            self._hand("target", scope.target, dict)
        elif "target" in expression.roots:
            self._hand("target", scope.target, _without_object)
        result: CelValue = expression.program.execute(self._context)
        return result

    def _hand(self, name: str, value: Any, convert: Any) -> None:
        handed = self._handed.get(name)
        # The value itself is kept, not its id: another value could get the id of one that is gone.
        if handed is None or handed[0] is not value or handed[1] is not convert:
            self._context.add_variable(name, convert(value))
            self._handed[name] = (value, convert)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """An alert seen by one playbook. Frozen: the answers depend on nothing else."""

    environment: Environment
    params: Mapping[str, Any]
    target: Mapping[str, Any] | None

    def evaluate(self, expression: Expression) -> CelValue:
        """The value of an expression. Raises: ExpressionError, naming what is missing."""
        if expression.roots & {"alert", "labels"} and self.environment.alert is None:
            raise ExpressionError("there is no alert here")
        if "target" in expression.roots and self.target is None:
            raise ExpressionError("the target is not known here")
        try:
            return self.environment.run(expression, self)
        except KeyError as exc:
            raise self._missing(expression, str(exc.args[0]) if exc.args else "") from None
        except Exception as exc:
            raise ExpressionError(f"{expression.text}: {_run_message(str(exc))}") from None
        except BaseException as exc:
            _reraise_unless_panic(exc)
            raise ExpressionError(f"{expression.text}: the evaluation gave up") from None

    def holds(self, expression: Expression) -> bool:
        """For conditions. Raises: ExpressionError, also for an answer that is neither true nor false."""
        value = self.evaluate(expression)
        if not isinstance(value, bool):
            raise ExpressionError(f"{expression.text} gives {value!r:.60}, not true or false", "Write a comparison.")
        return value

    def _missing(self, expression: Expression, key: str) -> ExpressionError:
        where = path_before(expression.text, key)
        match where:
            case "labels" | "alert.labels" if self.environment.alert:
                has = ", ".join(sorted(self.environment.alert.labels))
                hint = f'It has {has}. Where it may be absent, write labels.get("{key}", "").'
                return ExpressionError(f'the alert has no label "{key}"', hint)
            case "alert.annotations":
                return ExpressionError(f'the alert has no annotation "{key}"')
            case "params":
                return ExpressionError(f"the parameter {key} has no value", "Give it a default, or set it.")
            case "target":
                kind = (self.target or {}).get("kind", "this kind")
                why = ((self.target or {}).get("unknown") or {}).get(key, f"a {kind} has none")
                return ExpressionError(f"target.{key} is not known: {why}")
            case _:
                what = f'{expression.text}: there is no "{key}"' + (f" in {where}" if where else "")
                return ExpressionError(what, "Ask has(...) where it may be absent.")


def alert_view(alert: Alert, now: datetime) -> dict[str, Any]:
    """The alert as CEL sees it. `age` is never negative, whatever the sender's clock says."""
    return {
        "name": alert.name,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "severity": alert.severity,
        "status": alert.status,
        "cluster": alert.cluster,
        "starts_at": alert.starts_at,
        "age": max(now - alert.starts_at, timedelta(0)),
    }


def _without_object(target: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in target.items() if key != "object"}


def _check_cost(found: Scan) -> None:
    if found.count > MAX_COMPREHENSIONS or found.depth > MAX_NESTED:
        raise ExpressionError(
            f"{found.count} loops (all, exists, map, filter), {found.depth} deep",
            f"At most {MAX_COMPREHENSIONS}, at most {MAX_NESTED} deep.",
        )


def _check_names(found: Scan, names: Mapping[str, Iterable[str]]) -> None:
    for name in sorted(set(names["variables"]) - found.bound - TYPE_NAMES - set(ROOTS)):
        raise ExpressionError(f"unknown name {name}", did_you_mean(name, ROOTS))
    functions = NATIVE | set(FUNCTIONS)
    for name in sorted(names["functions"]):
        if name.isidentifier() and name not in functions:
            raise ExpressionError(f"unknown function {name}()", did_you_mean(name, functions | {"has"}))
    for root, name in sorted(found.fields):
        known = {"alert": ALERT_FIELDS, "target": TARGET_FIELDS}.get(root)
        if known and root not in found.bound and name not in known:
            raise ExpressionError(f"unknown field {root}.{name}", did_you_mean(name, known))


def _check_durations(text: str) -> None:
    """Literal durations are checked now: at 3 a.m. the error would only skip the playbook."""
    found = list(tokens(text))
    for name, paren, literal in zip(found, found[1:], found[2:], strict=False):
        literal_duration = name.text == "duration" and paren.text == "(" and literal.kind == "string"
        if literal_duration and not _GO_DURATION.fullmatch(literal.inner):
            raise ExpressionError(f"{literal.inner!r} is no duration of CEL", 'Write it like "90s", "15m" or "48h".')


def _parse_message(text: str) -> str:
    """The library shows the line and a list of every token it would have liked; the first sentence is what helps."""
    found = re.search(r"ERROR: <input>:(\d+):(\d+): (.*)", text)
    if not found:
        return " ".join(text.split())[:200]
    message = found[3].removeprefix("Syntax error: ").split(" expecting ")[0]
    return f"{message.strip()[:160]} at character {found[2]}"


def _run_message(text: str) -> str:
    called = re.search(r"Python function call failed: (?:\w+: )?(.*?)(?:\. Check function arguments.*)?$", text)
    return " ".join((called[1] if called else text).split())[:300].rstrip(".")


def _reraise_unless_panic(exc: BaseException) -> None:
    """A panic of the Rust library is a BaseException; cancellation and exit are as well, and must go on up."""
    if type(exc).__name__ != "PanicException":
        raise exc
