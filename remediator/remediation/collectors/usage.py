"""`top`, `node_usage`, `rightsizing_report`: numbers of Prometheus at this moment, by queries that are safe everywhere:
bounded in time, aggregated, cut to the highest.

The metrics are those of cAdvisor, kube-state-metrics and the node exporter. Where there are none it is said, because no
numbers are not low numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import PositiveDuration
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.checks.workload import pod_names
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence
from remediator.remediation.collectors.reading import (
    ScopedArgs,
    ask,
    count,
    hand_over,
    metric_scope,
    namespaces_of,
    place_of,
    size,
)
from remediator.remediation.promql import equals, matches, seconds, select

TOP, NODES, RIGHTSIZING = "top", "node_usage", "rightsizing_report"

RATE = timedelta(minutes=5)
NO_NUMBERS = "Prometheus has no such numbers: is the exporter scraped?"
LONGEST = timedelta(days=14)

Key = tuple[str, ...]
Limit = Annotated[int, Field(ge=1, le=100)]


def _not_longer(value: timedelta) -> timedelta:
    if value > LONGEST:
        raise ValueError(f"at most {format_duration(LONGEST)}")
    return value


class TopArgs(ScopedArgs):
    """`by`: pods, or nodes. `sort`: what the highest are the highest of."""

    by: Literal["pod", "node"] = "pod"
    sort: Literal["cpu", "memory"] = "cpu"
    limit: Limit = 10


class NodeUsageArgs(CollectArgs):
    """`limit`: the fullest nodes."""

    limit: Limit = 20


class RightsizingArgs(ScopedArgs):
    """`last`: the time looked at. `limit`: the containers that ask for most without using it."""

    last: Annotated[PositiveDuration, AfterValidator(_not_longer)] = timedelta(days=1)
    limit: Limit = 20


async def table_of(
    context: CheckContext, queries: Mapping[str, str], labels: Sequence[str]
) -> tuple[dict[Key, dict[str, float]], list[str]]:
    """Numbers by their labels, one column for each query; and what could not be asked, each sentence once."""
    answers = await asyncio.gather(*(ask(context, query) for query in queries.values()))
    table: dict[Key, dict[str, float]] = {}
    for column, (samples, _) in zip(queries, answers, strict=True):
        for sample in samples:
            table.setdefault(tuple(sample.labels.get(name, "") for name in labels), {})[column] = sample.value
    problems = list(dict.fromkeys(problem for _, problem in answers if problem))
    return table, problems or ([] if table else [NO_NUMBERS])


def tell(
    kind: str,
    context: CheckContext,
    title: str,
    table: Mapping[Key, Mapping[str, float]],
    problems: Sequence[str],
    *,
    line: Callable[[Key, Mapping[str, float]], str],
    order: Callable[[Mapping[str, float]], float],
    limit: int,
    summary: str,
) -> Evidence:
    ranked = sorted(table.items(), key=lambda item: (-order(item[1]), item[0]))
    lines = [line(key, numbers) for key, numbers in ranked[:limit]]
    more = [f"and {len(ranked) - limit} more"] if len(ranked) > limit else []
    return hand_over(
        kind,
        context,
        title=title,
        lines=[*lines, *more],
        summary=summary if table else "no numbers",
        problems=problems,
        rows=[{"of": list(key), **numbers} for key, numbers in ranked[:limit]],
    )


def name_of_row(key: Key) -> str:
    """Label values are others' words."""
    return one_line("/".join(part for part in key if part), 200) or "all"


def _share(numbers: Mapping[str, float], part: str, whole: str) -> str:
    total = numbers.get(whole)
    return f" ({numbers[part] / total:.0%} of {whole.split('_')[-1]})" if total and part in numbers else ""


# --- pods and nodes


async def top(args: TopArgs, context: CheckContext) -> Evidence:
    """CPU and memory of the target's pods, of all pods in a namespace, or of nodes."""
    if args.by == "node":
        return await _nodes(TOP, args.limit, context, sort=args.sort)
    spaces = namespaces_of(args, context)
    scope = metric_scope(context, spaces, 'container!=""', *_pods_of_target(args, context))
    labels = (context.labels.namespace or "namespace", context.labels.pod or "pod")
    by = f"sum by ({', '.join(labels)})"
    limits = metric_scope(context, spaces, *_pods_of_target(args, context))
    queries = {
        "cpu": f"{by} (rate({select('container_cpu_usage_seconds_total', *scope, window=RATE)}))",
        "memory": f"{by} ({select('container_memory_working_set_bytes', *scope)})",
        "cpu_limit": f"{by} ({select('kube_pod_container_resource_limits', *limits, equals('resource', 'cpu'))})",
        "memory_limit": f"{by} ({select('kube_pod_container_resource_limits', *limits, equals('resource', 'memory'))})",
    }
    table, problems = await table_of(context, queries, labels)
    running = {key: numbers for key, numbers in table.items() if "cpu" in numbers or "memory" in numbers}
    if table and not running:
        problems = [NO_NUMBERS]
    cpu, memory = (sum(n.get(key, 0.0) for n in running.values()) for key in ("cpu", "memory"))
    return tell(
        TOP,
        context,
        f"the highest {args.sort} {place_of(spaces)}",
        running,
        problems,
        line=lambda key, n: (
            f"{name_of_row(key)}: {n.get('cpu', 0.0):.3g} cores{_share(n, 'cpu', 'cpu_limit')}, "
            f"{size(n.get('memory', 0.0))}{_share(n, 'memory', 'memory_limit')}"
        ),
        order=lambda n: n.get(args.sort, 0.0),
        limit=args.limit,
        summary=f"{count(len(running), 'pod')} use {cpu:.3g} cores and {size(memory)}",
    )


