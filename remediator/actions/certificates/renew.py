"""`renew_certificate`: let cert-manager issue a certificate again, as its own command line does.

The condition `Issuing` is set, and nothing is deleted: the Secret serves until the new certificate is there. This way
goes round cert-manager's own back-off, so the limits of the issuer are kept here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import Field

from remediator.actions.base import Params, Right
from remediator.actions.change import GENERATED_TIME, Change, FieldChange, NotPossible, Patch
from remediator.actions.delivery.standing import condition_of, is_time, refuse_wrong, said
from remediator.actions.times import format_time, parse_time
from remediator.actions.view import ListOf, View, Wanted
from remediator.objects import JSON, annotations_of, dig, generation_of, uid_of

CERTIFICATE = "Certificate.cert-manager.io"
ISSUING_PATH = ("status", "conditions", "[type=Issuing]")
RENEWED = "remediator.dev/renewed-at"
RENEWED_PATH = ("metadata", "annotations", RENEWED)
APART = timedelta(hours=24)
"""Between two renewals of one certificate, ours or anybody's."""

_BACK_OFF, _DOUBLINGS = timedelta(hours=1), 5
"""cert-manager's own: 1 h after a first failure, at most 32 h."""


class RenewCertificateParams(Params):
    """A ready certificate is renewed only with at most `days_left` before it expires.

    `ignore_backoff` does not wait until cert-manager would try again after a failure.
    """

    days_left: int = Field(14, ge=0, le=3650)
    ignore_backoff: bool = False


class RenewCertificate:
    """No inverse, and no need of one: the old Secret stays until the new certificate replaces it."""

    name = "renew_certificate"
    kinds: tuple[str, ...] = (CERTIFICATE,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights: tuple[Right, ...] = (
        Right("patch", CERTIFICATE),
        Right("patch", CERTIFICATE, "status"),
        Right("list", CERTIFICATE),
    )
    params = RenewCertificateParams

    def resolve(self, params: RenewCertificateParams, view: View) -> RenewCertificateParams:
        return params

    def wants(self, params: RenewCertificateParams, view: View) -> Mapping[str, Wanted]:
        return {"certificates": ListOf(kind=CERTIFICATE, namespace=view.ref.namespace)}

    def plan(self, params: RenewCertificateParams, view: View) -> Change:
        """Raises: NotPossible; a hold while it is being issued, or within cert-manager's back-off."""
        refuse_wrong(view, self.kinds)
        _refuse_unfit(view)
        _refuse_again(view)
        _refuse_back_off(params, view)
        _refuse_early(params, view)
        return Change(
            # The note of ours first: should the second request fail, nobody asks the issuer again for a day.
            effects=(_note_renewal(view), _issue(view)),
            summary=f"issue again {_expiry(view)}",
            needs_approval=_doubt(params, view),
            notes=("the old certificate stays until the new one is there", *_shared(view)),
        )


def _note_renewal(view: View) -> Patch:
    change = FieldChange(path=RENEWED_PATH, before=dig(view.target, *RENEWED_PATH), after=GENERATED_TIME)
    return Patch(ref=view.ref, uid=uid_of(view.target), changes=(change,), undoable=False)


def _issue(view: View) -> Patch:
    """The whole condition: cert-manager reads nothing else of it, and all others stay."""
    issuing: dict[str, JSON] = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": GENERATED_TIME,
    }
    if (generation := generation_of(view.target)) is not None:
        issuing["observedGeneration"] = generation
    change = FieldChange(path=ISSUING_PATH, before=condition_of(view.target, "Issuing"), after=issuing)
    return Patch(
        ref=view.ref, uid=uid_of(view.target), changes=(change,), replace=True, undoable=False, subresource="status"
    )


def _refuse_unfit(view: View) -> None:
    issuing = condition_of(view.target, "Issuing")
    if issuing is not None and issuing.get("status") == "True":
        raise NotPossible(
            f"{view.ref} is being issued since {said(issuing.get('lastTransitionTime')) or 'an unknown time'}: "
            f"look at its CertificateRequest and Order",
            hold=True,
        )
    if not dig(view.target, "status", "conditions"):
        raise NotPossible(f"cert-manager has not looked at {view.ref} yet: see whether it runs", hold=True)


def _refuse_again(view: View) -> None:
    for what, at in (
        ("was renewed by us", _time(annotations_of(view.target).get(RENEWED))),
        ("has a certificate that is valid", _time(dig(view.target, "status", "notBefore"))),
    ):
        if at is not None and view.read_at - at < APART:
            again = format_time(at + APART)
            raise NotPossible(
                f"{view.ref} {what} since {format_time(at)}: at most one renewal in 24 h, the next from {again}"
            )


def _refuse_back_off(params: RenewCertificateParams, view: View) -> None:
    if params.ignore_backoff or (until := _backs_off_until(view)) is None:
        return
    raise NotPossible(
        f"{view.ref} failed {_failures(view)} times, last at {dig(view.target, 'status', 'lastFailureTime')}: "
        f"cert-manager tries again at {format_time(until)}; look at the reason first, or say ignore_backoff: true",
        hold=True,
    )


def _refuse_early(params: RenewCertificateParams, view: View) -> None:
    ready = condition_of(view.target, "Ready")
    if ready is None or ready.get("status") != "True":
        return
    expires = _time(dig(view.target, "status", "notAfter"))
    if expires is not None and expires - view.read_at > timedelta(days=params.days_left):
        raise NotPossible(
            f"{view.ref} is ready until {format_time(expires)}, more than {params.days_left} days: "
            f"nothing to do, or raise days_left"
        )


def _doubt(params: RenewCertificateParams, view: View) -> str:
    if not params.ignore_backoff or _backs_off_until(view) is None or _expired(view):
        return ""
    return f"it goes round the back-off after {_failures(view)} failed attempts: an issuer may lock the account out"


def _backs_off_until(view: View) -> datetime | None:
    """When cert-manager tries again by itself: 1 h after a first failure, doubled up to 32 h. None = it is not waiting.

    A failure without a number counts as one.
    """
    failed = _time(dig(view.target, "status", "lastFailureTime"))
    if failed is None:
        return None
    doubled = min(max(_failures(view), 1) - 1, _DOUBLINGS)
    until = failed + _BACK_OFF * 2**doubled
    return until if until > view.read_at else None


def _failures(view: View) -> int:
    return int(dig(view.target, "status", "failedIssuanceAttempts") or 1)


def _expired(view: View) -> bool:
    expires = _time(dig(view.target, "status", "notAfter"))
    return expires is not None and expires <= view.read_at


def _expiry(view: View) -> str:
    expires = _time(dig(view.target, "status", "notAfter"))
    if expires is None:
        return "(there is no certificate yet)"
    return f"({'expired' if expires <= view.read_at else 'expires'} {format_time(expires)})"


def _shared(view: View) -> list[str]:
    """cert-manager issues for one owner of a Secret only."""
    secret = dig(view.target, "spec", "secretName")
    others = [
        said(dig(other, "metadata", "name"))
        for other in view.found["certificates"]
        if uid_of(other) != uid_of(view.target) and dig(other, "spec", "secretName") == secret
    ]
    if not others:
        return []
    return [f"{', '.join(others[:5])} write the same Secret {said(secret)}: cert-manager issues for one of them only"]


def _time(text: JSON) -> datetime | None:
    return parse_time(str(text)) if is_time(text) else None
