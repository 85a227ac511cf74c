"""gitops_pr, promote: single values of files, as a request to a forge that people merge."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import Call, NotPossible
from remediator.actions.delivery.pull_requests import GitopsPr, GitopsPrParams, Promote, PromoteParams
from remediator.actions.diff import diff_lines
from remediator.actions.view import Ask
from remediator.objects import ref_of
from tests.actions.make import deployment, view

VALUES = 'image:\n  tag: v1 # ours\nreplicas: 3\nbuild: "1.10"\ndebug: false\nempty:\n'
STAGING = "image:\n  tag: v2\nbuild: 2\n"
FILE = "apps/web/values.yaml"


def answer(**files: str) -> dict[str, Any]:
    return {"repository": "deploy", "branch": "main", "head": "a" * 40, "path": FILE, "files": files}


def pr(text: str = VALUES, obj: Any = None, **params: Any) -> Any:
    seen = view(obj or deployment(), found={"file": answer(**{FILE: text})})
    given = GitopsPrParams.model_validate({"repository": "deploy", "file": FILE, **params})
    action = GitopsPr()
    return action.plan(action.resolve(given, seen), seen)


def promote(to: str = VALUES, source: str = STAGING, **params: Any) -> Any:
    asked = {"from_file": "apps/staging.yaml", "to_file": FILE, "path": "image.tag", **params}
    found = {"from": answer(**{"apps/staging.yaml": source}), "to": answer(**{FILE: to})}
    seen = view(deployment(), found=found)
    given = PromoteParams.model_validate({"repository": "deploy", **asked})
    action = Promote()
    return action.plan(action.resolve(given, seen), seen)


def request_of(change: Any) -> Any:
    (call,) = change.effects
    assert isinstance(call, Call)
    assert (call.via, call.place) == ("forge", "deploy")
    assert call.inverse == {"do": "close", "branch": call.request["branch"]}
    return call.request


def test_a_pull_request():
    change = pr(set={"image.tag": "v2", "replicas": 5}, reason="rolled back by @alice, fixes #3")
    request = request_of(change)
    assert request["branch"] == "remediator/${generated:id}"
    assert (request["do"], request["base"], request["head"]) == ("propose", "main", "")
    assert request["files"] == {
        FILE: {
            "before_sha": hashlib.sha256(VALUES.encode()).hexdigest(),
            "text": VALUES.replace("v1", "v2").replace("3", "5"),
        }
    }
    assert request["title"].endswith("image.tag v1 -> v2, replicas 3 -> 5")
    assert "- Why: `rolled back by @alice, fixes #3`" in request["body"]
    assert change.summary == f"propose image.tag v1 -> v2, replicas 3 -> 5 in {FILE} of deploy (main)"
    assert (change.takes, change.needs_approval) == (0, "")
    assert diff_lines(change, ref_of(deployment())) == (
        "open a pull request in deploy: image.tag v1 -> v2, replicas 3 -> 5",
    )


def test_what_it_asks_for():
    params = GitopsPrParams.model_validate({"repository": "deploy", "file": FILE, "set": {"a": 1}})
    ask = Ask("forge", "deploy", {"about": "files", "path": FILE, "branch": ""})
    assert GitopsPr().wants(params, view(deployment())) == {"file": ask}
    both = PromoteParams(repository="deploy", branch="main", from_file="a.yaml", to_file="b.yaml", path="x")
    assert Promote().wants(both, view(deployment())) == {
        "from": Ask("forge", "deploy", {"about": "files", "path": "a.yaml", "branch": "main"}),
        "to": Ask("forge", "deploy", {"about": "files", "path": "b.yaml", "branch": "main"}),
    }


def test_other_peoples_commits_do_not_make_another_plan_of_it():
    seen = view(deployment(), found={"file": {**answer(**{FILE: VALUES}), "head": "b" * 40}})
    params = GitopsPrParams.model_validate({"repository": "deploy", "file": FILE, "set": {"replicas": 5}})
    assert GitopsPr().plan(params, seen) == pr(set={"replicas": 5})


@pytest.mark.parametrize(
    ("text", "values", "reason"),
    [
        (VALUES, {"image.name": "x"}, "not added"),
        (VALUES, {"image": "x"}, "no single value"),
        (VALUES, {"replicas": "5"}, r"is a number \(3\): give a number, not a text"),
        (VALUES, {"build": 1.1}, r"is a text \(1\.10\)"),
        (VALUES, {"debug": 1}, "is true or false"),
        (VALUES, {"empty": "x"}, "is nothing"),
        (VALUES, {"replicas": 3}, "says it already"),
        (VALUES, {"image.tag": "v1\nevil: true"}, "one line"),
        ("image: {{ .Values.x }}\n", {"image": "x"}, "template"),
        ("a: &x 1\n", {"a": 2}, "anchor"),
        ("a: [", {"a": 2}, "no YAML"),
        ("a: 1\n---\na: 1\n", {"a": 2}, "2 documents"),
    ],
)
def test_what_is_not_proposed(text, values, reason):
    with pytest.raises(NotPossible, match=reason):
        pr(text, set=values)


def test_another_kind_of_target():
    with pytest.raises(NotPossible, match="name another target"):
        pr(obj={"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n", "uid": "u"}}, set={"replicas": 4})


@pytest.mark.parametrize(
    "params",
    [
        {"file": "/etc/passwd.yaml"},
        {"file": "../up.yaml"},
        {"file": "a/.github/x.yaml"},
        {"file": "run.sh"},
        {"file": "a.yaml", "set": {}},
        {"set": {"a..b": 1}},
        {"set": {"a": None}},
        {"set": {"a": [1]}},
        {"set": {f"a{n}": 1 for n in range(21)}},
        {"set": {"a": "x" * 1001}},
        {"repository": "https://evil.example.com/x"},
        {"branch": "-x"},
    ],
)
def test_parameters_that_are_not_taken(params):
    with pytest.raises(ValidationError):
        GitopsPrParams.model_validate({"repository": "deploy", "file": FILE, "set": {"a": 1}, **params})


def test_promoting():
    change = promote()
    request = request_of(change)
    assert request["files"][FILE]["text"] == VALUES.replace("v1", "v2")
    assert "- Taken from: `apps/staging.yaml: image.tag`" in request["body"]
    assert change.notes == ("nothing changes until people merge it and the owner syncs",)
    other = promote(to=VALUES, path="image.tag", to_path="build")
    assert request_of(other)["files"][FILE]["text"] == VALUES.replace('"1.10"', '"v2"')


@pytest.mark.parametrize(
    ("to", "source", "params", "reason"),
    [
        (VALUES, "image: {}\n", {}, "apps/staging.yaml has no image.tag"),
        ("image: {}\n", STAGING, {}, "values.yaml has no image.tag"),
        (VALUES, STAGING.replace("v2", "v1"), {}, "says it already"),
        (VALUES, STAGING, {"path": "build"}, r"is a text \(1\.10\): give a text, not a number"),
        (VALUES, STAGING, {"from_file": FILE}, "both ends"),
        (VALUES, STAGING, {"to_path": "a..b"}, "no path"),
    ],
)
def test_what_is_not_promoted(to, source, params, reason):
    with pytest.raises(NotPossible, match=reason):
        promote(to, source, **params)
