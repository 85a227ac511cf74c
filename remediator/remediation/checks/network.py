"""`tcp`, `tls` and `dns`: something listens, shows a certificate that lasts, and its name is known.

    tcp: {service: orders-db, port: 5432}
    tls: {host: shop.example.com, port: 443, min_days: 14, certificate: shop-tls}
    dns: {name: shop.example.com}

Asked from where remediator runs: a Service by its name in the target's namespace needs remediator in that cluster, or a
network that reaches it. Hosts are the author's own words, never a label's, and addresses are refused as for `http`.
Refused, expired or unknown is bad; no answer is unknown, because it may be the network between us.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from remediator.actions.databases.parts import time_at
from remediator.objects import ref_of
from remediator.playbooks.fields import PositiveDuration, complaint
from remediator.remediation.checks.base import CheckArgs, CheckContext, CheckKind, Unknown, answer
from remediator.remediation.checks.certificate import DAY_S, certificate_target
from remediator.remediation.checks.condition import one_namespace
from remediator.remediation.checks.workload import read_target
from remediator.remediation.samples import CheckSample

TCP, TLS, DNS = "tcp", "tls", "dns"

# Begins with a letter: `2852039166` and `0xa9fea9fe` are ways to write 169.254.169.254.
_LABEL = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST = re.compile(
    rf"(?=.{{1,253}}$)({_LABEL}|[a-z0-9]([-a-z0-9]{{0,61}}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\.{_LABEL})"
)


def _host(text: str) -> str:
    if "${" in text:
        raise complaint("a host has no ${...}", "Write the host itself, or name a service.")
    if text and not _HOST.fullmatch(text):
        raise complaint(f"{text!r:.80} is no host name", "Write a name such as shop.example.com.")
    return text


Host = Annotated[str, AfterValidator(_host)]


class Address(CheckArgs):
    """Either `service` (in the target's namespace) or `host`, and `port`."""

    service: Annotated[str, Field(max_length=63)] = ""
    host: Host = ""
    port: Annotated[int, Field(ge=1, le=65535)]
    timeout: PositiveDuration = timedelta(seconds=5)

    @property
    def about(self) -> str:
        return f"{self.host or self.service}:{self.port}"

    @model_validator(mode="after")
    def _one_address(self) -> Address:
        if bool(self.service) == bool(self.host):
            raise ValueError("give either service or host")
        return self

    def where(self, context: CheckContext) -> str:
        """The host to go to. Raises: Unknown."""
        if self.host:
            return self.host
        namespace = one_namespace(context)
        for name in (self.service, namespace):
            if not re.fullmatch(_LABEL, name):
                raise Unknown(f"{name!r:.80} is no name of a Service or namespace")
        return f"{self.service}.{namespace}.svc"


class TcpArgs(Address):
    """One connection, in which nothing is said."""


class TlsArgs(Address):
    """`min_days`: the certificate shown must last so much longer. `certificate`: the one that cert-manager issued last,
    in `namespace` (the target's), must be the one that is shown. `name`: asked for, by default the host."""

    port: Annotated[int, Field(ge=1, le=65535)] = 443
    name: Host = ""
    min_days: Annotated[float, Field(ge=0, le=3650)] = 1.0
    certificate: Annotated[str, Field(max_length=253)] = ""
    namespace: Annotated[str, Field(max_length=63)] = ""


class DnsArgs(CheckArgs):
    """`name` must have an address."""

    name: Host = Field(min_length=1)
    timeout: PositiveDuration = timedelta(seconds=5)

    @property
    def about(self) -> str:
        return self.name


async def tcp(args: TcpArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, CannotSee."""
    host = args.where(context)
    if await context.network().connect(host, args.port, timeout_s=args.timeout.total_seconds()):
        return answer(TCP, "good", f"{host}:{args.port} accepts connections", context.now, badness=0.0)
    return answer(TCP, "bad", f"{host}:{args.port} refuses connections", context.now, badness=1.0)


async def tls(args: TlsArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, ReadError."""
    host = args.where(context)
    shown = await context.network().certificate(
        host, args.port, name=args.name or host, timeout_s=args.timeout.total_seconds()
    )
    left = (shown.not_after - context.now).total_seconds() / DAY_S
    told = f"{host}:{args.port} shows certificate {shown.serial[-12:]}, which lasts {left:.1f} days"
    if context.now < shown.not_before:
        return answer(TLS, "bad", f"{told} and is not valid yet", context.now, badness=-left, tolerance=1.0)
    if left < args.min_days:
        return answer(TLS, "bad", f"{told}, wanted {args.min_days:g}", context.now, badness=-left, tolerance=1.0)
    if args.certificate:
        issued = await read_target(context, certificate_target(args.certificate, args.namespace, context))
        ends = time_at(issued, "status", "notAfter")
        if ends is None:
            raise Unknown(f"{ref_of(issued)} has never been issued")
        if ends != shown.not_after:
            raise Unknown(f"{told}; it is not the last one that {ref_of(issued)} got, which its server may load later")
    return answer(TLS, "good", told, context.now, badness=-left, tolerance=1.0)


async def dns(args: DnsArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, CannotSee."""
    found = await context.network().resolve(args.name, timeout_s=args.timeout.total_seconds())
    if not found:
        return answer(DNS, "bad", f"{args.name} has no address", context.now, badness=1.0)
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return answer(DNS, "good", f"{args.name} is {', '.join(found[:3])}{more}", context.now, badness=0.0)


KINDS_OF_CHECK = (CheckKind(TCP, TcpArgs, tcp), CheckKind(TLS, TlsArgs, tls), CheckKind(DNS, DnsArgs, dns))
