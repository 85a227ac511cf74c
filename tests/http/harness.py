"""A service on an in-memory journal with everything else faked, and the HTTP side in front of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from remediator import views
from remediator.adapters.sql.journal import SqlJournal
from remediator.config import ApiToken, Listen, Secret, SourceConfig
from remediator.errors import JournalUnavailable
from remediator.http.auth import Senders, Users
from remediator.http.server import Listening, make_app
from remediator.metrics import Metrics
from remediator.playbooks.model import LoadedPlaybook, Playbook
from remediator.remediation.decide import decide
from remediator.remediation.draft import Decision
from remediator.remediation.events import Chosen, Event, PlanMade
from remediator.remediation.journal import Committed
from remediator.remediation.state import Plan, Remediation, State
from remediator.service import Service
from tests.support.building import API, NOW, plan, playbook, remediation, verdict

SENDER = "token-of-alertmanager"
ROLES = ("viewer", "operator", "approver", "admin")
DIGEST = "3fa1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f"


@dataclass(frozen=True)
class Client:
    """Sends requests to a service on `port`."""

    session: aiohttp.ClientSession
    port: int

    async def request(self, method: str, path: str, **given: Any) -> aiohttp.ClientResponse:
        return await self.session.request(method, f"http://127.0.0.1:{self.port}{path}", **given)

    async def get(self, path: str, **given: Any) -> aiohttp.ClientResponse:
        return await self.request("GET", path, **given)

    async def post(self, path: str, **given: Any) -> aiohttp.ClientResponse:
        return await self.request("POST", path, **given)

    async def delete(self, path: str, **given: Any) -> aiohttp.ClientResponse:
        return await self.request("DELETE", path, **given)


class FakeClock:
    """Stands still until it is told to go on."""

    def __init__(self, now: datetime = NOW) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def boot(self) -> float:
        return (self.time - NOW).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Mover:
    """The runner's part for people: decide and commit, nothing else."""

    def __init__(self, journal: SqlJournal, clock: FakeClock) -> None:
        self._journal = journal
        self._clock = clock
        self.pokes = 0

    def poke(self) -> None:
        self.pokes += 1

    async def apply_from_person(self, remediation_id: str, event: Event) -> Decision | None:
        r = await self._journal.get(remediation_id)
        if r is None:
            return None
        decision = decide(r, event, self._clock.now())
        if not decision.ignored:
            await self.commit(decision)
        return decision

    async def commit(self, decision: Decision) -> Remediation:
        result = await self._journal.commit(decision, self._clock.now(), holder="")
        assert isinstance(result, Committed)
        return result.remediation


class BrokenStore:
    """Makes an in-memory journal fail when told to."""

    def __init__(self) -> None:
        self.error = ""

    async def before_commit(self, name: str) -> None:
        self._fail()

    async def after_commit(self, name: str) -> None:
        return

    async def before_read(self, name: str) -> None:
        self._fail()

    def _fail(self) -> None:
        if self.error:
            raise JournalUnavailable(self.error)


