"""A Job that does one fixed thing on one node, and what has to be true before we make it. Pure.

It gives root on the host, so it is off until the operator labels a namespace for it. Nothing in its command comes from
a playbook but numbers and words of a closed set: there is no shell, and no text of an alert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_ID, Change, Create, FieldChange, NotPossible, Patch
from remediator.actions.nodes.node import refuse_leaving, some
from remediator.actions.times import parse_time
from remediator.actions.view import Get, ListOf, View, Wanted
from remediator.actions.workload import OURS
from remediator.objects import JSON, Object, ObjectRef, annotations_of, dig, labels_of, ref_of
from remediator.playbooks.fields import PositiveDuration

ALLOWED_LABEL = f"{OURS}node-commands"
ALLOWED = "allowed"
"""Label and value by which an operator opens a namespace for such Jobs."""

JOB_LABEL = f"{OURS}node-command"
NODE_ANNOTATION = f"{OURS}node"
"""Which node a Job is for. An annotation: a node's name may be longer than a label's value."""

KEEP_S = 86_400
"""A finished Job stays for a day, so that its log can be read."""

STARTS_WITHIN = timedelta(minutes=10)
"""A Job that is still suspended after this was never started: nobody is about to start it either."""

RIGHTS = (
    Right("get", "Namespace"),
    Right("list", "Job"),
    Right("get", "Job"),
    Right("create", "Job"),
    Right("patch", "Job"),
)

Image = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._:/-]{0,254}@sha256:[0-9a-f]{64}$")]
"""By digest: what runs as root on a host must not change under the same name."""

NamespaceName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class HostJobParams(Params):
    """Where such Jobs live, and what they run."""

    namespace: NamespaceName
    """Its label `remediator.dev/node-commands: allowed` opens it."""
    image: Image
    timeout: PositiveDuration = Field(timedelta(minutes=5), le=timedelta(hours=1))
    """After this the Job is stopped."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of the host, at the same path in the container. `kind` must exist there as that, nothing is created."""

    path: str
    kind: Literal["Directory", "Socket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCommand:
    """One command on a host. `name` is part of the Job's name and its label; `says` is the line for people."""

    name: str
    argv: tuple[str, ...]
    mounts: tuple[Mount, ...]
    says: str
    privileged: bool = False
    host_network: bool = False


def host_job_wants(namespace: str) -> Mapping[str, Wanted]:
    return {
        "namespace": Get(ObjectRef("Namespace", "", namespace)),
        "jobs": ListOf(kind="Job", namespace=namespace, labels=JOB_LABEL),
    }


def refuse_host_job(view: View, namespace: str) -> None:
    """Not on a node that is leaving, not in a namespace that nobody has opened, and on one node at a time."""
    refuse_leaving(view)
    found = view.found["namespace"]
    if found is None:
        raise NotPossible(f"namespace {namespace} does not exist: make one for commands on nodes")
    if labels_of(found).get(ALLOWED_LABEL) != ALLOWED:
        raise NotPossible(f"namespace {namespace} lacks the label {ALLOWED_LABEL}: {ALLOWED}, which opens it for this")
    if labels_of(view.target).get("kubernetes.io/os", "linux") != "linux":
        raise NotPossible(f"{view.ref} does not run Linux")
    if busy := [job for job in view.found["jobs"] if _is_under_way(job, view)]:
        told = [f"{ref_of(job).name} on {annotations_of(job).get(NODE_ANNOTATION, 'a node')[:80]}" for job in busy]
        raise NotPossible(f"one node at a time: {some(told)} has not finished", hold=True)


def host_job_change(
    view: View, params: HostJobParams, command: HostCommand, *, notes: tuple[str, ...], needs_approval: str = ""
) -> Change:
    """A suspended Job, then its start: a create that is sent twice starts nothing."""
    ref = ObjectRef("Job", params.namespace, f"{command.name}-{GENERATED_ID}")
    start = Patch(
        ref=ref,
        uid="",
        changes=(FieldChange(path=("spec", "suspend"), before=True, after=False),),
        undoable=False,
        made_here=True,
    )
    return Change(
        effects=(Create(ref=ref, body=_body(view, params, command)), start),
        summary=command.says,
        needs_approval=needs_approval,
        notes=(f"a Job in {params.namespace} runs as root with {_reach(command)} of the host", *notes),
        touches=(ObjectRef("Namespace", "", params.namespace),),
    )


def _is_under_way(job: Object, view: View) -> bool:
    if any(
        condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
        for condition in dig(job, "status", "conditions") or ()
    ):
        return False
    if not dig(job, "spec", "suspend"):
        return True
    return view.read_at - parse_time(job["metadata"]["creationTimestamp"]) < STARTS_WITHIN


def _reach(command: HostCommand) -> str:
    paths = " and ".join(mount.path for mount in command.mounts)
    return f"all rights and {paths}" if command.privileged else paths


def _body(view: View, params: HostJobParams, command: HostCommand) -> dict[str, JSON]:
    labels = {JOB_LABEL: command.name}
    node = {NODE_ANNOTATION: view.ref.name}
    return {
        "metadata": {"labels": labels, "annotations": node},
        "spec": {
            "suspend": True,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(params.timeout.total_seconds()),
            "ttlSecondsAfterFinished": KEEP_S,
            "template": {
                "metadata": {"labels": labels, "annotations": node},
                "spec": _pod_spec(view, params.image, command),
            },
        },
    }


def _pod_spec(view: View, image: str, command: HostCommand) -> dict[str, JSON]:
    """Straight onto the node, past the scheduler: it also runs where no other pod may."""
    spec: dict[str, JSON] = {
        "nodeName": view.ref.name,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {
                "name": "command",
                "image": image,
                "command": list(command.argv),
                "resources": {
                    "requests": {"cpu": "10m", "memory": "32Mi"},
                    "limits": {"memory": "256Mi"},
                },
                "securityContext": _security(command),
                "volumeMounts": [
                    {"name": f"host-{i}", "mountPath": mount.path} for i, mount in enumerate(command.mounts)
                ],
            }
        ],
        "volumes": [
            {"name": f"host-{i}", "hostPath": {"path": mount.path, "type": mount.kind}}
            for i, mount in enumerate(command.mounts)
        ],
    }
    if command.host_network:
        spec["hostNetwork"] = True
    return spec


def _security(command: HostCommand) -> dict[str, Any]:
    """Root, because the files are root's; every capability only where the recipe cannot do without."""
    if command.privileged:
        return {"privileged": True, "runAsUser": 0}
    return {"runAsUser": 0, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
