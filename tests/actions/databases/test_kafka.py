"""strimzi_restart, kafka_connector_restart and kafka_rebalance_approve: annotations that Strimzi acts on."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.change import FieldChange, NotPossible
from remediator.actions.databases.kafka import (
    KafkaConnectorRestart,
    KafkaRebalanceApprove,
    KafkaRebalanceApproveParams,
    StrimziRestart,
    StrimziRestartParams,
)
from remediator.actions.diff import diff_lines
from remediator.actions.view import Get, ListOf
from remediator.objects import ObjectRef
from tests.actions.databases.make import planned
from tests.actions.make import NS, deployment, view

PAUSED = {"strimzi.io/pause-reconciliation": "true"}
ROLL = "strimzi.io/manual-rolling-update"


def thing(kind: str, api_version: str, name: str, **content: Any) -> dict[str, Any]:
    noted = content.pop("annotations", None)
    labels = content.pop("labels", None)
    meta: dict[str, Any] = {"name": name, "namespace": NS, "uid": f"uid-{name}", "generation": 2}
    meta |= {"annotations": noted} if noted else {}
    meta |= {"labels": labels} if labels else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **content}


# --- pods -------------------------------------------------------------------------------------------------------------


def pod_set(kind: str = "Kafka", **content: Any) -> dict[str, Any]:
    labels = {"strimzi.io/cluster": "events", "strimzi.io/kind": kind}
    return thing("StrimziPodSet", "core.strimzi.io/v1beta2", "events-kafka", labels=labels, **content)


def broker(number: int, *, ready: bool = True, **content: Any) -> dict[str, Any]:
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return thing("Pod", "v1", f"events-kafka-{number}", status=status, **content)


BROKERS = (broker(0), broker(1), broker(2))
KAFKA = thing("Kafka", "kafka.strimzi.io/v1beta2", "events")


def roll(obj: Any = None, pods: Any = BROKERS, kafka: Any = KAFKA, **params: Any) -> Any:
    return planned(StrimziRestart(), params, obj or pod_set(), pods=pods, kafka=kafka)


def test_all_one_after_the_other():
    change = roll()
    (effect,) = change.effects
    assert effect.ref == ObjectRef("StrimziPodSet.core.strimzi.io", NS, "events-kafka")
    assert effect.changes == (FieldChange(("metadata", "annotations", ROLL), None, "true"),)
    assert not effect.undoable
    assert (change.takes, change.reduces_capacity) == (1, True)
    assert change.summary == "restart 3 pods, one after the other"
    assert len(diff_lines(change, effect.ref)) == 1


def test_one_pod():
    change = roll(pod="events-kafka-1")
    (effect,) = change.effects
    assert (effect.ref, effect.uid) == (ObjectRef("Pod", NS, "events-kafka-1"), "uid-events-kafka-1")
    assert change.summary == "restart pod events-kafka-1"
    assert diff_lines(change, ObjectRef("StrimziPodSet.core.strimzi.io", NS, "events-kafka"))[0].startswith("Pod ")


def test_the_broken_one_takes_nothing():
    change = roll(pods=(broker(0), broker(1, ready=False), broker(2)), pod="events-kafka-1")
    assert (change.takes, change.reduces_capacity) == (0, False)


@pytest.mark.parametrize(
    ("obj", "read", "reason", "hold"),
    [
        pytest.param(
            pod_set(), {"pods": (broker(0), broker(1, ready=False))}, "events-kafka-1 of StrimziPodSet", True, id="ill"
        ),
        pytest.param(
            pod_set(),
            {"pods": (broker(0), broker(1, ready=False)), "pod": "events-kafka-0"},
            "is not ready: a restart of others",
            True,
            id="another one is broken",
        ),
        pytest.param(pod_set(), {"pod": "events-kafka-9"}, "is no pod of StrimziPodSet", False, id="a stranger"),
        pytest.param(pod_set(), {"pods": ()}, "has no pods", False, id="no pods"),
        pytest.param(pod_set(annotations={ROLL: "true"}), {}, "was asked for already", True, id="asked already"),
        pytest.param(
            pod_set(),
            {"pods": (broker(0), broker(1, annotations={ROLL: "true"}))},
            "a restart of events-kafka-1 was asked for already",
            True,
            id="asked of one already",
        ),
        pytest.param(pod_set(annotations=PAUSED), {}, "StrimziPodSet shop/events-kafka is paused", False, id="paused"),
        pytest.param(
            pod_set(),
            {"kafka": {**KAFKA, "metadata": {**KAFKA["metadata"], "annotations": PAUSED}}},
            "Kafka shop/events is paused",
            False,
            id="its Kafka is paused",
        ),
        pytest.param(pod_set(), {"kafka": None}, "Kafka shop/events of StrimziPodSet", False, id="no Kafka"),
        pytest.param(deployment(), {}, "is no StrimziPodSet.core.strimzi.io", False, id="another kind"),
    ],
)
def test_not_restarted(obj, read, reason, hold):
    with pytest.raises(NotPossible) as refused:
        roll(obj, **read)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_what_it_wants_to_know():
    pods = ListOf(kind="Pod", namespace=NS, labels="strimzi.io/controller-name=events-kafka")
    kafka = Get(ObjectRef("Kafka.kafka.strimzi.io", NS, "events"))
    assert StrimziRestart().wants(StrimziRestartParams(), view(pod_set())) == {"pods": pods, "kafka": kafka}
    assert StrimziRestart().wants(StrimziRestartParams(), view(pod_set("KafkaConnect"))) == {"pods": pods}
    assert roll(pod_set("KafkaConnect")).effects


def test_hostile_pod():
    with pytest.raises(ValidationError):
        StrimziRestartParams(pod="a b; rm")


# --- connectors -------------------------------------------------------------------------------------------------------


def connector(state: str = "FAILED", tasks: Any = ((0, "FAILED"), (1, "RUNNING")), **content: Any) -> dict[str, Any]:
    status = {
        "connectorStatus": {
            "connector": {"state": state},
            "tasks": [{"id": number, "state": said} for number, said in tasks],
        }
    }
    return thing("KafkaConnector", "kafka.strimzi.io/v1beta2", "sink", **{"status": status, **content})


@pytest.mark.parametrize(
    ("obj", "params", "key", "value", "summary", "takes"),
    [
        pytest.param(connector(), {}, "restart", "true", "restart the connector (FAILED)", 0, id="failed"),
        pytest.param(
            connector("RUNNING"), {}, "restart", "true", "restart the connector (RUNNING)", 1, id="one that runs"
        ),
        pytest.param(connector(), {"task": 0}, "restart-task", "0", "restart task 0 (FAILED)", 0, id="a task"),
        pytest.param(connector(), {"task": 1}, "restart-task", "1", "restart task 1 (RUNNING)", 1, id="that runs"),
    ],
)
def test_a_connector(obj, params, key, value, summary, takes):
    change = planned(KafkaConnectorRestart(), params, obj)
    (effect,) = change.effects
    assert effect.changes == (FieldChange(("metadata", "annotations", f"strimzi.io/{key}"), None, value),)
    assert not effect.undoable
    assert (change.summary, change.takes) == (summary, takes)


@pytest.mark.parametrize(
    ("obj", "params", "reason", "hold"),
    [
        pytest.param(connector(annotations={"strimzi.io/restart": "true"}), {}, "already", True, id="asked already"),
        pytest.param(
            connector(annotations={"strimzi.io/restart-task": "0"}), {}, "already", True, id="a task was asked already"
        ),
        pytest.param(connector(annotations=PAUSED), {}, "is paused (strimzi.io", False, id="left alone"),
        pytest.param(connector(spec={"state": "stopped"}), {}, "paused or stopped", False, id="stopped"),
        pytest.param(connector(spec={"pause": True}), {}, "paused or stopped", False, id="paused, the older way"),
        pytest.param(connector(), {"task": 7}, "has no task 7 (it has 0, 1)", False, id="no such task"),
        pytest.param(connector(tasks=()), {"task": 0}, "has no task 0 (it has none)", False, id="no tasks"),
        pytest.param(connector(status={}), {}, "has no status yet", False, id="no operator"),
        pytest.param(deployment(), {}, "is no KafkaConnector", False, id="another kind"),
    ],
)
def test_no_connector(obj, params, reason, hold):
    with pytest.raises(NotPossible) as refused:
        planned(KafkaConnectorRestart(), params, obj)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


def test_a_long_state_is_cut():
    summary = planned(KafkaConnectorRestart(), {}, connector("X" * 500)).summary
    assert len(summary) < 100


# --- rebalances -------------------------------------------------------------------------------------------------------

BOUNDS = {"max_data_mb": 1000, "max_replica_moves": 50}


def rebalance(
    state: str = "ProposalReady", data: Any = "900", moves: Any = "42", seen: int = 2, **content: Any
) -> dict[str, Any]:
    status = {
        "observedGeneration": seen,
        "conditions": [{"type": state, "status": "True"}] if state else [],
        "optimizationResult": {"dataToMoveMB": data, "numReplicaMovements": moves},
    }
    return thing("KafkaRebalance", "kafka.strimzi.io/v1beta2", "even", **{"status": status, **content})


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(rebalance(), id="texts"),
        pytest.param(rebalance(data=900, moves=42), id="numbers"),
    ],
)
def test_a_proposal_within_bounds(obj):
    change = planned(KafkaRebalanceApprove(), BOUNDS, obj)
    (effect,) = change.effects
    assert effect.changes == (FieldChange(("metadata", "annotations", "strimzi.io/rebalance"), None, "approve"),)
    assert not effect.undoable
    assert change.summary == "rebalance: move 900 MB, 42 replicas"
    assert change.needs_approval == ""


def test_as_much_as_is_allowed():
    assert planned(KafkaRebalanceApprove(), BOUNDS, rebalance(data="1000", moves="50")).effects


def test_emptying_brokers_takes_a_person():
    change = planned(KafkaRebalanceApprove(), BOUNDS, rebalance(spec={"mode": "remove-brokers"}))
    assert "empties brokers" in change.needs_approval


@pytest.mark.parametrize(
    ("obj", "reason", "hold"),
    [
        pytest.param(rebalance(data="1001"), "moves 1001 MB, at most 1000", False, id="too much data"),
        pytest.param(rebalance(moves="51"), "moves 51 replicas, at most 50", False, id="too many replicas"),
        pytest.param(rebalance(data="NaN"), "does not say dataToMoveMB", False, id="NaN"),
        pytest.param(rebalance(data="inf"), "does not say dataToMoveMB", False, id="infinite"),
        pytest.param(rebalance(data=None), "does not say dataToMoveMB", False, id="not said"),
        pytest.param(rebalance(moves="-1"), "does not say numReplicaMovements", False, id="less than none"),
        pytest.param(rebalance("PendingProposal"), "no proposal to approve (state Pending", True, id="pending"),
        pytest.param(rebalance("New"), "no proposal", True, id="new"),
        pytest.param(rebalance("Rebalancing"), "(state Rebalancing)", False, id="moves already"),
        pytest.param(rebalance("NotReady"), "(state NotReady)", False, id="failed"),
        pytest.param(rebalance(""), "(state unknown)", False, id="no operator"),
        pytest.param(rebalance(seen=1), "for an older spec", True, id="an older proposal"),
        pytest.param(
            rebalance(annotations={"strimzi.io/rebalance": "stop"}), "stop was asked for already", True, id="stopped"
        ),
        pytest.param(rebalance(annotations=PAUSED), "is paused", False, id="paused"),
        pytest.param(deployment(), "is no KafkaRebalance", False, id="another kind"),
    ],
)
def test_not_approved(obj, reason, hold):
    with pytest.raises(NotPossible) as refused:
        planned(KafkaRebalanceApprove(), BOUNDS, obj)
    assert reason in refused.value.reason
    assert refused.value.hold is hold


@pytest.mark.parametrize("missing", ["max_data_mb", "max_replica_moves"])
def test_bounds_are_required(missing):
    with pytest.raises(ValidationError):
        KafkaRebalanceApproveParams(**{key: value for key, value in BOUNDS.items() if key != missing})
