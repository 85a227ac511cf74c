"""Quantities without floats, and the QoS class that comes of them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from remediator.actions.workloads.quantities import exact, qos_of, written


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500m", Fraction(1, 2)),
        ("2", Fraction(2)),
        (2, Fraction(2)),
        ("0.1", Fraction(1, 10)),
        (".5", Fraction(1, 2)),
        ("1Gi", Fraction(1024**3)),
        ("1.5Gi", Fraction(3 * 1024**3, 2)),
        ("1G", Fraction(10**9)),
        ("1k", Fraction(1000)),
        ("1e3", Fraction(1000)),
        ("100n", Fraction(1, 10**7)),
        ("1E", Fraction(10**18)),
        ("1Ei", Fraction(1024**6)),
    ],
)
def test_exact(text, amount):
    assert exact(text) == amount


@pytest.mark.parametrize("text", ["", "x", "1GB", "-1", "1 Gi", "1e999", "٣", True, None, "1" * 99, "1.2.3"])
def test_no_quantity(text):
    with pytest.raises(ValueError, match="expected a quantity"):
        exact(text)


@pytest.mark.parametrize(
    ("resource", "amount", "text"),
    [
        ("cpu", Fraction(3, 2), "1500m"),
        ("cpu", Fraction(2), "2"),
        ("cpu", Fraction(1, 3), "334m"),
        ("memory", Fraction(1024**3), "1Gi"),
        ("memory", Fraction(1536 * 1024**2), "1536Mi"),
        ("memory", Fraction(1024**2 + 1), "2Mi"),
    ],
)
def test_written(resource, amount, text):
    assert written(resource, amount) == text
    assert exact(written(resource, amount)) >= amount


def container(requests: Any = None, limits: Any = None) -> dict[str, Any]:
    parts = {"requests": requests, "limits": limits}
    return {"name": "a", "resources": {key: value for key, value in parts.items() if value}}


BOTH = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"containers": [container()]}, "BestEffort", id="nothing"),
        pytest.param({"containers": [{"name": "a"}]}, "BestEffort", id="no resources at all"),
        pytest.param({"containers": [container(BOTH, BOTH)]}, "Guaranteed", id="equal"),
        pytest.param({"containers": [container(None, BOTH)]}, "Guaranteed", id="limits stand for requests"),
        pytest.param(
            {"containers": [container({"cpu": "1000m", "memory": "1024Mi"}, BOTH)]}, "Guaranteed", id="other words"
        ),
        pytest.param({"containers": [container(BOTH)]}, "Burstable", id="requests only"),
        pytest.param({"containers": [container(None, {"cpu": "1"})]}, "Burstable", id="one of two"),
        pytest.param({"containers": [container(BOTH, BOTH), container()]}, "Burstable", id="one container has none"),
        pytest.param(
            {"containers": [container(BOTH, BOTH)], "initContainers": [container()]}, "Burstable", id="init counts"
        ),
    ],
)
def test_qos(spec, expected):
    assert qos_of(spec) == expected
