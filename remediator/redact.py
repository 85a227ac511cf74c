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

_BY_FORM = (
    # An unfinished key (the log was cut) is taken to the end of the text.
    (
        ("private key-----",),
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    ),
    # JWT, so Kubernetes' service account tokens.
    (("eyj",), r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
    (
        ("akia", "asia", "agpa", "aida", "aroa", "anpa", "anva", "aipa"),  # AWS
        r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA|AIPA)[A-Z0-9]{16}\b",
    ),
    (("aiza",), r"\bAIza[A-Za-z0-9_-]{30,}"),  # Google
    (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})",
    ),
    (("xox", "xapp-"), r"\bxox[abeoprs]-[A-Za-z0-9-]{8,}|\bxapp-[A-Za-z0-9-]{8,}"),  # Slack
    (
        ("hooks.slack.com",),
        r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[^\s\"'<>]{1,300}",
    ),
    # Stripe, OpenAI and their likes.
    (("k_live_", "k_test_", "sk-"), r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{20,}"),
    (
        ("npm_", "hvs.", "sg."),
        r"\bnpm_[A-Za-z0-9]{30,}|\bhvs\.[A-Za-z0-9_-]{20,}|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    ),
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

_HINTS = ("pass", "pwd", "secret", "token", "key", "credential", "connection", "session", "sig")

_BY_NAME = (
    # The whole rest of the header: schemes differ, and a signature scheme has several parts.
    (("authorization",), rf"authorization{_GAP}[:=]{_GAP}", r"[^\"'\\\r\n]{1,4000}"),
    (("cookie",), rf"cookie{_GAP}:{_GAP}", r"[^\"'\\\r\n]{1,4000}"),
    # A digit or a sign somewhere in it: "bearer authentication failed" stays readable.
    (
        ("bearer", "basic"),
        r"\b(?:bearer|basic)\s{1,4}",
        r"(?=[a-z]{0,200}[0-9._~+/=-])[a-z0-9._~+/=-]{8,4000}",
    ),
    (("://",), r"://", r"[^\s/\"'<>\[\]]{1,500}(?=@)"),  # user:password@host
    (_HINTS, rf"{_NAME}{_GAP}(?::|=>?)\s{{0,4}}", _VALUE),
    (_HINTS, rf"\s--?(?:[a-z0-9]{{1,30}}-){{0,4}}{_NAME}\s{{1,4}}", r"[^\s-][^\s]{0,2000}"),
    (("identified", "password"), r"\b(?:identified\s{1,4}by|password)\s{1,4}", r"'[^'\n]{1,300}'"),  # SQL
)

# (hints, pattern, replacement): without one of its hints a pattern cannot match, and looking for words is twenty times
# faster than looking for patterns. Log lines come this way.
_RULES: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    *((hints, re.compile(pattern), MARK) for hints, pattern in _BY_FORM),
    *(
        # Atomic: giving back a space would get round the look for what is redacted already.
        (hints, re.compile(f"(?i)((?>{before})){_NOT_DONE}{secret}"), rf"\1{MARK}")
        for hints, before, secret in _BY_NAME
    ),
)


def redact(text: str, *, known: Iterable[str] = ()) -> str:
    """The text with every secret replaced by `[redacted]`. `known` are secrets we hold, taken out word for word.

    Never raises; redacting twice changes nothing.
    """
    for secret in sorted({s for s in known if len(s) >= SHORTEST_KNOWN}, key=len, reverse=True):
        text = text.replace(secret, MARK)
    folded = text.casefold()
    for hints, pattern, replacement in _RULES:
        if any(hint in folded for hint in hints):
            text = pattern.sub(replacement, text)
    return text
