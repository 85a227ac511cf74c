"""How simulated pods behave, and how long things take."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from remediator.adapters.simulated.defaults import image_tag
from remediator.objects import Object, annotations_of, controller_of, dig, labels_of

UNREADY = "test.remediator.dev/unready"
"""Label or annotation: a running pod loses readiness while it is "true"."""
CRASH = "test.remediator.dev/crash"
"""Label or annotation: a running pod crash-loops while it is "true"."""
READY_AFTER = "test.remediator.dev/ready-after"
"""Annotation of a pod whose image has the tag `slow`: `3s`, `1500ms`, `2m`, or plain seconds."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the first container of a pod does once it runs; other containers are well.

    `ready_after_s` None = never ready. `crash_after_s` = the container ends that long after each start and is started
    again with the kubelet's back-off. `ends_after_s` = the pod runs to completion, as in a Job. `pull_fails` = the
    image is never pulled. `log` is what `logs` answers; None for a made-up one.
    """

    ready_after_s: float | None = 0.0
    crash_after_s: float | None = None
    ends_after_s: float | None = None
    exit_code: int = 0
    reason: str = ""
    pull_fails: bool = False
    log: str | None = None


HEALTHY = Behaviour()
NEVER_READY = Behaviour(ready_after_s=None)
CRASHING = Behaviour(ready_after_s=None, crash_after_s=1.0, exit_code=1, reason="Error")
OUT_OF_MEMORY = Behaviour(crash_after_s=20.0, exit_code=137, reason="OOMKilled")
NO_IMAGE = Behaviour(ready_after_s=None, pull_fails=True)

BehaviourOf = Callable[[Object], Behaviour | None]
"""Says how a pod behaves; None = no opinion."""


def by_tag(pod: Object) -> Behaviour:
    """Behaviour by the tag of the first container's image and by marks: the same convention as the test control plane.

    `bad` runs, never ready · `crash` crash-loops · `slow` gets ready late · `nopull` no image · `fail` a Job's pod
    fails · anything else is well.
    """
    tag = image_tag(str(dig(pod, "spec", "containers", default=[{}])[0].get("image", "")))
    job = (controller_of(pod) or {}).get("kind") == "Job"
    marks = {**labels_of(pod), **annotations_of(pod)}
    if tag == "nopull":
        return NO_IMAGE
    if job and (tag == "fail" or (tag == "crash" and dig(pod, "spec", "restartPolicy") == "Never")):
        return Behaviour(ready_after_s=None, ends_after_s=1.0, exit_code=1, reason="Error")
    if tag == "crash" or marks.get(CRASH) == "true":
        return CRASHING
    if tag in ("bad", "fail") or marks.get(UNREADY) == "true":
        return NEVER_READY
    if job:
        return Behaviour(ends_after_s=1.0, reason="Completed")
    if tag == "slow":
        return Behaviour(ready_after_s=seconds(annotations_of(pod).get(READY_AFTER, "3s")))
    return HEALTHY


def seconds(text: str) -> float:
    """A Go duration (`1m30s`, `250ms`) or plain seconds. Raises: ValueError."""
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", text)
    if "".join(number + unit for number, unit in parts) != text:
        return float(text)
    return sum(float(number) * {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}[unit] for number, unit in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in seconds. `jitter` spreads each by that share, drawn from the cluster's seed."""

    react_s: float = 0.02
    """From a change to the controller that acts on it."""
    schedule_s: float = 0.05
    start_s: float = 1.0
    """Pulling the image and starting the containers."""
    stop_s: float = 1.0
    """From SIGTERM to the end, if the grace period allows."""
    back_off_s: float = 10.0
    """The kubelet's pause before the second restart; doubles up to `most_back_off_s`."""
    most_back_off_s: float = 300.0
    autoscale_s: float = 15.0
    collect_s: float = 0.1
    """From the removal of an owner to that of its dependents."""
    lost_node_s: float = 300.0
    """From a node's failure to the eviction of its pods, by their default tolerations."""
    jitter: float = 0.0
