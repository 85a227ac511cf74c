"""The caller `vault`: a new value for one key of one secret of a KV version 2 engine, and the one before again.

    ask   {"about": "secret", "secret"}                    its metadata; never a value
    send  {"do": "rotate", "secret", "version": N}         a random value on top of version N
          {"do": "restore", "secret", "version": N}        the value of version N on top of N + 1

Values are made, compared and sent in here and told to nobody. Both writes are bound to the version below them by
Vault's own check-and-set, so of a request that was lost and its repetition at most one counts.

Before it writes, `rotate` puts a keyed hash of the new value into the secret's custom metadata, under the effect's own
key. Whether a version is ours can be found out by it even after a crash, and by nobody be turned back into the value.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from remediator.adapters.callers.vault_api import Metadata, VaultApi
from remediator.errors import (
    Conflict,
    EffectError,
    Forbidden,
    NotFound,
    ReadError,
    Refused,
    Unavailable,
    Uncertain,
)
from remediator.outside_vaults import Vault, VaultSecret
from remediator.ports import Found
from remediator.redact import redact

MARKER = "remediator-effect"
MOST_MARKS = 8
MOST_CUSTOM = 20

Request = Mapping[str, Any]


class VaultCaller:
    """`place` is the name of a vault in the configuration."""

    def __init__(self, vaults: Sequence[Vault]) -> None:
        """Raises: InvalidConfig."""
        self._places = {one.name: VaultApi(one) for one in vaults}

    async def close(self) -> None:
        for api in self._places.values():
            await api.close()

    async def ask(self, place: str, request: Request) -> Any:
        """Raises: ReadError."""
        api, secret = self._at(place, request)
        if request.get("about") != "secret":
            raise NotFound(f"{request.get('about')!r:.40} cannot be asked of a vault; secret can")
        meta = await api.metadata(secret)
        state = meta.versions.get(meta.current, "none")
        return {
            "secret": secret.name,
            "mount": api.settings.mount,
            "path": secret.path,
            "key": secret.key,
            "version": meta.current,
            "created": meta.created,
            "state": state,
            "has_key": state == "there" and await api.has_key(secret, meta.current),
            "max_versions": meta.max_versions,
            "cas_required": meta.cas_required,
            "delete_after": meta.delete_after,
            "custom_metadata": {
                redact(name)[:128]: redact(text)[:200]
                for name, text in sorted(meta.custom.items())[:MOST_CUSTOM]
                if name != MARKER
            },
        }

    async def rehearse(self, place: str, request: Request) -> str:
        """Vault has no dry run: whether the version is as it was seen, and our token may do it and take it back.

        Raises: Refused, ReadError.
        """
        api, secret = self._at(place, request)
        below = _below(request)
        if (current := (await api.metadata(secret)).current) != below:
            raise Refused(_moved_on(api, secret, below, current))
        wanted = {api.path_of("data", secret): ("read", "patch"), api.path_of("metadata", secret): ("read", "patch")}
        if lacking := await api.missing(wanted):
            raise Refused(f"{api.name} does not let us: {', '.join(lacking)}. Add it to the policy", forbidden=True)
        return (
            f"nothing can be rehearsed in Vault; version {below} is the current one, and our token may write the next"
        )

    async def send(self, place: str, request: Request, *, key: str) -> Mapping[str, Any]:
        """Raises: EffectError."""
        try:
            api, secret = self._at(place, request)
            await api.fresh()
            below = _below(request)
            if (await api.metadata(secret)).current != below:
                return await _already(api, secret, request, key)
            match request["do"]:
                case "rotate":
                    value = await _new_value(api, secret, key, below)
                case _:
                    value = await _old_value(api, secret, request)
        except (NotFound, Forbidden) as exc:  # before anything was written
            raise Refused(str(exc), forbidden=isinstance(exc, Forbidden)) from exc
        except ReadError as exc:
            raise Unavailable(f"nothing was written: {exc}") from exc
        made = await api.write(secret, value, on_top_of=below)
        if made is None:
            return await _already(api, secret, request, key)
        if made != below + 1:
            raise Uncertain(f"{api.name} answered with version {made} where {below + 1} was expected")
        return {"version": made, "says": _says(api, secret, request, made)}

    async def find(self, place: str, request: Request, *, key: str) -> Found:
        """Raises: ReadError."""
        api, secret = self._at(place, request)
        return await _find(api, secret, request, key)

    def _at(self, place: str, request: Request) -> tuple[VaultApi, VaultSecret]:
        """Raises: NotFound."""
        api = self._places.get(place)
        if api is None:
            known = ", ".join(sorted(self._places)) or "none"
            raise NotFound(f"outside.vaults has no {place!r:.80}; there are: {known}")
        secret = api.secrets.get(str(request.get("secret", "")))
        if secret is None:
            known = ", ".join(sorted(api.secrets))
            raise NotFound(f"outside.vaults[{place}].secrets has no {request.get('secret')!r:.80}; there are: {known}")
        return api, secret


def _below(request: Request) -> int:
    """The version that has to be the current one. Raises: NotFound."""
    version, do = request.get("version"), request.get("do")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise NotFound(f"version: expected a number from 1, got {version!r:.40}")
    if do not in ("rotate", "restore"):
        raise NotFound(f"a vault cannot do {do!r:.40}")
    return version if do == "rotate" else version + 1


async def _new_value(api: VaultApi, secret: VaultSecret, key: str, below: int) -> str:
    """A random value, its hash in the metadata already. Raises: EffectError, ReadError."""
    characters = secret.characters
    value = "".join(secrets.choice(characters) for _ in range(secret.length))
    marks = [*_marks(await api.metadata(secret), key, below + 1), _mark(key, value)][-MOST_MARKS:]
    try:
        await api.mark(secret, MARKER, " ".join((_named(key), str(below + 1), *marks)))
    except Uncertain as exc:  # of the metadata: no version was made
        raise Unavailable(f"nothing was rotated: {exc}") from exc
    return value


async def _old_value(api: VaultApi, secret: VaultSecret, request: Request) -> str:
    """Raises: Refused, ReadError."""
    value = await api.value(secret, request["version"])
    if value is None:
        raise Refused(
            f"{api.name}: version {request['version']} of {api.place_of(secret)} is deleted or without {secret.key}: "
            "restore it by hand"
        )
    return value


async def _already(api: VaultApi, secret: VaultSecret, request: Request, key: str) -> Mapping[str, Any]:
    """Another version is the current one: ours, by an earlier sending, or somebody's. Raises: EffectError."""
    below = _below(request)
    try:
        became, current = await _find(api, secret, request, key), (await api.metadata(secret)).current
    except ReadError as exc:
        raise Unavailable(f"nothing was written: the current version is not {below}, and {exc}") from exc
    if became == "happened":
        return {"version": below + 1, "already": True, "says": _says(api, secret, request, below + 1)}
    moved_on: type[EffectError] = Conflict if request["do"] == "rotate" else Refused
    raise moved_on(_moved_on(api, secret, below, current))


