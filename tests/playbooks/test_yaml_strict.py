"""YAML 1.2 core schema, and nothing that another YAML version would read differently."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from remediator.playbooks.yaml_strict import MAX_DEPTH, MAX_TEXT, Place, YamlError, load_strict, load_yaml


def read(text: str):
    return load_strict(text).content


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("null", None, id="null"),
        pytest.param("~", None, id="tilde"),
        pytest.param("", None, id="nothing"),
        pytest.param("true", True, id="true"),
        pytest.param("False", False, id="capital false"),
        pytest.param("0", 0, id="zero"),
        pytest.param("-17", -17, id="negative"),
        pytest.param("+3", 3, id="plus"),
        pytest.param("0x1F", 31, id="hex"),
        pytest.param("1.5", 1.5, id="float"),
        pytest.param(".5", 0.5, id="without zero"),
        pytest.param("1.", 1.0, id="without fraction"),
        pytest.param("1.0e+3", 1000.0, id="exponent that all versions read"),
        pytest.param("1.2.3", "1.2.3", id="version"),
        pytest.param("y", "y", id="a letter"),
        pytest.param('"yes"', "yes", id="quoted yes"),
        pytest.param("'12:30'", "12:30", id="quoted time"),
        pytest.param("90s", "90s", id="duration"),
        pytest.param("60%", "60%", id="percent"),
        pytest.param("a#b", "a#b", id="hash without space"),
        pytest.param("|\n  yes\n  no\n", "yes\nno\n", id="block"),
        pytest.param(">-\n  a\n  b\n", "a b", id="folded"),
        pytest.param("[1, [2], {b: 3}]", [1, [2], {"b": 3}], id="flow"),
        pytest.param("0x7fffffffffffffff", 2**63 - 1, id="largest number"),
    ],
)
def test_values(text, value):
    assert read(f"a: {text}") == {"a": value}
    assert type(read(f"a: {text}")["a"]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "No", "ON", "off", "12:30", "1:30:00", "2025-06-01", "2025-06-01T10:00:00Z", "2025-06-01 10:00:00"),
        *("0755", "0o17", "0b11", "1_000", "12e5", "1e3", "1.5e3", "=", ".inf", "-.INF", ".nan", "9223372036854775808"),
        *("1e999", "9" * 5000, "!!int 3", "!x y", "*missing"),
    ],
)
def test_what_other_versions_read_differently_is_refused(text):
    with pytest.raises(YamlError):
        read(f"a: {text}")


@pytest.mark.parametrize(
    "key", ["on", "yes", "1", "true", "null", "~", "1.5", "<<", "[a]", "{a: b}", "!!str a", "&x a"]
)
def test_keys_are_text(key):
    with pytest.raises(YamlError):
        read(f"? {key}\n: 1\n")


def test_all_problems_of_a_file_are_told_at_once():
    with pytest.raises(YamlError) as caught:
        read("a: yes\nb: 12:30\nb: 1\n")
    assert [(problem.place.line, problem.field) for problem in caught.value.problems] == [(1, "a"), (2, "b"), (3, "b")]


def test_places_count_from_one_and_fall_back_to_the_parent():
    document = load_strict("name: x\nsteps:\n  - action: a\n    with: {to: 1}\n  - wait: 5m\n")
    assert document.place(("name",)) == Place(1, 1)
    assert document.place(("steps", 0, "with", "to")) == Place(4, 12)
    assert document.place(("steps", 1)) == Place(5, 5)
    assert document.place(("steps", 1, "missing", "deeper")) == Place(5, 5)
    assert document.place(("nowhere",)) == Place(1, 1)


class TestAliases:
    def test_an_alias_stands_for_its_value(self):
        assert read("a: &x {b: [1, 2]}\nc: *x\n") == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}

    def test_the_latest_anchor_of_a_name_counts(self):
        assert read("a: &x 1\nb: &x 2\nc: *x\n")["c"] == 2

    @pytest.mark.parametrize("text", ["a: &x [*x]", "a: &x {b: {c: *x}}", "a: *x", "*x"])
    def test_an_alias_must_name_something_complete_above_it(self, text):
        with pytest.raises(YamlError):
            read(text)

    def test_expansion_counts_in_full(self):
        lines = ["a0: &a0 [" + ", ".join("x" * 10) + "]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
        with pytest.raises(YamlError, match="aliases counted in full"):
            read("\n".join(lines))

    def test_depth_counts_in_full(self):
        nested = "[" * 14 + "1" + "]" * 14
        lines = [f"a: &a {nested}", f"b: &b {nested.replace('1', '*a')}", f"c: {nested.replace('1', '*b')}"]
        with pytest.raises(YamlError, match="aliases counted in full"):
            read("\n".join(lines))
        assert read("\n".join(lines[:2]))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * (MAX_DEPTH + 1), id="brackets"),
        pytest.param("- " * 5000 + "x", id="dashes"),
        pytest.param("x" * (MAX_TEXT + 1), id="long"),
        pytest.param("a: [" + "1," * 20_001 + "]", id="many"),
        pytest.param("a: \ud800", id="half a character"),
        pytest.param("a\x00b: 1", id="control character"),
        pytest.param("%YAML 1.1\n---\na: 1", id="YAML 1.1 directive"),
        pytest.param("%TAG ! tag:x,2000:\n---\na: 1", id="tag directive"),
        pytest.param("--- a\n...\n--- b\n", id="two documents"),
        pytest.param("a: [1, 2", id="unclosed"),
    ],
)
def test_hostile_texts_are_refused(text):
    with pytest.raises(YamlError) as caught:
        read(text)
    for problem in caught.value.problems:
        assert problem.place.line >= 1
        assert len(problem.what) < 400


def test_messages_name_the_file():
    with pytest.raises(YamlError, match=r"^config\.yaml:2: "):
        load_yaml("a: 1\nb: yes\n", "config.yaml")
    assert load_yaml("a: 1", "config.yaml") == {"a": 1}


def test_a_document_marker_is_fine():
    assert read("%YAML 1.2\n---\na: 1\n...\n") == {"a": 1}


# Beyond that JSON writes pairs of surrogates, which YAML's escapes do not know.
words = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)
plain = st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | words
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4))


@given(values)
def test_json_is_yaml(value):
    """Every JSON value that we could mean is read as what it is."""
    assert read(json.dumps(value)) == value


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=12).filter(lambda text: "\n" not in text))
def test_a_plain_scalar_is_read_as_yaml_1_1_reads_it_or_refused(text):
    """Where a text is accepted, a YAML 1.1 reader does not mean another value by it."""
    document = f"a: {text}\n"
    try:
        ours = read(document)
    except YamlError:
        return
    theirs = yaml.load(document, Loader=yaml.CSafeLoader)
    assert ours == theirs
    assert json.dumps(ours) == json.dumps(theirs)


@given(st.text(max_size=200))
def test_never_raises_anything_else(text):
    try:
        load_strict(text)
    except YamlError:
        return
