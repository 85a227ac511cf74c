"""Values in manifests: found in exactly one place, and nothing else changes with them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from remediator.gitops.edits import CannotEdit, Edit, apply, find_places, only_place, path_of, place_in
from remediator.gitops.yaml_text import Swap, swapped

IMAGE = ("spec", "template", "spec", "containers", "[name=app]", "image")
REPLICAS = ("spec", "replicas")

WEB = """\
# The shop's front.
apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web   # its name
  namespace: shop
spec:
  replicas: 3        # two were not enough
  template:
    spec:
      containers:
      - name: proxy
        image: "envoy:1.30"
      - name: app
        image: 'registry:5000/shop/web:1.10'
        resources: {limits: {cpu: 1, memory: 1024Mi}}
        env: [{name: LEVEL, value: "3"}]
"""
KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [web.yaml]
images:
- name: shop/web
  newName: registry:5000/shop/web
  newTag: "1.10"
replicas:
- {name: web, count: 3}
"""


def web(path: tuple[str, ...], before: Any, files: dict[str, str] | None = None, **more: str) -> Any:
    where = {"kind": "Deployment", "name": "web", "namespace": "shop", **more}
    return only_place({"prod/web.yaml": WEB} if files is None else files, path=path, before=before, **where)


@pytest.mark.parametrize(
    ("path", "before", "after", "was", "becomes"),
    [
        (REPLICAS, 3, 5, "replicas: 3        # two", "replicas: 5        # two"),
        (IMAGE, "registry:5000/shop/web:1.10", "registry:5000/shop/web:1.9", "web:1.10'", "web:1.9'"),
        ((*IMAGE[:-1], "env", "0", "value"), "3", "4", '"3"', '"4"'),
        ((*IMAGE[:-1], "resources", "limits", "memory"), "1Gi", "2Gi", "1024Mi", "2Gi"),
        ((*IMAGE[:-1], "resources", "limits", "cpu"), "1", "1500m", "cpu: 1,", "cpu: 1500m,"),
        ((*IMAGE[:-1], "resources", "limits", "cpu"), "1", "2", "cpu: 1,", 'cpu: "2",'),
        (("spec", "template", "spec", "containers", "0", "name"), "proxy", "1e3", "name: proxy", 'name: "1e3"'),
        (("spec", "template", "spec", "containers", "0", "name"), "proxy", "no", "name: proxy", 'name: "no"'),
        (("spec", "template", "spec", "containers", "0", "name"), "proxy", "1.10", "name: proxy", 'name: "1.10"'),
    ],
)
def test_one_value_changes_and_every_other_byte_stays(
    path: tuple[str, ...], before: Any, after: Any, was: str, becomes: str
) -> None:
    files = {"prod/web.yaml": WEB, "prod/other.yaml": "kind: Other\n"}
    edited = apply(files, [Edit(web(path, before, files), after)])
    assert WEB.count(was) == 1
    assert edited == {"prod/web.yaml": WEB.replace(was, becomes)}


def test_line_ends_and_a_missing_last_newline_stay() -> None:
    text = WEB.rstrip("\n").replace("\n", "\r\n")
    edited = apply({"a.yaml": text}, [Edit(web(REPLICAS, 3, {"a.yaml": text}), 30)])
    assert edited == {"a.yaml": text.replace("replicas: 3", "replicas: 30")}


def test_json_is_yaml() -> None:
    text = '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 3}}\n'
    edited = apply({"a.json": text}, [Edit(web(REPLICAS, 3, {"a.json": text}), 4)])
    assert edited == {"a.json": text.replace("3", "4")}


def test_several_edits_of_one_file_go_together() -> None:
    files = {"a.yaml": WEB}
    edits = [
        Edit(web(REPLICAS, 3, files), 12),
        Edit(web(IMAGE, "registry:5000/shop/web:1.10", files), "registry:5000/shop/web:1.11"),
    ]
    assert apply(files, edits) == {"a.yaml": WEB.replace("replicas: 3 ", "replicas: 12 ").replace(":1.10'", ":1.11'")}
    assert apply(files, []) == {}
    assert apply(files, [Edit(web(REPLICAS, 3, files), 3)]) == {}


