"""Take secrets out of text that came from somewhere else: logs, events, error bodies.

Two nets. The first knows values by their form (JWTs, cloud keys, private keys, vendor tokens), the second by the name
they are given (`password=`, `"token": "..."`, `--api-key x`). Redacting too much costs a word of a log line, redacting
too little costs a secret, so names win over readability. No net is complete: log text still stays behind a role.

Every pattern is bounded, so hostile log lines cannot make it slow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MARK = "[redacted]"

SHORTEST_KNOWN = 6
"""Known secrets shorter than this are not searched for: they would tear ordinary words apart."""

_NOT_DONE = r"(?!\[redacted\])"

_BY_FORM = tuple(
    re.compile(pattern)
    for pattern in (
        # An unfinished key (the log was cut) is taken to the end of the text.
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",  # JWT, so Kubernetes service account tokens
        r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA|AIPA)[A-Z0-9]{16}\b",  # AWS
        r"\bAIza[A-Za-z0-9_-]{30,}",  # Google
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{8,}|\bxapp-[A-Za-z0-9-]{8,}",
        r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[^\s\"'<>]{1,300}",
        r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{20,}",  # Stripe, OpenAI and their likes
        r"\bnpm_[A-Za-z0-9]{30,}|\bhvs\.[A-Za-z0-9_-]{20,}|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    )
)

_NAME = (
    r"(?:(?:password|passwd|passphrase|passwrd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?key|"
    r"account[_-]?key|encryption[_-]?key|credential|connection[_-]?string|session[_-]?id|signature)"
    # `secretName: api-tls`, `tokenCount=3` and `secretKeyRef` name or count things: what a reader needs.
    r"(?![_-]?(?:names?|(?:key[_-]?)?refs?|counts?|total|versions?|types?|length|expir[a-z]*|ttl)\b)[a-z0-9_-]{0,20}"
    r"|(?<![a-z])(?:pwd|pass|sig))"
)
_VALUE = (
    r"(?:\\\"[^\"\\]{1,2000}(?:\\\"|\Z)"  # JSON inside JSON
    r"|\"(?:[^\"\\]|\\.){1,2000}(?:\"|\Z)"
    r"|'[^'\n]{1,2000}(?:'|\Z)"
    r"|[^\s,;&\"'\\}\])\[]{1,2000})"
)
_GAP = r"\\?[\"']?\s{0,4}"

_BY_NAME = tuple(
    # Atomic: giving back a space would get round the look for what is redacted already.
    re.compile(f"(?i)((?>{before})){_NOT_DONE}{secret}")
    for before, secret in (
        # The whole rest of the header: schemes differ, and a signature scheme has several parts.
        (rf"authorization{_GAP}[:=]{_GAP}", r"[^\"'\\\r\n]{1,4000}"),
        (rf"cookie{_GAP}:{_GAP}", r"[^\"'\\\r\n]{1,4000}"),
        # A digit or a sign somewhere in it: "bearer authentication failed" stays readable.
        (r"\b(?:bearer|basic)\s{1,4}", r"(?=[a-z]{0,200}[0-9._~+/=-])[a-z0-9._~+/=-]{8,4000}"),
        (r"://", r"[^\s/\"'<>\[\]]{1,500}(?=@)"),  # user:password@host
        (rf"{_NAME}{_GAP}(?::|=>?)\s{{0,4}}", _VALUE),
        (rf"\s--?(?:[a-z0-9]{{1,30}}-){{0,4}}{_NAME}\s{{1,4}}", r"[^\s-][^\s]{0,2000}"),
        (r"\b(?:identified\s{1,4}by|password)\s{1,4}", r"'[^'\n]{1,300}'"),  # SQL
    )
)


def redact(text: str, *, known: Iterable[str] = ()) -> str:
    """The text with every secret replaced by `[redacted]`. `known` are secrets we hold, taken out word for word.

    Never raises; redacting twice changes nothing.
    """
    for secret in sorted({s for s in known if len(s) >= SHORTEST_KNOWN}, key=len, reverse=True):
        text = text.replace(secret, MARK)
    for pattern in _BY_FORM:
        text = pattern.sub(MARK, text)
    for pattern in _BY_NAME:
        text = pattern.sub(rf"\1{MARK}", text)
    return text
