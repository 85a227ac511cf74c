"""set_route_weight: sums stay, steps are bounded, and nothing goes where nobody is ready."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from remediator.actions.change import NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.render import inverse, render, still_before
from remediator.actions.traffic.route_weight import SetRouteWeight, SetRouteWeightParams, _shared
from remediator.actions.view import ListOf
from tests.actions.make import NOW, NS, deployment, owner, view
from tests.actions.traffic.make_traffic import (
    accepted,
    destination,
    http_route,
    key,
    pods,
    ref,
    slices,
    virtual_service,
)

READY = {key(name): (slices(3),) for name in ("blue", "green", "red")}
CANARY = [ref("blue", 90), ref("green", 10)]


def plan(obj: Any, found: Any = READY, **params: Any) -> Any:
    given_ = SetRouteWeightParams(**{"max_step": 100, **params})
    action, seen = SetRouteWeight(), view(obj, found=found)
    return action.plan(action.resolve(given_, seen), seen)


def weights(change: Any) -> dict[str, tuple[Any, Any]]:
    (effect,) = change.effects
    return {"/".join(c.path[2:]): (c.before, c.after) for c in effect.changes if c.before != c.after}


@pytest.mark.parametrize(
    ("obj", "params", "wanted"),
    [
        pytest.param(
            http_route(CANARY),
            {"backend": "green", "weight": 30},
            {"0/backendRefs/0/weight": (90, 70), "0/backendRefs/1/weight": (10, 30)},
            id="more",
        ),
        pytest.param(
            http_route(CANARY),
            {"backend": "green", "weight": 0},
            {"0/backendRefs/0/weight": (90, 100), "0/backendRefs/1/weight": (10, 0)},
            id="none",
        ),
        pytest.param(
            http_route(CANARY),
            {"backend": "blue", "weight": 0, "max_step": 25},
            {"0/backendRefs/0/weight": (90, 65), "0/backendRefs/1/weight": (10, 35)},
            id="one step down",
        ),
        pytest.param(
            http_route(CANARY),
            {"backend": "green", "weight": 100, "max_step": 5},
            {"0/backendRefs/0/weight": (90, 85), "0/backendRefs/1/weight": (10, 15)},
            id="one step up",
        ),
        pytest.param(
            http_route([ref("blue", 50), ref("green", 30), ref("red", 20)]),
            {"backend": "blue", "weight": 0},
            {
                "0/backendRefs/0/weight": (50, 0),
                "0/backendRefs/1/weight": (30, 60),
                "0/backendRefs/2/weight": (20, 40),
            },
            id="the others share as they did",
        ),
        pytest.param(
            http_route([ref("blue"), ref("green")]),
            {"backend": "green", "weight": 2},
            {"0/backendRefs/0/weight": (None, 0), "0/backendRefs/1/weight": (None, 2)},
            id="defaults count one",
        ),
        pytest.param(
            http_route(CANARY, [ref("red", 100)]),
            {"backend": "green", "weight": 20, "rule": "0"},
            {"0/backendRefs/0/weight": (90, 80), "0/backendRefs/1/weight": (10, 20)},
            id="rule by number",
        ),
        pytest.param(
            http_route(CANARY, {"name": "beta", "backendRefs": CANARY}),
            {"backend": "green", "weight": 20, "rule": "beta"},
            {"1/backendRefs/0/weight": (90, 80), "1/backendRefs/1/weight": (10, 20)},
            id="rule by name",
        ),
        pytest.param(
            http_route([ref("blue", 90), ref("blue", 10, port=81)]),
            {"backend": "blue:81", "weight": 20},
            {"0/backendRefs/0/weight": (90, 80), "0/backendRefs/1/weight": (10, 20)},
            id="two ports of one Service",
        ),
        pytest.param(
            virtual_service([destination("blue", 90), destination("green.shop.svc.cluster.local", 10)]),
            {"backend": "green", "weight": 20},
            {"0/route/0/weight": (90, 80), "0/route/1/weight": (10, 20)},
            id="Istio hosts",
        ),
        pytest.param(
            virtual_service([destination("blue", 100), destination("green")]),
            {"backend": "green", "weight": 20},
            {"0/route/0/weight": (100, 80), "0/route/1/weight": (None, 20)},
            id="Istio: no weight is none",
        ),
    ],
)
def test_weights(obj, params, wanted):
    change = plan(obj, **params)
    assert weights(change) == wanted
    assert change.needs_approval == ""
    assert change.effects[0].undoable


def test_people_read_the_shares():
    change = plan(http_route(CANARY), backend="green", weight=0)
    assert change.summary == "rule 0: blue 90 -> 100, green 10 -> 0"
    assert diff_lines(change, view(http_route(CANARY)).ref) == (
        "rules[0].backendRefs[0].weight 90 -> 100",
        "rules[0].backendRefs[1].weight 10 -> 0",
    )
    assert "no traffic goes to green any more" in change.notes


def test_the_step_is_settled_once():
    """After the first step the same request must not take another one."""
    seen = view(http_route(CANARY), found=READY)
    resolved = SetRouteWeight().resolve(SetRouteWeightParams(backend="green", weight=100, max_step=5), seen)
    assert resolved.weight == 15
    later = view(http_route([ref("blue", 85), ref("green", 15)]), found=READY)
    with pytest.raises(NotPossible, match="has the weight 15 already"):
        SetRouteWeight().plan(resolved, later)
    moved = view(http_route([ref("blue", 50), ref("green", 50)]), found=READY)
    with pytest.raises(NotPossible, match="more than one step away"):
        SetRouteWeight().plan(resolved, moved)


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(http_route([CANARY[1], CANARY[0]]), id="backends in another order"),
        pytest.param(http_route([ref("blue", 90), ref("green", 10, port=81)]), id="another port"),
        pytest.param(http_route({"matches": [{"path": {"value": "/x"}}], "backendRefs": CANARY}), id="another rule"),
        pytest.param(http_route([ref("blue", 80), ref("green", 20)]), id="other weights"),
    ],
)
def test_a_place_in_a_list_is_bound_to_what_stands_there(now):
    (effect,) = plan(http_route(CANARY), backend="green", weight=30).effects
    assert still_before(effect, http_route(CANARY)) is None
    assert still_before(effect, now) is not None


def test_on_the_wire_and_back():
    obj = http_route([ref("blue"), ref("green")])
    (effect,) = plan(obj, backend="green", weight=2).effects
    sent = {o["path"]: o.get("value") for o in json.loads(render(effect, obj, effect_id="e", now=NOW).body)}
    assert sent["/spec/rules/0/backendRefs/1/weight"] == 2
    back: Any = inverse(effect, http_route([ref("blue", 0), ref("green", 2)]))
    changed = [(c.before, c.after) for c in back.changes if c.before != c.after]
    assert changed == [(0, None), (2, None)]
    held = [c.before for c in back.changes if c.before == c.after]
    assert {"blue", "green"} <= {
        name for name in held if isinstance(name, str)
    }  # the undo finds the same backends in their places, or does nothing


OWNED = http_route(CANARY, ownerReferences=owner(deployment()))


@pytest.mark.parametrize(
    ("obj", "params", "reason", "hold"),
    [
        pytest.param(
            http_route(CANARY), {"backend": "pink"}, r"no backend pink \(there are: blue, green\)", 0, id="none"
        ),
        pytest.param(http_route(CANARY), {"backend": "green", "rule": "7"}, "rule 7 of .* no backend", 0, id="no rule"),
        pytest.param(
            http_route(CANARY, CANARY), {"backend": "green"}, "several rules .*one of 0, 1", 0, id="two rules"
        ),
        pytest.param(
            http_route([ref("blue", 90), ref("blue", 10, port=81)]),
            {"backend": "blue"},
            "more than once",
            0,
            id="twice",
        ),
        pytest.param(http_route([ref("green", 1)]), {"backend": "green"}, "only backend", 0, id="alone"),
        pytest.param(http_route(CANARY), {"backend": "green", "weight": 10}, "weight 10 already", 0, id="as it is"),
        pytest.param(http_route(CANARY), {"backend": "green", "weight": 101}, "add up to 100", 0, id="more than all"),
        pytest.param(
            http_route([ref("blue", 0), ref("green", 0)]), {"backend": "green"}, "add up to 0", 0, id="all zero"
        ),
        pytest.param(
            http_route([ref("blue", 9), ref("green", 0), ref("red", 0)]),
            {"backend": "blue", "weight": 1},
            "which of 2 others gets it",
            0,
            id="nobody says who",
        ),
        pytest.param(http_route(CANARY, parents=[]), {"backend": "green"}, "no gateway has taken", 1, id="no gateway"),
        pytest.param(
            http_route(CANARY, parents=[accepted(seen=0)]), {"backend": "green"}, "not seen the present", 1, id="behind"
        ),
        pytest.param(
            http_route(CANARY, parents=[accepted(), accepted(status="False", kind="ResolvedRefs")]),
            {"backend": "green"},
            "ResolvedRefs is False",
            1,
            id="not served",
        ),
        pytest.param(OWNED, {"backend": "green"}, "Deployment api decides", 0, id="an operator's"),
        pytest.param(http_route(CANARY, deletionTimestamp="x"), {"backend": "green"}, "being deleted", 0, id="goes"),
        pytest.param(deployment(), {"backend": "green"}, "no backend green", 0, id="another kind"),
    ],
)
def test_refused(obj, params, reason, hold):
    with pytest.raises(NotPossible, match=reason) as caught:
        plan(obj, **{"weight": 50, **params})
    assert caught.value.hold is bool(hold)


def test_what_gets_more_must_be_ready():
    unready = {**READY, key("green"): (slices(0, 3),)}
    with pytest.raises(
        NotPossible, match="green would get more traffic with 0 ready endpoints of shop/green"
    ) as caught:
        plan(http_route(CANARY), unready, backend="green", weight=30)
    assert caught.value.hold
    with pytest.raises(NotPossible, match="green would get more"):
        plan(http_route(CANARY), unready, backend="blue", weight=50)
    assert plan(http_route(CANARY), unready, backend="green", weight=0).effects
    assert plan(http_route(CANARY), backend="green", weight=30, min_ready=3).effects
    with pytest.raises(NotPossible, match="with 0 ready"):
        plan(http_route(CANARY), {**READY, key("green"): ()}, backend="green", weight=30)
    with pytest.raises(NotPossible, match=r"3 ready .* 4 wanted"):
        plan(http_route(CANARY), backend="green", weight=30, min_ready=4)


SUBSETS = virtual_service([destination("web", 90, "v1"), destination("web", 10, "v2")])
WEB = {key("web"): (slices(6),)}


def test_subsets_ask_unless_their_pods_are_named():
    assert "pods of subset web/v2 cannot be told apart" in plan(SUBSETS, WEB, backend="v2", weight=20).needs_approval
    named = {"backend": "web/v2", "weight": 20, "pods": {"version": "v2"}}
    assert plan(SUBSETS, {**WEB, "pods": pods(2)}, **named).needs_approval == ""
    with pytest.raises(NotPossible, match="0 ready pods with version=v2"):
        plan(SUBSETS, {**WEB, "pods": pods(0, 2)}, **named)


def test_what_is_no_service_asks():
    obj = virtual_service([destination("blue", 90), destination("api.example.com", 10)])
    change = plan(obj, backend="api.example.com", weight=20)
    assert change.needs_approval.startswith("what stands behind api.example.com is no Service")


def test_wants_the_endpoints_of_every_backend():
    obj = http_route([ref("blue", 90), ref("green", 10, namespace="beta")])
    seen = view(obj)
    found = SetRouteWeight().wants(
        SetRouteWeightParams(backend="green", weight=1, max_step=9, pods={"app": "x", "a": "b"}), seen
    )
    assert found == {
        key("blue"): ListOf(kind="EndpointSlice", namespace=NS, labels="kubernetes.io/service-name=blue"),
        key("green", "beta"): ListOf(kind="EndpointSlice", namespace="beta", labels="kubernetes.io/service-name=green"),
        "pods": ListOf(kind="Pod", namespace="beta", labels="a=b,app=x"),
    }
    assert SetRouteWeight().wants(SetRouteWeightParams(backend="pink", weight=1, max_step=9), seen) == {}


@pytest.mark.parametrize("host", ["a,b=c.shop", "Blue", "red.shop,x=y.svc"])
def test_names_that_are_none_never_reach_a_selector(host):
    obj = virtual_service([destination("blue", 90), destination(host, 10)])
    found = SetRouteWeight().wants(SetRouteWeightParams(backend="blue", weight=1, max_step=9), view(obj))
    assert list(found) == [key("blue")]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any), st.integers(0, 5000))
def test_shares_add_up_and_keep_their_order(now, rest):
    after = _shared(now, rest)
    assert sum(after) == rest
    assert all(weight == 0 for old, weight in zip(now, after, strict=True) if old == 0)
    exact = [old * rest / sum(now) for old in now]
    assert all(abs(weight - wanted) < 1 for weight, wanted in zip(after, exact, strict=True))


def test_both_address_families_count_once():
    found = {**READY, key("green"): (slices(1), slices(1, family="IPv6"))}
    with pytest.raises(NotPossible, match="with 1 ready"):
        plan(http_route(CANARY), found, backend="green", weight=30, min_ready=2)


@pytest.mark.parametrize(
    "params",
    [
        {"max_step": 0},
        {"weight": -1},
        {"backend": ""},
        {"min_ready": 0},
        {"pods": {"app": "a,b"}},
        {"pods": {"app": ""}},
        {"pods": {"a=b": "c"}},
    ],
)
def test_bad_params(params):
    with pytest.raises(ValidationError):
        SetRouteWeightParams(**{"backend": "green", "weight": 1, "max_step": 1, **params})