def _pods_of_target(args: TopArgs, context: CheckContext) -> tuple[str, ...]:
    """The target's pods, where they are known by name and no namespace is asked for."""
    names = [pod_names(t.ref) for t in context.targets]
    if args.namespace or not names or None in names or not context.labels.pod:
        return ()
    return (matches(context.labels.pod, "|".join(sorted({n for n in names if n is not None}))),)


async def node_usage(args: NodeUsageArgs, context: CheckContext) -> Evidence:
    """How busy the nodes are, and how full their memory and root file system."""
    return await _nodes(NODES, args.limit, context, sort="memory")


async def _nodes(kind: str, limit: int, context: CheckContext, *, sort: str) -> Evidence:
    scope = metric_scope(context)
    idle = select("node_cpu_seconds_total", *scope, equals("mode", "idle"), window=RATE)
    free, total = (select(f"node_memory_{name}_bytes", *scope) for name in ("MemAvailable", "MemTotal"))
    root = (*scope, equals("mountpoint", "/"), 'fstype!~"tmpfs|overlay"')
    left, whole = (select(f"node_filesystem_{name}_bytes", *root) for name in ("avail", "size"))
    queries = {
        "cpu": f"1 - avg by (instance) (rate({idle}))",
        "memory": f"1 - max by (instance) ({free} / {total})",
        "disk": f"1 - min by (instance) ({left} / {whole})",
        "load": f"max by (instance) ({select('node_load1', *scope)})",
    }
    table, problems = await table_of(context, queries, ("instance",))
    busy = sum(1 for n in table.values() if max(n.get("cpu", 0), n.get("memory", 0), n.get("disk", 0)) > 0.9)
    return tell(
        kind,
        context,
        "usage of the nodes",
        table,
        problems,
        line=lambda key, n: (
            f"{name_of_row(key)}: "
            + ", ".join(f"{name} {n[name]:.0%}" for name in ("cpu", "memory", "disk") if name in n)
            + (f", load {n['load']:.2f}" if "load" in n else "")
        ),
        order=lambda n: n.get(sort, 0.0),
        limit=limit,
        summary=f"{busy} of {count(len(table), 'node')} above 90%",
    )


async def rightsizing(args: RightsizingArgs, context: CheckContext) -> Evidence:
    """What containers asked for, and what they used at most: the difference is what a smaller request would free."""
    spaces = namespaces_of(args, context)
    labels = (context.labels.namespace or "namespace", context.labels.pod or "pod", "container")
    by, last = f"max by ({', '.join(labels)})", seconds(args.last)
    used = metric_scope(context, spaces, 'container!=""')
    asked = metric_scope(context, spaces)
    rate = f"rate({select('container_cpu_usage_seconds_total', *used, window=RATE)})"
    memory = select("container_memory_working_set_bytes", *used, window=args.last)
    queries = {
        "cpu": f"{by} (quantile_over_time(0.95, {rate}[{last}:5m]))",
        "memory": f"{by} (max_over_time({memory}))",
        "cpu_request": f"{by} ({select('kube_pod_container_resource_requests', *asked, equals('resource', 'cpu'))})",
        "memory_request": f"{by} "
        f"({select('kube_pod_container_resource_requests', *asked, equals('resource', 'memory'))})",
    }
    table, problems = await table_of(context, queries, labels)
    measured = {k: n for k, n in table.items() if "cpu" in n and "memory" in n}
    cores = sum(max(0.0, n.get("cpu_request", 0.0) - n["cpu"]) for n in measured.values())
    room = sum(max(0.0, n.get("memory_request", 0.0) - n["memory"]) for n in measured.values())
    without = sum(1 for n in measured.values() if "cpu_request" not in n or "memory_request" not in n)
    return tell(
        RIGHTSIZING,
        context,
        f"requests and usage {place_of(spaces)}, last {format_duration(args.last)}",
        measured,
        problems or ([] if measured else [NO_NUMBERS]),
        line=lambda key, n: (
            f"{name_of_row(key)}: cpu {n['cpu']:.3g} used (p95) of {_asked(n, 'cpu')}, "
            f"memory {size(n['memory'])} used (max) of {_asked(n, 'memory')}"
        ),
        order=_wasted,
        limit=args.limit,
        summary=f"{cores:.3g} cores and {size(room)} asked for and not used by {count(len(measured), 'container')}, "
        f"{without} without requests",
    )


def _asked(numbers: Mapping[str, float], what: str) -> str:
    value = numbers.get(f"{what}_request")
    if value is None:
        return "no request"
    return f"{value:.3g} asked for" if what == "cpu" else f"{size(value)} asked for"


def _wasted(numbers: Mapping[str, float]) -> float:
    """Cores, with 4 GiB for a core, the usual shape of a machine."""
    cores = max(0.0, numbers.get("cpu_request", 0.0) - numbers["cpu"])
    return cores + max(0.0, numbers.get("memory_request", 0.0) - numbers["memory"]) / 2**32


KINDS_OF_EVIDENCE = (
    CollectorKind(TOP, TopArgs, top),
    CollectorKind(NODES, NodeUsageArgs, node_usage),
    CollectorKind(RIGHTSIZING, RightsizingArgs, rightsizing),
)
