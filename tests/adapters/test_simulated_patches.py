"""The patch formats by their standards' own examples, and that nothing is ever changed in place."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.adapters.simulated.patches import (
    BadPatchError,
    PatchDoesNotApplyError,
    json_patch,
    merge_patch,
    strategic_merge_patch,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_leaves_its_target_alone_and_holds(target: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy((target, patch))
    merged = merge_patch(target, patch)
    assert (target, patch) == before
    assert merge_patch(merged, patch) == merged


@pytest.mark.parametrize(
    ("target", "operations", "result"),
    [
        # RFC 6902, appendix A
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "q"}], {"foo": "bar", "baz": "q"}),
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "q"}], {"foo": ["bar", "q", "baz"]}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["x"]}], {"foo": ["bar", ["x"]]}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/1", "value": "q"}], {"foo": ["bar", "q"]}),
        ({"baz": "q", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["bar", "q", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
        ({"baz": "q"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "q": {}},
            [{"op": "move", "from": "/foo/waldo", "path": "/q/thud"}],
            {"foo": {"bar": "baz"}, "q": {"thud": "fred"}},
        ),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a/b", "path": "/c"}], {"a": {"b": 1}, "c": 1}),
        ({"a": [1, 2]}, [{"op": "test", "path": "/a/1", "value": 2}], {"a": [1, 2]}),
        ({"foo": None}, [{"op": "test", "path": "/foo", "value": None}], {"foo": None}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ],
)
def test_json_patches(target: Any, operations: Any, result: Any) -> None:
    before = copy.deepcopy(target)
    assert json_patch(target, operations) == result
    assert target == before


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        ([{"op": "test", "path": "/a", "value": 2}], PatchDoesNotApplyError),
        ([{"op": "test", "path": "/b/c", "value": None}], PatchDoesNotApplyError),
        ([{"op": "remove", "path": "/b"}], PatchDoesNotApplyError),
        ([{"op": "replace", "path": "/b", "value": 1}], PatchDoesNotApplyError),
        ([{"op": "add", "path": "/b/c", "value": 1}], PatchDoesNotApplyError),
        ([{"op": "add", "path": "/l/9", "value": 1}], PatchDoesNotApplyError),
        ([{"op": "remove", "path": "/l/-"}], PatchDoesNotApplyError),
        ([{"op": "remove", "path": "/l/x"}], PatchDoesNotApplyError),
        ([{"op": "spin", "path": "/a"}], BadPatchError),
        ([{"op": "remove", "path": "a"}], BadPatchError),
        ([{"op": "remove"}], BadPatchError),
        (["remove"], BadPatchError),
        ({"op": "remove", "path": "/a"}, BadPatchError),
        ([{"op": "test", "path": "/a", "value": 1}] * 10_001, BadPatchError),
    ],
)
def test_json_patches_that_do_not_apply(operations: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        json_patch({"a": 1, "l": [1]}, operations)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        pytest.param(
            {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]},
            {"containers": [{"name": "a", "image": "2"}, {"name": "c"}]},
            {"containers": [{"name": "a", "image": "2"}, {"name": "b"}, {"name": "c"}]},
            id="by name",
        ),
        pytest.param(
            {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}]}]},
            {"containers": [{"name": "a", "env": [{"name": "X", "value": "2"}]}]},
            {"containers": [{"name": "a", "env": [{"name": "X", "value": "2"}, {"name": "Y", "value": "1"}]}]},
            id="by name, within",
        ),
        pytest.param(
            {"containers": [{"name": "a"}, {"name": "b"}]},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": [{"name": "b"}]},
            id="delete an item",
        ),
        pytest.param(
            {"containers": [{"name": "a"}, {"name": "b"}]},
            {"containers": [{"$patch": "replace"}, {"name": "c"}]},
            {"containers": [{"name": "c"}]},
            id="replace a list",
        ),
        pytest.param({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}, id="other lists are replaced"),
        pytest.param(
            {"template": {"a": 1, "b": 2}},
            {"template": {"$patch": "replace", "c": 3}},
            {"template": {"c": 3}},
            id="$patch",
        ),
        pytest.param({"a": {"b": 1}}, {"a": {"$patch": "delete"}}, {}, id="delete a mapping"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}, id="null deletes"),
        pytest.param(
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}},
            {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
            {"strategy": {"type": "Recreate"}},
            id="$retainKeys",
        ),
        pytest.param({"finalizers": ["a"]}, {"finalizers": ["b", "a"]}, {"finalizers": ["a", "b"]}, id="sets merge"),
        pytest.param(
            {"finalizers": ["a", "b"]},
            {"$deleteFromPrimitiveList/finalizers": ["a"]},
            {"finalizers": ["b"]},
            id="and shrink",
        ),
        pytest.param(
            {"ports": [{"containerPort": 80, "name": "x"}]},
            {"ports": [{"containerPort": 80, "name": "y"}]},
            {"ports": [{"containerPort": 80, "name": "y"}]},
            id="ports",
        ),
    ],
)
def test_strategic_patches(target: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy(target)
    assert strategic_merge_patch(target, patch) == result
    assert target == before


@pytest.mark.parametrize("patch", [[], "x", {"containers": [{"image": "1"}]}, {"a": {"$patch": "turn"}}])
def test_strategic_patches_that_make_no_sense(patch: Any) -> None:
    with pytest.raises(BadPatchError):
        strategic_merge_patch({}, patch)