async def _find(api: VaultApi, secret: VaultSecret, request: Request, key: str) -> Found:
    """With the version below still there it has not happened, and whatever is late fails when we were quicker.

    Raises: ReadError.
    """
    below = _below(request)
    meta = await api.metadata(secret)
    if meta.current < below:
        return "unknown"  # made anew, or read from a node that is behind
    if meta.current == below:
        return "never"
    if meta.versions.get(below + 1) != "there":
        return "unknown"
    made = await api.value(secret, below + 1)
    if made is None:
        return "unknown"
    if request["do"] == "rotate":
        marks = _marks(meta, key, below + 1)
        if not marks:
            return "unknown"
        return "happened" if any(hmac.compare_digest(_mark(key, made), mark) for mark in marks) else "never"
    before = await api.value(secret, request["version"])
    if before is None:
        return "unknown"
    return "happened" if hmac.compare_digest(before.encode(), made.encode()) else "never"


def _marks(meta: Metadata, key: str, version: int) -> list[str]:
    """The hashes of what this effect has tried to write as that version."""
    parts = meta.custom.get(MARKER, "").split()
    return parts[2:] if parts[:2] == [_named(key), str(version)] else []


def _mark(key: str, value: str) -> str:
    """At least 96 random bits are in a value, so its hash tells nothing."""
    return hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()[:32]


def _named(key: str) -> str:
    """Short enough for Vault (512 characters in all), and one word."""
    return key if len(key) <= 100 and not key.isspace() and " " not in key else hashlib.sha256(key.encode()).hexdigest()


def _moved_on(api: VaultApi, secret: VaultSecret, below: int, current: int) -> str:
    return f"{api.name}: {api.place_of(secret)} is at version {current}, not {below}: somebody has written it meanwhile"


def _says(api: VaultApi, secret: VaultSecret, request: Request, made: int) -> str:
    what = "has a new value" if request["do"] == "rotate" else f"has its value of version {request['version']} again"
    return f"{secret.key} of {api.place_of(secret)} {what} (version {made})"
