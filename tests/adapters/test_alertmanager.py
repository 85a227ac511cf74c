"""The Alertmanager adapter: silences of every age and shape, and the real thing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.adapters.alertmanager import AlertmanagerSilences, matcher_text
from remediator.adapters.json_api import Endpoint
from remediator.alerts.matchers import parse_matchers
from remediator.errors import CannotSee
from remediator.ports import Silence, Silences
from tests.support.controlplane import AlertmanagerServer
from tests.support.fake_http import Fault
from tests.support.fake_prometheus import FakeJsonApi
from tests.support.real_servers import started


@pytest.fixture
async def fake() -> AsyncIterator[FakeJsonApi]:
    async with FakeJsonApi() as server:
        yield server


@pytest.fixture
async def silences(fake: FakeJsonApi) -> AsyncIterator[AlertmanagerSilences]:
    adapter = AlertmanagerSilences(Endpoint(name="Alertmanager", url=fake.root, timeout_s=2.0))
    yield adapter
    await adapter.close()


def test_it_is_the_port() -> None:
    port: type[Silences] = AlertmanagerSilences
    assert port


MATCHER = {"name": "alertname", "value": "X", "isRegex": False, "isEqual": True}


def silence(state: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "id": "5d2b",
        "status": {"state": state},
        "updatedAt": "2025-06-01T09:00:00.000Z",
        "comment": "deploying",
        "createdBy": "ann",
        "startsAt": "2025-06-01T09:00:00.000Z",
        "endsAt": "2025-06-01T12:00:00.000+02:00",
        "matchers": [MATCHER],
        "annotations": {},
        **more,
    }


async def test_only_active_ones_count(fake: FakeJsonApi, silences: AlertmanagerSilences) -> None:
    """Versions before 0.34 answer all states, whatever they are asked."""
    fake.body = [silence("expired"), silence(), silence("pending")]
    expected = Silence("5d2b", "ann", "deploying", datetime(2025, 6, 1, 10, tzinfo=UTC), ('alertname="X"',))
    assert await silences.active() == (expected,)
    (asked,) = fake.asked
    assert (asked.method, asked.path) == ("GET", "/api/v2/silences")
    assert asked.fields == [("active", "true"), ("pending", "false"), ("expired", "false")]


async def test_none_is_an_answer(fake: FakeJsonApi, silences: AlertmanagerSilences) -> None:
    fake.body = []
    assert await silences.active() == ()


@pytest.mark.parametrize(
    ("matcher", "text"),
    [
        ({"name": "a", "value": "b", "isRegex": False}, 'a="b"'),
        ({"name": "a", "value": "b.*", "isRegex": True, "isEqual": True}, 'a=~"b.*"'),
        ({"name": "a", "value": "b", "isRegex": False, "isEqual": False}, 'a!="b"'),
        ({"name": "a", "value": "b|c", "isRegex": True, "isEqual": False}, 'a!~"b|c"'),
        ({"name": "a", "value": 'x"\\\n', "isRegex": False}, 'a="x\\"\\\\\\n"'),
        ({"name": "my.label", "value": "x", "isRegex": False}, '"my.label"="x"'),
        ({"name": "a", "value": "", "isRegex": False}, 'a=""'),
    ],
)
def test_matchers_are_written_so_that_ours_reads_them_back(matcher: dict[str, Any], text: str) -> None:
    assert matcher_text(matcher) == text
    (read,) = parse_matchers(text)
    assert (read.name, read.value) == (matcher["name"], matcher["value"])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="a mapping"),
        pytest.param("null", id="null"),
        pytest.param([None], id="no silence"),
        pytest.param([silence(matchers=[])], id="without matchers it would silence everything"),
        pytest.param([silence(matchers=None)], id="matchers of null"),
        pytest.param([silence(matchers=[{"name": "a"}])], id="half a matcher"),
        pytest.param([silence(matchers=[MATCHER | {"value": 1}])], id="a value that is no text"),
        pytest.param([silence(endsAt="soon")], id="no time"),
        pytest.param([silence(), silence(status=None)], id="one of two"),
        pytest.param("<html>Sign in</html>", id="a login page"),
    ],
)
async def test_one_silence_that_cannot_be_read_makes_all_unknown(
    fake: FakeJsonApi, silences: AlertmanagerSilences, body: Any
) -> None:
    """It might be the one that says "hands off"."""
    fake.body = body
    with pytest.raises(CannotSee):
        await silences.active()


async def test_an_expired_one_may_look_as_it_likes(fake: FakeJsonApi, silences: AlertmanagerSilences) -> None:
    fake.body = [silence("expired", matchers=[])]
    assert await silences.active() == ()


async def test_errors_are_texts_in_json(fake: FakeJsonApi, silences: AlertmanagerSilences) -> None:
    fake.status, fake.body = 400, '"bad matcher format"'
    with pytest.raises(CannotSee, match="400: bad matcher format"):
        await silences.active()


async def test_a_broken_moment_is_got_over(fake: FakeJsonApi, silences: AlertmanagerSilences) -> None:
    fake.body = []
    fake.fail("/api/v2/silences", Fault(status=500), times=2)
    assert await silences.active() == ()


@pytest.mark.controlplane
async def test_a_real_alertmanager(tmp_path: Path) -> None:
    """Made, pending, expired: what the real API says of each."""
    config = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
    now = datetime.now(UTC)

    def made(begin: timedelta, *matchers: dict[str, Any]) -> dict[str, Any]:
        times = {"startsAt": (now + begin).isoformat(), "endsAt": (now + timedelta(hours=2)).isoformat()}
        return {**times, "createdBy": "ann", "comment": "hands off", "matchers": list(matchers)}

    with started(AlertmanagerServer(tmp_path, config)) as server:
        adapter = AlertmanagerSilences(Endpoint(name="Alertmanager", url=server.url))
        assert await adapter.active() == ()
        odd = {"name": "namespace", "value": 'sh"op|\\d', "isRegex": True, "isEqual": False}
        kept = server.request("POST", "/api/v2/silences", made(timedelta(0), MATCHER, odd))["silenceID"]
        server.request("POST", "/api/v2/silences", made(timedelta(hours=1), MATCHER))
        gone = server.request("POST", "/api/v2/silences", made(timedelta(0), MATCHER))["silenceID"]
        server.request("DELETE", f"/api/v2/silence/{gone}")
        (found,) = await adapter.active()
        assert (found.id, found.created_by, found.comment) == (kept, "ann", "hands off")
        assert abs(found.ends_at - (now + timedelta(hours=2))) < timedelta(seconds=1)
        assert set(found.matchers) == {'alertname="X"', 'namespace!~"sh\\"op|\\\\d"'}
        server.stop()
        with pytest.raises(CannotSee, match="no connection"):
            await adapter.active()
        await adapter.close()
