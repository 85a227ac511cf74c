"""`tls_chain` and `dns_lookup`: what a server shows of itself, and where its name leads, as far as remediator sees it.

Addresses and hosts are ruled as for the checks `tls` and `dns`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from remediator.playbooks.fields import PositiveDuration
from remediator.remediation.checks.base import CheckContext, ServedCertificate
from remediator.remediation.checks.network import Host
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence
from remediator.remediation.collectors.reading import count, hand_over, span, word

CHAIN, LOOKUP = "tls_chain", "dns_lookup"
MOST_ADDRESSES = 50


class ChainArgs(CollectArgs):
    """`name`: asked for, by default the host."""

    host: Host = Field(min_length=1)
    port: Annotated[int, Field(ge=1, le=65535)] = 443
    name: Host = ""
    timeout: PositiveDuration = timedelta(seconds=5)


class LookupArgs(CollectArgs):
    """`name`: a whole name; what a pod's own resolver would add to it is not known here."""

    name: Host = Field(min_length=1)
    timeout: PositiveDuration = timedelta(seconds=5)


async def tls_chain(args: ChainArgs, context: CheckContext) -> Evidence:
    """Every certificate that is shown; whether anybody trusts them is not asked. Raises: Unknown, CannotSee."""
    own = await context.network().certificate(
        args.host, args.port, name=args.name or args.host, timeout_s=args.timeout.total_seconds()
    )
    shown = (own, *(own.above or ()))
    first = min(shown, key=lambda one: one.not_after)
    left = first.not_after - context.now
    gap = _gap(shown)
    return hand_over(
        CHAIN,
        context,
        title=f"certificates that {args.host}:{args.port} shows",
        lines=[*(_line(number, one, context) for number, one in enumerate(shown, 1)), *gap],
        summary=f"{count(len(shown), 'certificate')}, the first expires in {span(left)}" + (", a gap" if gap else ""),
        problems=() if own.above is not None else ("the certificates above the first one could not be read",),
        rows=[
            {"subject": word(one.subject, 200), "issuer": word(one.issuer, 200), "not_after": one.not_after.isoformat()}
            for one in shown
        ],
        private=True,
    )


def _line(number: int, one: ServedCertificate, context: CheckContext) -> str:
    early = f", not valid before {one.not_before:%Y-%m-%d %H:%M} UTC" if context.now < one.not_before else ""
    return (
        f"{number}. {word(one.subject, 200)}, issued by {word(one.issuer, 200)}, "
        f"until {one.not_after:%Y-%m-%d %H:%M} UTC ({span(one.not_after - context.now)}){early}"
    )


def _gap(shown: Sequence[ServedCertificate]) -> list[str]:
    """Where the next one is not the issuer: a chain in which a client does not find its way. By names only."""
    return [
        f"{number}. is issued by {word(one.issuer, 200)}, and what comes next is {word(above.subject, 200)}"
        for number, (one, above) in enumerate(pairwise(shown), 1)
        if one.issuer != above.subject
    ]


async def dns_lookup(args: LookupArgs, context: CheckContext) -> Evidence:
    """The addresses of a name. Raises: Unknown, CannotSee."""
    found = await context.network().resolve(args.name, timeout_s=args.timeout.total_seconds())
    shown = found[:MOST_ADDRESSES]
    more = [f"and {len(found) - len(shown)} more"] if len(found) > len(shown) else []
    return hand_over(
        LOOKUP,
        context,
        title=f"addresses of {args.name}",
        lines=[*shown, *more] if found else [f"{args.name} has no address"],
        summary=count(len(found), "address") if found else "no address",
        data={"name": args.name, "addresses": list(shown)},
    )


KINDS_OF_EVIDENCE = (
    CollectorKind(CHAIN, ChainArgs, tls_chain),
    CollectorKind(LOOKUP, LookupArgs, dns_lookup),
)
