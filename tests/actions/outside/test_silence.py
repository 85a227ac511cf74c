"""silence: about the target, bounded, taken back by its id, and never to hide what fires."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_ID, GENERATED_TIME, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.outside.silence import Silence, SilenceParams
from remediator.actions.view import Ask
from tests.actions.make import deployment, view

API = deployment()
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "uid": "uid-node-1"}}
SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "uid-shop"}}
QUIET = {"firing": 0, "names": []}


def params(*matchers: str, **more: Any) -> SilenceParams:
    return SilenceParams.model_validate(
        {"matchers": matchers or ('namespace="shop"',), "for": "2h", "comment": "node maintenance", **more}
    )


def plan(asked: SilenceParams, target: Any = API, **found: Any) -> Any:
    here = view(target, found={"firing": {**QUIET, **found}})
    return Silence().plan(Silence().resolve(asked, here), here)


def test_one_call_that_ends_and_can_be_taken_back():
    change = plan(params('namespace="shop"', 'severity=~"warning|info"'))
    (call,) = change.effects
    assert (call.via, call.place, call.repeatable) == ("alertmanager", "alertmanager", True)
    assert call.request == {
        "do": "silence",
        "matchers": ['namespace="shop"', 'severity=~"warning|info"'],
        "starts": GENERATED_TIME,
        "for_s": 7200.0,
        "comment": "node maintenance",
        "id": GENERATED_ID,
    }
    assert call.inverse == {"do": "expire", "id": GENERATED_ID}
    assert diff_lines(change) == ('silence namespace="shop", severity=~"warning|info" for 2h: node maintenance',)
    assert change.needs_approval == ""


def test_what_it_asks_before():
    request = {"about": "matching", "matchers": ['namespace="shop"']}
    assert Silence().wants(params(), view(API)) == {"firing": Ask("alertmanager", "alertmanager", request)}


def test_hiding_what_fires_now_asks():
    change = plan(params(), firing=2, names=["ApiDown", "ApiSlow"])
    assert change.needs_approval.startswith("it would hide 2 alerts that fire now (ApiDown, ApiSlow)")


@pytest.mark.parametrize(
    ("target", "matcher"),
    [
        (API, 'namespace="shop"'),
        (API, 'exported_namespace="shop"'),
        (SHOP, 'namespace="shop"'),
        (NODE, 'node="node-1"'),
        (NODE, 'instance="node-1:9100"'),
    ],
)
def test_a_silence_about_its_target(target, matcher):
    assert plan(params('alertname=~".*"', matcher), target).effects


@pytest.mark.parametrize(
    ("target", "matchers"),
    [
        pytest.param(API, ('alertname=~".*"',), id="everything"),
        pytest.param(API, ('severity="critical"',), id="all that is critical"),
        pytest.param(API, ('namespace=~"shop"',), id="no equality"),
        pytest.param(API, ('namespace!="shop"',), id="all others"),
        pytest.param(API, ('namespace="bank"',), id="somebody else's"),
        pytest.param(API, ('job="shop"',), id="another label of that value"),
        pytest.param(NODE, ('namespace=""',), id="an empty value"),
        pytest.param(NODE, ('node="node-2"',), id="another node"),
        pytest.param(NODE, ('instance="node-10:9100"',), id="a node whose name goes on"),
    ],
)
def test_a_silence_about_something_else(target, matchers):
    with pytest.raises(NotPossible, match="a silence is about its target"):
        plan(params(*matchers), target)


def test_params_come_back_from_the_store():
    asked = params(**{"for": "90m"})
    assert SilenceParams.model_validate(asked.model_dump(mode="json")) == asked
    assert asked.for_ == timedelta(minutes=90)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"for": "4h1m"}, id="too long"),
        pytest.param({"for": "10s"}, id="too short"),
        pytest.param({"matchers": []}, id="no matchers"),
        pytest.param({"matchers": ["{}"]}, id="everything"),
        pytest.param({"matchers": ['namespace="a", alertname=~".*"']}, id="two in one: a value that was filled in"),
        pytest.param({"matchers": ['namespace="shop']}, id="no matcher"),
        pytest.param({"matchers": ['a="b"'] * 11}, id="too many"),
        pytest.param({"comment": ""}, id="no comment"),
    ],
)
def test_params_that_are_wrong(more):
    with pytest.raises(ValidationError):
        params(**more)
