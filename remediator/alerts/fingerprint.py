"""Alertmanager's fingerprint of a label set: the identity of an alert."""

from __future__ import annotations

from collections.abc import Mapping

_OFFSET = 14695981039346656037
_PRIME = 1099511628211
_MASK = (1 << 64) - 1
_SEPARATOR = b"\xff"  # never part of UTF-8, so no two label sets read the same


def fingerprint(labels: Mapping[str, str]) -> str:
    """16 hex digits: FNV-1a 64 over the labels sorted by name, each as `name 0xFF value 0xFF`.

    Labels with an empty value do not count: to Prometheus they do not exist.
    Source: prometheus/common, model/fnv.go and model/signature.go.
    """
    text = b"".join(
        part
        for name in sorted(labels)
        if labels[name]
        for part in (name.encode("utf-8", "replace"), _SEPARATOR, labels[name].encode("utf-8", "replace"), _SEPARATOR)
    )
    digest = _OFFSET
    for byte in text:
        digest = ((digest ^ byte) * _PRIME) & _MASK
    return f"{digest:016x}"
