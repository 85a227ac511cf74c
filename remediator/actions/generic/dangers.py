"""Fields that no generic action sets, wherever they stand: rights on a node, other accounts, what holds objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from remediator.actions.canonical import canonical_json
from remediator.objects import JSON

_Test = Callable[[JSON], bool]


def _always(_: JSON) -> bool:
    return True


def _set(value: JSON) -> bool:
    return value not in (None, "", 0, False, [], {})


def _not_false(value: JSON) -> bool:
    return value is not False


def _adds(value: JSON) -> bool:
    return not isinstance(value, Mapping) or _set(value.get("add"))


_GIVES = "it gives rights on the node"
_ACCOUNT = "it gives another account's rights"
_HOLDS = "it ties objects together, or keeps them from going"

_DANGERS: Mapping[str, tuple[_Test, str]] = {
    "privileged": (_not_false, _GIVES),
    "allowPrivilegeEscalation": (_not_false, _GIVES),
    "hostNetwork": (_set, _GIVES),
    "hostPID": (_set, _GIVES),
    "hostIPC": (_set, _GIVES),
    "hostPath": (_always, _GIVES),
    "hostPort": (_set, _GIVES),
    "hostUsers": (_always, _GIVES),
    "procMount": (_always, _GIVES),
    "sysctls": (_set, _GIVES),
    "capabilities": (_adds, _GIVES),
    "runAsUser": (lambda value: not isinstance(value, int) or value == 0, _GIVES),
    "runAsNonRoot": (lambda value: value is not True, _GIVES),
    "serviceAccountName": (_set, _ACCOUNT),
    "serviceAccount": (_set, _ACCOUNT),
    "automountServiceAccountToken": (_not_false, _ACCOUNT),
    "kubeConfig": (_set, _ACCOUNT),
    "externalIPs": (_set, "it takes other people's traffic"),
    "nodeName": (_set, "it goes round the scheduler"),
    "finalizers": (_always, _HOLDS),
    "ownerReferences": (_always, _HOLDS),
    "managedFields": (_always, _HOLDS),
}
"""Key -> whether a value is meant, and why it is not set."""


def danger_of(value: JSON) -> str:
    """The first such field in a value, as `hostPath: it gives rights on the node`; empty when there is none."""
    for key, inner in _keys(value):
        if key in _DANGERS:
            meant, reason = _DANGERS[key]
            if meant(inner):
                return f"{key}: {reason}"
    return ""


def loosens(before: JSON, after: JSON) -> bool:
    """Whether any `securityContext` differs, also one that is dropped with what holds it."""
    return _contexts(before) != _contexts(after)


def at_path(path: Sequence[str], value: JSON) -> JSON:
    """The value below mappings of its path, so that the path's own keys are looked at as well."""
    for part in reversed(path):
        value = {part: value}
    return value


def _contexts(value: JSON) -> list[bytes]:
    return sorted(canonical_json(inner) for key, inner in _keys(value) if key == "securityContext")


def _keys(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key), inner
            yield from _keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _keys(inner)
