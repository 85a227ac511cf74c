"""Commands that need no service: check, schema, init, version, and how `serve` and its like are started."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner, Result

from remediator import __version__
from remediator.alerts.matchers import parse_matchers
from remediator.cli.main import app
from remediator.playbooks.yaml_strict import load_strict

GOOD = """\
name: restart-api
description: Restarts it.
owner: team-shop
runbook: https://runbooks.example.com/api
match:
  alerts: ['alertname="ApiDown"']
target: from_alert
mode: approve
undo: {after: never}
steps:
  - action: rollout_restart
verify:
  checks:
    - rollout: {}
    - alert_resolved: {}
"""


def run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


class TestCheck:
    def test_a_good_one(self, tmp_path: Path) -> None:
        (tmp_path / "good.yaml").write_text(GOOD)
        result = run("check", str(tmp_path))
        assert (result.exit_code, result.stdout) == (0, "1 playbook: 0 errors, 0 warnings\n")

    def test_errors_have_file_and_line(self, tmp_path: Path) -> None:
        """As editors and CI understand it; the good ones beside it are not hidden."""
        (tmp_path / "good.yaml").write_text(GOOD)
        bad = tmp_path / "bad.yaml"
        bad.write_text(GOOD.replace("restart-api", "other").replace("mode: approve", "mode: approve\ncooldwon: 5m"))
        result = run("check", str(tmp_path))
        assert result.exit_code == 1
        lines = result.stdout.splitlines()
        assert lines[0].startswith(f"{bad}:9: error: cooldwon: ")
        assert lines[-1].startswith("2 playbooks: 1 error, ")

    def test_files_and_folders_together(self, tmp_path: Path) -> None:
        (tmp_path / "one.yaml").write_text(GOOD)
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "two.yml").write_text(GOOD)
        result = run("check", str(tmp_path / "one.yaml"), str(tmp_path / "sub"))
        assert result.exit_code == 1
        assert "the name restart-api is also used by" in result.stdout

    def test_beyond_the_ceiling(self, tmp_path: Path) -> None:
        """A warning with the shipped ceilings, an error with the operator's own."""
        (tmp_path / "auto.yaml").write_text(GOOD.replace("mode: approve", "mode: auto"))
        result = run("check", str(tmp_path))
        assert (result.exit_code, "warning: mode: auto is above the ceiling approve" in result.stdout) == (0, True)
        config = tmp_path / "remediator.conf"
        config.write_text("sources: [{name: am, auth: none}]\n")
        result = run("check", str(tmp_path), "--config", str(config))
        assert (result.exit_code, "error: mode: auto is above the ceiling" in result.stdout) == (1, True)
        config.write_text("sources: [{name: am, auth: none}]\npolicy: {mode_ceiling: auto}\n")
        assert run("check", str(tmp_path), "--config", str(config)).exit_code == 0

    def test_a_policy_that_cannot_be_is_wrong_use(self, tmp_path: Path) -> None:
        (tmp_path / "one.yaml").write_text(GOOD)
        config = tmp_path / "remediator.conf"
        config.write_text("sources: [{name: am, auth: none}]\npolicy: {ceilings: {max_targets: 11}}\n")
        result = run("check", str(tmp_path), "--config", str(config))
        assert (result.exit_code, result.stdout) == (2, "")
        assert "ceilings.max_targets: 11 is beyond the shipped ceiling" in result.stderr

    def test_json(self, tmp_path: Path) -> None:
        (tmp_path / "bad.yaml").write_text("name: [")
        result = run("check", str(tmp_path), "-o", "json")
        told = json.loads(result.stdout)
        assert (result.exit_code, told["playbooks"], told["errors"]) == (1, 1, len(told["findings"]))
        assert set(told["findings"][0]) == {"file", "line", "severity", "code", "message"}

    @pytest.mark.parametrize("name", ["nothing-there", "empty", "notes.txt"])
    def test_nothing_to_check_is_wrong_use(self, tmp_path: Path, name: str) -> None:
        """Passing because of a wrong path would be worse than an error."""
        (tmp_path / "empty").mkdir()
        (tmp_path / "notes.txt").write_text("x")
        result = run("check", str(tmp_path / name))
        assert (result.exit_code, result.stdout) == (2, "")
        assert name in result.stderr


def test_schema_describes_good_playbooks() -> None:
    result = run("schema")
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)


def test_version() -> None:
    assert run("version").stdout == f"remediator {__version__}\n"
    assert json.loads(run("version", "-o", "json").stdout) == {"version": __version__}


