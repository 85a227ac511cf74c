"""The ways the simulated API server says no, in the words of the real one."""

from __future__ import annotations

from collections.abc import Iterable

from remediator.adapters.answers import DISRUPTION_BUDGET, Answer
from remediator.objects import KINDS, ObjectRef


class StatusError(Exception):
    """An answer outside 2xx, before it is translated for the port."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer))
        self.answer = answer


def resource(kind: str) -> str:
    """`deployments.apps`, `pods`: how messages name a kind."""
    known = KINDS[kind]
    group, _, _ = known.api_version.rpartition("/")
    return f"{known.plural}.{group}" if group else known.plural


def not_found(kind: str, name: str) -> StatusError:
    return StatusError(Answer(404, "NotFound", f'{resource(kind)} "{name}" not found', name=name))


def not_served() -> StatusError:
    """A path that does not exist."""
    return StatusError(Answer(404, "NotFound", "the server could not find the requested resource"))


def already_exists(kind: str, name: str) -> StatusError:
    return StatusError(Answer(409, "AlreadyExists", f'{resource(kind)} "{name}" already exists'))


def conflict(kind: str, name: str, why: str) -> StatusError:
    message = f'Operation cannot be fulfilled on {resource(kind)} "{name}": {why}'
    return StatusError(Answer(409, "Conflict", message))


def other_uid(kind: str, name: str, wanted: str, found: str) -> StatusError:
    why = (
        f"the UID in the precondition ({wanted}) does not match the UID in record ({found}). "
        "The object might have been deleted and then recreated"
    )
    return conflict(kind, name, why)


def stale(kind: str, name: str) -> StatusError:
    return conflict(
        kind, name, "the object has been modified; please apply your changes to the latest version and try again"
    )


def bad_request(message: str) -> StatusError:
    return StatusError(Answer(400, "BadRequest", message))


def unsupported(content_type: str) -> StatusError:
    message = f"the body of the request was in an unknown format: {content_type}"
    return StatusError(Answer(415, "UnsupportedMediaType", message))


def invalid(kind: str, name: str, problems: Iterable[str]) -> StatusError:
    """422. A problem reads `spec.replicas: Invalid value: -1: must be greater than or equal to 0`."""
    title = kind if "." not in resource(kind) else f"{kind}.{resource(kind).partition('.')[2]}"
    return StatusError(Answer(422, "Invalid", f'{title} "{name}" is invalid: {", ".join(problems)}'))


def rejected() -> StatusError:
    """What a JSON patch gets whose `test` fails: no word about which."""
    return StatusError(Answer(422, "Invalid", "the server rejected our request due to an error in our request"))


def forbidden(verb: str, ref: ObjectRef, subresource: str = "") -> StatusError:
    known = KINDS[ref.kind]
    group, _, _ = known.api_version.rpartition("/")
    path = f"{known.plural}/{subresource}" if subresource else known.plural
    scope = f'in the namespace "{ref.namespace}"' if ref.namespace else "at the cluster scope"
    name = f' "{ref.name}"' if ref.name else ""
    message = (
        f'{resource(ref.kind)}{name} is forbidden: User "remediator" cannot {verb} resource "{path}" '
        f'in API group "{group}" {scope}'
    )
    return StatusError(Answer(403, "Forbidden", message))


def budget_spent(message: str, *, retry_after_s: float | None = None) -> StatusError:
    """429 of the Eviction API. Without Retry-After when the budget is exhausted."""
    text = "Cannot evict pod as it would violate the pod's disruption budget."
    return StatusError(Answer(429, "TooManyRequests", text, ((DISRUPTION_BUDGET, message),), retry_after_s))


def internal(message: str) -> StatusError:
    return StatusError(Answer(500, "InternalError", f"Internal error occurred: {message}"))
