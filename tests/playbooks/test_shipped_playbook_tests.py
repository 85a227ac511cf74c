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
FOLDERS = (PLAYBOOKS / "tests", *sorted(path for path in (PLAYBOOKS / "tests").iterdir() if path.is_dir()))
FILES = [file for folder in FOLDERS for file in files_at(folder)]
ACTIONS = load_actions()
CASES = {str(file.relative_to(PLAYBOOKS / "tests")): read_cases(file, ACTIONS) for file in FILES}
"""By file: those of the starter set are `NAME.yaml`, those of an area `AREA/NAME.yaml`."""


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
    """A starter acts once, it refrains once, and once it did not help; one that only looks tells what it found."""
    cases = CASES[name]

    def expects(case: Case, kind: str, *values: object) -> bool:
        return any(getattr(e, kind) in values for e in case.story.expect if e.kind == kind)

    if not load_strict((PLAYBOOKS / name).read_text()).content["steps"]:
        assert any(expects(case, "ends", "observed") and expects(case, "effects", 0) for case in cases)
        return
    assert any(expects(case, "ends", "succeeded") for case in cases)
    assert any(expects(case, "effects", 0) for case in cases)
    assert any(expects(case, "ends", "escalated") or expects(case, "state", "inconclusive") for case in cases)
    assert {e.chosen for case in cases for e in case.story.expect if e.chosen} == {name.removesuffix(".yaml")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PLAYBOOKS)))
def test_they_fit_the_schema(file: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema_of_tests())
    assert [error.message for error in validator.iter_errors(load_strict(file.read_text()).content)] == []
