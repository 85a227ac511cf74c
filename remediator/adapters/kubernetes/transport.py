"""One HTTP exchange with an API server: exact bytes, bounded in time, sent once.

kubernetes_asyncio gives us what is tedious to get right: kubeconfigs, exec plugins, OIDC, client certificates and the
authorisation header. Two things we replace:

- **Its import.** `import kubernetes_asyncio` pulls in all generated models: 32 MB and seconds of start. The few modules
  we need are loaded beside empty stand-ins for the rest, and `sys.modules` is put back as it was, so a plug-in that
  wants the whole library still gets it.
- **Its HTTP client.** It re-serialises JSON bodies (we promise to send the bytes on record), honours proxy variables
  and netrc, follows redirects, has no timeouts, and lets aiohttp repeat a DELETE whose keep-alive connection broke (a
  second DELETE answers 404 and would hide that the first one worked).
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import ssl
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import aiohttp

from remediator.adapters.kubernetes.credentials import Configuration, Credentials
from remediator.adapters.kubernetes.wire import Call

LIBRARY = "kubernetes_asyncio"
POOL_SIZE = 100
KEEP_ALIVE_S = 60.0
"""Shorter than the API server's own 90 s, so that we seldom write to a connection that it is just closing."""
CONNECT_TIMEOUT_S = 3.0
CLOSING_S = 2.0
"""How long closing waits for the requests under way."""
READ_BUFFER = 2**21  # a watch line holds a whole object; etcd takes up to 1.5 MiB


@dataclass(frozen=True, slots=True)
class Library:
    """What we use of kubernetes_asyncio."""

    api_client: Any
    configuration: Any
    load_kube_config: Any


def import_library() -> Library:
    """Import kubernetes_asyncio's transport without its generated models and APIs."""
    if LIBRARY in sys.modules:  # somebody has paid for all of it already
        return _library()
    spec = importlib.util.find_spec(LIBRARY)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {LIBRARY!r}", name=LIBRARY)
    before = set(sys.modules)
    root = _stand_in(LIBRARY, list(spec.submodule_search_locations))
    client = _stand_in(f"{LIBRARY}.client", [f"{folder}/client" for folder in root.__path__])
    _stand_in(f"{LIBRARY}.client.models", [])
    try:
        # kubernetes_asyncio.config takes these two from the package that is a stand-in now.
        client.__dict__["Configuration"] = importlib.import_module(f"{LIBRARY}.client.configuration").Configuration
        client.__dict__["ApiClient"] = importlib.import_module(f"{LIBRARY}.client.api_client").ApiClient
        return _library()
    finally:
        for name in set(sys.modules) - before:
            if name == LIBRARY or name.startswith(f"{LIBRARY}."):
                del sys.modules[name]


def _stand_in(name: str, path: list[str]) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = path
    sys.modules[name] = module
    return module


def _library() -> Library:
    return Library(
        importlib.import_module(f"{LIBRARY}.client.api_client").ApiClient,
        importlib.import_module(f"{LIBRARY}.client.configuration").Configuration,
        importlib.import_module(f"{LIBRARY}.config.kube_config").load_kube_config,
    )


