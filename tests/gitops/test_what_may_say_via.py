"""Which actions may go through Git: each says so itself, and the guide lists them."""

from __future__ import annotations

import re
from pathlib import Path

from remediator.actions.registry import load_actions
from remediator.playbooks.meaning import goes_through_git

GUIDE = Path(__file__).parents[2] / "docs" / "gitops.md"


def test_the_guide_lists_them() -> None:
    listed = re.search(r"What may say `via`: (.*?)\. An action", GUIDE.read_text(), re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == {
        n for n, action in load_actions().items() if goes_through_git(action)
    }
