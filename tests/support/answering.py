"""Which shipped playbooks take an alert: asked of the real catalog, with labels as alerts of that name carry them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from remediator.actions.registry import load_actions
from remediator.alerts.alert import Alert
from remediator.alerts.labels import Hint, LabelRules, target_hints
from remediator.alerts.matchers import Matcher, parse_matchers
from remediator.playbooks.binding import bind_target, bind_targets
from remediator.playbooks.catalog import Catalog, Entry
from remediator.playbooks.expressions import Environment
from remediator.playbooks.folder import load_folder
from remediator.playbooks.model import LoadedPlaybook, TargetSpec
from remediator.playbooks.params import resolve_params
from remediator.playbooks.templates import TemplateError
from remediator.remediation.checks.registry import CHECKS
from tests.support.alert_rules import LOKI, RULE_TESTS, AlertRule, prometheus_rules, rules_of

ROOT = Path(__file__).parents[2]
PLAYBOOKS = ROOT / "playbooks"
LISTED = ROOT / "catalogue" / "mixin-alerts.yaml"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NOW = datetime(2025, 6, 2, 10, 0, tzinfo=UTC)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Listed(_Strict):
    """An alert of somebody else's rules. `severity` and `labels` are words; `none` is why no playbook takes it."""

    severity: str
    labels: str = ""
    none: str = ""


class Source(_Strict):
    """The rules of one project. `none` counts for all of them that do not say another."""

    project: str
    read: str
    none: str = ""
    alerts: Mapping[str, Listed]


class Lists(_Strict):
    """catalogue/mixin-alerts.yaml. `own`: by name of an own rule, why no playbook takes it."""

    reasons: Mapping[str, str]
    own: Mapping[str, str]
    sources: Mapping[str, Source]

    def reason(self, source: str, name: str) -> str:
        return self.sources[source].alerts[name].none or self.sources[source].none


@dataclass(frozen=True, slots=True)
class Kind:
    """What alerts of one name carry: `fixed` is the same in all of them, of `free` labels only the names are known."""

    name: str
    fixed: Mapping[str, str]
    free: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """`path` is from the folder of playbooks. `only` are the labels without which it does not take the alert."""

    name: str
    path: str
    only: tuple[str, ...]

    def __str__(self) -> str:
        """As a page in docs/ writes it."""
        link = f"[{self.name}](../playbooks/{self.path})"
        return f"{link} (only {', '.join(self.only)})" if self.only else link


@cache
def lists() -> Lists:
    """Raises: ValidationError, OSError."""
    return Lists.model_validate(yaml.load(LISTED.read_text(encoding="utf-8"), Loader=_LOADER))


@cache
def shipped() -> tuple[tuple[str, LoadedPlaybook], ...]:
    """Every shipped playbook with its path. Raises: ValueError for one that does not load."""
    actions, checks = load_actions(), {name: kind.args for name, kind in CHECKS.items()}
    areas = sorted(path for path in PLAYBOOKS.iterdir() if path.is_dir() and path.name != "tests")
    found = []
    for folder in (PLAYBOOKS, *areas):
        for result in load_folder(folder, actions=actions, checks=checks):
            path = str((folder / result.source).relative_to(PLAYBOOKS))
            if result.loaded is None:
                raise ValueError(f"{path} does not load: {'; '.join(map(str, result.problems))}")
            found.append((path, result.loaded))
    return tuple(found)


@cache
def catalog() -> Catalog:
    return Catalog(loaded for _, loaded in shipped())


def kinds_of(name: str, listed: Listed) -> Iterator[Kind]:
    """One for each severity."""
    for severity in listed.severity.split():
        yield Kind(name, {"severity": severity}, tuple(listed.labels.split()))


def own_rules() -> tuple[AlertRule, ...]:
    """Those of config/, without what says that an exporter is missed: that is about nothing that runs here."""
    return tuple(rule for rule in (*prometheus_rules(), *rules_of(LOKI)) if rule.area != "absent")


def kind_of(rule: AlertRule) -> Kind:
    """Which labels it leaves is what its own tests expect of it; rules on log lines leave none but their own."""
    fixed = {name: value for name, value in rule.labels.items() if "{{" not in value}
    return Kind(rule.name, fixed, tuple(sorted(_expected().get(rule.name, set()) - fixed.keys())))


@cache
def _expected() -> Mapping[str, set[str]]:
    """Names of labels by alert, from the tests of the rules."""
    found: dict[str, set[str]] = {}
    for file in RULE_TESTS:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)
        for case in (case for test in content["tests"] for case in test.get("alert_rule_test") or ()):
            for alert in case.get("exp_alerts") or ():
                found.setdefault(case["alertname"], set()).update(alert.get("exp_labels") or ())
    return found


