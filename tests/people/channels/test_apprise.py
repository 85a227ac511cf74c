"""Letters through apprise: real SMTP to a server that keeps to the protocol, and chat services played over HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from remediator.adapters.apprise_chat import AppriseCarrier, Mailbox, secrets_in
from remediator.errors import InvalidConfig
from remediator.people.others import letters
from remediator.people.outbox_rows import OutboxMessage, OutboxRow
from remediator.ports import ChatError
from tests.people.channels.rows import row
from tests.people.stories import ESCALATED, ROLLBACK
from tests.support.certificates import server_context
from tests.support.fake_http import FakeServer, Fault
from tests.support.fake_smtp import FakeSmtp

(LETTER,) = letters(ROLLBACK, "state", "mail")
EVIL = replace(
    ROLLBACK,
    headline="x\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script> [Console](http://evil.example) @all "
    + "A" * 10_000,
    explanation="</p><img src=x onerror=alert(1)> \x00 \u202e **b**",
)
(EVIL_LETTER,) = letters(EVIL, "state", "mail")


def carrier_for(url: str, *, timeout_s: float = 10.0) -> AppriseCarrier:
    return AppriseCarrier({"mail": Mailbox(lambda: url, timeout_s)})


def mail_url(mail: FakeSmtp, **more: str) -> str:
    asked = {"from": "remediator@example.com", "to": "oncall@example.com,lead@example.com", **more}
    query = "&".join(f"{name}={quote(value)}" for name, value in asked.items())
    return f"mailto://{mail.user}:{mail.password}@127.0.0.1:{mail.port}/?{query}"


@pytest.fixture
async def mail() -> AsyncIterator[FakeSmtp]:
    async with FakeSmtp() as mail:
        yield mail
        assert mail.violations == []


def part(message: EmailMessage, kind: str) -> str:
    return next(p.get_content() for p in message.walk() if p.get_content_type() == kind)


async def test_a_mail(mail: FakeSmtp) -> None:
    await carrier_for(mail_url(mail)).deliver(row(LETTER), None)
    assert sorted(e.recipients for e in mail.envelopes) == [["lead@example.com"], ["oncall@example.com"]]
    message = mail.envelopes[0].message
    assert message["Subject"] == "Approval needed: roll back Deployment shop/checkout to revision 41"
    assert message["Message-ID"]
    assert message["References"] == message["In-Reply-To"] == "<e-81aa03@remediator.invalid>"
    assert "remediator approve r-4f2c91" in part(message, "text/html")
    assert f'<a href="{ROLLBACK.console_url}">Console</a>' in part(message, "text/html")


async def test_as_plain_text(mail: FakeSmtp) -> None:
    await carrier_for(mail_url(mail, format="text")).deliver(row(LETTER), None)
    text = part(mail.envelopes[0].message, "text/plain")
    assert text.startswith("Please approve or reject.")
    assert f"Console: {ROLLBACK.console_url}" in text


@pytest.mark.parametrize("shape", ["html", "text"])
async def test_hostile_values_are_only_text(mail: FakeSmtp, shape: str) -> None:
    """No header, no recipient, no tag comes out of a label."""
    await carrier_for(mail_url(mail, format=shape)).deliver(row(EVIL_LETTER), None)
    assert len(mail.envelopes) == 2
    for envelope in mail.envelopes:
        assert len(envelope.recipients) == 1
        message = envelope.message
        assert message["Bcc"] is None
        assert len(message["Subject"]) <= 120
        whole = "".join(p.get_content() for p in message.walk() if not p.is_multipart())
        assert "<script>" not in whole
        assert "<img" not in whole


async def test_a_title_of_somebody_else_s_is_made_one_line(mail: FakeSmtp) -> None:
    """Digests and calls come this way too; whoever wrote them, a line break begins no header."""
    payload = {"title": "a\r\nBcc: x@example.com", "text": "b", "thread": "e\r\nX-Evil: 1"}
    await carrier_for(mail_url(mail)).deliver(replace(row(LETTER), payload=payload), None)
    message = mail.envelopes[0].message
    assert message["Subject"] == "a Bcc: x@example.com"
    assert message["Bcc"] is message["X-Evil"] is None


@pytest.mark.parametrize("answer", ["451 try later", "550 no such mailbox"])
async def test_a_mail_that_is_not_taken(mail: FakeSmtp, answer: str) -> None:
    """The library says no and not why: it is tried again until the outbox gives up."""
    mail.replies.extend([answer] * 2)
    carrier = carrier_for(mail_url(mail))
    with pytest.raises(ChatError, match="mail: ") as caught:
        await carrier.deliver(row(LETTER), None)
    assert caught.value.retry_after_s
    await carrier.deliver(row(LETTER), None)
    assert len(mail.envelopes) == 2


async def test_the_password_is_in_no_error(mail: FakeSmtp) -> None:
    mail.password = "another"
    with pytest.raises(ChatError) as caught:
        await carrier_for(mail_url(mail).replace("another", "mail-password-1")).deliver(row(LETTER), None)
    assert "mail-password-1" not in str(caught.value)


async def test_a_server_that_says_nothing(mail: FakeSmtp) -> None:
    mail.silent = True
    with pytest.raises(ChatError, match=r"did not answer within 0\.2 s") as caught:
        await carrier_for(mail_url(mail, rto="0.5", cto="0.5"), timeout_s=0.2).deliver(row(LETTER), None)
    assert caught.value.unanswered


async def test_nobody_there() -> None:
    with pytest.raises(ChatError) as caught:
        await carrier_for("mailto://u:p@127.0.0.1:9/?from=a@example.com&to=b@example.com").deliver(row(LETTER), None)
    assert caught.value.retry_after_s


@pytest.mark.parametrize("url", ["nonsense://x", "mailto://", "not a url"])
async def test_a_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ChatError, match="cannot read its URL") as caught:
        await carrier_for(url).deliver(row(LETTER), None)
    assert caught.value.retry_after_s is None


async def test_a_secret_that_cannot_be_read_is_waited_for() -> None:
    def gone() -> str:
        raise InvalidConfig("secret file /run/mail cannot be read")

    with pytest.raises(ChatError, match="cannot be read") as caught:
        await AppriseCarrier({"mail": Mailbox(gone)}).deliver(row(LETTER), None)
    assert caught.value.retry_after_s


async def test_an_unknown_name() -> None:
    with pytest.raises(ChatError, match="no apprise destination called 'mail'"):
        await AppriseCarrier({}).deliver(row(LETTER), None)


class FakeChats(FakeServer):
    """Mattermost's incoming webhook, a Teams workflow, and apprise's generic JSON, with their limits."""

    def __init__(self) -> None:
        super().__init__()
        self.posts: list[dict[str, Any]] = []

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_post("/hooks/{token}", self._mattermost)
        app.router.add_post("/json", self._json)
        app.router.add_post("/workflows/{id}/triggers/manual/paths/invoke", self._teams)
        app.router.add_post(
            "/powerautomate/automations/direct/workflows/{id}/triggers/manual/paths/invoke", self._teams
        )
        return app

    async def _mattermost(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != "abcdefghijklmnopqrstuvwxyz":
            return web.Response(status=400)
        return await self.guarded("mattermost", request, self._keep(16_383), refuse)

    async def _json(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded("json", request, self._keep(100_000), refuse)

    async def _teams(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded("teams", request, self._keep(28_000), refuse)

    def _keep(self, limit: int) -> Any:
        async def keep(request: web.Request) -> web.Response:
            body = await request.text()
            if len(body.encode()) > limit:
                return web.Response(status=413)
            self.posts.append(json.loads(body))
            return web.Response(text="ok")

        return keep


def refuse(error: str) -> web.Response:
    return web.Response(status=400, text=error)


@pytest.fixture
async def chats() -> AsyncIterator[FakeChats]:
    async with FakeChats() as chats:
        yield chats


def port_of(chats: FakeChats) -> str:
    return chats.root.rpartition(":")[2]


async def test_mattermost(chats: FakeChats) -> None:
    url = f"mmost://127.0.0.1:{port_of(chats)}/abcdefghijklmnopqrstuvwxyz"
    await carrier_for(url).deliver(row(LETTER), None)
    await carrier_for(url).deliver(row(EVIL_LETTER), None)
    said, evil = (json.dumps(post, ensure_ascii=False) for post in chats.posts)
    assert "remediator approve r-4f2c91" in said.replace("\\", "")
    assert "@all" not in evil
    assert "](http://evil.example)" not in evil


async def test_a_teams_workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One adaptive card, below the size that Teams takes; mentions are `<at>` tags, of which there are none."""
    chats = FakeChats()
    chats.tls, certificate = server_context(tmp_path)
    async with chats:
        url = f"workflows://127.0.0.1:{port_of(chats)}/0123456789abcdef0123456789abcdef/sig-0123456789"
        with pytest.raises(ChatError):
            await carrier_for(url).deliver(row(LETTER), None)  # a certificate that nobody has signed
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        await carrier_for(url).deliver(row(LETTER), None)
        await carrier_for(url).deliver(row(EVIL_LETTER), None)
    card, evil = chats.posts
    (attachment,) = card["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    texts = [block["text"] for block in attachment["content"]["body"]]
    assert texts[0].startswith("Approval needed")
    assert "remediator approve r-4f2c91" in texts[1].replace("\\", "")
    assert "](http://evil.example)" not in json.dumps(evil)


async def test_each_error_is_that_of_its_own_message(chats: FakeChats) -> None:
    """Two at once in two threads: what the library logs for one is not told of the other."""
    base = f"json://127.0.0.1:{port_of(chats)}/json"
    both = AppriseCarrier({"mail": Mailbox(lambda: base), "deaf": Mailbox(lambda: "json://127.0.0.1:9/deaf")})
    chats.fail("json", Fault(status=418, body="teapot"), times=5)
    done = await asyncio.gather(
        both.deliver(row(LETTER), None),
        both.deliver(replace(row(LETTER), destination="deaf"), None),
        return_exceptions=True,
    )
    assert all(isinstance(d, ChatError) for d in done)
    assert "418" in str(done[0])
    assert "418" not in str(done[1])


def test_parts_of_a_url_that_may_be_secret() -> None:
    found = secrets_in("tgram://123456:AA-bot-token/chat-id-1/?format=text&key=s%2Fecret")
    assert {"AA-bot-token", "123456:AA-bot-token".partition(":")[2], "chat-id-1", "s/ecret"} <= set(found)
    assert "mail.example.com" not in secrets_in("mailtos://me:pass-word@mail.example.com")


async def test_the_library_is_not_loaded_for_nothing() -> None:
    """It takes 37 MB: a service without letters does without it."""
    code = "import sys, remediator.app; sys.exit('apprise' in sys.modules or 'opentelemetry.sdk' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


def test_rows_of_the_outbox_are_what_it_takes() -> None:
    assert isinstance(LETTER, OutboxMessage)
    assert isinstance(row(LETTER), OutboxRow)
    assert letters(ESCALATED, "state", "mail")[0].payload["thread"] == "e-81aa03"


async def test_a_service_that_breaks_tells_nobody_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody expects is logged with its text and kept with the dead letter."""
    url = "mailto://ann:hunter2hunter2@mail.example.com"

    def broken(url: str, payload: dict[str, Any]) -> bool:
        raise ValueError(f"cannot parse {url}")

    monkeypatch.setattr("remediator.adapters.apprise_chat._send", broken)
    with pytest.raises(ChatError, match="mail: ValueError: cannot parse") as caught:
        await carrier_for(url).deliver(row(LETTER), None)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.retry_after_s is not None
