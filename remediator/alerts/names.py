"""Kubernetes object names. Label values are untrusted text: one that is no name is never sent to the API server."""

from __future__ import annotations

import ipaddress
import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_LABEL = 63
_MAX_SUBDOMAIN = 253

# Kinds whose names are DNS labels; the others are DNS subdomains.
_LABEL_KINDS = frozenset({"Namespace", "Service"})


def name_problem(kind: str, name: str) -> str | None:
    """Why this cannot be the name of an object of that kind, or None.

    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
    """
    pattern, longest = (_LABEL, _MAX_LABEL) if kind in _LABEL_KINDS else (_SUBDOMAIN, _MAX_SUBDOMAIN)
    if len(name) > longest:
        return f"longer than the {longest} characters that a {kind} name may have"
    if not pattern.fullmatch(name):
        dots = "" if kind in _LABEL_KINDS else ", '.'"
        return f"not a {kind} name: lower case letters, digits, '-'{dots}, with a letter or digit at both ends"
    return None


def host_of(address: str) -> str | None:
    """The host of an `instance` label (`10.0.0.1:9100`, `[fd00::1]:9100`, `worker-1`), or None where it names no host.

    IP addresses come back in the one form that Kubernetes writes.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or (host.count(":") and not host.startswith("[")):
        host = address
    host = host.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None if name_problem("Node", host) else host