def answers(kinds: Sequence[Kind]) -> tuple[Answer, ...]:
    """Those that take an alert of one of the kinds and find their target in its labels, highest priority first."""
    found: dict[str, tuple[int, Answer]] = {}
    paths = {loaded.playbook.name: path for path, loaded in shipped()}
    for kind in kinds:
        for entry in _named(kind.name):
            if entry.name in found:
                continue
            labels, only = _labels_for(entry, kind)
            alert = _alert(labels)
            if entry in catalog().candidates(alert) and finds_target(entry.loaded, alert):
                found[entry.name] = (-entry.priority, Answer(entry.name, paths[entry.name], only))
    return tuple(answer for _, answer in sorted(found.values(), key=lambda one: (one[0], one[1].name)))


def _named(name: str) -> Iterator[Entry]:
    """Playbooks that take alerts of that name, whatever else they ask for."""
    for loaded in catalog():
        entry = catalog().entry(loaded.playbook.name)
        if entry is None or loaded.playbook.match is None:
            continue
        if all(matcher.matches({"alertname": name}) for matcher in entry.matchers if matcher.name == "alertname"):
            yield entry


def _labels_for(entry: Entry, kind: Kind) -> tuple[dict[str, str], tuple[str, ...]]:
    """Labels of an alert of that kind that come as near to the matchers as they can, and what they had to be for it."""
    labels = {"alertname": kind.name, **dict.fromkeys(kind.free, "some"), **kind.fixed}
    only = []
    for matcher in entry.matchers:
        values = sorted(matcher.alternatives or ())
        if matcher.name in kind.free and values and labels[matcher.name] not in values:
            labels[matcher.name] = values[-1]  # "a|" allows a, and none at all
            only.append(f"{matcher.name} {labels[matcher.name]}")
    return labels, tuple(only)


def _alert(labels: Mapping[str, str]) -> Alert:
    return Alert(fingerprint="0123456789abcdef", status="firing", labels=labels, starts_at=NOW)


def finds_target(loaded: LoadedPlaybook, alert: Alert) -> bool:
    """Whether the labels say, or leave to the playbook, what it would act on."""
    spec = loaded.playbook
    scope = Environment(alert, NOW).scope(params=resolve_params(spec.params, {}))
    try:
        if spec.targets is not None:
            return bool(bind_targets(spec.targets, scope))
        if isinstance(spec.target, TargetSpec):
            return bool(bind_target(spec.target, scope))
    except TemplateError:
        return False
    return any(isinstance(hint, Hint) for hint in target_hints(alert.labels, LabelRules()))


# --- what is wrong with the lists


def mistakes(found: Lists) -> Iterator[str]:
    """An alert that nobody has thought of, and a reason that is none, or not true any more."""
    for source, rules in found.sources.items():
        for name, listed in rules.alerts.items():
            taken = answers(list(kinds_of(name, listed)))
            yield from _mistake(found, f"{source}: {name}", taken, found.reason(source, name))
    own = {str(rule): rule for rule in own_rules()}
    for title, rule in own.items():
        yield from _mistake(found, f"own: {title}", answers([kind_of(rule)]), found.own.get(title, ""))
    yield from (f"own: {title} is no rule of config/" for title in found.own.keys() - own.keys())


def _mistake(found: Lists, what: str, taken: Sequence[Answer], reason: str) -> Iterator[str]:
    if not taken and not reason:
        yield f"{what}: no playbook takes it; add its name to a matcher, or say `none` with a reason"
    elif taken and reason:
        yield f"{what}: {taken[0].name} takes it, so it needs no reason; remove `{reason}`"
    elif reason and reason not in found.reasons:
        yield f"{what}: {reason!r} is none of the reasons"


def known_names() -> frozenset[str]:
    own = {rule.name for rule in own_rules()}
    return frozenset(own.union(*(source.alerts for source in lists().sources.values())))


def unknown_names(playbooks: Sequence[tuple[str, LoadedPlaybook]]) -> list[str]:
    """Names of alerts, in matchers and blockers, that no rule has that we know of: misspelt, most likely."""
    known = known_names()
    return [
        f"{path}: {name}"
        for path, loaded in playbooks
        for matcher in _matchers(loaded)
        if matcher.name == "alertname" and matcher.op in ("=", "=~")
        for name in _unknown(matcher, known)
    ]


def _matchers(loaded: LoadedPlaybook) -> Iterator[Matcher]:
    spec = loaded.playbook
    texts = list(spec.match.alerts) if spec.match else []
    texts += [blocker.alerts for blocker in spec.guardrails.blockers if blocker.alerts]
    return (matcher for text in texts for matcher in parse_matchers(text))


def _unknown(matcher: Matcher, known: frozenset[str]) -> list[str]:
    if matcher.alternatives is not None:
        return sorted(matcher.alternatives - known)
    fits = any(matcher.matches({"alertname": name}) for name in known)
    return [] if fits else [matcher.value]
