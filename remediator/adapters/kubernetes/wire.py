"""Our requests as HTTP. Pure, so that what goes out is a table test away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never
from urllib.parse import quote

import orjson

from remediator.errors import Refused
from remediator.objects import Kind, ObjectRef
from remediator.ports import FIELD_MANAGER, WriteRequest

JSON_TYPE = "application/json"

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request to the API server, without host and credentials."""

    method: str
    path: str
    query: Query = ()
    body: bytes | None = None
    content_type: str = JSON_TYPE


class BadNameError(ValueError):
    """A name that would change what the path means."""


def collection_path(kind: Kind, namespace: str) -> str:
    """`/apis/apps/v1/namespaces/shop/deployments`; without namespace all of them. Raises: BadNameError."""
    base = f"/api/{kind.api_version}" if "/" not in kind.api_version else f"/apis/{kind.api_version}"
    if not kind.namespaced or not namespace:
        return f"{base}/{kind.plural}"
    return f"{base}/namespaces/{_segment(namespace)}/{kind.plural}"


def object_path(kind: Kind, ref: ObjectRef) -> str:
    """The path of one object. Raises: BadNameError, also for a namespaced kind without namespace."""
    if kind.namespaced and not ref.namespace:
        raise BadNameError(f"{ref.kind} {ref.name!r} has no namespace")
    return f"{collection_path(kind, ref.namespace)}/{_segment(ref.name)}"


def _segment(name: str) -> str:
    """One path segment. An empty one would turn the deletion of one object into the deletion of a whole collection, and
    dots are resolved by URL libraries; the API server allows neither in a name.
    """
    if name in ("", ".", "..") or "/" in name or "%" in name:
        raise BadNameError(f"{name!r} is not a name of a Kubernetes object")
    return quote(name, safe=":")


def write_call(request: WriteRequest, kind: Kind, *, dry_run: bool) -> Call:
    """The HTTP form of a write; the recorded bytes go out as they are, except for a rehearsal of delete and evict.

    Raises: Refused.
    """
    query: list[tuple[str, str]] = []
    if dry_run:
        query.append(("dryRun", "All"))
    try:
        match request.verb:
            case "patch" | "create":
                # Strict: a misspelt field is an error instead of being dropped in silence.
                query += [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]
                if request.verb == "patch":
                    path = object_path(kind, request.ref)
                    if request.subresource:
                        path += f"/{_segment(request.subresource)}"
                    return Call("PATCH", path, tuple(query), request.body, request.content_type)
                if kind.namespaced and not request.ref.namespace:
                    raise BadNameError(f"{request.ref.kind} {request.ref.name!r} has no namespace")
                path = collection_path(kind, request.ref.namespace)
                return Call("POST", path, tuple(query), request.body, request.content_type)
            case "delete":
                # Options in the query are ignored as soon as there is a body: `?dryRun=All` alone would really delete.
                body = _in_body(request.body) if dry_run else request.body
                return Call("DELETE", object_path(kind, request.ref), (), body, request.content_type)
            case "evict":
                body = _in_body(request.body, "deleteOptions") if dry_run else request.body
                path = f"{object_path(kind, request.ref)}/eviction"
                return Call("POST", path, tuple(query), body, request.content_type)
            case "call":
                raise Refused("a call does not go to the API server")
            case _:
                assert_never(request.verb)
    except BadNameError as exc:
        raise Refused(str(exc)) from exc


def _in_body(body: bytes, *path: str) -> bytes:
    """The body with `dryRun: ["All"]` in the DeleteOptions at `path`. Raises: Refused if there is nowhere to put it."""
    try:
        options: Any = orjson.loads(body or b"{}")
    except ValueError as exc:
        raise Refused("the body is not JSON, so it cannot be rehearsed") from exc
    inner = options
    for key in path:
        if isinstance(inner, dict):
            inner = inner.setdefault(key, {})
    if not isinstance(inner, dict):
        raise Refused("the body is not a JSON object, so it cannot be rehearsed")
    inner["dryRun"] = ["All"]
    return orjson.dumps(options)


def list_query(labels: str, fields: str, limit: int, token: str) -> Query:
    query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(limit), "continue": token}
    return tuple((key, value) for key, value in query.items() if value)


def access_review(verb: str, kind: Kind, namespace: str, subresource: str, name: str) -> bytes:
    """Body of a SelfSubjectAccessReview. An empty namespace asks about all namespaces."""
    group, _, _ = kind.api_version.rpartition("/")
    attributes: Mapping[str, str] = {
        "verb": verb,
        "group": group,
        "resource": kind.plural,
        "namespace": namespace,
        "subresource": subresource,
        "name": name,
    }
    return orjson.dumps(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {k: v for k, v in attributes.items() if v}},
        }
    )
