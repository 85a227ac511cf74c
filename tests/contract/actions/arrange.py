"""Puts objects into the cluster as they stand before anything goes wrong; operators' status is played."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from remediator.kinds import KINDS, kind_name
from remediator.objects import Object
from tests.contract.backends import is_rolled_out
from tests.support.controlplane import ControlPlane, wait_until


def set_up(plane: ControlPlane, namespace: str, manifests: Iterable[dict[str, Any]]) -> None:
    """Each is there, and at rest, when this returns. One that is named twice is changed the second time."""
    uids: dict[str, str] = {}
    for manifest in (_owned(manifest, uids) for manifest in manifests):
        kind = KINDS[kind_of(manifest)]
        body = {key: value for key, value in manifest.items() if key != "status" or not kind.status}
        name, inside = manifest["metadata"]["name"], namespace if kind.namespaced else None
        if manifest["kind"] == "Namespace":  # it is there already
            plane.client.patch("namespaces", name, {"metadata": manifest["metadata"]})
            continue
        key = f"{kind_of(manifest)}/{name}"
        if key in uids or _exists(plane, kind_of(manifest), name, inside):  # a controller may have made it
            plane.client.patch(resource(kind_of(manifest)), name, body, inside, patch_type="strategic")
        else:
            uids[key] = plane.client.create(body, inside)["metadata"]["uid"]
        if manifest["kind"] in SETTLED and ("status" not in manifest or manifest["kind"] == "Pod"):
            _settle(plane, kind_of(manifest), name, namespace)  # its kubelet has the first word, otherwise the last
        if "status" in manifest and kind.status:
            status = {"status": manifest["status"]}
            plane.client.patch(resource(kind_of(manifest)), name, status, inside, subresource="status")


def play(plane: ControlPlane, namespace: str, manifests: Iterable[dict[str, Any]]) -> None:
    """Objects that are there, as somebody else leaves them: a merge of what is named."""
    for manifest in manifests:
        kind, name = KINDS[kind_of(manifest)], manifest["metadata"]["name"]
        inside = namespace if kind.namespaced else None
        stands = plane.client.get(resource(kind_of(manifest)), name, inside)
        said = _copied(manifest, stands["metadata"].get("annotations") or {})
        body = {key: value for key, value in said.items() if key != "status" or not kind.status}
        plane.client.patch(resource(kind_of(manifest)), name, body, inside)
        if "status" in said and kind.status:
            plane.client.patch(
                resource(kind_of(manifest)), name, {"status": said["status"]}, inside, subresource="status"
            )


def _copied(value: Any, annotations: Mapping[str, str]) -> Any:
    """`${annotation:NAME}` as it stands."""
    if isinstance(value, str) and value.startswith("${annotation:"):
        return annotations[value[len("${annotation:") : -1]]
    if isinstance(value, Mapping):
        return {key: _copied(item, annotations) for key, item in value.items()}
    return [_copied(item, annotations) for item in value] if isinstance(value, list) else value


def _exists(plane: ControlPlane, kind: str, name: str, inside: str | None) -> bool:
    return kind == "Pod" and any(pod["metadata"]["name"] == name for pod in plane.client.list("pods", inside))


def clean_up(plane: ControlPlane, manifests: Iterable[Mapping[str, Any]]) -> None:
    """What lies in no namespace; the rest goes with its namespace."""
    for manifest in manifests:
        if not KINDS[kind_of(manifest)].namespaced and manifest["kind"] != "Namespace":
            plane.client.delete(resource(kind_of(manifest)), manifest["metadata"]["name"])


def kind_of(manifest: Mapping[str, Any]) -> str:
    """A key of KINDS."""
    return kind_name(manifest["apiVersion"], manifest["kind"])


def resource(kind: str) -> str:
    """As the test's own client names it."""
    known = KINDS[kind]
    return f"{known.plural}.{known.group}" if "." in kind else known.plural


def _owned(manifest: dict[str, Any], uids: Mapping[str, str]) -> dict[str, Any]:
    """With the uids of the owners that were made before it, `${uid:KIND/NAME}`."""
    owners = manifest["metadata"].get("ownerReferences") or ()
    known = [{**owner, "uid": uids.get(owner["uid"][6:-1], owner["uid"])} for owner in owners]
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": known}} if known else manifest


def _rolled_out(obj: Object) -> bool:
    if obj["spec"].get("paused") or obj["spec"].get("replicas") == 0:  # nothing will come of it
        return bool(obj.get("status", {}).get("observedGeneration", 0) >= obj["metadata"]["generation"])
    return is_rolled_out(obj)


def _condition(*kinds: str) -> Callable[[Object], bool]:
    def holds(obj: Object) -> bool:
        found = obj.get("status", {}).get("conditions") or ()
        return any(c["type"] in kinds and c["status"] == "True" for c in found)

    return holds


def _is_ill(pod: Object) -> bool:
    """Told to be by a mark, see tests/controlplane/README.md."""
    return any(key.startswith("test.remediator.dev/") for key in pod["metadata"].get("annotations") or ())


SETTLED: Mapping[str, Callable[[Object], bool]] = {
    "Deployment": _rolled_out,
    "StatefulSet": _rolled_out,
    "DaemonSet": _rolled_out,
    "Pod": lambda obj: _condition("Ready")(obj) is not _is_ill(obj),
    "Node": _condition("Ready"),
    "Job": _condition("Complete", "Failed"),
    "PersistentVolumeClaim": lambda obj: bool(obj.get("status", {}).get("phase") == "Bound"),
}
"""What the real controllers and the simulated kubelets do by themselves is waited for."""


def _settle(plane: ControlPlane, kind: str, name: str, namespace: str) -> None:
    known = KINDS[kind]

    def settled() -> bool:
        found = plane.client.get(known.plural, name, namespace if known.namespaced else None)
        return SETTLED[kind]({**found, "kind": kind})

    wait_until(settled, what=f"{kind} {name} to settle")
