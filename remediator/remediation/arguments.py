"""Arguments of checks and collectors: filled in, validated, and complained about in one way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from remediator.errors import InvalidPlaybook
from remediator.playbooks.problems import did_you_mean
from remediator.remediation.checks.base import CheckContext

M = TypeVar("M", bound=BaseModel)


def fill_plain(args: Mapping[str, Any], context: CheckContext, late: frozenset[str]) -> dict[str, Any]:
    """The arguments with plain values filled in. `late` names those that must be quoted for their place: left alone.

    Raises: what `context.text` raises.
    """

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return {k: walk(v, f"{path}.{k}" if path else str(k)) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [walk(v, path) for v in value]
        return context.text(value) if isinstance(value, str) and path not in late else value

    return {str(k): walk(v, str(k)) for k, v in args.items()}


def parse_arguments(what: str, kind: str, args: Mapping[str, Any], models: Mapping[str, type[M]]) -> tuple[str, M]:
    """The kind and its validated arguments. Raises: InvalidPlaybook, naming the argument and the next step."""
    model = models.get(kind)
    if model is None:
        raise InvalidPlaybook(f"there is no {what} {kind}. {did_you_mean(kind, models)}")
    try:
        return kind, model.model_validate(dict(args))
    except ValidationError as exc:
        problems = "; ".join(_problem(model, error) for error in exc.errors(include_url=False))
        raise InvalidPlaybook(f"{what} {kind}: {problems}") from None


def _problem(model: type[BaseModel], error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        known = [field.alias or name for name, field in model.model_fields.items()]
        return f"unknown argument {where}. {did_you_mean(where, known)}"
    return f"{where}: {error['msg']}" if where else str(error["msg"])
