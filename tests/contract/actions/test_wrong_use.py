"""What goes wrong ends in one clear sentence, with the API server's own words where it has the word."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from remediator.errors import InvalidPlaybook
from remediator.guardrails.verdict import Answer
from remediator.objects import KINDS, Kind, ObjectRef
from tests.contract.actions.arrange import clean_up, kind_of, set_up
from tests.contract.actions.cases import filled, ref
from tests.contract.actions.stage import objections, open_stage
from tests.contract.actions.test_actions import writes
from tests.support.controlplane import ControlPlane
from tests.support.controlplane import manifests as m
from tests.support.crds import NEVER_SERVED, Served

CERTIFICATE = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": {"name": "tls"},
    "spec": {"secretName": "tls", "dnsNames": ["a.example.com"], "issuerRef": {"name": "ca", "kind": "ClusterIssuer"}},
    "status": {
        "notAfter": "${in:24h}",
        "notBefore": "${ago:2160h}",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "${ago:2160h}", "reason": "Ready"}],
    },
}
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "${ns}", "labels": {"kubernetes.io/os": "linux", "karpenter.sh/nodepool": "default"}},
}
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "tight"},
    "spec": {"hard": {"count/services": "0"}},
    "status": {"hard": {"count/services": "0"}, "used": {"count/services": "0"}},
}
TLS = "Certificate.cert-manager.io/tls"
MARK: dict[str, Any] = {"annotations": {"shop.example.com/incident": "4711"}}


def to(path: str, value: Any) -> dict[str, Any]:
    return {"fields": [{"path": path.split("."), "value": value}]}


def made(kind: str, api_version: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "new"}, "spec": dict(spec)}
    return {"manifest": manifest, "fixed_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One way to use it wrongly, seen while planning: the guardrail that says it, and what it says (a pattern)."""

    id: str
    action: str
    target: str
    given: tuple[Any, ...] = ()
    with_: Mapping[str, Any] = field(default_factory=dict)
    rights: bool = True
    unserved: str = ""
    """A kind of an operator that is not installed."""
    guardrail: str
    says: str
    answer: Answer = Answer.DENY


