"""What went wrong on the wire, in words that hold nothing of the request.

aiohttp's errors carry the request along: the `repr` of some shows its headers with the token in them, the text of
others its address, which may itself be a permission.
"""

from __future__ import annotations

import aiohttp


def named(exc: Exception) -> str:
    """`ClientConnectorError: Cannot connect to host ...`; of most only the name."""
    name = type(exc).__name__
    if isinstance(exc, aiohttp.ClientConnectorError):  # host, port, and why not
        return f"{name}: {exc}"
    if isinstance(exc, aiohttp.ServerDisconnectedError) or not isinstance(exc, aiohttp.ClientError):
        return name
    status = getattr(exc, "status", None)
    return f"{name} {status}" if status else name
