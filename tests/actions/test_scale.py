"""scale: how many, within which bounds, and who decides instead of us."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.workloads.scale import Scale, ScaleParams
from remediator.objects import ref_of
from tests.actions.make import deployment, hpa, owner, statefulset, view


def plan(obj: Any, params: dict[str, Any], **parts: Any) -> Any:
    action, seen = Scale(), view(obj, **parts)
    return action.plan(action.resolve(ScaleParams(**params), seen), seen)


@pytest.mark.parametrize(
    ("present", "params", "after", "direction"),
    [
        pytest.param(3, {"to": 5, "min": 1, "max": 9}, 5, "up", id="to"),
        pytest.param(3, {"by": 2, "min": 1, "max": 9}, 5, "up", id="by"),
        pytest.param(3, {"factor": 1.5, "min": 1, "max": 9}, 5, "up", id="factor rounds up"),
        pytest.param(10, {"factor": 1.1, "min": 1, "max": 99}, 11, "up", id="factor is exact, not a float"),
        pytest.param(5, {"to": 3, "min": 1, "max": 9}, 3, "down", id="down"),
        pytest.param(5, {"by": -2, "min": 1, "max": 9}, 3, "down", id="by, down"),
        pytest.param(5, {"factor": 0.5, "min": 1, "max": 9}, 3, "down", id="factor rounds up, down too"),
        pytest.param(3, {"by": 20, "min": 1, "max": 9}, 9, "up", id="stops at max"),
        pytest.param(5, {"by": -20, "min": 2, "max": 9}, 2, "down", id="stops at min"),
        pytest.param(5, {"to": 0, "min": 0, "max": 9}, 0, "down", id="to 0 with min 0"),
        pytest.param(0, {"by": 2, "min": 0, "max": 9}, 2, "up", id="from 0"),
    ],
)
def test_one_merge_patch_of_the_replicas(present, params, after, direction):
    obj = deployment(present)
    change = plan(obj, params)
    (effect,) = change.effects
    assert effect.ref == ref_of(obj)
    assert effect.changes == (FieldChange(("spec", "replicas"), present, after),)
    assert effect.undoable
    assert not effect.replace
    assert change.direction == direction
    assert change.summary.startswith(f"replicas {present} -> {after}")


@pytest.mark.parametrize(
    ("present", "available", "params", "takes"),
    [
        pytest.param(5, 5, {"to": 3, "min": 1, "max": 9}, 2, id="healthy ones go"),
        pytest.param(5, 3, {"to": 3, "min": 1, "max": 9}, 0, id="only broken ones go"),
        pytest.param(5, 4, {"to": 1, "min": 1, "max": 9}, 3, id="some of both"),
        pytest.param(5, 5, {"to": 9, "min": 1, "max": 9}, 0, id="growing takes none"),
    ],
)
def test_what_it_takes(present, available, params, takes):
    change = plan(deployment(present, available), params)
    assert change.takes == takes
    assert change.reduces_capacity is (params["to"] < present)


def test_a_bound_that_mattered_is_said():
    change = Scale().plan(ScaleParams(by=4, min=1, max=5), view(deployment(3)))
    assert change.summary == "replicas 3 -> 5, 7 wanted, max is 5"


@pytest.mark.parametrize(
    ("present", "params", "reason"),
    [
        pytest.param(3, {"to": 3, "min": 1, "max": 9}, "has 3 copies already", id="no change"),
        pytest.param(9, {"by": 2, "min": 1, "max": 9}, "9 copies already, 11 wanted, max is 9", id="at max already"),
        pytest.param(0, {"factor": 2, "min": 0, "max": 9}, "has 0 copies already", id="twice nothing"),
        pytest.param(
            12, {"by": 2, "min": 1, "max": 9}, "would go the other way", id="above max: asked up, would go down"
        ),
        pytest.param(
            1, {"by": -1, "min": 2, "max": 9}, "would go the other way", id="below min: asked down, would go up"
        ),
        pytest.param(
            1, {"by": -1, "min": 1, "max": 9}, "1 copies already, 0 wanted, min is 1", id="0 only with min: 0"
        ),
    ],
)
def test_nothing_to_do_is_said(present, params, reason):
    with pytest.raises(NotPossible) as refused:
        plan(deployment(present), params)
    assert reason in refused.value.reason
    assert not refused.value.hold


@given(
    present=st.integers(0, 60),
    low=st.integers(0, 20),
    span=st.integers(0, 40),
    wish=st.one_of(
        st.tuples(st.just("to"), st.integers(0, 80)),
        st.tuples(st.just("by"), st.integers(-80, 80).filter(bool)),
        st.tuples(st.just("factor"), st.integers(1, 400).filter(lambda n: n != 100).map(lambda n: n / 100)),
    ),
)
def test_the_result_is_within_bounds_and_in_the_asked_direction(present, low, span, wish):
    name, value = wish
    high = max(1, low + span)
    exact = Fraction(str(value))
    asked = {"to": exact, "by": present + exact, "factor": present * exact}[name]
    try:
        change = plan(deployment(present), {name: value, "min": low, "max": high})
    except NotPossible:
        return
    after = change.effects[0].changes[0].after
    assert low <= after <= high
    assert (after > present) == (math.ceil(asked) > present)
    assert after == min(high, max(low, math.ceil(asked)))


def test_resolving_makes_it_absolute():
    """So that an effect which has happened already is not counted a second time by a later plan."""
    action = Scale()
    resolved = action.resolve(ScaleParams(by=2, min=1, max=9), view(deployment(3)))
    assert resolved == ScaleParams(to=5, min=1, max=9)
    with pytest.raises(NotPossible, match="5 copies already"):
        action.plan(resolved, view(deployment(5)))


@pytest.mark.parametrize(
    "given_params",
    [
        pytest.param({"min": 1, "max": 9}, id="none of the three"),
        pytest.param({"to": 3, "by": 1, "min": 1, "max": 9}, id="two of the three"),
        pytest.param({"to": 3, "max": 9}, id="no min"),
        pytest.param({"to": 3, "min": 1}, id="no max"),
        pytest.param({"to": 3, "min": 9, "max": 1}, id="min above max"),
        pytest.param({"by": 0, "min": 1, "max": 9}, id="by 0"),
        pytest.param({"factor": 1, "min": 1, "max": 9}, id="factor 1"),
        pytest.param({"factor": 0, "min": 1, "max": 9}, id="factor 0"),
        pytest.param({"factor": float("nan"), "min": 1, "max": 9}, id="factor NaN"),
        pytest.param({"factor": float("inf"), "min": 1, "max": 9}, id="factor infinite"),
        pytest.param({"to": -1, "min": 0, "max": 9}, id="negative"),
        pytest.param({"to": 3, "min": 0, "max": 0}, id="max 0"),
    ],
)
def test_bad_params(given_params):
    with pytest.raises(ValidationError):
        ScaleParams(**given_params)


# --- who decides instead ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("present", "bounds", "params", "field", "before", "after"),
    [
        pytest.param(4, (2, 10), {"by": 3, "min": 1, "max": 9}, "minReplicas", 2, 7, id="grow: raise min"),
        pytest.param(4, (2, 5), {"by": 3, "min": 1, "max": 9}, "minReplicas", 2, 5, id="grow: min stops at max"),
        pytest.param(5, (2, 5), {"by": 3, "min": 1, "max": 9}, "maxReplicas", 5, 8, id="at max: raise max"),
        pytest.param(6, (2, 5), {"by": 3, "min": 1, "max": 9}, "maxReplicas", 5, 9, id="above max: raise max"),
        pytest.param(
            5, (2, 5), {"by": 9, "min": 1, "max": 7}, "maxReplicas", 5, 7, id="at max: the playbook's max caps"
        ),
        pytest.param(6, (2, 10), {"to": 4, "min": 1, "max": 9}, "maxReplicas", 10, 4, id="shrink: lower max"),
        pytest.param(6, (5, 10), {"to": 2, "min": 1, "max": 9}, "maxReplicas", 10, 5, id="shrink: max stops at min"),
    ],
)
def test_an_autoscaler_owns_the_replicas_so_its_bound_moves(present, bounds, params, field, before, after):
    change = plan(deployment(present), params, hpas=(hpa(*bounds),))
    (effect,) = change.effects
    assert effect.ref.kind == "HorizontalPodAutoscaler"
    assert effect.uid == "uid-hpa"
    assert effect.changes == (FieldChange(("spec", field), before, after),)
    assert f"{field} {before} -> {after}" in change.summary
    assert "belong to HorizontalPodAutoscaler shop/api" in change.notes[0]


def test_lowering_the_autoscalers_max_takes_copies():
    change = plan(deployment(6), {"to": 4, "min": 1, "max": 9}, hpas=(hpa(2, 10),))
    assert (change.takes, change.direction, change.reduces_capacity) == (2, "down", True)


@pytest.mark.parametrize(
    ("obj", "hpas", "reason"),
    [
        pytest.param(
            deployment(3),
            [
                hpa(
                    owners=owner(
                        {
                            "apiVersion": "keda.sh/v1alpha1",
                            "kind": "ScaledObject",
                            "metadata": {"name": "q", "uid": "k"},
                        }
                    )
                )
            ],
            "KEDA's ScaledObject q owns",
            id="KEDA",
        ),
        pytest.param(
            deployment(3),
            [hpa(owners=owner({"apiVersion": "x/v1", "kind": "Service", "metadata": {"name": "s", "uid": "k"}}))],
            "Service s owns",
            id="another owner",
        ),
        pytest.param(deployment(3), [hpa(), hpa()], "several HorizontalPodAutoscalers", id="two autoscalers"),
        pytest.param(deployment(0), [hpa()], "switched HorizontalPodAutoscaler shop/api off", id="switched off by 0"),
        pytest.param(
            deployment(
                3,
                metadata={
                    "ownerReferences": owner(
                        {"apiVersion": "x/v1", "kind": "Shop", "metadata": {"name": "main", "uid": "k"}}
                    )
                },
            ),
            [],
            "Shop main decides about the copies",
            id="an operator's Deployment",
        ),
    ],
)
def test_the_owner_is_named(obj, hpas, reason):
    with pytest.raises(NotPossible) as refused:
        plan(obj, {"by": 2, "min": 0, "max": 9}, hpas=tuple(hpas))
    assert reason in refused.value.reason
    assert refused.value.guardrail == "ownership"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(hpa(of="another"), id="another name"),
        pytest.param(hpa(kind="StatefulSet"), id="another kind"),
        pytest.param({**hpa(), "metadata": {**hpa()["metadata"], "namespace": "x"}}, id="another namespace"),
        pytest.param(
            {
                **hpa(),
                "spec": {
                    **hpa()["spec"],
                    "scaleTargetRef": {"apiVersion": "x/v1", "kind": "Deployment", "name": "api"},
                },
            },
            id="another group",
        ),
    ],
)
def test_an_autoscaler_of_something_else_does_not_matter(other):
    change = plan(deployment(3), {"by": 2, "min": 1, "max": 9}, hpas=(other,))
    assert change.effects[0].ref.kind == "Deployment"


@pytest.mark.parametrize(
    ("present", "bounds", "params"),
    [
        pytest.param(1, (5, 10), {"to": 4, "min": 1, "max": 9}, id="min is higher already"),
        pytest.param(1, (5, 10), {"to": 5, "min": 1, "max": 9}, id="min is just that already"),
        pytest.param(4, (4, 10), {"to": 2, "min": 1, "max": 9}, id="min forbids to shrink"),
    ],
)
def test_an_autoscaler_that_keeps_it_already(present, bounds, params):
    with pytest.raises(NotPossible, match="keeps between"):
        plan(deployment(present), params, hpas=(hpa(*bounds),))


def test_autoscalers_that_cannot_be_read_hold():
    with pytest.raises(NotPossible, match="CANNOT SEE: hpas") as refused:
        plan(deployment(3), {"by": 2, "min": 1, "max": 9}, unreadable={"hpas": "403"})
    assert refused.value.hold


def test_who_wrote_the_replicas_last_is_said():
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    managers = [
        {"manager": "kubectl", "operation": "Update", "time": "2025-01-01T00:00:00Z", "fieldsV1": fields},
        {"manager": "queue-scaler", "operation": "Update", "time": "2025-02-01T00:00:00Z", "fieldsV1": fields},
        {"manager": "remediator", "operation": "Update", "time": "2025-03-01T00:00:00Z", "fieldsV1": fields},
    ]
    change = plan(deployment(3, metadata={"managedFields": managers}), {"by": 2, "min": 1, "max": 9})
    assert change.notes == ("spec.replicas was last set by queue-scaler",)


def test_the_volumes_of_a_statefulset_stay():
    assert "the volumes of removed copies stay" in plan(statefulset(3), {"to": 2, "min": 1, "max": 9}).notes
    assert plan(statefulset(3), {"to": 4, "min": 1, "max": 9}).notes == ()
    assert plan(deployment(3), {"to": 2, "min": 1, "max": 9}).notes == ()


def test_an_autoscaler_without_a_minimum_keeps_one():
    scaler = hpa()
    del scaler["spec"]["minReplicas"]
    change = plan(deployment(1), {"to": 2, "min": 1, "max": 9}, hpas=(scaler,))
    assert change.effects[0].changes == (FieldChange(("spec", "minReplicas"), None, 2),)
    assert plan(deployment(4), {"to": 1, "min": 1, "max": 9}, hpas=(scaler,)).effects[0].changes[0].after == 1


def test_an_autoscaler_that_may_still_grow_is_waited_for():
    params = {"factor": 1.5, "min": 1, "max": 12, "autoscaler": "at_max"}
    with pytest.raises(NotPossible, match="may grow to 8 copies by itself, it has 4") as refused:
        plan(deployment(4), params, hpas=(hpa(2, 8),))
    assert refused.value.hold
    (effect,) = plan(deployment(8), params, hpas=(hpa(2, 8),)).effects
    assert effect.changes == (FieldChange(("spec", "maxReplicas"), 8, 12),)
    (effect,) = plan(deployment(4), params).effects
    assert effect.changes == (FieldChange(("spec", "replicas"), 4, 6),)
