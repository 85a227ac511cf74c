"""`POST /webhooks/pagerduty`: signatures, rotation, what is kept, and how fast and honestly it is answered."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from remediator.config import Listen
from remediator.errors import InvalidConfig, JournalUnavailable
from remediator.http.pagerduty import MAX_BODY, PATH, PagerDutyWebhook, Signatures, add_pagerduty
from remediator.http.server import Listening
from remediator.people.inbox_rows import Incoming
from remediator.people.incident_webhooks import (
    GIVES,
    TAKES,
    IncidentEvent,
    InvalidIncidentWebhook,
    read_webhook,
    restored,
)
from remediator.secret_files import Secret
from tests.http.harness import FakeClock
from tests.people.stories import NOW
from tests.support.pagerduty_webhooks import ANN, INTEGRATION, SECRET, delivery, event, signed

KEY = "remediator/eu-1/prod-eu/e-81aa03"
OLD = "the-secret-of-last-year-0123456789"


def secret(value: str) -> Secret:
    return Secret(value=SecretStr(value))


@dataclass
class Inbox:
    """Takes rows, or fails, or hangs until it is told."""

    rows: dict[str, Incoming] = field(default_factory=dict)
    error: str = ""
    hang: bool = False
    pokes: int = 0

    async def take_in(self, item: Incoming, now: object) -> bool:
        if self.hang:
            await asyncio.Event().wait()
        if self.error:
            raise JournalUnavailable(self.error)
        new = item.key not in self.rows
        self.rows.setdefault(item.key, item)
        return new

    def poke(self) -> None:
        self.pokes += 1


@asynccontextmanager
async def serving(inbox: Inbox, *secrets: str, ours: bool = True) -> AsyncIterator[Any]:
    """A function that posts a body with headers and returns the status."""
    signatures = Signatures([secret(one) for one in secrets or (SECRET,)])
    app = web.Application(client_max_size=2 * MAX_BODY)
    add_pagerduty(app, PagerDutyWebhook(signatures, inbox, lambda e: ours, inbox.poke, FakeClock()))  # type: ignore[arg-type]
    async with (
        Listening(app, Listen(host="127.0.0.1", port=0)) as listening,
        aiohttp.ClientSession() as session,
    ):

        async def post(body: bytes, headers: dict[str, str], path: str = PATH) -> int:
            url = f"http://127.0.0.1:{listening.port}{path}"
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status

        yield post


def acknowledged(**changes: Any) -> dict[str, Any]:
    return event("incident.acknowledged", at=NOW, key=KEY, **changes)


async def test_it_is_stored_before_it_is_answered() -> None:
    inbox = Inbox()
    async with serving(inbox) as post:
        assert await post(*delivery(acknowledged())) == 202
        (row,) = inbox.rows.values()
        assert (row.source, row.key) == ("pagerduty", "01DEADBEEF")
        assert restored(row.body) == IncidentEvent(
            id="01DEADBEEF",
            type="incident.acknowledged",
            at=NOW,
            incident="Q00001",
            key=KEY,
            person="PANN001",
            name="Ann Miller",
        )
        assert inbox.pokes == 1


async def test_sent_again_it_is_kept_once_and_still_welcome() -> None:
    inbox = Inbox()
    async with serving(inbox) as post:
        assert [await post(*delivery(acknowledged())) for _ in range(3)] == [202, 202, 202]
        assert len(inbox.rows) == 1
        assert await post(*delivery(acknowledged()), path=PATH + "/") == 202, "a redirect would lose it"


@pytest.mark.parametrize(
    ("ours", "theirs", "status"),
    [
        pytest.param((SECRET,), (SECRET,), 202, id="one"),
        pytest.param((SECRET, OLD), (OLD,), 202, id="the old one, while we have both"),
        pytest.param((SECRET,), (OLD, SECRET), 202, id="both, while they have both"),
        pytest.param((SECRET,), (OLD,), 401, id="one that was taken away"),
        pytest.param((SECRET,), (), 401, id="none"),
    ],
)
async def test_signatures_and_their_rotation(ours: tuple[str, ...], theirs: tuple[str, ...], status: int) -> None:
    inbox = Inbox()
    async with serving(inbox, *ours) as post:
        assert await post(*delivery(acknowledged(), theirs)) == status
        assert bool(inbox.rows) is (status == 202)


BODY, GOOD = delivery(acknowledged())
SIGNATURE = GOOD["X-PagerDuty-Signature"]


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param(SIGNATURE.removeprefix("v1="), id="no version"),
        pytest.param(SIGNATURE.replace("v1=", "v2="), id="another version"),
        pytest.param(SIGNATURE.upper(), id="upper case"),
        pytest.param(SIGNATURE[:-1], id="cut"),
        pytest.param(SIGNATURE + "0", id="longer"),
        pytest.param("v1=" + "0" * 64, id="another"),
        pytest.param("v1=é\udcff" * 3, id="no ASCII"),
        pytest.param(",".join(["v1=" + "0" * 64] * 50 + [SIGNATURE]), id="the right one behind a flood"),
    ],
)
def test_a_signature_that_is_none(header: str) -> None:
    assert not Signatures([secret(SECRET)]).hold(header, BODY)


def test_it_is_over_the_raw_bytes() -> None:
    signatures = Signatures([secret(SECRET)])
    assert signatures.hold(SIGNATURE, BODY)
    assert not signatures.hold(SIGNATURE, BODY + b" ")
    assert not signatures.hold(SIGNATURE, json.dumps(json.loads(BODY)).encode())


def test_a_secret_that_is_empty_or_a_placeholder_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"pagerduty\.webhook\.secrets"):
        Signatures([secret("changeme")])


def test_secrets_that_cannot_be_read_leave_the_old_ones_in_force() -> None:
    signatures = Signatures([secret(SECRET)])
    with pytest.raises(InvalidConfig):
        signatures.load([secret("short")])
    assert signatures.hold(SIGNATURE, BODY)
    signatures.load([secret(OLD)])
    assert not signatures.hold(SIGNATURE, BODY)


@pytest.mark.parametrize("trouble", ["error", "hang"])
async def test_what_the_store_does_not_take_is_asked_for_again(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediator.http.pagerduty.STORE_S", 0.05)
    inbox = Inbox(hang=trouble == "hang", error="disk full" if trouble == "error" else "")
    async with serving(inbox) as post:
        assert await post(*delivery(acknowledged())) == 503
        inbox.error, inbox.hang = "", False
        assert await post(*delivery(acknowledged())) == 202
        assert inbox.pokes == 1


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(acknowledged(agent=INTEGRATION), id="an integration, as we are"),
        pytest.param(acknowledged(agent=None), id="nobody"),
        pytest.param(event("incident.triggered", at=NOW, key=KEY), id="opened"),
        pytest.param(event("incident.annotated", at=NOW), id="a note, as we write them"),
        pytest.param(event("incident.escalated", at=NOW, key=KEY), id="escalated: not me"),
        pytest.param(event("service.updated", at=NOW, key=KEY), id="a service"),
        pytest.param(event("incident.brand_new", at=NOW, key=KEY), id="what does not exist yet"),
        pytest.param({"event": {**event("pagey.ping", at=NOW)["event"], "data": {}}}, id="a test of the subscription"),
    ],
)
async def test_what_does_not_concern_us_is_taken_and_forgotten(payload: dict[str, Any]) -> None:
    inbox = Inbox()
    async with serving(inbox) as post:
        assert await post(*delivery(payload)) == 200
    assert inbox.rows == {}


async def test_an_incident_that_is_not_ours_is_not_even_stored() -> None:
    inbox = Inbox()
    async with serving(inbox, ours=False) as post:
        assert await post(*delivery(acknowledged())) == 200
    assert inbox.rows == {}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b"{}", b'{"event": 1}', b'{"event": {"event_type": "incident.resolved"}}', b"\xff\xfe"],
)
async def test_signed_nonsense_is_not_refused_which_would_switch_the_subscription_off(body: bytes) -> None:
    inbox = Inbox()
    async with serving(inbox) as post:
        assert await post(body, signed(body, SECRET)) == 200
        assert await post(body, {}) == 401
    assert inbox.rows == {}


async def test_a_body_without_end() -> None:
    async with serving(Inbox()) as post:
        body = b" " * (MAX_BODY + 1)
        assert await post(body, signed(body, SECRET)) == 413


# Reading --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*TAKES, *GIVES])
def test_every_event_that_counts(kind: str) -> None:
    read = read_webhook(delivery(event(kind, at=NOW, key=KEY))[0])
    assert read is not None
    assert (read.takes, read.gives) == (kind in TAKES, kind in GIVES)
    assert restored(json.loads(json.dumps(read.stored()))) == read


def test_an_acknowledgement_may_run_out_without_anybody() -> None:
    read = read_webhook(delivery(event("incident.unacknowledged", at=NOW, key=KEY, agent=None))[0])
    assert read is not None
    assert (read.gives, read.person) == (True, "")


def test_what_only_refers_to_an_incident() -> None:
    read = read_webhook(delivery(event("incident.responder.added", at=NOW, incident="Q00007"))[0])
    assert read is not None
    assert (read.takes, read.incident, read.key) == (True, "Q00007", "")


def test_a_responder_who_declines_takes_nothing() -> None:
    payload = event("incident.responder.replied", at=NOW)
    payload["event"]["data"]["state"] = "declined"
    assert read_webhook(delivery(payload)[0]) is None


def test_times_have_any_offset() -> None:
    payload = acknowledged()
    payload["event"]["occurred_at"] = (NOW + timedelta(hours=2)).replace(tzinfo=None).isoformat() + "+02:00"
    read = read_webhook(delivery(payload)[0])
    assert read is not None
    assert read.at == NOW


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("id",), 7),
        (("id",), ""),
        (("id",), "x" * 1000),
        (("occurred_at",), "yesterday"),
        (("occurred_at",), "2025-06-02T03:05:10"),
        (("occurred_at",), "0001-01-01T00:00:00+23:00"),
        (("data",), None),
        (("data", "id"), None),
        (("data", "incident_key"), ["x"]),
        (("data", "incident_key"), "k" * 1000),
        (("agent", "id"), {"x": 1}),
    ],
)
def test_what_pagerduty_does_not_write(path: tuple[str, ...], value: object) -> None:
    payload = json.loads(json.dumps(acknowledged()))
    place = payload["event"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(InvalidIncidentWebhook):
        read_webhook(delivery(payload)[0])


@given(st.text(max_size=500))
def test_names_are_other_peoples_text(name: str) -> None:
    body = json.dumps(acknowledged(agent={**ANN, "summary": name})).encode()
    try:
        read = read_webhook(body)
    except InvalidIncidentWebhook:
        return  # a lone surrogate is no JSON
    assert read is not None
    assert len(read.name) <= 80
    assert not {"\n", "\r", "\x00", "\x1b", "\u202e", "\u2028"} & set(read.name)
