"""The rights that the chart grants: enough for the code, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.actions.registry import BUILT_IN
from remediator.objects import KINDS
from tests.support.controlplane import ApiError, ControlPlane, KubeClient, manifests
from tests.support.rbac import Rules, chart_roles, grant_chart_roles

pytestmark = [pytest.mark.controlplane, pytest.mark.usefixtures("helm_built")]

Right = tuple[str, str, str]
"""verb, group, resource (with its subresource)."""


def rights(rules: Rules) -> set[Right]:
    return {
        (verb, group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def resource_of(kind: str) -> tuple[str, str]:
    return KINDS[kind].api_version.rpartition("/")[0], KINDS[kind].plural


STARTERS = ("rollout_restart", "rollback", "scale", "evict_pod")
"""What the playbooks of the default set do; the other areas bring their rights by `remediator rbac`."""

READ = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ControllerRevision",
    "Pod",
    "Service",
    "Event",
    "PersistentVolumeClaim",
    "Node",
    "Namespace",
    "Job",
    "CronJob",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
)
"""What finding a target, guardrails and evidence look at, whatever the playbooks do."""


def test_the_default_playbooks_do_no_more_than_the_chart_grants() -> None:
    used = {
        step.get("action")
        for path in Path("playbooks").glob("*.yaml")
        for step in yaml.safe_load(path.read_text())["steps"]
    }
    assert used <= {*STARTERS, None}


def test_exactly_the_kinds_that_are_read() -> None:
    read, _ = chart_roles()
    kinds = {(verb, *resource_of(kind)) for kind in READ for verb in ("get", "list", "watch")}
    assert rights(read) == kinds | {("get", "", "pods/log")}


def test_exactly_what_the_actions_write() -> None:
    """Patches of what they act on, an autoscaler in the place of its workload, pods by eviction, the one deletion."""
    _, write = chart_roles()
    starters = [action for action in BUILT_IN if action.name in STARTERS]
    patched = {kind for action in starters for kind in action.kinds}
    patched |= {"HorizontalPodAutoscaler" for action in starters if "hpas" in action.needs}
    wanted = {("patch", *resource_of(kind)) for kind in patched}
    events = {("create", "", "events"), ("patch", "", "events")}
    assert rights(write) == wanted | events | {("create", "", "pods/eviction"), ("delete", "", "pods")}


def test_nothing_is_granted_by_wildcard() -> None:
    for rules in chart_roles():
        assert not [right for right in rights(rules) if "*" in "".join(right)]
        assert not [right for right in rights(rules) if right[2] in ("secrets", "configmaps", "pods/exec")]


@pytest.fixture
def other(control_plane: ControlPlane, namespace: str) -> Iterator[str]:
    """A namespace that was not given for writing."""
    name = f"{namespace[:50]}-other"
    control_plane.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    control_plane.client.delete("namespaces", name)


def may(client: KubeClient, verb: str, resource: str, namespace: str = "") -> bool:
    """What a real authorizer answers; `resource` as in `pods/eviction` or `deployments.apps`."""
    name, _, subresource = resource.partition("/")
    plural, _, group = name.partition(".")
    attributes = {"verb": verb, "resource": plural, "group": group, "subresource": subresource, "namespace": namespace}
    review: dict[str, Any] = client.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        },
    )
    return bool(review["status"]["allowed"])


def test_a_service_account_with_the_chart_s_rights(control_plane: ControlPlane, namespace: str, other: str) -> None:
    """It reads everywhere, writes in one namespace, and nowhere more than the actions need."""
    me = control_plane.client.with_token(grant_chart_roles(control_plane, "remediator", namespace, write=[namespace]))
    for kind in READ:
        group, plural = resource_of(kind)
        resource = f"{plural}.{group}" if group else plural
        assert all(may(me, verb, resource) for verb in ("get", "list", "watch")), kind
    writes = [("patch", f"{plural}.apps") for plural in ("deployments", "statefulsets", "daemonsets")]
    writes += [
        ("create", "events"),
        ("patch", "events"),
        ("create", "pods/eviction"),
        ("delete", "pods"),
        ("patch", "horizontalpodautoscalers.autoscaling"),
    ]
    for verb, resource in writes:
        assert may(me, verb, resource, namespace), (verb, resource)
        assert not may(me, verb, resource, other), (verb, resource)
        assert not may(me, verb, resource), (verb, resource)
    never = [("get", "secrets"), ("create", "pods/exec"), ("create", "pods"), ("delete", "deployments.apps")]
    never += [("patch", "nodes"), ("update", "deployments.apps"), ("bind", "roles.rbac.authorization.k8s.io")]
    assert not [one for one in never if may(me, *one, namespace)]


def test_read_namespaces_show_nothing_else(control_plane: ControlPlane, namespace: str, other: str) -> None:
    """The namespace itself can be read too: its annotations protect and pause."""
    me = control_plane.client.with_token(grant_chart_roles(control_plane, "reader", namespace, read=[namespace]))
    for name in (namespace, other):
        control_plane.client.create(manifests.deployment("api"), name)
    assert me.get("deployments", "api", namespace)["metadata"]["name"] == "api"
    assert me.get("namespaces", namespace)["metadata"]["name"] == namespace
    for resource in ("deployments", "pods", "events"):
        with pytest.raises(ApiError, match="403"):
            me.list(resource, other)
    with pytest.raises(ApiError, match="403"):
        me.get("namespaces", other)
