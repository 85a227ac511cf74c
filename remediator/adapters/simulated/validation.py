"""What the API server would refuse: unknown fields (400), wrong types (400), impossible or immutable values (422).

Not all of Kubernetes' validation, but what a playbook can plausibly get wrong, so that a rehearsal here fails where a
rehearsal there would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from remediator.adapters.answers import Answer
from remediator.adapters.simulated.selectors import matches_selector
from remediator.adapters.simulated.status import StatusError, bad_request, conflict, invalid, other_uid
from remediator.adapters.simulated.store import Obj
from remediator.objects import dig, kind_of


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TOP = {
    "Event": _names(
        "action apiVersion count eventTime firstTimestamp involvedObject kind lastTimestamp message metadata reason "
        "related reportingComponent reportingInstance series source type"
    ),
    "ControllerRevision": _names("apiVersion data kind metadata revision"),
}
TOP_DEFAULT = _names("apiVersion kind metadata spec status")

METADATA = _names(
    "annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName generation "
    "labels managedFields name namespace ownerReferences resourceVersion selfLink uid"
)

POD_SPEC = _names(
    "activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy enableServiceLinks "
    "ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride imagePullSecrets "
    "initContainers nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates "
    "resourceClaims resources restartPolicy runtimeClassName schedulerName schedulingGates schedulingGroup "
    "securityContext serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain "
    "terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes"
)

CONTAINER = _names(
    "args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resizePolicy "
    "resources restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath "
    "terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
)

SPEC = {
    "Deployment": _names(
        "minReadySeconds paused progressDeadlineSeconds replicas revisionHistoryLimit selector strategy template"
    ),
    "StatefulSet": _names(
        "minReadySeconds ordinals persistentVolumeClaimRetentionPolicy podManagementPolicy replicas "
        "revisionHistoryLimit selector serviceName template updateStrategy volumeClaimTemplates"
    ),
    "DaemonSet": _names("minReadySeconds revisionHistoryLimit selector template updateStrategy"),
    "ReplicaSet": _names("minReadySeconds replicas selector template"),
    "Job": _names(
        "activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode completions managedBy manualSelector "
        "maxFailedIndexes parallelism podFailurePolicy podReplacementPolicy selector successPolicy suspend template "
        "ttlSecondsAfterFinished"
    ),
    "CronJob": _names(
        "concurrencyPolicy failedJobsHistoryLimit jobTemplate schedule startingDeadlineSeconds "
        "successfulJobsHistoryLimit suspend timeZone"
    ),
    "HorizontalPodAutoscaler": _names("behavior maxReplicas metrics minReplicas scaleTargetRef"),
    "PodDisruptionBudget": _names("maxUnavailable minAvailable selector unhealthyPodEvictionPolicy"),
    "Service": _names(
        "allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName externalTrafficPolicy "
        "healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass loadBalancerIP "
        "loadBalancerSourceRanges ports publishNotReadyAddresses selector sessionAffinity sessionAffinityConfig "
        "trafficDistribution type"
    ),
    "PersistentVolumeClaim": _names(
        "accessModes dataSource dataSourceRef resources selector storageClassName volumeAttributesClassName "
        "volumeMode volumeName"
    ),
    "Node": _names("configSource externalID podCIDR podCIDRs providerID taints unschedulable"),
    "Pod": POD_SPEC,
}

TEMPLATED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")

INTEGERS = _names(
    "replicas minReadySeconds revisionHistoryLimit progressDeadlineSeconds minReplicas maxReplicas parallelism "
    "completions backoffLimit activeDeadlineSeconds ttlSecondsAfterFinished terminationGracePeriodSeconds"
)
BOOLEANS = _names("paused suspend unschedulable")


def check_shape(obj: Obj, *, patched: bool) -> None:
    """Unknown fields and wrong types, as `fieldValidation=Strict` does. Raises: StatusError (400, in a patch 422)."""
    unknown = ", ".join(f'unknown field "{field}"' for field in _unknown(obj))
    problem = f"strict decoding error: {unknown}" if unknown else ""
    for path, wanted in _wrong_types(obj):
        problem = f"json: cannot unmarshal into Go struct field {obj['kind']}.{path} of type {wanted}"
    if problem and patched:
        raise StatusError(Answer(422, "Invalid", f'"" is invalid: patch: Invalid value: (object): {problem}'))
    if problem:
        version = str(obj["apiVersion"]).rpartition("/")[2]
        kind = obj["kind"]
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}')


def _unknown(obj: Obj) -> Iterator[str]:
    kind = obj["kind"]
    if kind_of(obj) in (*SPEC, *TOP):  # of other kinds, an operator's above all, we do not know what they have
        yield from _extra(obj, TOP.get(kind, TOP_DEFAULT), "")
    yield from _extra(obj["metadata"], METADATA, "metadata.")
    spec = obj.get("spec")
    if kind in SPEC and "." not in kind_of(obj) and isinstance(spec, dict):
        yield from _extra(spec, SPEC[kind], "spec.")
        if kind == "Pod":
            yield from _unknown_in_containers(spec, "spec.")
        if kind in TEMPLATED:
            yield from _unknown_in_template(spec.get("template"), "spec.template.")


def _unknown_in_template(template: Any, path: str) -> Iterator[str]:
    if isinstance(template, dict):
        yield from _extra(template, frozenset(("metadata", "spec")), path)
        yield from _extra(template.get("metadata"), METADATA, f"{path}metadata.")
        yield from _extra(template.get("spec"), POD_SPEC, f"{path}spec.")
        yield from _unknown_in_containers(template.get("spec"), f"{path}spec.")


def _unknown_in_containers(spec: Any, path: str) -> Iterator[str]:
    for field in ("containers", "initContainers"):
        for i, container in enumerate((isinstance(spec, dict) and spec.get(field)) or ()):
            yield from _extra(container, CONTAINER, f"{path}{field}[{i}].")


def _extra(mapping: Any, known: frozenset[str], path: str) -> Iterator[str]:
    if isinstance(mapping, dict) and not mapping.keys() <= known:
        yield from (path + key for key in mapping if key not in known)


def _wrong_types(obj: Obj) -> Iterator[tuple[str, str]]:
    for field in ("annotations", "labels"):
        texts = obj["metadata"].get(field)
        if texts is not None and not isinstance(texts, dict):
            yield f"metadata.{field}", "map[string]string"
        elif texts is not None and not all(isinstance(v, str) for v in texts.values()):
            yield f"metadata.{field}", "string"
    spec = obj.get("spec")
    if spec is None:
        return
    if not isinstance(spec, dict):
        yield "spec", "object"
        return
    for field, value in spec.items():
        if value is None:
            continue
        if field in INTEGERS and (not isinstance(value, int) or isinstance(value, bool)):
            yield f"spec.{field}", "int32"
        elif field in BOOLEANS and not isinstance(value, bool):
            yield f"spec.{field}", "bool"
    template = spec.get("template")
    if template is not None and not isinstance(template, dict):
        yield "spec.template", "v1.PodTemplateSpec"
    elif template is not None:
        annotations = (template.get("metadata") or {}).get("annotations") or {}
        if not isinstance(annotations, dict) or not all(isinstance(v, str) for v in annotations.values()):
            yield "spec.template.metadata.annotations", "string"


def check_values(before: Obj | None, after: Obj) -> None:
    """Impossible values and changes of what must not change. Raises: StatusError (422)."""
    problems = list(_problems(before, after))
    if problems:
        raise invalid(kind_of(after), after["metadata"]["name"], problems)


def _problems(before: Obj | None, after: Obj) -> Iterator[str]:
    kind, spec = after["kind"], after.get("spec")
    uid = after["metadata"].get("uid")
    if before is not None and uid not in (None, before["metadata"]["uid"]):
        yield f'metadata.uid: Invalid value: "{uid}": field is immutable'
    if not isinstance(spec, dict):
        return
    for field in INTEGERS:
        if field in spec and isinstance(spec[field], int) and spec[field] < 0:
            yield f"spec.{field}: Invalid value: {spec[field]}: must be greater than or equal to 0"
    if kind in TEMPLATED:
        yield from _template_problems(kind, spec)
        if kind == "Deployment":
            yield from _strategy_problems(spec)
    elif kind == "Pod":
        yield from _container_problems(spec, "spec.")
    elif kind == "HorizontalPodAutoscaler":
        low, high = spec.get("minReplicas") or 1, spec.get("maxReplicas") or 0
        if high < 1:
            yield f"spec.maxReplicas: Invalid value: {high}: must be greater than 0"
        elif high < low:
            yield f"spec.maxReplicas: Invalid value: {high}: must be greater than or equal to `minReplicas`"
    if before is not None and isinstance(before.get("spec"), dict):
        yield from _immutable(kind, before["spec"], spec)
        if kind == "PersistentVolumeClaim" and spec != before["spec"]:
            yield from _resize_problems(before, spec)


def _template_problems(kind: str, spec: dict[str, Any]) -> Iterator[str]:
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if kind != "Job" and not matches_selector(spec.get("selector"), labels):
        yield f"spec.template.metadata.labels: Invalid value: {labels}: `selector` does not match template `labels`"
    yield from _container_problems(template.get("spec") or {}, "spec.template.spec.")


def _strategy_problems(spec: dict[str, Any]) -> Iterator[str]:
    strategy = spec.get("strategy") or {}
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        yield "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"
    elif rolling and rolling.get("maxSurge") in (0, "0%") and rolling.get("maxUnavailable") in (0, "0%"):
        yield "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"


def _container_problems(spec: dict[str, Any], path: str) -> Iterator[str]:
    containers = spec.get("containers") or ()
    if not containers:
        yield f"{path}containers: Required value"
    for i, container in enumerate(containers):
        for field in ("name", "image"):
            if not container.get(field):
                yield f"{path}containers[{i}].{field}: Required value"


MUTABLE = {
    "StatefulSet": _names(
        "replicas ordinals template updateStrategy revisionHistoryLimit persistentVolumeClaimRetentionPolicy "
        "minReadySeconds"
    ),
    "PersistentVolumeClaim": _names("resources volumeAttributesClassName"),
    "Pod": _names("containers initContainers activeDeadlineSeconds tolerations terminationGracePeriodSeconds nodeName"),
}
"""Where only some fields of the spec may change."""

FIXED = {
    "Deployment": _names("selector"),
    "ReplicaSet": _names("selector"),
    "DaemonSet": _names("selector"),
    "Job": _names("selector completions completionMode"),
}


def _immutable(kind: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    changed = [f for f in {**before, **after} if before.get(f) != after.get(f)]
    if kind in MUTABLE and any(f not in MUTABLE[kind] for f in changed):
        allowed = ", ".join(f"'{f}'" for f in sorted(MUTABLE[kind]))
        yield f"spec: Forbidden: updates to {kind.lower()} spec for fields other than {allowed} are forbidden"
    yield from (f"spec.{f}: Invalid value: field is immutable" for f in changed if f in FIXED.get(kind, ()))
    if kind == "Job" and "template" in changed and not before.get("suspend"):
        yield "spec.template: Invalid value: field is immutable"
    if kind == "Pod" and "containers" in changed:
        old, new = (_without_images(s.get("containers") or ()) for s in (before, after))
        if old != new:
            yield "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"


def _resize_problems(claim: Obj, spec: dict[str, Any]) -> Iterator[str]:
    if dig(claim, "status", "phase") != "Bound":
        yield "spec: Forbidden: spec is immutable after creation except resources.requests for bound claims"
        return
    wanted, has = (dig(part, "resources", "requests", "storage") for part in (spec, claim["spec"]))
    if wanted is not None and has is not None and quantity(wanted) < quantity(has):
        yield "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"


def quantity(text: str) -> float:
    """A Kubernetes quantity: `20Gi`, `500M`, `1.5`. Raises: ValueError."""
    number = text.rstrip("KMGTPEkmi")
    return float(number) * UNITS[text[len(number) :]]


UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18} | {
    f"{letter}i": 1024.0 ** (i + 1) for i, letter in enumerate("KMGTPE")
}


def _without_images(containers: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in c.items() if k != "image"} for c in containers]


def check_preconditions(obj: Obj, options: Mapping[str, Any]) -> None:
    """`preconditions` of DeleteOptions. Raises: StatusError (409)."""
    wanted, meta = options.get("preconditions") or {}, obj["metadata"]
    if wanted.get("uid") not in (None, meta["uid"]):
        raise other_uid(kind_of(obj), meta["name"], wanted["uid"], meta["uid"])
    if wanted.get("resourceVersion") not in (None, meta["resourceVersion"]):
        why = (
            f"the ResourceVersion in the precondition ({wanted['resourceVersion']}) does not match the ResourceVersion "
            f"in record ({meta['resourceVersion']}). The object might have been modified"
        )
        raise conflict(kind_of(obj), meta["name"], why)
