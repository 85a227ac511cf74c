"""Whether somebody may, at the moment of the word: every kind of reference, what is remembered, what cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.errors import CannotSee
from remediator.people.account import Account
from remediator.people.approvers import Approvers, Granted, OnCallUser, Refused
from remediator.people.lookups import LookupFailed
from remediator.people.references import parse_reference
from tests.people.approvals.given import House, person
from tests.support.accounts import pager, slack, token

ONCALL = "oncall:pagerduty/PSCHED1"
GENIE = "oncall:opsgenie/shop"
GROUP = "slack:@shop-oncall"

ANN = slack("U0ANN")
BOB = slack("U0BOB")


def house(*people: Any, **changes: Any) -> House:
    """Ann is on call everywhere and in the group; Bob is nowhere. Nobody is listed unless `people` says so."""
    made = House(people=people, **changes)
    made.pagerduty.on_call["PSCHED1"] = [OnCallUser(id="PANN001", email="ann@shop.example")]
    made.opsgenie.on_call["shop"] = [OnCallUser(id="ann@shop.example", email="ann@shop.example")]
    made.slack.user_groups["S0ONCALL"] = ("shop-oncall", {"U0ANN"})
    made.slack.has("U0ANN", "Ann@shop.example")
    made.slack.has("U0BOB", "bob@shop.example")
    return made


async def judged(at: House, account: Account, *approvers: str) -> Granted | Refused:
    return await at.approvers().judge(account, approvers)


LISTED = person("ann", slack="U0ANN", pagerduty="PANN001", opsgenie="ann@shop.example", roles=["sre"], tokens="laptop")

# --- what lets somebody in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "account", "reference", "by"),
    [
        pytest.param([LISTED], ANN, "person:ann", "named as person:ann", id="person"),
        pytest.param([LISTED], ANN, "role:sre", "role sre", id="role"),
        pytest.param([LISTED], ANN, "slack:U0ANN", "named as slack:U0ANN", id="slack user"),
        pytest.param([], ANN, "slack:U0ANN", "named as slack:U0ANN", id="slack user whom nobody listed"),
        pytest.param([LISTED], token("laptop"), "slack:U0ANN", "named as slack:U0ANN", id="from another account"),
        pytest.param([], token("robot"), "api:robot", "named as api:robot", id="token"),
        pytest.param([LISTED], ANN, "api:laptop", "named as api:laptop", id="token, from another account"),
        pytest.param([], ANN, GROUP, "member of @shop-oncall", id="group, by handle"),
        pytest.param([], ANN, "slack:S0ONCALL", "member of S0ONCALL", id="group, by id"),
        pytest.param([LISTED], token("ann"), GROUP, "member of @shop-oncall", id="group, from another account"),
        pytest.param(
            [person("ann", email="ann@shop.example")],
            token("ann"),
            GROUP,
            "member of @shop-oncall",
            id="group, from another account, by the address",
        ),
        pytest.param([LISTED], ANN, ONCALL, "on call in PSCHED1 (PagerDuty)", id="on call, by PagerDuty id"),
        pytest.param([LISTED], ANN, GENIE, "on call in shop (Opsgenie)", id="on call, by Opsgenie name"),
        pytest.param([LISTED], token("ann"), ONCALL, "on call in PSCHED1 (PagerDuty)", id="on call, with a token"),
        pytest.param([], ANN, ONCALL, "on call in PSCHED1 (PagerDuty)", id="on call, by the address in Slack"),
        pytest.param([], ANN, GENIE, "on call in shop (Opsgenie)", id="on call, by the address, Opsgenie"),
        pytest.param(
            [person("ann", slack="U0ANN")], ANN, ONCALL, "on call in PSCHED1 (PagerDuty)", id="listed for Slack"
        ),
        pytest.param(
            [person("ann", email="ann@shop.example")],
            token("ann"),
            ONCALL,
            "on call in PSCHED1 (PagerDuty)",
            id="address",
        ),
        pytest.param([], pager("PANN001"), ONCALL, "on call in PSCHED1 (PagerDuty)", id="on call, from PagerDuty"),
    ],
)
async def test_who_may(people: list[Any], account: Account, reference: str, by: str) -> None:
    granted = await judged(house(*people), account, "role:nobody-has", reference)
    assert isinstance(granted, Granted), granted
    assert granted.by == by
    refused = await judged(house(*people), BOB, reference)
    assert isinstance(refused, Refused)
    assert str(refused) == f"this needs {reference}"


@pytest.mark.parametrize(
    ("people", "account", "approvers", "why"),
    [
        pytest.param([], token("root", "admin"), [ONCALL], "this needs", id="admin is no way around"),
        pytest.param([], token("ann"), [ONCALL], "this needs", id="a token that is called like somebody on call"),
        pytest.param([person("ann", roles=["admin"])], token("ann"), ["role:sre"], "this needs", id="another role"),
        pytest.param([person("bob")], token("ann"), ["person:ann"], "this needs", id="a person that is not listed"),
        pytest.param([LISTED], token("laptop", "operator"), ["person:ann"], "no role that approves", id="weak token"),
        pytest.param([], token("robot", "operator"), [], "no role that approves", id="no approvers, weak token"),
        pytest.param([], ANN, [], "this needs the role approver", id="no approvers, nobody known"),
        pytest.param([LISTED], ANN, [], "this needs the role approver", id="no approvers, another role"),
        pytest.param(
            [person("ann", slack="U0ANN", roles=["operator"])], ANN, [], "this needs the role approver", id="operator"
        ),
        pytest.param(
            [person("ann", slack="U0OTHER", pagerduty="PANN001")],
            ANN,
            [ONCALL],
            "this needs",
            id="another Slack account",
        ),
    ],
)
async def test_who_may_not(people: list[Any], account: Account, approvers: list[str], why: str) -> None:
    refused = await judged(house(*people), account, *approvers)
    assert isinstance(refused, Refused)
    assert why in str(refused)


@pytest.mark.parametrize("role", ["approver", "admin"])
async def test_without_approvers_roles_count(role: str) -> None:
    at = house(person("ann", slack="U0ANN", roles=[role]))
    assert isinstance(await judged(at, ANN), Granted)
    assert isinstance(await judged(at, token("robot", role)), Granted)
    assert at.pagerduty.asked == at.slack.asked == []


@pytest.mark.parametrize(
    "changes",
    [{"deleted": True}, {"bot": True}, {"guest": True}, {"team": "T0OTHER"}],
    ids=lambda changes: next(iter(changes)),
)
async def test_an_address_counts_only_for_full_members_of_this_workspace(changes: dict[str, Any]) -> None:
    at = house()
    at.slack.has("U0ANN", "ann@shop.example", **changes)
    assert isinstance(await judged(at, ANN, ONCALL), Refused)
    listed = house(person("ann", email="ann@shop.example", roles=["sre"]))
    listed.slack.has("U0ANN", "ann@shop.example", **changes)
    assert isinstance(await judged(listed, ANN, "role:sre"), Refused)


async def test_whoever_has_the_address_of_a_listed_person_is_that_person() -> None:
    """Else the same person's word from elsewhere would count a second time."""
    at = house(person("ann", email="ann@shop.example"))
    for account in (ANN, token("ann")):
        granted = await judged(at, account, ONCALL)
        assert isinstance(granted, Granted)
        assert granted.person.name == "ann"


