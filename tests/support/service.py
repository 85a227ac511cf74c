"""The real service as a child process, with fake Slack and PagerDuty beside it. For end-to-end and crash tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from tests.support.controlplane import wait_until

CHANNEL = "C0OPS"
SLACK_TOKEN = "xoxb-test-token"
PAGER_KEY = "0123456789abcdef0123456789abcdef"
WEBHOOK_TOKEN = "webhook-token"
API_TOKEN = "admin-token"
ROOT = Path(__file__).parents[2]


def get_json(url: str, *, token: str = "", timeout_s: float = 10) -> Any:
    return request_json("GET", url, token=token, timeout_s=timeout_s)[1]


def request_json(
    method: str, url: str, body: object = None, *, token: str = "", timeout_s: float = 10
) -> tuple[int, Any]:
    """Status and parsed body, whatever the status."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            status, raw = answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        status, raw = exc.code, exc.read()
    try:
        return status, json.loads(raw)
    except ValueError:
        return status, raw.decode(errors="replace")


class Fake:
    """A fake chat or pager service as a process of its own."""

    def __init__(self, name: str, directory: Path, *arguments: str) -> None:
        log = (directory / f"{name}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.support.{name}", "--print-url", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        assert self._process.stdout is not None
        with self._process.stdout as output:
            line = output.readline()
        self.url = str(json.loads(line)["url"]) if line.startswith("{") else line.strip()

    def get(self, path: str) -> Any:
        return get_json(self.base + path)

    @property
    def base(self) -> str:
        return self.url.split("/api", 1)[0].split("/v2", 1)[0].rstrip("/")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


class Service:
    """`remediator serve` on a free port. `stop` is SIGTERM, `kill` is SIGKILL; `start` again continues on its store."""

    def __init__(
        self, directory: Path, config: Mapping[str, Any], environment: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._config = directory / "remediator.yaml"
        self._config.write_text(yaml.safe_dump(dict(config)))
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._port_file = directory / "port"
        self.starts = 0
        self.url = ""

    def start(self, *, module: str = "remediator", **environment: str) -> Self:
        """Returns when it is ready. Raises: TimeoutError with the end of its log."""
        self.launch(module=module, **environment)
        self.wait_ready()
        return self

    def launch(self, *, module: str = "remediator", **environment: str) -> None:
        self.starts += 1
        self._port_file.unlink(missing_ok=True)
        log = (self.directory / f"service-{self.starts}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "serve", "--config", str(self._config), "--log-format", "json"],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                **self._environment,
                **environment,
                "REMEDIATOR_LISTEN__PORT_FILE": str(self._port_file),
            },
        )
        log.close()

    def wait_ready(self) -> None:
        try:
            port = wait_until(self._port, timeout_s=30, what="port file")
            self.url = f"http://127.0.0.1:{port}"
            wait_until(lambda: request_json("GET", self.url + "/-/ready")[0] == 200, timeout_s=20, what="ready")
        except TimeoutError as exc:
            raise TimeoutError(f"{exc}\n{self.log()[-3000:]}") from exc

    def _port(self) -> int:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the service ended with {self._process.returncode}\n{self.log()[-3000:]}")
        return int(self._port_file.read_text())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """The log of the present start."""
        return (self.directory / f"service-{self.starts}.log").read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def wait_gone(self, timeout_s: float = 20) -> int:
        assert self._process is not None
        return self._process.wait(timeout_s)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self) -> int:
        """SIGTERM. Returns the exit code."""
        if self._process is None or self._process.poll() is not None:
            return self._process.returncode if self._process else 0
        self._process.terminate()
        return self._process.wait(20)

    # --- what a user does with it -----------------------------------------------------------------------------------

    def post_alerts(self, *alerts: Mapping[str, Any], token: str = WEBHOOK_TOKEN) -> tuple[int, Any]:
        """One webhook as Alertmanager posts it."""
        body = {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "remediator", "alerts": list(alerts)}
        return request_json("POST", self.url + "/webhooks/alertmanager", body, token=token)

    def api(self, path: str) -> Any:
        return get_json(f"{self.url}/api/v1/{path}", token=API_TOKEN)

    def remediations(self) -> list[dict[str, Any]]:
        """Newest first."""
        found: list[dict[str, Any]] = self.api("remediations")["remediations"]
        return found

    def show(self, remediation_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api(f"remediations/{remediation_id}")
        return found

    def wait_state(self, *states: str, timeout_s: float = 60) -> dict[str, Any]:
        """Until the newest remediation is in one of these states."""

        def look() -> dict[str, Any] | None:
            found = self.remediations()
            assert found, "no remediation yet"
            assert found[0]["state"] in states, f"{found[0]['state']}: {found[0]['reason']}"
            return found[0]

        return wait_until(look, timeout_s=timeout_s, what=f"state {'|'.join(states)}", interval_s=0.1)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`remediator ...` against this service."""
        return subprocess.run(
            [sys.executable, "-m", "remediator", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "REMEDIATOR_SERVER": self.url, "REMEDIATOR_TOKEN": API_TOKEN, "COLUMNS": "100"},
        )


def alert(name: str, namespace: str, *, status: str = "firing", starts_at: str = "", **labels: str) -> dict[str, Any]:
    """One alert of a webhook. It began a minute ago unless `starts_at` says otherwise."""
    from datetime import UTC, datetime, timedelta

    began = starts_at or (datetime.now(UTC) - timedelta(seconds=60)).isoformat().replace("+00:00", "Z")
    full = {"alertname": name, "namespace": namespace, "severity": "critical", **labels}
    return {
        "status": status,
        "labels": full,
        "annotations": {"summary": f"{name} in {namespace}"},
        "startsAt": began,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
    }
