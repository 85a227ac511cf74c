"""patch: fields that have no action of their own, and none that would do harm unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.generic.kinds import CREATABLE, GENERIC_KINDS, protected
from remediator.actions.generic.patch import Patch, PatchParams
from remediator.actions.render import inverse, render
from remediator.objects import KINDS
from tests.actions.delivery.make_delivery import application, external_secret, flux
from tests.actions.make import NOW, deployment, hpa, meta, owner, pdb, pod, view
from tests.actions.traffic.make_traffic import http_route, ref, service


def plan(obj: Any, *fields: Any, **parts: Any) -> Any:
    params = PatchParams.model_validate({"fields": [{"path": path, "value": value} for path, value in fields]})
    return Patch().plan(params, view(obj, **parts))


IMAGE = ("spec", "template", "spec", "containers", "[name=api]", "image")
SESSION = ("spec", "sessionAffinity")
CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": meta("settings", "ConfigMap"),
    "data": {"level": "debug", "7": "x"},
}
ANY = ("spec", "anything")


def of(kind: str) -> dict[str, Any]:
    """A bare object of any known kind."""
    known = KINDS[kind]
    metadata = meta("x", known.kind)
    if not known.namespaced:
        metadata["namespace"] = ""
    return {"apiVersion": known.api_version, "kind": known.kind, "metadata": metadata, "spec": {}}


@pytest.mark.parametrize(
    ("obj", "path", "value", "before"),
    [
        pytest.param(service(), SESSION, "ClientIP", None, id="a new field"),
        pytest.param(service(sessionAffinity="ClientIP"), SESSION, None, "ClientIP", id="a field goes"),
        pytest.param(deployment(), ("spec", "progressDeadlineSeconds"), 60, None, id="a number"),
        pytest.param(CONFIG, ("data", "level"), "info", "debug", id="ConfigMap"),
        pytest.param(service(), ("spec", "ports", "0", "targetPort"), 8080, "http", id="by number"),
        pytest.param(flux(), ("spec", "interval"), "1m", "10m", id="Flux"),
        pytest.param(
            http_route([ref("a")]), ("spec", "rules", "0", "timeouts"), {"request": "5s"}, None, id="through a list"
        ),
    ],
)
def test_a_field(obj, path, value, before):
    change = plan(obj, (path, value))
    (effect,) = change.effects
    assert effect.changes == (FieldChange(path, before, value),)
    assert effect.replace
    assert effect.undoable
    assert (change.takes, change.needs_approval) == (0, "")


def test_on_the_wire_and_back():
    obj = deployment()
    (effect,) = plan(obj, (IMAGE, "shop/api:2")).effects
    sent = {o["path"]: o.get("value") for o in json.loads(render(effect, obj, effect_id="e", now=NOW).body)}
    assert sent["/spec/template/spec/containers/0/image"] == "shop/api:2"
    undo: Any = inverse(effect, deployment(image="shop/api:2"))
    assert [(c.before, c.after) for c in undo.changes] == [("shop/api:2", "shop/api:1")]


def test_a_new_template_takes_what_a_rollout_takes():
    change = plan(deployment(4), (IMAGE, "shop/api:2"))
    assert (change.takes, change.reduces_capacity) == (1, True)
    assert "replaces every pod" in change.notes[0]
    assert diff_lines(change, view(deployment()).ref) == ("[name=api].image shop/api:1 -> shop/api:2",)


def test_a_template_whose_copies_nobody_counts_asks():
    rollout = of("Rollout.argoproj.io")
    change = plan(rollout, (("spec", "template", "metadata"), {"annotations": {"a": "b"}}))
    assert "is not counted here" in change.needs_approval


@pytest.mark.parametrize(
    ("obj", "path", "value", "reason"),
    [
        pytest.param(deployment(), ("metadata", "finalizers"), [], "only what is below spec", id="metadata"),
        pytest.param(deployment(), ("status", "replicas"), 1, "only what is below spec", id="status"),
        pytest.param(application(), ("operation", "sync"), {}, "only what is below spec", id="operation"),
        pytest.param(service(), ("data", "x"), "y", "only what is below spec", id="data of no ConfigMap"),
        pytest.param(deployment(), ("spec", "replicas"), 0, "scale changes that", id="replicas"),
        pytest.param(deployment(), ("spec", "selector", "matchLabels"), {}, "cannot be changed", id="selector"),
        pytest.param(service(), ("spec", "selector"), {"a": "b"}, "switch_service", id="Service selector"),
        pytest.param(service(), ("spec", "selector", "app"), "b", "switch_service", id="within the selector"),
        pytest.param(service(), ("spec", "externalIPs"), ["1.2.3.4"], "other people's traffic", id="external IPs"),
        pytest.param(service(), ("spec", "type"), "LoadBalancer", "to the outside", id="Service type"),
        pytest.param(hpa(), ("spec", "maxReplicas"), 99, "set_hpa_bounds", id="HPA"),
        pytest.param(pdb(), ("spec", "minAvailable"), 0, "what people have said", id="PDB"),
        pytest.param(application(), ("spec", "syncPolicy", "automated"), {}, "argocd_suspend", id="Argo auto-sync"),
        pytest.param(application(), ("spec", "destination"), {}, "with whose rights", id="Argo destination"),
        pytest.param(flux(), ("spec", "suspend"), True, "flux_suspend", id="Flux suspend"),
        pytest.param(flux(), ("spec", "serviceAccountName"), "admin", "another account", id="Flux account"),
        pytest.param(external_secret(), ("spec", "target"), {}, "writes a Secret", id="ExternalSecret"),
        pytest.param(http_route([ref("a")]), ("spec", "rules"), [], "set_route_weight", id="all rules"),
        pytest.param(
            http_route([ref("a")]),
            ("spec", "rules", "0", "backendRefs", "0", "weight"),
            0,
            "set_route_weight",
            id="weight",
        ),
        pytest.param(of("PersistentVolumeClaim"), ANY, 1, "it holds data", id="PVC"),
        pytest.param(
            of("PersistentVolume"), ("spec", "persistentVolumeReclaimPolicy"), "Delete", "holds data", id="PV"
        ),
        pytest.param(of("Node"), ("spec", "taints"), [], "cordon, uncordon", id="Node"),
        pytest.param(of("Cluster.postgresql.cnpg.io"), ("spec", "instances"), 0, "it is a database", id="CNPG"),
        pytest.param(of("Backup.velero.io"), ANY, 0, "it is a backup", id="Velero"),
        pytest.param(of("Kafka.kafka.strimzi.io"), ANY, 0, "it is a message broker", id="Kafka"),
        pytest.param(pod("a", deployment()), ("spec", "activeDeadlineSeconds"), 1, "decides about", id="Pod of one"),
        pytest.param(of("Pod"), ("spec", "activeDeadlineSeconds"), 1, "from a template", id="Pod"),
        pytest.param(
            deployment(),
            (*IMAGE[:4], "[name=web]", "image"),
            "x",
            r"no item .*containers\[name=web\]",
            id="no container",
        ),
        pytest.param(deployment(), (*IMAGE[:4], "[name=web]"), {"name": "web"}, "no item", id="never one more"),
        pytest.param(deployment(), (*IMAGE[:4], "3", "image"), "x", "no item", id="no such number"),
        pytest.param(CONFIG, ("data", "7"), "y", "no item", id="a key that looks like a number"),
        pytest.param(CONFIG, ("data", "8"), "y", "no item", id="a new key that looks like a number"),
        pytest.param(service(ipFamilies=None), SESSION, None, "has these values already", id="absent already"),
        pytest.param(deployment(), IMAGE, "shop/api:1", "has these values already", id="as it is"),
    ],
)
def test_left_alone(obj, path, value, reason):
    with pytest.raises(NotPossible, match=reason):
        plan(obj, (path, value))


POD = ("spec", "template", "spec")
CONTAINER = IMAGE[:5]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*POD, "hostNetwork"), True),
        ((*POD, "serviceAccountName"), "admin"),
        ((*POD, "automountServiceAccountToken"), True),
        ((*POD, "nodeName"), "n1"),
        ((*POD, "volumes"), [{"name": "x", "hostPath": {"path": "/"}}]),
        ((*POD, "securityContext"), None),
        ((*POD, "securityContext", "runAsNonRoot"), False),
        ((*CONTAINER, "securityContext", "privileged"), True),
        ((*CONTAINER, "securityContext"), {"capabilities": {"add": ["SYS_ADMIN"]}}),
        ((*CONTAINER, "ports"), [{"containerPort": 80, "hostPort": 80}]),
        (POD, {"containers": []}),
    ],
)
def test_nothing_that_gives_rights(path, value):
    obj = deployment()
    obj["spec"]["template"]["spec"]["securityContext"] = {"runAsNonRoot": True}
    with pytest.raises(NotPossible, match="is left alone"):
        plan(obj, (path, value))


def test_an_operators_object_is_left_to_it():
    obj = deployment(metadata={"ownerReferences": owner(deployment())})
    with pytest.raises(NotPossible, match="Deployment api decides") as caught:
        plan(obj, (IMAGE, "x"))
    assert caught.value.guardrail == "ownership"


@pytest.mark.parametrize(
    ("obj", "parts", "reason"),
    [
        pytest.param(deployment(spec={"paused": True}), {}, "is paused", id="paused"),
        pytest.param(
            deployment(), {"unreadable": {"revisions": "no"}}, "CANNOT SEE: revisions", id="revisions not seen"
        ),
    ],
)
def test_a_rollout_that_must_not_begin(obj, parts, reason):
    with pytest.raises(NotPossible, match=reason):
        plan(obj, (IMAGE, "x"), **parts)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [{"path": ["spec"], "value": {}}],
        [{"path": ["spec", "a"]}],
        [{"path": ["spec", ""], "value": 1}],
        [{"path": ["spec", "a"], "value": "x" * 20_000}],
        [{"path": ["spec", "a"], "value": 1}, {"path": ["spec", "a", "b"], "value": 1}],
        [{"path": ["spec", "a"], "value": 1}, {"path": ["spec", "a"], "value": 2}],
        [{"path": ["spec", "a"], "value": 1, "force": True}],
    ],
)
def test_bad_params(fields):
    with pytest.raises(ValidationError):
        PatchParams.model_validate({"fields": fields})


def test_kinds():
    """Credentials, rights, records and what only controllers write are no targets; each other kind has an answer."""
    assert not {"Secret", "Event", "RoleBinding", "ClusterRoleBinding", "ServiceAccount", "ReplicaSet"} & {
        *GENERIC_KINDS
    }
    assert {"Deployment", "ConfigMap", "Application.argoproj.io"} <= {*GENERIC_KINDS}
    for kind in GENERIC_KINDS:
        assert protected(kind, ("spec",))
        assert protected(kind, ("metadata", "ownerReferences"))


def test_what_can_be_made_is_known():
    assert {*CREATABLE} <= {*GENERIC_KINDS}
    assert all(KINDS[kind].namespaced for kind in CREATABLE)
