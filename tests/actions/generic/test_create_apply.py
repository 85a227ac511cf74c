"""create and apply: what a manifest may make, where, and how an object becomes as one says."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_ID, FieldChange, NotPossible
from remediator.actions.change import Create as CreateEffect
from remediator.actions.diff import diff_lines
from remediator.actions.generic.apply import Apply, ApplyParams, differences
from remediator.actions.generic.create import Create, CreateParams
from remediator.actions.render import render
from remediator.actions.view import Get
from remediator.objects import ObjectRef
from tests.actions.make import NOW, NS, deployment, meta, owner, view

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS, "uid": "n", "resourceVersion": "1"}}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "n", "resourceVersion": "1"}}


def manifest(kind: str = "ConfigMap", version: str = "v1", *, name: str = "extra", **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, **parts.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def workload(**pod_spec: Any) -> dict[str, Any]:
    labels = {"app": "extra"}
    spec = {"containers": [{"name": "extra", "image": "shop/extra:1"}], **pod_spec}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return manifest(
        "Deployment", "apps/v1", spec={"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    )


def create(obj: Any, target: Any = NAMESPACE, *, parts: Any = None, **params: Any) -> Any:
    return Create().plan(CreateParams(manifest=obj, **params), view(target, **(parts or {})))


def apply(obj: Any, target: Any = NAMESPACE, found: Any = None) -> Any:
    return Apply().plan(ApplyParams(manifest=obj), view(target, found={"object": found}))


CONFIG = manifest(data={"level": "debug"}, metadata={"labels": {"team": "shop"}})


@pytest.mark.parametrize("target", [NAMESPACE, deployment()])
@pytest.mark.parametrize(("fixed", "name"), [(True, "extra"), (False, f"extra-{GENERATED_ID}")])
def test_one_object_in_the_targets_namespace(target, fixed, name):
    change = create(CONFIG, target, fixed_name=fixed)
    (effect,) = change.effects
    assert effect == CreateEffect(
        ref=ObjectRef("ConfigMap", NS, name),
        body={"data": {"level": "debug"}, "metadata": {"labels": {"team": "shop"}}},
        undoable=True,
    )
    shown = name.replace(GENERATED_ID, "…")
    assert diff_lines(change, view(target).ref) == (f"create ConfigMap shop/{shown}",)


def test_on_the_wire():
    (effect,) = create(CONFIG, fixed_name=True).effects
    body = json.loads(render(effect, None, effect_id="e", now=NOW, made_by="r-1").body)
    assert (body["apiVersion"], body["kind"], body["data"]) == ("v1", "ConfigMap", {"level": "debug"})
    assert body["metadata"]["labels"]["team"] == "shop"


CLAIM = manifest("PersistentVolumeClaim", spec={"resources": {"requests": {"storage": "1Gi"}}})


@pytest.mark.parametrize(
    ("obj", "undoable", "doubt"),
    [
        pytest.param(CONFIG, True, "", id="ConfigMap"),
        pytest.param(workload(), True, "", id="Deployment"),
        pytest.param(CLAIM, False, "storage costs", id="PVC"),
        pytest.param({**workload(), "kind": "StatefulSet"}, False, "", id="StatefulSet"),
        pytest.param(manifest("Service", spec={"type": "LoadBalancer"}), True, "opens something", id="LoadBalancer"),
        pytest.param(manifest("Service", spec={"type": "ClusterIP"}), True, "", id="Service"),
        pytest.param(manifest("Ingress", "networking.k8s.io/v1", spec={}), True, "host names", id="Ingress"),
        pytest.param(
            workload(securityContext={"runAsNonRoot": True, "runAsUser": 1000}), True, "", id="less rights are fine"
        ),
    ],
)
def test_what_is_undone_and_what_asks(obj, undoable, doubt):
    change = create(obj)
    assert change.effects[0].undoable is undoable
    assert doubt in change.needs_approval
    assert bool(change.needs_approval) is bool(doubt)


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(manifest("Secret"), id="Secret"),
        pytest.param(manifest("RoleBinding", "rbac.authorization.k8s.io/v1"), id="RBAC"),
        pytest.param(manifest("ServiceAccount"), id="account"),
        pytest.param(manifest("MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1"), id="webhook"),
        pytest.param(manifest("CustomResourceDefinition", "apiextensions.k8s.io/v1"), id="CRD"),
        pytest.param(manifest("Namespace"), id="namespace"),
        pytest.param(manifest("Pod"), id="pod"),
        pytest.param(manifest("Job", "batch/v1"), id="Job"),
        pytest.param(manifest("DeleteBackupRequest", "velero.io/v1"), id="deletes a backup"),
        pytest.param(manifest("Application", "argoproj.io/v1alpha1"), id="deploys"),
        pytest.param(manifest("ExternalSecret", "external-secrets.io/v1"), id="writes a Secret"),
        pytest.param(manifest("Deployment", "apps/v1beta1"), id="another version"),
        pytest.param(manifest("ConfigMap", "example.com/v1"), id="another group"),
        pytest.param({"kind": "ConfigMap", "metadata": {"name": "x"}}, id="no version"),
        pytest.param({"apiVersion": "v1", "kind": "ConfigMap"}, id="no name"),
        pytest.param(manifest(name="../x"), id="hostile name"),
        pytest.param(manifest(name="Extra"), id="capitals"),
        pytest.param(manifest(name="x" * 53), id="long name"),
        pytest.param(manifest(metadata={"generateName": "x"}), id="generateName"),
        pytest.param(manifest(metadata={"finalizers": ["x"]}), id="finalizers"),
        pytest.param(manifest(metadata={"ownerReferences": []}), id="owners"),
        pytest.param(manifest(metadata={"annotations": {"remediator.dev/pause": "x"}}), id="our annotations"),
        pytest.param(manifest(metadata={"annotations": {"a": 1}}), id="annotation of a number"),
        pytest.param(manifest(metadata={"labels": {"a": 1}}), id="label of a number"),
        pytest.param(manifest(metadata={"labels": {"remediator.dev/remediation": "x"}}), id="our label"),
        pytest.param(manifest(metadata={"labels": ["x"]}), id="labels of a list"),
        pytest.param(manifest(status={}), id="status"),
        pytest.param(manifest(data={"level": None}), id="an empty key"),
        pytest.param(workload(volumes=[{"name": None}]), id="an empty key in a list"),
        pytest.param(manifest(data={"x": "y" * 70_000}), id="large"),
        pytest.param(manifest("Service", spec={"externalIPs": ["1.2.3.4"]}), id="external IPs"),
        pytest.param(workload(hostNetwork=True), id="host network"),
        pytest.param(workload(serviceAccountName="admin"), id="another account"),
        pytest.param(workload(volumes=[{"name": "x", "hostPath": {"path": "/"}}]), id="host path"),
        pytest.param(workload(containers=[{"name": "x", "securityContext": {"privileged": True}}]), id="privileged"),
        pytest.param(workload(containers=[{"name": "x", "securityContext": {"runAsUser": 0}}]), id="root"),
        pytest.param(manifest("Deployment", "apps/v1", spec={"replicas": 21}), id="many copies"),
        pytest.param(manifest("Deployment", "apps/v1", spec={"replicas": "all"}), id="copies of a text"),
    ],
)
@pytest.mark.parametrize("model", [CreateParams, ApplyParams])
def test_manifests_that_are_not_made(obj, model):
    with pytest.raises(ValidationError):
        model(manifest=obj)


@pytest.mark.parametrize(
    ("obj", "target", "parts", "reason"),
    [
        pytest.param(
            manifest(metadata={"namespace": "kube-system"}), NAMESPACE, {}, "names namespace kube-system", id="ns"
        ),
        pytest.param(CONFIG, NODE, {}, "is in no namespace", id="no namespace"),
        pytest.param(
            CONFIG,
            deployment(),
            {"namespace": {"metadata": {"deletionTimestamp": "x"}}},
            "namespace shop is being deleted",
            id="namespace goes",
        ),
        pytest.param(
            CONFIG, {**NAMESPACE, "metadata": {"name": NS, "deletionTimestamp": "x"}}, {}, "being deleted", id="goes"
        ),
    ],
)
def test_only_in_the_targets_namespace(obj, target, parts, reason):
    with pytest.raises(NotPossible, match=reason):
        create(obj, target, parts=parts)


def live(obj: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A manifest as the API server has it."""
    found = copy.deepcopy(obj)
    found["metadata"] = {**meta(obj["metadata"]["name"], obj["kind"]), **found["metadata"]}
    return {**found, **changes}


