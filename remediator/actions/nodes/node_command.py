"""`node_command`: one of three fixed recipes on the host of a node: old logs, unused images, the node's agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import Field

from remediator.actions.change import Change, NotPossible
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

JOURNAL = "/var/log/journal"
SYSTEMD = "/run/systemd"

RUNTIME_SOCKETS: Mapping[str, str] = {
    "containerd": "/run/containerd/containerd.sock",
    "k3s": "/run/k3s/containerd/containerd.sock",
    "crio": "/run/crio/crio.sock",
}
"""Where a container runtime listens on its host."""


class NodeCommandParams(HostJobParams):
    """A recipe and its few settings; those of other recipes are not looked at."""

    recipe: Literal["vacuum_journal", "prune_images", "restart_agent"]
    keep_days: int = Field(7, ge=1, le=365)
    """`vacuum_journal`: archived journal files that are older go."""
    runtime: Literal["containerd", "k3s", "crio"] = "containerd"
    """`prune_images`: whose images."""
    unit: Literal["kubelet", "k3s-agent", "rke2-agent"] = "kubelet"
    """`restart_agent`: which systemd unit."""


class NodeCommand:
    """Nothing takes it back: logs are gone, images are pulled again, the agent has restarted."""

    name = "node_command"
    kinds: tuple[str, ...] = ("Node",)
    needs: frozenset[str] = frozenset()
    disruptive = True
    rights = RIGHTS
    params = NodeCommandParams

    def resolve(self, params: NodeCommandParams, view: View) -> NodeCommandParams:
        return params

    def wants(self, params: NodeCommandParams, view: View) -> Mapping[str, Wanted]:
        return host_job_wants(params.namespace)

    def plan(self, params: NodeCommandParams, view: View) -> Change:
        """Raises: NotPossible for a namespace that is not opened, a node that starts no pod, or a second node."""
        refuse_host_job(view, params.namespace)
        _refuse_deaf(view, params)
        restart, server = params.recipe == "restart_agent", is_server(view.target)
        if restart and server:
            raise NotPossible(f"{view.ref} runs the control plane: people restart its service, one server at a time")
        return host_job_change(
            view,
            params,
            _RECIPES[params.recipe](params),
            notes=(_NOTES[params.recipe],),
            needs_approval=f"{view.ref} runs the control plane" if server else "",
        )


def _refuse_deaf(view: View, params: NodeCommandParams) -> None:
    """Where the kubelet is silent no Job ever starts. One that says "not ready" itself can start its own restart."""
    status = ready_of(view.target).status
    if status == "Unknown":
        raise NotPossible(f"the kubelet of {view.ref} is silent and starts no Job: a person has to log in")
    if status == "False" and params.recipe != "restart_agent":
        raise NotPossible(f"{view.ref} is not ready: {params.recipe} waits until it is", hold=True)


def _vacuum_journal(params: NodeCommandParams) -> HostCommand:
    return HostCommand(
        name="vacuum-journal",
        argv=("journalctl", f"--directory={JOURNAL}", f"--vacuum-time={params.keep_days}d"),
        mounts=(Mount(JOURNAL, "Directory"),),
        says=f"delete journal files older than {params.keep_days} days",
    )


def _prune_images(params: NodeCommandParams) -> HostCommand:
    socket = RUNTIME_SOCKETS[params.runtime]
    return HostCommand(
        name="prune-images",
        argv=("crictl", "--runtime-endpoint", f"unix://{socket}", "rmi", "--prune"),
        mounts=(Mount(socket, "Socket"),),
        says="delete images that no container uses",
    )


def _restart_agent(params: NodeCommandParams) -> HostCommand:
    """Privileged, because systemd asks for CAP_SYS_ADMIN; on the host's network, because a broken pod network is one
    of the reasons to do this."""
    return HostCommand(
        name="restart-agent",
        argv=("systemctl", "restart", f"{params.unit}.service"),
        mounts=(Mount(SYSTEMD, "Directory"),),
        says=f"restart {params.unit}",
        privileged=True,
        host_network=True,
    )


_RECIPES: Mapping[str, Callable[[NodeCommandParams], HostCommand]] = {
    "vacuum_journal": _vacuum_journal,
    "prune_images": _prune_images,
    "restart_agent": _restart_agent,
}

_NOTES: Mapping[str, str] = {
    "vacuum_journal": "older log lines of this host are lost for good",
    "prune_images": "images are pulled again when they are needed: a registry that is down then stops pods here",
    "restart_agent": "containers go on meanwhile; the node may be not ready for a minute",
}
