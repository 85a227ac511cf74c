"""Objects that stand for a database, and what a database answers, in as few words as possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.actions.view import View
from remediator.objects import ref_of
from tests.actions.make import NOW, NS


def service(name: str = "orders-db", **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NS, "uid": f"uid-{name}", "resourceVersion": "5", **meta},
        "spec": {"selector": {"app": name}, "ports": [{"port": 5432}]},
    }


def cnpg_cluster(name: str = "orders-db") -> dict[str, Any]:
    return {**service(name), "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "spec": {"instances": 3}}


def seen(target: Mapping[str, Any], **found: Any) -> View:
    ref = ref_of(target)
    return View(target=target, ref=ref, root=ref, read_at=NOW, found=found)


def index(name: str = "orders_pkey", **more: Any) -> dict[str, Any]:
    return {"name": name, "valid": True, "exclusion": False, "filenode": 16425, "bytes": 40_960} | more


def relation(**more: Any) -> dict[str, Any]:
    """A healthy table `public.orders` of 2 GiB with one index of 40 KiB."""
    return {
        "standby": False,
        "stands_for": [],
        "exists": True,
        "kind": "table",
        "table": "public.orders",
        "temporary": False,
        "system": False,
        "may": {"vacuum": True, "reindex": True},
        "table_bytes": 2 * 2**30,
        "bytes": 40_960,
        "live": 10,
        "dead": 5,
        "last_vacuum": "",
        "last_analyze": "",
        "indexes": [index()],
        "more_indexes": False,
        "busy": [],
        "oldest_transaction_s": 0.0,
        "prepared": 0,
    } | more


def statement(**more: Any) -> dict[str, Any]:
    return {
        "standby": False,
        "stands_for": [],
        "sql": "UPDATE carts SET open = false WHERE id <= %(most)s",
        "digest": "d" * 64,
        "reads": False,
        "alone": False,
        "max_rows": 5,
        "objection": "",
    } | more


def backend(pid: int = 4711, **more: Any) -> dict[str, Any]:
    """A session of `shop_app` that is idle in a transaction since 11:50:00."""
    at = "2025-06-01T11:50:00.000001+00:00"
    return {
        "pid": pid,
        "backend_start": "2025-06-01T09:00:00.123456+00:00",
        "xact_start": at,
        "query_start": at,
        "state_change": at,
        "since": at,
        "state": "idle in transaction",
        "user": "shop_app",
        "application": "orders-api",
        "query": "UPDATE orders SET note = ? WHERE id = ?",
        "query_hash": "0123456789ab",
        "waiters": 0,
    } | more


def sessions(*backends: Any, spared: Any = (), **more: Any) -> dict[str, Any]:
    return {
        "standby": False,
        "stands_for": [],
        "backends": list(backends),
        "spared": list(spared),
        "more": False,
    } | more
