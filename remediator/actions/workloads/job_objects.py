"""Facts of Jobs and CronJobs, and a Job made out of a template. Pure.

A Job is created suspended and started by a patch of its own: a create that is sent twice is harmless then, and so is
one that arrives late, after the Job is gone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from remediator.actions.change import GENERATED_ID, Create, FieldChange, NotPossible, Patch
from remediator.actions.owners import LAST_APPLIED, git_owner, helm_release
from remediator.actions.workload import OURS
from remediator.actions.workloads.looking import QUEUE_LABEL
from remediator.objects import Object, ObjectRef, annotations_of, controller_of, dig, labels_of, ref_of, uid_of

SUSPEND = ("spec", "suspend")
LONGEST_NAME = 63
GENERATED_LENGTH = 10
"""Characters that stand for GENERATED_ID in the end."""

_OF_THE_CONTROLLER = ("controller-uid", "job-name")
_BATCH = "batch.kubernetes.io/"
_JOB_CONTROLLER = "kubernetes.io/job-controller"


def condition_of(job: Object, kind: str) -> bool:
    """Whether a condition of it is True: `Complete`, `Failed`, `Suspended`."""
    return any(
        condition.get("type") == kind and condition.get("status") == "True"
        for condition in dig(job, "status", "conditions") or ()
    )


def has_finished(job: Object) -> bool:
    return condition_of(job, "Complete") or condition_of(job, "Failed")


def controlled_by(obj: Object, uid: str) -> bool:
    owner = controller_of(obj)
    return owner is not None and owner.get("uid") == uid


def who_applies(job: Object) -> str:
    """Who would make it again if it were gone, and so run it again; empty when nothing tells of anybody."""
    if owner := git_owner(job):
        return str(owner)
    if release := helm_release(job):
        return f"Helm release {release}"
    # Argo CD's older way of tracking: its instance label beside what it has applied.
    instances = (labels_of(job).get(key) for key in ("app.kubernetes.io/instance", "argocd.argoproj.io/instance"))
    instance = next((name for name in instances if name), "")
    return f"application {instance}" if instance and LAST_APPLIED in annotations_of(job) else ""


def job_name(base: str) -> str:
    """A name of at most 63 characters that is new with each remediation."""
    room = LONGEST_NAME - GENERATED_LENGTH - 1
    return f"{base[:room].rstrip('-.')}-{GENERATED_ID}"


def refuse_not_plain(spec: Mapping[str, Any], labels: Mapping[str, Any], ref: ObjectRef) -> None:
    """Raises: NotPossible for Jobs that something else starts, or that choose their pods themselves."""
    if spec.get("managedBy", _JOB_CONTROLLER) != _JOB_CONTROLLER:
        raise NotPossible(f"{ref} is managed by {str(spec['managedBy'])[:80]}: start it there")
    if QUEUE_LABEL in labels:
        raise NotPossible(f"{ref} waits in a queue ({QUEUE_LABEL}): its queue starts it")
    if spec.get("manualSelector"):
        raise NotPossible(f"{ref} selects its pods itself (manualSelector): a copy would take the old ones")


def plain_labels(labels: Mapping[str, Any] | None) -> dict[str, Any]:
    """Without what the Job controller adds and what we put on things."""
    return {k: v for k, v in (labels or {}).items() if not _is_bookkeeping(k)}


def plain_annotations(annotations: Mapping[str, Any] | None) -> dict[str, Any]:
    return {k: v for k, v in (annotations or {}).items() if not _is_bookkeeping(k) and k != LAST_APPLIED}


def copied_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A Job's spec for another Job, suspended, without what the controller has written into it."""
    copied = {k: copy.deepcopy(v) for k, v in spec.items() if k not in ("selector", "manualSelector")}
    template = dict(copied.get("template") or {})
    meta = dict(template.get("metadata") or {})
    meta.pop("creationTimestamp", None)
    if "labels" in meta:
        meta["labels"] = plain_labels(meta["labels"])
    template["metadata"] = meta
    return {**copied, "template": template, "suspend": True}


def create_and_start(ref: ObjectRef, body: Mapping[str, Any]) -> tuple[Create, Patch]:
    """The two effects that run a Job once."""
    start = FieldChange(path=SUSPEND, before=True, after=False)
    return (
        Create(ref=ref, body=body),
        Patch(ref=ref, uid="", changes=(start,), made_here=True, undoable=False),
    )


def owned_by_cronjob(cronjob: Object) -> dict[str, Any]:
    """The ownerReference of a manual run, without blockOwnerDeletion: setting that takes a right of its own."""
    ref = ref_of(cronjob)
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": ref.name,
        "uid": uid_of(cronjob),
        "controller": True,
    }


def _is_bookkeeping(key: str) -> bool:
    return key in _OF_THE_CONTROLLER or key.startswith((_BATCH, OURS))
