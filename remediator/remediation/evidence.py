"""Collects the evidence that a playbook asks for, before anything changes. Never raises: an error is evidence too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from remediator.errors import InvalidPlaybook, RemediatorError
from remediator.playbooks.model import Collect
from remediator.redact import redact
from remediator.remediation.arguments import fill_plain, parse_arguments
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.collectors import (
    airflow,
    backups,
    certificates,
    crash,
    events,
    export,
    graph,
    helm,
    history,
    jvm,
    logs,
    network,
    nodes,
    operators,
    own,
    queues,
    restarts,
    security,
    snapshot,
    sql_report,
    status,
    traffic,
    troubled,
    usage,
    volumes,
    workloads,
)
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence

__all__ = ["COLLECTORS", "Evidence", "collect_all", "parse_collect"]

COLLECT_TIMEOUT = timedelta(seconds=10)

MAX_PIECES = 20
"""More than a person reads at 3 a.m.; the rest is named, not collected."""

COLLECTORS: Mapping[str, CollectorKind[Any]] = {
    kind.name: kind
    for kind in (
        logs.KIND,
        events.KIND,
        status.KIND,
        restarts.KIND,
        graph.PROMQL,
        graph.GRAPH,
        airflow.TASK_LOG,
        airflow.IMPORT_ERRORS,
        airflow.STATUS,
        jvm.KIND,
        sql_report.KIND,
        crash.KIND,
        *history.KINDS_OF_EVIDENCE,
        *troubled.KINDS_OF_EVIDENCE,
        *nodes.KINDS_OF_EVIDENCE,
        *volumes.KINDS_OF_EVIDENCE,
        *traffic.KINDS_OF_EVIDENCE,
        *network.KINDS_OF_EVIDENCE,
        *workloads.KINDS_OF_EVIDENCE,
        certificates.KIND,
        *operators.KINDS_OF_EVIDENCE,
        backups.KIND,
        *usage.KINDS_OF_EVIDENCE,
        *queues.KINDS_OF_EVIDENCE,
        security.KIND,
        *own.KINDS_OF_EVIDENCE,
        snapshot.KIND,
        export.KIND,
        helm.KIND,
    )
}


@dataclass(frozen=True, slots=True)
class ParsedCollect:
    """A collector whose arguments are validated."""

    kind: str
    args: CollectArgs


def parse_collect(wanted: Collect) -> ParsedCollect:
    """Raises: InvalidPlaybook, naming the collector, the argument and the next step."""
    kind, args = parse_arguments("evidence", wanted.kind, wanted.args, {n: k.args for n, k in COLLECTORS.items()})
    return ParsedCollect(kind, args)


async def collect_all(
    wanted: Sequence[Collect], context: CheckContext, *, timeout: timedelta = COLLECT_TIMEOUT
) -> tuple[Evidence, ...]:
    """Every piece, at the same time, each with its own timeout; in the order of the playbook."""
    pieces = await asyncio.gather(*(_collect(one, context, timeout) for one in wanted[:MAX_PIECES]))
    left_out = tuple(
        _failed(one.kind, f"not collected: at most {MAX_PIECES} pieces", context) for one in wanted[MAX_PIECES:]
    )
    return (*pieces, *left_out)


async def _collect(wanted: Collect, context: CheckContext, timeout: timedelta) -> Evidence:
    try:
        kind = COLLECTORS.get(wanted.kind)
        late = kind.late if kind else frozenset[str]()
        parsed = parse_collect(wanted.model_copy(update={"args": fill_plain(wanted.args, context, late)}))
        async with asyncio.timeout(timeout.total_seconds()):
            found: Evidence = await COLLECTORS[parsed.kind].collect(parsed.args, context)
            return found
    except TimeoutError:
        why = f"no answer within {timeout.total_seconds():g} s"
    except InvalidPlaybook as exc:
        why = str(exc)
    except (RemediatorError, ValueError) as exc:
        why = str(exc) or type(exc).__name__
    except Exception as exc:  # evidence is worth having, but never worth stopping for
        why = f"the collector failed: {type(exc).__name__}: {exc}"
    return _failed(wanted.kind, why, context)


def _failed(kind: str, why: str, context: CheckContext) -> Evidence:
    said = redact(one_line(why))
    return Evidence(kind=kind, title=kind, taken_at=context.now, error=said, summary="not available", private=True)
