"""quiesce_namespace and resume_namespace: everything stops, remembers its copies, and comes back with them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.view import ListOf
from remediator.actions.workloads.quiesce import (
    QuiesceNamespace,
    QuiesceNamespaceParams,
    ResumeNamespace,
    ResumeNamespaceParams,
)
from tests.actions.make import NS, deployment, hpa, owner, statefulset, template, view
from tests.actions.workloads.things import namespace, owned_by

RECORD = "remediator.dev/replicas"
RECORD_PATH = ("metadata", "annotations", RECORD)


def named(name: str, replicas: int = 2, **extra: Any) -> dict[str, Any]:
    obj = deployment(replicas, **extra)
    return {**obj, "metadata": {**obj["metadata"], "name": name, "uid": f"uid-{name}"}}


def stopped(name: str, record: str | None = "2", replicas: int = 0) -> dict[str, Any]:
    return named(name, replicas, annotations={RECORD: record} if record is not None else {})


def quiesce(*found: dict[str, Any], stateful: Any = (), scalers: Any = (), **given: Any) -> Any:
    params = QuiesceNamespaceParams(**{"max": 20, "stateful": stateful, **given})
    seen = {
        "Deployment": tuple(o for o in found if o["kind"] == "Deployment"),
        "StatefulSet": tuple(o for o in found if o["kind"] == "StatefulSet"),
        "autoscalers": tuple(scalers),
    }
    return QuiesceNamespace().plan(params, view(namespace(), found=seen))


def resume(*found: dict[str, Any], **given: Any) -> Any:
    seen = {"Deployment": tuple(o for o in found if o["kind"] == "Deployment"), "StatefulSet": ()}
    return ResumeNamespace().plan(ResumeNamespaceParams(**{"max": 20, **given}), view(namespace(), found=seen))


def names(change: Any) -> list[str]:
    return [effect.ref.name for effect in change.effects]


def test_it_asks_for_what_the_selector_finds():
    params = QuiesceNamespaceParams(selector="tier=web", max=5)
    assert QuiesceNamespace().wants(params, view(namespace())) == {
        "Deployment": ListOf(kind="Deployment", namespace=NS, labels="tier=web"),
        "StatefulSet": ListOf(kind="StatefulSet", namespace=NS, labels="tier=web"),
        "autoscalers": ListOf(kind="HorizontalPodAutoscaler", namespace=NS),
    }
    assert len(ResumeNamespace().wants(ResumeNamespaceParams(max=5), view(namespace()))) == 2


def test_each_is_stopped_and_remembers():
    change = quiesce(named("b", 3), named("a", 2), named("off", 0))
    assert names(change) == ["a", "b"]
    assert change.effects[1].changes == (
        FieldChange(("spec", "replicas"), 3, 0),
        FieldChange(RECORD_PATH, None, "3"),
    )
    assert all(effect.undoable for effect in change.effects)
    assert (change.takes, change.direction, change.reduces_capacity) == (5, "down", True)
    assert change.summary == "stop 2 workloads: a, b"
    assert [ref.name for ref in change.touches] == ["a", "b"]
    assert len(diff_lines(change, view(namespace()).ref)) == 4


def test_an_outage_needs_a_person():
    assert quiesce(named("a")).needs_approval == "it stops 1 workload of Namespace shop altogether"


def test_the_order_is_the_playbooks():
    change = quiesce(named("web"), named("gateway"), named("api"), order=["gateway", "Deployment/web"])
    assert names(change) == ["gateway", "web", "api"]
    back = resume(stopped("web"), stopped("gateway"), stopped("api"), order=["api"])
    assert names(back) == ["api", "gateway", "web"]


CLAIM = template(volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "pg"}}])


@pytest.mark.parametrize(
    ("obj", "why"),
    [
        pytest.param(statefulset(), "a StatefulSet that `stateful` does not name", id="StatefulSet"),
        pytest.param(named("pg", spec={"template": CLAIM}), "keeps data in a volume", id="a Deployment with a claim"),
        pytest.param(named("p", annotations={"remediator.dev/protect": "true"}), "which is protected", id="protected"),
        pytest.param(
            named("o", metadata={"ownerReferences": owned_by("Shop", "main", "x/v1")}),
            "which Shop main would start again",
            id="an operator's",
        ),
    ],
)
def test_what_keeps_running(obj, why):
    change = quiesce(named("a"), obj)
    assert names(change) == ["a"]
    assert any(note.startswith("left alone") and note.endswith(why) for note in change.notes)


def test_data_stores_only_by_name():
    change = quiesce(named("a"), statefulset(), named("pg", spec={"template": CLAIM}), stateful=["db", "Deployment/pg"])
    assert sorted(names(change)) == ["a", "db", "pg"]


@pytest.mark.parametrize(
    ("found", "given", "reason"),
    [
        pytest.param((), {}, "has no workload to stop", id="nothing"),
        pytest.param((named("a", 0),), {}, "has no workload to stop", id="all at 0"),
        pytest.param((named("a"),), {"exclude": ["a"]}, "has no workload to stop", id="all excluded"),
        pytest.param((named("a"), named("b")), {"max": 1}, "has 2 workloads to stop, max is 1", id="too many"),
        pytest.param((named("a"),), {"stateful": ["pg"]}, "has no workload pg", id="a misspelt data store"),
        pytest.param(
            (named("a", labels={"kustomize.toolkit.fluxcd.io/name": "shop"}),), {}, "would start Deployment", id="Git"
        ),
        pytest.param(
            (named("a"),),
            {
                "scalers": [
                    hpa(
                        of="a",
                        owners=owner(
                            {
                                "apiVersion": "keda.sh/v1alpha1",
                                "kind": "ScaledObject",
                                "metadata": {"name": "q", "uid": "k"},
                            }
                        ),
                    )
                ]
            },
            "ScaledObject q would start Deployment shop/a again",
            id="KEDA",
        ),
    ],
)
def test_it_refuses(found, given, reason):
    with pytest.raises(NotPossible) as refused:
        quiesce(*found, **given)
    assert reason in refused.value.reason


def test_kubernetes_itself_is_never_stopped():
    system = namespace()
    system["metadata"]["name"] = "kube-system"
    with pytest.raises(NotPossible, match="Kubernetes' own"):
        QuiesceNamespace().plan(QuiesceNamespaceParams(max=5), view(system))


def test_a_plain_autoscaler_is_only_switched_off():
    assert quiesce(named("a"), scalers=[hpa(of="a")]).effects


def test_lists_that_nobody_read_are_not_empty():
    with pytest.raises(NotPossible, match="CANNOT SEE: Deployment") as refused:
        QuiesceNamespace().plan(QuiesceNamespaceParams(max=5), view(namespace()))
    assert refused.value.hold


# --- and back ---------------------------------------------------------------------------------------------------------


def test_back_to_what_was_recorded():
    change = resume(stopped("a", "3"), stopped("b", "1"), named("never", 0), stopped("up", "2", replicas=2))
    assert names(change) == ["a", "b"]
    assert change.effects[0].changes == (
        FieldChange(("spec", "replicas"), 0, 3),
        FieldChange(RECORD_PATH, "3", None),
    )
    assert change.summary == "resume 2 workloads with 4 copies: a, b"
    assert change.notes == ("1 workload with a record runs already, and is left alone",)
    assert (change.direction, change.takes) == ("up", 0)


def test_there_and_back_again():
    """What quiesce writes is what resume reads."""
    before = named("a", 7)
    stop = quiesce(before).effects[0]
    there = copy.deepcopy(before)
    there["spec"]["replicas"] = stop.changes[0].after
    there["metadata"]["annotations"] = {RECORD: stop.changes[1].after}
    assert resume(there).effects[0].changes[0].after == 7


@pytest.mark.parametrize("record", ["0", "-1", "x", "", "1e3", "٣", "99999999999", "51", "2.0"])
def test_a_record_that_makes_no_sense(record):
    with pytest.raises(NotPossible, match="correct it, or raise max_copies"):
        resume(stopped("a", record))


def test_nothing_to_resume():
    with pytest.raises(NotPossible, match="has no workload to resume"):
        resume(named("a", 0), stopped("b"), exclude=["b"])
    assert resume(stopped("a", "60"), max_copies=100).effects


@pytest.mark.parametrize(
    "given",
    [{}, {"max": 0}, {"max": 201}, {"max": 5, "selector": "a in"}, {"max": 5, "exclude": ["A B"]}],
    ids=str,
)
def test_bad_parameters(given):
    for model in (QuiesceNamespaceParams, ResumeNamespaceParams):
        with pytest.raises(ValidationError):
            model(**given)
