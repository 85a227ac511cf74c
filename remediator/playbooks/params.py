"""Parameters of a playbook: a default in the file, set from outside within the bounds that the file gives."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from remediator.errors import RemediatorError
from remediator.playbooks.durations import duration_of
from remediator.playbooks.model import Param
from remediator.playbooks.problems import did_you_mean

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")

_NOUNS = {"number": "a number", "integer": "a whole number", "string": "text", "boolean": "true or false"}

ParamValue = float | int | str | bool | timedelta


class InvalidParam(RemediatorError):
    """A value that a parameter does not take; the message names the parameter and what it takes."""


def resolve_params(specs: Mapping[str, Param], given: Mapping[str, object]) -> dict[str, ParamValue]:
    """The values in force: `given` (config, `run`, an annotation) over the defaults.

    Text is read as the parameter's type, because annotations and the command line know nothing else. A parameter with
    neither is left out: an expression that uses it is an error.

    Raises: InvalidParam for an unknown name, a wrong type or a value out of bounds.
    """
    for name in given:
        if name not in specs:
            raise InvalidParam(f"there is no parameter {name}. {did_you_mean(name, specs)}")
    values: dict[str, ParamValue] = {}
    for name, spec in specs.items():
        if name in given:
            values[name] = param_value(name, spec, given[name], from_text=True)
        elif spec.default is not None:
            values[name] = param_value(name, spec, spec.default)
    return values


def param_value(name: str, spec: Param, value: object, *, from_text: bool = False) -> ParamValue:
    """`value` as the type and within the bounds of `spec`. Raises: InvalidParam."""
    converted = _typed(name, spec, value, from_text=from_text and isinstance(value, str))
    size = converted.total_seconds() if isinstance(converted, timedelta) else converted
    if not isinstance(size, str | bool):
        if spec.min is not None and size < spec.min:
            raise InvalidParam(f"parameter {name}: {value} is below its min {spec.min:g}")
        if spec.max is not None and size > spec.max:
            raise InvalidParam(f"parameter {name}: {value} is above its max {spec.max:g}")
    if spec.enum is not None and converted not in [_typed(name, spec, one, from_text=False) for one in spec.enum]:
        allowed = ", ".join(str(one) for one in spec.enum)
        raise InvalidParam(f"parameter {name}: {value!r} is not one of {allowed}")
    return converted


def _typed(name: str, spec: Param, value: Any, *, from_text: bool) -> ParamValue:
    try:
        match spec.type:
            case "string":
                found: ParamValue | None = value if isinstance(value, str) else None
            case "boolean":
                found = {"true": True, "false": False}.get(value) if from_text else value
                found = found if isinstance(found, bool) else None
            case "duration":
                found = duration_of(float(value) if from_text and _NUMBER.fullmatch(value) else value)
            case "integer":
                found = int(value) if from_text and _INTEGER.fullmatch(value) else value
                found = found if isinstance(found, int) and not isinstance(found, bool) else None
            case "number":
                found = float(value) if isinstance(value, int) or (from_text and _NUMBER.fullmatch(value)) else value
                found = found if isinstance(found, float) and math.isfinite(found) else None
                found = None if isinstance(value, bool) else found
    except (ValueError, OverflowError) as exc:
        raise InvalidParam(f"parameter {name}: {exc}") from None
    if found is None:
        raise InvalidParam(f"parameter {name}: expected {_NOUNS[spec.type]}, got {value!r:.60}")
    return found