def test_a_kustomization_says_the_tag_and_the_replicas() -> None:
    base = WEB.replace("registry:5000/shop/web:1.10", "shop/web").replace("replicas: 3", "replicas: 1")
    files = {"prod/kustomization.yaml": KUSTOMIZATION, "prod/web.yaml": base}
    image = web(IMAGE, "registry:5000/shop/web:1.10", files)
    assert (str(image), image.form) == ("prod/kustomization.yaml: images[0]", "image")
    assert "every container of this kustomization" in image.note
    replicas = web(REPLICAS, 3, files)
    assert str(replicas) == "prod/kustomization.yaml: replicas[0].count"
    edited = apply(files, [Edit(image, "registry:5000/shop/web:1.9"), Edit(replicas, 7)])
    assert edited == {
        "prod/kustomization.yaml": KUSTOMIZATION.replace('"1.10"', '"1.9"').replace("count: 3", "count: 7")
    }


def test_a_kustomization_says_another_registry_or_a_digest() -> None:
    files = {"kustomization.yaml": KUSTOMIZATION}
    image = web(IMAGE, "registry:5000/shop/web:1.10", files)
    moved = apply(files, [Edit(image, "mirror/shop/web:1.11")])["kustomization.yaml"]
    assert moved == KUSTOMIZATION.replace("registry:5000/shop/web", "mirror/shop/web").replace('"1.10"', '"1.11"')
    with pytest.raises(CannotEdit, match="says a newTag"):
        apply(files, [Edit(image, "registry:5000/shop/web@sha256:" + "1" * 64)])
    old, new = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    pinned = {"kustomization.yaml": KUSTOMIZATION.replace('newTag: "1.10"', f"digest: {old}")}
    place = web(IMAGE, f"registry:5000/shop/web@{old}", pinned)
    edited = apply(pinned, [Edit(place, f"registry:5000/shop/web@{new}")])["kustomization.yaml"]
    assert edited == pinned["kustomization.yaml"].replace(old, new)


def replaced(old: str, new: str) -> dict[str, str]:
    assert old in WEB
    return {"web.yaml": WEB.replace(old, new)}


def with_kustomization(text: str) -> dict[str, str]:
    return {"kustomization.yaml": text, "web.yaml": WEB}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (replaced("replicas: 3", "replicas: 4"), "says spec.replicas 4, not 3"),
        (replaced("replicas: 3", "replicas: &three 3"), "anchor"),
        ({"web.yaml": "x: &three 3\n---\n" + WEB.replace("replicas: 3", "replicas: *three")}, "no YAML"),
        (replaced("spec:\n  replicas: 3", "spec:\n  <<: {a: 1}\n  replicas: 3"), "merge key"),
        (replaced("replicas: 3 ", "replicas: 3\n  replicas: 3 "), "twice"),
        (replaced("replicas: 3", "replicas: !!int 3"), "tag"),
        (replaced("replicas: 3", "replicas: 03"), "different things"),
        (replaced("replicas: 3", "replicas: {{ .Values.replicas }}"), "template"),
        (replaced("# two were not enough", "\n  paused: {{- if .x }}"), "template"),
        (replaced("replicas: 3", "replicas: [3"), r"no YAML \(line"),
        (replaced("replicas: 3", "replicas: |\n    3\n  other: 3"), "text block"),
        (replaced("replicas: 3 ", "paused: false "), "none of 1 files says spec.replicas 3 of Deployment web"),
        (replaced("namespace: shop", "namespace: other"), "none of 1 files"),
        ({"a/web.yaml": WEB, "b/web.yaml": WEB}, "say it as well as each other"),
        ({"a/web.yaml": WEB, "b/web.yaml": WEB.replace("replicas: 3", "replicas: 2")}, "b/web.yaml says"),
        ({}, "none of 0 files"),
        (with_kustomization("namePrefix: prod-\n"), "other names"),
        (with_kustomization("patches:\n- patch: |-\n    - op: replace\n      path: /spec/replicas\n"), "as well"),
        (with_kustomization("replicas:\n- name: web\n  count: 4\n"), "says replicas"),
        ({"web.yaml": WEB, "p.yaml": "- op: replace\n  path: /spec/replicas\n  value: 9\n"}, "p.yaml may patch"),
    ],
)
def test_what_is_not_certain_is_not_edited(files: dict[str, str], reason: str) -> None:
    with pytest.raises(CannotEdit, match=reason) as problem:
        web(REPLICAS, 3, files)
    assert "gitops_pr" in str(problem.value) or "no YAML" in reason