library = import_library()


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotUpgraded(Exception):
    """The server answered a websocket's handshake as plain HTTP."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status}")
        self.reply = reply


class _HttpClient:
    """What ApiClient sends its requests with, in place of its own `request`: the same signature, our rules."""

    def __init__(self, configuration: Configuration) -> None:
        self.tls = _tls(configuration)
        self._server_hostname = configuration.tls_server_name
        self._proxy = configuration.proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=POOL_SIZE, ssl=self.tls, keepalive_timeout=KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            read_bufsize=READ_BUFFER,
        )
        # aiohttp repeats "idempotent" requests on a broken keep-alive connection and has no public switch for it.
        self._session._retry_connection = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes | None = None,
        query_params: Any = None,
        _request_timeout: aiohttp.ClientTimeout,
        **_: object,
    ) -> aiohttp.ClientResponse:
        return await self._session.request(
            method,
            f"{url}?{urlencode(query_params)}" if query_params else url,
            headers=headers,
            data=body,
            timeout=_request_timeout,
            allow_redirects=False,
            proxy=self._proxy,
            server_hostname=self._server_hostname,
        )

    @asynccontextmanager
    async def websocket(
        self, url: str, *, headers: Mapping[str, str], protocols: Sequence[str], limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A websocket on our connections. Raises: NotUpgraded."""
        wires: list[asyncio.Transport] = []

        async def refusal(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            """aiohttp throws the body of a refused handshake away (it says why), and would follow a redirect."""
            response = await send(request)
            if response.status != 101:
                async with response:
                    raise NotUpgraded(Reply(response.status, response.headers, await response.read()))
            if response.connection is not None and response.connection.transport is not None:
                wires.append(response.connection.transport)
            return response

        async with aiohttp.ClientSession(
            connector=self._session.connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=limits,
            middlewares=(refusal,),
        ) as session:
            session._retry_connection = False  # a handshake is a GET, and starts a program
            try:
                async with session.ws_connect(
                    url,
                    protocols=protocols,
                    headers=headers,
                    proxy=self._proxy,
                    server_hostname=self._server_hostname,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                ) as socket:
                    yield socket
            finally:
                for wire in wires:
                    wire.abort()  # a server that is busy with a program would keep a TLS connection closing for long
                await asyncio.sleep(0)

    async def close(self) -> None:
        await self._session.close()


def _tls(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.disable_strict_ssl_verification:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class Transport:
    """Connections and credentials for one API server. Raises what aiohttp raises; `cluster.py` translates."""

    def __init__(self, credentials: Credentials, configuration: Configuration, user_agent: str) -> None:
        self._credentials = credentials
        self._configuration = configuration
        self._user_agent = user_agent
        self._http: _HttpClient | None = None
        self._api: Any = None
        self._under_way: set[asyncio.Future[None]] = set()

    @classmethod
    async def open(cls, credentials: Credentials, *, user_agent: str, x509_strict: bool = True) -> Transport:
        """Raises: InvalidConfig."""
        configuration = library.configuration()
        configuration.disable_strict_ssl_verification = not x509_strict
        await credentials.load(configuration)
        transport = cls(credentials, configuration, user_agent)
        await transport._start()
        return transport

    async def _start(self) -> None:
        self._api = library.api_client(configuration=self._configuration)
        await self._api.rest_client.close()
        self._http = self._api.rest_client = _HttpClient(self._configuration)
        self._api.request = self._http.request
        self._api.user_agent = self._user_agent

    async def exchange(self, call: Call, *, timeout_s: float) -> Reply:
        """Send once, read the whole answer."""
        limits = aiohttp.ClientTimeout(
            total=timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s), sock_connect=min(CONNECT_TIMEOUT_S, timeout_s)
        )
        done = asyncio.get_running_loop().create_future()
        self._under_way.add(done)
        try:
            async with self._response(call, limits) as response:
                return Reply(response.status, response.headers, await response.read())
        finally:
            self._under_way.discard(done)
            done.set_result(None)

    @asynccontextmanager
    async def stream(self, call: Call, *, silence_s: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that goes on for long; a silence of `silence_s` ends it with a timeout."""
        limits = aiohttp.ClientTimeout(
            total=None, connect=CONNECT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S, sock_read=silence_s
        )
        async with self._response(call, limits) as response:
            yield response

    @asynccontextmanager
    async def websocket(
        self, call: Call, *, protocols: Sequence[str], timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A websocket, opened once; the caller bounds how long it may last. Raises: NotUpgraded."""
        assert self._http is not None
        headers = {"User-Agent": self._user_agent}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"])
        limits = aiohttp.ClientTimeout(
            total=timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s), sock_connect=min(CONNECT_TIMEOUT_S, timeout_s)
        )
        url = f"{self._configuration.host}{call.path}?{urlencode(call.query)}"
        async with self._http.websocket(url, headers=headers, protocols=protocols, limits=limits) as socket:
            yield socket

    @asynccontextmanager
    async def _response(self, call: Call, limits: aiohttp.ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": "application/json, */*"}  # as kubectl: logs are no JSON
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        response: aiohttp.ClientResponse = await self._api.call_api(
            call.path,
            call.method,
            query_params=list(call.query),
            header_params=headers,
            body=call.body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=limits,
        )
        self._api.last_response = None  # would keep the last body alive
        async with response:
            yield response

    async def refresh(self) -> None:
        """Read the credentials anew, also rotated certificates; they hold for connections made from now on.

        Raises: InvalidConfig, ssl.SSLError, OSError.
        """
        fresh = library.configuration()
        await self._credentials.load(fresh)
        self._configuration.api_key = fresh.api_key
        self._configuration.refresh_api_key_hook = fresh.refresh_api_key_hook
        if self._http is not None:
            if fresh.ssl_ca_cert:
                self._http.tls.load_verify_locations(cafile=fresh.ssl_ca_cert)
            if fresh.cert_file:
                self._http.tls.load_cert_chain(fresh.cert_file, keyfile=fresh.key_file)

    async def close(self) -> None:
        """Requests under way may end first: aiohttp leaves a connection behind that is only being made."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=CLOSING_S)
        if self._api is not None:
            await self._api.close()
