"""`certificate_status`: certificates in a line each, and below those that are not ready what their issuing waits for.

A Certificate makes a CertificateRequest; an ACME issuer makes an Order of it, and a Challenge for each name of that.
The last of them that there is holds up the others, so it is said first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from remediator.objects import Object, annotations_of, controller_of, dig, uid_of
from remediator.remediation.checks.base import CheckContext
from remediator.remediation.checks.certificate import CERTIFICATE, DAY_S
from remediator.remediation.collectors.base import CollectorKind, Evidence
from remediator.remediation.collectors.reading import (
    Part,
    ScopedArgs,
    age,
    condition,
    count,
    hand_over,
    namespaces_of,
    place_of,
    read,
    said,
    span,
    time_of,
    where,
    word,
)

NAME = "certificate_status"
REQUEST, ORDER = "CertificateRequest.cert-manager.io", "Order.acme.cert-manager.io"
CHALLENGE = "Challenge.acme.cert-manager.io"
REVISION = "cert-manager.io/certificate-revision"
DONE = "valid"


class CertificatesArgs(ScopedArgs):
    """`days`: certificates that expire earlier stand out. `limit`: how many, the most urgent first."""

    days: Annotated[int, Field(ge=0, le=365)] = 21
    limit: Annotated[int, Field(ge=1, le=200)] = 50


async def certificate_status(args: CertificatesArgs, context: CheckContext) -> Evidence:
    """Days left, whether each is ready, why it is not issued; first those that are stuck, the longest first."""
    spaces = namespaces_of(args, context)
    part = await read(context, CERTIFICATE, spaces)
    rows = [(_certificate(obj, args, context), obj) for obj in part.items]
    steps: tuple[Part, ...] = ()
    if any(row["open"] for row, _ in rows):
        steps = tuple(await asyncio.gather(*(read(context, kind, spaces) for kind in (REQUEST, ORDER, CHALLENGE))))
    for row, obj in rows:
        row["waits_for"] = _waits_for(obj, steps, context) if row.pop("open") else []
    found = sorted((row for row, _ in rows), key=_urgency)
    troubled, stuck = [r for r in found if r["troubled"]], [r for r in found if r["waits_for"]]
    soon = [r for r in found if r["days_left"] is not None and r["days_left"] < args.days]
    at = ", ".join(dict.fromkeys(r["waits_for"][0]["kind"] for r in stuck))
    return hand_over(
        NAME,
        context,
        title=f"certificates {place_of(spaces)}",
        lines=[line for r in found[: args.limit] for line in _lines(r)],
        summary=f"{count(len(found), 'certificate')}, {len(soon)} with less than {args.days} days, "
        f"{len(troubled)} in trouble" + (f", {len(stuck)} stuck at {at}" if stuck else ""),
        parts=(part, *steps),
        rows=found,
        private=True,
    )


def _urgency(row: dict[str, Any]) -> tuple[bool, float, bool, float]:
    waits = row["waits_for"]
    left = row["days_left"] if row["days_left"] is not None else -1e9
    return not waits, -(waits[0]["age_s"] or 0) if waits else 0, not row["troubled"], left


def _lines(row: dict[str, Any]) -> Iterator[str]:
    yield f"{row['certificate']}: {row['told']}"
    for step in row["waits_for"]:
        yield f"  {step['kind']} {step['name']}{step['about']}: {step['told']}"


def _certificate(obj: Object, args: CertificatesArgs, context: CheckContext) -> dict[str, Any]:
    ends, ready, issuing = time_of(dig(obj, "status", "notAfter")), condition(obj, "Ready"), condition(obj, "Issuing")
    left = None if ends is None else (ends - context.now).total_seconds() / DAY_S
    is_ready, is_issuing = ready.get("status") == "True", issuing.get("status") == "True"
    told = ["ready" if is_ready else f"not ready, {word(ready.get('reason'))}{said(ready.get('message'))}"]
    told.append("never issued" if ends is None else f"expires in {span(ends - context.now)}")
    renewal = time_of(dig(obj, "status", "renewalTime"))
    if renewal is not None and renewal < context.now:
        told.append(f"due for renewal for {age(context.now, renewal)}")
    if is_issuing:
        told.append(f"being issued for {age(context.now, issuing.get('lastTransitionTime'))}")
    failures = int(dig(obj, "status", "failedIssuanceAttempts") or 0)
    if failures:
        last = age(context.now, dig(obj, "status", "lastFailureTime"))
        told.append(f"failed {failures} times, last {last} ago{said(issuing.get('message'))}")
    issuer = dig(obj, "spec", "issuerRef") or {}
    told.append(f"issuer {word(issuer.get('kind') or 'Issuer')} {word(issuer.get('name'), 253)}")
    return {
        "certificate": where(obj),
        "days_left": None if left is None else round(left, 2),
        "ready": is_ready,
        "troubled": not is_ready or failures > 0 or left is None or left < args.days,
        "told": ", ".join(told),
        "open": not is_ready or is_issuing or failures > 0,
    }


# --- what it waits for


def _waits_for(certificate: Object, steps: Sequence[Part], context: CheckContext) -> list[dict[str, Any]]:
    """The newest request that is not issued, with its orders and challenges: the last of them first."""
    requests, orders, challenges = (part.items for part in steps)
    mine = _of(certificate, requests)
    if not mine:
        return []
    newest = max(mine, key=_newest)
    if condition(newest, "Ready").get("status") == "True":
        return []  # issued: what is left is cert-manager's own
    open_orders = [one for one in _of(newest, orders) if dig(one, "status", "state") != DONE]
    tried = [c for order in open_orders for c in _of(order, challenges) if dig(c, "status", "state") != DONE]
    found = [_challenge(c, context) for c in tried]
    found.sort(key=lambda step: (-(step["age_s"] or 0), step["name"]))
    return [*found, *(_order(one, context) for one in open_orders), _request(newest, context)]


def _of(owner: Object, objects: Sequence[Object]) -> list[Object]:
    """By uid: names come again when a certificate is made anew."""
    return [obj for obj in objects if (controller_of(obj) or {}).get("uid") == uid_of(owner)]


def _newest(request: Object) -> tuple[int, str]:
    revision = annotations_of(request).get(REVISION, "")
    is_number = revision.isascii() and revision.isdigit() and len(revision) < 10
    return int(revision) if is_number else 0, str(dig(request, "metadata", "creationTimestamp", default=""))


def _request(obj: Object, context: CheckContext) -> dict[str, Any]:
    ready, approved = condition(obj, "Ready"), condition(obj, "Approved").get("status") == "True"
    state = ready.get("reason") or ("waits for its issuer" if approved else "waits for its approval")
    return _step("CertificateRequest", obj, "", state, ready.get("message"), context)


def _order(obj: Object, context: CheckContext) -> dict[str, Any]:
    return _step("Order", obj, "", dig(obj, "status", "state"), dig(obj, "status", "reason"), context)


def _challenge(obj: Object, context: CheckContext) -> dict[str, Any]:
    """Never its token or key: whoever has these can answer for the name."""
    about = f" ({word(dig(obj, 'spec', 'type'), 20)} of {word(dig(obj, 'spec', 'dnsName'), 253)})"
    shown = "presented" if dig(obj, "status", "presented") else "not presented"
    state = f"{word(dig(obj, 'status', 'state') or 'not begun')}, {shown},"
    return _step("Challenge", obj, about, state, dig(obj, "status", "reason"), context)


def _step(kind: str, obj: Object, about: str, state: object, reason: object, context: CheckContext) -> dict[str, Any]:
    at = time_of(dig(obj, "status", "failureTime")) or time_of(dig(obj, "metadata", "creationTimestamp"))
    return {
        "kind": kind,
        "name": where(obj),
        "about": about,
        "age_s": None if at is None else int((context.now - at).total_seconds()),
        "told": f"{word(state or 'not begun')} for {age(context.now, at)}{said(reason)}",
    }


KIND = CollectorKind(NAME, CertificatesArgs, certificate_status)
