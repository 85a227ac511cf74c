"""From an alert's labels to the object the alert is about. Pure: looking things up is `remediation/targeting.py`.

The rules, most specific first; config `labels:` adds to them:

1. A label that the config maps to a kind (`cnpg_cluster: Cluster`).
2. persistentvolumeclaim, horizontalpodautoscaler, job_name, cronjob, statefulset, daemonset, deployment, replicaset.
3. pod, which leads to its owner.
4. Only where none of these is there: service (what it selects), node, instance (an address).

`exported_X` wins over `X`. What an exporter says about itself is dropped (`exporters.py`). `job` is Prometheus'
scrape job and never a Kubernetes Job.

Why pod and service stand before node: a scrape config that adds `node` adds it to every series, as the node the pod
runs on (chart prometheus-community/prometheus, `attachMetadata`). The alerts about nodes come from
kube-state-metrics, the kubelet and the node exporter; there the pod and the service are dropped as the exporter's
own, and node goes before service.

A value that cannot be a name becomes an `InvalidHint`, which denies. It is never skipped in favour of a less specific
label: that would turn a broken label into an action on something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from remediator.alerts.exporters import DEFAULT_EXPORTERS, Exporter, Scrape, scrape_of
from remediator.alerts.names import host_of, name_problem
from remediator.alerts.source import shown
from remediator.errors import InvalidConfig
from remediator.objects import KINDS

Lookup = Literal["none", "owner", "selector", "node address", "address"]
"""What stands between a hint and its object.

`none`: the label names the object itself. `owner`: follow the controllers of the pod. `selector`: the pods behind a
service, then their owner. `node address`: the node with that name or address. `address`: that node, or the pod with
that IP.
"""

IGNORE = "ignore"
"""The meaning, in config `labels:`, of a label that names nothing."""

_KIND_OF: Mapping[str, str] = {
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "horizontalpodautoscaler": "HorizontalPodAutoscaler",
    "job_name": "Job",
    "cronjob": "CronJob",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "deployment": "Deployment",
    "replicaset": "ReplicaSet",
    "pod": "Pod",
    "service": "Service",
    "node": "Node",
    "instance": "Node",
}
_WEAK = ("service", "node", "instance")
_STRONG = tuple(name for name in _KIND_OF if name not in _WEAK)
_MEANINGS = frozenset({*_KIND_OF, "namespace", IGNORE})

# Objects that kube-state-metrics reports on and that we do not act on. Beside one of them `node`, `service` and
# `instance` are where the series came from, not what it is about.
_UNFOLLOWED = (
    "persistentvolume",
    "poddisruptionbudget",
    "resourcequota",
    "volumeattachment",
    "storageclass",
    "configmap",
    "secret",
    "certificatesigningrequest",
)

# `up` is about the scrape target itself, also when that is an exporter.
_UP = {"namespace": "namespace", "service": "service", "pod": "pod"}
BY_ALERTNAME: Mapping[str, Mapping[str, str]] = {"TargetDown": _UP, "CNPGInstanceMetricsAbsent": _UP}


@dataclass(frozen=True, slots=True)
class Hint:
    """What one label says the alert is about. `namespace` is empty for cluster-scoped kinds and may be for an
    address."""

    kind: str
    namespace: str
    name: str
    label: str
    lookup: Lookup = "none"


@dataclass(frozen=True, slots=True)
class InvalidHint:
    """A label that should name an object and does not. `value` is quoted and bounded, fit for a message."""

    label: str
    value: str
    problem: str

    def __str__(self) -> str:
        return f"label {self.label}={self.value}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """Config `labels:`. A meaning is a label name from the list above, `namespace`, a kind (`Certificate`) or `ignore`.

    `names` holds for every alert, where the alert lacks the label of that meaning. `by_alertname` holds for one alert
    name and is taken at its word: it wins over everything, and what it names is not dropped as an exporter's.
    `exporters` come before the ones we know (`DEFAULT_EXPORTERS`).

    Raises: InvalidConfig for a meaning that is none.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    by_alertname: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    exporters: tuple[Exporter, ...] = ()

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # the config file loads this class, and a typo must not pass

    def __post_init__(self) -> None:
        _check_meanings("names", self.names)
        for alertname, meanings in self.by_alertname.items():
            _check_meanings(f"by_alertname.{alertname}", meanings)

    def named_for(self, alertname: str) -> Mapping[str, str]:
        """Label to meaning for one alert name."""
        return self.by_alertname.get(alertname) or BY_ALERTNAME.get(alertname, {})

    def scrape(self, labels: Mapping[str, str]) -> Scrape:
        """How the series of an alert was scraped."""
        return scrape_of(labels, (*self.exporters, *DEFAULT_EXPORTERS))

    def runs_exporter(self, pod: str) -> bool:
        """Whether a pod of this name runs an exporter."""
        return any(exporter.has_pod(pod) for exporter in (*self.exporters, *DEFAULT_EXPORTERS))


@dataclass(frozen=True, slots=True)
class Reading:
    """What the labels say: hints most specific first, and what was left out and why (label to reason)."""

    hints: tuple[Hint | InvalidHint, ...]
    ignored: Mapping[str, str]


def target_hints(labels: Mapping[str, str], rules: LabelRules) -> tuple[Hint | InvalidHint, ...]:
    """Which objects the labels name, most specific first; empty when they name none."""
    return read_labels(labels, rules).hints


def read_labels(labels: Mapping[str, str], rules: LabelRules) -> Reading:
    """The hints, and what was left out and why, for the explanation."""
    present = {name: value for name, value in labels.items() if value}
    picker = _Picker(present, rules)
    namespace = picker.pick("namespace")
    if isinstance(namespace, InvalidHint):
        return Reading((namespace,), picker.ignored)
    picks = [*picker.mapped_kinds(), *picker.standard()]
    hints = tuple(_hint(pick, namespace, picker.scrape) if isinstance(pick, _Pick) else pick for pick in picks)
    return Reading(hints, picker.ignored)


