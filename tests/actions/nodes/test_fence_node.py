"""fence_node: never without two proofs that the node has no power, and a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import GENERATED_TIME, FieldChange, Patch
from remediator.actions.nodes.fence_node import FenceNode, FenceNodeParams
from remediator.actions.render import inverse, render
from remediator.objects import ObjectRef
from remediator.ports import Sample
from tests.actions.make import NOW, NS
from tests.actions.nodes.things import OTHERS, node, on_node, plan, refusal

OFF = "remediator.dev/powered-off"
SILENT = timedelta(minutes=30)
QUERY = 'ipmi_power_state{node="worker-1"} == bool 0'
TAINT = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


def dead(**more: Any) -> dict[str, Any]:
    return node(**{"ready": "Unknown", "since": SILENT, "annotations": {OFF: "2025-06-01T11:50:00Z"}, **more})


def sample(value: float = 1, age: timedelta = timedelta(0)) -> Sample:
    return Sample(labels={"node": "worker-1"}, value=value, at=NOW - age)


def around(target: Any, *pods: Any, **more: Any) -> dict[str, Any]:
    return {"nodes": (target, *OTHERS), "pods": pods, **more}


def test_a_persons_word_and_silence():
    target = dead(taints=[UNREACHABLE])
    pods = (on_node("db-0", of="StatefulSet", owner="db", ready=False), on_node("bare", of="", ready=False))
    change = plan(FenceNode(), {}, target, **around(target, *pods))
    (patch,) = change.effects
    assert isinstance(patch, Patch)
    assert patch.changes == (
        FieldChange(("spec", "taints", "[key=node.kubernetes.io/out-of-service]"), None, TAINT),
        FieldChange(("metadata", "annotations", "remediator.dev/fenced"), None, GENERATED_TIME),
    )
    assert change.needs_approval == (
        "it must be without power, or data is destroyed: silent since 11:30:00 UTC, "
        "and a person wrote that it was switched off"
    )
    assert change.summary == "take out of service: 2 pods deleted by force, volumes detached"
    assert change.touches == (ObjectRef("StatefulSet", NS, "db"),)
    assert "nobody makes shop/bare again" in change.notes
    assert FenceNode.changes_data


@pytest.mark.parametrize("taints", [(), (UNREACHABLE,)], ids=["first taint", "one more"])
def test_what_is_sent_and_its_undo(taints):
    target = dead(taints=taints)
    (patch,) = plan(FenceNode(), {}, target, **around(target)).effects
    assert isinstance(patch, Patch)
    body = render(patch, target, effect_id="e", now=NOW).body
    assert b'"path":"/spec/taints/-"' in body
    after = {**target, "spec": {**target["spec"], "taints": [*taints, TAINT]}}
    undo = inverse(patch, after)
    assert isinstance(undo, Patch)
    removed = render(undo, after, effect_id="u", now=NOW).body
    assert f'{{"op":"remove","path":"/spec/taints/{len(taints)}"}}'.encode() in removed


def test_the_power_supply_and_silence():
    target = dead(annotations={})
    given = {"powered_off_query": QUERY}
    change = plan(FenceNode(), given, target, **around(target, powered_off=(sample(),)))
    assert change.needs_approval.endswith("and powered_off_query says that it is off")


WITH_QUERY = {"powered_off_query": QUERY}


@pytest.mark.parametrize(
    ("given", "target", "more", "reason", "hold"),
    [
        pytest.param({}, dead(ready="True"), {}, "is ready: its kubelet answers", False, id="ready"),
        pytest.param({}, dead(ready="False"), {}, "so it has power", False, id="not ready, but answers"),
        pytest.param({}, dead(since=timedelta(minutes=9)), {}, "silent for 9m, not_ready_for is 10m", True, id="9m"),
        pytest.param({}, dead(taints=[TAINT]), {}, "out of service already", False, id="fenced"),
        pytest.param({}, dead(annotations={}), {}, "nothing proves", False, id="no second proof"),
        pytest.param(
            {}, dead(annotations={OFF: "2025-06-01T11:29:59Z"}), {}, "earlier failure", False, id="an old word"
        ),
        pytest.param({}, dead(annotations={OFF: "2025-06-01T12:02:01Z"}), {}, "in the future", False, id="future"),
        pytest.param({}, dead(annotations={OFF: "yes"}), {}, "is no time", False, id="not a time"),
        pytest.param({}, dead(annotations={OFF: "2025-06-01T11:50:00"}), {}, "is no time", False, id="no zone"),
        pytest.param(
            {},
            dead(
                managers=[
                    {
                        "manager": "remediator",
                        "operation": "Update",
                        "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{OFF}": {}}}},
                    }
                ]
            ),
            {},
            "written by ourselves",
            False,
            id="our own word",
        ),
        pytest.param(
            WITH_QUERY, dead(annotations={}), {"powered_off": ()}, "0 samples, exactly one", True, id="no sample"
        ),
        pytest.param(
            WITH_QUERY, dead(annotations={}), {"powered_off": (sample(), sample())}, "2 samples", True, id="two"
        ),
        pytest.param(WITH_QUERY, dead(annotations={}), {"powered_off": (sample(0),)}, "may have power", True, id="on"),
        pytest.param(
            WITH_QUERY, dead(annotations={}), {"powered_off": (sample(float("nan")),)}, "may have", True, id="NaN"
        ),
        pytest.param(
            WITH_QUERY,
            dead(annotations={}),
            {"powered_off": (sample(age=timedelta(minutes=6)),)},
            "may have power",
            True,
            id="an old sample",
        ),
        pytest.param(
            {"powered_off_query": 'power{node="worker-10"} == bool 0'},
            dead(annotations={}),
            {"powered_off": (sample(),)},
            "may mean another",
            False,
            id="another node's query",
        ),
    ],
)
def test_no_fence(given, target, more, reason, hold):
    refused = refusal(FenceNode(), given, target, **around(target, **more))
    assert reason in refused.reason
    assert refused.hold is hold


def test_an_address_names_the_node_too():
    target = dead(annotations={})
    given = {"powered_off_query": 'up{instance="10.0.0.7:9100"} == bool 0'}
    assert plan(FenceNode(), given, target, **around(target, powered_off=(sample(),))).effects


def test_several_silent_nodes_are_a_broken_network():
    target = dead()
    refused = refusal(FenceNode(), {}, target, nodes=(target, node("b", ready="Unknown"), node("c")), pods=())
    assert "b is silent too" in refused.reason
    assert refused.hold


def test_a_node_that_never_reported():
    target = dead()
    target["status"]["conditions"] = []
    assert "never reported" in refusal(FenceNode(), {}, target, **around(target)).reason


@pytest.mark.parametrize(
    "given",
    [
        {"not_ready_for": "4m"},
        {"not_ready_for": "25h"},
        {"powered_off_query": "  "},
        {"max_silent": 6},
        {"force": True},
    ],
)
def test_bad_params(given):
    with pytest.raises(ValidationError):
        FenceNodeParams(**given)
