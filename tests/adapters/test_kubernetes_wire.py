"""What goes out for a request of ours, byte by byte."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from remediator.adapters.kubernetes.wire import (
    BadNameError,
    access_review,
    collection_path,
    list_query,
    object_path,
    write_call,
)
from remediator.errors import Refused
from remediator.objects import KINDS, ObjectRef
from remediator.ports import Verb, WriteRequest

POD = ObjectRef("Pod", "shop", "api-1")
WEB = ObjectRef("Deployment", "shop", "web")
MERGE = "application/merge-patch+json"


@pytest.mark.parametrize(
    ("kind", "namespace", "path"),
    [
        ("Deployment", "shop", "/apis/apps/v1/namespaces/shop/deployments"),
        ("Deployment", "", "/apis/apps/v1/deployments"),
        ("Pod", "shop", "/api/v1/namespaces/shop/pods"),
        ("Node", "", "/api/v1/nodes"),
        ("Node", "ignored", "/api/v1/nodes"),
        ("HorizontalPodAutoscaler", "a", "/apis/autoscaling/v2/namespaces/a/horizontalpodautoscalers"),
    ],
)
def test_paths_of_collections(kind: str, namespace: str, path: str) -> None:
    assert collection_path(KINDS[kind], namespace) == path


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        (POD, "/api/v1/namespaces/shop/pods/api-1"),
        (ObjectRef("Node", "", "n1.example.com"), "/api/v1/nodes/n1.example.com"),
        (ObjectRef("Node", "", "a:b c"), "/api/v1/nodes/a:b%20c"),
    ],
)
def test_paths_of_objects(ref: ObjectRef, path: str) -> None:
    assert object_path(KINDS[ref.kind], ref) == path


@pytest.mark.parametrize(
    "ref",
    [
        pytest.param(ObjectRef("Pod", "shop", ""), id="no name: the whole collection"),
        pytest.param(ObjectRef("Pod", "", "api-1"), id="no namespace"),
        pytest.param(ObjectRef("Pod", "shop", ".."), id="dots"),
        pytest.param(ObjectRef("Pod", "..", "api-1"), id="dots in the namespace"),
        pytest.param(ObjectRef("Pod", "shop", "a/log"), id="a subresource"),
        pytest.param(ObjectRef("Pod", "shop", "a%2Flog"), id="an escaped slash"),
    ],
)
@pytest.mark.parametrize("verb", ["patch", "delete", "evict"])
def test_a_name_that_would_mean_another_path_is_refused(ref: ObjectRef, verb: Verb) -> None:
    with pytest.raises(BadNameError):
        object_path(KINDS["Pod"], ref)
    with pytest.raises(Refused):
        write_call(WriteRequest(verb, ref, MERGE, b"{}"), KINDS["Pod"], dry_run=False)


def test_nothing_is_created_without_a_namespace() -> None:
    with pytest.raises(Refused):
        write_call(WriteRequest("create", ObjectRef("Pod", "", "a"), MERGE, b"{}"), KINDS["Pod"], dry_run=False)


@pytest.mark.parametrize(
    ("verb", "ref", "method", "path"),
    [
        ("patch", WEB, "PATCH", "/apis/apps/v1/namespaces/shop/deployments/web"),
        ("create", WEB, "POST", "/apis/apps/v1/namespaces/shop/deployments"),
        ("delete", POD, "DELETE", "/api/v1/namespaces/shop/pods/api-1"),
        ("evict", POD, "POST", "/api/v1/namespaces/shop/pods/api-1/eviction"),
    ],
)
def test_recorded_bytes_go_out_untouched(verb: Verb, ref: ObjectRef, method: str, path: str) -> None:
    body = b'{ "spec" : 1.0,\n"x":"\xc3\xa4" }'
    call = write_call(WriteRequest(verb, ref, MERGE, body), KINDS[ref.kind], dry_run=False)
    assert (call.method, call.path, call.body, call.content_type) == (method, path, body, MERGE)
    named = (("fieldManager", "remediator"), ("fieldValidation", "Strict"))
    assert call.query == (named if verb in ("patch", "create") else ())


@pytest.mark.parametrize("verb", ["patch", "create"])
def test_a_rehearsal_of_a_patch_is_asked_for_in_the_query(verb: Verb) -> None:
    call = write_call(WriteRequest(verb, WEB, MERGE, b"{}"), KINDS["Deployment"], dry_run=True)
    assert ("dryRun", "All") in call.query
    assert call.body == b"{}"


@pytest.mark.parametrize("options", [{}, {"preconditions": {"uid": "u"}, "gracePeriodSeconds": 0}])
def test_a_rehearsal_of_a_deletion_is_asked_for_in_the_body(options: dict[str, Any]) -> None:
    """With a body, the API server ignores the query and would really delete."""
    body = orjson.dumps(options) if options else b""
    call = write_call(WriteRequest("delete", POD, "application/json", body), KINDS["Pod"], dry_run=True)
    assert call.query == ()
    assert orjson.loads(call.body or b"") == {**options, "dryRun": ["All"]}


@pytest.mark.parametrize("options", [None, {"preconditions": {"uid": "u"}}])
def test_a_rehearsal_of_an_eviction_is_asked_for_in_both_places(options: dict[str, Any] | None) -> None:
    body = {"kind": "Eviction", **({"deleteOptions": options} if options else {})}
    request = WriteRequest("evict", POD, "application/json", orjson.dumps(body))
    call = write_call(request, KINDS["Pod"], dry_run=True)
    assert call.query == (("dryRun", "All"),)
    assert orjson.loads(call.body or b"") == {
        "kind": "Eviction",
        "deleteOptions": {**(options or {}), "dryRun": ["All"]},
    }


@pytest.mark.parametrize("body", [b"[]", b"{", b'"x"', b'{"deleteOptions": 1}'])
def test_what_cannot_be_rehearsed_is_not_sent(body: bytes) -> None:
    with pytest.raises(Refused):
        write_call(WriteRequest("evict", POD, "application/json", body), KINDS["Pod"], dry_run=True)


def test_an_empty_selector_is_left_out() -> None:
    assert list_query("", "", 500, "") == (("limit", "500"),)
    assert dict(list_query("a=b", "c=d", 5, "t")) == {
        "labelSelector": "a=b",
        "fieldSelector": "c=d",
        "limit": "5",
        "continue": "t",
    }


def test_an_access_review_names_group_and_subresource() -> None:
    body = orjson.loads(access_review("create", KINDS["Pod"], "shop", "eviction", ""))
    assert body["spec"]["resourceAttributes"] == {
        "verb": "create",
        "resource": "pods",
        "subresource": "eviction",
        "namespace": "shop",
    }
    body = orjson.loads(access_review("patch", KINDS["Deployment"], "", "", "web"))
    assert body["spec"]["resourceAttributes"] == {
        "verb": "patch",
        "group": "apps",
        "resource": "deployments",
        "name": "web",
    }