@dataclass(frozen=True, slots=True)
class _Pick:
    """A label that was chosen, and what it means."""

    meaning: str
    kind: str
    label: str
    value: str


class _Picker:
    """Chooses, for each meaning, the one label that has it."""

    def __init__(self, labels: Mapping[str, str], rules: LabelRules) -> None:
        self._labels = labels
        self._named = rules.named_for(labels.get("alertname", ""))
        self._mapped = rules.names
        self.scrape = rules.scrape(labels)
        self.ignored: dict[str, str] = {}

    def mapped_kinds(self) -> Iterator[_Pick]:
        """The labels that the config maps to a kind."""
        for label, meaning in {**self._mapped, **self._named}.items():
            if meaning not in _MEANINGS and label in self._labels:
                yield _Pick(meaning, meaning, label, self._labels[label])

    def standard(self) -> Iterator[_Pick | InvalidHint]:
        """The strong labels; without any, and without a mapped kind, the first weak one."""
        strong = [pick for meaning in _STRONG if (pick := self.pick(meaning)) is not None]
        yield from strong
        if strong or any(self.mapped_kinds()):
            return
        for meaning in self._weak_order():
            pick = self.pick(meaning)
            if pick is not None:
                yield pick
                return

    def pick(self, meaning: str) -> _Pick | InvalidHint | None:
        """The label with this meaning: by alert name, else exported, else plain, else by the config's general names."""
        named = self._with_meaning(self._named, meaning)
        if named:
            return self._one_of(meaning, named)
        for label in (f"exported_{meaning}", meaning):
            if label in self._labels and not self._is_dropped(label, meaning):
                return self._one_of(meaning, [label])
        mapped = [label for label in self._with_meaning(self._mapped, meaning) if not self._is_dropped(label, meaning)]
        return self._one_of(meaning, mapped) if mapped else None

    def _with_meaning(self, meanings: Mapping[str, str], meaning: str) -> list[str]:
        return [label for label, its in meanings.items() if its == meaning and label in self._labels]

    def _one_of(self, meaning: str, labels: list[str]) -> _Pick | InvalidHint:
        values = {self._labels[label] for label in labels}
        if len(values) > 1:
            both = " and ".join(f"{label}={shown(self._labels[label])}" for label in labels)
            return InvalidHint(labels[0], shown(self._labels[labels[0]]), f"the {meaning} is not clear: {both}")
        return _Pick(meaning, _KIND_OF.get(meaning, ""), labels[0], self._labels[labels[0]])

    def _is_dropped(self, label: str, meaning: str) -> bool:
        reason = self._reason_to_drop(label, meaning)
        if reason:
            self.ignored[label] = reason
        return bool(reason)

    def _reason_to_drop(self, label: str, meaning: str) -> str:
        said = self._named.get(label, self._mapped.get(label, meaning))
        if said == IGNORE:
            return "config labels: says ignore"
        if said != meaning:
            return f"config labels: says that it means {said}"
        if label.startswith("exported_"):
            return ""
        unfollowed = next((name for name in _UNFOLLOWED if name in self._labels), None)
        if meaning in _WEAK and unfollowed is not None:
            return f"the alert is about a {unfollowed}"
        return self.scrape.reason_to_drop(meaning, self._labels[label])

    def _weak_order(self) -> tuple[str, ...]:
        exporter = self.scrape.exporter
        if exporter is None:
            return ("service", "node", "instance")
        # A service beside an exporter's series is one it reports on, or a label that a rule added (the owning team's).
        return ("node", "instance", "service") if exporter.instance == "node" else ("node", "service", "instance")


def _check_meanings(path: str, meanings: Mapping[str, str]) -> None:
    for label, meaning in meanings.items():
        if meaning not in _MEANINGS and not meaning[:1].isupper():
            raise InvalidConfig(
                f"labels.{path}.{label}: {meaning!r} is neither a kind such as Deployment "
                f"nor one of {', '.join(sorted(_MEANINGS))}"
            )


def _hint(pick: _Pick, namespace: _Pick | None, scrape: Scrape) -> Hint | InvalidHint:
    if pick.meaning == "instance":
        return _address(pick, namespace, scrape)
    problem = name_problem(pick.kind, pick.value)
    if problem is not None:
        return InvalidHint(pick.label, shown(pick.value), problem)
    if pick.kind in KINDS and not KINDS[pick.kind].namespaced:
        return Hint(pick.kind, "", pick.value, pick.label)
    if namespace is None:
        return InvalidHint(pick.label, shown(pick.value), f"names a {pick.kind}, but no label names its namespace")
    problem = name_problem("Namespace", namespace.value)
    if problem is not None:
        return InvalidHint(namespace.label, shown(namespace.value), problem)
    return Hint(pick.kind, namespace.value, pick.value, pick.label, _lookup(pick.kind))


def _lookup(kind: str) -> Lookup:
    match kind:
        case "Pod":
            return "owner"
        case "Service":
            return "selector"
        case _:
            return "none"


def _address(pick: _Pick, namespace: _Pick | None, scrape: Scrape) -> Hint | InvalidHint:
    host = host_of(pick.value)
    if host is None:
        return InvalidHint(pick.label, shown(pick.value), "not the address of a node or pod")
    if scrape.exporter is not None and scrape.exporter.instance == "node":
        return Hint("Node", "", host, pick.label, "node address")
    within = namespace.value if namespace is not None and not name_problem("Namespace", namespace.value) else ""
    return Hint("Node", within, host, pick.label, "address")
