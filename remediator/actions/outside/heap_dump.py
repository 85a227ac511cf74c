"""`heap_dump`: a JVM writes its heap to a file in its container, as evidence before the pod is replaced.

The JVM stands still while it writes, the file is as large as the heap, and everything the process knew is in it. So it
always asks, counts as taking the copy away, and does not begin where the file cannot fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from remediator.actions.change import Change, NotPossible
from remediator.actions.outside.containers import InPod, Name, about_command, container_of, listed, pinned, pod_of
from remediator.actions.outside.exec_in_pod import EXEC_RIGHTS, run_in
from remediator.actions.pods import name_of, pod_is_ready
from remediator.actions.view import Ask, View
from remediator.objects import WORKLOADS, Object, ObjectRef, dig
from remediator.playbooks.quantity import parse_quantity

DUMPS = "GC.heap_dump"
"""The command of jcmd that writes a dump. It refuses a file that is there already, so a dump is never written over."""

SECRETS = "a heap dump holds whatever the process had in memory, passwords and customers' data too"


class HeapDumpParams(InPod):
    """`path`: the file in the container, which must not be there yet. `command`: the one of `outside.exec` that dumps,
    with one `*` for the file."""

    path: str = Field(pattern=r"^(/[A-Za-z0-9_-][A-Za-z0-9._-]*){1,20}\.hprof$", max_length=300)
    command: Name = "jvm-heap-dump"

    @field_validator("path")
    @classmethod
    def _below_something(cls, value: str) -> str:
        if value.count("/") < 2:
            raise ValueError("path: name a file in a folder, such as /dumps/heap.hprof")
        return value


class HeapDump:
    """The file stays until somebody deletes it, or the pod goes."""

    name = "heap_dump"
    kinds: tuple[str, ...] = WORKLOADS
    needs = frozenset({"pods", "revisions", "pdbs"})
    disruptive = True
    changes_data = True
    rights = EXEC_RIGHTS
    params = HeapDumpParams

    def wants(self, params: HeapDumpParams, view: View) -> Mapping[str, Ask]:
        return {"command": about_command(view, params.command, (params.path,), params.container)}

    def resolve(self, params: HeapDumpParams, view: View) -> HeapDumpParams:
        return pinned(params, view)

    def plan(self, params: HeapDumpParams, view: View) -> Change:
        """Raises: NotPossible, also where the file would not fit."""
        found = listed(view)
        argv = list(found["argv"])
        if DUMPS not in argv or params.path not in argv:
            raise NotPossible(f"command {params.command} is not `jcmd PID {DUMPS} *`: see outside.exec")
        pod = pod_of(params, view)
        container = container_of(params, pod, found.get("containers") or ())
        room = _room(pod, container, params.path)
        return Change(
            effects=(run_in(view, pod, container, params.command, (params.path,), argv),),
            takes=1 if pod_is_ready(pod) else 0,
            summary=f"dump the heap of pod {name_of(pod)} to {params.path}",
            needs_approval=SECRETS,
            notes=(
                "the JVM stands still while it writes; a liveness probe may restart it meanwhile",
                room,
                "the file stays in the pod until somebody deletes it",
            ),
            touches=(ObjectRef("Pod", view.ref.namespace, name_of(pod)),),
        )


def _room(pod: Object, container: str, path: str) -> str:
    """Where the file goes, for people. Raises: NotPossible where it cannot be written, or is known not to fit."""
    spec = next(one for one in dig(pod, "spec", "containers") or () if one.get("name") == container)
    heap = _bytes(dig(spec, "resources", "limits", "memory"))
    mount = _mount(spec, path)
    if mount is None:
        if dig(spec, "securityContext", "readOnlyRootFilesystem"):
            raise NotPossible(f"container {container} has a read-only file system, and no volume is mounted at {path}")
        _fits(heap, _bytes(dig(spec, "resources", "limits", "ephemeral-storage")), f"container {container}")
        return f"{path} is on the node's disk, not on a volume: it counts as ephemeral storage of the pod"
    if mount.get("readOnly"):
        raise NotPossible(f"volume {mount.get('name')} at {mount.get('mountPath')} is mounted read-only")
    name = str(mount.get("name", ""))
    volume: Mapping[str, Any] = next((v for v in dig(pod, "spec", "volumes") or () if v.get("name") == name), {})
    scratch = volume.get("emptyDir")
    if isinstance(scratch, Mapping):
        if scratch.get("medium") == "Memory":
            raise NotPossible(f"volume {name} is memory: a dump in it would use up the container's own limit")
        _fits(heap, _bytes(scratch.get("sizeLimit")), f"volume {name}")
    elif any(kind in volume for kind in ("configMap", "secret", "projected", "downwardAPI")):
        raise NotPossible(f"volume {name} at {mount.get('mountPath')} cannot be written to")
    limit = "has no memory limit" if heap is None else f"may use {heap / 2**20:.0f} MiB of memory"
    return f"{path} is on volume {name}; the container {limit}, and the file can get as large"


def _mount(spec: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """The mount that holds the path: the deepest."""
    mounts = [
        m for m in spec.get("volumeMounts") or () if path.startswith(str(m.get("mountPath", "")).rstrip("/") + "/")
    ]
    return max(mounts, key=lambda mount: len(str(mount["mountPath"])), default=None)


def _fits(heap: float | None, room: float | None, where: str) -> None:
    """Raises: NotPossible."""
    if heap is not None and room is not None and room < heap:
        raise NotPossible(
            f"{where} has room for {room / 2**20:.0f} MiB, and the heap may have {heap / 2**20:.0f} MiB: "
            "the pod would be evicted"
        )


def _bytes(quantity: Any) -> float | None:
    """None for no limit. Raises: NotPossible for one that cannot be read."""
    if quantity is None:
        return None
    try:
        return parse_quantity(quantity)
    except ValueError as exc:
        raise NotPossible(f"a limit of the pod cannot be read: {exc}") from exc
