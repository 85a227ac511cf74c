"""Reading a request's body: bounded in size, in time, and in memory over all requests together."""

from __future__ import annotations

import asyncio

from aiohttp import web

READ_TIMEOUT_S = 30.0
"""A sender that dribbles must not hold a connection; 16 MiB in this time is 0.5 MiB/s."""


class BodyTooLarge(Exception):
    """More bytes than this route takes."""


class BodyTooSlow(Exception):
    """It did not arrive in time."""


class BodyBroken(Exception):
    """Its chunks or its compression cannot be read."""


class TooMuchAtOnce(Exception):
    """Other requests hold the memory that is set aside for bodies; a later try may pass."""


class BodyReader:
    """Reads bodies of at most `limit` bytes, at most `budget` bytes of unfinished bodies at any moment."""

    def __init__(self, limit: int, *, budget: int, timeout_s: float | None = None) -> None:
        self._limit = limit
        self._timeout_s = timeout_s
        self._budget = budget
        self._held = 0

    async def read(self, request: web.Request) -> bytes:
        """The whole body. Raises: BodyTooLarge, BodyTooSlow, BodyBroken, TooMuchAtOnce."""
        length = request.content_length
        if length is not None and length > self._limit:
            raise BodyTooLarge
        content = request.content
        if length is not None and content.is_eof() and content.exception() is None:
            # It came in one piece with the headers, as a small webhook does: no timer, no task switch.
            data = content.read_nowait()
            if len(data) > self._limit:  # it was compressed
                raise BodyTooLarge
            return data
        reserved = self._limit if length is None else length
        if self._held + reserved > self._budget:
            raise TooMuchAtOnce
        self._held += reserved
        try:
            async with asyncio.timeout(self._timeout_s or READ_TIMEOUT_S):
                return await self._pieces(request)
        except TimeoutError:
            raise BodyTooSlow from None
        except web.RequestPayloadError as exc:
            raise BodyBroken(str(exc)) from exc
        finally:
            self._held -= reserved

    async def _pieces(self, request: web.Request) -> bytes:
        body = bytearray()
        while piece := await request.content.readany():
            body += piece
            if len(body) > self._limit:
                raise BodyTooLarge
        return bytes(body)
