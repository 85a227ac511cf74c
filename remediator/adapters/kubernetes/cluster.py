"""The `Cluster` port over HTTP: reads are retried within a few seconds, a write is sent exactly once."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, stop_before_delay

from remediator import __version__
from remediator.adapters.answers import Answer, effect_error, parse_answer, read_error
from remediator.adapters.kubernetes.credentials import Credentials, InCluster, KubeConfig
from remediator.adapters.kubernetes.exec import Executed, exec_call, run
from remediator.adapters.kubernetes.transport import Reply, Transport, library
from remediator.adapters.kubernetes.wire import (
    BadNameError,
    Call,
    access_review,
    collection_path,
    list_query,
    object_path,
    write_call,
)
from remediator.errors import (
    CannotSee,
    InvalidConfig,
    NotFound,
    ReadError,
    Refused,
    Unavailable,
    Uncertain,
)
from remediator.objects import KINDS, Kind, Object, ObjectRef, dig
from remediator.ports import ObjectList, WatchEvent, WriteRequest

log = structlog.get_logger(__name__)

PAGE = 500
READ_TRIES = 3
LIST_RESTARTS = 3
"""How often a list begins anew because its continue token expired (410)."""
WATCH_S = 60.0
"""The server ends a watch after this; reopening is cheap, and a dead connection is noticed soon after."""
SILENCE_S = 15.0
"""How much longer than `watch_s` a watch may be silent: a half-open connection would be so for ever."""
LOG_OVERFETCH = 16
LOG_MOST = 4 * 2**20
MAX_WATCH_LINE = 16 * 2**20

NOTHING_SENT = (
    aiohttp.ClientConnectorError,  # refused, unreachable, DNS, TLS
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,  # the proxy would not open the tunnel
    aiohttp.InvalidURL,
)
BROKEN = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""All that the HTTP stack raises; ValueError for headers and answers that cannot be read."""


