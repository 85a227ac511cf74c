"""The shipped playbooks do what their own tests say, each in virtual time."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from remediator.actions.registry import load_actions
from remediator.playbook_tests.reading import Case, files_at, read_cases
from remediator.playbook_tests.running import run_case
from remediator.playbook_tests.schema import schema_of_tests
from remediator.playbooks.folder import playbook_files
from remediator.playbooks.yaml_strict import load_strict

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
FILES = files_at(PLAYBOOKS / "tests")
ACTIONS = load_actions()
CASES = {file.name: read_cases(file, ACTIONS) for file in FILES}


@pytest.mark.parametrize("file", CASES)
def test_they_pass(file: str) -> None:
    failed = [
        f"{result.case.source}:{failure.line}: expected {failure.expected}; happened: {failure.happened}"
        for result in (run_case(case, ACTIONS) for case in CASES[file])
        for failure in result.failures
    ]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("name", playbook_files(PLAYBOOKS))
def test_each_playbook_has_tests_of_its_own(name: str) -> None:
    """It acts once, it refrains once, and once it did not help."""
    cases = CASES[name]

    def expects(case: Case, kind: str, *values: object) -> bool:
        return any(getattr(e, kind) in values for e in case.story.expect if e.kind == kind)

    assert any(expects(case, "ends", "succeeded") for case in cases)
    assert any(expects(case, "effects", 0) for case in cases)
    assert any(expects(case, "ends", "escalated") or expects(case, "state", "inconclusive") for case in cases)
    assert {e.chosen for case in cases for e in case.story.expect if e.chosen} == {name.removesuffix(".yaml")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_they_fit_the_schema(file: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema_of_tests())
    assert [error.message for error in validator.iter_errors(load_strict(file.read_text()).content)] == []
