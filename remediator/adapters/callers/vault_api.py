"""Vault's HTTP API, as far as we use it: signing in, and the KV version 2 engine.

An answer of `data/` holds values and an error may repeat what was sent, so no body is ever repeated: of errors only
those sentences are told that are known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediator.adapters.callers.http_wire import Answered, Wire, asked, send_failure
from remediator.adapters.json_out import trusting
from remediator.errors import (
    CannotSee,
    EffectError,
    Forbidden,
    InvalidConfig,
    NotFound,
    ReadError,
    Refused,
    Unavailable,
)
from remediator.outside_vaults import Vault, VaultSecret

MAX_READ = 2 * 2**20
MERGE = {"Content-Type": "application/merge-patch+json"}

MOVED_ON = "check-and-set parameter did not match the current version"
SEALED = "Vault is sealed"
TOLD = (
    MOVED_ON,
    SEALED,
    "permission denied",
    "unsupported operation",
    "unsupported path",
    "no handler for route",
    "invalid role or secret ID",
    "invalid secret id",
    "invalid role name",
    "local node not active but active cluster node not found",
    "required index state not present",
)
"""What Vault says that may be repeated."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Of one secret; no value is in it. `versions`: state by number, `there`, `deleted` or `destroyed`."""

    current: int
    created: str
    max_versions: int
    cas_required: bool
    delete_after: str
    custom: Mapping[str, str]
    versions: Mapping[int, str]


