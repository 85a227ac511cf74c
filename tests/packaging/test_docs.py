"""The docs say what is so: their YAML loads, their commands exist, their numbers are the code's."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from remediator.actions.registry import load_actions
from remediator.cli.main import app
from remediator.config import load_config
from remediator.guardrails.order import NAMES, ORDER
from remediator.guardrails.words import about
from remediator.metrics import Metrics
from remediator.playbook_tests.model import Scene
from remediator.playbook_tests.reading import read_cases
from remediator.playbook_tests.running import run_case
from remediator.playbooks.fields import FROM_YAML
from remediator.playbooks.limits_table import LIMITS
from remediator.playbooks.loader import load_playbook
from remediator.playbooks.model import Playbook
from remediator.remediation.checks.registry import CHECKS
from remediator.remediation.evidence import COLLECTORS
from tests.support.chart import render

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "playbooks/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
PLAYBOOK_PART, PLAYBOOK_TEST, VALUES = "# part of a playbook", "# a playbook test", "# values.yaml"
CONFIG_PART, TEST_PART = "# part of the configuration", "# part of a test"
SMALLEST_CONFIG: dict[str, Any] = {"sources": [{"name": "prod", "tokens": ["/etc/remediator/secrets/webhook/token"]}]}
SMALLEST_PLAYBOOK: dict[str, Any] = {
    "name": "example",
    "match": {"alerts": ['alertname="Example"']},
    "target": "from_alert",
    "steps": [{"action": "rollout_restart"}],
}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(language: str) -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if found[1] == language:
                yield Block(page, text[: found.start()].count("\n") + 1, language, found[2])


def each(language: str, *beginnings: str) -> list[Any]:
    found = [b for b in blocks(language) if not beginnings or b.text.startswith(beginnings)]
    return [pytest.param(block, id=str(block)) for block in found]


# --- YAML


def load(text: str) -> Playbook:
    """Through the real loader."""
    checks = {name: kind.args for name, kind in CHECKS.items()}
    collectors = {name: kind.args for name, kind in COLLECTORS.items()}
    return load_playbook(text, "docs", actions=load_actions(), checks=checks, collectors=collectors).playbook


@pytest.mark.parametrize("block", each("yaml"))
def test_every_yaml_block_is_one_that_is_tried(block: Block) -> None:
    """A whole playbook, or a part that says of what."""
    if block.text.startswith((PLAYBOOK_PART, PLAYBOOK_TEST, CONFIG_PART, TEST_PART, VALUES)):
        return
    load(block.text)


@pytest.mark.parametrize("block", each("yaml", PLAYBOOK_PART))
def test_parts_of_playbooks_load(block: Block) -> None:
    part = yaml.safe_load(block.text)
    whole = {key: value for key, value in SMALLEST_PLAYBOOK.items() if not (key == "target" and "targets" in part)}
    rungs = [rung["playbook"] for rung in part.get("escalate", ()) if "playbook" in rung]
    load(yaml.safe_dump({**whole, **part}, sort_keys=False))
    assert all(re.fullmatch(r"[a-z-]+", rung) for rung in rungs)


@pytest.mark.parametrize("block", each("yaml", CONFIG_PART))
def test_parts_of_the_configuration_load(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "remediator.yaml"
    # JSON, which is YAML: PyYAML would take the quotes from "08:00", and we want them.
    path.write_text(json.dumps({**SMALLEST_CONFIG, **yaml.safe_load(block.text)}))
    load_config(path, {})


@pytest.mark.parametrize("block", each("yaml", TEST_PART))
def test_parts_of_tests_are_understood(block: Block) -> None:
    Scene.model_validate(yaml.safe_load(block.text), by_name=False, by_alias=True, context={FROM_YAML: True})


@pytest.mark.parametrize("block", each("yaml", PLAYBOOK_TEST))
def test_playbook_tests_pass(block: Block, tmp_path: Path) -> None:
    """They are about the first playbook of their page."""
    playbook = next(b for b in blocks("yaml") if b.page == block.page)
    (tmp_path / "tests").mkdir()
    (tmp_path / "playbook.yaml").write_text(playbook.text)
    (tmp_path / "tests/test.yaml").write_text(block.text)
    for case in read_cases(tmp_path / "tests/test.yaml", load_actions()):
        assert run_case(case, load_actions()).failures == ()


@pytest.mark.controlplane
@pytest.mark.usefixtures("helm_built")
@pytest.mark.parametrize("block", each("yaml", VALUES))
def test_values_render(block: Block, tmp_path: Path) -> None:
    objects = render(yaml.safe_load(block.text))
    (config,) = (o["data"]["remediator.yaml"] for o in objects if "remediator.yaml" in o.get("data", {}))
    path = tmp_path / "remediator.yaml"
    path.write_text(config)
    load_config(path, {})
    for o in objects:
        if o["kind"] == "ConfigMap" and o["metadata"]["name"].endswith("-playbooks"):
            for text in o["data"].values():
                load(text)


# --- commands


def commands(block: Block) -> Iterator[list[str]]:
    """Every call of `remediator` in a block of shell, as words."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.split("    #")[0])
        for index, word in enumerate(words):
            if word.rpartition("/")[2] == "remediator" and (index == 0 or words[index - 1] == "--"):
                yield words[index + 1 :]


