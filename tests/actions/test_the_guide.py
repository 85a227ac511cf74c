"""docs/actions.md, "Writing one": whoever follows the page has an action that plans, is tested and is documented."""

from __future__ import annotations

import re
import sys
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from remediator.actions.change import NotPossible, Patch
from remediator.actions.diff import diff_lines
from remediator.actions.registry import GROUP, load_actions
from remediator.actions.render import inverse, still_before
from remediator.errors import InvalidPlaybook
from remediator.playbooks.loader import load_playbook
from tests.actions.make import deployment, view
from tests.contract.actions.cases import FOLDER, KEYS, differs

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/actions.md").read_text().partition("## Writing one")[2]
MODULE, CLASS = "remediator.actions.workloads.min_ready", "SetMinReady"


def blocks(language: str) -> list[str]:
    """The page's code, without the indentation of its list."""
    found = re.findall(rf"^( +)```{language}\n(.*?)^\1```$", GUIDE, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for _, text in found]


def run(name: str, text: str) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module  # pydantic looks its annotations up there
    exec(compile(text, name, "exec"), module.__dict__)
    return module


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A registry that knows the page's action as well."""
    assert not (ROOT / f"{MODULE.replace('.', '/')}.py").exists(), "it would be hidden by this test"
    assert f"{MODULE.replace('.', '/')}.py" in GUIDE
    monkeypatch.setitem(sys.modules, MODULE, ModuleType(MODULE))  # taken out again in the end
    run(MODULE, blocks("python")[0])
    return load_actions([EntryPoint(name="set_min_ready", value=f"{MODULE}:{CLASS}", group=GROUP)])


def test_it_plans_and_is_undone(actions):
    target = deployment()
    action = actions["set_min_ready"]
    here = view(target)
    change = action.plan(action.resolve(action.params(seconds=30), here), here)
    (patch,) = change.effects
    assert isinstance(patch, Patch)
    assert still_before(patch, target) is None
    assert any("minReadySeconds" in line for line in diff_lines(change))
    done = {**target, "spec": {**target["spec"], "minReadySeconds": 30}}
    back = inverse(patch, done)
    assert isinstance(back, Patch)
    assert [(c.before, c.after) for c in back.changes] == [(30, None)]
    with pytest.raises(NotPossible):
        action.plan(action.params(seconds=30), view(done))


def test_a_playbook_loads_with_it(actions):
    def playbook(seconds: int) -> str:
        step = {"action": "set_min_ready", "with": {"seconds": seconds}}
        match = {"alerts": ['alertname="Example"']}
        return yaml.safe_dump({"name": "example", "match": match, "target": "from_alert", "steps": [step]})

    assert load_playbook(playbook(30), "docs", actions=actions, checks={}).playbook.steps[0].action == "set_min_ready"
    with pytest.raises(InvalidPlaybook, match="seconds"):
        load_playbook(playbook(601), "docs", actions=actions, checks={})


@pytest.mark.usefixtures("actions")
def test_the_table_test_of_the_page_passes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "the_page", ModuleType("the_page"))
    tests = run("the_page", blocks("python")[1])
    tried = 0
    for name, function in vars(tests).items():
        if not name.startswith("test_"):
            continue
        for mark in function.pytestmark:
            names, rows = mark.args
            for row in rows:
                function(**dict(zip(names, row, strict=True)))
                tried += 1
    assert tried == 4


def test_the_contract_row_of_the_page_is_one(actions):
    """Read among the others, whose objects it uses; and what it expects is what the plan writes."""
    (text,) = blocks("yaml")
    row = yaml.safe_load((FOLDER / "workloads.yaml").read_text() + "\n" + text)[-1]
    assert set(row) <= KEYS
    (given,) = row["given"]
    action = actions[row["action"]]
    target = deployment(spec=given["spec"])
    here = view(target)
    (patch,) = action.plan(action.params(**row["with"]), here).effects
    (change,) = patch.changes
    written = {**target, "spec": {**target["spec"], change.path[-1]: change.after}}
    assert differs(written, row["then"]["Deployment/web"]) == []
    assert differs(target, row["undo"]["Deployment/web"]) == []


def test_what_the_page_names_exists():
    for name in re.findall(r"`((?:tests|remediator|docs)/[\w/.]+)`", GUIDE):
        if name != f"{MODULE.replace('.', '/')}.py":
            assert (ROOT / name).exists(), name
    assert "NOT_HERE" in (ROOT / "tests/contract/actions/test_actions.py").read_text()
    assert re.search(r"^catalogue:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_page_names_what_the_tests_ask_for():
    for asked in ("tests/packaging/test_docs.py", "tests/contract/actions/cases", "make catalogue", "BUILT_IN"):
        assert asked in GUIDE, asked
