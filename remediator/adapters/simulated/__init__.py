"""A Kubernetes cluster in memory, for `remediator demo` and `test`, back-tests and simulation tests.

    clock, agenda        time and what will happen
    store, world         objects, versions, history; the life of an object
    api                  one write: patches, preconditions, dry run, validation, eviction
    kubelet, scheduling  pods
    controllers/         Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, HPA, PDB, garbage
    behaviour, faults    what pods do; what goes wrong
    cluster, queries     the ports

What it does is what a real API server and its controllers were seen to do: tests/contract holds both to the same tests.
It leaves out what no playbook can tell apart: resources, quotas, admission webhooks, endpoints, volumes, the network.
"""

from remediator.adapters.simulated.behaviour import (
    CRASHING,
    HEALTHY,
    NEVER_READY,
    NO_IMAGE,
    OUT_OF_MEMORY,
    Behaviour,
    Timing,
    by_tag,
)
from remediator.adapters.simulated.callers import SimulatedCaller
from remediator.adapters.simulated.clock import VirtualClock
from remediator.adapters.simulated.cluster import AuditEntry, SimulatedCluster
from remediator.adapters.simulated.faults import (
    FailRead,
    Faults,
    LandLater,
    LoseReply,
    LoseRequest,
    NoFaults,
    RandomFaults,
    Reject,
    Script,
    Stale,
)
from remediator.adapters.simulated.queries import SimulatedQueries
from remediator.adapters.simulated.status import StatusError

__all__ = [
    "CRASHING",
    "HEALTHY",
    "NEVER_READY",
    "NO_IMAGE",
    "OUT_OF_MEMORY",
    "AuditEntry",
    "Behaviour",
    "FailRead",
    "Faults",
    "LandLater",
    "LoseReply",
    "LoseRequest",
    "NoFaults",
    "RandomFaults",
    "Reject",
    "Script",
    "SimulatedCaller",
    "SimulatedCluster",
    "SimulatedQueries",
    "Stale",
    "StatusError",
    "Timing",
    "VirtualClock",
    "by_tag",
]
