"""What has no effect yet is refused at load."""

from __future__ import annotations

import pytest

from remediator.playbooks.unsupported import unsupported
from tests.support.building import playbook


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"match": {"alerts": ['alertname="X"'], "status": "resolved"}}, "match.status"),
        ({"steps": [{"action": "scale", "with": {"to": 1}, "repeatable": True}]}, "steps[0].repeatable"),
    ],
)
def test_it_is_named(changes: dict[str, object], word: str) -> None:
    (said,) = unsupported(playbook(**changes))
    assert said.startswith(word)


def test_an_ordinary_playbook_is_fine() -> None:
    assert unsupported(playbook()) == ()
