"""A real control plane for tests, and real Prometheus, Alertmanager and kube-state-metrics beside it.

Built from pinned Go modules (programs.py), started on loopback (server.py, monitoring.py), looked at through a small
client and the audit log. `python -m tests.support.controlplane build` fills the cache of binaries. How a test steers
simulated pods is told in tests/controlplane/README.md.
"""

from tests.support.controlplane.audit import AuditEvent
from tests.support.controlplane.client import ApiError, KubeClient, Object
from tests.support.controlplane.errors import BuildFailed, NoControlPlane
from tests.support.controlplane.monitoring import AlertmanagerServer, KubeStateMetrics, PrometheusServer
from tests.support.controlplane.process import free_port, wait_until
from tests.support.controlplane.programs import command
from tests.support.controlplane.server import ControlPlane, Endpoint

__all__ = [
    "AlertmanagerServer",
    "ApiError",
    "AuditEvent",
    "BuildFailed",
    "ControlPlane",
    "Endpoint",
    "KubeClient",
    "KubeStateMetrics",
    "NoControlPlane",
    "Object",
    "PrometheusServer",
    "command",
    "free_port",
    "wait_until",
]
