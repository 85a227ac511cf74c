"""A mail server on a loopback port that keeps to the protocol: order of commands, line lengths, dot stuffing, login."""

from __future__ import annotations

import asyncio
import email
import email.policy
from base64 import b64decode
from collections import deque
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Self

MAX_LINE = 1000


@dataclass(slots=True)
class Envelope:
    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    data: bytes = b""

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.data, policy=email.policy.default)


class FakeSmtp:
    """`async with FakeSmtp() as mail:`; `replies` scripts the next answers to DATA (`451 later`, `550 never`)."""

    def __init__(self, *, user: str = "bot", password: str = "mail-password-1") -> None:
        self.user, self.password = user, password
        self.port = 0
        self.envelopes: list[Envelope] = []
        self.replies: deque[str] = deque()
        self.violations: list[str] = []
        self.silent = False
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        if self.silent:
            await reader.read()
            return
        say("220 mail.example.com ESMTP")
        mail, greeted, known = Envelope(), False, False
        while line := await reader.readline():
            if not line.endswith(b"\r\n") or len(line) > MAX_LINE:
                self.violations.append("a line does not end in CR LF, or is too long")
            verb, _, rest = line.decode().strip().partition(" ")
            match verb.upper():
                case "EHLO" | "HELO":
                    greeted = True
                    writer.write(b"250-mail.example.com\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n")
                case "AUTH":
                    given = b64decode(rest.partition(" ")[2]).decode().split("\0")
                    known = given[1:] == [self.user, self.password]
                    say("235 welcome" if known else "535 authentication failed")
                case "MAIL" if not greeted or not known:
                    say("530 authentication required")
                case "MAIL":
                    mail = Envelope(sender=rest)
                    say("250 ok")
                case "RCPT" if not mail.sender:
                    say("503 MAIL first")
                case "RCPT":
                    mail.recipients.append(rest.removeprefix("TO:").removeprefix("to:").strip("<>"))
                    say("250 ok")
                case "DATA" if not mail.recipients:
                    say("503 RCPT first")
                case "DATA":
                    say("354 go on")
                    mail.data = await self._data(reader)
                    answer = self.replies.popleft() if self.replies else "250 kept"
                    if answer.startswith("250"):
                        self.envelopes.append(mail)
                    say(answer)
                    mail = Envelope()
                case "RSET" | "NOOP":
                    say("250 ok")
                case "QUIT":
                    say("221 bye")
                    return
                case _:
                    self.violations.append(f"unknown command {verb}")
                    say("500 what?")

    async def _data(self, reader: asyncio.StreamReader) -> bytes:
        body = bytearray()
        while True:
            line = await reader.readuntil(b"\r\n")
            if line == b".\r\n":
                return bytes(body)
            if len(line) > MAX_LINE:
                self.violations.append("a line of the message is too long")
            body += line.removeprefix(b".")
