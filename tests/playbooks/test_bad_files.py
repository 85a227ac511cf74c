"""One file per mistake. Each says in its own comments what must be said about it, line by line.

A line `# expect:7: steps[0].action: unknown action 'rolback'` is the beginning of a message without the file's name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.errors import InvalidPlaybook
from remediator.playbooks.problems import BadPlaybook
from tests.playbooks.registry import load

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_says_what_is_wrong_where_and_what_to_do(path):
    text = path.read_text()
    expected = [line.removeprefix("# expect") for line in text.splitlines() if line.startswith("# expect")]
    assert expected
    with pytest.raises(BadPlaybook) as caught:
        load(text, path.name)
    found = [str(problem).removeprefix(path.name) for problem in caught.value.problems]
    assert len(found) == len(expected), found
    for message, beginning in zip(found, expected, strict=True):
        assert message.startswith(beginning)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_problem_has_a_place_and_a_next_step(path):
    with pytest.raises(InvalidPlaybook) as caught:
        load(path.read_text(), path.name)
    assert isinstance(caught.value, BadPlaybook)
    for problem in caught.value.problems:
        assert problem.line >= 1
        assert problem.hint, problem


def test_there_are_many_of_them():
    """A fixture that is lost must be noticed."""
    assert len(BAD) >= 80
