"""`security_audit`: what a pod may do to its node, what anybody may do without a name, and what is open to the outside.

Findings are for a person to weigh: a CNI plugin is privileged on purpose.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from remediator.objects import Object, controller_of, dig
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.collectors.base import CollectorKind, Evidence
from remediator.remediation.collectors.reading import (
    ScopedArgs,
    count,
    hand_over,
    namespaces_of,
    place_of,
    read,
    where,
    word,
)

NAME = "security_audit"

ANYBODY = frozenset({"system:anonymous", "system:unauthenticated"})
ADMINS = "cluster-admin"
_HARMLESS = frozenset({"system:public-info-viewer", "system:discovery", "system:basic-user"})
"""Roles that Kubernetes itself gives to everybody: versions and health."""


class SecurityArgs(ScopedArgs):
    """`ignore`: namespaces left out, by default the cluster's own. `limit`: how many findings are shown."""

    namespace: Annotated[str, Field(max_length=63)] = "*"
    ignore: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=50)] = ("kube-system",)
    limit: Annotated[int, Field(ge=1, le=500)] = 100


async def collect(args: SecurityArgs, context: CheckContext) -> Evidence:
    """Pods, bindings and Services, each finding with what it is about."""
    spaces = namespaces_of(args, context)
    pods, cluster_bindings, bindings, services = await asyncio.gather(
        read(context, "Pod", spaces),
        read(context, "ClusterRoleBinding"),
        read(context, "RoleBinding", spaces),
        read(context, "Service", spaces),
    )
    found = {finding for pod in _outside(pods.items, args) for finding in pod_findings(pod)}
    found |= {finding for one in (*cluster_bindings.items, *bindings.items) for finding in binding_findings(one)}
    found |= {finding for service in _outside(services.items, args) for finding in service_findings(service)}
    rows = sorted(found)
    counted = Counter(what for what, _ in rows)
    told = ", ".join(f"{n} x {what}" for what, n in counted.most_common(5))
    lines = [f"{what}: {whom}" for what, whom in rows]
    return hand_over(
        NAME,
        context,
        title=f"security audit {place_of(spaces)}",
        lines=[
            *(f"{n} x {what}" for what, n in counted.most_common()),
            *lines[: args.limit],
            *([f"and {len(lines) - args.limit} more"] if len(lines) > args.limit else ()),
        ],
        summary=f"{count(len(rows), 'finding')}" + (f": {told}" if told else ""),
        parts=(pods, cluster_bindings, bindings, services),
        rows=[{"finding": what, "of": whom} for what, whom in rows],
        data={"counted": dict(counted)},
        private=True,
    )


def _outside(objects: Iterable[Object], args: SecurityArgs) -> list[Object]:
    return [obj for obj in objects if dig(obj, "metadata", "namespace") not in args.ignore]


Finding = tuple[str, str]


def pod_findings(pod: Object) -> set[Finding]:
    """By the pod's controller, so that ten copies are one finding."""
    spec, owner = pod.get("spec") or {}, controller_of(pod)
    # A ReplicaSet's name ends in a hash that no person knows: the pod's own labels or name say no more.
    whom = (
        f"{owner.get('kind')} {dig(pod, 'metadata', 'namespace')}/{owner.get('name')}" if owner else f"Pod {where(pod)}"
    )
    found = {
        words
        for key, words in (("hostNetwork", "on the host's network"), ("hostPID", "sees the host's processes"))
        if spec.get(key)
    }
    if any("hostPath" in volume for volume in spec.get("volumes") or ()):
        found.add("mounts a host path")
    if word(spec.get("serviceAccountName") or "default") == "default" and spec.get(
        "automountServiceAccountToken"
    ) is not (False):
        found.add("default service account with its token")
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        found |= _container(container, spec.get("securityContext") or {})
    return {(words, one_line(whom, 300)) for words in found}


def _container(container: Mapping[str, Any], of_pod: Mapping[str, Any]) -> set[str]:
    mine = container.get("securityContext") or {}
    found = set()
    if mine.get("privileged"):
        found.add("privileged")
    user = mine.get("runAsUser", of_pod.get("runAsUser"))
    not_root = mine.get("runAsNonRoot", of_pod.get("runAsNonRoot"))
    if user == 0:
        found.add("runs as root")
    elif user is None and not not_root:
        found.add("may run as root")
    if mine.get("allowPrivilegeEscalation") is not False:
        found.add("may gain privileges")
    added = {str(c) for c in dig(mine, "capabilities", "add") or ()}
    if added & {"ALL", "SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_MODULE"}:
        found.add("with strong capabilities")
    return found


def binding_findings(binding: Object) -> set[Finding]:
    """Bindings that give something to nobody in particular, or everything to a service account."""
    role = str(dig(binding, "roleRef", "name", default=""))
    name = f"{binding.get('kind')} {where(binding)} to {one_line(role, 200)}"
    found = set()
    for subject in binding.get("subjects") or ():
        whom = str(subject.get("name", ""))
        if whom in ANYBODY and role not in _HARMLESS:
            found.add(("bound to anybody", name))
        if whom == "system:authenticated" and role not in _HARMLESS:
            found.add(("bound to everybody who can log in", name))
        if role == ADMINS and subject.get("kind") == "ServiceAccount":
            found.add(("service account as cluster-admin", name))
        if subject.get("kind") == "ServiceAccount" and whom == "default":
            found.add(("default service account with a role", name))
    return found


def service_findings(service: Object) -> set[Finding]:
    """Services that are reached from outside the cluster."""
    kind = dig(service, "spec", "type")
    found = set()
    if kind == "LoadBalancer":
        open_to_all = not dig(service, "spec", "loadBalancerSourceRanges")
        found.add(("load balancer" + (" open to all" if open_to_all else ""), f"Service {where(service)}"))
    if kind == "NodePort":
        found.add(("node port", f"Service {where(service)}"))
    if dig(service, "spec", "externalIPs"):
        found.add(("external IPs", f"Service {where(service)}"))
    return found


KIND = CollectorKind(NAME, SecurityArgs, collect)