async def test_whoever_has_the_address_of_the_on_call_account_of_a_person_is_that_person() -> None:
    at = house(person("ann", pagerduty="PANN001"))
    granted = await judged(at, ANN, ONCALL)
    assert isinstance(granted, Granted)
    assert granted.person.name == "ann"


async def test_who_has_a_slack_account_on_record_has_no_other_by_the_address() -> None:
    at = house(person("ann", slack="U0OLD", email="ann@shop.example", roles=["sre"]), person("cyd", email="c@x.org"))
    refused = await judged(at, ANN, "role:sre")
    assert isinstance(refused, Refused)
    assert refused.person.name == ANN.key


async def test_an_account_that_is_listed_for_another_workspace_is_no_second_person() -> None:
    """In a grid a member has one id everywhere: it would be Ann's word again, under another name."""
    at = house(person("ann", slack="T0WEST/U0ANN"))
    refused = await judged(at, ANN, GROUP)
    assert isinstance(refused, Refused)
    assert "T0WEST/U0ANN" in str(refused)
    assert "ann" in str(refused)
    assert isinstance(await judged(at, token("ann"), GROUP), Granted)


# --- what cannot be read ----------------------------------------------------------------------------------------------


def _pagerduty_down(at: House) -> None:
    at.pagerduty.down = "PagerDuty answered 500"


def _slack_down(at: House) -> None:
    at.slack.down = "Slack: missing_scope"


@pytest.mark.parametrize(
    ("breaks", "reference", "said"),
    [
        pytest.param(_pagerduty_down, ONCALL, "PagerDuty schedule PSCHED1: PagerDuty answered 500", id="schedule"),
        pytest.param(_slack_down, GROUP, "Slack user groups: Slack: missing_scope", id="handles"),
        pytest.param(_slack_down, "slack:S0ONCALL", "members of Slack group S0ONCALL: Slack: missing", id="group"),
        pytest.param(
            _slack_down, ONCALL, "Slack account with the address ann@shop.example: Slack: missing", id="address"
        ),
    ],
)
async def test_what_cannot_be_read_lets_nobody_in_and_is_named(
    breaks: Callable[[House], None], reference: str, said: str
) -> None:
    at = house()
    breaks(at)
    refused = await judged(at, ANN, reference)
    assert isinstance(refused, Refused)
    assert said in str(refused)
    assert "lets nobody in" in str(refused)


