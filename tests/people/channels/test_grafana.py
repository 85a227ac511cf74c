"""Annotations: a mark when something is done, a region when it is over, on the dashboards of the target."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from remediator.adapters.grafana import GrafanaCarrier
from remediator.adapters.json_out import JsonOut, bearer
from remediator.ports import ChatError, MessageRef
from tests.people.channels.rows import row
from tests.people.channels.test_beside import ACTED_AT, DASHBOARD, OVER, UNDER_WAY, drawn
from tests.people.stories import ACTING, NOW, SUCCEEDED
from tests.support.fake_grafana import CHANGE, CREATE, TOKEN, FakeGrafana
from tests.support.fake_http import Fault


@pytest.fixture
async def fake() -> AsyncIterator[FakeGrafana]:
    async with FakeGrafana() as fake:
        yield fake


@pytest.fixture
async def carrier(fake: FakeGrafana) -> AsyncIterator[GrafanaCarrier]:
    carrier = GrafanaCarrier(JsonOut("Grafana", fake.root, login=bearer(lambda: TOKEN)))
    yield carrier
    await carrier.close()


async def test_from_the_action_to_the_verdict(fake: FakeGrafana, carrier: GrafanaCarrier) -> None:
    (begun,), (over,) = drawn(ACTING, UNDER_WAY), drawn(SUCCEEDED, OVER)
    main = await carrier.deliver(row(begun), None)
    assert main == MessageRef("checkout-overview", "1")
    assert await carrier.deliver(row(over, number=2), main) is None
    (mark,) = fake.annotations.values()
    assert mark["dashboardUID"] == "checkout-overview"
    assert mark["panelId"] == 4
    assert mark["time"] == int(ACTED_AT.timestamp() * 1000)
    assert mark["timeEnd"] == int(NOW.timestamp() * 1000)
    assert mark["text"].startswith("Fixed: roll back Deployment shop/checkout")
    assert "namespace:shop" in mark["tags"]
    assert "state:succeeded" in mark["tags"]


async def test_one_that_somebody_removed_is_a_permanent_failure(fake: FakeGrafana, carrier: GrafanaCarrier) -> None:
    """The outbox then draws a new one."""
    (over,) = drawn(SUCCEEDED, OVER)
    with pytest.raises(ChatError, match="404") as caught:
        await carrier.deliver(row(over), MessageRef("checkout-overview", "17"))
    assert caught.value.retry_after_s is None
    assert await carrier.deliver(replace(row(over), kind="post"), MessageRef("checkout-overview", "17"))


@pytest.mark.parametrize("call", [CREATE, CHANGE])
async def test_grafana_is_busy(fake: FakeGrafana, carrier: GrafanaCarrier, call: str) -> None:
    (begun,) = drawn(ACTING, UNDER_WAY)
    fake.fail(call, Fault(status=502))
    with pytest.raises(ChatError) as caught:
        await carrier.deliver(row(begun), None if call == CREATE else MessageRef("checkout-overview", "1"))
    assert caught.value.retry_after_s


async def test_a_wrong_token(fake: FakeGrafana) -> None:
    carrier = GrafanaCarrier(JsonOut("Grafana", fake.root, login=bearer(lambda: "wrong-token")))
    (begun,) = drawn(ACTING, UNDER_WAY)
    with pytest.raises(ChatError, match="401"):
        await carrier.deliver(row(begun), None)
    await carrier.close()


async def test_a_dashboard_that_is_not_there(fake: FakeGrafana, carrier: GrafanaCarrier) -> None:
    (begun,) = drawn(ACTING, UNDER_WAY, (DASHBOARD.model_copy(update={"uid": "gone"}),))
    with pytest.raises(ChatError, match="Dashboard not found") as caught:
        await carrier.deliver(row(begun), None)
    assert caught.value.retry_after_s is None
