"""`certificate_valid`: cert-manager says that a certificate is ready, lasts, and was issued since the effect.

    certificate_valid: {certificate: api-tls, min_days: 30}

`newer` (the default) wants proof of the renewal: cert-manager's condition `Issuing` that ended since, or a certificate
that begins since. What the servers show is another matter, see `tls`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from remediator.actions.databases.parts import condition_of, time_at
from remediator.objects import Object, ObjectRef, ref_of
from remediator.remediation.checks.base import (
    CheckArgs,
    CheckContext,
    CheckKind,
    CheckTarget,
    Unknown,
    answer,
    one_line,
)
from remediator.remediation.checks.condition import one_namespace
from remediator.remediation.checks.rollout import Found
from remediator.remediation.checks.workload import read_target
from remediator.remediation.samples import CheckSample

NAME = "certificate_valid"
CERTIFICATE = "Certificate.cert-manager.io"
DAY_S = 86_400.0


class CertificateArgs(CheckArgs):
    """`certificate`: by default the target. `min_days`: how long it must last. `newer`: issued since the effect."""

    certificate: Annotated[str, Field(max_length=253)] = ""
    namespace: Annotated[str, Field(max_length=63)] = ""
    min_days: Annotated[float, Field(ge=0, le=3650)] = 1.0
    newer: bool = True

    @property
    def about(self) -> str:
        return self.certificate


async def sample(args: CertificateArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, ReadError."""
    obj = await read_target(context, certificate_target(args.certificate, args.namespace, context))
    left = _days_left(obj, context.now)
    found = judge(args, obj, context)
    # An hour between two samples is not "worse": what counts is a certificate that ends days earlier.
    badness = None if left is None else -left
    return answer(NAME, found.answer, found.detail, context.now, badness=badness, tolerance=1.0)


def certificate_target(name: str, namespace: str, context: CheckContext) -> CheckTarget:
    """Raises: Unknown when none is named and the target is none."""
    if name:
        ref = ObjectRef(CERTIFICATE, namespace or one_namespace(context), name)
        return next((t for t in context.targets if t.ref == ref), CheckTarget(ref))
    found = [t for t in context.targets if t.ref.kind == CERTIFICATE]
    if len(found) != 1:
        raise Unknown("the target is no certificate; name one with certificate")
    return found[0]


def judge(args: CertificateArgs, obj: Object, context: CheckContext) -> Found:
    """What the object says."""
    ref, left = ref_of(obj), _days_left(obj, context.now)
    issuing, ready = condition_of(obj, "Issuing"), condition_of(obj, "Ready")
    if issuing is not None and issuing.get("status") == "True":
        return Found("unknown", f"{ref} is being issued")
    if issuing is not None and issuing.get("reason") == "Failed" and _moved(issuing, context):
        return Found("bad", f"{ref} could not be issued: {_said(issuing)}")
    if left is None:
        return Found("unknown", f"{ref} has never been issued")
    if left <= 0:
        return Found("bad", f"{ref} has expired")
    if args.newer and context.since is not None and not _issued_since(obj, context):
        return Found("unknown", f"{ref} has not been issued since the effect")
    if ready is None:
        return Found("unknown", f"{ref}: cert-manager has not said whether it is ready")
    if ready.get("status") != "True":
        return Found("bad", f"{ref} is not ready: {_said(ready)}")
    if left < args.min_days:
        return Found("bad", f"{ref} lasts {left:.1f} days, wanted {args.min_days:g}")
    return Found("good", f"{ref} is ready and lasts {left:.1f} days")


def _days_left(obj: Object, now: datetime) -> float | None:
    ends = time_at(obj, "status", "notAfter")
    return None if ends is None else (ends - now).total_seconds() / DAY_S


def _issued_since(obj: Object, context: CheckContext) -> bool:
    issuing = condition_of(obj, "Issuing")
    if issuing is not None and issuing.get("reason") == "Issued" and _moved(issuing, context):
        return True
    begins = time_at(obj, "status", "notBefore")  # many issuers date back, so this alone would miss renewals
    return begins is not None and context.is_after_effect(begins)


def _moved(condition: Object, context: CheckContext) -> bool:
    """Whether the condition changed since the effect; while planning, it is as it is."""
    at = time_at(condition, "lastTransitionTime")
    return at is not None and context.is_after_effect(at)


def _said(condition: Object) -> str:
    """Its reason: one word. Messages may quote an issuer's answer."""
    return one_line(str(condition.get("reason") or "no reason given"), 60)


KIND = CheckKind(NAME, CertificateArgs, sample)
