"""`services`, `endpoints` and `ingresses`: what traffic finds behind a name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from remediator.objects import Object, dig, labels_of
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.collectors.base import CollectorKind, Evidence
from remediator.remediation.collectors.reading import (
    Part,
    ScopedArgs,
    count,
    hand_over,
    namespaces_of,
    place_of,
    read,
    where,
    word,
)

SERVICES, ENDPOINTS, INGRESSES = "services", "endpoints", "ingresses"
OF_SERVICE = "kubernetes.io/service-name"


class ServicesArgs(ScopedArgs):
    """`limit`: how many, those without a ready endpoint first."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50


class EndpointsArgs(ScopedArgs):
    """`service`: only this one. `limit`: addresses of each."""

    service: Annotated[str, Field(max_length=63)] = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 20


async def services(args: ServicesArgs, context: CheckContext) -> Evidence:
    """Every Service with its ready endpoints."""
    spaces, found, behind, parts = await _both(args, context)
    rows = [_row(service, behind) for service in found]
    rows.sort(key=lambda r: (not r["empty"], r["service"]))
    empty = [r for r in rows if r["empty"]]
    return hand_over(
        SERVICES,
        context,
        title=f"Services {place_of(spaces)}",
        lines=[_line(r) for r in rows[: args.limit]],
        summary=f"{count(len(rows), 'Service')}, {len(empty)} without a ready endpoint",
        parts=parts,
        rows=rows,
    )


async def _both(
    args: ScopedArgs, context: CheckContext
) -> tuple[tuple[str, ...], tuple[Object, ...], Mapping[str, list[Mapping[str, Any]]], tuple[Part, Part]]:
    """Services, and the endpoints of each by `namespace/name`; none where those could not be read."""
    spaces = namespaces_of(args, context)
    found, slices = await asyncio.gather(read(context, "Service", spaces), read(context, "EndpointSlice", spaces))
    behind: dict[str, list[Mapping[str, Any]]] = {}
    for one in slices.items:
        key = f"{dig(one, 'metadata', 'namespace')}/{labels_of(one).get(OF_SERVICE, '')}"
        behind.setdefault(key, []).extend(one.get("endpoints") or ())
    shown = () if slices.problem else found.items  # without endpoints every Service would look empty
    return spaces, shown, behind, (found, slices)


def is_ready(endpoint: Mapping[str, Any]) -> bool:
    """Nothing said means ready (discovery/v1)."""
    return dig(endpoint, "conditions", "ready", default=True) is not False


