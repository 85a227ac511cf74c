"""`kafka_lag`, `celery_queue`, `active_alerts`: what waits, and what fires, as Prometheus shows it at this moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from remediator.ports import Sample
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence
from remediator.remediation.collectors.reading import (
    ScopedArgs,
    ask,
    count,
    hand_over,
    metric_scope,
    namespaces_of,
    place_of,
)
from remediator.remediation.collectors.usage import NO_NUMBERS, Key, Limit, name_of_row, table_of, tell
from remediator.remediation.promql import METRIC_NAME, equals, select

KAFKA, CELERY, ALERTS = "kafka_lag", "celery_queue", "active_alerts"


class LagArgs(CollectArgs):
    """`metric`: of your exporter. `group`, `topic`: only these."""

    metric: Annotated[str, Field(pattern=METRIC_NAME)] = "kafka_consumergroup_lag"
    group: Annotated[str, Field(max_length=200)] = ""
    topic: Annotated[str, Field(max_length=200)] = ""
    limit: Limit = 20


class QueueArgs(ScopedArgs):
    """`metric`, `label`: of your exporter. `queue`: only this one."""

    metric: Annotated[str, Field(pattern=METRIC_NAME)] = "celery_queue_length"
    label: Annotated[str, Field(pattern=METRIC_NAME)] = "queue_name"
    queue: Annotated[str, Field(max_length=200)] = ""
    limit: Limit = 20


class AlertsArgs(ScopedArgs):
    """`namespace`: by default everywhere, because what is beside the target matters as well."""

    namespace: Annotated[str, Field(max_length=63)] = "*"
    limit: Limit = 50


# --- queues


async def kafka_lag(args: LagArgs, context: CheckContext) -> Evidence:
    """How far consumer groups are behind, and whether that grows."""
    scope = metric_scope(context, ("",), *_only(consumergroup=args.group, topic=args.topic))
    by = "sum by (consumergroup, topic)"
    queries = {
        "lag": f"{by} ({select(args.metric, *scope)})",
        "before": f"{by} ({select(args.metric, *scope)} offset 10m)",
    }
    table, problems = await table_of(context, queries, ("consumergroup", "topic"))
    return _queue(
        KAFKA, context, "lag of Kafka's consumer groups", table, problems, args.limit, "consumer group", "lag"
    )


async def celery_queue(args: QueueArgs, context: CheckContext) -> Evidence:
    """How long Celery's queues are, and whether they grow."""
    scope = metric_scope(context, namespaces_of(args, context), *_only(**{args.label: args.queue}))
    by = f"sum by ({args.label})"
    queries = {
        "length": f"{by} ({select(args.metric, *scope)})",
        "before": f"{by} ({select(args.metric, *scope)} offset 10m)",
    }
    table, problems = await table_of(context, queries, (args.label,))
    return _queue(CELERY, context, "length of Celery's queues", table, problems, args.limit, "queue", "length")


def _only(**labels: str) -> tuple[str, ...]:
    return tuple(equals(label, value) for label, value in labels.items() if value)


def _queue(
    kind: str,
    context: CheckContext,
    title: str,
    table: Mapping[Key, Mapping[str, float]],
    problems: Sequence[str],
    limit: int,
    what: str,
    column: str,
) -> Evidence:
    now = {key: numbers for key, numbers in table.items() if column in numbers}
    growing = sum(1 for n in now.values() if n[column] > n.get("before", n[column]))
    total = sum(n[column] for n in now.values())
    return tell(
        kind,
        context,
        title,
        now,
        problems or ([] if now else [NO_NUMBERS]),
        line=lambda key, n: (
            f"{name_of_row(key)}: {n[column]:.0f}" + (f", {n['before']:.0f} ten minutes ago" if "before" in n else "")
        ),
        order=lambda n: n[column],
        limit=limit,
        summary=f"{total:.0f} waiting in {count(len(now), what)}, {growing} growing",
    )


# --- alerts


async def active_alerts(args: AlertsArgs, context: CheckContext) -> Evidence:
    """What fires and what is pending, as Prometheus shows it: silences and inhibitions are not known there."""
    spaces = namespaces_of(args, context)
    query = f"{select('ALERTS', *metric_scope(context, spaces))} or vector(-1)"  # so that no alert is an answer, too
    samples, problem = await ask(context, query)
    found = [s for s in samples if s.labels]
    if not problem and not any(s.value == -1 for s in samples):
        problem = NO_NUMBERS
    found.sort(key=lambda s: (s.labels.get("alertstate") != "firing", _severity(s), s.labels.get("alertname", "")))
    firing = [s for s in found if s.labels.get("alertstate") == "firing"]
    by_severity = Counter(_severity_word(s) for s in firing)
    told = ", ".join(f"{n} {severity}" for severity, n in by_severity.most_common())
    lines = [_alert(s) for s in found[: args.limit]]
    return hand_over(
        ALERTS,
        context,
        title=f"alerts {place_of(spaces)}",
        lines=[*lines, *([f"and {len(found) - args.limit} more"] if len(found) > args.limit else ())],
        summary="not available"
        if problem
        else f"{len(firing)} firing{': ' + told if told else ''}; {len(found) - len(firing)} pending",
        problems=(problem,),
        rows=[dict(s.labels) for s in found],
        private=True,
    )


_SEVERITIES = ("critical", "error", "warning", "info")


def _severity_word(sample: Sample) -> str:
    """One of those we know: the label is anybody's text."""
    severity = sample.labels.get("severity", "")
    return severity if severity in _SEVERITIES else "other"


def _severity(sample: Sample) -> int:
    word = _severity_word(sample)
    return _SEVERITIES.index(word) if word in _SEVERITIES else len(_SEVERITIES)


def _alert(sample: Sample) -> str:
    labels = dict(sample.labels)
    name, state = labels.pop("alertname", "?"), labels.pop("alertstate", "?")
    labels.pop("__name__", None)
    rest = ", ".join(f"{k}={v}" for k, v in sorted(labels.items()))
    return one_line(f"{state} {name}: {rest}", 300)


KINDS_OF_EVIDENCE = (
    CollectorKind(KAFKA, LagArgs, kafka_lag),
    CollectorKind(CELERY, QueueArgs, celery_queue),
    CollectorKind(ALERTS, AlertsArgs, active_alerts),
)
