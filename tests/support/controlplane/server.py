"""A real Kubernetes control plane on loopback: etcd, API server, controllers, scheduler; only the kubelets are played.

Why not a fake: preconditions, dry run, eviction, RBAC, rollouts and the audit log are exactly what the service relies
on, and what fakes forget. It starts in about four seconds and needs half a gigabyte of memory.
"""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.controlplane import audit
from tests.support.controlplane.client import KubeClient, Object
from tests.support.controlplane.keys import private_key_pem
from tests.support.controlplane.process import Server, free_port, wait_until
from tests.support.controlplane.programs import SOURCES, command

ZONES = ("a", "b", "c")
TEST_USERS = 20
# Names under which Kubernetes' own parts act; audit.SYSTEM_USERS leaves them out of what counts as an effect.
_COMPONENTS = ("system:kube-controller-manager", "system:kube-scheduler", "kwok", "kube-state-metrics")
RUNS_PROGRAMS = "runs-programs"
"""A container of this name runs what is asked of it by exec, as a process of this machine; all others refuse."""
_LOG_TIMESTAMP = "2025-06-01T10:00:00.000000000Z"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How to reach the API server: all that an object under test needs to be told."""

    api_url: str
    ca_file: Path
    admin_token: str
    kubeconfig: Path
    audit_log: Path


class ControlPlane:
    """Start with `start()`, end with `stop()`. All files are kept in `directory`, the logs of the servers included."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._servers: list[Server] = []
        self._endpoint: Endpoint | None = None
        self._client: KubeClient | None = None
        self._tokens: dict[str, str] = {}

    # --- life ---

    def start(self) -> Endpoint:
        """Start everything and wait until pods can be scheduled.

        Raises: NoControlPlane or BuildFailed when there are no binaries; RuntimeError when a server does not come up.
        """
        programs = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
        argv = {name: command(name) for name in programs}
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._start(argv)
        except BaseException:
            self.stop()
            raise
        return self.endpoint

    def stop(self) -> None:
        """End all servers. They are killed: what they would save on a gentle end is thrown away with the directory."""
        for server in reversed(self._servers):
            server.stop()
        self._servers.clear()
        shutil.rmtree(self.directory / "etcd", ignore_errors=True)  # 130 MB; pytest keeps directories of past runs

    @property
    def endpoint(self) -> Endpoint:
        if self._endpoint is None:
            raise RuntimeError("the control plane has not been started")
        return self._endpoint

    @property
    def client(self) -> KubeClient:
        """The admin's client; `client.with_token(...)` is somebody else."""
        if self._client is None:
            raise RuntimeError("the control plane has not been started")
        return self._client

    @property
    def api_url(self) -> str:
        return self.endpoint.api_url

    @property
    def ca_file(self) -> Path:
        return self.endpoint.ca_file

    @property
    def admin_token(self) -> str:
        return self.endpoint.admin_token

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the admin, for kubectl and helm."""
        return self.endpoint.kubeconfig

    @property
    def audit_log(self) -> Path:
        return self.endpoint.audit_log

    # --- identities ---

    def user(self, name: str) -> str:
        """The token of a plain user without any rights: `test-user-1` to `test-user-20`."""
        return self._tokens[name]

    def token_for(self, namespace: str, service_account: str, *, expires_s: int = 3600) -> str:
        """A token of a ServiceAccount, which is created when it is missing. Its user name in the audit log is
        `system:serviceaccount:NAMESPACE:NAME`."""
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": service_account}}
        self.client.apply(account, namespace)
        path = self.client.path("serviceaccounts", namespace, service_account, "token")
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": expires_s},
        }
        token: str = self.client.request("POST", path, request)["status"]["token"]
        return token

    def kubeconfig_for(self, token: str, name: str) -> Path:
        """Write a kubeconfig for a token into our directory and return its path."""
        return self._write_json(
            f"kubeconfig-{name}.json",
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": self._cluster()}],
                "users": [{"name": name, "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
                "current-context": "test",
            },
        )

    def component_kubeconfig(self, name: str) -> Path:
        """A kubeconfig under the name of a part of Kubernetes, whose requests are no effects (audit.SYSTEM_USERS)."""
        return self.kubeconfig_for(self._tokens[name], name.removeprefix("system:"))

    # --- what was asked of the API server ---

    def audit_offset(self) -> int:
        """A mark in the audit log: pass it as `since` to see only what came later."""
        return self.audit_log.stat().st_size if self.audit_log.exists() else 0

    def audit_events(self, *, since: int = 0) -> list[audit.AuditEvent]:
        """Every answered request but events, health checks and the reads of Kubernetes' own parts."""
        return list(audit.read_events(self.audit_log, since))

    def effects(
        self, namespace: str | None = None, since: int = 0, *, user: str | None = None, dry_runs: bool = False
    ) -> list[audit.AuditEvent]:
        """Writes by anyone but Kubernetes itself, refused ones included (see `code`), dry runs only when asked for.

        The test's own arrangement is among them: tell it by `user` or `user_agent`.
        """
        return [
            event
            for event in self.audit_events(since=since)
            if audit.is_effect(event, dry_runs=dry_runs)
            and namespace in (None, event.namespace)
            and user in (None, event.user)
        ]

    # --- what pods say ---

    def set_logs(self, namespace: str, pod: str, current: str, previous: str | None = None) -> None:
        """Give a pod its log, for all its containers; without `previous` there is no previous container.

        A pod that no test has given a log has an empty one.
        """
        spec = {"logsFile": self._log_file(f"{namespace}-{pod}.log", current)}
        if previous is not None:
            spec["previousLogsFile"] = self._log_file(f"{namespace}-{pod}.previous.log", previous)
        logs = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "metadata": {"name": pod}}
        self.client.apply({**logs, "spec": {"logs": [spec]}}, namespace)
        first = self.client.get("pods", pod, namespace)["spec"]["containers"][0]["name"]
        # kwok learns of it by a watch and offers no sign that it has.
        wait_until(
            lambda: self.client.logs(pod, namespace, container=first) == _with_newline(current),
            what=f"kwok to know the log of {pod}",
        )

    # --- the parts ---

    def _start(self, argv: dict[str, list[str]]) -> None:
        etcd_url = self._start_etcd(argv["etcd"])
        self._start_api_server(argv["kube-apiserver"], etcd_url)
        self._start_controllers(argv)
        self._start_kwok(argv["kwok"])
        self._create_nodes()

    def _serve(self, name: str, argv: list[str]) -> Server:
        server = Server(name, argv, self.directory / f"{name}.log")
        self._servers.append(server)
        server.start()
        return server

    def _start_etcd(self, argv: list[str]) -> str:
        client, peer = free_port(), free_port()
        url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        flags = {
            "name": "test",
            "data-dir": str(self.directory / "etcd"),
            "listen-client-urls": url,
            "advertise-client-urls": url,
            "listen-peer-urls": peer_url,
            "initial-advertise-peer-urls": peer_url,
            "initial-cluster": f"test={peer_url}",
            "log-level": "warn",
        }
        # Losing the data of a test at power failure is no loss; a sync per write would be.
        self._serve("etcd", [*argv, *_flags(flags), "--unsafe-no-fsync"])
        return url

    def _start_api_server(self, argv: list[str], etcd_url: str) -> None:
        port = free_port()
        certificates = self.directory / "certificates"
        admin_token = self._write_tokens()
        key = self.directory / "service-account.key"
        key.write_text(private_key_pem())
        flags = {
            "etcd-servers": etcd_url,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": str(port),
            "cert-dir": str(certificates),
            "authorization-mode": "RBAC",
            "token-auth-file": str(self.directory / "tokens.csv"),
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": str(key),
            "service-account-signing-key-file": str(key),
            "service-cluster-ip-range": "10.0.0.0/16",
            # Pods need no token and namespaces no waiting for their default account.
            "disable-admission-plugins": "ServiceAccount",
            "endpoint-reconciler-type": "none",
            "kubelet-preferred-address-types": "InternalIP",
            "audit-policy-file": str(self._write_json("audit-policy.json", audit.policy())),
            "audit-log-path": str(self.directory / "audit.jsonl"),
            # On record before it is answered: a test that has seen the effect finds the entry.
            "audit-log-mode": "blocking-strict",
            "audit-log-maxsize": "100000",  # MB; rotating would invalidate the marks of audit_offset
        }
        server = self._serve("kube-apiserver", [*argv, *_flags(flags), "--allow-privileged"])
        # The API server writes the certificate it has made for itself with its issuer behind it.
        ca_file = certificates / "apiserver.crt"
        api_url = f"https://127.0.0.1:{port}"
        self._client = KubeClient(api_url, str(ca_file), admin_token)
        kubeconfig = self.directory / "kubeconfig-admin.json"
        self._endpoint = Endpoint(api_url, ca_file, admin_token, kubeconfig, self.directory / "audit.jsonl")
        self.kubeconfig_for(admin_token, "admin")
        server.wait_ready(lambda: self.client.request("GET", "/readyz") == "ok")

    def _start_controllers(self, argv: dict[str, list[str]]) -> None:
        manager = {
            "kubeconfig": str(self.component_kubeconfig("system:kube-controller-manager")),
            "service-account-private-key-file": str(self.directory / "service-account.key"),
            "leader-elect": "false",
            "secure-port": "0",
            "controllers": "*,-service-lb-controller,-node-route-controller,-cloud-node-lifecycle-controller",
            "kube-api-qps": "1000",  # the default of 20 would make controllers, not the service, what a test waits for
            "kube-api-burst": "2000",
            "horizontal-pod-autoscaler-sync-period": "1s",
        }
        scheduler = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            "clientConnection": {
                "kubeconfig": str(self.component_kubeconfig("system:kube-scheduler")),
                "qps": 1000,
                "burst": 2000,
            },
        }
        self._serve("kube-controller-manager", [*argv["kube-controller-manager"], *_flags(manager)])
        config = self._write_json("kube-scheduler.json", scheduler)
        flags = _flags({"config": str(config), "secure-port": "0"})
        self._serve("kube-scheduler", [*argv["kube-scheduler"], *flags])

    def _start_kwok(self, argv: list[str]) -> None:
        """The simulated kubelets, which also answer the API server's requests for logs."""
        port = free_port()
        self.client.apply(_LOGS_CRD)
        everywhere = {"logs": [{"logsFile": self._log_file("default.log", "")}], "selector": {}}
        default_log = {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterLogs",
            "metadata": {"name": "default"},
            "spec": everywhere,
        }
        programs = {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterExec",
            "metadata": {"name": "default"},
            "spec": {"execs": [{"containers": [RUNS_PROGRAMS], "local": {}}], "selector": {}},
        }
        certificates = self.directory / "certificates"
        flags = {
            "kubeconfig": str(self.component_kubeconfig("kwok")),
            "manage-all-nodes": "true",
            "cidr": "10.64.0.1/16",
            "node-ip": "127.0.0.1",
            "node-port": str(port),
            "server-address": f"127.0.0.1:{port}",
            "tls-cert-file": str(certificates / "apiserver.crt"),
            "tls-private-key-file": str(certificates / "apiserver.key"),
            "node-lease-duration-seconds": "40",
            "enable-crds": "Logs",
        }
        configs = [str(SOURCES / "stages.yaml"), str(self._write_json("cluster-logs.json", default_log))]
        configs.append(str(self._write_json("cluster-exec.json", programs)))
        self._serve("kwok", [*argv, *_flags(flags), *(f"--config={path}" for path in configs)])

    def _create_nodes(self) -> None:
        for zone in ZONES:
            self.client.create(_node(zone))
        wait_until(
            lambda: all(_usable(node) for node in self.client.list("nodes")),
            timeout_s=60,
            what="nodes ready and untainted",
        )

    def _write_tokens(self) -> str:
        users = {"admin": "system:masters"} | dict.fromkeys(_COMPONENTS, "system:masters")
        users |= {f"test-user-{number}": "" for number in range(1, TEST_USERS + 1)}
        self._tokens = {user: secrets.token_hex(16) for user in users}
        lines = [f'{self._tokens[user]},{user},{user},"{group}"' for user, group in users.items()]
        path = self.directory / "tokens.csv"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return self._tokens["admin"]

    def _cluster(self) -> dict[str, str]:
        return {"server": self.endpoint.api_url, "certificate-authority": str(self.endpoint.ca_file)}

    def _write_json(self, name: str, content: object) -> Path:
        """JSON is YAML to the programs that read it, and needs no library to write."""
        path = self.directory / name
        path.write_text(json.dumps(content, indent=1))
        return path

    def _log_file(self, name: str, text: str) -> str:
        """A container log the way the kubelet keeps it: time, stream, F for a full line."""
        folder = self.directory / "pod-logs"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text("".join(f"{_LOG_TIMESTAMP} stdout F {line}\n" for line in text.splitlines()))
        return str(path)


def _flags(flags: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]


def _with_newline(text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines())


def _node(zone: str) -> Object:
    name = f"node-{zone}"
    room = {"cpu": "64", "memory": "256Gi", "pods": "100"}
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/region": "test",
        "topology.kubernetes.io/zone": zone,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"capacity": room, "allocatable": room},
    }


def _usable(node: Object) -> bool:
    conditions = {found["type"]: found["status"] for found in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")


# kwok's Logs resource, as much of it as kwok needs to watch it; the module with the full one may not be at hand.
_LOGS_CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "logs.kwok.x-k8s.io"},
    "spec": {
        "group": "kwok.x-k8s.io",
        "scope": "Namespaced",
        "names": {"plural": "logs", "singular": "logs", "kind": "Logs", "listKind": "LogsList"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
