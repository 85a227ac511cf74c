"""What is found on the network, as a story has it under `outside: {web: {PLACE: ...}}`: by the checks `http`, `tcp`,
`tls` and `dns`.

    "http://api.shop.svc:8080/health":   [{ask: {}, answer: {status: 200, body: UP}}]
    "orders-db.shop.svc:5432":           [{ask: {look: tcp}, answer: {open: true}}]
    "shop.example.com:443":              [{ask: {look: tls}, answer: {serial: 0a, not_after: "${now + 90d}"}}]
    shop.example.com:                    [{ask: {look: dns}, answer: {addresses: [192.0.2.7]}}]
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from remediator.errors import CannotSee
from remediator.ports import Caller
from remediator.remediation.checks.base import HttpAnswer, ServedCertificate

VIA = "web"
LONG_AGO = "2020-01-01T00:00:00Z"


class Web:
    """The `HttpProbe` and `NetworkProbe` of a story. `told` answers; what the story says nothing about is CannotSee."""

    def __init__(self, told: Caller) -> None:
        self._told = told

    async def get(self, url: str, *, timeout_s: float, limit_bytes: int) -> HttpAnswer:
        """Raises: CannotSee."""
        said = await self._ask(url, "http")
        status = said.get("status")
        if not isinstance(status, int):
            raise CannotSee(f"the answer of {url} has no status: write {{status: 200, body: text}}")
        return HttpAnswer(status=status, body=str(said.get("body", ""))[:limit_bytes])

    async def connect(self, host: str, port: int, *, timeout_s: float) -> bool:
        """Raises: CannotSee."""
        said = await self._ask(f"{host}:{port}", "tcp")
        if not isinstance(said.get("open"), bool):
            raise CannotSee(f"the answer of {host}:{port} does not say whether it is open: write {{open: true}}")
        return bool(said["open"])

    async def certificate(self, host: str, port: int, *, name: str, timeout_s: float) -> ServedCertificate:
        """Raises: CannotSee."""
        said = await self._ask(f"{host}:{port}", "tls")
        try:
            begins, ends = (
                _time(said.get(key, default)) for key, default in (("not_before", LONG_AGO), ("not_after", ""))
            )
        except ValueError:
            hint = 'write {serial: 0a, not_after: "${now + 90d}"}'
            raise CannotSee(f"the certificate of {host}:{port} does not say when it ends: {hint}") from None
        return ServedCertificate(serial=str(said.get("serial", "")), not_before=begins, not_after=ends)

    async def resolve(self, name: str, *, timeout_s: float) -> tuple[str, ...]:
        """Raises: CannotSee."""
        said = await self._ask(name, "dns")
        if not isinstance(said.get("addresses"), list):
            raise CannotSee(f"the answer of {name} has no addresses: write {{addresses: [192.0.2.7]}}")
        return tuple(sorted(map(str, said["addresses"])))

    async def _ask(self, place: str, look: str) -> Mapping[str, Any]:
        said = await self._told.ask(place, {"look": look})
        return said if isinstance(said, Mapping) else {}


def _time(text: Any) -> datetime:
    """Raises: ValueError."""
    found = datetime.fromisoformat(str(text))
    if found.tzinfo is None:
        raise ValueError("no time zone")
    return found
