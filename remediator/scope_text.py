"""The scope of a pause, from the words that people write.

    everything
    playbook NAME
    namespace NAME [in CLUSTER]
    target KIND/NAMESPACE/NAME [in CLUSTER]         (NAME alone for a kind without namespace: target Node/worker-1)

The stored form (`namespace:eu/shop`, see remediation/pausing.py) is understood as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from remediator.errors import RemediatorError
from remediator.objects import KINDS, ObjectRef
from remediator.remediation.pausing import EVERYTHING, namespace_scope, playbook_scope, target_scope

FORMS = "everything | playbook NAME | namespace NAME [in CLUSTER] | target KIND/NAMESPACE/NAME [in CLUSTER]"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KINDS = {kind.lower(): kind for kind in KINDS}


class UnclearScope(RemediatorError):
    """These words name no scope; the message says what does."""


def parse_scope(text: str, clusters: Sequence[str]) -> str:
    """The stored form of a scope. `clusters` are the ones we know; with one of them nobody has to name it.

    Raises: UnclearScope.
    """
    kind, _, rest = _words(text).partition(" ")
    match kind.lower(), rest:
        case "everything" | "all", "":
            return EVERYTHING
        case "playbook", name if name:
            return playbook_scope(_name(name, "a playbook"))
        case "namespace" | "ns", place if place:
            name, cluster = _place(place, clusters)
            return namespace_scope(cluster, _name(name, "a namespace"))
        case "target", place if place:
            name, cluster = _place(place, clusters)
            return target_scope(cluster, _target(name).key)
        case _:
            raise UnclearScope(f"{text!r} names nothing that can be paused; write {FORMS}")


def _words(text: str) -> str:
    """`namespace:eu/shop` and `target:eu/Pod/shop/x` as words; everything else only loses spare white space."""
    words = " ".join(text.split())
    kind, colon, rest = words.partition(":")
    if not colon or " " in kind:
        return words
    if kind in ("namespace", "target") and "/" in rest:
        cluster, _, name = rest.partition("/")
        return f"{kind} {name} in {cluster}"
    return f"{kind} {rest}"


def _place(text: str, clusters: Sequence[str]) -> tuple[str, str]:
    """The name and its cluster: `shop in eu`, `shop eu`, `shop`."""
    name, *rest = text.split(" ")
    rest = rest[1:] if rest[:1] == ["in"] else rest
    match rest:
        case [cluster]:
            if cluster not in clusters:
                raise UnclearScope(f"no cluster is called {cluster!r}; known: {', '.join(clusters)}")
            return name, cluster
        case []:
            if len(clusters) != 1:
                raise UnclearScope(f"say which cluster: `{name} in CLUSTER`, one of {', '.join(clusters)}")
            return name, clusters[0]
        case _:
            raise UnclearScope(f"too many words after {name!r}; write {FORMS}")


def _target(text: str) -> ObjectRef:
    kind, *rest = text.split("/")
    known = _KINDS.get(kind.lower())
    if known is None:
        if not rest:
            raise UnclearScope(f"{text!r} names no object; write KIND/NAMESPACE/NAME, such as Deployment/shop/api")
        raise UnclearScope(f"no kind is called {kind!r}; known: {', '.join(sorted(KINDS))}")
    rest = [part for part in rest if part]
    if KINDS[known].namespaced and len(rest) == 2:
        return ObjectRef(known, _name(rest[0], "a namespace"), _name(rest[1], "an object"))
    if not KINDS[known].namespaced and len(rest) == 1:
        return ObjectRef(known, "", _name(rest[0], "an object"))
    wanted = f"{known}/NAMESPACE/NAME" if KINDS[known].namespaced else f"{known}/NAME"
    raise UnclearScope(f"{text!r} names no object; write {wanted}")


def _name(text: str, what: str) -> str:
    if not _NAME.fullmatch(text):
        raise UnclearScope(f"{text!r} cannot be the name of {what}: lower case letters, digits, '-' and '.' only")
    return text
