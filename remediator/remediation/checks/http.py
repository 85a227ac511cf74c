"""`http`: something answers as it should, `/health` most of all.

    http: {service: api, port: 8080, path: /health, status: 200, body: '"UP"'}
    http: {url: "http://api.shop.svc:8080/health"}

The address is the author's, never an alert's: a `${...}` may fill a path or query, where it is percent-encoded, or one
label of a host that goes on with a literal domain, so that no label value can send us elsewhere. A wrong status or body
is bad; no answer at all is unknown, because it may be the network between us.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import BeforeValidator, Field, model_validator

from remediator.playbooks.fields import PositiveDuration
from remediator.playbooks.templates import TemplateError, parse_template
from remediator.remediation.checks.base import CheckArgs, CheckContext, CheckKind, Unknown, answer, one_line
from remediator.remediation.filling import parts_of
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
            check_literal_parts(self.url)
        return self


async def sample(args: HttpArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, CannotSee, TemplateError."""
    if context.http is None:
        raise Unknown("HTTP probes are not configured")
    url = _address(args, context)
    got = await context.http.get(url, timeout_s=args.timeout.total_seconds(), limit_bytes=LIMIT_BYTES)
    wanted = " or ".join(map(str, args.status))
    if got.status not in args.status:
        return answer(NAME, "bad", f"{url} answered {got.status}, wanted {wanted}", context.now, badness=1.0)
    if args.body and args.body not in got.body:
        detail = f"{url} answered {got.status} without {one_line(args.body, 60)!r}"
        return answer(NAME, "bad", detail, context.now, badness=1.0)
    return answer(NAME, "good", f"{url} answered {got.status}", context.now, badness=0.0)


def _address(args: HttpArgs, context: CheckContext) -> str:
    if args.url:
        return render_url(args.url, context)
    namespaces = {t.ref.namespace for t in context.targets}
    namespace = namespaces.pop() if len(namespaces) == 1 else ""
    for name in (args.service, namespace):
        if not _DNS_LABEL.fullmatch(name):
            raise Unknown(f"{name!r:.80} is no name of a Service or namespace")
    return f"{args.scheme}://{args.service}.{namespace}.svc:{args.port}{_path(args.path or '/', context)}"


def render_url(url: str, context: CheckContext) -> str:
    """The author's URL with its values filled in. Raises: Unknown for a value that may not stand in a host."""
    out = ""
    own_words = ""
    for part in parts_of(url, context.render):
        if isinstance(part, str):
            out += part
            own_words += part
        elif _in_host(own_words):
            if not _DNS_LABEL.fullmatch(part.text):
                raise Unknown(f"{part.text!r:.80} cannot be part of a host name")
            out += part.text
        else:
            out += quote(part.text, safe="")
    return out


def _in_host(before: str) -> bool:
    """Whether a value after these words of the author still stands in the scheme or host."""
    _, slashes, rest = before.partition("://")
    return not slashes or not any(sign in rest for sign in "/?#")


def _path(path: str, context: CheckContext) -> str:
    return "".join(p if isinstance(p, str) else quote(p.text, safe="") for p in parts_of(path, context.render))


_HOST = re.compile(r"https?://(?P<host>[^/?#]*)")


def check_literal_parts(url: str) -> None:
    """A scheme we speak, no credentials, and a host that ends in the author's own words. Raises: ValueError."""
    try:
        marked = "".join(p if isinstance(p, str) else "\0" for p in parse_template(url).parts)
    except TemplateError as exc:
        raise ValueError(str(exc)) from None
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


KIND = CheckKind(NAME, HttpArgs, sample, late=frozenset({"url", "path"}))
