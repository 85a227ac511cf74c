"""Who is calling: senders of alerts by bearer token or basic auth, users of the API by named tokens. Constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from remediator.alerts.source import Source
from remediator.config import ApiToken, SourceConfig
from remediator.errors import InvalidConfig

ROLES = ("viewer", "operator", "approver", "admin")


def _digest(text: str) -> bytes:
    # Secrets of any length become 32 bytes, so that a comparison tells nothing about the length either; the plain text
    # is not kept.
    # A header may hold any bytes; aiohttp hands the undecodable ones on as surrogates.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


@dataclass(frozen=True, slots=True)
class User:
    """A named user of the API."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


class Senders:
    """Finds the source that a request authenticates as."""

    def __init__(self, configs: Sequence[SourceConfig]) -> None:
        """Raises: InvalidConfig when a secret cannot be read."""
        self.load(configs)

    def load(self, configs: Sequence[SourceConfig]) -> None:
        """Read every secret again (rotation), then swap. Raises: InvalidConfig; the old ones stay in force then."""
        bearer: list[tuple[bytes, Source]] = []
        basic: list[tuple[bytes, Source]] = []
        anybody: Source | None = None
        for config in configs:
            source = config.source()
            bearer += [(_digest(token.read()), source) for token in config.tokens]
            basic += [(_digest(f"{b.username}:{b.password.read()}"), source) for b in config.basic]
            if config.auth == "none":
                anybody = source
        # Two sources with one secret could not be told apart: the weaker one could claim what only the other may.
        _refuse_shared("sources", [(secret, source.name) for secret, source in (*bearer, *basic)])
        self._bearer, self._basic, self._open = bearer, basic, anybody

    def find(self, authorization: str) -> Source | None:
        """The source, or None when the header proves none. Every secret is compared, whichever fits."""
        scheme, _, credentials = authorization.partition(" ")
        match scheme.lower():
            case "bearer":
                known, given = self._bearer, credentials.strip()
            case "basic":
                known, given = self._basic, _decoded(credentials)
            case _:
                return self._open
        wanted = _digest(given)
        found = None
        for secret, source in known:
            if hmac.compare_digest(secret, wanted):
                found = source
        return found


class Users:
    """Finds the user of an API token; hashed at rest in memory."""

    def __init__(self, configs: Sequence[ApiToken]) -> None:
        """Raises: InvalidConfig when a secret cannot be read."""
        self.load(configs)

    def load(self, configs: Sequence[ApiToken]) -> None:
        """Read every token again, then swap. Raises: InvalidConfig; the old ones stay in force then."""
        tokens = [(_digest(c.token.read()), User(c.name, c.role)) for c in configs]
        _refuse_shared("api", [(secret, user.name) for secret, user in tokens])
        self._tokens = tokens

    def __bool__(self) -> bool:
        """Whether there is any user at all."""
        return bool(self._tokens)

    def find(self, authorization: str) -> User | None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        wanted = _digest(token.strip())
        found = None
        for secret, user in self._tokens:
            if hmac.compare_digest(secret, wanted):
                found = user
        return found


def _refuse_shared(where: str, secrets: Sequence[tuple[bytes, str]]) -> None:
    """Raises: InvalidConfig when two names have the same secret."""
    owners: dict[bytes, str] = {}
    for secret, name in secrets:
        owner = owners.setdefault(secret, name)
        if owner != name:
            raise InvalidConfig(f"{where}: {owner} and {name} have the same secret; give each its own")


def _decoded(credentials: str) -> str:
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