TABLE = (
    Wrong(
        id="no such object",
        action="renew_certificate",
        target=TLS,
        guardrail="target",
        says=r'the target does not exist: certificates\.cert-manager\.io "tls" not found',
    ),
    Wrong(
        id="no such object of Kubernetes itself",
        action="scale",
        target="Deployment/web",
        with_={"to": 2, "min": 1, "max": 3},
        guardrail="target",
        says=r'the target does not exist: deployments\.apps "web" not found',
    ),
    Wrong(
        id="not allowed to write it",
        action="annotate",
        target=TLS,
        given=(CERTIFICATE,),
        with_=MARK,
        rights=False,
        guardrail="dry_run",
        says=r'the API server refuses it: 403 Forbidden: certificates\.cert-manager\.io "tls" is forbidden: '
        r'User "system:serviceaccount:[a-z0-9-]+:acting" cannot patch resource "certificates" in API group '
        r'"cert-manager\.io" in the namespace "[a-z0-9-]+"',
    ),
    Wrong(
        id="not allowed to write its status",
        action="renew_certificate",
        target=TLS,
        given=(CERTIFICATE,),
        rights=False,
        guardrail="dry_run",
        says=r'the API server refuses it: 403 Forbidden: certificates\.cert-manager\.io "tls" is forbidden: .* '
        r'cannot patch resource "certificates" in API group .* \(1 more request of this step was not accepted either\)',
    ),
    Wrong(
        id="not allowed to create it",
        action="create",
        target="Namespace/${ns}",
        with_=made("Certificate", "cert-manager.io/v1", CERTIFICATE["spec"]),  # type: ignore[arg-type]
        rights=False,
        guardrail="dry_run",
        says=r"the API server refuses it: Certificate [a-z0-9-]+/new: 403 Forbidden: "
        r"certificates\.cert-manager\.io is forbidden: "
        r'User "[^"]+" cannot create resource "certificates" .*',
    ),
    Wrong(
        id="a field that its schema does not have",
        action="patch",
        target=TLS,
        given=(CERTIFICATE,),
        with_=to("spec.dnsName", ["b.example.com"]),
        guardrail="dry_run",
        says=r"the API server refuses it: Certificate [a-z0-9-]+/tls: 4\d\d \w+: .*unknown field \"spec\.dnsName\".*",
    ),
    Wrong(
        id="a value that its schema does not allow",
        action="patch",
        target=TLS,
        given=(CERTIFICATE,),
        with_=to("spec.privateKey", {"algorithm": "DSA"}),
        guardrail="dry_run",
        says=r'the API server refuses it: 422 Invalid: Certificate\.cert-manager\.io "tls" is invalid: '
        r'spec\.privateKey\.algorithm: Unsupported value: "DSA": supported values: "RSA", "ECDSA", "Ed25519"',
    ),
    Wrong(
        id="a value of the wrong type",
        action="patch",
        target=TLS,
        given=(CERTIFICATE,),
        with_=to("spec.revisionHistoryLimit", "two"),
        guardrail="dry_run",
        says=r'the API server refuses it: 422 Invalid: Certificate\.cert-manager\.io "tls" is invalid: '
        r'spec\.revisionHistoryLimit: Invalid value: "string": .* must be of type integer: "string".*',
    ),
    Wrong(
        id="a required field is missing from a manifest",
        action="create",
        target="Namespace/${ns}",
        with_=made("Certificate", "cert-manager.io/v1", {"dnsNames": ["a.example.com"]}),
        guardrail="dry_run",
        says=r"the API server refuses it: 422 Invalid: Certificate\.cert-manager\.io \"new\" is invalid: "
        r".*spec\.(issuerRef|secretName): Required value.*",
    ),
    Wrong(
        id="a quota is used up",
        action="create",
        target="Namespace/${ns}",
        given=(QUOTA,),
        with_=made("Service", "v1", {"ports": [{"port": 80}], "selector": {"app": "web"}}),
        guardrail="dry_run",
        says=r'the API server refuses it: 403 Forbidden: services "new" is forbidden: exceeded quota: tight, '
        r"requested: count/services=1, used: count/services=0, limited: count/services=0",
    ),
    Wrong(
        id="a field that cannot be changed",
        action="patch",
        target="StatefulSet/db",
        given=(m.statefulset("db", replicas=1),),
        with_=to("spec.podManagementPolicy", "Parallel"),
        guardrail="dry_run",
        says=r'the API server refuses it: 422 Invalid: StatefulSet\.apps "db" is invalid: spec: Forbidden: updates to '
        r"statefulset spec for fields other than .* are forbidden",
    ),
    Wrong(
        id="something of that name exists",
        action="create",
        target="Namespace/${ns}",
        given=({**CERTIFICATE, "metadata": {"name": "new"}},),
        with_=made("Certificate", "cert-manager.io/v1", CERTIFICATE["spec"]),  # type: ignore[arg-type]
        guardrail="target",
        says=r'Certificate [a-z0-9-]+/new exists already: 409 AlreadyExists: certificates\.cert-manager\.io "new" '
        r"already exists",
    ),
)
NOT_INSTALLED = (
    Wrong(
        id="the operator of its target is not installed",
        action="annotate",
        target=f"{NEVER_SERVED}/s",
        with_=MARK,
        guardrail="target",
        answer=Answer.HOLD,
        says=r"the target cannot be read: .*volumesnapshots.*snapshot\.storage\.k8s\.io.*",
    ),
    Wrong(
        id="the operator of what it asks for is not installed",
        action="replace_node",
        target="Node/${ns}",
        given=(NODE,),
        unserved="NodeClaim.karpenter.sh",
        guardrail="target",
        answer=Answer.HOLD,
        says=r"claims: .*nodeclaims.*karpenter\.sh.*",
    ),
    Wrong(
        id="the operator of what it makes is not installed",
        action="create",
        target="Namespace/${ns}",
        with_=made("HTTPRoute", "gateway.networking.k8s.io/v1", {"rules": []}),
        unserved="HTTPRoute.gateway.networking.k8s.io",
        guardrail="dry_run",
        says=r"the API server refuses it: .*httproutes.*gateway\.networking\.k8s\.io.*",
    ),
)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.id) for row in (*TABLE, *NOT_INSTALLED)],
)
async def test_a_plan_that_cannot_be(row: Wrong, control_plane: ControlPlane, namespace: str, served: Served) -> None:
    served.needs({row.target.partition("/")[0], *(kind_of(manifest) for manifest in row.given)} - {NEVER_SERVED})
    await asyncio.to_thread(set_up, control_plane, namespace, filled(list(row.given), namespace))
    target = ref(filled(row.target, namespace), namespace)
    stage = await open_stage(
        control_plane,
        namespace,
        action=row.action,
        params=row.with_,
        target=target,
        rights=row.rights,
        kinds={**KINDS, **_elsewhere(row.unserved)},
    )
    try:
        answer = await stage.plan(stage.remediation(target))
    finally:
        await stage.close()
        clean_up(control_plane, filled(list(row.given), namespace))
    found = [(v.guardrail, v.answer, v.reason) for v in objections(answer)]
    ours = [(g, a) for g, a, _ in found if g in (row.guardrail, "target", "dry_run", "action")]
    assert ours == [(row.guardrail, row.answer)], found
    sentence = next(reason for guardrail, _, reason in found if guardrail == row.guardrail)
    assert re.fullmatch(row.says, sentence), sentence
    assert "\n" not in sentence
    assert writes(control_plane, namespace, 0) == []


def _elsewhere(kind: str) -> dict[str, Kind]:
    """A version of its group that nobody serves: an API server says the same of it as of an absent operator."""
    return {kind: replace(KINDS[kind], api_version=f"{KINDS[kind].group}/v0")} if kind else {}


def test_an_action_for_another_kind_is_no_playbook(control_plane: ControlPlane, namespace: str, served: Served) -> None:
    target = ObjectRef("Certificate.cert-manager.io", namespace, "tls")
    params = {"to": 2, "min": 1, "max": 3}
    with pytest.raises(InvalidPlaybook, match=r"scale cannot act on a Certificate\.cert-manager\.io"):
        asyncio.run(open_stage(control_plane, namespace, action="scale", params=params, target=target))
