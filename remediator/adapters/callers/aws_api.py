"""One DB instance of RDS: signed questions and requests, and what AWS's errors mean for us."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import aiohttp
from yarl import URL

from remediator.adapters.callers.aws_signing import Keys, WebIdentity, encoded, identity, signed
from remediator.adapters.callers.http_wire import Answered, Wire
from remediator.adapters.wire_errors import named
from remediator.errors import (
    CannotSee,
    EffectError,
    Forbidden,
    NotFound,
    ReadError,
    Refused,
    TargetGone,
    Unavailable,
    Uncertain,
)
from remediator.outside_aws import RdsInstance
from remediator.redact import redact

RDS_VERSION = "2014-10-31"
STS_VERSION = "2011-06-15"
MAX_ANSWER = 2 * 2**20
MAX_TOKEN = 64 * 1024
EARLY = timedelta(minutes=2)
"""How long before their end keys are renewed."""

_LATER = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "InvalidDBInstanceState", "ServiceUnavailable"}
)
_NOT_US = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "AuthFailure",
        "OptInRequired",
    }
)

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


class Api:
    """Nothing here is sent twice."""

    def __init__(self, place: RdsInstance, *, now: Clock = _now) -> None:
        self.place = place
        self._now = now
        suffix = "amazonaws.com.cn" if place.region.startswith("cn-") else "amazonaws.com"
        timeout_s = place.timeout.total_seconds()
        self._rds = place.endpoint or f"https://rds.{place.region}.{suffix}"
        self._sts = place.sts_endpoint or f"https://sts.{place.region}.{suffix}"
        self._wire = Wire(f"rds {place.name}", self._rds, timeout_s=timeout_s)
        self._keys: Keys | None = None

    async def close(self) -> None:
        await self._wire.close()

    async def read(self, action: str, **params: str) -> ElementTree.Element:
        """The answer to a question. Raises: ReadError."""
        try:
            answer = await self._exchange(action, params)
        except EffectError as exc:
            raise CannotSee(str(exc)) from exc
        if answer.status == 200:
            return _parsed(answer)
        code, said = failure(answer)
        if code.endswith(("NotFound", "NotFoundFault")):
            raise NotFound(f"{self.place.name}: {said}")
        raise (Forbidden if code in _NOT_US else CannotSee)(f"{self.place.name}: {said}")

    async def send(self, action: str, **params: str) -> tuple[str, str]:
        """("", "") when it was taken, otherwise AWS's code and words for what it refuses. Raises: EffectError."""
        try:
            answer = await self._exchange(action, params)
        except ReadError as exc:  # of our credentials, before anything was sent
            raise Unavailable(f"nothing was sent: {exc}") from exc
        if answer.status == 200:
            return "", ""
        code, said = failure(answer)
        message = f"{self.place.name}: {said}"
        if answer.status >= 500 or not code:
            raise Uncertain(message)
        if code in _LATER:
            raise Unavailable(message)
        if code in _NOT_US:
            raise Refused(message, forbidden=True)
        if code in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
            raise TargetGone(message)
        return code, message

    async def _exchange(self, action: str, params: Mapping[str, str]) -> Answered:
        """Raises: EffectError, ReadError."""
        keys = await self._current()
        query = encoded([("Action", action), ("Version", RDS_VERSION), *params.items()])
        headers = signed(
            keys,
            host=_host(self._rds),
            query=query,
            region=self.place.region,
            service="rds",
            now=self._now(),
        )
        return await self._wire.exchange("GET", f"/?{query}", headers=headers, max_bytes=MAX_ANSWER)

    async def _current(self) -> Keys:
        """Raises: ReadError."""
        found = identity(self.place)
        if isinstance(found, Keys):
            return found
        if self._keys is None or (self._keys.expires or self._now()) - EARLY <= self._now():
            self._keys = await self._assumed(found)
        return self._keys

    async def _assumed(self, who: WebIdentity) -> Keys:
        """Keys for a while, for the token of the pod. Raises: ReadError."""
        given = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": STS_VERSION,
            "RoleArn": who.role,
            "RoleSessionName": os.environ.get("AWS_ROLE_SESSION_NAME") or "remediator",
            "WebIdentityToken": who.token,
        }
        answer = await self._post(given)
        if answer.status != 200:
            code, said = failure(answer)
            raise (Forbidden if answer.status == 403 or code in _NOT_US else CannotSee)(
                redact(f"role {who.role}: {said}", known=[who.token])
            )
        found = _parsed(answer).find(".//Credentials")
        try:
            assert found is not None
            told = {part.tag: part.text or "" for part in found}
            expires = datetime.fromisoformat(told["Expiration"])
            return Keys(told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"], expires)
        except (AssertionError, KeyError, ValueError) as exc:
            raise CannotSee(f"role {who.role}: the answer has no credentials") from exc

    async def _post(self, form: Mapping[str, str]) -> Answered:
        """In the body, because an address is written down in many places. Once an hour. Raises: CannotSee."""
        timeout = aiohttp.ClientTimeout(total=self.place.timeout.total_seconds())
        try:
            async with (
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout) as session,
                session.post(f"{self._sts}/", data=form, allow_redirects=False) as response,
            ):
                body = await response.content.read(MAX_TOKEN)
                while not response.content.at_eof() and len(body) < MAX_TOKEN:
                    body += await response.content.read(MAX_TOKEN)
                return Answered(response.status, response.headers, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise CannotSee(f"sts {self.place.region}: no answer: {named(exc)}") from exc


def failure(answer: Answered) -> tuple[str, str]:
    """AWS's code for an error, and its words; an empty code where it is not AWS who speaks."""
    try:
        error = _parsed(answer).find(".//Error")
    except CannotSee:
        error = None
    if error is None:
        return "", f"HTTP {answer.status}"
    code = "".join(char for char in (error.findtext("Code") or "") if char.isalnum() or char == ".")[:80]
    text = " ".join((error.findtext("Message") or "").split())
    return code, f"{code}: {redact(text)[:300]}"


def _parsed(answer: Answered) -> ElementTree.Element:
    """Without namespaces. Raises: CannotSee."""
    if answer.cut or b"<!" in answer.body:  # no document types, so no entities of anybody's making
        raise CannotSee(f"AWS answered {'more than we read' if answer.cut else 'something else than XML'}")
    try:
        root = ElementTree.fromstring(answer.body)  # noqa: S314 without a document type there is nothing to expand
    except ElementTree.ParseError as exc:
        raise CannotSee("AWS answered something else than XML") from exc
    for one in root.iter():
        one.tag = one.tag.rpartition("}")[2]
    return root


def _host(url: str) -> str:
    found: Any = URL(url)
    host: str = found.host_port_subcomponent
    return host
