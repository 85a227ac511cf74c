"""Airflow's REST API, as far as we use it: `/api/v2` (Airflow 3) and `/api/v1` (Airflow 2).

What differs: v2 wants a JWT from `/auth/token`, v1 takes user and password; v2 refuses unknown keys (422) and a trigger
without `logical_date`; health and logs have other paths and forms. In both, clearing rehearses unless told otherwise.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from remediator.adapters.callers.http_wire import Answered, Wire, asked, read_failure
from remediator.adapters.json_out import Headers, basic, bearer, trusting
from remediator.errors import CannotSee, Forbidden, InvalidConfig, NotFound, ReadError, Unavailable
from remediator.outside import Airflow
from remediator.secret_files import Secret

MAX_READ = 4 * 2**20
PAGE = 100
MOST_TASKS = 500
REJECTED = (401, 403)
"""What a token that has run out gets, and one that was signed with a key that Airflow has no more."""
NAME = re.compile(r"[A-Za-z0-9_.~:+-]{1,250}")
"""DAG, run and task ids, as Airflow allows them."""


def named(kind: str, text: Any) -> str:
    """An id as one part of a path. Raises: NotFound for what cannot be one."""
    if not isinstance(text, str) or NAME.fullmatch(text) is None or text in (".", ".."):
        raise NotFound(f"{text!r:.80} is no id of a {kind}")
    return quote(text, safe="")


class AirflowApi:
    """One Airflow. Raises ReadErrors for questions, EffectErrors for what is sent."""

    def __init__(self, settings: Airflow) -> None:
        """Raises: InvalidConfig."""
        self.name = settings.name
        self.v2 = settings.api == "v2"
        self._settings = settings
        self._token = ""
        self._signing_in = asyncio.Lock()
        tls = trusting(settings.ca, f"outside.airflow {settings.name}")
        timeout_s = settings.timeout.total_seconds()
        self._plain = Wire(self.name, settings.base_url, tls=tls, timeout_s=timeout_s)
        self.wire = Wire(self.name, settings.base_url, login=self._login(), tls=tls, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._plain.close()
        await self.wire.close()

    async def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> Any:
        """The JSON of a question. Raises: ReadError."""
        answer = await self.read(path, params)
        content = answer.json()
        if not isinstance(content, dict):
            raise CannotSee(f"{self.name} answered {'too much' if answer.cut else 'no JSON'} for {path}")
        return content

    async def read(
        self, path: str, params: Sequence[tuple[str, str]] = (), headers: Mapping[str, str] | None = None
    ) -> Answered:
        """Raises: ReadError."""
        if not self._token:
            await self.sign_in()
        used = self._token
        answer = await self._read(path, params, headers)
        if answer.status in REJECTED and self._signs_in:
            await self.sign_in(instead_of=used)
            answer = await self._read(path, params, headers)
        if answer.status != 200:
            raise read_failure(self.wire, answer)
        return answer

    async def send(self, method: str, path: str, body: Any) -> Answered:
        """Once, with a token that was made for it: a 401 is then no reason to send twice. Raises: EffectError."""
        try:
            await self.sign_in(instead_of=self._token)
        except ReadError as exc:
            raise Unavailable(f"nothing was sent: {exc}") from exc
        return await self.wire.exchange(method, self._path(path), body, max_bytes=MAX_READ)

    async def ask_by_post(self, path: str, body: Any) -> Answered:
        """A POST that changes nothing (a rehearsal), with a token made for it as well. Raises: ReadError."""
        await self.sign_in(instead_of=self._token)
        return await asked(self.wire, "POST", self._path(path), body, max_bytes=MAX_READ)

    async def sign_in(self, *, instead_of: str = "") -> None:
        """Another token, where there is one to get: one for all who ask at the same time. Raises: ReadError."""
        if not self._signs_in:
            return
        async with self._signing_in:
            if self._token == instead_of:
                self._token = await self._new_token()

    async def _new_token(self) -> str:
        """Raises: ReadError."""
        assert self._settings.password_file is not None
        try:
            credentials = {"username": self._settings.username, "password": self._settings.password_file.read()}
        except InvalidConfig as exc:
            raise CannotSee(f"{self.name}: {exc}") from exc
        answer = await asked(self._plain, "POST", "/auth/token", credentials)
        content = answer.json()
        token = content.get("access_token") if isinstance(content, dict) else None
        if answer.status in (401, 403):
            raise Forbidden(f"{self.name} does not let {self._settings.username} in (HTTP {answer.status})")
        if answer.status not in (200, 201) or not isinstance(token, str) or not token:
            raise CannotSee(f"{self.name} gave no token at /auth/token (HTTP {answer.status})")
        return token

    @property
    def _signs_in(self) -> bool:
        return self.v2 and bool(self._settings.username)

    def _login(self) -> Headers:
        if self._settings.token_file is not None:
            return bearer(_reading(self._settings.token_file))
        assert self._settings.password_file is not None
        if self.v2:
            return lambda: {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return basic(self._settings.username, _reading(self._settings.password_file))

    async def _read(self, path: str, params: Sequence[tuple[str, str]], headers: Mapping[str, str] | None) -> Answered:
        return await asked(self.wire, "GET", self._path(path), params=params, headers=headers, max_bytes=MAX_READ)

    def _path(self, path: str) -> str:
        return f"/api/{'v2' if self.v2 else 'v1'}{path}"


def _reading(secret: Secret) -> Any:
    return secret.read
