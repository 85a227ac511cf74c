"""The playbooks and workloads that schedules are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from remediator.playbooks.model import LoadedPlaybook
from tests.sim.acting import OWN
from tests.support.world import deployment, load, restart_playbook

NAMESPACE = "shop"
ERRORS = {"promql": {"query": 'errors{d="${alert.labels.deployment}"}', "success": "< 1", "failure": "> 5"}}
ROLLOUT: dict[str, Any] = {"rollout": {}}


def _verify(*checks: dict[str, Any], timeout: str = "60s") -> dict[str, Any]:
    return {
        "settle": "5s",
        "interval": "5s",
        "successes": 2,
        "failures": 2,
        "timeout": timeout,
        "checks": list(checks),
    }


def _scale(to: int) -> dict[str, Any]:
    return {"action": "scale", "with": {"to": to, "min": 1, "max": 9}}


APPROVAL = {"expires": "3m", "start_within": "1m"}
TWO_STEPS = [{**_scale(5), "verify": ROLLOUT}, {"wait": "5s"}, _scale(6)]
GATED = [_scale(5), {"check": ERRORS}, {"action": "rollout_restart"}]
ENDS_IN_A_GATE = [_scale(5), {"check": ERRORS}]
ASKING = [_scale(5), {"ask": "Is the cache warm?"}, {"action": "rollout_restart"}]
ASKING_FIRST = [{"ask": "Is somebody on it already?"}, _scale(5)]
ASKING_LAST = [_scale(5), {"ask": "Does it look right?"}]
EVICTING = [{"action": "evict_pod", "with": {"select": "all", "max": 2}}]


def playbook(name: str, alertname: str, **changes: Any) -> dict[str, Any]:
    return restart_playbook(
        **{
            "name": name,
            "match": {"alerts": [f'alertname="{alertname}"']},
            "priority": "EDCBA".find(alertname) + 1,
            "verify": _verify(ERRORS, ROLLOUT),
            "approval": APPROVAL,
            **changes,
        }
    )


def _of_many(content: dict[str, Any]) -> dict[str, Any]:
    several = {"kind": "Deployment", "namespace": NAMESPACE, "selector": "tier=web", "max": 5}
    return {**{key: value for key, value in content.items() if key != "target"}, "targets": several}


PLAYBOOKS: dict[str, dict[str, Any]] = {
    "restart": playbook("restart", "A"),
    "gathering": playbook("gathering", "A", gather="10s"),
    "restart-then-scale": playbook("restart-then-scale", "A", escalate=[{"playbook": "rung-scale"}]),
    "restart-approve": playbook("restart-approve", "A", mode="approve"),
    "picky": playbook(
        "picky", "A", match={"alerts": ['alertname="A"'], "when": "target.ready < 2"}, escalate=[{"page": {}}]
    ),
    "restart-then-suggest": playbook("restart-then-suggest", "A", escalate=[{"playbook": "rung-suggest"}]),
    "restart-of-fleet": playbook(
        "restart-of-fleet", "A", fleet={"kind": "Deployment", "namespace": NAMESPACE, "selector": "tier=web"}
    ),
    "patient": playbook("patient", "B", steps=[_scale(5)], mode="approve", approval={"expires": "20m"}),
    "many": _of_many(playbook("many", "D", mode="approve")),
    "rung-suggest": playbook("rung-suggest", "Never", mode="suggest", escalate=[{"playbook": "rung-scale"}]),
    "rung-scale": playbook("rung-scale", "Never", steps=[_scale(5)], escalate=[{"playbook": "rung-restart"}]),
    "rung-restart": playbook("rung-restart", "Never", mode="approve"),
    "scale": playbook("scale", "B", steps=[_scale(5)]),
    "scale-down": playbook("scale-down", "B", steps=[_scale(2)]),
    "scale-quiet": playbook("scale-quiet", "B", steps=[_scale(4)], verify=_verify({"alert_resolved": {}})),
    "scale-approve": playbook("scale-approve", "B", steps=[_scale(5)], mode="approve"),
    "scale-quorum": playbook(
        "scale-quorum", "B", steps=[_scale(5)], mode="approve", approval={**APPROVAL, "quorum": 2}
    ),
    "two-steps": playbook("two-steps", "C", steps=TWO_STEPS),
    "two-steps-approve": playbook("two-steps-approve", "C", steps=TWO_STEPS, mode="approve"),
    "gated": playbook("gated", "C", steps=GATED),
    "ends-in-a-gate": playbook("ends-in-a-gate", "C", steps=ENDS_IN_A_GATE),
    "ends-in-a-wait": playbook("ends-in-a-wait", "C", steps=[_scale(5), {"wait": "5s"}]),
    "asking": playbook("asking", "C", steps=ASKING),
    "asking-first": playbook("asking-first", "C", steps=ASKING_FIRST),
    "asking-first-approve": playbook("asking-first-approve", "C", steps=ASKING_FIRST, mode="approve"),
    "asking-last": playbook("asking-last", "C", steps=ASKING_LAST, approval={**APPROVAL, "quorum": 2}),
    "evict": playbook("evict", "C", steps=EVICTING),
    "observe": playbook("observe", "D", mode="observe"),
    "suggest": playbook("suggest", "D", mode="suggest"),
    "elsewhere": playbook(
        "elsewhere", "D", target={"kind": "Deployment", "namespace": "${alert.labels.system}", "name": "api"}
    ),
}


def _to(kind: str, name: str = "${alert.labels.deployment}", namespace: str = NAMESPACE) -> dict[str, Any]:
    return {"kind": kind, "name": name, **({"namespace": namespace} if namespace else {})}


def _effect(name: str, *steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return playbook(name, "E", **{"steps": list(steps), "verify": _verify(ERRORS), **changes})


def _call(via: str, **options: Any) -> dict[str, Any]:
    return {"action": "call_out", "with": {"via": via, **options}}


RUN_JOB = {"action": "run_job", "with": {"template": "dump", "timeout": "10m"}}
BACK_UP = {"action": "velero_backup", "with": {"namespaces": [NAMESPACE]}}
SWEEP = {"action": "delete_finished_jobs", "with": {"older_than": "2h", "max": 2}}
RENEW = {"action": "renew_certificate"}
KEEP, KEEP_NAMED = {"action": "keep"}, {"action": "keep", "with": {"named": True}}
SPACE = {"target": _to("Namespace", NAMESPACE, "")}
TLS = {"target": _to("Certificate.cert-manager.io")}
LOCATION = {"target": _to("BackupStorageLocation.velero.io", "default")}
EFFECTS: dict[str, dict[str, Any]] = {
    "run-job": _effect("run-job", RUN_JOB),
    "run-job-approve": _effect("run-job-approve", RUN_JOB, mode="approve"),
    "back-up": _effect("back-up", BACK_UP, **LOCATION),
    "back-up-approve": _effect("back-up-approve", BACK_UP, mode="approve", **LOCATION),
    "keep": _effect("keep", KEEP),
    "keep-named": _effect("keep-named", KEEP_NAMED),
    "keep-and-scale": _effect("keep-and-scale", KEEP, {"wait": "5s"}, _scale(5)),
    "sweep": _effect("sweep", SWEEP, **SPACE),
    "sweep-approve": _effect("sweep-approve", SWEEP, mode="approve", **SPACE),
    "renew": _effect("renew", RENEW, **TLS),
    "renew-approve": _effect("renew-approve", RENEW, mode="approve", **TLS),
    "call-sure": _effect("call-sure", _call("sure", back=True)),
    "call-half": _effect("call-half", _call("half")),
    "call-blind": _effect("call-blind", _call("blind")),
    "call-twice": _effect("call-twice", _call("half", twice=True)),
    "call-approve": _effect("call-approve", _call("sure", back=True), mode="approve"),
    "keep-and-call": _effect("keep-and-call", _call("sure", back=True, keep=True)),
    "call-twice-and-scale": _effect("call-twice-and-scale", _call("blind", twice=True), _scale(5)),
}
UP_FOR_A_TIME = {**_scale(5), "revert": {"after_quiet": "5m"}}
FOR_A_TIME: dict[str, dict[str, Any]] = {
    "for-a-time": playbook("for-a-time", "B", steps=[UP_FOR_A_TIME]),
    "for-a-time-approve": playbook("for-a-time-approve", "B", steps=[UP_FOR_A_TIME], mode="approve"),
    "for-a-time-twice": playbook(
        "for-a-time-twice", "B", steps=[UP_FOR_A_TIME, {"wait": "5s"}, {**UP_FOR_A_TIME, **_scale(6)}]
    ),
}
HOLD = {**_scale(5), "via": "hold_and_pr"}
HOLDING: dict[str, dict[str, Any]] = {
    "hold": playbook("hold", "B", steps=[HOLD]),
    "hold-approve": playbook("hold-approve", "B", steps=[HOLD], mode="approve"),
    "hold-and-wait": playbook("hold-and-wait", "B", steps=[HOLD, {"wait": "5s"}, {"action": "rollout_restart"}]),
}
MORE_EFFECTS = ("run-job", "run-job", "sweep", "sweep", "renew", "renew", "keep-named", "call-sure")
"""Once more, because they seldom come as far as an effect."""
PLAYBOOKS |= EFFECTS | FOR_A_TIME | HOLDING
FIRST = {
    "A": (
        "restart",
        "restart",
        "gathering",
        "restart-then-scale",
        "restart-then-scale",
        "restart-then-suggest",
        "restart-approve",
        "restart-of-fleet",
        "picky",
    ),
    "B": ("scale", "scale", "scale-down", "scale-quiet", "scale-approve", "scale-quorum", "patient"),
    "C": (
        "two-steps",
        "two-steps",
        "two-steps-approve",
        "gated",
        "ends-in-a-gate",
        "ends-in-a-wait",
        "asking",
        "asking-first",
        "asking-first-approve",
        "asking-last",
        "evict",
        "evict",
    ),
    "D": ("observe", "suggest", "elsewhere", "many"),
}
RUNGS = ("rung-suggest", "rung-scale", "rung-restart")
SYSTEM = "kube-system"


@cache
def loaded(name: str, project: str = "") -> LoadedPlaybook:
    return loaded(name).model_copy(update={"project": project}) if project else load(PLAYBOOKS[name], OWN)


# Workloads that a guardrail has something to say about ----------------------------------------------------------------

Objects = list[dict[str, Any]]


def _plain(made: dict[str, Any]) -> Objects:
    return [made]


def _single(made: dict[str, Any]) -> Objects:
    made["spec"]["replicas"] = 1
    return [made]


def _budget(made: dict[str, Any]) -> Objects:
    """A budget that allows nothing to be taken."""
    name = made["metadata"]["name"]
    spec = {"minAvailable": made["spec"]["replicas"], "selector": {"matchLabels": {"app": name}}}
    meta = {"name": name, "namespace": NAMESPACE}
    return [made, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec}]


def _of_argo(made: dict[str, Any]) -> Objects:
    name = made["metadata"]["name"]
    made["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = f"shop:apps/Deployment:{NAMESPACE}/{name}"
    return [made]


def _autoscaled(made: dict[str, Any]) -> Objects:
    name = made["metadata"]["name"]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return [
        made,
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 3},
        },
    ]


def _protected(made: dict[str, Any]) -> Objects:
    made["metadata"]["annotations"]["remediator.dev/protect"] = "true"
    return [made]


def _rollout_paused(made: dict[str, Any]) -> Objects:
    made["spec"]["paused"] = True
    return [made]


def _recreated(made: dict[str, Any]) -> Objects:
    made["spec"]["strategy"] = {"type": "Recreate"}
    return [made]


WORKLOADS: dict[str, Callable[[dict[str, Any]], Objects]] = {
    "plain": _plain,
    "single": _single,
    "budget": _budget,
    "of-argo": _of_argo,
    "autoscaled": _autoscaled,
    "protected": _protected,
    "rollout-paused": _rollout_paused,
    "recreated": _recreated,
}


def workload(name: str, kind: str) -> Objects:
    made = deployment(name, namespace=NAMESPACE)
    made["metadata"]["labels"] = {"tier": "web"}
    return WORKLOADS[kind](made)