def unknown(words: list[str]) -> str:
    """The first word that our command line does not know; empty when it knows them all."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if hasattr(command, "commands"):
            if word not in command.commands:
                return word
            command = command.commands[word]
        elif word.startswith("--"):
            known = {opt for parameter in command.params for opt in getattr(parameter, "opts", ())}
            if word not in known:
                return word
    return ""


@pytest.mark.parametrize("block", each("sh"))
def test_commands_exist(block: Block) -> None:
    for words in commands(block):
        assert not unknown(words), f"{block}: {unknown(words)} in remediator {' '.join(words)}"


def test_commands_in_the_text_exist() -> None:
    for page in PAGES:
        for found in re.findall(r"`remediator ([a-z]+[^`]*)`", page.read_text()):
            assert not unknown(shlex.split(found)), f"{page.name}: remediator {found}"


def test_every_command_is_in_the_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    names = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert not [name for name in names if f"`{name}" not in text]


# --- numbers and names


def table_after(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    rest = page.read_text().split(f"## {heading}\n")[1]
    found = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    assert found is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[0].splitlines()[2:]]


def test_the_numbers_of_the_guardrails_are_the_shipped_ones() -> None:
    def said(value: Any, unit: str) -> str:
        return f"{value if isinstance(value, int | str) else about(value)}{unit}"

    shipped = [
        [f"`{limit.key}`", said(limit.default, limit.unit), f"{limit.bound} {said(limit.ceiling, limit.unit)}"]
        for limit in LIMITS
    ]
    assert table_after(ROOT / "docs/guardrails.md", "Numbers") == shipped


def test_every_guardrail_is_explained_in_the_order_of_the_code() -> None:
    rows = table_after(ROOT / "docs/guardrails.md", "What each one is for")
    assert [row[0].strip("`") for row in rows] == [guard.name for guard in ORDER]
    for name, _default, stops, _beyond, _answer, test in rows:
        assert stops, f"{name}: what does it stop?"
        path, _, function = test.strip("`").partition("::")
        text = (ROOT / path).read_text()
        assert f"def {function or 'test_'}" in text, f"{name}: {test} does not exist"
    assert {"facts"} == set(NAMES) - {guard.name for guard in ORDER}
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert not [guard.name for guard in ORDER if guard.name not in changelog]


def test_every_word_of_the_playbook_language_is_explained() -> None:
    pages = [ROOT / "docs/playbooks.md", *(ROOT / "docs").glob("[cd]*s.md")]  # checks and diagnostics have their own
    text = "\n".join(page.read_text() for page in dict.fromkeys(pages))
    keys = {field.alias or name for name, field in Playbook.model_fields.items()}
    assert not [word for word in (*keys, *CHECKS, *COLLECTORS) if f"`{word}`" not in text]
    for kinds in (CHECKS, COLLECTORS):
        for name, kind in kinds.items():
            row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
            if "as above" in row or name in ("promql", "graph"):
                continue
            missing = [f.alias or n for n, f in kind.args.model_fields.items() if f"`{f.alias or n}`" not in row]
            assert not missing, f"{name}: {missing}"


FILLED_IN = {"before", "only"}
"""Parameters that an action settles at its first plan: nobody has to write them."""


@pytest.mark.parametrize("name", sorted(load_actions()))
def test_every_action_has_a_section_and_its_parameters_are_explained(name: str) -> None:
    pages = [page.read_text() for page in (ROOT / "docs/playbooks.md", *(ROOT / "docs/actions").glob("*.md"))]
    mine = [text for text in pages if re.search(rf"^##+ .*`{name}`", text, re.MULTILINE)]
    assert mine, "no heading names it"
    fields = load_actions()[name].params.model_fields
    params = {field.alias or param for param, field in fields.items()} - FILLED_IN
    assert not [param for param in params if not re.search(rf"`{param}(`|:)", mine[0])]


def test_every_metric_is_listed_and_no_other() -> None:
    exported = set(re.findall(r"^# TYPE (remediator_[a-z_]+) (?!untyped)", Metrics().render().decode(), re.MULTILINE))
    exported = {name for name in exported if not name.endswith("_created")}
    listed = {row[0].strip("`") for row in table_after(ROOT / "docs/operations.md", "Watching it")}
    assert listed == exported


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
