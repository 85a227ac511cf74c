"""`http`: one request to an endpoint that the operator lists, by a method and path that the operator allows there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from remediator.actions.base import Params
from remediator.actions.canonical import canonical_json
from remediator.actions.change import Call, Change, NotPossible
from remediator.actions.outside.containers import Name
from remediator.actions.view import Ask, View
from remediator.objects import WORKLOADS, uid_of
from remediator.redact import redact

MOST_BODY = 16 * 1024
MOST_SHOWN = 300


class HttpParams(Params):
    """`endpoint` is a name of `outside.endpoints`, `path` begins with /, `body` is sent as JSON.

    `repeatable`: a lost answer is sent again. For POST and PATCH only where the endpoint recognises a request that it
    has had already.
    """

    endpoint: Name
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: str = Field(pattern=r"^/[A-Za-z0-9._~:@+/-]{0,300}$")
    body: Any = None
    repeatable: bool = False

    @field_validator("body")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        try:
            size = len(canonical_json(value))
        except (TypeError, ValueError) as exc:
            raise ValueError(f"body: this is no JSON: {exc}") from exc
        if size > MOST_BODY:
            raise ValueError(f"body: {size} bytes, at most {MOST_BODY} are sent")
        return value


class Http:
    """What the other side has done cannot be taken back from here."""

    name = "http"
    kinds: tuple[str, ...] = (*WORKLOADS, "Service", "Namespace", "Node")
    needs: frozenset[str] = frozenset()
    disruptive = False
    changes_data = True
    rights = ()
    params = HttpParams

    def wants(self, params: HttpParams, view: View) -> Mapping[str, Ask]:
        request = {"about": "endpoint", "method": params.method, "path": params.path}
        return {"endpoint": Ask("http", params.endpoint, request)}

    def resolve(self, params: HttpParams, view: View) -> HttpParams:
        return params

    def plan(self, params: HttpParams, view: View) -> Change:
        """Raises: NotPossible for what the operator does not allow, or what must not be sent twice."""
        found = view.found["endpoint"]
        if not found.get("allowed"):
            raise NotPossible(str(found.get("why") or f"endpoint {params.endpoint} does not allow this"))
        if params.repeatable and params.method in ("POST", "PATCH") and not found.get("idempotent"):
            raise NotPossible(
                f"endpoint {params.endpoint} has no idempotency_header, so a {params.method} may be done twice: "
                "leave `repeatable` out"
            )
        request: dict[str, Any] = {"method": params.method, "path": params.path}
        if params.body is not None:
            request["body"] = params.body
        call = Call(
            ref=view.ref,
            uid=uid_of(view.target),
            via="http",
            place=params.endpoint,
            request=request,
            says=f"{params.method} {found['url']}{_shown(params.body)}",
            repeatable=params.repeatable,
        )
        return Change(
            effects=(call,),
            summary=f"{params.method} {params.endpoint}{params.path}",
            notes=("what the other side does with it cannot be taken back",),
        )


def _shown(body: Any) -> str:
    if body is None:
        return ""
    text = redact(canonical_json(body).decode())
    return f" with {text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + '…'}"