def test_apply_makes_what_is_missing():
    (effect,) = apply(CONFIG).effects
    assert effect.kind == "create"
    assert effect.ref == ObjectRef("ConfigMap", NS, "extra")


def test_apply_changes_what_differs_only():
    found = live(CONFIG, data={"level": "info", "more": "x"})
    change = apply(CONFIG, found=found)
    (effect,) = change.effects
    assert effect.changes == (FieldChange(("data", "level"), "info", "debug"),)
    assert effect.undoable
    assert change.touches == (ObjectRef("ConfigMap", NS, "extra"),)
    assert change.summary == "ConfigMap shop/extra: data.level info -> debug"


def test_apply_of_labels():
    found = live(CONFIG)
    found["metadata"]["labels"] = {}
    assert apply(CONFIG, found=found).effects[0].changes == (FieldChange(("metadata", "labels", "team"), None, "shop"),)


DEFAULTED = copy.deepcopy(workload())
DEFAULTED["spec"]["template"]["spec"]["containers"][0] |= {"imagePullPolicy": "IfNotPresent"}
NEWER = copy.deepcopy(workload())
NEWER["spec"]["template"]["spec"]["containers"][0]["image"] = "shop/extra:2"


def test_defaults_are_no_differences():
    with pytest.raises(NotPossible, match="is as the manifest says already"):
        apply(workload(), found=live(DEFAULTED))