@pytest.mark.parametrize("others", [["role:sre"], ["slack:U0ANN"], ["person:ann"]], ids=lambda o: o[0])
async def test_what_cannot_be_read_hinders_nobody_who_is_proven_otherwise(others: list[str]) -> None:
    at = house(LISTED)
    _pagerduty_down(at)
    _slack_down(at)
    assert isinstance(await judged(at, ANN, ONCALL, GROUP, *others), Granted)
    at.slack.down = ""
    assert isinstance(await judged(at, ANN, ONCALL, GROUP), Granted)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (ONCALL, "PagerDuty is not configured"),
        (GENIE, "Opsgenie is not configured"),
        (GROUP, "Slack is not configured"),
        ("slack:@nobody-has", "Slack has no user group @nobody-has; a person is named as slack:U123 or person:NAME"),
        ("bob", "'bob' names nobody who could approve"),
    ],
)
async def test_what_is_not_there_lets_nobody_in(reference: str, said: str) -> None:
    at = house()
    approvers = at.approvers() if "nobody-has" in reference else Approvers(at.approvers().directory, at.clock)
    refused = await approvers.judge(ANN, [reference])
    assert isinstance(refused, Refused)
    assert said in str(refused)


async def test_an_account_that_could_be_somebodys_counts_for_nothing_while_slack_cannot_be_asked() -> None:
    """It may be Ann's, who has said yes from her terminal already."""
    at = house(person("ann", email="ann@shop.example"))
    _slack_down(at)
    refused = await judged(at, ANN, "slack:U0ANN")
    assert isinstance(refused, Refused)
    assert "whose account" in str(refused)


class Hangs:
    async def now(self, schedule: str) -> list[OnCallUser]:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_lookup_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediator.people.lookups.LOOKUP_TIMEOUT_S", 0.01)
    at = house(LISTED)
    approvers = Approvers(at.approvers().directory, at.clock, oncall={"pagerduty": Hangs()}, chat=at.slack)
    refused = await approvers.judge(ANN, [ONCALL])
    assert isinstance(refused, Refused)
    assert "no answer within" in str(refused)
    assert isinstance(await approvers.judge(ANN, [ONCALL, GROUP]), Granted)


# --- what is remembered -----------------------------------------------------------------------------------------------


async def test_whoever_waits_for_a_lookup_hears_of_its_failure_and_does_not_ask_in_turn() -> None:
    """Ten clicks on a PagerDuty that hangs would else take ten times as long."""
    at = house()
    asked = 0

    async def hangs(schedule: str) -> list[OnCallUser]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        raise CannotSee("no answer")

    at.pagerduty.now = hangs  # type: ignore[method-assign]
    approvers = at.approvers()
    for turn in (1, 2):
        all_of_them = await asyncio.gather(*(approvers.judge(ANN, [ONCALL]) for _ in range(10)))
        assert all(isinstance(one, Refused) and "no answer" in str(one) for one in all_of_them)
        assert asked == turn


async def test_the_shift_changes() -> None:
    """Whoever just left it is refused once the answer is a minute old, and not a moment later."""
    at = house(LISTED, person("bob", slack="U0BOB", pagerduty="PBOB001"))
    approvers = at.approvers()
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Granted)
    at.pagerduty.on_call["PSCHED1"] = [OnCallUser(id="PBOB001")]
    at.clock.time += timedelta(seconds=59)
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Granted)
    assert isinstance(await approvers.judge(BOB, [ONCALL]), Refused)
    assert at.pagerduty.asked == ["PSCHED1"]
    at.clock.time += timedelta(seconds=1)
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Refused)
    assert isinstance(await approvers.judge(BOB, [ONCALL]), Granted)
    assert at.pagerduty.asked == ["PSCHED1"] * 2


async def test_an_answer_is_as_old_as_the_question() -> None:
    """A slow answer may describe the moment it was asked for."""
    at = house(LISTED)

    class Slow:
        async def now(self, schedule: str) -> Any:
            at.clock.time += timedelta(seconds=50)
            return await at.pagerduty.now(schedule)

    approvers = Approvers(at.approvers().directory, at.clock, oncall={"pagerduty": Slow()})
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Granted)
    at.pagerduty.on_call["PSCHED1"] = []
    at.clock.time += timedelta(seconds=10)
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Refused)


