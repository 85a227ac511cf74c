"""Network probes for the checks `tcp`, `tls` and `dns`: one connection each, with the same rules for addresses as HTTP.

A certificate is read out of its DER form by hand: Python only decodes one that it trusts, and whom a service trusts is
not the question here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from remediator.errors import CannotSee
from remediator.remediation.checks.base import ServedCertificate

MOST_SHOWN = 10
"""Certificates of a chain: more are somebody's joke."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class NetworkProbing:
    """The `NetworkProbe` part of a probe."""

    def _require_visitable(self, address: Address) -> None:
        """The rule for addresses. Raises: CannotSee."""
        raise NotImplementedError

    async def connect(self, host: str, port: int, *, timeout_s: float) -> bool:
        """Raises: CannotSee."""
        try:
            async with asyncio.timeout(timeout_s):
                _, writer = await asyncio.open_connection(await self._checked(host), port)
        except ConnectionRefusedError:
            return False
        except TimeoutError:
            raise CannotSee(f"{host}:{port} did not answer within {timeout_s:g} s") from None
        except OSError as exc:
            raise CannotSee(f"{host}:{port}: {_text(exc)}") from exc
        await _close(writer)
        return True

    async def certificate(self, host: str, port: int, *, name: str, timeout_s: float) -> ServedCertificate:
        """Raises: CannotSee."""
        try:
            async with asyncio.timeout(timeout_s):
                address = await self._checked(host)
                _, writer = await asyncio.open_connection(address, port, ssl=_showing(), server_hostname=name)
        except TimeoutError:
            raise CannotSee(f"{host}:{port} did not show a certificate within {timeout_s:g} s") from None
        except OSError as exc:  # ssl.SSLError is one
            raise CannotSee(f"{host}:{port}: {_text(exc)}") from exc
        try:
            connection = writer.get_extra_info("ssl_object")
            shown, chain = connection.getpeercert(binary_form=True), _chain(connection)
        finally:
            await _close(writer)
        try:
            return replace(read_certificate(shown or b""), above=_above(chain))
        except (ValueError, IndexError) as exc:
            raise CannotSee(f"{host}:{port} showed a certificate that cannot be read") from exc

    async def resolve(self, name: str, *, timeout_s: float) -> tuple[str, ...]:
        """Raises: CannotSee."""
        try:
            async with asyncio.timeout(timeout_s):
                return await _addresses(name)
        except TimeoutError:
            raise CannotSee(f"no answer about {name} within {timeout_s:g} s") from None

    async def _checked(self, host: str) -> str:
        """An address of the host that may be visited; the connection goes there, so no second answer slips by."""
        found = await _addresses(host)
        if not found:
            raise CannotSee(f"{host} has no address")
        for address in found:
            self._require_visitable(ipaddress.ip_address(address))
        return found[0]


async def _addresses(name: str) -> tuple[str, ...]:
    """Raises: CannotSee unless it is certain whether there are any."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as exc:
        if exc.errno in _NO_SUCH_NAME:
            return ()
        raise CannotSee(f"{name} cannot be looked up: {_text(exc)}") from exc
    except (OSError, UnicodeError) as exc:
        raise CannotSee(f"{name} cannot be looked up: {_text(exc)}") from exc
    return tuple(sorted({str(one[4][0]).partition("%")[0] for one in found}))


def _showing() -> ssl.SSLContext:
    """Sees every certificate, also one that nobody trusts: nothing is sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _chain(connection: Any) -> list[bytes] | None:
    """All that the server shows, its own certificate first; None where Python does not tell."""
    ask = getattr(connection, "get_unverified_chain", None)  # Python 3.13
    if ask is not None:
        return list(ask())
    ask = getattr(getattr(connection, "_sslobj", None), "get_unverified_chain", None)
    found = None if ask is None else ask()
    return None if found is None else [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in found]


def _above(chain: list[bytes] | None) -> tuple[ServedCertificate, ...] | None:
    """None when one of them cannot be read: the others alone would look like all."""
    try:
        return None if chain is None else tuple(read_certificate(one) for one in chain[1:MOST_SHOWN])
    except (ValueError, IndexError):
        return None


async def _close(writer: asyncio.StreamWriter) -> None:
    """What the other side does while we hang up says nothing about it."""
    writer.transport.abort()


def _text(exc: Exception) -> str:
    return str(exc)[:200] or type(exc).__name__


# --- DER (X.690): tag, length, content

_SEQUENCE, _INTEGER, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x02, 0x17, 0x18, 0xA0
_SET, _OBJECT_IDENTIFIER, _BMP_STRING = 0x31, 0x06, 0x1E
_PARTS = {b"\x55\x04\x03": "CN", b"\x55\x04\x0b": "OU", b"\x55\x04\x0a": "O"}
"""Parts of a name that people look for: common name, unit, organisation (2.5.4.3, .11, .10)."""


def read_certificate(der: bytes) -> ServedCertificate:
    """Serial, validity and names of an X.509 certificate (RFC 5280). Raises: ValueError, IndexError."""
    outer, _ = _content(der, _SEQUENCE)
    rest, _ = _content(outer, _SEQUENCE)
    if rest[0] == _VERSION:
        _, rest = _content(rest, _VERSION)
    serial, rest = _content(rest, _INTEGER)
    _, rest = _content(rest, _SEQUENCE)  # signature algorithm
    issuer, rest = _content(rest, _SEQUENCE)
    validity, rest = _content(rest, _SEQUENCE)
    subject, _ = _content(rest, _SEQUENCE)
    begins, validity = _time(validity)
    ends, _ = _time(validity)
    return ServedCertificate(
        serial=serial.lstrip(b"\0").hex() or "00",
        not_before=begins,
        not_after=ends,
        subject=_name(subject),
        issuer=_name(issuer),
    )


def _name(name: bytes) -> str:
    """`CN=shop.example.com, O=Example`; without what we do not know, or cannot read."""
    try:
        return ", ".join(f"{part}={text}" for part, text in _parts(name))
    except (ValueError, IndexError):
        return ""


def _parts(name: bytes) -> Iterator[tuple[str, str]]:
    """Raises: ValueError, IndexError."""
    while name:
        several, name = _content(name, _SET)
        while several:
            one, several = _content(several, _SEQUENCE)
            part, value = _content(one, _OBJECT_IDENTIFIER)
            if part in _PARTS:
                text, _ = _content(value, value[0])
                yield _PARTS[part], text.decode("utf-16-be" if value[0] == _BMP_STRING else "utf-8", "replace")


def _content(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element, which has this tag, and what comes after it."""
    if data[0] != tag:
        raise ValueError(f"tag {data[0]:#x} instead of {tag:#x}")
    length, at = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise ValueError("a length that DER does not have")
        length, at = int.from_bytes(data[2 : 2 + size]), 2 + size
    if at + length > len(data):
        raise ValueError("the certificate is cut off")
    return data[at : at + length], data[at + length :]


def _time(data: bytes) -> tuple[datetime, bytes]:
    tag = data[0]
    if tag not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("no time")
    text, rest = _content(data, tag)
    digits = text.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year: 50 and above are of the last century
        digits = ("19" if int(digits[:2]) >= 50 else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC), rest