def _row(service: Object, behind: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    endpoints = behind.get(where(service), ())
    kind = word(dig(service, "spec", "type") or "ClusterIP", 20)
    # One without a selector is filled by somebody, or by nobody on purpose; a name elsewhere has no endpoints at all.
    ready = sum(len(e.get("addresses") or ()) for e in endpoints if is_ready(e))
    total = sum(len(e.get("addresses") or ()) for e in endpoints)
    selects = bool(dig(service, "spec", "selector"))
    return {
        "service": where(service),
        "type": kind,
        "ports": [f"{p.get('port')}/{p.get('protocol') or 'TCP'}" for p in dig(service, "spec", "ports") or ()][:10],
        "ready": ready,
        "total": total,
        "selects": selects,
        "empty": selects and not ready and kind != "ExternalName",
        "waits": kind == "LoadBalancer" and not dig(service, "status", "loadBalancer", "ingress"),
    }


def _line(row: Mapping[str, Any]) -> str:
    notes = "" if row["selects"] else ", no selector"
    notes += ", waits for its load balancer" if row["waits"] else ""
    ports = ",".join(row["ports"]) or "no ports"
    return f"{row['service']}: {row['type']} {ports}, {row['ready']} of {row['total']} endpoints ready{notes}"


async def endpoints(args: EndpointsArgs, context: CheckContext) -> Evidence:
    """The addresses behind each Service: pod, node, readiness."""
    spaces, found, behind, parts = await _both(args, context)
    chosen = [s for s in found if not args.service or dig(s, "metadata", "name") == args.service]
    lines, ready, total = [], 0, 0
    for service in sorted(chosen, key=where):
        addresses = list(behind.get(where(service), ()))
        good = [e for e in addresses if is_ready(e)]
        ready, total = ready + len(good), total + len(addresses)
        lines.append(f"{where(service)}: {len(good)} of {count(len(addresses), 'endpoint')} ready")
        lines += [f"  {_endpoint(e)}" for e in sorted(addresses, key=is_ready)[: args.limit]]
    if args.service and not chosen and not any(p.problem for p in parts):
        lines.append(f"there is no Service {one_line(args.service, 63)} {place_of(spaces)}")
    return hand_over(
        ENDPOINTS,
        context,
        title=f"endpoints {place_of(spaces)}",
        lines=lines,
        summary=f"{ready} of {count(total, 'endpoint')} ready behind {count(len(chosen), 'Service')}",
        parts=parts,
        data={"services": len(chosen), "ready": ready, "total": total},
    )


def _endpoint(one: Mapping[str, Any]) -> str:
    state = "ready" if is_ready(one) else "terminating" if dig(one, "conditions", "terminating") else "not ready"
    address = ", ".join(map(str, (one.get("addresses") or ())[:3])) or "no address"
    return f"{address}: {state}, {word(dig(one, 'targetRef', 'name'), 253)} on {word(one.get('nodeName'), 253)}"


async def ingresses(args: ServicesArgs, context: CheckContext) -> Evidence:
    """Hosts and paths, and whether the Services behind them exist and have ready endpoints."""
    spaces, found, behind, parts = await _both(args, context)
    part = await read(context, "Ingress", spaces)
    state = {row["service"]: row for row in (_row(s, behind) for s in found)}
    blind = any(p.problem for p in parts)
    rows = [row for ingress in part.items for row in _paths(ingress, state, blind=blind)]
    rows.sort(key=lambda r: (not r["broken"], r["ingress"], r["host"], r["path"]))
    broken = [r for r in rows if r["broken"]]
    return hand_over(
        INGRESSES,
        context,
        title=f"Ingresses {place_of(spaces)}",
        lines=[f"{r['ingress']}: {r['host']}{r['path']} -> {r['backend']}, {r['state']}" for r in rows[: args.limit]],
        summary=f"{count(len(part.items), 'Ingress')}, {len(broken)} of {count(len(rows), 'path')} lead nowhere",
        parts=(part, *parts),
        rows=rows,
    )


def _paths(ingress: Object, state: Mapping[str, Mapping[str, Any]], *, blind: bool) -> list[dict[str, Any]]:
    default = dig(ingress, "spec", "defaultBackend")
    found = [("*", "/", default)] if default else []
    for rule in dig(ingress, "spec", "rules") or ():
        for path in dig(rule, "http", "paths") or ():
            found.append(
                (word(rule.get("host") or "*", 253), one_line(str(path.get("path") or "/"), 100), path["backend"])
            )
    rows = []
    for host, path, backend in found:
        name = dig(backend, "service", "name")
        key = f"{dig(ingress, 'metadata', 'namespace')}/{name}"
        told, broken = _backend(state.get(key), named=bool(name), blind=blind)
        port = dig(backend, "service", "port", "number") or dig(backend, "service", "port", "name") or "?"
        rows.append(
            {
                "ingress": where(ingress),
                "host": host,
                "path": path,
                "backend": f"{word(name, 63)}:{port}" if name else "a resource",
                "state": told,
                "broken": broken,
            }
        )
    return rows


def _backend(row: Mapping[str, Any] | None, *, named: bool, blind: bool) -> tuple[str, bool]:
    if blind or not named:
        return "backend not known", False
    if row is None:
        return "no such Service", True
    return f"{row['ready']} ready", bool(row["empty"])


KINDS_OF_EVIDENCE = (
    CollectorKind(SERVICES, ServicesArgs, services),
    CollectorKind(ENDPOINTS, EndpointsArgs, endpoints),
    CollectorKind(INGRESSES, ServicesArgs, ingresses),
)
