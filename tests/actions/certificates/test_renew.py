"""renew_certificate: the condition exactly as cert-manager's own tool sets it, and never often."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from remediator.actions.certificates.renew import RenewCertificate, RenewCertificateParams
from remediator.actions.change import GENERATED_TIME, NotPossible
from remediator.actions.diff import diff_lines
from remediator.actions.render import render
from remediator.actions.times import format_time
from remediator.actions.view import ListOf
from tests.actions.make import NOW, NS, deployment, meta, view


def at(**ago: float) -> str:
    return format_time(NOW - timedelta(**ago))


def certificate(
    *, ready: str = "True", left: float = 10, age: float = 80, conditions: Any = None, name: str = "web", **extra: Any
) -> dict[str, Any]:
    """A Certificate that expires in `left` days and has been valid for `age` days. `extra` goes into the status."""
    metadata = {**meta(name, "Certificate"), "generation": 3, **extra.pop("metadata", {})}
    found = [{"type": "Ready", "status": ready, "reason": "Ready", "observedGeneration": 3}]
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": metadata,
        "spec": {"secretName": "web-tls", "issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"}},
        "status": {
            "conditions": found + (conditions or []),
            "notBefore": at(days=age),
            "notAfter": at(days=-left),
            "revision": 4,
            **extra,
        },
    }


def issuing(status: str) -> dict[str, Any]:
    return {"type": "Issuing", "status": status, "reason": "Failed", "lastTransitionTime": at(hours=40)}


def plan(obj: Any, others: Any = (), **params: Any) -> Any:
    seen = view(obj, found={"certificates": (obj, *others)})
    return RenewCertificate().plan(RenewCertificateParams(**params), seen)


@pytest.mark.parametrize("before", [None, issuing("False")])
def test_our_note_first_then_the_condition(before):
    obj = certificate(conditions=[before] if before else None)
    note, issue = plan(obj).effects
    assert note.changes[0].path == ("metadata", "annotations", "remediator.dev/renewed-at")
    assert note.changes[0].after == GENERATED_TIME
    (field,) = issue.changes
    assert (issue.subresource, issue.undoable) == ("status", False)
    assert (field.path, field.before) == (("status", "conditions", "[type=Issuing]"), before)
    assert field.after == {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "observedGeneration": 3,
        "lastTransitionTime": GENERATED_TIME,
    }


@pytest.mark.parametrize(
    ("before", "op", "path"),
    [(None, "add", "/status/conditions/-"), (issuing("False"), "replace", "/status/conditions/1")],
)
def test_on_the_wire_the_other_conditions_stay(before, op, path):
    obj = certificate(conditions=[before] if before else None)
    request = render(plan(obj).effects[1], obj, effect_id="e", now=NOW)
    assert request.subresource == "status"
    sent = json.loads(request.body)[-1]
    assert (sent["op"], sent["path"]) == (op, path)
    assert sent["value"]["lastTransitionTime"] == "2025-06-01T12:00:00Z"


def test_people_read_it():
    change = plan(certificate())
    assert change.summary == "issue again (expires 2025-06-11T12:00:00Z)"
    assert diff_lines(change, view(certificate()).ref)[0] == "remediator.dev/renewed-at absent -> time of sending"
    assert change.notes == ("the old certificate stays until the new one is there",)
    assert change.needs_approval == ""


FAILED_5: dict[str, Any] = {"lastFailureTime": at(hours=10), "failedIssuanceAttempts": 5}


@pytest.mark.parametrize(
    ("obj", "params"),
    [
        pytest.param(certificate(left=14), {}, id="14 days left"),
        pytest.param(certificate(left=60), {"days_left": 60}, id="earlier, as asked"),
        pytest.param(certificate(ready="False", left=60), {}, id="not ready"),
        pytest.param(certificate(left=-1), {}, id="expired"),
        pytest.param(certificate(age=1), {}, id="a day after the last one"),
        pytest.param(
            certificate(metadata={"annotations": {"remediator.dev/renewed-at": at(hours=24)}}), {}, id="a day after us"
        ),
        pytest.param(certificate(lastFailureTime=at(minutes=60), failedIssuanceAttempts=1), {}, id="back-off is over"),
        pytest.param(
            certificate(lastFailureTime=at(hours=32), failedIssuanceAttempts=50), {}, id="longest back-off is over"
        ),
        pytest.param(certificate(**FAILED_5), {"ignore_backoff": True}, id="in back-off, ignored"),
    ],
)
def test_possible(obj, params):
    assert len(plan(obj, **params).effects) == 2


@pytest.mark.parametrize(
    ("obj", "reason", "hold"),
    [
        pytest.param(certificate(left=14.1), "is ready until .*more than 14 days", False, id="too early"),
        pytest.param(certificate(conditions=[issuing("True")]), "is being issued since", True, id="under way"),
        pytest.param(certificate(age=0.99), "valid since .* at most one renewal in 24 h", False, id="new"),
        pytest.param(
            certificate(metadata={"annotations": {"remediator.dev/renewed-at": at(hours=23.9)}}),
            "renewed by us since .* the next from 2025-06-01T12:06:00Z",
            False,
            id="ours was today",
        ),
        pytest.param(
            certificate(lastFailureTime=at(minutes=59), failedIssuanceAttempts=1),
            "tries again at",
            True,
            id="1 failure",
        ),
        pytest.param(certificate(lastFailureTime=at(minutes=59)), "failed 1 times", True, id="failures not counted"),
        pytest.param(certificate(**FAILED_5), "failed 5 times.* again at 2025-06-01T18:00:00Z", True, id="5 failures"),
        pytest.param(
            certificate(lastFailureTime=at(hours=31.9), failedIssuanceAttempts=50),
            "failed 50 times",
            True,
            id="longest",
        ),
        pytest.param({**certificate(), "status": {}}, "has not looked at", True, id="no status"),
        pytest.param(certificate(metadata={"deletionTimestamp": "x"}), "being deleted", False, id="goes"),
        pytest.param(deployment(), "is no Certificate", False, id="another kind"),
    ],
)
def test_refused(obj, reason, hold):
    with pytest.raises(NotPossible, match=reason) as caught:
        plan(obj)
    assert caught.value.hold is hold


def test_a_day_between_ours_even_when_back_off_is_ignored():
    obj = certificate(metadata={"annotations": {"remediator.dev/renewed-at": at(hours=2)}}, **FAILED_5)
    with pytest.raises(NotPossible, match="renewed by us"):
        plan(obj, ignore_backoff=True)


@pytest.mark.parametrize(
    ("obj", "asks"),
    [
        pytest.param(certificate(**FAILED_5), True, id="still valid"),
        pytest.param(certificate(left=-1, **FAILED_5), False, id="expired"),
        pytest.param(certificate(), False, id="no failure"),
    ],
)
def test_going_round_the_back_off_asks_while_there_is_time(obj, asks):
    assert bool(plan(obj, ignore_backoff=True).needs_approval) is asks


def test_two_certificates_of_one_secret():
    other = certificate(name="web-2")
    elsewhere = {**certificate(name="api"), "spec": {"secretName": "api-tls"}}
    notes = plan(certificate(), [other, elsewhere]).notes
    assert notes[1] == "web-2 write the same Secret web-tls: cert-manager issues for one of them only"
    assert RenewCertificate().wants(RenewCertificateParams(), view(certificate())) == {
        "certificates": ListOf(kind="Certificate.cert-manager.io", namespace=NS)
    }


def test_nothing_is_ever_deleted():
    assert {effect.kind for effect in plan(certificate()).effects} == {"patch"}