@dataclass
class World:
    """One service. `explained` is what `explain` answers, `asked` what it was asked."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: BrokenStore = field(default_factory=BrokenStore)
    metrics: Metrics = field(default_factory=Metrics)
    missing: dict[str, str] = field(default_factory=dict)
    clusters: tuple[str, ...] = ("c1",)
    intake_pokes: int = 0
    poked: asyncio.Event = field(default_factory=asyncio.Event)
    reloads: int = 0
    starter: Any = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    explained: dict[str, Any] = field(
        default_factory=lambda: {"would": "nothing", "explanation": "no loaded playbook matches its labels"}
    )

    def __post_init__(self) -> None:
        self.journal = SqlJournal.in_memory(faults=self.store)
        self.mover = Mover(self.journal, self.clock)
        self.service = Service(
            journal=self.journal,
            runner=self.mover,
            poke_intake=self._poked,
            clock=self.clock,
            metrics=self.metrics,
            playbooks=lambda: [views.playbook(LoadedPlaybook(playbook=playbook(), hash="h1", source="scale-api.yaml"))],
            explain=self._explain,
            missing=lambda: self.missing,
            reload=self._reload,
            clusters=self.clusters,
            starter=self.starter,
        )

    def app(self, **changes: Any) -> web.Application:
        """Changes: `sources`, `api`, `listen`."""
        senders = Senders(changes.get("sources", (source(),)))
        users = Users(changes.get("api", tuple(api_token(role) for role in ROLES)))
        return make_app(self.service, senders, users, self.metrics, changes.get("listen", Listen()), self.clock)

    @asynccontextmanager
    async def serving(self, **changes: Any) -> AsyncIterator[Client]:
        """As `serve` listens, on a free loopback port. Changes: `sources`, `api`, `listen`."""
        listen = changes.get("listen", Listen()).model_copy(update={"host": "127.0.0.1", "port": 0})
        async with Listening(self.app(**changes), listen) as listening, aiohttp.ClientSession() as session:
            yield Client(session, listening.port)

    def _poked(self) -> None:
        self.intake_pokes += 1
        self.poked.set()

    async def _explain(self, alert: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(alert)
        return self.explained

    async def _reload(self) -> dict[str, Any]:
        self.reloads += 1
        return {"in_force": 1, "loaded": [], "kept": [], "removed": [], "errors": []}

    async def proposed(
        self, number: int = 1, *, spec: Playbook | None = None, made: Plan | None = None, **changes: Any
    ):
        """A remediation that waits for an approval. `changes` are fields of the remediation."""
        spec = spec or playbook(mode="approve")
        body = webhook(alert(f"Busy{number}", namespace="shop", severity="critical"))
        await self.service.accept(body, source().source())
        record = (await self.journal.undecided(1000))[-1]
        root = replace(API, name=f"api{number}") if number > 1 else API
        begun = remediation(
            State.RECEIVED,
            id=f"r-{number}",
            episode="",
            target=root,
            root=root,
            alerts=(record.id,),
            created_at=self.clock.now(),
            since=self.clock.now(),
            spec=None,
            chain=(),
            **changes,
        )
        opened = await self.journal.open(begun, self.clock.now())
        assert opened is not None
        chosen = Chosen(spec=spec, playbook_hash="h1", mode="approve", alert_id=record.id, target=root, root=root)
        r = await self.mover.commit(decide(opened, chosen, self.clock.now()))
        planned = made or plan(
            digest=DIGEST, made_at=self.clock.now(), target=root, root=root, undo_text="replicas go back"
        )
        verdicts = (
            verdict("pass", "cooldown", "no run in the last hour"),
            verdict("not_applicable", "silenced", "none"),
        )
        event = PlanMade(plan=planned, verdicts=verdicts, explanation="PASS: all guards pass")
        r = await self.mover.commit(decide(r, event, self.clock.now()))
        assert r.state is State.AWAITING_APPROVAL
        return r


def source(**changes: Any) -> SourceConfig:
    return SourceConfig.model_validate({"name": "am", "tokens": [{"value": SENDER}], "cluster": "c1", **changes})


def api_token(role: str, name: str = "", token: str = "") -> ApiToken:
    return ApiToken.model_validate(
        {"name": name or f"the-{role}", "role": role, "token": {"value": token or f"token-of-{role}"}}
    )


def bearer(token: str = SENDER) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def as_(role: str) -> dict[str, str]:
    return bearer(f"token-of-{role}")


def alert(name: str = "Busy", *, status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": name, **labels},
        "annotations": {"summary": f"{name} is bad"},
        "startsAt": "2026-03-01T02:55:00Z",
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-03-01T02:59:00Z",
        "generatorURL": "",
    }


def webhook(*alerts: Mapping[str, Any], **changes: Any) -> bytes:
    body = {"version": "4", "groupKey": "{}:{}", "receiver": "remediator", "truncatedAlerts": 0, "alerts": alerts}
    return json.dumps({**body, **changes}).encode()


def secret_file(path: Path, text: str) -> Secret:
    path.write_text(text + "\n")
    return Secret(file=path)
