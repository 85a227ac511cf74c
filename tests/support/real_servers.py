"""Real Prometheus and Alertmanager for tests without a cluster, skipped like the control plane where there is no Go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

import pytest

from tests.support.controlplane import AlertmanagerServer, NoControlPlane, PrometheusServer

S = TypeVar("S", PrometheusServer, AlertmanagerServer)


@contextmanager
def started(server: S) -> Iterator[S]:
    """The server, running. Skips without Go; `REQUIRE_CONTROL_PLANE=1` turns that into a failure."""
    try:
        server.start()
    except NoControlPlane as exc:
        if os.environ.get("REQUIRE_CONTROL_PLANE") == "1":
            pytest.fail(f"no control plane: {exc}", pytrace=False)
        pytest.skip(f"no control plane: {exc}")
    try:
        yield server
    finally:
        server.stop()


class Metrics:
    """A program to be scraped: `values` by series text, `growing` by how much with every scrape, and a switch."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.growing: dict[str, float] = {}
        self.up = True
        handler = type("Handler", (_Handler,), {"metrics": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def scrape(self) -> bytes:
        for series, step in self.growing.items():
            self.values[series] = self.values.get(series, 0.0) + step
        return "".join(f"{series} {value}\n" for series, value in self.values.items()).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    metrics: Metrics

    def do_GET(self) -> None:
        self.send_response(200 if self.metrics.up else 503)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(self.metrics.scrape() if self.metrics.up else b"")

    def log_message(self, *args: object) -> None:
        """Silent."""
