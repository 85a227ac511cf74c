"""`remediator run`: what is sent, what is printed, and the exit codes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from remediator.objects import ObjectRef
from remediator.remediation.starting import NotForPeople, Wish
from remediator.remediation.state import Confirmed, Remediation, State
from tests.cli.conftest import Run
from tests.cli.test_people import printed
from tests.http.harness import World
from tests.support.building import API, NOW, playbook, remediation


@dataclass
class Starter:
    """Opens what it is asked for; `ends` is how the remediation stands by the time anybody looks."""

    world: World
    ends: State = State.PLANNED
    wishes: list[Wish] = field(default_factory=list)
    refuses: str = ""

    async def by_person(self, wish: Wish) -> Remediation:
        if self.refuses:
            raise NotForPeople(self.refuses)
        self.wishes.append(wish)
        r = remediation(
            id="r-7", episode="", alerts=(), cause="ann asked for it: slow", requester=wish.who, spec=spec(wish)
        )
        if self.ends is not State.PLANNED:
            r = replace(r, state=self.ends, ended_at=NOW, reason="it went so")
        opened = await self.world.journal.open(r, NOW)
        assert opened is not None
        return opened


def spec(wish: Wish) -> Any:
    params = {name: {"type": "string"} for name in wish.start.params}
    return playbook(params=params).model_copy(update={"given": dict(wish.start.params)})


@pytest.fixture
def starter(world: World) -> Starter:
    world.service._starter = found = Starter(world)  # type: ignore[assignment]
    return found


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(seconds: float) -> None:
        raise AssertionError("it has ended: nothing is waited for")

    monkeypatch.setattr("remediator.cli.running.time.sleep", never)


async def test_what_is_asked_for_is_what_is_started(starter: Starter, run: Run) -> None:
    result = await run(
        *("run", "scale-api", "--target", "Deployment/shop/api", "--cluster", "c1", "--reason", "slow", "--key", "k"),
        *("-p", "copies=5", "--param", "note=a=b"),
    )
    assert result.exit_code == 0
    (wish,) = starter.wishes
    assert (wish.playbook, wish.why, wish.key, wish.who) == ("scale-api", "slow", "k", "the-admin")
    assert (wish.start.target, wish.start.cluster) == (ObjectRef("Deployment", "shop", "api"), "c1")
    assert wish.start.params == {"copies": "5", "note": "a=b"}
    assert printed(result) == (f"Accepted as r-7: scale-api on {API}. Look at it: remediator remediations show r-7")


@pytest.mark.parametrize(
    ("ends", "code"), [(State.SUCCEEDED, 0), (State.OBSERVED, 0), (State.ESCALATED, 1), (State.DENIED, 1)]
)
async def test_waiting_ends_with_it(starter: Starter, run: Run, ends: State, code: int) -> None:
    starter.ends = ends
    result = await run("run", "scale-api", "--wait")
    assert result.exit_code == code
    assert f"{ends.value}: it went so" in printed(result)


async def test_for_machines_only_the_end_is_printed(starter: Starter, run: Run) -> None:
    starter.ends = State.SUCCEEDED
    result = await run("run", "scale-api", "--wait", "-o", "json")
    assert json.loads(result.stdout)["state"] == "succeeded"
    accepted = await run("run", "scale-api", "-o", "json")
    assert json.loads(accepted.stdout)["remediation"]["id"] == "r-7"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (("-p", "copies"), "--param 'copies' is no NAME=VALUE"),
        (("-p", "=5"), "--param '=5' is no NAME=VALUE"),
        (("-p", "a=1", "-p", "a=2"), "--param a is given twice"),
    ],
)
async def test_a_slip_in_a_parameter_is_wrong_use(
    starter: Starter, run: Run, params: tuple[str, ...], said: str
) -> None:
    result = await run("run", "scale-api", *params)
    assert (result.exit_code, starter.wishes) == (2, [])
    assert said in result.stderr


async def test_no_is_no(starter: Starter, run: Run) -> None:
    starter.refuses = "scale-api is not for people to start"
    result = await run("run", "scale-api")
    assert result.exit_code == 1
    assert starter.refuses in result.stderr


async def test_the_record_shows_who_asked_and_who_confirmed(world: World, run: Run) -> None:
    done = Confirmed(step=0, question="Is it off?", who=("ann", "bob"), at=NOW)
    given = playbook(params={"x": {"type": "string"}}).model_copy(update={"given": {"x": "1"}})
    r = remediation(id="r-9", episode="", alerts=(), cause="ann asked for it: slow", spec=given, confirmed=(done,))
    await world.journal.open(r, NOW)
    shown = printed(await run("remediations", "show", "r-9"))
    assert "Began ann asked for it: slow x=1" in shown
    assert "Is it off? ann, bob" in shown


async def test_the_list_says_what_starts_a_playbook(run: Run, world: World) -> None:
    from remediator import views
    from remediator.playbooks.model import LoadedPlaybook

    timed = playbook(schedule={"cron": "0 2 * * *", "zone": "UTC"}, manual=True)
    world.service._playbooks = lambda: [views.playbook(LoadedPlaybook(playbook=timed, hash="h"))]
    result = await run("playbooks", COLUMNS="200")
    assert 'alertname="Busy"; at 0 2 * * * UTC; by hand' in printed(result)
