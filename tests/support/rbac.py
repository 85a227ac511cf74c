"""What the chart grants, taken from the rendered chart, so that tests run with exactly the documented rights."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from tests.support.chart import SMALLEST, one, render
from tests.support.controlplane import ControlPlane, Object

Rules = list[dict[str, Any]]
RBAC = "rbac.authorization.k8s.io"


@functools.cache
def chart_roles() -> tuple[Rules, Rules]:
    """The rules of the read-only ClusterRole and of the Role in each namespace that may be written.

    Raises: NoControlPlane or BuildFailed without helm.
    """
    objects = render({**SMALLEST, "write": {"namespaces": ["shop"]}})
    return one(objects, "ClusterRole")["rules"], one(objects, "Role")["rules"]


def grant_chart_roles(
    plane: ControlPlane, account: str, home: str, *, write: Sequence[str] = (), read: Sequence[str] = ()
) -> str:
    """The token of ServiceAccount `account` in namespace `home` with the chart's rights and no others.

    It reads the whole cluster, or only the namespaces of `read`, and writes in those of `write`.
    """
    read_rules, write_rules = chart_roles()
    token = plane.token_for(home, account)
    name = f"{home}-{account}"
    subject = {"kind": "ServiceAccount", "name": account, "namespace": home}
    plane.client.apply(_role("ClusterRole", f"{name}-read", read_rules))
    if read:
        for namespace in read:
            plane.client.apply(_binding("RoleBinding", f"{name}-read", "ClusterRole", subject), namespace)
    else:
        plane.client.apply(_binding("ClusterRoleBinding", f"{name}-read", "ClusterRole", subject))
    for namespace in write:
        plane.client.apply(_role("Role", f"{name}-write", write_rules), namespace)
        plane.client.apply(_binding("RoleBinding", f"{name}-write", "Role", subject), namespace)
    return token


def _role(kind: str, name: str, rules: Rules) -> Object:
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}, "rules": rules}


def _binding(kind: str, name: str, role: str, subject: Object) -> Object:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": role, "name": name},
        "subjects": [subject],
    }
