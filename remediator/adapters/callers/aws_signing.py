"""Requests to AWS: who we are, and signature version 4 for a GET without a body. Pure but for files and environment.

A client library of AWS would pin this service to old versions of what its guardrails stand on, and repeats requests by
itself; three calls of one API need neither.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from remediator.errors import CannotSee, InvalidConfig
from remediator.outside_aws import RdsInstance

ALGORITHM = "AWS4-HMAC-SHA256"
NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Keys:
    """`expires` None = until somebody changes them."""

    access_key_id: str
    secret: str
    token: str = ""
    expires: datetime | None = None

    def __repr__(self) -> str:
        return f"Keys({self.access_key_id!r})"


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """A role with the token that proves who may take it."""

    role: str
    token: str

    def __repr__(self) -> str:
        return f"WebIdentity({self.role!r})"


def identity(place: RdsInstance) -> Keys | WebIdentity:
    """As the configuration says, or else the environment; files are read each time. Raises: CannotSee."""
    try:
        if place.secret_access_key_file is not None:
            token = place.session_token_file.read() if place.session_token_file else ""
            return Keys(place.access_key_id, place.secret_access_key_file.read(), token)
        role, file = os.environ.get("AWS_ROLE_ARN", ""), os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE", "")
        if role and file:
            return WebIdentity(role, Path(file).read_text(encoding="utf-8").strip())
    except InvalidConfig as exc:
        raise CannotSee(str(exc)) from exc
    except (OSError, ValueError) as exc:
        raise CannotSee(f"the web identity token cannot be read: {type(exc).__name__}") from exc
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID", ""), os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    if key and secret:
        return Keys(key, secret, os.environ.get("AWS_SESSION_TOKEN", ""))
    raise CannotSee(f"outside.rds[{place.name}]: no credentials; give access_key_id with secret_access_key_file")


def encoded(params: Sequence[tuple[str, str]]) -> str:
    """A query in canonical form: sorted, and percent-encoded as AWS does it."""
    return "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in params))


def signed(keys: Keys, *, host: str, query: str, region: str, service: str, now: datetime) -> Mapping[str, str]:
    """The headers that go with `GET /?query`."""
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-date": moment}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"GET\n/\n{query}\n{lines}\n{names}\n{NOTHING}"
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = f"{ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    said = f"{ALGORITHM} Credential={keys.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**{name: value for name, value in headers.items() if name != "host"}, "Authorization": said}
