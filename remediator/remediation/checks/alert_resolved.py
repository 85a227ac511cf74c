"""`alert_resolved`: the alerts no longer fire, asked of Prometheus.

A resolved webhook proves nothing: alerts also "resolve" when Prometheus dies, when its rules are reloaded, when whoever
exposes the metric is gone. And an empty answer proves nothing either: the labels may have been rewritten on the way to
Alertmanager, so that our query would never have found the alert. Hence "absent" is believed only when

- the rule still exists, is healthy, and was evaluated after the last effect, and lately;
- `ALERTS` shows the alert neither firing nor pending, in an answer that is dated (`or vector(time())`);
- the same query did find it firing a while ago, so it is the right query;
- the job that the alert names is still being scraped.

A rule looks back. Until its largest range, its keep_firing_for and two evaluations have passed, an alert that still
fires is `clearing`, not bad.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from remediator.alerts.alert import Alert
from remediator.objects import ObjectRef
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import PositiveDuration
from remediator.ports import AlertRule, Queries, Sample
from remediator.remediation.checks.base import CheckArgs, CheckContext, CheckKind, Unknown, answer
from remediator.remediation.checks.workload import owns_pod_name
from remediator.remediation.promql import (
    equals,
    equals_or_absent,
    is_label_name,
    largest_range,
    matches,
    select,
)
from remediator.remediation.samples import CheckSample

NAME = "alert_resolved"

LONGEST_CLEARING = timedelta(hours=2)
"""A rule that looks back further is not waited for: then a person decides, or `timeout` says how long."""

SEEN_BEFORE = timedelta(minutes=15)
"""How long before its beginning we look for the alert: clocks differ, and a restarted Alertmanager moves startsAt."""

LONGEST_LOOK_BACK = timedelta(hours=24)
MOST_QUERIES = 20

OF_A_POD = frozenset({"pod", "exported_pod", "uid", "instance", "container_id", "id", "node", "pod_ip"})
"""Labels that change when a workload's pods are replaced: the same trouble then comes back as another alert."""


class AlertResolvedArgs(CheckArgs):
    """`timeout`: how long after the effect the alert may still fire. Where not given, it is read from the rule."""

    timeout: PositiveDuration | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the rules API says about one alert name. `evaluated_at`: the oldest among the rules' latest evaluations."""

    clearing: timedelta
    evaluated_at: datetime | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What one alert's query found."""

    firing: bool = False
    pending: bool = False
    successor: str = ""
    """Another pod of the same workload with the same alert, in words."""
    seen: bool = False


async def sample(args: AlertResolvedArgs, context: CheckContext) -> CheckSample:
    """All alerts must be gone. While planning it tells whether they still fire. Raises: Unknown, CannotSee."""
    queries = context.prometheus()
    if not context.alerts:
        raise Unknown("there is no alert that could resolve")
    # The rules first: what ALERTS says afterwards is then at least as new as the evaluation we rely on.
    rules = await _all_rules(queries, context)
    looks = await _look_at_all(queries, context)
    clearing_for = args.timeout or max(r.clearing for r in rules.values())
    firing = [a for a, look in zip(context.alerts, looks, strict=True) if look.firing]
    share = len(firing) / len(context.alerts)
    problem = next((r.problem for r in rules.values() if r.problem), "")
    if firing and context.since is not None and context.now < context.since + min(clearing_for, LONGEST_CLEARING):
        until = context.since + clearing_for
        detail = f"{_named(firing, looks)}; its rule may need until {until:%H:%M:%S} UTC to see the repair"
        return answer(NAME, "unknown", detail, context.now, badness=share, clearing=True)
    if problem:
        raise Unknown(problem)
    at = min(r.evaluated_at or context.now for r in rules.values())
    if firing:
        if context.since is not None and context.now < context.since + clearing_for:
            long = format_duration(clearing_for)
            raise Unknown(f"{_named(firing, looks)}; its rule looks back {long}, longer than we wait")
        hint = "" if context.since else f"; resolves up to {format_duration(clearing_for)} after a repair"
        return answer(NAME, "bad", _named(firing, looks) + hint, at, badness=share)
    await _require_absence_proven(queries, context, looks)
    names = ", ".join(sorted({a.name for a in context.alerts}))
    return answer(NAME, "good", f"{names} no longer fires, rule evaluated {at:%H:%M:%S} UTC", at, badness=0.0)


