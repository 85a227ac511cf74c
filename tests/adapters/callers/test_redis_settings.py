"""Which Sentinels the configuration takes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remediator.adapters.callers.connect import connect_callers
from remediator.adapters.callers.redis import RedisCaller
from remediator.outside import OutsideSettings
from remediator.outside_redis import RedisSentinels
from tests.checks.fakes import FakeCluster


def test_wiring():
    settings = {"redis": [{"name": "orders", "master": "m", "sentinels": ["a:26379", "b:26379"]}]}
    callers = connect_callers(OutsideSettings.model_validate(settings), FakeCluster([]))
    assert isinstance(callers["redis"], RedisCaller)
    assert "redis" not in connect_callers(OutsideSettings(), FakeCluster([]))


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"sentinels": ["a:1"]}, id="one vantage point"),
        pytest.param({"sentinels": ["a:1", "a:1"]}, id="one twice"),
        pytest.param({"sentinels": ["a", "b"]}, id="no port"),
        pytest.param({"master": "a b"}, id="two words"),
        pytest.param({"username": "u"}, id="no password"),
        pytest.param({"password_file": "secret-in-place"}, id="a secret in place"),
    ],
)
def test_settings_that_are_not_taken(more):
    with pytest.raises(ValidationError):
        RedisSentinels.model_validate({"name": "x", "master": "m", "sentinels": ["a:1", "b:1"], **more})
