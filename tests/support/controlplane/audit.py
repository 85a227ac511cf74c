"""Reading the API server's audit log: the proof of what was asked of the cluster, and how often.

The log is written before a request is answered (blocking-strict), so whoever has seen the answer finds the entry.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
# Kubernetes at work by itself; the names are those of the token file in server.py.
SYSTEM_USERS = frozenset(
    {"system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "kwok", "kube-state-metrics"}
)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One answered request."""

    verb: str
    group: str
    resource: str
    subresource: str
    name: str
    namespace: str
    user: str
    user_agent: str
    code: int
    dry_run: bool
    request_uri: str
    request_object: dict[str, Any] | None
    """The body as sent. None for reads, Secrets, and the writes of Kubernetes' own components."""
    response_object: dict[str, Any] | None
    received_at: str
    """RFC 3339 with microseconds."""
    audit_id: str

    @property
    def is_write(self) -> bool:
        return self.verb in WRITE_VERBS


# Bodies of requests that are questions, although they are POSTed.
_QUESTIONS = frozenset({"authorization.k8s.io", "authentication.k8s.io"})


def policy() -> dict[str, Any]:
    """What is logged: bodies of all writes by test and service, everything else by its metadata."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["*"]},
            {"level": "None", "resources": [{"group": "", "resources": ["events"]}, {"group": "events.k8s.io"}]},
            {"level": "None", "resources": [{"group": "kwok.x-k8s.io"}]},  # ControlPlane.set_logs
            {"level": "None", "users": sorted(SYSTEM_USERS), "verbs": ["get", "list", "watch"]},
            {"level": "None", "users": ["kwok"], "resources": [{"group": "coordination.k8s.io"}]},
            {"level": "Metadata", "users": sorted(SYSTEM_USERS)},
            {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
            {"level": "Metadata", "resources": [{"group": group} for group in sorted(_QUESTIONS)]},
            {"level": "Metadata", "resources": [{"group": "", "resources": ["serviceaccounts/token"]}]},
            {"level": "RequestResponse", "verbs": sorted(WRITE_VERBS)},
            {"level": "Metadata"},
        ],
    }


def read_events(log: Path, since: int = 0) -> Iterator[AuditEvent]:
    """Events from a byte offset on. A line still being written is left for the next call, and one that was being
    written at the offset is from before it."""
    if not log.exists():
        return
    with log.open("rb") as handle:
        if since:
            handle.seek(since - 1)
            handle.readline()
        for line in handle:
            if line.endswith(b"\n"):
                event = json.loads(line)
                if event["stage"] == "ResponseComplete":
                    yield parse_event(event)


def parse_event(event: dict[str, Any]) -> AuditEvent:
    ref = event.get("objectRef", {})
    sent = event.get("requestObject")
    return AuditEvent(
        verb=event["verb"],
        group=ref.get("apiGroup", ""),
        resource=ref.get("resource", ""),
        subresource=ref.get("subresource", ""),
        name=ref.get("name", ""),
        namespace=ref.get("namespace", ""),
        user=event["user"]["username"],
        user_agent=event.get("userAgent", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        dry_run=_is_dry_run(event["verb"], event["requestURI"], sent),
        request_uri=event["requestURI"],
        request_object=sent,
        response_object=event.get("responseObject"),
        received_at=event["requestReceivedTimestamp"],
        audit_id=event["auditID"],
    )


def is_effect(event: AuditEvent, *, dry_runs: bool = False) -> bool:
    """Whether the request set out to alter the world: no read, question, token or (unless asked for) dry run."""
    return (
        event.is_write
        and (dry_runs or not event.dry_run)
        and event.group not in _QUESTIONS
        and event.subresource != "token"
        and event.user not in SYSTEM_USERS
    )


def _is_dry_run(verb: str, uri: str, body: Any) -> bool:
    """A dry run says so in the query, in DeleteOptions, or in the deleteOptions of an eviction.

    A delete that has a body ignores its query: `?dryRun=All` with a uid precondition in the body really deletes.
    """
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)
    options = body
    if isinstance(body, dict) and not verb.startswith("delete"):
        options = body.get("deleteOptions")
    in_body = isinstance(options, dict) and "All" in (options.get("dryRun") or [])
    if verb.startswith("delete") and body is not None:
        return in_body
    return in_body or "All" in query.get("dryRun", [])
