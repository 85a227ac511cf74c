"""How an API server says no, in our words: one table for the real adapter and the simulated cluster.

Kubernetes errors are `Status` objects, but overload and shutdown (429), some 5xx and every proxy on the way answer
text/plain or HTML, so nothing here expects JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from remediator.errors import (
    CannotSee,
    Conflict,
    EffectError,
    Forbidden,
    NotFound,
    ReadError,
    Refused,
    TargetGone,
    Unavailable,
    Uncertain,
)
from remediator.objects import dig
from remediator.redact import redact

MAX_MESSAGE = 500
"""Longest message we carry on. Admission webhooks may answer pages."""

UNKNOWN = "Unknown"
"""Reason of a Status without one: most admission webhooks give a code and a message only."""

DISRUPTION_BUDGET = "DisruptionBudget"
"""Cause that marks a 429 as a PDB's no; a 429 without it is overload."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer outside 2xx. `reason` is empty when the body was no Status, so not the API server's own word."""

    code: int
    reason: str
    message: str
    causes: tuple[tuple[str, str], ...] = ()
    """(reason, message) pairs of `details.causes`."""
    retry_after_s: float | None = None
    name: str = ""
    """Of the object that the answer is about."""

    @property
    def absent(self) -> bool:
        """The API server itself says that this object does not exist. A path it does not serve is answered with a 404
        as well, and so is much by proxies on the way: neither says anything about an object.
        """
        return self.code == 404 and self.reason == "NotFound" and self.name != ""

    def __str__(self) -> str:
        reason = "" if self.reason == UNKNOWN else self.reason
        text = f"{self.code} {reason}".rstrip() + f": {self.message}"
        more = "; ".join(m for _, m in self.causes if m and m not in self.message)[:MAX_MESSAGE]
        return f"{text} ({more})" if more else text


def parse_answer(code: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Read an answer outside 2xx. `headers` must look names up without regard to case. Never raises."""
    retry_after = _seconds(headers.get("Retry-After"))
    try:
        status = orjson.loads(body)
    except ValueError:
        status = None
    if dig(status, "kind") != "Status":
        return Answer(code, "", _shortened(body.decode("utf-8", "replace")) or "no body", (), retry_after)
    causes = dig(status, "details", "causes") or ()
    return Answer(
        code,
        str(dig(status, "reason") or UNKNOWN),
        _shortened(str(dig(status, "message") or "")),
        tuple((str(dig(c, "reason", default="")), _shortened(str(dig(c, "message", default="")))) for c in causes),
        retry_after if retry_after is not None else _seconds(dig(status, "details", "retryAfterSeconds")),
        str(dig(status, "details", "name") or ""),
    )


_WHOLE_OBJECT = re.compile(r'"\{.*\}"(?=:|$)', re.DOTALL)
_PART_OF_OBJECT = re.compile(r"(?<=Invalid value: )[\[{].*?[\]}](?=: |$)", re.DOTALL)


def _shortened(message: str) -> str:
    """A message fit for people and records. A patch that does not decode is answered with the whole patched object,
    environment variables and all, and the reason after it; a change of a Job's template with that template; a change of
    an immutable spec with a diff over many lines.
    """
    message = _PART_OF_OBJECT.sub("(object)", _WHOLE_OBJECT.sub("(object)", message)).partition("\n@@")[0]
    # A proxy on the way may repeat the whole request, our token and all.
    return redact(" ".join(message.split())[: 2 * MAX_MESSAGE])[:MAX_MESSAGE]


def _seconds(value: object) -> float | None:
    """Retry-After as seconds. The other form, a date, is not used by Kubernetes."""
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86400 else None


def read_error(answer: Answer) -> ReadError:
    """A failed read. A 404 that is not about an object is CannotSee."""
    if answer.absent:
        return NotFound(answer.message)
    if answer.code == 403:
        return Forbidden(answer.message)
    return CannotSee(str(answer))


def effect_error(answer: Answer) -> EffectError:
    """A failed write: what it means for the effect. Whatever does not say that nothing was done is Uncertain."""
    match answer.code:
        case 404 if answer.absent:
            return TargetGone(str(answer))
        case 409:
            return TargetGone(str(answer)) if _other_uid(answer) else Conflict(str(answer))
        case 429:
            by_budget = any(reason == DISRUPTION_BUDGET for reason, _ in answer.causes)
            return Unavailable(str(answer), retry_after_s=answer.retry_after_s, disruption_budget=by_budget)
        case 401:
            return Unavailable(str(answer))  # the token has just expired: the next read brings a fresh one
        case 403:
            return Refused(str(answer), forbidden=_lacks_permission(answer))
        case 422 if "metadata.uid" in answer.message and "immutable" in answer.message:
            return TargetGone(str(answer))
        case 500 if "more than one PodDisruptionBudget" in answer.message:
            return Refused(str(answer))  # a misconfiguration that no later try will pass
        case 408:
            return Uncertain(str(answer))  # a proxy gave up waiting; the API server may have gone on
        case code if 400 <= code < 500:
            return Refused(str(answer))
        case _:
            return Uncertain(str(answer))


def _other_uid(answer: Answer) -> bool:
    """A 409 about the uid: the object we meant is gone and another has its name.

    The API server has two wordings, one for delete options ("the UID in the precondition (…) does not match the UID in
    record (…)") and one for the storage layer ("Precondition failed: UID in precondition: …, UID in object meta: …").
    """
    return "UID in the precondition" in answer.message or "UID in precondition" in answer.message


def _lacks_permission(answer: Answer) -> bool:
    """Tell a missing permission from an admission plugin's or quota's 403: an authoriser says who cannot do what."""
    return answer.reason not in ("Forbidden", UNKNOWN) or ('User "' in answer.message and '" cannot ' in answer.message)