def _named(firing: Sequence[Alert], looks: Sequence[Look]) -> str:
    successor = next((look.successor for look in looks if look.firing and look.successor), "")
    names = ", ".join(sorted({a.name for a in firing}))
    return f"{names} still fires" + (f" ({successor})" if successor else "")


# --- the rules


async def _all_rules(queries: Queries, context: CheckContext) -> dict[str, Rules]:
    names = sorted({a.name for a in context.alerts})
    found = await asyncio.gather(*(queries.rules(name) for name in names))
    return {name: read_rules(name, rules, context) for name, rules in zip(names, found, strict=True)}


def read_rules(name: str, found: Iterable[AlertRule], context: CheckContext) -> Rules:
    """The rules that can produce the alerts of this name, and whether they were evaluated since the effect."""
    rules = [r for r in found if any(_produces(r, a) for a in context.alerts if a.name == name)]
    if not rules:
        return Rules(timedelta(0), None, f"Prometheus has no rule {name} with these labels: reloaded, or another one's")
    clearing = max(clearing_time(r) for r in rules)
    latest: dict[tuple[str, tuple[tuple[str, str], ...]], AlertRule] = {}
    for rule in rules:  # the same rule twice: two replicas behind one address
        key = (rule.query, tuple(sorted(rule.labels.items())))
        other = latest.get(key)
        if other is None or _evaluated(rule) > _evaluated(other):
            latest[key] = rule
    oldest = min(latest.values(), key=_evaluated)
    return Rules(clearing, oldest.last_evaluation, _evaluation_problem(name, oldest, context))


def clearing_time(rule: AlertRule) -> timedelta:
    """How long after a repair an alert may go on firing: the rule's largest range, keep_firing_for, two evaluations."""
    return largest_range(rule.query) + timedelta(seconds=rule.keep_firing_for_s + 2 * rule.interval_s)


def _evaluated(rule: AlertRule) -> datetime:
    return rule.last_evaluation or datetime.min.replace(tzinfo=UTC)


def _produces(rule: AlertRule, alert: Alert) -> bool:
    """Whether the alert can be this rule's: its own labels agree. Templated ones (`{{ ... }}`) may be anything."""
    return all("{{" in v or alert.labels.get(k, v) == v for k, v in rule.labels.items())


def _evaluation_problem(name: str, rule: AlertRule, context: CheckContext) -> str:
    at = rule.last_evaluation
    if at is None:
        return f"rule {name} has not been evaluated, or its last evaluation failed"
    if context.since is not None and at <= context.since:
        return f"rule {name} has not been evaluated since the effect (last {at:%H:%M:%S} UTC)"
    late = timedelta(seconds=max(60.0, 3 * rule.interval_s))
    if context.now - at > late:
        return f"rule {name} was last evaluated {at:%H:%M:%S} UTC, although it is due every {rule.interval_s:g} s"
    if at - context.now > timedelta(seconds=60):
        return f"rule {name} was evaluated in the future ({at:%H:%M:%S} UTC): the clocks disagree"
    return ""


# --- the alerts


async def _look_at_all(queries: Queries, context: CheckContext) -> list[Look]:
    """One look for each alert; alerts that differ only in their pod share one query."""
    selections = [alert_matchers(a, context) for a in context.alerts]
    distinct = sorted(set(selections))
    if len(distinct) > MOST_QUERIES:
        raise Unknown(f"{len(distinct)} different alerts are too many to ask about")
    answers = await asyncio.gather(*(_ask(queries, context, s) for s in distinct))
    by_selection = dict(zip(distinct, answers, strict=True))
    return [_look(a, context, *by_selection[s]) for a, s in zip(context.alerts, selections, strict=True)]


