"""`remediator test`: what is printed, which tests are played, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from remediator.cli.main import app
from remediator.playbooks.yaml_strict import load_strict
from tests.playbook_tests.stories import STORY, write

GOOD: dict[str, Any] = {**STORY, "name": "it restarts", "expect": [{"effects": 1}]}
BAD: dict[str, Any] = {**STORY, "name": "it does nothing", "expect": [{"chosen": "restart-api"}, {"effects": 0}]}


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["test", *map(str, args)])


def test_all_passed(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    result = run(path)
    assert result.exit_code == 0
    first, last = result.stdout.splitlines()
    assert first == f"passed {path}: it restarts"
    assert last.startswith("1 test: 0 failed, in ")


def test_one_failed(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, BAD)
    result = run(path)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    line = path.read_text().splitlines().index("  - effects: 0") + 1
    assert lines[1] == f"FAILED {path}: it does nothing"
    assert lines[2] == f"  {path}:{line}: expected: no effect at all"
    assert lines[3].startswith(
        "    happened: 1: rollout_restart Deployment shop/api, spec.template.metadata.annotations."
    )
    assert lines[4].split() == [
        "0s",
        "alert",
        "Stuck{deployment=api,",
        "namespace=shop,",
        "severity=critical}",
        "fires",
    ]
    assert any(line.split()[1:3] == ["effect", "rollout_restart"] for line in lines)
    assert lines[-1].startswith("2 tests: 1 failed, in ")


def test_a_timeline_on_demand(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert " effect     rollout_restart" in run(path, "-v").stdout
    assert " effect     rollout_restart" not in run(path).stdout


def test_json(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, BAD)
    result = run(path, "--output", "json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert (said["tests"], said["failed"]) == (2, 1)
    good, bad = said["results"]
    assert (good["name"], good["passed"], good["failures"]) == ("it restarts", True, [])
    assert (bad["file"], bad["passed"]) == (str(path), False)
    assert bad["failures"][0]["expected"] == "no effect at all"
    assert {"at_s": 0.0, "source": "alert"}.items() <= bad["timeline"][0].items()


def test_only_some(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, BAD)
    assert run(path, "-k", "RESTARTS").exit_code == 0
    assert run(tmp_path / "tests", "-k", "api.yaml").exit_code == 1


def test_the_folder_of_the_shipped_ones_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "playbooks").mkdir()
    write(tmp_path / "playbooks", GOOD)
    monkeypatch.chdir(tmp_path)
    assert run().stdout.startswith("passed playbooks/tests/api.yaml: it restarts")


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_file_with_mistakes_is_not_played(tmp_path: Path, output: str) -> None:
    path = write(tmp_path, GOOD, {**BAD, "expct": []})
    result = run(path, "-o", output)
    assert result.exit_code == 2
    line = path.read_text().splitlines().index("  expct: []") + 1
    if output == "text":
        said = f'{path}:{line}: tests[1].expct: unknown key "expct". Did you mean "expect"?'
        assert result.stdout.splitlines() == [said]
    else:
        (problem,) = json.loads(result.stdout)["problems"]
        assert (problem["line"], problem["field"]) == (line, "tests[1].expct")


def test_nothing_to_play(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    nothing = run(path, "-k", "none")
    assert (nothing.exit_code, nothing.stdout) == (2, "")
    assert "there is no test to play\n  Leave out -k" in nothing.stderr
    assert run(tmp_path / "nowhere" / "x.yaml").exit_code == 2


def test_the_schema(tmp_path: Path) -> None:
    schema = json.loads(CliRunner().invoke(app, ["schema", "--test"]).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert not list(validator.iter_errors(load_strict(write(tmp_path, GOOD, BAD).read_text()).content))
    wrong = {"tests": [{**GOOD, "expect": [{"effects": 1, "ends": "denied"}]}]}
    assert list(validator.iter_errors(wrong))
