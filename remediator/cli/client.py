"""Talks to a running `serve` over its API: TCP or unix socket, with a named token. Never to the store.

Plain `http.client`: one request per command, no proxy in between, and it starts in no time.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from remediator import __version__
from remediator.cli.problems import NO, WRONG_USE, Problem

DEFAULT_SERVER = "http://127.0.0.1:8080"
UNIX = "unix:"
TIMEOUT_S = 30.0
PREFIX = "/api/v1"
_NO_CODES = {403, 404, 409}
"""The service understood, and the answer is no."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True, slots=True)
class Client:
    """`server` is `http(s)://host:port` or `unix:/path`. Every method raises Problem."""

    server: str
    token: str

    def get(self, path: str, **query: object) -> Any:
        return self._call("GET", path, query=query)

    def post(self, path: str, body: object) -> Any:
        return self._call("POST", path, body=body)

    def delete(self, path: str, **query: object) -> Any:
        return self._call("DELETE", path, query=query)

    def _call(self, method: str, path: str, *, query: Mapping[str, object] | None = None, body: object = None) -> Any:
        given = {key: value for key, value in (query or {}).items() if value not in ("", None)}
        target = self._base + PREFIX + path + (f"?{urlencode(given)}" if given else "")
        headers = {"User-Agent": f"remediator-cli/{__version__}", "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            return _answer(response.status, response.read(), self.server, has_token=bool(self.token))
        except (OSError, http.client.HTTPException) as exc:
            said = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
            raise Problem(
                f"no answer from {self.server}: {said}",
                advice="Is `remediator serve` running there? Set --server or REMEDIATOR_SERVER.",
            ) from exc
        finally:
            connection.close()

    @property
    def _base(self) -> str:
        """A path in front, for a service behind a reverse proxy."""
        return "" if self.server.startswith(UNIX) else urlsplit(self.server).path.rstrip("/")

    def _connection(self) -> http.client.HTTPConnection:
        if self.server.startswith(UNIX):
            return _UnixConnection(self.server.removeprefix(UNIX).removeprefix("//"))
        url = urlsplit(self.server)
        try:
            host, port = url.hostname, url.port
        except ValueError:
            host = port = None
        if url.scheme not in ("http", "https") or not host:
            raise Problem(f"--server {self.server!r} is no address", advice="Write http://HOST:PORT or unix:/path.")
        if url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)


def client_for(server: str, token_file: Path | None) -> Client:
    """The token comes from a file or the environment, never from the command line, where everybody could read it."""
    file = token_file or (Path(path) if (path := os.environ.get("REMEDIATOR_TOKEN_FILE")) else None)
    token = os.environ.get("REMEDIATOR_TOKEN", "")
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise Problem(f"token file {file} cannot be read: {getattr(exc, 'strerror', exc)}") from exc
    token = token.strip()
    if not token.isprintable() or not token.isascii():
        raise Problem("the token holds characters that no token has", advice="Is it the right file?")
    return Client(server, token)


def segment(text: str) -> str:
    """One part of a path."""
    return quote(text, safe="")


def _answer(status: int, data: bytes, server: str, *, has_token: bool) -> Any:
    try:
        body = json.loads(data) if data else {}
    except ValueError:
        body = None
    if status < 300 and body is not None:
        return body
    if not isinstance(body, dict) or "detail" not in body:
        raise Problem(f"{server} answered {status}, and not like remediator", advice="Is --server right?")
    next_step = body.get("next", "")
    if status == 401 and not has_token:
        next_step = "Give a token: --token-file, REMEDIATOR_TOKEN_FILE or REMEDIATOR_TOKEN."
    elif status == 401:
        next_step = "The token that was given is not one of the service's `api:` tokens."
    raise Problem(body["detail"], advice=next_step, code=NO if status in _NO_CODES else WRONG_USE)