class _TryAgainError(Exception):
    """A read that may pass in a moment. Never leaves this module."""

    def __init__(self, error: CannotSee, retry_after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


class KubernetesCluster:
    """One Kubernetes API server. Make it with `connect` inside a running event loop and `close` it."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        *,
        kinds: Mapping[str, Kind] = KINDS,
        read_timeout_s: float = 5.0,
        write_timeout_s: float = 10.0,
        watch_s: float = WATCH_S,
    ) -> None:
        self._name = name
        self._transport = transport
        self._kinds = kinds
        self._read_timeout_s = read_timeout_s
        self._write_timeout_s = write_timeout_s
        self._watch_s = watch_s
        self._refreshing = asyncio.Lock()
        self._credentials_epoch = 0

    @classmethod
    async def connect(
        cls,
        name: str,
        *,
        kubeconfig: str | Path | None = None,
        context: str | None = None,
        token_file: str | Path | None = None,
        x509_strict: bool = True,
        kinds: Mapping[str, Kind] = KINDS,
        read_timeout_s: float = 5.0,
        write_timeout_s: float = 10.0,
        watch_s: float = WATCH_S,
    ) -> Self:
        """Prepare, without a request, to talk to the cluster of this pod or of a kubeconfig (and context).

        `token_file` replaces the token (in a pod) or the credentials (of the context). `x509_strict=False` accepts
        cluster CAs without the key-usage extensions that Python 3.13 asks for. `kinds` may add kinds to the known ones.
        `read_timeout_s` bounds a read with its retries (a list: each page), `write_timeout_s` a write.
        Raises: InvalidConfig.
        """
        credentials: Credentials
        if kubeconfig is not None:
            replaced_by = Path(token_file) if token_file is not None else None
            credentials = KubeConfig(Path(kubeconfig), context, library.load_kube_config, replaced_by)
        else:
            credentials = InCluster(token_file=Path(token_file)) if token_file is not None else InCluster()
        try:
            transport = await Transport.open(
                credentials, user_agent=f"remediator/{__version__}", x509_strict=x509_strict
            )
        except (OSError, ssl.SSLError) as exc:
            raise InvalidConfig(f"cannot use the certificates for cluster {name}: {exc}") from exc
        return cls(
            name,
            transport,
            kinds=kinds,
            read_timeout_s=read_timeout_s,
            write_timeout_s=write_timeout_s,
            watch_s=watch_s,
        )

    @property
    def name(self) -> str:
        return self._name

    async def close(self) -> None:
        await self._transport.close()

    # Reads

    async def get(self, ref: ObjectRef) -> Object:
        kind = self._kind(ref.kind)
        call = Call("GET", _path(object_path, kind, ref))
        obj = _parse((await self._read(call, explain=partial(_unknown_path, kind))).body)
        if not isinstance(obj, dict) or "metadata" not in obj:
            raise CannotSee(f"the answer for {ref} is not an object")
        return {"apiVersion": kind.api_version, "kind": kind.kind, **obj}

    async def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        known = self._kind(kind)
        path = _path(collection_path, known, namespace)
        for _ in range(LIST_RESTARTS):
            items: list[Object] = []
            token = ""
            while True:
                try:
                    call = Call("GET", path, list_query(labels, fields, PAGE, token))
                    reply = await self._read(call, explain=partial(_not_served, known))
                except _Expired:
                    break  # half a list is no list
                page = _parse(reply.body)
                found = dig(page, "items")
                if found is None and dig(page, "metadata") is None:
                    raise CannotSee(f"the answer for {known.plural} is not a list")
                head = {"apiVersion": known.api_version, "kind": known.kind}
                items += [{**head, **item} for item in found or ()]
                token = dig(page, "metadata", "continue", default="")
                if not token:
                    return ObjectList(tuple(items), str(dig(page, "metadata", "resourceVersion", default="")))
        raise CannotSee(f"the list of {known.plural} expired {LIST_RESTARTS} times before its last page")

    async def watch(self, kind: str, namespace: str = "", *, resource_version: str) -> AsyncIterator[WatchEvent]:
        query = {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, round(self._watch_s))),
        }
        call = Call("GET", _path(collection_path, self._kind(kind), namespace), tuple(query.items()))
        try:
            async with self._transport.stream(call, silence_s=self._watch_s + SILENCE_S) as response:
                if response.status != 200:
                    if response.status == 401:
                        await self._refresh(self._credentials_epoch)
                    raise read_error(parse_answer(response.status, response.headers, await response.read()))
                async for line in _lines(response):
                    event = _watch_event(line)
                    if event is not None:
                        yield event
        except BROKEN as exc:
            raise CannotSee(f"watch of {kind} broke: {_text(exc)}") from exc

    async def logs(
        self, pod: ObjectRef, *, container: str = "", previous: bool = False, lines: int = 100, limit_bytes: int = 65536
    ) -> str:
        # limitBytes cuts off the end of what tailLines chose, and we want the end: ask for more, keep the last of it.
        at_most = min(max(limit_bytes * LOG_OVERFETCH, 2**20), LOG_MOST)
        query = {"tailLines": str(lines), "limitBytes": str(at_most)}
        if container:
            query["container"] = container
        if previous:
            query["previous"] = "true"
        path = f"{_path(object_path, self._kind('Pod'), pod)}/log"
        call = Call("GET", path, tuple(query.items()))
        reply = await self._read(call, explain=_no_previous_log if previous else _no_log)
        return reply.body[-limit_bytes:].decode("utf-8", "replace")

    async def allowed(self, verb: str, kind: str, namespace: str, *, subresource: str = "", name: str = "") -> bool:
        body = access_review(verb, self._kind(kind), namespace, subresource, name)
        reply = await self._read(Call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body))
        answer = _parse(reply.body)
        if not isinstance(dig(answer, "status", "allowed"), bool):
            raise CannotSee("the answer is not a SelfSubjectAccessReview")
        return bool(answer["status"]["allowed"])

    async def server_time(self) -> datetime:
        reply = await self._read(Call("GET", "/version"))
        try:
            at = parsedate_to_datetime(reply.headers["Date"])
        except (KeyError, ValueError) as exc:
            raise CannotSee("the answer has no readable Date") from exc
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)

    # The one write

    async def write(self, request: WriteRequest, *, dry_run: bool = False) -> Object:
        kind = self._kinds.get(request.ref.kind)
        if kind is None:
            raise Refused(f"kind {request.ref.kind!r} is not known")
        call = write_call(request, kind, dry_run=dry_run)
        epoch = self._credentials_epoch
        try:
            reply = await self._transport.exchange(call, timeout_s=self._write_timeout_s)
        except NOTHING_SENT as exc:
            raise Unavailable(f"nothing was sent: {_text(exc)}") from exc
        except BROKEN as exc:
            raise Uncertain(f"no answer to {request.verb} {request.ref}: {_text(exc)}") from exc
        if reply.status == 401:
            await self._refresh(epoch)  # for the read that comes before the next attempt
        if not 200 <= reply.status < 300:
            answered = parse_answer(reply.status, reply.headers, reply.body)
            raise effect_error(_told(kind, answered))
        try:
            answer = orjson.loads(reply.body)
        except ValueError as exc:
            raise Uncertain(f"{reply.status} with an unreadable body to {request.verb} {request.ref}") from exc
        if not isinstance(answer, dict):
            raise Uncertain(f"{reply.status} without an object to {request.verb} {request.ref}")
        return answer

    async def exec(
        self, pod: ObjectRef, *, container: str, argv: Sequence[str], timeout_s: float, limit_bytes: int = 65536
    ) -> Executed:
        """Run a program in a container of a pod, once, without a shell. Raises: EffectError."""
        try:
            call = exec_call(object_path(self._kinds["Pod"], pod), container, argv)
        except BadNameError as exc:
            raise Refused(str(exc)) from exc
        return await run(self._transport, call, pod, timeout_s=timeout_s, limit_bytes=limit_bytes)

    # How reads are read

    async def _read(self, call: Call, *, explain: Callable[[Answer], ReadError] = read_error) -> Reply:
        """One read, tried up to three times within `read_timeout_s`. Raises: ReadError, _Expired (410)."""
        deadline = asyncio.get_running_loop().time() + self._read_timeout_s
        try:
            return await self._read_once(call, deadline, explain)
        except _TryAgainError as exc:
            first = exc
        # Tenacity costs as much as half a request, so it comes in only now, and is told of the first failure.
        failures = iter((first,))

        async def again() -> Reply:
            for failure in failures:
                raise failure
            return await self._read_once(call, deadline, explain)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_TryAgainError),
            stop=stop_after_attempt(READ_TRIES) | stop_before_delay(deadline - asyncio.get_running_loop().time()),
            wait=_pause,
            reraise=True,
        )
        try:
            return await retrying(again)
        except _TryAgainError as exc:
            raise exc.error from exc.__cause__

    async def _read_once(self, call: Call, deadline: float, explain: Callable[[Answer], ReadError]) -> Reply:
        for fresh in (False, True):
            epoch = self._credentials_epoch
            left = max(deadline - asyncio.get_running_loop().time(), 0.05)
            try:
                reply = await self._transport.exchange(call, timeout_s=left)
            except aiohttp.ClientConnectorCertificateError as exc:
                if fresh or not await self._refresh(epoch):  # the cluster may have a new CA
                    raise CannotSee(_text(exc)) from exc
                continue
            except BROKEN as exc:
                raise _TryAgainError(CannotSee(f"{call.method} {call.path}: {_text(exc)}")) from exc
            if reply.status == 401 and not fresh and await self._refresh(epoch):
                continue
            break
        if 200 <= reply.status < 300:
            return reply
        answer = parse_answer(reply.status, reply.headers, reply.body)
        if answer.code == 410:
            raise _Expired(str(answer))
        error = explain(answer)
        if isinstance(error, CannotSee) and (answer.code == 429 or answer.code >= 500):
            raise _TryAgainError(error, answer.retry_after_s)
        raise error

    async def _refresh(self, epoch: int) -> bool:
        """Renew the credentials that were in use at `epoch`, once for all who found them bad at the same time."""
        async with self._refreshing:
            if self._credentials_epoch != epoch:
                return True
            try:
                await self._transport.refresh()
            except (InvalidConfig, OSError, ssl.SSLError) as exc:
                log.warning("cluster_credentials_refresh_failed", cluster=self._name, error=str(exc))
                return False
            self._credentials_epoch += 1
            log.info("cluster_credentials_refreshed", cluster=self._name)
            return True

    def _kind(self, kind: str) -> Kind:
        try:
            return self._kinds[kind]
        except KeyError:
            raise NotFound(f"kind {kind!r} is not known") from None


class _Expired(CannotSee):
    """410: the resourceVersion or continue token is too old."""


def _path(build: Callable[..., str], *args: object) -> str:
    try:
        return build(*args)
    except BadNameError as exc:
        raise NotFound(str(exc)) from exc


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError as exc:
        raise CannotSee(f"the answer is not JSON: {body[:80]!r}") from exc


def _pause(state: RetryCallState) -> float:
    """Seconds before the next try: what the server asked for, else 0.1 s, 0.4 s with jitter."""
    exc = state.outcome.exception() if state.outcome is not None else None
    if isinstance(exc, _TryAgainError) and exc.retry_after_s is not None:
        return exc.retry_after_s
    return 0.1 * 4.0 ** (state.attempt_number - 1) * random.uniform(0.7, 1.3)  # noqa: S311 spreading, not secrecy


NOT_SERVED = ("could not find the requested resource", "404 page not found")
"""How the API server says that it does not know a path. A proxy's 404 would not say so."""


def _told(kind: Kind, answer: Answer) -> Answer:
    """The same answer, with words for people where the API server does not know the kind."""
    if answer.code != 404 or answer.absent or not any(words in answer.message for words in NOT_SERVED):
        return answer
    name = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
    asks = ": is the operator installed?" if "." in kind.group else ""
    return replace(answer, message=f"{kind.api_version} {name} is not served by this cluster{asks}")


def _unknown_path(kind: Kind, answer: Answer) -> ReadError:
    return read_error(_told(kind, answer))


def _not_served(kind: Kind, answer: Answer) -> ReadError:
    """A list that is not there: the API server does not know the kind."""
    told = _told(kind, answer)
    return NotFound(told.message) if told is not answer else read_error(answer)


def _no_log(answer: Answer) -> ReadError:
    """The API server answers 400 for a log that is not there yet, and for a question that is not clear."""
    if answer.code == 400 and any(w in answer.message for w in ("is waiting to start", "is not valid for pod")):
        return NotFound(answer.message)
    return read_error(answer)


def _no_previous_log(answer: Answer) -> ReadError:
    """400 is also what a container without a terminated predecessor gets, in words that differ between kubelets."""
    if answer.code == 400 and "container name must be specified" not in answer.message:
        return NotFound(answer.message)
    return read_error(answer)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a watch. aiohttp's own readline gives up at twice its buffer."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > MAX_WATCH_LINE:
            raise CannotSee("a watch line exceeds 16 MiB")


def _watch_event(line: bytes) -> WatchEvent | None:
    """One line of a watch; None for a bookmark. Raises: CannotSee."""
    event = _parse(line)
    match dig(event, "type"):
        case "ADDED" | "MODIFIED" | "DELETED" as kind:
            return WatchEvent(kind, event["object"])
        case "BOOKMARK":
            return None
        case _:
            raise CannotSee(f"watch ended: {dig(event, 'object', 'message') or line[:80]!r}")


def _text(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}".rstrip(": ")
