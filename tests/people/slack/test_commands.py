"""`/remediator`: answers for the eyes of whoever asked; pausing needs the role operator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.adapters.simulated import VirtualClock
from remediator.people.buttons import Button
from remediator.playbooks.catalog import Catalog
from remediator.slack_app.members import Refusal
from remediator.slack_app.words import COMMANDS, in_slack, read_command, read_pause, read_run
from tests.people.slack.bed import Bed, bed, button
from tests.support.fake_http import Fault
from tests.support.fake_slack import FakeSlack
from tests.support.world import load, restart_playbook

ANN, BOB, EVE = "U0ANN", "U0BOB", "U0EVE"
PEOPLE = (
    {"name": "ann", "slack": ANN, "roles": ["operator"]},
    {"name": "bob", "slack": BOB, "roles": ["approver"]},
    {"name": "eve", "slack": EVE, "roles": ["viewer"]},
)


@pytest.fixture
async def one(slack: FakeSlack, clock: VirtualClock) -> AsyncIterator[Bed]:
    async with bed(slack, clock, people=PEOPLE) as one:
        yield one


async def asked(one: Bed, slack: FakeSlack, user: str, text: str) -> str:
    """What the person sees."""
    before = len(slack.whispers)
    reply = await slack.command(user, text)
    assert (reply.status, reply.body) == (200, None)
    await one.run_for(1)
    (whisper,) = slack.whispers[before:]
    assert whisper.user == user
    return f"{whisper.text} {whisper.blocks}"


@pytest.mark.parametrize("text", ["", "status", "  STATUS "])
async def test_status(one: Bed, slack: FakeSlack, text: str) -> None:
    await one.proposed()
    said = await asked(one, slack, EVE, text)
    assert "1 wait for a person, 0 run, 0 held, 0 paused" in said
    assert "r-1" in said
    assert "Deployment/shop/api" in said


async def test_pending(one: Bed, slack: FakeSlack) -> None:
    assert "Nothing waits" in await asked(one, slack, EVE, "pending")
    await one.proposed()
    assert "r-1" in await asked(one, slack, EVE, "pending")


@pytest.mark.parametrize("user", [ANN, BOB])
async def test_pause_and_resume(one: Bed, slack: FakeSlack, user: str) -> None:
    said = await asked(one, slack, user, "pause namespace shop for 2h because of the release")
    (pause,) = await one.journal.pauses(one.clock.now())
    assert (pause.scope, pause.why) == ("namespace:c1/shop", "the release")
    assert pause.until is not None
    assert f"until {pause.until:%H:%M} UTC" in said
    assert pause.id in said
    assert "paused" in await asked(one, slack, EVE, "status")
    await asked(one, slack, user, f"resume {pause.id}")
    assert await one.journal.pauses(one.clock.now()) == ()


async def test_take_and_give_back(one: Bed, slack: FakeSlack) -> None:
    """Whoever took an episode with a button has to get rid of it on the same phone."""
    await one.proposed()
    assert "Taken by ann" in await asked(one, slack, ANN, "take r-1")
    (pause,) = await one.journal.pauses(one.clock.now())
    assert pause.scope.startswith("episode:")
    assert "Given back" in await asked(one, slack, ANN, f"give-back {pause.scope.removeprefix('episode:')}")
    assert not await one.journal.pauses(one.clock.now())
    assert "take what" in await asked(one, slack, ANN, "take")


async def test_run(one: Bed, slack: FakeSlack) -> None:
    world = one.world
    world.catalog = Catalog([*world.catalog, load(restart_playbook(name="by-hand", manual=True, mode="approve"))])
    said = await asked(one, slack, ANN, "run by-hand Deployment/shop/api because of the leak")
    (r,) = await one.journal.recent(10)
    assert f"Accepted as {r.id}: by-hand on Deployment shop/api." in said
    assert (r.requester, r.cause) == ("ann", "ann asked for it: the leak")
    assert "needs the role operator" in await asked(one, slack, EVE, "run by-hand Deployment/shop/api")
    assert "is not for people to start" in await asked(one, slack, ANN, "run restart-api Deployment/shop/api")


def test_the_words_of_run() -> None:
    words = read_run("scale Deployment/shop/api copies=5 note=a=b because it is slow because of Monday")
    assert (words.playbook, words.target) == ("scale", "Deployment/shop/api")
    assert words.params == {"copies": "5", "note": "a=b"}
    assert words.why == "it is slow because of Monday"
    for wrong in ("", "scale Deployment/shop/api Deployment/shop/web"):
        with pytest.raises(Refusal, match=r"run what\?"):
            read_run(wrong)


async def test_resume_by_scope(one: Bed, slack: FakeSlack) -> None:
    await asked(one, slack, ANN, "pause everything")
    assert len(await one.journal.pauses(one.clock.now())) == 1
    await asked(one, slack, ANN, "resume everything")
    assert await one.journal.pauses(one.clock.now()) == ()


@pytest.mark.parametrize(
    ("user", "text", "says"),
    [
        (EVE, "pause everything", "needs the role operator"),
        (EVE, "resume everything", "needs the role operator"),
        (ANN, "pause", "pause what?"),
        (ANN, "pause everything for ever", "for how long?"),
        (ANN, "pause the moon", "names nothing that can be paused"),
        (ANN, "resume", "resume what?"),
        (ANN, "resume p-99", "no live pause is called p-99"),
        (ANN, "explain", "explain what?"),
        (ANN, "explain r-99", "no remediation is called"),
        (ANN, "dance", "there is no command"),
        (ANN, "run", "run what?"),
        ("U0GHOST", "status", "knows no account"),
    ],
)
async def test_refused_with_the_reason(one: Bed, slack: FakeSlack, user: str, text: str, says: str) -> None:
    said = await asked(one, slack, user, text)
    assert "Not done" in said
    assert says in said
    assert await one.journal.pauses(one.clock.now()) == ()


async def test_a_guest_hears_nothing(one: Bed, slack: FakeSlack) -> None:
    await one.proposed()
    slack.users[EVE].guest = True
    said = await asked(one, slack, EVE, "status")
    assert "guest" in said
    assert "r-1" not in said


async def test_explain(one: Bed, slack: FakeSlack) -> None:
    await one.proposed()
    said = await asked(one, slack, EVE, "explain r-1")
    assert "restart-api" in said
    assert "Guards" in said


async def test_handover(one: Bed, slack: FakeSlack) -> None:
    await one.proposed()
    said = await asked(one, slack, EVE, "handover 8h")
    assert "Hand-over" in said
    assert "r-1" in said


async def test_help_names_every_command(one: Bed, slack: FakeSlack) -> None:
    said = await asked(one, slack, EVE, "help")
    assert all(f"/remediator {name}" in said for name in COMMANDS)


async def test_home_shows_what_waits_with_its_details(one: Bed, slack: FakeSlack) -> None:
    await one.proposed()
    assert (await slack.open_home(ANN)).ok
    await one.run_for(1)
    assert "shop/api" in str(slack.homes[ANN])
    await slack.click_home(ANN, Button.DETAILS)
    await one.run_for(1)
    assert "Guards" in str(slack.the_view(ANN).content)


@pytest.mark.parametrize(("user", "whose"), [(BOB, "Waits for you"), (EVE, "Waits for others")])
async def test_home_says_whom_it_waits_for(one: Bed, slack: FakeSlack, user: str, whose: str) -> None:
    await one.proposed()
    assert (await slack.open_home(user)).ok
    await one.run_for(1)
    assert whose in str(slack.homes[user])


async def test_home_is_drawn_anew_after_a_decision_in_it(one: Bed, slack: FakeSlack) -> None:
    await one.proposed()
    await slack.open_home(BOB)
    await one.run_for(1)
    before = slack.homes[BOB]
    await one.journal.pause("everything", "ann", "", None, one.clock.now())
    slack.fail("views.open", Fault(error="internal_error"))
    await slack.click_home(BOB, Button.REJECT, element=button(Button.REJECT, await one.newest()))
    await one.run_for(2)
    assert slack.homes[BOB] != before


async def test_an_event_that_is_sent_again_is_stored_once(one: Bed, slack: FakeSlack) -> None:
    for _ in range(2):
        assert (await slack.open_home(ANN, event_id="Ev1")).ok
    assert len(await one.journal.incoming(one.clock.now(), 9)) == 1


@pytest.mark.parametrize(
    ("rest", "scope", "minutes", "why"),
    [
        ("everything", "everything", None, ""),
        ("namespace shop in eu for 90m", "namespace shop in eu", 90, ""),
        ("playbook x because for once it is right", "playbook x", None, "for once it is right"),
        ("target Deployment/a/b for 1h because x for y", "target Deployment/a/b", 60, "x for y"),
    ],
)
def test_the_words_of_a_pause(rest: str, scope: str, minutes: int | None, why: str) -> None:
    words = read_pause(rest)
    length = words.length.total_seconds() / 60 if words.length else None
    assert (words.scope, length, words.why) == (scope, minutes, why)


async def test_advice_is_in_the_words_of_slack(one: Bed, slack: FakeSlack) -> None:
    assert "See them all: /remediator status" in await asked(one, slack, ANN, "explain r-9")
    assert "See what is paused: /remediator status" in await asked(one, slack, ANN, "resume p-9")
    assert in_slack("Lift it: remediator resume p-1; see /remediator resume") == (
        "Lift it: /remediator resume p-1; see /remediator resume"
    )


def test_a_name_that_is_no_command() -> None:
    with pytest.raises(Refusal, match="there is no command"):
        read_command("x" * 999)


async def test_home_shows_what_was_handed_to_people_for_a_shift(one: Bed, slack: FakeSlack) -> None:
    await one.proposed()
    await one.run_for(31 * 60)
    assert (await one.newest()).state == "escalated"
    await slack.open_home(ANN)
    await one.run_for(1)
    assert "Needs a look" in str(slack.homes[ANN])
    one.world.cluster.advance(12 * 3600)
    await slack.open_home(ANN)
    await one.run_for(1)
    assert "Needs a look" not in str(slack.homes[ANN])
