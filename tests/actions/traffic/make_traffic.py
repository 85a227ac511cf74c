"""Routes, Services and what stands behind them, as their API has them."""

from __future__ import annotations

from typing import Any

from tests.actions.make import NS, deployment, meta, pod


def accepted(*, status: str = "True", seen: int = 1, kind: str = "Accepted") -> dict[str, Any]:
    condition = {"type": kind, "status": status, "reason": "Because", "observedGeneration": seen}
    return {"parentRef": {"name": "public"}, "controllerName": "x/y", "conditions": [condition]}


def ref(name: str, weight: int | None = None, **extra: Any) -> dict[str, Any]:
    return {"name": name, "port": 80, **({} if weight is None else {"weight": weight}), **extra}


def http_route(*rules: Any, parents: Any = None, **extra: Any) -> dict[str, Any]:
    """An HTTPRoute whose rules are lists of backendRefs, or mappings."""
    made = [
        rule if isinstance(rule, dict) else {"matches": [{"path": {"value": f"/{number}"}}], "backendRefs": rule}
        for number, rule in enumerate(rules)
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {**meta("web", "HTTPRoute"), **extra},
        "spec": {"parentRefs": [{"name": "public"}], "rules": made},
        "status": {"parents": [accepted()] if parents is None else parents},
    }


def destination(host: str, weight: int | None = None, subset: str = "") -> dict[str, Any]:
    aim = {"host": host, **({"subset": subset} if subset else {})}
    return {"destination": aim, **({} if weight is None else {"weight": weight})}


def virtual_service(*rules: Any) -> dict[str, Any]:
    """A VirtualService whose rules are lists of destinations."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": meta("web", "VirtualService"),
        "spec": {"hosts": ["web"], "http": [{"name": f"r{n}", "route": rule} for n, rule in enumerate(rules)]},
    }


def slices(ready: int, unready: int = 0, family: str = "IPv4") -> dict[str, Any]:
    endpoints = [{"addresses": [f"{family}-{n}"], "conditions": {"ready": n < ready}} for n in range(ready + unready)]
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family, "endpoints": endpoints}


def service(selector: Any = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta("web", "Service"),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.0.0.1",
            "selector": {"app": "web", "color": "blue"} if selector is None else selector,
            "ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8081}],
            **spec,
        },
    }


def pods(ready: int, unready: int = 0, *, port: str = "http") -> tuple[dict[str, Any], ...]:
    made = []
    for number in range(ready + unready):
        one = pod(f"green-{number}", deployment(), ready=number < ready)
        one["spec"] = {"containers": [{"name": "web", "ports": [{"name": port, "containerPort": 8080}]}]}
        made.append(one)
    return tuple(made)


def key(name: str, namespace: str = NS) -> str:
    return f"endpoints of {namespace}/{name}"
