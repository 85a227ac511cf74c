"""What an OpenAPI document (3.0 or 3.1) says against a request or an answer.

A request has to be as the document wants it. An answer of a fake may leave out what nobody asks it for, but what it has
must be in the document, with such a value and under such a status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

STRICT, LOOSE = "urn:strict", "urn:loose"


class Document:
    """`base` is what comes before the document's paths."""

    def __init__(self, document: Mapping[str, Any], base: str = "") -> None:
        strict = _converted(document, nullable=str(document["openapi"]).startswith("3.0"))
        contents = [(STRICT, strict), (LOOSE, _loosened(strict))]
        self._registry: Registry[Any] = Registry().with_resources(
            (name, DRAFT202012.create_resource(content)) for name, content in contents
        )
        self._document = strict
        self._paths = [
            (re.compile(re.escape(base) + re.sub(r"\{[^}]*\}", "[^/]+", path)), f"/paths/{path.replace('/', '~1')}")
            for path in sorted(strict["paths"], key=lambda path: path.count("{"))
        ]

    def request(self, method: str, path: str, query: Sequence[tuple[str, str]], body: Any) -> Iterator[str]:
        """What is wrong with a request; `body` None is none."""
        where = self._operation(method, path)
        if where is None:
            yield f"{method} {path} is not in the document"
            return
        known = self._parameters(where)
        for name in sorted({name for name, _ in query}):
            values = [value for key, value in query if key == name]
            if name not in known:
                yield f"{method} {path} has no parameter {name}"
            elif not any(not list(self._errors(STRICT, known[name], value)) for value in _readings(values)):
                yield f"{method} {path} does not take {name}={','.join(values)}"
        if body is not None:
            schema = f"{self._followed(f'{where}/requestBody')}/content/application~1json/schema"
            if self._at(schema) is None:
                yield f"{method} {path} takes no body"
            else:
                yield from (f"{method} {path}: {said}" for said in self._errors(STRICT, schema, body))

    def answer(self, method: str, path: str, status: int, kind: str, body: Any) -> Iterator[str]:
        """What is wrong with an answer of this content type."""
        found = self._followed(f"{self._operation(method, path)}/responses/{status}")
        schema = f"{found}/content/{kind.replace('/', '~1')}/schema"
        if self._at(found) is None:
            yield f"{method} {path} never answers {status}"
        elif self._at(schema) is not None:
            yield from (f"{method} {path} never answers so: {said}" for said in self._errors(LOOSE, schema, body))

    def _operation(self, method: str, path: str) -> str | None:
        for pattern, pointer in self._paths:
            if pattern.fullmatch(path) and self._at(f"{pointer}/{method.lower()}") is not None:
                return f"{pointer}/{method.lower()}"
        return None

    def _parameters(self, operation: str) -> dict[str, str]:
        """Where the schema of each is, by its name."""
        lists = [f"{operation.rpartition('/')[0]}/parameters", f"{operation}/parameters"]
        places = [self._followed(f"{one}/{n}") for one in lists for n in range(len(self._at(one) or ()))]
        return {self._at(one)["name"]: f"{one}/schema" for one in places if self._at(one)["in"] == "query"}

    def _followed(self, pointer: str) -> str:
        found = self._at(pointer)
        return str(found["$ref"]).removeprefix("#") if isinstance(found, Mapping) and "$ref" in found else pointer

    def _at(self, pointer: str) -> Any:
        """None for what is not there."""
        found: Any = self._document
        for part in pointer.split("/")[1:]:
            if isinstance(found, list):
                found = found[int(part)]
            else:
                found = found.get(part.replace("~1", "/")) if isinstance(found, Mapping) else None
        return found

    def _errors(self, root: str, pointer: str, value: Any) -> Iterator[str]:
        schema = {"$ref": f"{root}#{quote(pointer, safe='/~')}"}
        if root == LOOSE and not isinstance(value, str):
            schema = _use(schema)
        for error in Draft202012Validator(schema, registry=self._registry).iter_errors(value):
            yield f"{error.json_path}: {error.message[:300]}"


def _readings(values: Sequence[str]) -> Iterator[Any]:
    """A parameter is text; which type it is meant to be, the document knows."""
    yield list(values)
    if len(values) == 1:
        (value,) = values
        yield value
        if re.fullmatch(r"-?\d+", value):
            yield int(value)
        if value in ("true", "false"):
            yield value == "true"


def _converted(found: Any, *, nullable: bool) -> Any:
    if isinstance(found, list):
        return [_converted(one, nullable=nullable) for one in found]
    if not isinstance(found, Mapping):
        return found
    made = {key: _converted(value, nullable=nullable) for key, value in found.items()}
    if nullable and made.get("nullable") is True:
        del made["nullable"]
        return {"anyOf": [made, {"type": "null"}]}
    return made


def _loosened(found: Any) -> Any:
    """Nothing is required, and nothing that is not said is allowed."""
    if isinstance(found, list):
        return [_loosened(one) for one in found]
    if not isinstance(found, Mapping):
        return found
    made = {key: _loosened(value) for key, value in found.items() if key != "required" or not isinstance(value, list)}
    if isinstance(properties := made.get("properties"), Mapping):
        made["properties"] = {key: _use(value) for key, value in properties.items()}
    if isinstance(items := made.get("items"), Mapping):
        made["items"] = _use(items)
    for key in ("anyOf", "oneOf"):
        if isinstance(choices := made.get(key), list):
            made[key] = [_use(choice) for choice in choices]
    return made


def _use(schema: Any) -> Any:
    """A schema where it is used; as a part of another (`allOf`) it would forbid what the other says."""
    if isinstance(schema, Mapping) and schema.keys() & {"properties", "$ref", "allOf"}:
        return {**schema, "unevaluatedProperties": False}
    return schema
