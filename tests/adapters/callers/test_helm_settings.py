"""What the operator may write about a release, which cluster it is on, and how manifests are compared."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.adapters.callers.connect import connect_callers
from remediator.adapters.callers.helm import HelmCaller
from remediator.adapters.callers.helm_text import difference, read_history, read_manifest
from remediator.errors import CannotSee, InvalidConfig
from remediator.outside import OutsideSettings
from remediator.outside_helm import HelmRelease
from tests.checks.fakes import FakeCluster

RELEASE: dict[str, Any] = {"name": "cmp", "namespace": "shop", "charts": [{"name": "cmp", "chart": "/charts/cmp.tgz"}]}


@pytest.mark.parametrize(
    "chart",
    [
        pytest.param({"chart": "oci://registry.example.com/charts/cmp"}, id="registry"),
        pytest.param({"chart": "cmp", "repo": "https://charts.example.com/stable"}, id="repository"),
        pytest.param({"chart": "/charts/cmp-1.0.0.tgz"}, id="file"),
    ],
)
def test_sources(chart):
    assert HelmRelease.model_validate({**RELEASE, "charts": [{"name": "cmp", **chart}]}).chart("") is not None


@pytest.mark.parametrize(
    ("more", "why"),
    [
        pytest.param({"charts": [{"name": "a", "chart": "./cmp"}]}, "should match pattern", id="a folder"),
        pytest.param({"charts": [{"name": "a", "chart": "--post-renderer"}]}, "should match", id="an option"),
        pytest.param({"charts": [{"name": "a", "chart": "cmp"}]}, "together with repo", id="no repository"),
        pytest.param(
            {"charts": [{"name": "a", "chart": "oci://r/c", "repo": "https://r"}]}, "together with repo", id="both"
        ),
        pytest.param(
            {"charts": [{"name": "a", "chart": "c", "repo": "https://me:pw@r"}]}, "should match", id="a password"
        ),
        pytest.param({"charts": RELEASE["charts"] * 2}, "'cmp' is there twice", id="twice"),
        pytest.param({"values": {"prod": "values.yaml"}}, "give prod an absolute path", id="relative values"),
        pytest.param({"release": "-n"}, "should match pattern", id="an option as a name"),
        pytest.param({"program": "helm --debug"}, "should match pattern", id="more than a program"),
        pytest.param({"timeout": "2h"}, "less than or equal", id="too long"),
        pytest.param({"history_max": 1}, "greater than or equal", id="no way back"),
    ],
)
def test_what_is_not_taken(more, why):
    with pytest.raises(ValidationError, match=why):
        HelmRelease.model_validate({**RELEASE, **more})


def test_releases_belong_to_clusters():
    settings = OutsideSettings.model_validate(
        {"helm": [{**RELEASE, "clusters": ["elsewhere"], "program": "/nowhere/helm"}]}
    )
    assert "helm" not in connect_callers(settings, FakeCluster([]))
    here = OutsideSettings.model_validate({"helm": [{**RELEASE, "program": "/bin/true"}]})
    assert isinstance(connect_callers(here, FakeCluster([]))["helm"], HelmCaller)
    with pytest.raises(InvalidConfig, match="there is no program /nowhere/helm"):
        connect_callers(
            OutsideSettings.model_validate({"helm": [{**RELEASE, "program": "/nowhere/helm"}]}), FakeCluster([])
        )


def manifest(*values: tuple[str, str, Any]) -> Any:
    return {("ConfigMap", "", name): {"kind": "ConfigMap", "data": {key: value}} for name, key, value in values}


def test_only_harmless_values_are_told():
    before = manifest(("a", "key", "old-secret"), ("b", "image", "x:1"), ("c", "size", 1), ("gone", "k", "v"))
    after = manifest(("a", "key", "new-secret"), ("b", "image", "x:2"), ("c", "size", 2), ("d", "k", "v"))
    found = difference(before, after, namespace="shop")
    assert found["lines"] == [
        "~ ConfigMap a: data.key",
        "~ ConfigMap b: data.image x:1 -> x:2",
        "~ ConfigMap c: data.size 1 -> 2",
        "+ ConfigMap d",
        "- ConfigMap gone",
    ]
    assert (found["added"], found["changed"], found["removed"]) == (1, 3, 1)


def test_what_holds_data_and_long_differences():
    many: Any = {("PersistentVolumeClaim", "", f"q{n:03}"): {"kind": "PersistentVolumeClaim"} for n in range(100)}
    found = difference(many, {}, namespace="shop")
    assert (len(found["lines"]), len(found["data"]), found["removed"]) == (40, 20, 100)


@pytest.mark.parametrize("text", ["{", "a: b", "- 1", "kind: !!python/object/apply:os.system [id]", "[" * 5000])
def test_manifests_that_cannot_be_read(text):
    with pytest.raises(CannotSee):
        read_manifest(text)


def test_lists_are_their_items():
    text = "kind: RoleList\nitems: [{kind: Role, metadata: {name: a}}, {kind: Role, metadata: {name: b}}]"
    assert [name for _, _, name in read_manifest(text)] == ["a", "b"]


@pytest.mark.parametrize("text", [b"[]", b"{}", b"null", b'[{"revision": "x"}]', b"Error"])
def test_histories_that_cannot_be_read(text):
    with pytest.raises(CannotSee):
        read_history(text)