def test_version_answers_at_once() -> None:
    """Neither the HTTP server nor the store nor the core is loaded for it."""
    code = (
        "import sys; from remediator.cli.main import app\n"
        "try: app(['version'])\n"
        "except SystemExit: pass\n"
        "heavy = {'aiohttp', 'sqlalchemy', 'kubernetes_asyncio', 'structlog', 'remediator.config'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "remediator", "frobnicate"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "No such command" in done.stderr


class TestInitAlertmanager:
    @pytest.mark.parametrize("pattern", ["A", "B", "C"])
    def test_it_is_yaml_with_the_numbers_of_the_pattern(self, pattern: str) -> None:
        result = run("init", "alertmanager", "--url", "https://rem.example.com/", "--pattern", pattern)
        assert result.exit_code == 0
        config: Any = load_strict(result.stdout).content
        ours = [route for route in config["route"]["routes"] if route["receiver"] == "remediator"]
        receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
        (hook,) = receivers["remediator"]["webhook_configs"]
        assert hook["url"] == "https://rem.example.com/webhooks/alertmanager"
        assert hook["send_resolved"] is True
        used = {route["receiver"] for route in (config["route"], *config["route"]["routes"])}
        assert used == set(receivers)
        assert all(route["group_by"] == ["..."] and route["group_wait"] == "0s" for route in ours)
        assert ours[-1]["group_interval"] == "30s"
        assert ours[-1]["continue"] is (pattern != "B")
        last = config["route"]["routes"][-1]
        assert last.get("group_wait") == {"A": "5m", "B": "0s", "C": "30s"}[pattern]
        for route in config["route"]["routes"]:
            for text in route.get("matchers", []):
                parse_matchers(text)

    @pytest.mark.parametrize("pattern", ["A", "B", "C"])
    def test_as_a_custom_resource(self, pattern: str) -> None:
        result = run("init", "alertmanager", "--url", "http://remediator.ops:8080", "--pattern", pattern, "--crd")
        assert "alertmanagerConfigMatcherStrategy" in result.stdout
        crd: Any = load_strict(result.stdout).content
        assert (crd["kind"], crd["apiVersion"]) == ("AlertmanagerConfig", "monitoring.coreos.com/v1alpha1")
        assert crd["spec"]["route"]["groupBy"] == ["..."]
        (receiver,) = crd["spec"]["receivers"]
        assert receiver["webhookConfigs"][0]["url"].endswith(":8080/webhooks/alertmanager")

    @pytest.mark.parametrize("url", ["remediator:8080", "http://x y", 'http://x"', "http://{{ .Evil }}"])
    def test_a_url_that_would_break_it(self, url: str) -> None:
        result = run("init", "alertmanager", "--url", url)
        assert (result.exit_code, result.stdout) == (2, "")

    def test_other_names(self) -> None:
        names = ["--human-receiver", "My Team: on call", "--token-file", "/run/secrets/t"]
        config: Any = load_strict(run("init", "alertmanager", "--url", "http://x", *names).stdout).content
        assert config["route"]["receiver"] == "My Team: on call"


class TestStarting:
    def test_serve_says_what_is_wrong_with_the_config(self, tmp_path: Path) -> None:
        config = tmp_path / "remediator.yaml"
        config.write_text("sources: [{name: am}]\nlisten: {prot: 1}\n")
        result = run("serve", "--config", str(config))
        assert (result.exit_code, result.stdout) == (2, "")
        assert "anybody could start remediations" in result.stderr
        assert "listen.prot" in result.stderr

    def test_serve_without_any_source_refuses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("REMEDIATOR_CONFIG", raising=False)
        result = run("serve")
        assert (result.exit_code, "sources" in result.stderr) == (2, True)

    def test_serve_hands_the_config_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []

        async def serve(config: Any) -> int:
            await asyncio.sleep(0)
            seen.append(config)
            return 0

        monkeypatch.setitem(sys.modules, "remediator.app", fake := types.ModuleType("remediator.app"))
        monkeypatch.setattr("remediator.app", fake, raising=False)
        fake.serve = serve  # type: ignore[attr-defined]
        config = tmp_path / "remediator.yaml"
        config.write_text("sources: [{name: am, auth: none}]\n")
        result = run("serve", "-c", str(config), "--log-level", "warning")
        assert (result.exit_code, [c.sources[0].name for c in seen]) == (0, ["am"])

    @pytest.mark.parametrize(("once", "code"), [(["--once"], 0), ([], 1)])
    def test_demo_exits_with_its_own_code(self, monkeypatch: pytest.MonkeyPatch, once: list[str], code: int) -> None:
        async def story(*, once: bool) -> int:
            await asyncio.sleep(0)
            return 0 if once else 1

        monkeypatch.setitem(sys.modules, "remediator.demo", fake := types.ModuleType("remediator.demo"))
        monkeypatch.setattr("remediator.demo", fake, raising=False)
        fake.run = story  # type: ignore[attr-defined]
        assert run("demo", *once).exit_code == code

    def test_watch_says_what_is_missing(self, tmp_path: Path) -> None:
        result = run("watch", "--alertmanager", "http://127.0.0.1:1", "--kubeconfig", str(tmp_path / "nothing"))
        assert (result.exit_code, result.stderr) == (2, f"remediator: there is no kubeconfig {tmp_path / 'nothing'}\n")
