"""Contents that are kept between questions: as many as fit, the longest unused dropped first."""

from __future__ import annotations

import pytest

from remediator.adapters.callers import forge_places
from remediator.adapters.callers.forge_places import Contents
from remediator.adapters.forges.port import Blob


def test_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forge_places, "KEPT", 10)
    contents = Contents()
    for name in "abc":
        contents.keep("acme/deploy", Blob("x.yaml", name), name.encode() * 3)
    contents.keep("acme/deploy", Blob("y.yaml", "a"), b"aaa")
    assert contents.get("acme/deploy", Blob("x.yaml", "a")) == b"aaa"
    contents.keep("acme/deploy", Blob("x.yaml", "d"), b"ddd")
    kept = [name for name in "abcd" if contents.get("acme/deploy", Blob("x.yaml", name)) is not None]
    assert kept == ["a", "c", "d"], "b was unused for longest"
    assert contents.get("acme/other", Blob("x.yaml", "a")) is None, "another project may not be seen by all"