@pytest.mark.parametrize(
    ("kustomization", "reason"),
    [
        (KUSTOMIZATION.replace('"1.10"', '"1.9"'), "says 1.9, not 1.10"),
        (KUSTOMIZATION.replace('"1.10"', "1.10"), "put it in quotes"),
        (KUSTOMIZATION.replace('newTag: "1.10"', 'newTag: "1.10"\n  digest: sha256:1'), "both newTag and digest"),
        (KUSTOMIZATION.replace('newTag: "1.10"', 'tagSuffix: "x"'), "not known"),
        (KUSTOMIZATION.replace('  newTag: "1.10"\n', ""), "neither newTag nor digest"),
        (KUSTOMIZATION.replace("- name: shop/web", "- &a\n  name: shop/web"), "anchor"),
        (KUSTOMIZATION.replace("- name: s", '- {name: shop/web, newTag: "1"}\n- name: s'), "names shop/web twice"),
    ],
)
def test_an_image_of_a_kustomization_that_is_not_certain(kustomization: str, reason: str) -> None:
    with pytest.raises(CannotEdit, match=reason):
        web(IMAGE, "registry:5000/shop/web:1.10", {"kustomization.yaml": kustomization})


def test_other_objects_are_left_alone() -> None:
    files = {"web.yaml": WEB}
    assert find_places(files, "Deployment", "api", "shop", REPLICAS, 3) == []
    assert find_places(files, "StatefulSet", "web", "shop", REPLICAS, 3) == []
    assert find_places(files, "Rollout.argoproj.io", "web", "shop", REPLICAS, 3) == []
    rollout = WEB.replace("apps/v1", "argoproj.io/v1alpha1").replace("Deployment", "Rollout")
    assert len(find_places({"web.yaml": rollout}, "Rollout.argoproj.io", "web", "shop", REPLICAS, 3)) == 1


def test_what_has_changed_since_is_not_edited() -> None:
    place = web(REPLICAS, 3)
    with pytest.raises(CannotEdit, match="no more 3"):
        apply({"prod/web.yaml": WEB.replace("replicas: 3", "replicas: 4")}, [Edit(place, 5)])
    with pytest.raises(CannotEdit, match=r"not there any more|no spec\.replicas"):
        apply({"prod/web.yaml": "kind: Service\n"}, [Edit(place, 5)])
    with pytest.raises(CannotEdit, match="two things"):
        apply({"prod/web.yaml": WEB}, [Edit(place, 5), Edit(place, 6)])


@pytest.mark.parametrize("hostile", ["a\nb: c", "a\x00", "x" * 1001, "{{ .Values.x }}", None, float("inf"), 1e30])
def test_a_hostile_value_is_not_written(hostile: Any) -> None:
    with pytest.raises(CannotEdit):
        apply({"prod/web.yaml": WEB}, [Edit(web(IMAGE, "registry:5000/shop/web:1.10"), hostile)])


def test_a_place_that_people_name() -> None:
    values = {"values.yaml": "image:\n  tag: v1\nlist: [1, 2]\n"}
    place = place_in(values, "values.yaml", path_of("image.tag"))
    assert place.before == "v1"
    assert apply(values, [Edit(place, "12345e7")]) == {"values.yaml": 'image:\n  tag: "12345e7"\nlist: [1, 2]\n'}
    for file, path, reason in [
        ("other.yaml", "image.tag", "no file"),
        ("values.yaml", "image.name", "not added"),
        ("values.yaml", "list", "no single value"),
    ]:
        with pytest.raises(CannotEdit, match=reason):
            place_in(values, file, path_of(path))
    with pytest.raises(CannotEdit, match="2 documents"):
        place_in({"a.yaml": "a: 1\n---\na: 1\n"}, "a.yaml", ("a",))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("image.tag", ("image", "tag")),
        ("images[0].newTag", ("images", "0", "newTag")),
        ("spec.containers[name=app].image", ("spec", "containers", "[name=app]", "image")),
        ("annotations[a.b/c]", ("annotations", "a.b/c")),
    ],
)
def test_paths_as_people_write_them(text: str, path: tuple[str, ...]) -> None:
    assert path_of(text) == path


