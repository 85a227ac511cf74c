"""`doctor`: every dependency is tried, what fails is said with the next step, and nothing keeps the others from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from remediator import doctor as doctor_module
from remediator.adapters.sql.journal import SqlJournal
from remediator.doctor import Doctor, Finding, Right
from remediator.errors import CannotSee, JournalUnavailable
from remediator.people.outbox_rows import OutboxMessage
from remediator.ports import ChatError
from remediator.rights import needed_rights

NOW = datetime(2025, 6, 2, 3, 0, tzinfo=UTC)


class Clock:
    def now(self) -> datetime:
        return NOW

    def boot(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None: ...


class FakeCluster:
    """`ahead`: its clock. `denied`: what it does not allow."""

    name = "c1"

    def __init__(self, *, ahead: float = 0.0, denied: tuple[str, ...] = (), down: bool = False) -> None:
        self.ahead, self.denied, self.down = ahead, denied, down

    async def server_time(self) -> datetime:
        if self.down:
            raise CannotSee("connection refused")
        return NOW + timedelta(seconds=self.ahead)

    async def allowed(self, verb: str, kind: str, namespace: str, *, subresource: str = "", name: str = "") -> bool:
        return f"{verb} {kind}" not in self.denied


class Answers:
    """Stands for Prometheus, Alertmanager, Slack, PagerDuty."""

    def __init__(self, error: Exception | None = None, scopes: str = "chat:write") -> None:
        self.error, self.given = error, frozenset(scopes.split())

    async def _answer(self) -> None:
        if self.error:
            raise self.error

    async def probe(self) -> None:
        await self._answer()

    async def instant(self, query: str) -> tuple[()]:
        await self._answer()
        return ()

    async def active(self) -> tuple[()]:
        await self._answer()
        return ()

    async def scopes(self) -> frozenset[str]:
        await self._answer()
        return self.given


async def examine(**changes: Any) -> dict[str, Finding]:
    given: dict[str, Any] = {
        "journal": SqlJournal.in_memory(),
        "clock": Clock(),
        "clusters": {"c1": FakeCluster()},
        "queries": Answers(),
        "silences": Answers(),
        "reach": {"Slack": Answers(), "PagerDuty ops": Answers()},
        "chat": Answers(),
        "scopes": lambda: {"chat:write": "to post"},
        "rights": lambda cluster: [Right(verb="patch", kind="Deployment", namespace="shop")],
        **changes,
    }
    told = await Doctor(**given).examine()
    found = {f["check"]: Finding(**f) for f in told["findings"]}
    assert told["ok"] == all(f.ok is not False for f in found.values())
    assert all(f.next for f in found.values() if f.ok is False)
    return found


async def test_all_is_well() -> None:
    found = await examine()
    assert {f.ok for f in found.values()} == {True}
    assert list(found) == [
        *("store", "cluster c1", "rights in c1", "Prometheus", "Alertmanager", "Slack", "PagerDuty ops"),
        *("Slack scopes", "outbox"),
    ]


@pytest.mark.parametrize(
    ("changes", "check", "said"),
    [
        pytest.param({"clusters": {"c1": FakeCluster(down=True)}}, "cluster c1", "connection refused", id="no API"),
        pytest.param({"clusters": {"c1": FakeCluster(ahead=60)}}, "cluster c1", "differ by 60 s", id="ahead"),
        pytest.param({"clusters": {"c1": FakeCluster(ahead=-60)}}, "cluster c1", "differ by 59 s", id="behind"),
        pytest.param(
            {"clusters": {"c1": FakeCluster(denied=("patch Deployment",))}},
            "rights in c1",
            "may not patch Deployment in shop",
            id="rights",
        ),
        pytest.param({"queries": Answers(CannotSee("HTTP 401"))}, "Prometheus", "HTTP 401", id="Prometheus"),
        pytest.param({"silences": Answers(CannotSee("HTTP 503"))}, "Alertmanager", "HTTP 503", id="Alertmanager"),
        pytest.param({"reach": {"Slack": Answers(ChatError("invalid_auth"))}}, "Slack", "invalid_auth", id="Slack"),
        pytest.param(
            {"scopes": lambda: {"chat:write": "a", "files:write": "graphs"}},
            "Slack scopes",
            "missing: files:write (graphs)",
            id="a scope",
        ),
        pytest.param({"queries": Answers(ValueError("x"))}, "Prometheus", "the check itself failed", id="a defect"),
    ],
)
async def test_what_fails_is_said_and_the_rest_is_tried(changes: Any, check: str, said: str) -> None:
    found = await examine(**changes)
    assert found[check].ok is False
    assert said in found[check].said
    assert [name for name, f in found.items() if f.ok is False] == [check]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        pytest.param({"rights": lambda cluster: ()}, "rights in c1", id="nothing is written"),
        pytest.param(
            {
                "rights": lambda cluster: [Right(verb="patch", kind="Deployment")],
                "clusters": {"c1": FakeCluster(denied=("patch Deployment",))},
            },
            "rights in c1",
            id="no namespace to ask about",
        ),
        pytest.param({"chat": Answers(scopes="")}, "Slack scopes", id="no scopes told"),
    ],
)
async def test_what_cannot_be_told_is_no_problem(changes: Any, check: str) -> None:
    assert (await examine(**changes))[check].ok is None


async def test_what_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "PATIENCE_S", 0.0)

    async def hang() -> Finding:
        await asyncio.Event().wait()
        raise AssertionError

    more: dict[str, Callable[[], Awaitable[Finding]]] = {"Slack of others": hang}
    found = (await examine(more=more))["Slack of others"]
    assert (found.ok, found.said) == (False, "no answer within 0 s")


async def outbox(age: timedelta, *, given_up: str = "") -> Finding:
    journal = SqlJournal.in_memory()
    message = OutboxMessage(channel="slack", destination="C1", key="k", kind="post", payload={"text": "x"})
    await journal.store_messages([message], NOW - age)
    if given_up:
        await journal.abandon([], NOW, given_up, NOW)
    return (await examine(journal=journal))["outbox slack"]


async def test_the_outbox_tells_what_waits_and_what_was_given_up() -> None:
    found = await outbox(timedelta(minutes=2))
    assert (found.ok, found.said) == (True, "1 wait, the oldest for 2 min")
    found = await outbox(timedelta(hours=2))
    assert (found.ok, found.said) == (False, "1 wait, the oldest for 2 h")
    found = await outbox(timedelta(hours=2), given_up="channel_not_found")
    assert (found.ok, found.said) == (False, "0 wait; 1 given up within a day; last error: channel_not_found")


async def test_a_store_that_is_down_is_said() -> None:
    async def down(*asked: object) -> None:
        raise JournalUnavailable("disk full")

    found = await examine(journal=SimpleNamespace(ping=down, letters=down))
    assert (found["store"].said, found["outbox"].said) == ("disk full", "disk full")


def _loaded(project: str, *actions: str) -> Any:
    steps = [SimpleNamespace(action=action, target=None, with_={}, via="live", through_git=False) for action in actions]
    return SimpleNamespace(project=project, playbook=SimpleNamespace(steps=steps, target="from_alert"))


def test_rights_of_the_loaded_playbooks() -> None:
    actions = {
        "scale": SimpleNamespace(name="scale", kinds=("Deployment",), needs={"hpas"}),
        "evict_pod": SimpleNamespace(name="evict_pod", kinds=("Deployment",), needs=set()),
    }
    projects: Any = [SimpleNamespace(name="shop", clusters=("c1",), namespaces=("shop", "shop-*"))]
    playbooks = [_loaded("shop", "scale", "", "unknown"), _loaded("shop", "evict_pod")]
    assert list(map(str, needed_rights(playbooks, actions, projects, "c1"))) == [
        "patch Deployment in shop",
        "patch HorizontalPodAutoscaler in shop",
        "create Pod/eviction in shop",
    ]
    assert list(needed_rights(playbooks, actions, projects, "c2")) == []
    assert list(map(str, needed_rights([_loaded("", "evict_pod")], actions, [], "c2"))) == ["create Pod/eviction"]
