"""Who is on call, as PagerDuty and Opsgenie tell it: the documented contract, and everything that is no answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remediator.adapters.oncall import OpsgenieOnCall, PagerDutyOnCall, connect_oncall
from remediator.errors import CannotSee
from remediator.people.approval_settings import Opsgenie
from remediator.people.approvers import OnCall, OnCallUser
from remediator.people.pagerduty_settings import PagerDutyApi
from tests.support.fake_http import Fault
from tests.support.fake_oncall import GENIE_KEY, ONCALLS, TOKEN, FakeOpsgenie, FakePagerDutySchedules, OnDuty

ANN = OnCallUser(id="PANN001", email="ann@shop.example")


@pytest.fixture
async def schedules() -> AsyncIterator[FakePagerDutySchedules]:
    async with FakePagerDutySchedules() as fake:
        fake.schedules["PSCHED1"] = [OnDuty("PANN001", "Ann@shop.example"), OnDuty("PANN001", "Ann@shop.example", 2)]
        fake.schedules["POTHER1"] = [OnDuty("PBOB001", "bob@shop.example")]
        yield fake


@pytest.fixture
async def pagerduty(schedules: FakePagerDutySchedules) -> AsyncIterator[PagerDutyOnCall]:
    adapter = PagerDutyOnCall(lambda: TOKEN, url=schedules.root, timeout_s=1.0)
    yield adapter
    await adapter.close()


@pytest.fixture
async def genie() -> AsyncIterator[FakeOpsgenie]:
    async with FakeOpsgenie() as fake:
        fake.schedules["shop_schedule"] = ["Ann@shop.example", "bob@shop.example"]
        fake.ids["a1b2c3d4-1111-2222-3333-a1b2c3d4e5f6"] = "shop_schedule"
        yield fake


@pytest.fixture
async def opsgenie(genie: FakeOpsgenie) -> AsyncIterator[OpsgenieOnCall]:
    adapter = OpsgenieOnCall(lambda: GENIE_KEY, url=genie.root, timeout_s=1.0)
    yield adapter
    await adapter.close()


def test_they_are_the_port() -> None:
    ports: tuple[type[OnCall], ...] = (PagerDutyOnCall, OpsgenieOnCall)
    assert ports


class TestPagerDuty:
    async def test_each_person_once_and_of_this_schedule_only(
        self, schedules: FakePagerDutySchedules, pagerduty: PagerDutyOnCall
    ) -> None:
        assert tuple(await pagerduty.now("PSCHED1")) == (ANN,)
        assert schedules.asked[0]["schedule_ids[]"] == ["PSCHED1"]
        assert "since" not in schedules.asked[0], "its own present moment: our clock decides nothing"
        assert schedules.violations == []

    async def test_nobody_on_call_is_an_answer(self, pagerduty: PagerDutyOnCall) -> None:
        assert tuple(await pagerduty.now("PNOBODY")) == ()

    @pytest.mark.parametrize("page", [100, 40])
    async def test_every_page_is_read(
        self, schedules: FakePagerDutySchedules, pagerduty: PagerDutyOnCall, page: int
    ) -> None:
        schedules.page = page
        schedules.schedules["PSCHED1"] = [OnDuty(f"PU{i:05}", f"u{i}@shop.example") for i in range(130)]
        assert len(await pagerduty.now("PSCHED1")) == 130

    async def test_more_than_anybody_could_have_is_no_answer(
        self, schedules: FakePagerDutySchedules, pagerduty: PagerDutyOnCall
    ) -> None:
        schedules.page = 1
        schedules.schedules["PSCHED1"] = [OnDuty(f"PU{i:05}") for i in range(9)]
        with pytest.raises(CannotSee, match="more than"):
            await pagerduty.now("PSCHED1")

    async def test_a_rate_limit_that_passes_is_waited_out(
        self, schedules: FakePagerDutySchedules, pagerduty: PagerDutyOnCall
    ) -> None:
        schedules.fail(ONCALLS, Fault(status=429))
        assert tuple(await pagerduty.now("PSCHED1")) == (ANN,)

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            pytest.param(Fault(status=429), "429", id="rate limited for good"),
            pytest.param(Fault(status=500, body="oops"), "500", id="broken"),
            pytest.param(Fault(status=200, body="<html>login</html>"), "no JSON", id="a login page"),
            pytest.param(Fault(status=200, body="{}"), "not what its API promises", id="another answer"),
            pytest.param(Fault(status=200, body='{"oncalls": [{"user": 3}]}'), "not what its API", id="another shape"),
            pytest.param(Fault(drop=True), "no connection", id="no answer"),
            pytest.param(Fault(hang="before"), "did not answer", id="an answer that never comes"),
        ],
    )
    async def test_what_is_no_answer(
        self, schedules: FakePagerDutySchedules, pagerduty: PagerDutyOnCall, fault: Fault, said: str
    ) -> None:
        schedules.fail(ONCALLS, fault, times=10)
        with pytest.raises(CannotSee, match=said):
            await pagerduty.now("PSCHED1")

    async def test_a_wrong_token_is_said_and_not_shown(self, schedules: FakePagerDutySchedules) -> None:
        adapter = PagerDutyOnCall(lambda: "a-wrong-token", url=schedules.root)
        with pytest.raises(CannotSee, match="401: check the credentials") as failed:
            await adapter.now("PSCHED1")
        await adapter.close()
        assert "a-wrong-token" not in str(failed.value)

    async def test_a_rotated_token_counts_at_once_and_a_lost_one_is_no_answer(
        self, schedules: FakePagerDutySchedules, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text(TOKEN)
        api = PagerDutyApi.model_validate({"token": str(file), "from_email": "r@shop.example", "url": schedules.root})
        found, closing = connect_oncall(api, None)
        assert tuple(await found["pagerduty"].now("PSCHED1")) == (ANN,)
        schedules.token = "another"
        file.write_text("another")
        assert tuple(await found["pagerduty"].now("PSCHED1")) == (ANN,)
        file.unlink()
        with pytest.raises(CannotSee, match="credentials cannot be read"):
            await found["pagerduty"].now("PSCHED1")
        for close in closing:
            await close()


class TestOpsgenie:
    @pytest.mark.parametrize("schedule", ["shop_schedule", "a1b2c3d4-1111-2222-3333-a1b2c3d4e5f6"])
    async def test_by_name_and_by_id(self, opsgenie: OpsgenieOnCall, schedule: str) -> None:
        assert list(await opsgenie.now(schedule)) == [
            OnCallUser(id="ann@shop.example", email="ann@shop.example"),
            OnCallUser(id="bob@shop.example", email="bob@shop.example"),
        ]

    async def test_a_schedule_that_is_switched_off_has_nobody_on_call(
        self, genie: FakeOpsgenie, opsgenie: OpsgenieOnCall
    ) -> None:
        genie.disabled.add("shop_schedule")
        assert list(await opsgenie.now("shop_schedule")) == []

    async def test_an_unknown_one_is_no_empty_one(self, opsgenie: OpsgenieOnCall) -> None:
        with pytest.raises(CannotSee, match=r"404: .*not found"):
            await opsgenie.now("shop schedule")

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(status=429),
            Fault(status=503),
            Fault(status=200, body='{"data": {}}'),
            Fault(status=200, body='{"data": {"onCallRecipients": [{"name": "ann"}]}}'),
        ],
        ids=["rate limited", "down", "no recipients", "recipients of another shape"],
    )
    async def test_what_is_no_answer(self, genie: FakeOpsgenie, opsgenie: OpsgenieOnCall, fault: Fault) -> None:
        genie.fail(ONCALLS, fault, times=10)
        with pytest.raises(CannotSee):
            await opsgenie.now("shop_schedule")

    async def test_a_wrong_key_is_said_and_not_shown(self, genie: FakeOpsgenie) -> None:
        settings = Opsgenie.model_validate({"api_key": {"value": "a-wrong-key"}, "url": genie.root})
        found, closing = connect_oncall(None, settings)
        with pytest.raises(CannotSee, match="401: check the credentials") as failed:
            await found["opsgenie"].now("shop_schedule")
        assert "a-wrong-key" not in str(failed.value)
        for close in closing:
            await close()