def test_a_workload_that_is_not_the_target_asks():
    change = apply(NEWER, found=live(DEFAULTED))
    assert change.effects[0].changes[0].path == (
        "spec", "template", "spec", "containers", "[name=extra]", "image"
    )  # fmt: skip
    assert "is not counted here" in change.needs_approval


def test_a_workload_that_is_the_target_is_counted():
    target = live(DEFAULTED)
    target["status"] = {"observedGeneration": 1, "replicas": 1, "availableReplicas": 1, "readyReplicas": 1}
    target["spec"]["strategy"] = {"type": "Recreate"}
    change = apply(NEWER, target)
    assert (change.takes, change.needs_approval, change.touches) == (1, "", ())
    assert Apply().wants(ApplyParams(manifest=NEWER), view(target)) == {}


def test_apply_wants_the_object():
    assert Apply().wants(ApplyParams(manifest=CONFIG), view(NAMESPACE)) == {
        "object": Get(ObjectRef("ConfigMap", NS, "extra"))
    }
    elsewhere = manifest(metadata={"namespace": "other"})
    assert Apply().wants(ApplyParams(manifest=elsewhere), view(NAMESPACE)) == {}


@pytest.mark.parametrize(
    ("obj", "found", "reason"),
    [
        pytest.param(
            {**workload(), "spec": {"replicas": 5}},
            live(workload()),
            "spec.replicas .*: scale changes that",
            id="replicas",
        ),
        pytest.param(
            CONFIG,
            live(CONFIG, metadata={**meta("extra", "ConfigMap"), "deletionTimestamp": "x"}),
            "deleted",
            id="goes",
        ),
        pytest.param(
            manifest(data={"a": "b"}),
            live(CONFIG, metadata={**meta("extra", "ConfigMap"), "ownerReferences": owner(deployment())}),
            "Deployment api decides",
            id="an operator's",
        ),
        pytest.param(
            manifest(metadata={"labels": {"app.kubernetes.io/name": "x"}}), live(CONFIG), "left alone", id="labels"
        ),
        pytest.param(CLAIM, live(CLAIM, spec={}), "it holds data", id="PVC"),
    ],
)
def test_apply_refused(obj, found, reason):
    with pytest.raises(NotPossible, match=reason):
        apply(obj, found=found)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, [], id="what is not mentioned stays"),
        pytest.param({"a": 1}, {"a": None}, [(("a",), 1, None)], id="null removes"),
        pytest.param([1, 2], [1, 3], [((), [1, 2], [1, 3])], id="plain lists whole"),
        pytest.param([], [{"name": "a"}], [((), [], [{"name": "a"}])], id="one more, whole"),
        pytest.param(
            [{"name": "b", "x": 1}, {"name": "a", "x": 1}],
            [{"name": "a", "x": 2}, {"name": "b", "x": 1}],
            [(("[name=a]", "x"), 1, 2)],
            id="by name",
        ),
        pytest.param([{"port": 1, "d": 0}], [{"port": 2}], [(("0", "port"), 1, 2)], id="by number"),
        pytest.param(
            [{"name": "a]b", "x": 1}], [{"name": "a]b", "x": 2}], [(("0", "x"), 1, 2)], id="names that are none"
        ),
        pytest.param(
            [{"name": "a"}, {"name": "a", "p": 2}],
            [{"name": "a", "p": 1}, {"name": "a", "p": 2}],
            [(("0", "p"), None, 1)],
            id="the same name twice",
        ),
        pytest.param([{"name": "a"}], [{"name": "b"}], [((), [{"name": "a"}], [{"name": "b"}])], id="other names"),
    ],
)
def test_differences(before, after, wanted):
    assert [(c.path, c.before, c.after) for c in differences((), before, after)] == wanted
