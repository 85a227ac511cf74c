"""Playbooks are reloaded by SIGHUP, by request and by themselves; a broken file keeps its last good version."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import yaml

from tests.support.controlplane import wait_until
from tests.support.fixtures_service import MakeService
from tests.support.scenes import quick
from tests.support.service import API_TOKEN, Service, request_json


def described(service: Service) -> str:
    (playbook,) = service.api("playbooks")["playbooks"]
    return str(playbook["description"])


def write(service: Service, description: str, **more: Any) -> None:
    path = service.directory / "playbooks" / "restart-api.yaml"
    path.write_text(yaml.safe_dump({**quick(), "description": description, **more}))


def test_a_reload_keeps_what_was_good(make_service: MakeService, tmp_path: Path) -> None:
    folders = [str(tmp_path / "one" / "playbooks")]
    service = make_service(quick(), observer=False, playbooks={"folders": folders, "reload": "12s"})
    write(service, "one")
    service.start()
    assert described(service) == "one"
    write(service, "two")
    service.signal(signal.SIGHUP)
    wait_until(lambda: described(service) == "two", timeout_s=5, what="reloaded by SIGHUP")
    write(service, "three")
    assert request_json("POST", service.url + "/-/reload", token=API_TOKEN)[0] == 200
    assert described(service) == "three"
    write(service, "broken", cooldwon="1h")
    status, said = request_json("POST", service.url + "/-/reload", token=API_TOKEN)
    assert (status, "cooldwon" in str(said)) == (200, True)
    assert described(service) == "three"
    assert request_json("GET", service.url + "/-/ready")[0] == 200
    service.stop()
    service.start()
    assert described(service) == "three"
    write(service, "four")
    wait_until(lambda: described(service) == "four", timeout_s=40, what="reloaded by itself")
