"""The pictures in the docs are of messages that exist, and small enough for a repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.gallery import GALLERY, GRAPHS
from tests.support.slack_page import document

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = set(re.findall(r"\(images/([a-z-]+)\.png\)", (DOCS / "messages.md").read_text(encoding="utf-8")))
MAX_BYTES = 120_000


@pytest.mark.parametrize("name", GALLERY)
def test_every_page_can_be_drawn(name: str) -> None:
    page = document(GALLERY[name].body())
    assert "<!channel>" not in page
    assert "evil.example'" not in page


def test_every_picture_is_shown_and_every_shown_one_exists() -> None:
    there = {path.stem for path in (DOCS / "images").glob("*.png")}
    assert {*GALLERY, *GRAPHS} == SHOWN == there


def test_pictures_are_small() -> None:
    big = {p.name: p.stat().st_size for p in (DOCS / "images").glob("*.png") if p.stat().st_size > MAX_BYTES}
    assert not big
