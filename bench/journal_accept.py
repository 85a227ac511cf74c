"""How many deliveries of one alert the journal accepts durably in a second, beside a bare SQLite loop in the same run.

    python -m bench.journal_accept [--seconds 3] [--connections 32]

The reference inserts as many rows of the same size into a plain table, as many to a transaction as there are
connections, with the same pragmas: what is left of it is what identity, fairness and hand-over cost. No pass or fail.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import quantiles

from remediator.adapters.sql.journal import SqlJournal
from remediator.alerts.alert import Alert

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
ODD = 0x9E3779B97F4A7C15
"""Spreads the fingerprints like the hashes that they are."""


def alerts() -> Iterator[Alert]:
    for number in count():
        yield Alert(
            fingerprint=f"{number * ODD % 2**64:016x}",
            status="firing",
            labels={
                "alertname": "KubePodCrashLooping",
                "cluster": "prod",
                "namespace": "shop",
                "pod": f"checkout-7d9f8b6c5-{number}",
                "container": "checkout",
                "severity": "critical",
                "prometheus": "monitoring/k8s",
            },
            annotations={"summary": "Pod is crash looping.", "runbook_url": "https://runbooks.example.com/crash"},
            starts_at=NOW,
            generator_url="https://prometheus.example.com/graph?g0.expr=rate%28x%5B5m%5D%29",
            group_key='{}:{alertname="KubePodCrashLooping"}',
        )


def bare(path: Path, seconds: float, at_once: int) -> float:
    """Rows a second of executemany and COMMIT, nothing else."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, fingerprint TEXT UNIQUE, seen INTEGER, body TEXT)")
    body = "x" * 480
    number, end, began = 0, time.perf_counter() + seconds, time.perf_counter()
    while time.perf_counter() < end:
        rows = [(f"{n * ODD % 2**64:016x}", n, body) for n in range(number, number + at_once)]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO t (fingerprint, seen, body) VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
        number += at_once
    rate = number / (time.perf_counter() - began)
    connection.close()
    return rate


async def journal(path: Path, seconds: float, connections: int, per_post: int) -> tuple[float, float]:
    """Alerts a second, and the 99th percentile of one accept in milliseconds."""
    store = SqlJournal.open_file(path)
    source = alerts()
    took: list[float] = []
    began = time.perf_counter()
    end = began + seconds

    async def client() -> None:
        while (start := time.perf_counter()) < end:
            await store.accept([next(source) for _ in range(per_post)], NOW)
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(client() for _ in range(connections)))
    rate = len(took) * per_post / (time.perf_counter() - began)
    await store.close()
    return rate, quantiles(took, n=100)[98] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for per_post in (1, 20):
            reference = bare(Path(folder, f"bare{per_post}.db"), given.seconds, given.connections * per_post)
            path = Path(folder, f"journal{per_post}.db")
            rate, p99 = asyncio.run(journal(path, given.seconds, given.connections, per_post))
            print(
                f"{per_post:2} alert(s) a post: journal {rate:7.0f} alerts/s, p99 {p99:5.1f} ms, "
                f"bare {reference:7.0f} rows/s, ratio {rate / reference:.2f}"
            )


if __name__ == "__main__":
    main()
