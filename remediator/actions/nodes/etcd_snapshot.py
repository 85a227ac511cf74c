"""`etcd_snapshot`: K3s saves its embedded etcd into a file on one of its servers."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.actions.change import GENERATED_ID, Change, NotPossible
from remediator.actions.nodes.host_job import (
    RIGHTS,
    HostCommand,
    HostJobParams,
    Mount,
    host_job_change,
    host_job_wants,
    refuse_host_job,
)
from remediator.actions.nodes.node import is_server, ready_of
from remediator.actions.view import View, Wanted
from remediator.objects import labels_of

SERVER_DIR = "/var/lib/rancher/k3s/server"
"""Holds the certificates with which K3s asks itself, the database, and by default the snapshots."""

ETCD_LABEL = "node-role.kubernetes.io/etcd"


class EtcdSnapshotParams(HostJobParams):
    """The image holds the `k3s` of the server's own version."""


class EtcdSnapshot:
    """The file stays until a person deletes it: K3s counts only its scheduled snapshots against their number."""

    name = "etcd_snapshot"
    kinds: tuple[str, ...] = ("Node",)
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = RIGHTS
    params = EtcdSnapshotParams

    def resolve(self, params: EtcdSnapshotParams, view: View) -> EtcdSnapshotParams:
        return params

    def wants(self, params: EtcdSnapshotParams, view: View) -> Mapping[str, Wanted]:
        return host_job_wants(params.namespace)

    def plan(self, params: EtcdSnapshotParams, view: View) -> Change:
        """Raises: NotPossible for a node that is no server, or starts no pod."""
        if not is_server(view.target):
            raise NotPossible(f"{view.ref} is no server: choose one with the label {ETCD_LABEL}")
        refuse_host_job(view, params.namespace)
        if ready_of(view.target).status != "True":
            raise NotPossible(f"{view.ref} is not ready: a snapshot waits until it is", hold=True)
        notes = [f"it lies on {view.ref.name} alone: copy it off the node, and delete it some day"]
        if ETCD_LABEL not in labels_of(view.target):
            notes.append(f"no label {ETCD_LABEL}: where the datastore is not the embedded etcd, the Job fails")
        return host_job_change(view, params, _COMMAND, notes=tuple(notes))


_COMMAND = HostCommand(
    name="etcd-snapshot",
    argv=("k3s", "etcd-snapshot", "save", "--name", f"remediator-{GENERATED_ID}"),
    mounts=(Mount(SERVER_DIR, "Directory"),),
    says="save an etcd snapshot",
    host_network=True,  # it asks the server on 127.0.0.1
)