async def _ask(
    queries: Queries, context: CheckContext, selection: tuple[str, ...]
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """What fires or is pending now, and what fired at any moment since the alerts began. Raises: Unknown, CannotSee."""
    then = select("ALERTS", *selection, equals("alertstate", "firing"), window=_look_back(context))
    now = select("ALERTS", *selection, matches("alertstate", "firing|pending"))
    found, seen = await asyncio.gather(
        queries.instant(f"{now} or vector(time())"), queries.instant(f"last_over_time({then})")
    )
    beats = [s for s in found if not s.labels]
    if len(beats) != 1:
        raise Unknown("Prometheus did not say when it evaluated the query")
    context.require_fresh(beats[0].at, "Prometheus' answer")
    return tuple(s for s in found if s.labels), seen


def _look_back(context: CheckContext) -> timedelta:
    """Since a while before the alerts began, by their own clocks, or before the effect, whichever is longer ago."""
    begin = min(a.starts_at for a in context.alerts)
    begin = min(begin, context.since or context.now)
    return min(context.now - begin + SEEN_BEFORE, LONGEST_LOOK_BACK)


def alert_matchers(alert: Alert, context: CheckContext) -> tuple[str, ...]:
    """Matchers for the series of one alert and of its successors.

    Each label must be equal or absent: Prometheus adds external labels only on the way out, and relabelling may drop
    some. The cluster is chosen by the configured label alone, because config may rewrite that of an alert.
    """
    parts = [equals("alertname", alert.name)]
    if context.labels.cluster:
        parts.append(equals(context.labels.cluster, context.labels.cluster_value or context.cluster.name))
    skipped = {"alertname", "alertstate", "cluster", context.labels.cluster} | loose_labels(alert, context)
    parts += [equals_or_absent(k, v) for k, v in sorted(alert.labels.items()) if k not in skipped and is_label_name(k)]
    return tuple(parts)


def loose_labels(alert: Alert, context: CheckContext) -> frozenset[str]:
    """Labels that may differ in the same trouble's next alert: those of a pod, when one of the target's is meant."""
    return OF_A_POD if any(_pod_of(alert.labels, t.ref) for t in context.targets) else frozenset()


def _pod_of(labels: Mapping[str, str], ref: ObjectRef) -> str:
    """The pod of this workload that the labels name; empty when they name none, or another's."""
    for label in ("exported_pod", "pod"):
        pod = labels.get(label, "")
        if pod and owns_pod_name(ref, pod):
            return pod
    return ""


def _look(alert: Alert, context: CheckContext, found: tuple[Sample, ...], seen: tuple[Sample, ...]) -> Look:
    loose = loose_labels(alert, context)
    own = [s for s in found if _same(s.labels, alert.labels, frozenset())]
    others = [s for s in found if s not in own and loose and _successor(s, alert, context, loose)]
    firing = [s for s in (*own, *others) if s.labels.get("alertstate") == "firing"]
    pending = [s for s in (*own, *others) if s.labels.get("alertstate") == "pending"]
    named = next((s for s in others if s in firing or s in pending), None)
    return Look(
        firing=bool(firing),
        pending=bool(pending),
        successor=f"now on pod {_any_pod(named.labels)}" if named and not own else "",
        seen=any(_same(s.labels, alert.labels, frozenset()) for s in seen),
    )


def _any_pod(labels: Mapping[str, str]) -> str:
    return labels.get("exported_pod") or labels.get("pod", "")


def _same(series: Mapping[str, str], alert: Mapping[str, str], loose: frozenset[str]) -> bool:
    """Whether no label that both have differs; `cluster` was settled by the query."""
    ignored = loose | {"__name__", "alertstate", "cluster"}
    return all(alert.get(k, v) == v for k, v in series.items() if k not in ignored)


def _successor(found: Sample, alert: Alert, context: CheckContext, loose: frozenset[str]) -> bool:
    """The same alert about another pod of the target."""
    return _same(found.labels, alert.labels, loose) and any(_pod_of(found.labels, t.ref) for t in context.targets)


async def _require_absence_proven(queries: Queries, context: CheckContext, looks: Sequence[Look]) -> None:
    """Raises: Unknown unless "not there" means "resolved"."""
    for alert, look in zip(context.alerts, looks, strict=True):
        if look.pending:
            raise Unknown(f"{alert.name} is pending again{f' ({look.successor})' if look.successor else ''}")
        if not look.seen:
            raise Unknown(f"this Prometheus has never shown {alert.name} with these labels firing: not the one we mean")
    jobs = sorted({a.labels["job"] for a in context.alerts if a.labels.get("job")})
    await asyncio.gather(*(_require_scraped(queries, context, job) for job in jobs))


async def _require_scraped(queries: Queries, context: CheckContext, job: str) -> None:
    """The alert's job still has a target that answers. A job without any `up`, then or now, is no scrape job."""
    here = select("up", equals("job", job))
    found = await queries.instant(f"max({here})")
    if not found:
        past = select("up", equals("job", job), window=_look_back(context))
        if await queries.instant(f"max(max_over_time({past}))"):
            raise Unknown(f"job {job} is no longer scraped, so its alerts are gone whatever is the matter")
        return
    context.require_fresh(found[0].at, "the scrape state")
    if not found[0].value > 0:
        raise Unknown(f"no target of job {job} answers its scrapes, so its alerts are gone whatever is the matter")


KIND = CheckKind(NAME, AlertResolvedArgs, sample)
