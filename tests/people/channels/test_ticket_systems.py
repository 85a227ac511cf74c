"""Jira, ServiceNow and GitHub: one ticket for each episode, also when the answer to its creation is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.json_out import JsonOut, basic, bearer
from remediator.adapters.tickets.carrier import PATIENT, TicketCarrier, TicketSystem
from remediator.adapters.tickets.github import HEADERS, GitHub
from remediator.adapters.tickets.jira import Jira
from remediator.adapters.tickets.servicenow import ServiceNow
from remediator.people.outbox_rows import OutboxRow
from remediator.people.story import Story
from remediator.people.tickets import tickets
from remediator.ports import ChatError, MessageRef
from tests.people.channels.rows import row
from tests.people.stories import ESCALATED, NOW, SUCCEEDED
from tests.support.fake_http import Fault
from tests.support.fake_tickets import (
    COMMENT,
    CREATE,
    SEARCH,
    TOKEN,
    USER,
    FakeGitHub,
    FakeJira,
    FakeServiceNow,
    FakeTickets,
)

EVIL = replace(
    ESCALATED,
    headline="``` @all <img src=x> {noformat}[x|http://evil.example] #1\r\nBcc: x@evil.example" + "A" * 10_000,
    explanation="```\n[code]<b>x</b>[/code] {code}",
)


def opening(story: Story = ESCALATED) -> OutboxRow:
    return row(tickets(story, "state", "ops")[0])


def saying(story: Story) -> OutboxRow:
    return row(tickets(story, "state", "ops")[-1], number=2)


LATER = replace(SUCCEEDED, now=NOW + timedelta(minutes=9))


@dataclass(slots=True)
class Bench:
    fake: FakeTickets
    carrier: TicketCarrier

    @property
    def created(self) -> dict[str, Any]:
        (ticket,) = self.fake.tickets.values()
        return ticket


def make(kind: str, fake: FakeTickets, *, token: str = TOKEN, timeout_s: float = 30.0, **more: Any) -> TicketSystem:
    login = basic(USER, lambda: token) if kind in ("jira cloud", "servicenow") else bearer(lambda: token)
    headers = HEADERS if kind == "github" else None
    out = JsonOut(kind, fake.root, login=login, headers=headers, patient=PATIENT, timeout_s=timeout_s)
    owners = {"team-checkout": "0001-account"}
    match kind:
        case "github":
            return GitHub(out, repo="acme/ops", labels=["remediator"], owners=owners)
        case "servicenow":
            return ServiceNow(out, table="incident", owners=owners, priorities={"sev1": 1}, fields={"category": "net"})
        case _:
            return Jira(
                out,
                project="OPS",
                issue_type="Bug",
                cloud=kind == "jira cloud",
                owners=owners,
                priorities={"sev1": "Highest"},
                fields=more.get("fields", {}),
            )


FAKES: dict[str, Any] = {
    "jira cloud": lambda: FakeJira(cloud=True),
    "jira": lambda: FakeJira(cloud=False),
    "servicenow": FakeServiceNow,
    "github": FakeGitHub,
}


@pytest.fixture(params=FAKES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with FAKES[request.param]() as fake:
        systems = {
            "ops": make(request.param, fake),
            "stranger": make(request.param, fake, token="x"),
            "impatient": make(request.param, fake, timeout_s=0.3),
        }
        carrier = TicketCarrier(systems)
        yield Bench(fake, carrier)
        assert fake.violations == []
        await carrier.close()


async def test_opened_and_commented_on(bench: Bench) -> None:
    main = await bench.carrier.deliver(opening(), None)
    assert main is not None
    assert list(bench.fake.tickets) == [main.channel]
    assert "team-checkout" in str(bench.created)
    assert "0001-account" in str(bench.created)
    assert "remediator-e-81aa03" in str(bench.created)
    assert "customer 4711" not in str(bench.created)
    await bench.carrier.deliver(saying(LATER), main)
    (said,) = bench.fake.comments[main.channel]
    assert "Fixed: roll back Deployment shop/checkout" in str(said)


async def test_what_the_ticket_says_is_not_said_again(bench: Bench) -> None:
    main = await bench.carrier.deliver(opening(), None)
    assert main is not None
    await bench.carrier.deliver(saying(ESCALATED), main)
    assert bench.fake.comments[main.channel] == []


async def test_without_a_ticket_there_is_nothing_to_comment_on(bench: Bench) -> None:
    assert await bench.carrier.deliver(saying(LATER), None) is None
    assert bench.fake.calls == []


async def test_never_a_second_one(bench: Bench) -> None:
    """Not when there is one on record, nor when its creation was never answered."""
    bench.fake.fail(CREATE, Fault(hang="after"))
    with pytest.raises(ChatError) as caught:
        await bench.carrier.deliver(replace(opening(), destination="impatient"), None)
    assert caught.value.retry_after_s
    assert caught.value.unanswered
    main = await bench.carrier.deliver(opening(), None)
    assert main is not None
    assert await bench.carrier.deliver(opening(), main) is None
    assert list(bench.fake.tickets) == [main.channel]


async def test_another_episode_is_another_ticket(bench: Bench) -> None:
    await bench.carrier.deliver(opening(), None)
    await bench.carrier.deliver(opening(replace(ESCALATED, episode_id="e-other")), None)
    assert len(bench.fake.tickets) == 2


@pytest.mark.parametrize("call", [SEARCH, CREATE])
async def test_a_busy_system_is_asked_again(bench: Bench, call: str) -> None:
    for fault, wait in ((Fault(status=503), 5.0), (Fault(status=429, retry_after="60"), 60.0)):
        bench.fake.fail(call, fault)
        with pytest.raises(ChatError) as caught:
            await bench.carrier.deliver(opening(), None)
        assert caught.value.retry_after_s == wait
    assert bench.fake.tickets == {}


async def test_a_refusal_is_final_and_says_why(bench: Bench) -> None:
    bench.fake.fail(CREATE, Fault(error="Field 'component' is required"))
    with pytest.raises(ChatError, match="component") as caught:
        await bench.carrier.deliver(opening(), None)
    assert caught.value.retry_after_s is None


async def test_credentials_may_be_renewed(bench: Bench) -> None:
    with pytest.raises(ChatError, match="401") as caught:
        await bench.carrier.deliver(replace(opening(), destination="stranger"), None)
    assert caught.value.retry_after_s
    assert TOKEN not in str(caught.value)


async def test_a_comment_on_a_ticket_that_is_gone(bench: Bench) -> None:
    with pytest.raises(ChatError) as caught:
        await bench.carrier.deliver(saying(LATER), MessageRef("424242", NOW.isoformat()))
    assert caught.value.retry_after_s is None
    assert bench.fake.calls == [COMMENT]


async def test_hostile_values(bench: Bench) -> None:
    """Within the limits, and nothing of it ends the block that it stands in."""
    main = await bench.carrier.deliver(opening(EVIL), None)
    assert main is not None
    await bench.carrier.deliver(saying(replace(EVIL, now=LATER.now, outcome="failed")), main)
    said = str(bench.created) + str(bench.fake.comments[main.channel])
    for evil in ("@all", "<img", "[code]", "[x|", "{code}", "Bcc: x@", "#1"):
        assert evil not in said
    assert said.count("```") in (0, 4)
    assert said.count("{noformat}") in (0, 4)


async def test_jira_gets_no_field_that_its_screen_lacks() -> None:
    async with FakeJira(cloud=True) as fake:
        jira = make("jira cloud", fake, fields={"duedate": None, "priority": {"name": "Low"}})
        await TicketCarrier({"ops": jira}).deliver(opening(), None)
        (issue,) = fake.tickets.values()
        assert "duedate" not in issue
        assert issue["priority"] == {"name": "Low"}
        await jira.close()


async def test_due_and_weight() -> None:
    async with FakeServiceNow() as snow, FakeJira(cloud=False) as jira:
        systems = {"snow": make("servicenow", snow), "jira": make("jira", jira)}
        carrier = TicketCarrier(systems)
        for name in systems:
            await carrier.deliver(replace(opening(), destination=name), None)
        (incident,), (issue,) = snow.tickets.values(), jira.tickets.values()
        assert (incident["urgency"], incident["impact"], incident["category"]) == ("1", "1", "net")
        assert (incident["correlation_id"], incident["due_date"]) == ("remediator-e-81aa03", "2025-06-02 23:59:59")
        assert (issue["priority"], issue["duedate"]) == ({"name": "Highest"}, "2025-06-02")
        await carrier.close()


async def test_github_is_read_page_by_page() -> None:
    async with FakeGitHub() as fake:
        for number in range(1, 240):
            fake.store(str(number), {"title": "x", "body": f"`remediator-other-{number}`"})
        fake.tickets["3"]["body"] = "text\n`remediator-e-81aa03`"
        github = make("github", fake)
        main = await TicketCarrier({"ops": github}).deliver(opening(), None)
        assert main == MessageRef("3", NOW.isoformat())
        assert fake.calls == [SEARCH] * 3
        await github.close()


async def test_github_s_second_limit_is_a_403() -> None:
    async with FakeGitHub() as fake:
        github = make("github", fake)
        fake.fail(SEARCH, Fault(status=403, retry_after="60"))
        with pytest.raises(ChatError) as caught:
            await TicketCarrier({"ops": github}).deliver(opening(), None)
        assert caught.value.retry_after_s == 60.0
        await github.close()
