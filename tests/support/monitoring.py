"""A scraped application, and Prometheus with Alertmanager routing to the service: the real ones."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.support.controlplane import AlertmanagerServer, PrometheusServer
from tests.support.service import WEBHOOK_TOKEN


class App:
    """Exposes what `metrics()` returns on a loopback port, in Prometheus' text format."""

    def __init__(self, metrics: Callable[[], str]) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = outer.metrics().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # a scrape that gave up
                    self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self.metrics = metrics
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Sink:
    """A webhook receiver that keeps what it gets: the human route of a test."""

    def __init__(self) -> None:
        outer = self
        self.bodies: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def routing(service_url: str, human_url: str = "", *, human_wait: str = "5m") -> dict[str, Any]:
    """Pattern A: our route first, at once; people behind it, after `human_wait`."""
    ours = {
        "receiver": "remediator",
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "1s",
        "continue": True,
        "matchers": ['severity=~".+"'],
    }
    people = {"receiver": "people", "group_by": ["alertname"], "group_wait": human_wait, "group_interval": "10s"}
    return {
        "route": {"receiver": "nobody", "routes": [ours, *([people] if human_url else [])]},
        "receivers": [
            {"name": "nobody"},
            {
                "name": "remediator",
                "webhook_configs": [
                    {
                        "url": f"{service_url}/webhooks/alertmanager",
                        "send_resolved": True,
                        "http_config": {"authorization": {"credentials": WEBHOOK_TOKEN}},
                    }
                ],
            },
            *([{"name": "people", "webhook_configs": [{"url": human_url}]}] if human_url else []),
        ],
    }


def rule(name: str, expr: str, *, severity: str = "critical", wait: str = "0s") -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        "for": wait,
        "labels": {"severity": severity},
        "annotations": {"summary": f"{name} fires"},
    }


class Monitoring:
    """Prometheus and Alertmanager of one test. Prometheus is there before the service, the route is made after it."""

    def __init__(self, directory: Path, app: App, *rules: Mapping[str, Any]) -> None:
        self._directory = directory
        (directory / "am").mkdir(parents=True)
        (directory / "prom").mkdir()
        nobody = {"route": {"receiver": "x"}, "receivers": [{"name": "x"}]}
        self.alertmanager = AlertmanagerServer(directory / "am", nobody)
        self.alertmanager.start()
        self.prometheus = PrometheusServer(
            directory / "prom",
            rules=[dict(r) for r in rules],
            targets={"app": [app.address]},
            alertmanager_url=self.alertmanager.url,
            interval="500ms",
        )
        self.prometheus.start()

    def route(self, config: Mapping[str, Any]) -> None:
        self.alertmanager.config = dict(config)
        self.alertmanager.reload()

    def stop(self) -> None:
        self.prometheus.stop()
        self.alertmanager.stop()
