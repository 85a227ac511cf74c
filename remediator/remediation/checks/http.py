"""`http`: something answers as it should, `/health` most of all.

    http: {service: api, port: 8080, path: /health, status: 200, body: '"UP"'}
    http: {url: "http://api.shop.svc:8080/health"}

The address is the author's, never an alert's: a `${...}` may fill a path or query, where it is percent-encoded, or one
label of a host that goes on with a literal domain, so that no label value can send us elsewhere. A wrong status or body
is bad; no answer at all is unknown, because it may be the network between us.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import BeforeValidator, Field, model_validator

from remediator.playbooks.model import PositiveDuration
from remediator.playbooks.templates import as_text, has_template, parse_template
from remediator.remediation.checks.base import CheckArgs, CheckContext, CheckKind, Unknown, answer, one_line
from remediator.remediation.samples import CheckSample

NAME = "http"

LIMIT_BYTES = 65_536

# Begins with a letter: `2852039166` and `0xa9fea9fe` are ways to write 169.254.169.254.
_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def _statuses(value: object) -> object:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


class HttpArgs(CheckArgs):
    """Either `url`, or `service` with `port` and `path` (in the target's namespace). `body`: text the answer holds."""

    url: str = ""
    service: str = ""
    port: int | None = Field(None, ge=1, le=65535)
    path: str = ""
    scheme: Literal["http", "https"] = "http"
    status: Annotated[tuple[Annotated[int, Field(ge=100, le=599)], ...], BeforeValidator(_statuses)] = (200,)
    body: str = ""
    timeout: PositiveDuration = timedelta(seconds=5)

    @property
    def about(self) -> str:
        return self.url or f"{self.service}:{self.port}{self.path}"

    @model_validator(mode="after")
    def _one_address(self) -> HttpArgs:
        if bool(self.url) == bool(self.service):
            raise ValueError("give either url, or service with port")
        if self.url and (self.port or self.path):
            raise ValueError("port and path belong to service; write them into the url")
        if self.service and not self.port:
            raise ValueError("service needs a port")
        if self.path and not self.path.startswith("/"):
            raise ValueError("path begins with /")
        if self.url:
            _check_literal_parts(self.url)
        return self


async def sample(args: HttpArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, CannotSee, TemplateError."""
    if context.http is None:
        raise Unknown("HTTP probes are not configured")
    url = _address(args, context)
    got = await context.http.get(url, timeout_s=args.timeout.total_seconds(), limit_bytes=LIMIT_BYTES)
    wanted = " or ".join(map(str, args.status))
    body = context.text(args.body)
    if got.status not in args.status:
        return answer(NAME, "bad", f"{url} answered {got.status}, wanted {wanted}", context.now, badness=1.0)
    if body and body not in got.body:
        detail = f"{url} answered {got.status} without {one_line(body, 60)!r}"
        return answer(NAME, "bad", detail, context.now, badness=1.0)
    return answer(NAME, "good", f"{url} answered {got.status}", context.now, badness=0.0)


def _address(args: HttpArgs, context: CheckContext) -> str:
    if args.url:
        return render_url(args.url, context)
    service = context.text(args.service)
    namespaces = {t.ref.namespace for t in context.targets}
    namespace = namespaces.pop() if len(namespaces) == 1 else ""
    for name in (service, namespace):
        if not _DNS_LABEL.fullmatch(name):
            raise Unknown(f"{name!r:.80} is no name of a Service or namespace")
    return f"{args.scheme}://{service}.{namespace}.svc:{args.port}{_filled(args.path or '/', context)}"


def render_url(url: str, context: CheckContext) -> str:
    """The author's URL with its values filled in. Raises: Unknown for a value that may not stand in a host."""
    if not has_template(url):
        return url
    host_ends = _host_end(url)
    before = 0
    out: list[str] = []
    for literal, text in _parts(url, context):
        if not literal and before <= host_ends and not _DNS_LABEL.fullmatch(text):
            raise Unknown(f"{text!r:.80} cannot be part of a host name")
        out.append(text if literal else quote(text, safe=""))
        before += len(text) if literal else 0
    return "".join(out)


def _filled(path: str, context: CheckContext) -> str:
    if not has_template(path):
        return path
    return "".join(text if literal else quote(text, safe="") for literal, text in _parts(path, context))


def _parts(template: str, context: CheckContext) -> Iterator[tuple[bool, str]]:
    """(whether the author wrote it, text) for each part."""
    scope = context.scope
    if scope is None:
        raise Unknown("nothing is known here to fill the address in")
    for part in parse_template(template).parts:
        yield (True, part) if isinstance(part, str) else (False, as_text(part, scope.evaluate(part)))


def _literals(url: str) -> list[str]:
    return [part for part in parse_template(url).parts if isinstance(part, str)]


def _host_end(url: str) -> int:
    """How many literal characters come before the path: values among them stand in scheme or host."""
    text = "".join(_literals(url))
    start = text.find("://") + 3
    ends = [at for sign in "/?#" if (at := text.find(sign, start)) >= 0]
    return min(ends, default=len(text) + 1)


_HOST = re.compile(r"https?://(?P<host>[^/?#]*)")


def _check_literal_parts(url: str) -> None:
    """At load: a scheme we speak, no credentials, and a host that ends in the author's own words. Raises: ValueError."""
    marked = "".join(p if isinstance(p, str) else "\0" for p in parse_template(url).parts)
    found = _HOST.match(marked)
    if found is None:
        raise ValueError("a url begins with http:// or https://")
    host = found["host"]
    if "@" in host:
        raise ValueError("no credentials in a url")
    name = re.sub(r":[0-9]{1,5}$", "", host)
    if "\0" in name and not re.search(r"\.[a-z]([-a-z0-9.]*[a-z0-9])?$", name):
        raise ValueError(
            'a host with ${...} goes on with a literal domain, such as "${target.name}.${target.namespace}.svc"'
        )
    if "\0" in host.removeprefix(name):
        raise ValueError("the port cannot be a ${...}")
    if any(c.isspace() for c in url) or not urlsplit(marked.replace("\0", "x")).hostname:
        raise ValueError("this is no url")


KIND: CheckKind[Any] = CheckKind(NAME, HttpArgs, sample)
