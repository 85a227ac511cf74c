"""How many pods stand ready behind a Service, or behind labels. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from remediator.actions.pods import pod_has_finished, pod_is_ready
from remediator.actions.view import ListOf
from remediator.objects import Object, dig

SERVICE_LABEL = "kubernetes.io/service-name"


def slices_of(namespace: str, service: str) -> ListOf:
    """The EndpointSlices of a Service."""
    return ListOf(kind="EndpointSlice", namespace=namespace, labels=f"{SERVICE_LABEL}={service}")


def pods_with(namespace: str, labels: Mapping[str, str]) -> ListOf:
    return ListOf(kind="Pod", namespace=namespace, labels=selector_of(labels))


def selector_of(labels: Mapping[str, str]) -> str:
    """`app=api,version=v2`, in a fixed order."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def ready_endpoints(slices: Iterable[Object]) -> int:
    """Ready endpoints; a Service with IPv4 and IPv6 has each pod in a slice of both, which counts once."""
    by_family: dict[str, set[str]] = {}
    for one in slices:
        found = by_family.setdefault(str(one.get("addressType", "")), set())
        for endpoint in one.get("endpoints") or ():
            # Absent means ready, by the API's own rule.
            if dig(endpoint, "conditions", "ready") is not False and (addresses := endpoint.get("addresses")):
                found.add(str(addresses[0]))
    return max((len(found) for found in by_family.values()), default=0)


def ready_pods(pods: Iterable[Object], named_ports: Collection[str] = ()) -> int:
    """Ready pods that have all these named ports: without them they would be no endpoints."""
    return sum(
        1 for pod in pods if pod_is_ready(pod) and not pod_has_finished(pod) and _ports(pod) >= frozenset(named_ports)
    )


def _ports(pod: Object) -> frozenset[str]:
    containers = [*(dig(pod, "spec", "containers") or ()), *(dig(pod, "spec", "initContainers") or ())]
    return frozenset(str(port.get("name")) for c in containers for port in c.get("ports") or () if port.get("name"))
