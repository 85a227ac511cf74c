"""switch_service: the whole selector, and only to pods that are ready."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.traffic.switch_service import SwitchService, SwitchServiceParams
from remediator.actions.view import ListOf
from tests.actions.make import NS, deployment, owner, view
from tests.actions.traffic.make_traffic import pods, service, slices

GREEN = {"app": "web", "color": "green"}
BLUE = {"app": "web", "color": "blue"}


def plan(obj: Any, found: Any = None, *, serving: int = 3, **params: Any) -> Any:
    seen = view(obj, found={"pods": pods(3) if found is None else found, "endpoints": (slices(serving),)})
    return SwitchService().plan(SwitchServiceParams(**{"selector": GREEN, "min_ready": 2, **params}), seen)


@pytest.mark.parametrize("selector", [GREEN, {"release": "v2"}])
def test_the_selector_is_replaced_whole(selector):
    change = plan(service(), selector=selector)
    (effect,) = change.effects
    assert effect.changes == (FieldChange(("spec", "selector"), BLUE, selector),)
    assert effect.replace
    assert effect.undoable
    assert not change.reduces_capacity


def test_people_read_it():
    change = plan(service())
    assert change.summary == "selector app=web,color=blue -> app=web,color=green (3 -> 3 ready pods)"
    assert diff_lines(change, view(service()).ref) == ("selector.color blue -> green",)


def test_fewer_pods_than_now_is_less_capacity():
    assert plan(service(), serving=4).reduces_capacity


@pytest.mark.parametrize(
    ("found", "ready"),
    [
        pytest.param((), 0, id="no pods"),
        pytest.param(pods(1, 5), 1, id="not ready"),
        pytest.param(pods(5, port="grpc"), 0, id="without the named port"),
        pytest.param(
            pods(1) + tuple({**p, "status": {**p["status"], "phase": "Failed"}} for p in pods(3)), 1, id="ended"
        ),
    ],
)
def test_too_few_ready_pods(found, ready):
    with pytest.raises(NotPossible, match=f"matches {ready} ready pods .* 2 wanted") as caught:
        plan(service(), found)
    assert caught.value.hold


OWNED = service()
OWNED["metadata"]["ownerReferences"] = owner(deployment())
GOES = service()
GOES["metadata"]["deletionTimestamp"] = "x"


@pytest.mark.parametrize(
    ("obj", "params", "reason"),
    [
        pytest.param(service(GREEN), {}, "selects app=web,color=green already", id="as it is"),
        pytest.param(service(type="ExternalName"), {}, "is an ExternalName", id="external"),
        pytest.param(service(clusterIP="None"), {}, "is headless", id="headless"),
        pytest.param(service({}), {}, "has no selector", id="no selector"),
        pytest.param(OWNED, {}, "Deployment api decides", id="an operator's"),
        pytest.param(GOES, {}, "being deleted", id="goes"),
        pytest.param(deployment(), {}, "is no Service", id="another kind"),
    ],
)
def test_refused(obj, params, reason):
    with pytest.raises(NotPossible, match=reason):
        plan(obj, **params)


def test_wants():
    assert SwitchService().wants(SwitchServiceParams(selector=GREEN, min_ready=1), view(service())) == {
        "pods": ListOf(kind="Pod", namespace=NS, labels="app=web,color=green"),
        "endpoints": ListOf(kind="EndpointSlice", namespace=NS, labels="kubernetes.io/service-name=web"),
    }


@pytest.mark.parametrize(
    "params", [{"selector": {}}, {"min_ready": 0}, {"selector": {"a": "b,c=d"}}, {"selector": {"a b": "c"}}]
)
def test_bad_params(params):
    with pytest.raises(ValidationError):
        SwitchServiceParams(**{"selector": GREEN, "min_ready": 1, **params})


def test_min_ready_must_be_given():
    with pytest.raises(ValidationError):
        SwitchServiceParams.model_validate({"selector": GREEN})
