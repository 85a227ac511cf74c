"""Label and field selectors, as the API server reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from remediator.objects import Object, dig, labels_of

Matches = Callable[[Object], bool]


class BadSelectorError(ValueError):
    """A selector that the API server would answer with 400."""


_REQUIREMENT = re.compile(
    r"""\s*(?:
        !\s*(?P<absent>[^\s,=!()]+)
      | (?P<key>[^\s,=!()]+)\s*(?:
            (?P<op>==|=|!=)\s*(?P<value>[^\s,=!()]*)
          | \s(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
        )?
    )\s*(?:,|$)""",
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def label_selector(text: str) -> Callable[[Mapping[str, str]], bool]:
    """A test on labels: `a=b,c!=d,e in (f,g),h,!i`. Raises: BadSelectorError."""
    tests: list[Callable[[Mapping[str, str]], bool]] = []
    at = 0
    while at < len(text):
        found = _REQUIREMENT.match(text, at)
        if found is None or found.end() == at:
            raise BadSelectorError(f"unable to parse requirement: {text[at:]!r}")
        tests.append(_requirement(found))
        at = found.end()
    return lambda labels: all(test(labels) for test in tests)


def _requirement(found: re.Match[str]) -> Callable[[Mapping[str, str]], bool]:
    absent, key, op, value, kind, values = found.group("absent", "key", "op", "value", "set", "values")
    if absent is not None:
        return lambda labels: absent not in labels
    if op == "!=":
        return lambda labels: labels.get(key) != value
    if op is not None:
        return lambda labels: labels.get(key) == value
    if kind is not None:
        choice = {v.strip() for v in values.split(",")}
        if kind == "in":
            return lambda labels: key in labels and labels[key] in choice
        return lambda labels: key not in labels or labels[key] not in choice
    return lambda labels: key in labels


def matches_selector(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """A LabelSelector object (`matchLabels`, `matchExpressions`). None selects nothing, an empty one everything."""
    if selector is None:
        return False
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(e, labels) for e in selector.get("matchExpressions") or ())


def _expression(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise BadSelectorError(f"{other!r} is not a valid label selector operator")


FIELDS: Mapping[str, tuple[str, ...]] = {
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "Event": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "type",
    ),
    "Node": ("spec.unschedulable",),
    "Namespace": ("status.phase",),
    "Job": ("status.successful",),
    "ReplicaSet": ("status.replicas",),
}
"""What may be asked for besides metadata.name and metadata.namespace; anything else is 400."""


@lru_cache(maxsize=512)
def field_selector(kind: str, text: str) -> Matches:
    """A test on an object of `kind`: `status.phase=Failed,spec.nodeName!=n1`. Raises: BadSelectorError."""
    supported = ("metadata.name", "metadata.namespace", *FIELDS.get(kind, ()))
    tests: list[tuple[tuple[str, ...], bool, str]] = []
    for term in filter(None, text.split(",")):
        found = re.fullmatch(r"([^=!]+)(!=|==|=)(.*)", term)
        if found is None:
            raise BadSelectorError(f"invalid field selector: {term!r}")
        field, op, value = found.groups()
        if field not in supported:
            raise BadSelectorError(f"{field!r} is not a known field selector: only {', '.join(supported)}")
        tests.append((tuple(field.split(".")), op != "!=", value))
    return lambda obj: all((_field(obj, path) == value) is wanted for path, wanted, value in tests)


def _field(obj: Object, path: tuple[str, ...]) -> str:
    value = dig(obj, *path)
    if value is None or value == "":
        return "false" if path[-1] in ("unschedulable", "hostNetwork") else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def select(kind: str, labels: str, fields: str) -> Matches:
    """Both selectors in one test. Raises: BadSelectorError."""
    by_labels, by_fields = label_selector(labels), field_selector(kind, fields)
    return lambda obj: by_labels(labels_of(obj)) and by_fields(obj)