class VaultApi:
    """One engine of one Vault. Raises ReadErrors for questions, EffectErrors for what is sent."""

    def __init__(self, settings: Vault) -> None:
        """Raises: InvalidConfig."""
        self.name = f"vault {settings.name}"
        self.settings = settings
        self.secrets = {secret.name: secret for secret in settings.secrets}
        self._token = ""
        self._signing_in = asyncio.Lock()
        tls = trusting(settings.ca, f"outside.vaults[{settings.name}]")
        timeout_s = settings.timeout.total_seconds()
        self._plain = Wire(self.name, settings.url, login=self._common, tls=tls, timeout_s=timeout_s)
        self._wire = Wire(self.name, settings.url, login=self._login, tls=tls, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._plain.close()
        await self._wire.close()

    # --- questions ------------------------------------------------------------------------------------------------

    async def metadata(self, secret: VaultSecret) -> Metadata:
        """Raises: ReadError."""
        answer = await self._read("GET", self._path("metadata", secret))
        if answer.status == 404:
            raise NotFound(f"{self.name} has no secret at {self.place_of(secret)}, or hides it from us")
        found = _data(answer)
        if answer.status != 200 or found is None:
            raise self._read_failure(answer)
        try:
            return _metadata(found)
        except (KeyError, TypeError, ValueError, AttributeError):
            # Without the cause, whose text could hold what Vault said.
            raise CannotSee(f"{self.name}: its answer is no metadata of KV version 2") from None

    async def has_key(self, secret: VaultSecret, version: int) -> bool:
        """By the names of the keys alone: Vault leaves out the values. Raises: ReadError."""
        params = (("version", str(version)), ("depth", "1"))
        answer = await self._read("GET", self._path("subkeys", secret), params=params)
        found = _data(answer)
        if answer.status != 200 or found is None or not isinstance(found.get("subkeys"), Mapping):
            raise self._read_failure(answer)
        return secret.key in found["subkeys"]

    async def value(self, secret: VaultSecret, version: int) -> str | None:
        """The value of the key in one version. None where that version, or the key in it, is gone.

        Never to be told to anybody, not in an error either. Raises: ReadError.
        """
        answer = await self._read("GET", self._path("data", secret), params=(("version", str(version)),))
        if answer.status == 404:
            return None
        found = _data(answer)
        data = None if found is None else found.get("data")
        if answer.status != 200 or not isinstance(data, Mapping):
            raise self._read_failure(answer)
        value = data.get(secret.key)
        return value if isinstance(value, str) else None

    async def missing(self, wanted: Mapping[str, Sequence[str]]) -> list[str]:
        """Which of these capabilities (by path) our token lacks: `patch on secret/data/db`. Raises: ReadError."""
        answer = await self._read("POST", "/v1/sys/capabilities-self", {"paths": sorted(wanted)})
        content = answer.json()
        if answer.status != 200 or not isinstance(content, Mapping):
            raise self._read_failure(answer)
        known = _data(answer) or content
        lacking = []
        for path, needs in wanted.items():
            have = known.get(path) or ()
            if "root" not in have:
                lacking += [f"{need} on {path}" for need in needs if need not in have]
        return lacking

    # --- what is sent ---------------------------------------------------------------------------------------------

    async def fresh(self) -> None:
        """A token made for what is sent next: a 403 is then no reason to send twice. Raises: EffectError."""
        try:
            await self._sign_in(instead_of=self._token)
        except Forbidden as exc:
            raise Refused(str(exc), forbidden=True) from exc
        except ReadError as exc:
            raise Unavailable(f"nothing was sent: {exc}") from exc

    async def mark(self, secret: VaultSecret, name: str, text: str) -> None:
        """One entry of the secret's own metadata; no version is made. Raises: EffectError."""
        body = {"custom_metadata": {name: text}}
        answer = await self._wire.exchange("PATCH", self._path("metadata", secret), body, headers=MERGE)
        if answer.status not in (200, 204):
            raise self._send_failure(answer)

    async def write(self, secret: VaultSecret, value: str, *, on_top_of: int) -> int | None:
        """The key's value as a new version, where `on_top_of` is the current one; all other keys stay.

        Returns the version that was made, None when another one is the current one. Raises: EffectError.
        """
        body = {"options": {"cas": on_top_of}, "data": {secret.key: value}}
        answer = await self._wire.exchange("PATCH", self._path("data", secret), body, headers=MERGE)
        if answer.status == 400 and MOVED_ON in _errors(answer):
            return None
        if answer.status == 404:
            raise Refused(f"{self.name}: version {on_top_of} of {self.place_of(secret)} is deleted")
        found = _data(answer)
        if answer.status != 200 or found is None or not isinstance(found.get("version"), int):
            raise self._send_failure(answer)
        return int(found["version"])

    # --- how ------------------------------------------------------------------------------------------------------

    def place_of(self, secret: VaultSecret) -> str:
        return f"{self.settings.mount}/{secret.path}"

    def path_of(self, what: str, secret: VaultSecret) -> str:
        """As policies have it."""
        return f"{self.settings.mount}/{what}/{secret.path}"

    def _path(self, what: str, secret: VaultSecret) -> str:
        return f"/v1/{self.path_of(what, secret)}"

    async def _read(self, method: str, path: str, body: Any = None, params: Sequence[tuple[str, str]] = ()) -> Answered:
        """With another token once, where the one that we have is not taken. Raises: ReadError."""
        if not self._token:
            await self._sign_in()
        used = self._token
        answer = await asked(self._wire, method, path, body, params=params, max_bytes=MAX_READ)
        if answer.status == 403 and self._signs_in:
            await self._sign_in(instead_of=used)
            answer = await asked(self._wire, method, path, body, params=params, max_bytes=MAX_READ)
        return answer

    async def _sign_in(self, *, instead_of: str = "") -> None:
        """One for all who ask at the same time. Raises: ReadError."""
        if not self._signs_in:
            return
        async with self._signing_in:
            if self._token == instead_of:
                self._token = await self._new_token()

    async def _new_token(self) -> str:
        """Raises: ReadError."""
        auth = self.settings.auth
        try:
            if auth.kubernetes is not None:
                mount = auth.kubernetes.mount
                body = {"role": auth.kubernetes.role, "jwt": auth.kubernetes.token_file.read()}
            else:
                assert auth.approle is not None
                mount = auth.approle.mount
                body = {"role_id": auth.approle.role_id, "secret_id": auth.approle.secret_id_file.read()}
        except InvalidConfig as exc:
            raise CannotSee(f"{self.name}: {exc}") from exc
        answer = await asked(self._plain, "POST", f"/v1/auth/{mount}/login", body)
        content = answer.json()
        found = content.get("auth") if isinstance(content, Mapping) else None
        token = found.get("client_token") if isinstance(found, Mapping) else None
        if answer.status in (400, 401, 403):
            raise Forbidden(f"{self.name} does not let us in at auth/{mount}: {self._said(answer)}")
        if answer.status != 200 or not isinstance(token, str) or not token:
            raise CannotSee(f"{self.name} gave no token at auth/{mount}: {self._said(answer)}")
        return token

    @property
    def _signs_in(self) -> bool:
        return self.settings.auth.token_file is None

    def _common(self) -> Mapping[str, str]:
        namespace = {"X-Vault-Namespace": self.settings.namespace} if self.settings.namespace else {}
        return {"X-Vault-Request": "true", **namespace}

    def _login(self) -> Mapping[str, str]:
        """Raises: InvalidConfig."""
        fixed = self.settings.auth.token_file
        token = self._token if fixed is None else fixed.read()
        return {**self._common(), **({"X-Vault-Token": token} if token else {})}

    def _said(self, answer: Answered) -> str:
        known = _known(answer)
        return f"HTTP {answer.status}{': ' if known else ''}{known}"

    def _read_failure(self, answer: Answered) -> ReadError:
        said = f"{self.name}: {self._said(answer)}"
        if answer.status == 403:
            return Forbidden(said)
        return NotFound(said) if answer.status == 404 else CannotSee(said)

    def _send_failure(self, answer: Answered) -> EffectError:
        """Sealed, behind (412) and on standby are Vault's own words for: not done."""
        bare = Answered(answer.status, answer.headers, _known(answer).encode())
        if (answer.status == 503 and SEALED in _errors(answer)) or answer.status in (412, 472, 473):
            return Unavailable(f"{self.name}: {self._said(answer)}")
        return send_failure(self._wire, bare)


def _data(answer: Answered) -> Mapping[str, Any] | None:
    content = answer.json()
    found = content.get("data") if isinstance(content, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _known(answer: Answered) -> str:
    return ", ".join(text for text in TOLD if text in _errors(answer))


def _errors(answer: Answered) -> str:
    content = answer.json()
    errors = content.get("errors") if isinstance(content, Mapping) else None
    return "\n".join(str(one) for one in errors) if isinstance(errors, list) else ""


def _metadata(found: Mapping[str, Any]) -> Metadata:
    """Raises: KeyError, TypeError, ValueError, AttributeError."""
    current = int(found["current_version"])
    versions = {int(number): _state(one) for number, one in found["versions"].items()}
    return Metadata(
        current=current,
        created=str((found["versions"].get(str(current)) or {}).get("created_time", ""))[:50],
        max_versions=int(found["max_versions"]),
        cas_required=bool(found["cas_required"]),
        delete_after=str(found.get("delete_version_after") or "0s")[:50],
        custom={str(name): str(text) for name, text in (found.get("custom_metadata") or {}).items()},
        versions=versions,
    )


def _state(one: Mapping[str, Any]) -> str:
    """A time of deletion that lies ahead counts as deleted: the version is about to go."""
    if one.get("destroyed"):
        return "destroyed"
    return "deleted" if one.get("deletion_time") else "there"
