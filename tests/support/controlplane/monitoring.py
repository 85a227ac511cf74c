"""Real Prometheus, Alertmanager and kube-state-metrics, started by a test with the configuration it wants to prove.

Configuration may be given as dicts (written as JSON, which is YAML to all three) or as YAML text.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.controlplane.client import ApiError, parsed
from tests.support.controlplane.process import Server, free_port
from tests.support.controlplane.programs import command
from tests.support.controlplane.server import ControlPlane

Config = Mapping[str, Any] | str
"""A configuration document: dicts and lists, or YAML text."""


class _HttpServer:
    """What the three have in common. Use as a context manager, or call start and stop."""

    program: str
    ready_path: str

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: Server | None = None

    def start(self) -> Self:
        """Raises: NoControlPlane or BuildFailed without a binary; RuntimeError with the log's end when it fails."""
        argv = command(self.program)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._write_config()
        self._server = Server(self.program, [*argv, *self._flags()], self.directory / f"{self.program}.log")
        self._server.start()
        try:
            self._server.wait_ready(self._ready)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it gently, so that what it keeps in its directory is there for the next start."""
        if self._server is not None:
            self._server.stop(grace_s=5.0)
            self._server = None

    def kill(self) -> None:
        """End it as a crash would."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def get(self, path: str, **query: str) -> Any:
        """GET a path of its HTTP API; JSON is parsed."""
        return self.request("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """One HTTP request. Raises: ApiError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return parsed(answer.read())
        except urllib.error.HTTPError as exc:
            with exc:
                raise ApiError(exc.code, parsed(exc.read())) from None

    def reload(self) -> None:
        """Make it read its configuration again. Raises: ApiError when it refuses it."""
        self._write_config()
        self.request("POST", "/-/reload")

    def _ready(self) -> bool:
        self.get(self.ready_path)
        return True

    def _write_config(self) -> None:
        raise NotImplementedError

    def _flags(self) -> list[str]:
        raise NotImplementedError

    def _write(self, name: str, content: Config) -> Path:
        path = self.directory / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return path


class PrometheusServer(_HttpServer):
    """Prometheus with rules, static targets and perhaps an Alertmanager. Scrapes and evaluates five times a second.

    `rules`: a rule file (`{"groups": [...]}`), or a list of rules, which become one group.
    `targets`: scrape job to "host:port" addresses, or to a whole scrape_config without its job_name.
    Change `rules`, `targets` or `alertmanager_url` and call `reload()`.
    """

    program = "prometheus"
    ready_path = "/-/ready"

    def __init__(
        self,
        directory: Path,
        *,
        rules: Config | Sequence[Mapping[str, Any]] = (),
        targets: Mapping[str, Sequence[str] | Mapping[str, Any]] | None = None,
        alertmanager_url: str | None = None,
        external_labels: Mapping[str, str] | None = None,
        interval: str = "200ms",
        flags: Sequence[str] = (),
    ) -> None:
        super().__init__(directory)
        self.rules = rules
        self.targets = dict(targets or {})
        self.alertmanager_url = alertmanager_url
        self.external_labels = dict(external_labels or {})
        self.interval = interval
        self.flags = list(flags)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The result of an instant query: for a vector, items with `metric` and `value`."""
        result: list[dict[str, Any]] = self.get("/api/v1/query", query=expr)["data"]["result"]
        return result

    def alerts(self) -> list[dict[str, Any]]:
        """Pending and firing alerts."""
        alerts: list[dict[str, Any]] = self.get("/api/v1/alerts")["data"]["alerts"]
        return alerts

    def _flags(self) -> list[str]:
        return [
            f"--config.file={self.directory / 'prometheus.json'}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-lifecycle",
            "--scrape.discovery-reload-interval=100ms",  # not 5 s until the first scrape
            "--rules.alert.resend-delay=1s",  # a restarted Alertmanager hears of firing alerts soon
            "--log.level=warn",
            *self.flags,
        ]

    def _write_config(self) -> None:
        rules = self.rules
        if not isinstance(rules, (str, Mapping)):
            rules = {"groups": [{"name": "test", "rules": list(rules)}]} if rules else {"groups": []}
        rule_file = self._write("rules.json", rules)
        config: dict[str, Any] = {
            "global": {
                "scrape_interval": self.interval,
                "scrape_timeout": self.interval,
                "evaluation_interval": self.interval,
                "external_labels": self.external_labels,
            },
            "rule_files": [str(rule_file)],
            "scrape_configs": [_scrape_config(job, target) for job, target in self.targets.items()],
        }
        if self.alertmanager_url:
            address = urllib.parse.urlsplit(self.alertmanager_url).netloc
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]}
        self._write("prometheus.json", config)


class AlertmanagerServer(_HttpServer):
    """Alertmanager with the given configuration. Change `config` and call `reload()`."""

    program = "alertmanager"
    ready_path = "/-/ready"

    def __init__(self, directory: Path, config: Config, *, flags: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self.config = config
        self.flags = list(flags)

    def post_alerts(self, *alerts: Mapping[str, Any]) -> None:
        """Hand it alerts as Prometheus would: `labels`, and perhaps `annotations`, `startsAt`, `endsAt`."""
        self.request("POST", "/api/v2/alerts", [dict(alert) for alert in alerts])

    def alerts(self) -> list[dict[str, Any]]:
        alerts: list[dict[str, Any]] = self.get("/api/v2/alerts")
        return alerts

    def _flags(self) -> list[str]:
        return [
            f"--config.file={self.directory / 'alertmanager.json'}",
            f"--storage.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",  # alone; an empty address is how one says so
            "--log.level=debug",  # its log is where a test that got no webhook looks first
            *self.flags,
        ]

    def _write_config(self) -> None:
        self._write("alertmanager.json", self.config)


class KubeStateMetrics(_HttpServer):
    """kube-state-metrics of a control plane, to be scraped by a PrometheusServer: `targets={"kube": [ksm.address]}`."""

    program = "kube-state-metrics"
    ready_path = "/readyz"

    def __init__(self, directory: Path, control_plane: ControlPlane, *, flags: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self.address = f"127.0.0.1:{self.port}"
        self._telemetry_port = free_port()
        self._control_plane = control_plane
        self.flags = list(flags)

    def metrics(self) -> str:
        """The exposition text."""
        text: str = self.get("/metrics")
        return text

    def reload(self) -> None:
        raise NotImplementedError("kube-state-metrics has nothing to reload")

    def _ready(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._telemetry_port}{self.ready_path}", timeout=5):
            return True

    def _flags(self) -> list[str]:
        return [
            f"--kubeconfig={self._control_plane.component_kubeconfig('kube-state-metrics')}",
            "--host=127.0.0.1",
            f"--port={self.port}",
            "--telemetry-host=127.0.0.1",
            f"--telemetry-port={self._telemetry_port}",
            *self.flags,
        ]

    def _write_config(self) -> None:
        """It has flags only."""


def _scrape_config(job: str, target: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(target, Mapping):
        return {"job_name": job, **target}
    return {"job_name": job, "static_configs": [{"targets": list(target)}]}