@pytest.mark.parametrize("text", ["", ".a", "a.", "a..b", "a[", "a[]", "a[0]b"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        path_of(text)


def test_a_file_that_is_small_and_huge() -> None:
    bombs = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)
    )
    assert apply(
        {"v.yaml": bombs + "tag: v1\n"}, [Edit(place_in({"v.yaml": bombs + "tag: v1\n"}, "v.yaml", ("tag",)), "v2")]
    )
    for deep in ("[" * 200_000, "[" * 20_000 + "]" * 20_000, "- " * 100_000):
        with pytest.raises(CannotEdit, match="nested more than 64"):
            place_in({"v.yaml": deep}, "v.yaml", ("tag",))
    with pytest.raises(CannotEdit, match="anchor"):
        place_in({"v.yaml": "a: &a [*a]\n"}, "v.yaml", ("a",))
    with pytest.raises(CannotEdit, match="alias without its anchor"):
        place_in({"v.yaml": "a: *b\n"}, "v.yaml", ("a",))


def test_text_that_is_not_of_one_byte_each() -> None:
    text = "\ufeff# 漢字 🎉\r\nnäme: '🎉' # ü\r\nlist: [ \"é\", {tag: v1} ]\r\n"
    edited = apply({"v.yaml": text}, [Edit(place_in({"v.yaml": text}, "v.yaml", ("list", "1", "tag")), "v2")])
    assert edited == {"v.yaml": text.replace("v1", "v2")}


@pytest.mark.parametrize(
    ("swap", "reason"),
    [
        (Swap(3, 4, "2\nb: 2", 2), "another shape"),
        (Swap(3, 4, "[2]", 2), "another shape"),
        (Swap(3, 4, "&a 2", 2), "another shape"),
        (Swap(3, 4, "[", 2), "no YAML"),
        (Swap(0, 1, "b", 2), "as intended"),
        (Swap(3, 4, "3", 2), "as intended"),
    ],
)
def test_a_text_is_read_again_before_it_is_believed(swap: Swap, reason: str) -> None:
    assert swapped("a: 1\n", [Swap(3, 4, "2", 2)]) == "a: 2\n"
    with pytest.raises(CannotEdit, match=reason):
        swapped("a: 1\n", [swap])


WRITABLE = st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" ")
KEYS = st.text("abcdefgh-./ ", min_size=1, max_size=6)
SCALARS = st.one_of(
    st.integers(-(10**9), 10**9),
    st.booleans(),
    st.text(WRITABLE, max_size=12),
    st.sampled_from(["1.10", "yes", "0755", "a: b", "#x", "it's", 'a"b', "1e3"]),
)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))


def leaves_of(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in leaves_of(value, (*path, key))]
    if isinstance(tree, list):
        return [leaf for number, value in enumerate(tree) for leaf in leaves_of(value, (*path, str(number)))]
    return [path]


def with_leaf(tree: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(tree, dict):
        return {key: with_leaf(one, path[1:], value) if key == path[0] else one for key, one in tree.items()}
    return [with_leaf(one, path[1:], value) if str(n) == path[0] else one for n, one in enumerate(tree)]


@settings(max_examples=150, deadline=None)
@given(
    tree=st.dictionaries(KEYS, TREES, min_size=1, max_size=4),
    after=SCALARS,
    style=st.sampled_from([None, "'", '"']),
    flow=st.booleans(),
    data=st.data(),
)
def test_everything_else_is_equal(tree: Any, after: Any, style: Any, flow: bool, data: Any) -> None:
    paths = leaves_of(tree)
    assume(paths)
    path = data.draw(st.sampled_from(paths))
    text = yaml.safe_dump(
        tree, default_style=style, default_flow_style=flow, allow_unicode=True, sort_keys=False, width=1000
    )
    before = "# kept\nfirst: 1\n---\n" + text + "---\nlast: 1\n"
    try:
        edited = apply({"f.yaml": before}, [Edit(place_in({"f.yaml": before}, "f.yaml", path), after)])
    except CannotEdit:
        assume(False)
    new = edited.get("f.yaml", before)
    assert list(yaml.safe_load_all(new)) == [{"first": 1}, with_leaf(tree, path, after), {"last": 1}]
    kept = list(yaml.safe_load_all(new))[1]
    for part in path:
        kept = kept[int(part)] if isinstance(kept, list) else kept[part]
    assert type(kept) is type(after)


@pytest.mark.parametrize("value", ["'one\n  two'", "one\n  two", "'one\u2028two'", '"one\x85two"', ""])
def test_a_value_that_is_not_on_one_line(value: str) -> None:
    text = f"tag: {value}\nother: 1\n"
    with pytest.raises(CannotEdit, match="one line"):
        apply({"v.yaml": text}, [Edit(place_in({"v.yaml": text}, "v.yaml", ("tag",)), "v2")])
