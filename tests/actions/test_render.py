"""One effect, one request: precondition, marker, and what still_before and inverse make of what came back."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.change import GENERATED_TIME, Delete, Evict, FieldChange, NotPossible, Patch, PodRule
from remediator.actions.render import abandon, choose_pod, inverse, marker_of, pointer, render, still_before
from remediator.objects import Object, dig, ref_of, uid_of
from remediator.ports import ABANDONED, MARKER, WriteRequest
from tests.actions.make import NOW, NS, deployment, pod, replicaset, template
from tests.actions.merge import json_patch, merge_patch

RESTARTED = ("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")


def patch(obj: Object, *changes: FieldChange, replace: bool = False, undoable: bool = True) -> Patch:
    return Patch(ref=ref_of(obj), uid=uid_of(obj), changes=changes, replace=replace, undoable=undoable)


def send(obj: Object, request: WriteRequest) -> dict[str, Any]:
    """What the API server stores, and answers."""
    body = json.loads(request.body)
    done = merge_patch(obj, body) if request.content_type.startswith("application/merge") else json_patch(obj, body)
    assert done["metadata"]["uid"] == obj["metadata"]["uid"]
    assert done["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]
    done["metadata"]["resourceVersion"] = "101"
    return dict(done)


def test_a_scale_is_one_merge_patch_with_precondition_and_marker():
    looked = deployment(3)
    effect = patch(looked, FieldChange(("spec", "replicas"), 3, 5))
    request = render(effect, looked, effect_id="r-1/0.0", now=NOW)
    assert request.verb == "patch"
    assert request.content_type == "application/merge-patch+json"
    assert json.loads(request.body) == {
        "metadata": {"uid": "uid-deployment-api", "resourceVersion": "100", "annotations": {MARKER: "r-1/0.0"}},
        "spec": {"replicas": 5},
    }


def test_the_resource_version_is_that_of_the_last_look_not_of_the_plan():
    planned = deployment(3)
    looked = {**planned, "metadata": {**planned["metadata"], "resourceVersion": "4711"}}
    request = render(patch(planned, FieldChange(("spec", "replicas"), 3, 5)), looked, effect_id="e", now=NOW)
    assert json.loads(request.body)["metadata"]["resourceVersion"] == "4711"


@pytest.mark.parametrize(
    ("annotations", "marker"),
    [
        pytest.param(None, {"op": "add", "path": "/metadata/annotations", "value": {}}, id="no annotations yet"),
        pytest.param(
            {}, {"op": "add", "path": "/metadata/annotations/remediator.dev~1effect", "value": "e"}, id="empty"
        ),
        pytest.param(
            {MARKER: "old"},
            {"op": "replace", "path": "/metadata/annotations/remediator.dev~1effect", "value": "e"},
            id="an older marker",
        ),
    ],
)
def test_a_rollback_is_a_json_patch_that_replaces_the_version_first(annotations, marker):
    """`replace /metadata/resourceVersion` makes a stale look a 409; the rest follows only if that held."""
    looked = deployment(3, annotations=annotations)
    effect = patch(looked, FieldChange(("spec", "template"), template(), template("shop/api:0")), replace=True)
    request = render(effect, looked, effect_id="e", now=NOW)
    operations = json.loads(request.body)
    assert request.content_type == "application/json-patch+json"
    assert operations[:3] == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "100"},
        {"op": "replace", "path": "/metadata/uid", "value": "uid-deployment-api"},
        {"op": "replace", "path": "/spec/template", "value": template("shop/api:0")},
    ]
    assert operations[3] == marker
    assert marker_of(json_patch(looked, operations)) == "e"


def test_a_json_patch_makes_missing_parents_once_and_removes_what_is_to_be_absent():
    looked = {**deployment(3), "spec": {"a": 1}}
    effect = patch(
        looked,
        FieldChange(("spec", "x", "y/z"), None, 1),
        FieldChange(("spec", "x", "~w"), None, 2),
        FieldChange(("spec", "a"), 1, None),
        FieldChange(("spec", "gone"), None, None),
        replace=True,
    )
    after = json_patch(looked, json.loads(render(effect, looked, effect_id="e", now=NOW).body))
    assert after["spec"] == {"x": {"y/z": 1, "~w": 2}}


def test_pointer_escapes_tilde_before_slash():
    assert pointer(("a~1b", "c/d", "~")) == "/a~01b/c~1d/~0"


def test_the_time_of_sending_is_filled_in():
    looked = deployment(3)
    effect = patch(looked, FieldChange(RESTARTED, None, GENERATED_TIME), undoable=False)
    sent = send(looked, render(effect, looked, effect_id="e", now=NOW + timedelta(milliseconds=900)))
    assert dig(sent, *RESTARTED) == "2025-06-01T12:00:00Z"


def test_the_time_of_sending_is_filled_in_at_any_depth():
    looked = deployment(3)
    change = FieldChange(("spec", "template"), template(), {"a": [{"b": GENERATED_TIME}], "c": "x"})
    operations = json.loads(render(patch(looked, change, replace=True), looked, effect_id="e", now=NOW).body)
    assert operations[2]["value"] == {"a": [{"b": "2025-06-01T12:00:00Z"}], "c": "x"}


@pytest.mark.parametrize("missing", ["uid", "resourceVersion"])
def test_a_pod_without_identity_is_never_taken(missing):
    nameless = pod("x", RS)
    nameless["metadata"][missing] = ""
    assert choose_pod(OLDEST, [nameless], set(), NOW) is None


def test_a_second_restart_in_one_second_is_not_an_empty_patch():
    """The same text would change nothing, so nothing would restart, and the marker would claim that it did."""
    looked = deployment(3, spec={"template": template(restarted="2025-06-01T12:00:00Z")})
    effect = patch(looked, FieldChange(RESTARTED, "2025-06-01T12:00:00Z", GENERATED_TIME), undoable=False)
    sent = send(looked, render(effect, looked, effect_id="e", now=NOW))
    assert dig(sent, *RESTARTED) == "2025-06-01T12:00:01Z"


def test_the_same_arguments_give_the_same_bytes():
    looked = deployment(3)
    shuffled = {key: looked[key] for key in reversed(looked)}
    effect = patch(looked, FieldChange(("spec", "replicas"), 3, 5))
    first = render(effect, looked, effect_id="e", now=NOW)
    assert first == render(effect, shuffled, effect_id="e", now=NOW)
    assert b" " not in first.body


@pytest.mark.parametrize(
    "looked",
    [
        pytest.param({**deployment(), "metadata": {**deployment()["metadata"], "uid": "other"}}, id="another uid"),
        pytest.param({**deployment(), "metadata": {**deployment()["metadata"], "name": "x"}}, id="another name"),
        pytest.param(
            {**deployment(), "metadata": {**deployment()["metadata"], "resourceVersion": ""}}, id="no version"
        ),
    ],
)
def test_nothing_is_rendered_for_another_object(looked):
    with pytest.raises(ValueError, match="api"):
        render(patch(deployment(), FieldChange(("spec", "replicas"), 3, 5)), looked, effect_id="e", now=NOW)


def test_a_mapping_in_a_merge_patch_is_refused():
    """It would merge into what is there instead of replacing it: not what the diff shows."""
    looked = deployment()
    with pytest.raises(ValueError, match="replace=True"):
        render(patch(looked, FieldChange(("spec", "template"), {}, template())), looked, effect_id="e", now=NOW)


def test_evict_is_bound_to_the_uid_only():
    owner = replicaset(deployment(), 1, "shop/api:1")
    chosen = pod("api-1-a", owner)
    rule = PodRule(namespace=NS, select="oldest", owner_uids=(uid_of(owner),))
    request = render(Evict(pod=rule), chosen, effect_id="e", now=NOW)
    assert (request.verb, request.ref) == ("evict", ref_of(chosen))
    assert json.loads(request.body) == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "api-1-a", "namespace": NS},
        "deleteOptions": {"preconditions": {"uid": "uid-pod-api-1-a"}},
    }


def test_delete_is_bound_to_the_version_too():
    """A pod that became ready since the last look must survive: no PDB protects it from a plain delete."""
    chosen = pod("db-0", deployment(), ready=False)
    rule = PodRule(namespace=NS, select="unready", name="db-0", uid=uid_of(chosen))
    request = render(Delete(pod=rule), chosen, effect_id="e", now=NOW)
    assert (request.verb, request.content_type) == ("delete", "application/json")
    assert json.loads(request.body) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "uid-pod-db-0", "resourceVersion": "100"},
    }


def test_delete_is_not_rendered_for_a_pod_that_has_recovered():
    chosen = pod("db-0", deployment())
    rule = PodRule(namespace=NS, select="unready", name="db-0", uid=uid_of(chosen))
    with pytest.raises(ValueError, match="it is ready"):
        render(Delete(pod=rule), chosen, effect_id="e", now=NOW)


def test_abandon_moves_the_version_and_nothing_else():
    looked = deployment()
    request = abandon(looked, "r-1/0.0")
    assert json.loads(request.body) == {
        "metadata": {"uid": "uid-deployment-api", "resourceVersion": "100", "annotations": {ABANDONED: "r-1/0.0"}}
    }


# --- still_before -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        pytest.param({}, None, id="as planned"),
        pytest.param({"status": {"replicas": 1}}, None, id="status noise"),
        pytest.param({"spec": {"paused": True}}, None, id="another field of the spec"),
        pytest.param(
            {"metadata": {"resourceVersion": "999", "generation": 5}}, None, id="version and generation moved"
        ),
        pytest.param({"spec": {"replicas": 4}}, "spec.replicas is 4 now, the plan saw 3", id="touched by someone"),
        pytest.param({"spec": {"replicas": None}}, "spec.replicas is absent now, the plan saw 3", id="removed"),
        pytest.param({"metadata": {"uid": "new"}}, "another object now", id="deleted and made again"),
    ],
)
def test_still_before_sees_touched_paths_only(edit, said):
    """People win on the field itself; everything else may move."""
    planned = deployment(3)
    answer = still_before(patch(planned, FieldChange(("spec", "replicas"), 3, 5)), merge_patch(planned, edit))
    assert answer is None if said is None else said in (answer or "")


@pytest.mark.parametrize(
    ("path", "before", "said"),
    [
        pytest.param(
            RESTARTED, "a", "spec.template.metadata.annotations[kubectl.kubernetes.io/restartedAt]", id="a key"
        ),
        pytest.param(("spec", "x.y"), 1, "spec[x.y] is absent now, the plan saw 1", id="a dot in a key"),
        pytest.param(("spec", "x"), "a" * 60, f"the plan saw {'a' * 60}", id="60 characters are shown"),
        pytest.param(("spec", "x"), "a" * 61, f"the plan saw {'a' * 57}...", id="61 are cut"),
        pytest.param(("spec", "x"), {"b": 1, "a": [2]}, 'the plan saw {"a":[2],"b":1}', id="a mapping"),
    ],
)
def test_still_before_is_said_in_one_short_line(path, before, said):
    answer = still_before(patch(deployment(), FieldChange(path, before, "new")), deployment())
    assert said in (answer or "")


def test_pods_are_chosen_late_so_there_is_nothing_to_compare():
    rule = PodRule(namespace=NS, select="oldest", owner_uids=("u",))
    assert still_before(Evict(pod=rule), pod("a", deployment())) is None


# --- inverse ----------------------------------------------------------------------------------------------------------


def test_inverse_expects_what_the_server_answered_not_what_we_sent():
    """Admission may have changed our value: an undo must find what is really there."""
    looked = deployment(3)
    effect = patch(looked, FieldChange(("spec", "replicas"), 3, 9))
    answer = merge_patch(looked, {"spec": {"replicas": 7}})
    undo = inverse(effect, answer)
    assert isinstance(undo, Patch)
    assert undo.changes == (FieldChange(("spec", "replicas"), 7, 3),)
    assert still_before(undo, answer) is None
    assert not undo.undoable


def test_a_restart_has_no_inverse():
    looked = deployment()
    with pytest.raises(NotPossible, match="no inverse"):
        inverse(patch(looked, FieldChange(RESTARTED, None, GENERATED_TIME), undoable=False), looked)


def test_nothing_to_undo_when_the_server_kept_the_old_value():
    looked = deployment(3)
    with pytest.raises(NotPossible, match="nothing to undo"):
        inverse(patch(looked, FieldChange(("spec", "replicas"), 3, 5)), looked)


SCALARS = st.one_of(st.integers(-5, 5), st.booleans(), st.text(max_size=3), st.lists(st.integers(0, 3), max_size=2))
KEYS = st.sampled_from(("a", "b", "c/d", "e~f", "g.h"))
LEAF_PATHS = st.lists(KEYS, min_size=2, max_size=3).map(tuple)


@st.composite
def objects_and_changes(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[tuple[str, ...], Any]]]:
    """An object with some single values under `spec`, and new values for some paths (one-level and two-level keys)."""
    flat: dict[tuple[str, ...], Any] = {}
    for path in draw(st.lists(LEAF_PATHS, max_size=4, unique=True)):
        if not any(path[: len(p)] == p or p[: len(path)] == path for p in flat):
            flat[path] = draw(SCALARS)
    wanted: dict[tuple[str, ...], Any] = {}
    for path in draw(st.lists(LEAF_PATHS, min_size=1, max_size=3, unique=True)):
        inside = [p for p in (*flat, *wanted) if p != path and (path[: len(p)] == p or p[: len(path)] == path)]
        if not inside:
            wanted[path] = draw(st.one_of(st.none(), SCALARS))
    spec: dict[str, Any] = {}
    for path, value in flat.items():
        node = spec
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = value
    return {**deployment(), "spec": spec}, list(wanted.items())


@given(objects_and_changes(), st.booleans())
def test_round_trip(made, replace):
    """Sending sets every path and the marker and touches nothing else; sending the inverse restores every path."""
    looked, wanted = made
    changes = tuple(FieldChange(("spec", *path), dig(looked, "spec", *path), value) for path, value in wanted)
    effect = patch(looked, *changes, replace=replace)
    original = copy.deepcopy(looked)
    assert still_before(effect, looked) is None
    answer = send(looked, render(effect, looked, effect_id="e-1", now=NOW))
    assert looked == original
    assert marker_of(answer) == "e-1"
    for change in changes:
        assert dig(answer, *change.path) == change.after
    try:
        undo = inverse(effect, answer)
    except NotPossible:
        assert all(change.before == change.after for change in changes)
        return
    assert still_before(undo, answer) is None
    restored = send(answer, render(undo, answer, effect_id="e-2", now=NOW))
    for change in changes:
        assert dig(restored, *change.path) == change.before


# --- choose_pod -------------------------------------------------------------------------------------------------------

RS = replicaset(deployment(), 1, "shop/api:1")
OTHER = replicaset(deployment(), 2, "shop/api:2")
OLDEST = PodRule(namespace=NS, select="oldest", owner_uids=(uid_of(RS),))
UNREADY = PodRule(namespace=NS, select="unready", owner_uids=(uid_of(RS),))
OLD, MIDDLE, YOUNG = (pod(n, RS, age=timedelta(hours=h)) for n, h in (("old", 9), ("middle", 5), ("young", 1)))
SICK = pod("sick", RS, ready=False, age=timedelta(hours=2))


@pytest.mark.parametrize(
    ("rule", "pods", "taken", "chosen"),
    [
        pytest.param(OLDEST, [YOUNG, OLD, MIDDLE], (), "old", id="the oldest"),
        pytest.param(OLDEST, [YOUNG, OLD, MIDDLE], ("uid-pod-old",), "middle", id="not one that we have taken"),
        pytest.param(OLDEST, [pod("new", RS, age=timedelta(0))], (), None, id="not a replacement: born in that second"),
        pytest.param(OLDEST, [pod("x", RS, age=timedelta(seconds=1))], (), "x", id="born the second before"),
        pytest.param(OLDEST, [pod("x", RS, leaving=True)], (), None, id="going away anyway"),
        pytest.param(OLDEST, [pod("x", RS, phase="Failed")], (), None, id="finished"),
        pytest.param(OLDEST, [pod("x", OTHER)], (), None, id="another owner"),
        pytest.param(PodRule(namespace=NS, select="oldest"), [OLD], (), None, id="no owner is no pod, not every pod"),
        pytest.param(
            PodRule(namespace="b", select="oldest", owner_uids=OLDEST.owner_uids), [OLD], (), None, id="namespace"
        ),
        pytest.param(UNREADY, [OLD, SICK], (), "sick", id="only unready ones"),
        pytest.param(UNREADY, [OLD, MIDDLE], (), None, id="all recovered"),
        pytest.param(
            PodRule(namespace=NS, select="named", name="old", uid="uid-pod-old"), [YOUNG, OLD], (), "old", id="named"
        ),
        pytest.param(
            PodRule(namespace=NS, select="named", name="old", uid="uid-before"),
            [OLD],
            (),
            None,
            id="same name, other uid",
        ),
        pytest.param(
            PodRule(namespace=NS, select="unready", name="sick", uid="uid-pod-sick"),
            [SICK],
            (),
            "sick",
            id="that one, unready",
        ),
        pytest.param(
            PodRule(namespace=NS, select="unready", name="old", uid="uid-pod-old"),
            [OLD],
            (),
            None,
            id="that one, ready",
        ),
    ],
)
def test_choose_pod(rule, pods, taken, chosen):
    found = choose_pod(rule, pods, set(taken), NOW)
    assert (found["metadata"]["name"] if found else None) == chosen


@given(st.permutations([OLD, MIDDLE, YOUNG, SICK]))
def test_choosing_does_not_depend_on_the_order_of_the_list(pods):
    found = choose_pod(OLDEST, pods, set(), NOW)
    assert found is not None
    assert found["metadata"]["name"] == "old"
