"""Times and counts as explanations write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from remediator.guardrails.words import about, clock, many

NOW = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0, "0s", id="nothing"),
        pytest.param(-5, "0s", id="never negative"),
        pytest.param(59.9, "59s", id="cut off"),
        pytest.param(60, "1m", id="a minute"),
        pytest.param(119, "1m", id="seconds are dropped"),
        pytest.param(7500, "2h5m", id="two units"),
        pytest.param(7200, "2h", id="no zero unit"),
        pytest.param(90000, "1d1h", id="days"),
        pytest.param(86460, "1d", id="not days and minutes"),
    ],
)
def test_about(seconds, text):
    assert about(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("moment", "zone", "text"),
    [
        pytest.param(NOW + timedelta(minutes=32), "Europe/Berlin", "14:32 Europe/Berlin", id="local"),
        pytest.param(
            NOW + timedelta(hours=11), "Europe/Berlin", "2025-06-02 01:00 Europe/Berlin", id="another day there"
        ),
        pytest.param(NOW, "UTC", "12:00 UTC", id="UTC"),
        pytest.param(NOW, "Mars/Olympus", "12:00 UTC", id="an unknown zone is no error"),
        pytest.param(NOW, "../../etc/passwd", "12:00 UTC", id="nor is a path"),
    ],
)
def test_clock(moment, zone, text):
    assert clock(moment, NOW, zone) == text


def test_many():
    assert (many(1, "copy", "copies"), many(3, "copy", "copies"), many(2, "target")) == (
        "1 copy",
        "3 copies",
        "2 targets",
    )
