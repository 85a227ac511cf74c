"""`sql_report`: what a database says of itself: slow queries, locks, connections, sizes, unused indexes.

Read in a read-only session and bounded; statements come without literals. Names of users and applications, and what
statements are about, are not for everyone all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from remediator.playbooks.fields import NAME_PATTERN
from remediator.remediation.checks.base import CheckContext, Unknown
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence, bounded

NAME = "sql_report"
VIA = "sql"

Row = Mapping[str, Any]


class SqlReportArgs(CollectArgs):
    """`limit`: how many rows."""

    database: Annotated[str, Field(pattern=NAME_PATTERN)]
    report: Literal["slow_queries", "locks", "connections", "sizes", "unused_indexes"]
    limit: Annotated[int, Field(ge=1, le=50)] = 10


async def collect(args: SqlReportArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError."""
    caller = context.callers.get(VIA)
    if caller is None:
        raise Unknown("no database is configured (outside.databases)")
    found = await caller.ask(args.database, {"ask": "report", "report": args.report, "limit": args.limit})
    rows: Sequence[Row] = found["rows"]
    line, summary = _SHOWN[args.report]
    lines = [line(row) for row in rows]
    lines += [_blocker(row) for row in found.get("blockers", ())]
    if found.get("since"):
        lines.append(f"counted since {found['since']}")
    text, cut = bounded(lines, keep="begin")
    return Evidence(
        kind=NAME,
        title=f"{args.report.replace('_', ' ')} of {args.database}",
        text=text,
        data={"report": args.report, "rows": list(rows), "more": found["more"]},
        taken_at=context.now,
        truncated=cut or found["more"],
        summary=f"{args.database}: {summary(rows)}",
        private=True,
    )


def _slow(row: Row) -> str:
    return f"{row['total_ms'] / 1000:.1f} s in {row['calls']} calls, {row['mean_ms']:.1f} ms each: {row['query']}"


def _lock(row: Row) -> str:
    by = ", ".join(map(str, row["blocked_by"])) or "nobody"
    waits = f"{row['waits_s']:.0f} s" if row["waits_s"] is not None else "a moment"
    wanted = f"{row['mode']} on {row['waits_for']}"
    return f"pid {row['pid']} ({_who(row)}) waits {waits} for {wanted} behind {by}: {row['query']}"


def _blocker(row: Row) -> str:
    since = f", transaction open for {row['transaction_s']:.0f} s" if row["transaction_s"] is not None else ""
    return f"pid {row['pid']} ({_who(row)}) blocks: {row['state']}{since}: {row['query']}"


def _connection(row: Row) -> str:
    longest = f", longest for {row['longest_s']:.0f} s" if row["longest_s"] is not None else ""
    return f"{row['connections']} {row['state']}: {_who(row)} in {row['database']}{longest}"


def _size(row: Row) -> str:
    kept = f"{row['live']} live and {row['dead']} dead rows, vacuumed {row['vacuumed'] or 'never'}"
    return f"{row['table']}: {_mib(row['bytes'])}, {_mib(row['index_bytes'])} of it indexes, {kept}"


def _unused(row: Row) -> str:
    return f"{row['index']} of {row['table']}: {_mib(row['bytes'])}, never scanned"


def _who(row: Row) -> str:
    return f"{row['user']}, {row['application']}" if row["application"] else str(row["user"])


def _mib(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _by_state(rows: Sequence[Row]) -> str:
    states: dict[str, int] = {}
    for row in rows:
        states[row["state"]] = states.get(row["state"], 0) + row["connections"]
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no connections"


# How a row reads, and what may go to chat: numbers, and no names that come from sessions.
_SHOWN: Mapping[str, tuple[Callable[[Row], str], Callable[[Sequence[Row]], str]]] = {
    "slow_queries": (_slow, lambda rows: f"{len(rows)} statements by total time"),
    "locks": (_lock, lambda rows: f"{len(rows)} waiting for a lock"),
    "connections": (_connection, _by_state),
    "sizes": (_size, lambda rows: f"the {len(rows)} largest tables take {_mib(sum(row['bytes'] for row in rows))}"),
    "unused_indexes": (_unused, lambda rows: f"{len(rows)} indexes were never scanned"),
}

KIND = CollectorKind(NAME, SqlReportArgs, collect)
