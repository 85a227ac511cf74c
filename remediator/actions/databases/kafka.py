"""`strimzi_restart`, `kafka_connector_restart` and `kafka_rebalance_approve`: annotations that Strimzi acts on.

Strimzi removes each of them when it has done it: an annotation that is there is a wish that is not fulfilled yet.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from remediator.actions.base import Params, Right
from remediator.actions.change import Change, NotPossible
from remediator.actions.databases.parts import InstanceName, annotate, refuse_leaving, refuse_other_kind
from remediator.actions.pods import name_of, pod_is_ready
from remediator.actions.render import brief
from remediator.actions.view import Get, ListOf, View, Wanted
from remediator.objects import Object, ObjectRef, annotations_of, dig, generation_of, labels_of

POD_SET = "StrimziPodSet.core.strimzi.io"
KAFKA = "Kafka.kafka.strimzi.io"
CONNECTOR = "KafkaConnector.kafka.strimzi.io"
REBALANCE = "KafkaRebalance.kafka.strimzi.io"

ROLL = "strimzi.io/manual-rolling-update"
RESTART = "strimzi.io/restart"
RESTART_TASK = "strimzi.io/restart-task"
APPROVE = "strimzi.io/rebalance"
PAUSED = "strimzi.io/pause-reconciliation"

PROPOSAL = "ProposalReady"


class StrimziRestartParams(Params):
    """`pod` is one of the target's pods; without it all of them, one after the other."""

    pod: InstanceName | None = None


