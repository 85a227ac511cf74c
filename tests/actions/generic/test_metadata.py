"""annotate and label: single entries, and never those by which others take orders."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.generic.metadata import Annotate, AnnotateParams, Label, LabelParams
from tests.actions.make import deployment, pod, view


def annotate(obj: Any, **annotations: Any) -> Any:
    return Annotate().plan(AnnotateParams(annotations=annotations), view(obj))


def label(obj: Any, labels: Any) -> Any:
    return Label().plan(LabelParams(labels=labels), view(obj))


def test_entries_that_differ():
    obj = deployment(annotations={"a": "1", "b": "2", "c": "3"})
    change = annotate(obj, a="1", b="9", c=None, d="4")
    (effect,) = change.effects
    assert effect.changes == (
        FieldChange(("metadata", "annotations", "b"), "2", "9"),
        FieldChange(("metadata", "annotations", "c"), "3", None),
        FieldChange(("metadata", "annotations", "d"), None, "4"),
    )
    assert effect.undoable
    assert change.summary == "b 2 -> 9, c 3 -> absent, d absent -> 4"
    assert diff_lines(change, view(obj).ref) == ("b 2 -> 9", "c 3 -> absent", "d absent -> 4")


def test_labels():
    change = label(deployment(labels={"team": "shop"}), {"team": "search", "example.com/tier": "1"})
    assert change.summary == "example.com/tier absent -> 1, team shop -> search"
    assert "sees it differently" in change.notes[0]


@pytest.mark.parametrize("entries", [{"a": "1"}, {"a": "1", "z": None}])
def test_nothing_to_do(entries):
    with pytest.raises(NotPossible, match="already"):
        annotate(deployment(annotations={"a": "1"}), **entries)


def test_not_what_is_going():
    with pytest.raises(NotPossible, match="being deleted"):
        annotate(deployment(metadata={"deletionTimestamp": "x"}), a="1")


def test_pods_keep_their_labels():
    assert "Pod" not in Label.kinds
    assert "Pod" in Annotate.kinds
    with pytest.raises(NotPossible, match="name another target"):
        label(pod("api-1", deployment()), {"a": "b"})


@pytest.mark.parametrize(
    "key",
    [
        "remediator.dev/pause",
        "kubectl.kubernetes.io/last-applied-configuration",
        "meta.helm.sh/release-name",
        "argocd.argoproj.io/refresh",
        "reconcile.fluxcd.io/requestedAt",
        "kustomize.toolkit.fluxcd.io/prune",
        "cnpg.io/fencedInstances",
        "strimzi.io/delete-pod-and-pvc",
        "pre.hook.backup.velero.io/command",
        "nginx.ingress.kubernetes.io/configuration-snippet",
        "deployment.kubernetes.io/revision",
        "bad key",
        "a/b/c",
        "",
        "7",
    ],
)
def test_annotations_that_are_left_alone(key):
    with pytest.raises(ValidationError):
        AnnotateParams(annotations={key: "x"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("app.kubernetes.io/name", "x"),
        ("pod-security.kubernetes.io/enforce", "privileged"),
        ("topology.kubernetes.io/zone", "b"),
        ("node.k8s.io/x", "y"),
        ("kubernetes.io/metadata.name", None),
        ("remediator.dev/pause", "x"),
        ("team", "a,b"),
        ("team", "x" * 64),
        ("UPPER.example/x", "y"),
    ],
)
def test_labels_that_are_left_alone(key, value):
    with pytest.raises(ValidationError):
        LabelParams(labels={key: value})


@pytest.mark.parametrize("annotations", [{}, {"a": "x" * 4097}, {f"k{n}": "x" for n in range(21)}, {"a": 1}])
def test_bad_params(annotations):
    with pytest.raises(ValidationError):
        AnnotateParams(annotations=annotations)


@pytest.mark.parametrize(
    "key", ["example.com/note", "nginx.ingress.kubernetes.io/rewrite-target", "Owner", "mycnpg.io/x"]
)
def test_annotations_that_may_be_set(key):
    assert AnnotateParams(annotations={key: "x"}).annotations
