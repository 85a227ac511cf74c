"""Addresses to which tokens and secret values go."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def only_encrypted(url: str, what: str) -> str:
    """The url. Raises: ValueError for plain http, but to this machine."""
    if url.startswith("http://") and not _is_loopback(urlsplit(url).hostname or ""):
        raise ValueError(f"url: https only, but for a {what} on this machine: tokens and values go this way")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