class StrimziRestart:
    """A restart has no inverse."""

    name = "strimzi_restart"
    kinds: tuple[str, ...] = (POD_SET,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = (Right("patch", POD_SET), Right("patch", "Pod"), Right("list", "Pod"), Right("get", KAFKA))
    params = StrimziRestartParams

    def wants(self, params: StrimziRestartParams, view: View) -> Mapping[str, Wanted]:
        labels = f"strimzi.io/controller-name={view.ref.name}"
        wanted: dict[str, Wanted] = {"pods": ListOf(kind="Pod", namespace=view.ref.namespace, labels=labels)}
        if owner := _kafka_of(view):
            wanted["kafka"] = Get(owner)
        return wanted

    def resolve(self, params: StrimziRestartParams, view: View) -> StrimziRestartParams:
        return params

    def plan(self, params: StrimziRestartParams, view: View) -> Change:
        """Raises: NotPossible while another pod is not ready: Strimzi takes one at a time, and so do we."""
        refuse_other_kind(view, POD_SET)
        refuse_leaving(view)
        refuse_paused(view.target, str(view.ref))
        _refuse_kafka(view)
        pods = {name_of(pod): pod for pod in view.found["pods"]}
        if not pods:
            raise NotPossible(f"{view.ref} has no pods: see whether Strimzi's operator runs")
        wished = [name for name, pod in pods.items() if annotations_of(pod).get(ROLL)]
        if annotations_of(view.target).get(ROLL) or wished:
            raise NotPossible(f"a restart of {wished[0] if wished else view.ref} was asked for already", hold=True)
        if params.pod is not None and params.pod not in pods:
            raise NotPossible(f"pod {params.pod} is no pod of {view.ref} (it has {', '.join(sorted(pods))})")
        unready = sorted(name for name, pod in pods.items() if not pod_is_ready(pod) and name != params.pod)
        if unready:
            raise NotPossible(
                f"{', '.join(unready)} of {view.ref} is not ready: a restart of others may lose partitions", hold=True
            )
        return self._restart(params.pod, pods, view)

    def _restart(self, name: str | None, pods: Mapping[str, Object], view: View) -> Change:
        target = view.target if name is None else pods[name]
        healthy = name is None or pod_is_ready(pods[name])
        many = f"{len(pods)} pods, one after the other" if name is None else f"pod {name}"
        return Change(
            effects=(annotate(target, ROLL, "true"),),
            takes=1 if healthy else 0,
            summary=f"restart {many}",
            reduces_capacity=healthy,
            notes=(
                "Strimzi begins at its next reconciliation, and is done when the annotation is gone",
                "topics with one replica, or with as many as min.insync.replicas, are not available meanwhile",
            ),
        )


class KafkaConnectorRestartParams(Params):
    """`task` is one task's number; without it the connector itself."""

    task: int | None = Field(None, ge=0, le=10_000)


class KafkaConnectorRestart:
    """A restart has no inverse."""

    name = "kafka_connector_restart"
    kinds: tuple[str, ...] = (CONNECTOR,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    params = KafkaConnectorRestartParams

    def resolve(self, params: KafkaConnectorRestartParams, view: View) -> KafkaConnectorRestartParams:
        return params

    def plan(self, params: KafkaConnectorRestartParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_other_kind(view, CONNECTOR)
        refuse_leaving(view)
        refuse_paused(view.target, str(view.ref))
        if dig(view.target, "spec", "pause") or dig(view.target, "spec", "state") in ("paused", "stopped"):
            raise NotPossible(f"{view.ref} is paused or stopped (spec.state): somebody has to resume it")
        for key in (RESTART, RESTART_TASK):
            if annotations_of(view.target).get(key) is not None:
                raise NotPossible(f"{view.ref}: a restart was asked for already ({key})", hold=True)
        state = _state_of(params.task, view)
        key, value = (RESTART, "true") if params.task is None else (RESTART_TASK, str(params.task))
        what = "the connector" if params.task is None else f"task {params.task}"
        running = state == "RUNNING"
        note = ("its tasks are not restarted with it: name one with `task`",) if params.task is None else ()
        return Change(
            effects=(annotate(view.target, key, value),),
            takes=1 if running else 0,
            summary=f"restart {what} ({state})",
            reduces_capacity=running,
            notes=(*note, "records since the last commit of offsets may be delivered again"),
        )


class KafkaRebalanceApproveParams(Params):
    """The most data, in MB, and the most replicas that the proposal may move."""

    max_data_mb: int = Field(ge=0, le=100_000_000)
    max_replica_moves: int = Field(ge=0, le=1_000_000)


class KafkaRebalanceApprove:
    """No undo: what has moved stays. `strimzi.io/rebalance=stop` ends it half way, by hand."""

    name = "kafka_rebalance_approve"
    kinds: tuple[str, ...] = (REBALANCE,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = KafkaRebalanceApproveParams

    def resolve(self, params: KafkaRebalanceApproveParams, view: View) -> KafkaRebalanceApproveParams:
        return params

    def plan(self, params: KafkaRebalanceApproveParams, view: View) -> Change:
        """Raises: NotPossible unless its proposal is ready, of the present spec, and within the bounds."""
        refuse_other_kind(view, REBALANCE)
        refuse_leaving(view)
        refuse_paused(view.target, str(view.ref))
        if asked := annotations_of(view.target).get(APPROVE):
            raise NotPossible(f"{view.ref}: {brief(asked)} was asked for already ({APPROVE})", hold=True)
        _refuse_no_proposal(view)
        data = _number(view, "dataToMoveMB")
        moves = _number(view, "numReplicaMovements")
        for what, value, most in (("MB", data, params.max_data_mb), ("replicas", moves, params.max_replica_moves)):
            if value > most:
                raise NotPossible(f"the proposal of {view.ref} moves {value:g} {what}, at most {most} are allowed")
        removes = dig(view.target, "spec", "mode") == "remove-brokers"
        return Change(
            effects=(annotate(view.target, APPROVE, "approve"),),
            summary=f"rebalance: move {data:g} MB, {moves:g} replicas",
            needs_approval=f"{view.ref} empties brokers (mode remove-brokers)" if removes else "",
            notes=("brokers and network are under load until it is over", "no undo: what has moved stays"),
        )


def refuse_paused(obj: Object, name: str) -> None:
    """Raises: NotPossible while Strimzi is told to leave it alone: nobody would act on the annotation."""
    if annotations_of(obj).get(PAUSED) == "true":
        raise NotPossible(f"{name} is paused ({PAUSED}): somebody has to resume it")


def _kafka_of(view: View) -> ObjectRef | None:
    """The Kafka that a pod set belongs to; None for those of Kafka Connect and MirrorMaker."""
    labels = labels_of(view.target)
    cluster = labels.get("strimzi.io/cluster", "")
    if not cluster or labels.get("strimzi.io/kind") != "Kafka":
        return None
    return ObjectRef(KAFKA, view.ref.namespace, cluster)


def _refuse_kafka(view: View) -> None:
    owner = _kafka_of(view)
    if owner is None:
        return
    kafka = view.found["kafka"]
    if kafka is None:
        raise NotPossible(f"{owner} of {view.ref} does not exist")
    refuse_paused(kafka, str(owner))


def _state_of(task: int | None, view: View) -> str:
    status = dig(view.target, "status", "connectorStatus") or {}
    if task is None:
        state = dig(status, "connector", "state")
    else:
        states = {t.get("id"): t.get("state") for t in status.get("tasks") or ()}
        if task not in states:
            known = ", ".join(str(number) for number in sorted(n for n in states if isinstance(n, int)))
            raise NotPossible(f"{view.ref} has no task {task} (it has {known or 'none'})")
        state = states[task]
    if not isinstance(state, str) or not state:
        raise NotPossible(f"{view.ref} has no status yet: see whether Kafka Connect and Strimzi's operator run")
    return brief(state)


def _refuse_no_proposal(view: View) -> None:
    obj = view.target
    states = [str(c.get("type")) for c in dig(obj, "status", "conditions") or () if c.get("status") == "True"]
    if PROPOSAL not in states:
        hold = bool({"New", "PendingProposal"} & set(states))
        said = brief(", ".join(states) or "unknown")
        raise NotPossible(f"{view.ref} has no proposal to approve (state {said})", hold=hold)
    if int(dig(obj, "status", "observedGeneration", default=0)) < (generation_of(obj) or 0):
        raise NotPossible(f"the proposal of {view.ref} is for an older spec: wait for the next", hold=True)


def _number(view: View, key: str) -> float:
    """Strimzi writes numbers as texts. What is no number is no proposal that could be bounded."""
    value = dig(view.target, "status", "optimizationResult", key)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise NotPossible(f"the proposal of {view.ref} does not say {key}: a person has to look")
    return number
