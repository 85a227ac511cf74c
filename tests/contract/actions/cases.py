"""The tables in `cases/*.yaml`: which object, which action, and exactly what comes of it.

    action: renew_certificate
    name: of a certificate that failed       # only where an action has several cases
    target: Certificate.cert-manager.io/tls  # KIND/NAME; its namespace is the test's own
    given: [...]                             # objects as they stand in the cluster, `status` included
    with: {days_left: 30}
    ahead: 2h                                # our clock, so far ahead: what was made just now is old then
    does: [patch certificates tls, patch certificates/status tls]   # every write, in order, as the audit log has it
    then: {Certificate.cert-manager.io/tls: {...}}                  # what stands there afterwards, as far as named
    undo: {Certificate.cert-manager.io/tls: {...}}                  # the same after the undo; absent = there is none
    asks: why people are asked                                      # part of the reason, where it needs approval
    verify: {...}                                                   # how it is proved: see `Proof`
    queries: {PROMQL: [[{label: value}, 1.5]]}                      # what Prometheus answers to texts that contain it

In all texts `${ns}` is the namespace, `${ago:30m}` and `${in:2h}` are times before and after now, `${id}` is what a
remediation makes of a name of its own. `${uid:KIND/NAME}` in an ownerReference is the uid of an object that stands
before it; an object that is given twice is changed the second time. In `does`, `then` and `undo` a text that begins
with `~` is a pattern, and null stands for what must not be there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from remediator.actions.times import format_time
from remediator.objects import KINDS, ObjectRef, kind_name
from remediator.playbooks.fields import parse_duration

FOLDER = Path(__file__).parent / "cases"
KEYS = frozenset(
    {"action", "name", "target", "given", "with", "ahead", "does", "then", "undo", "asks", "queries", "verify"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a playbook's checks say after the effect.

    `checks` as in a playbook; the default is `rollout`. They prove nothing until there is what others say of it:
    `stands` are objects as an operator leaves them where it went well, `metrics` what Prometheus answers then. Without
    either, the controllers of this cluster are waited for. `fails`: objects as they stand where it went wrong. In these
    `${annotation:NAME}` is that annotation of the object as it stands. `answer` is how it ends.
    """

    checks: tuple[Mapping[str, Any], ...] = ({"rollout": {}},)
    stands: tuple[Mapping[str, Any], ...] = ()
    fails: tuple[Mapping[str, Any], ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    answer: str = "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row. See the module's text."""

    action: str
    name: str = ""
    target: str
    given: tuple[Mapping[str, Any], ...] = ()
    with_: Mapping[str, Any] = field(default_factory=dict)
    ahead: timedelta = timedelta(0)
    does: tuple[str, ...]
    then: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    undo: Mapping[str, Mapping[str, Any] | None] | None = None
    asks: str = ""
    queries: Mapping[str, Any] = field(default_factory=dict)
    verify: Proof = field(default_factory=Proof)

    @property
    def id(self) -> str:
        return f"{self.action}: {self.name}" if self.name else self.action

    @property
    def kinds(self) -> frozenset[str]:
        """All kinds that it names."""
        given = (kind_name(obj["apiVersion"], obj["kind"]) for obj in self.given)
        return frozenset({*given, *(text.partition("/")[0] for text in (self.target, *self.then))})


def read_cases() -> list[Case]:
    """All rows. Raises: ValueError for a key that is none."""
    found: list[Case] = []
    for path in sorted(FOLDER.glob("*.yaml")):
        for row in yaml.safe_load(path.read_text()):
            if unknown := set(row) - KEYS:
                raise ValueError(f"{path.name}: {row.get('action')}: unknown {', '.join(sorted(unknown))}")
            values = {("with_" if key == "with" else key): value for key, value in row.items()}
            values["given"] = tuple(values.get("given") or ())
            values["does"] = tuple(values["does"])
            values["ahead"] = parse_duration(values.get("ahead", "0s"))
            values["verify"] = Proof(**values.get("verify", {}))
            found.append(Case(**values))
    return found


def filled(value: Any, namespace: str, generated: str = "", now: datetime | None = None) -> Any:
    """The value with its placeholders filled in, keys included. `now` is the API server's."""
    at = now or datetime.now(UTC)
    if isinstance(value, str):
        text = value.replace("${ns}", namespace).replace("${id}", generated or "${id}")
        text = re.sub(r"\$\{ago:(\w+)\}", lambda m: format_time(at - parse_duration(m[1])), text)
        return re.sub(r"\$\{in:(\w+)\}", lambda m: format_time(at + parse_duration(m[1])), text)
    if isinstance(value, Mapping):
        return {filled(k, namespace, generated, at): filled(v, namespace, generated, at) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, namespace, generated, at) for item in value]
    return value


def ref(text: str, namespace: str) -> ObjectRef:
    kind, _, name = text.partition("/")
    return ObjectRef(kind, namespace if KINDS[kind].namespaced else "", name)


def differs(found: Any, wanted: Any, path: str = "") -> list[str]:
    """Where an object is not as far as it is named."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return [] if not any(v is not None for v in wanted.values()) else [f"{path} is {found!r}, not a mapping"]
        return [line for k, v in wanted.items() for line in differs(found.get(k), v, f"{path}.{k}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [line for i, v in enumerate(wanted) for line in differs(found[i], v, f"{path}[{i}]")]
    if isinstance(wanted, str) and wanted.startswith("~") and isinstance(found, str):
        return [] if re.fullmatch(wanted[1:], found) else [f"{path} is {found!r}, not like {wanted[1:]!r}"]
    return [] if found == wanted else [f"{path} is {found!r}, not {wanted!r}"]


def changed_paths(before: Any, after: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every path below which two objects differ; a list counts as one value."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = [*before, *(k for k in after if k not in before)]
        return [p for k in keys for p in changed_paths(before.get(k), after.get(k), (*path, str(k)))]
    return [] if before == after else [path]