async def test_a_failure_is_not_remembered() -> None:
    at = house(LISTED)
    approvers = at.approvers()
    _pagerduty_down(at)
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Refused)
    at.pagerduty.down = ""
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Granted)


async def test_an_old_answer_is_no_answer_when_it_cannot_be_asked_again() -> None:
    at = house(LISTED)
    approvers = at.approvers()
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Granted)
    _pagerduty_down(at)
    at.clock.time += timedelta(seconds=60)
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Refused)


async def test_a_wall_clock_that_jumps_keeps_no_answer_alive() -> None:
    """Boot time decides: it never goes back."""
    at = house(LISTED)
    approvers = at.approvers()
    await approvers.judge(ANN, [ONCALL])
    at.pagerduty.on_call["PSCHED1"] = []

    class Jumped:
        now = at.clock.now
        boot = staticmethod(lambda: 61.0)

    at.clock.now = lambda: at.clock.time - timedelta(days=1)  # type: ignore[method-assign]
    at.clock.boot = Jumped.boot  # type: ignore[method-assign]
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Refused)


async def test_many_clicks_at_once_ask_once() -> None:
    at = house(LISTED)
    approvers = at.approvers()
    answers = await asyncio.gather(*(approvers.judge(account, [ONCALL, GROUP]) for account in (ANN, BOB) * 10))
    assert sum(isinstance(answer, Granted) for answer in answers) == 10
    assert at.pagerduty.asked == ["PSCHED1"]
    assert sorted(at.slack.asked) == [
        *("usergroups.list", "usergroups.users.list S0ONCALL"),
        *("users.lookupByEmail ann@shop.example",),
    ]


async def test_nothing_is_remembered_where_nothing_shall_be() -> None:
    at = house(LISTED, cache=timedelta(0))
    approvers = at.approvers()
    await approvers.judge(ANN, [ONCALL])
    at.pagerduty.on_call["PSCHED1"] = []
    assert isinstance(await approvers.judge(ANN, [ONCALL]), Refused)


# --- whom to mention --------------------------------------------------------------------------------------------------


async def test_who_is_on_call_as_slack_knows_them() -> None:
    at = house(person("bob", slack="U0BOB", pagerduty="PBOB001"))
    at.pagerduty.on_call["PSCHED1"].append(OnCallUser(id="PBOB001"))
    at.pagerduty.on_call["PSCHED1"].append(OnCallUser(id="PCYD001", email="cyd@elsewhere.example"))
    assert await at.approvers().slack_accounts(ONCALL) == ("U0ANN", "U0BOB")
    at.pagerduty.down = "no"
    with pytest.raises(LookupFailed):
        await at.approvers().slack_accounts(ONCALL)


# --- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "slack:",
        "slack:ann",
        "slack:@",
        "slack:C0CHANNEL",
        "role:",
        "role:SRE team",
        "oncall:pagerduty/",
        "oncall:pagerduty/P1/P2",
        "oncall:other/X",
        "oncall:opsgenie/a/b",
        "oncall:opsgenie/a?b",
        "person:",
        "api:",
        "user:ann",
        "slack:U0ANN ",
        "Slack:U0ANN",
    ],
)
def test_what_names_nobody(text: str) -> None:
    with pytest.raises(ValueError, match="names nobody"):
        parse_reference(text)


ACCOUNTS = st.sampled_from(
    [ANN, BOB, token("ann"), token("laptop"), token("robot"), token("root", "admin"), pager("PBOB001")]
)
REFERENCES = st.lists(
    st.sampled_from([ONCALL, GENIE, GROUP, "slack:S0ONCALL", "slack:U0ANN", "role:sre", "person:ann", "api:robot"]),
    min_size=1,
    max_size=4,
)


@given(ACCOUNTS, REFERENCES, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_a_failing_lookup_never_lets_anybody_in(
    account: Account, references: list[str], pagerduty: bool, opsgenie: bool, slack_: bool, listed: bool
) -> None:
    """Whoever is let in with something down is let in with everything up as well, and by the same right or another of
    those asked for; and only somebody whom a reference really names."""
    people = [LISTED] if listed else []
    up, down = house(*people), house(*people)
    down.pagerduty.down = "down" if pagerduty else ""
    down.opsgenie.down = "down" if opsgenie else ""
    down.slack.down = "down" if slack_ else ""
    with_all = asyncio.run(judged(up, account, *references))
    without = asyncio.run(judged(down, account, *references))
    if isinstance(without, Granted):
        assert isinstance(with_all, Granted)
    if isinstance(with_all, Granted) and isinstance(without, Refused):
        assert without.unread
    theirs = account in (ANN, token("ann"), token("laptop")) if listed else account == ANN
    if isinstance(with_all, Granted) and not theirs:
        assert account == token("robot")
        assert "api:robot" in references
