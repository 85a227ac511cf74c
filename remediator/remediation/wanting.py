"""Reads what an action wants to know besides its target, all at once. What is missing is named, never empty."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, assert_never

from remediator.actions.view import Ask, Get, ListOf, Query, Wanted
from remediator.errors import CannotSee, NotFound, ReadError
from remediator.ports import Caller, Cluster, Queries, section_of


async def read_wanted(
    wanted: Mapping[str, Wanted], cluster: Cluster, queries: Queries | None, callers: Mapping[str, Caller]
) -> tuple[dict[str, Any], dict[str, str]]:
    """What was found, and why the rest could not be read, both by name."""

    async def one(name: str, want: Wanted) -> tuple[str, Any, str]:
        try:
            return name, await _read(want, cluster, queries, callers), ""
        except ReadError as exc:
            return name, None, str(exc) or type(exc).__name__

    answers = await asyncio.gather(*(one(name, want) for name, want in wanted.items()))
    return {n: found for n, found, why in answers if not why}, {n: why for n, _, why in answers if why}


async def _read(want: Wanted, cluster: Cluster, queries: Queries | None, callers: Mapping[str, Caller]) -> Any:
    """Raises: ReadError."""
    match want:
        case Get(ref):
            try:
                return await cluster.get(ref)
            except NotFound:
                return None
        case ListOf():
            found = await cluster.list(want.kind, want.namespace, labels=want.labels, fields=want.fields)
            return found.items
        case Query(promql):
            if queries is None:
                raise CannotSee("no Prometheus is configured")
            return await queries.instant(promql)
        case Ask(via, place, request):
            if via not in callers:
                raise CannotSee(f"nothing is configured that can be asked by {via} ({section_of(via)})")
            return await callers[via].ask(place, request)
        case _:
            assert_never(want)
