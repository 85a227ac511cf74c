"""`POST /webhooks/alertmanager`: what is answered to whom, and that nothing is acknowledged before it is stored."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
from typing import Any

import pytest

from remediator.config import Listen
from remediator.http.webhook import PATH
from tests.http.harness import SENDER, Client, World, alert, bearer, source, webhook


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def stored(world: World) -> list[str]:
    return [record.alert.name for record in await world.journal.undecided(100)]


class TestTaken:
    async def test_a_delivery_is_stored_before_it_is_acknowledged(self, world: World, client: Client) -> None:
        answer = await client.post(PATH, data=webhook(alert("A"), alert("B")), headers=bearer())
        assert (answer.status, await answer.json()) == (200, {"new": 2, "known": 0, "resolved": 0})
        assert sorted(await stored(world)) == ["A", "B"]
        assert world.intake_pokes == 1

    async def test_a_resend_is_known_and_wakes_nobody(self, world: World, client: Client) -> None:
        for _ in range(2):
            answer = await client.post(PATH, data=webhook(alert("A")), headers=bearer())
        assert await answer.json() == {"new": 0, "known": 1, "resolved": 0}
        assert world.intake_pokes == 1

    async def test_a_resolved_alert_wakes_the_intake(self, world: World, client: Client) -> None:
        await client.post(PATH, data=webhook(alert("A")), headers=bearer())
        answer = await client.post(PATH, data=webhook(alert("A", status="resolved")), headers=bearer())
        assert await answer.json() == {"new": 0, "known": 0, "resolved": 1}
        assert world.intake_pokes == 2

    async def test_a_group_without_alerts_is_fine(self, world: World, client: Client) -> None:
        answer = await client.post(PATH, data=webhook(), headers=bearer())
        assert answer.status == 200
        assert world.intake_pokes == 0

    async def test_a_truncated_group_is_taken(self, world: World, client: Client) -> None:
        answer = await client.post(PATH, data=webhook(alert("A"), truncatedAlerts=7), headers=bearer())
        assert answer.status == 200
        assert await stored(world) == ["A"]

    async def test_a_trailing_slash_is_no_redirect(self, client: Client) -> None:
        """A redirect would turn the POST into a GET and lose the alerts without a trace."""
        answer = await client.post(PATH + "/", data=webhook(alert()), headers=bearer(), allow_redirects=False)
        assert answer.status == 200

    async def test_chunked_and_compressed_bodies(self, world: World, client: Client) -> None:
        async def pieces():
            for byte in webhook(alert("A")):
                yield bytes([byte])

        assert (await client.post(PATH, data=pieces(), headers=bearer())).status == 200
        packed = gzip.compress(webhook(alert("B")))
        answer = await client.post(PATH, data=packed, headers={**bearer(), "Content-Encoding": "gzip"})
        assert answer.status == 200
        assert sorted(await stored(world)) == ["A", "B"]

    async def test_many_at_once(self, world: World, client: Client) -> None:
        posts = [client.post(PATH, data=webhook(alert(f"A{n}")), headers=bearer()) for n in range(50)]
        assert {answer.status for answer in await asyncio.gather(*posts)} == {200}
        assert len(await stored(world)) == 50

    async def test_it_is_counted(self, world: World, client: Client) -> None:
        await client.post(PATH, data=webhook(alert("A"), alert("B")), headers=bearer())
        await client.post(PATH, data=webhook(alert("A", status="resolved")), headers=bearer())
        await client.post(PATH, data=b"{", headers=bearer())
        value = world.metrics.registry.get_sample_value
        assert value("remediator_alerts_received_total", {"status": "firing"}) == 2
        assert value("remediator_alerts_received_total", {"status": "resolved"}) == 1
        assert value("remediator_webhook_seconds_count", {"code": "200"}) == 2
        assert value("remediator_webhook_seconds_count", {"code": "400"}) == 1


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "body: not JSON"),
    "not JSON": (b"{nope", "body: not JSON"),
    "not UTF-8": (b'{"version": "4", "alerts": [], "receiver": "\xff"}', "body: not JSON"),
    "an array": (b"[]", "body: expected a JSON object, got array"),
    "no version": (b'{"alerts": []}', "version: missing"),
    "wrong version": (webhook(version="3"), "version: expected"),
    "version as number": (webhook(version=4), "version: expected"),
    "no alerts": (b'{"version": "4"}', "alerts: expected an array"),
    "alert without labels": (webhook({"status": "firing"}), "alerts[0].labels: expected an object"),
    "empty labels": (webhook({**alert(), "labels": {}}), "alerts[0].labels: expected at least one label"),
    "label that is a number": (webhook({**alert(), "labels": {"a": 1}}), "alerts[0].labels.a: expected a string"),
    "unknown status": (webhook({**alert(), "status": "on fire"}), "alerts[0].status: expected"),
    "no start": (webhook({**alert(), "startsAt": ""}), "alerts[0].startsAt: missing"),
    "start without offset": (webhook({**alert(), "startsAt": "2026-03-01T00:00:00"}), "alerts[0].startsAt: expected"),
    "second alert bad": (webhook(alert("Good"), {"status": "firing"}), "alerts[1].labels"),
    "deeply nested": (b'{"version": "4", "alerts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body: not JSON"),
}


@pytest.mark.parametrize(("body", "said"), [pytest.param(*case, id=name) for name, case in BAD.items()])
async def test_what_cannot_be_read_is_400_and_names_the_field(
    world: World, client: Client, body: bytes, said: str
) -> None:
    """Refused whole, nothing of it stored, and the next message is taken."""
    answer = await client.post(PATH, data=body, headers=bearer())
    told = await answer.json()
    assert answer.status == 400
    assert told["error"] == "invalid_webhook"
    assert told["detail"].startswith(said)
    assert await stored(world) == []
    assert (await client.post(PATH, data=webhook(alert()), headers=bearer())).status == 200


async def test_a_broken_encoding_is_400(world: World, client: Client) -> None:
    headers = {**bearer(), "Content-Encoding": "gzip"}
    answer = await client.post(PATH, data=b"this is not gzip at all" * 10, headers=headers)
    assert answer.status == 400
    assert await stored(world) == []


async def test_a_sender_may_only_claim_what_its_source_allows(world: World) -> None:
    """A staging Alertmanager cannot speak for production."""
    staging = source(allow={"cluster": ["staging"]})
    async with world.serving(sources=(staging,)) as client:
        body = webhook(alert("A", cluster="prod"))
        answer = await client.post(PATH, data=body, headers=bearer())
        assert answer.status == 400
        assert "may only say staging" in (await answer.json())["detail"]
    assert await stored(world) == []


class TestWho:
    SOURCES = (
        source(tokens=[{"value": "old-token"}, {"value": "new-token"}]),
        source(name="basic", tokens=[], basic=[{"username": "prom", "password": {"value": "p:a:s:s"}}]),
        source(name="both", tokens=[{"value": "b1"}], basic=[{"username": "u", "password": {"value": "p"}}]),
    )

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            pytest.param(bearer("old-token"), 200, id="bearer, before rotation"),
            pytest.param(bearer("new-token"), 200, id="bearer, after rotation"),
            pytest.param({"Authorization": "bearer new-token"}, 200, id="scheme in lower case"),
            pytest.param({"Authorization": "Bearer  new-token "}, 200, id="spaces around"),
            pytest.param(basic("prom", "p:a:s:s"), 200, id="basic, colons in the password"),
            pytest.param(bearer("b1"), 200, id="a source with both: bearer"),
            pytest.param(basic("u", "p"), 200, id="a source with both: basic"),
            pytest.param({}, 401, id="nothing"),
            pytest.param({"Authorization": ""}, 401, id="empty"),
            pytest.param({"Authorization": "Bearer"}, 401, id="no token"),
            pytest.param({"Authorization": "Bearer "}, 401, id="empty token"),
            pytest.param(bearer("old-toke"), 401, id="a prefix of a token"),
            pytest.param(bearer("OLD-TOKEN"), 401, id="another case"),
            pytest.param({"Authorization": "old-token"}, 401, id="no scheme"),
            pytest.param({"Authorization": "Digest old-token"}, 401, id="unknown scheme"),
            pytest.param(basic("prom", "wrong"), 401, id="wrong password"),
            pytest.param(basic("old-token", ""), 401, id="a token as user name"),
            pytest.param(bearer("prom:p:a:s:s"), 401, id="a password as token"),
            pytest.param({"Authorization": "Basic !!!"}, 401, id="not base64"),
            pytest.param({"Authorization": "Basic /////w=="}, 401, id="not UTF-8 inside base64"),
        ],
    )
    async def test_who_may_send(self, world: World, headers: dict[str, str], status: int) -> None:
        async with world.serving(sources=self.SOURCES) as client:
            answer = await client.post(PATH, data=webhook(alert()), headers=headers)
            assert answer.status == status
            if status == 401:
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                assert "Basic" in answer.headers["WWW-Authenticate"]
        assert len(await stored(world)) == (status == 200)

    async def test_bytes_that_are_no_text(self, world: World, client: Client) -> None:
        """aiohttp hands undecodable header bytes on as surrogates."""
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer ".encode())
        writer.write(b"\xff\xfe\r\n\r\n")
        assert b" 401 " in await reader.readline()
        writer.close()

    async def test_the_alert_knows_its_source(self, world: World) -> None:
        async with world.serving(sources=self.SOURCES) as client:
            await client.post(PATH, data=webhook(alert()), headers=basic("prom", "p:a:s:s"))
        assert [r.alert.source for r in await world.journal.undecided(10)] == ["basic"]

    async def test_none_in_so_many_words(self, world: World) -> None:
        """Without credentials the open source; with wrong ones nobody."""
        nobody = source(name="open", tokens=[], auth="none")
        async with world.serving(sources=(nobody, source())) as client:
            assert (await client.post(PATH, data=webhook(alert()))).status == 200
            assert (await client.post(PATH, data=webhook(alert()), headers=bearer("wrong"))).status == 401


class TestOverload:
    async def test_a_store_that_is_down_is_503(self, world: World, client: Client) -> None:
        """Alertmanager tries again after a 5xx, and not soon after any 4xx."""
        world.store.error = "disk full"
        answer = await client.post(PATH, data=webhook(alert()), headers=bearer())
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert "disk full" in (await answer.json())["detail"]
        assert world.intake_pokes == 0
        world.store.error = ""
        assert (await client.post(PATH, data=webhook(alert()), headers=bearer())).status == 200

    async def test_16_mib_by_default(self, world: World, client: Client) -> None:
        """aiohttp's own limit of 1 MiB would be a 413, which loses the alerts."""
        big = webhook(*[{**alert(f"A{n}"), "annotations": {"text": "x" * 1024}} for n in range(3_000)])
        assert 3 * 1024**2 < len(big) < 16 * 1024**2
        answer = await client.post(PATH, data=io.BytesIO(big), headers=bearer())
        assert (answer.status, (await answer.json())["new"]) == (200, 3_000)

    @pytest.mark.parametrize("how", ["length", "chunked", "compressed"])
    async def test_beyond_the_limit_is_413(self, world: World, how: str) -> None:
        body = webhook({**alert(), "annotations": {"text": "x" * 1024**2}})
        headers = bearer()
        data: Any = io.BytesIO(body)
        if how == "compressed":
            data, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
        if how == "chunked":

            async def pieces():
                for start in range(0, len(body), 65536):
                    yield body[start : start + 65536]

            data = pieces()
        async with world.serving(listen=Listen(max_body_mib=1)) as client:
            answer = await client.post(PATH, data=data, headers=headers)
            assert answer.status == 413
            assert "listen.max_body_mib" in (await answer.json())["detail"]
        assert await stored(world) == []

    async def test_too_many_large_ones_at_once(self, world: World) -> None:
        """Memory for bodies is bounded: the fifth unfinished one of the largest size is told to come again."""
        async with world.serving(listen=Listen(max_body_mib=1)) as client:
            waiting = [await self._half_sent(client) for _ in range(4)]
            answer = await client.post(PATH, data=self._chunked(), headers=bearer())
            assert answer.status == 503
            for _, writer in waiting:
                writer.close()
            await asyncio.sleep(0.05)
            assert (await client.post(PATH, data=self._chunked(), headers=bearer())).status == 200

    async def _half_sent(self, client: Client) -> Any:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SENDER}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        writer.write(head.encode() + b"1\r\n{\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        return reader, writer

    async def _chunked(self):
        body = webhook(alert())
        yield body[:10]
        await asyncio.sleep(0.01)
        yield body[10:]


class TestOtherMethods:
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
    async def test_only_post(self, client: Client, method: str) -> None:
        answer = await client.request(method, PATH, headers=bearer())
        assert answer.status == 405
        assert "POST" in answer.headers["Allow"]


async def test_nothing_is_logged_for_a_request(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        await client.post(PATH, data=webhook(alert()), headers=bearer())
        await client.post(PATH, data=json.dumps({}), headers=bearer("wrong"))
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []
