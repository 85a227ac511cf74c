"""certificate_status, when a certificate is not issued: which request, order and challenge it waits for."""

from __future__ import annotations

from typing import Any

from remediator.objects import ObjectRef, uid_of
from tests.checks.simulated import Sim, manifest
from tests.remediation.collectors.looking import SECRET, collect
from tests.remediation.collectors.test_of_a_cluster import condition

CERTIFICATE, REQUEST = "Certificate.cert-manager.io", "CertificateRequest.cert-manager.io"
ORDER, CHALLENGE = "Order.acme.cert-manager.io", "Challenge.acme.cert-manager.io"
NOT_READY = condition("Ready", "False", "DoesNotExist", "Secret does not exist")
ISSUING = condition("Issuing", "True", "DoesNotExist")
APPROVED = condition("Approved", "True", "cert-manager.io")
REASON = "Waiting for HTTP-01 challenge propagation: wrong status code '404', expected '200'"


def put(sim: Sim, kind: str, name: str, owner: ObjectRef | None = None, **parts: Any) -> ObjectRef:
    """An object that belongs to the owner, as cert-manager's controllers say it."""
    if owner is not None:
        of = {"apiVersion": "v1", "kind": owner.kind.partition(".")[0], "name": owner.name, "controller": True}
        parts["ownerReferences"] = [{**of, "uid": uid_of(sim.peek(owner))}]
    return sim.put(manifest(kind, name, **parts))


def certificate(sim: Sim, name: str, *conditions: dict[str, str]) -> ObjectRef:
    spec = {"secretName": name, "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt"}}
    return put(sim, CERTIFICATE, name, spec=spec, status={"conditions": list(conditions)})


def request(sim: Sim, of: ObjectRef, revision: int, *conditions: dict[str, str]) -> ObjectRef:
    annotations = {"cert-manager.io/certificate-revision": str(revision)}
    name = f"{of.name}-{revision}"
    return put(sim, REQUEST, name, of, annotations=annotations, spec={}, status={"conditions": list(conditions)})


def pending(order: str) -> dict[str, str]:
    return condition("Ready", "False", "Pending", f"Waiting on certificate issuance from order {order}")


def challenge(sim: Sim, order: ObjectRef, name: str, host: str, **status: Any) -> ObjectRef:
    spec = {"type": "HTTP-01", "dnsName": host, "token": SECRET, "key": SECRET}
    return put(sim, CHALLENGE, name, order, spec=spec, status=status)


def at_a_challenge(sim: Sim, name: str = "stuck") -> None:
    owner = certificate(sim, name, NOT_READY, ISSUING)
    request(sim, owner, 1, APPROVED, condition("Ready", "False", "Failed", "the first try"))
    newest = request(sim, owner, 2, APPROVED, pending(f"shop/{name}-2-1"))
    order = put(sim, ORDER, f"{name}-2-1", newest, spec={}, status={"state": "pending"})
    challenge(sim, order, f"{name}-2-1-a", "done.example.com", state="valid")
    challenge(sim, order, f"{name}-2-1-b", "api.example.com", state="pending", presented=True, reason=REASON)


async def test_the_stuck_one_comes_first_with_what_it_waits_for() -> None:
    sim = Sim()
    certificate(sim, "aaa", condition("Ready", "True", "Ready"))
    at_a_challenge(sim)
    request(sim, certificate(sim, "well", condition("Ready", "True", "Ready")), 1, pending("shop/none"))
    sim.pass_time(2 * 3600)
    late = certificate(sim, "late", NOT_READY, ISSUING)
    request(sim, late, 1, APPROVED)
    sim.pass_time(600)
    found = await collect(sim.context(), "certificate_status")
    told = [line for line in found.text.splitlines() if not line.startswith("shop/")]
    assert told == [
        f"  Challenge shop/stuck-2-1-b (HTTP-01 of api.example.com): pending, presented, for 2h: {REASON}",
        "  Order shop/stuck-2-1: pending for 2h",
        "  CertificateRequest shop/stuck-2: Pending for 2h: Waiting on certificate issuance from order shop/stuck-2-1",
        "  CertificateRequest shop/late-1: waits for its issuer for 10m",
    ]
    names = [line.partition(":")[0] for line in found.text.splitlines() if line.startswith("shop/")]
    assert names == ["shop/stuck", "shop/late", "shop/aaa", "shop/well"]
    assert found.summary.endswith("2 stuck at Challenge, CertificateRequest")
    assert found.data["rows"][0]["waits_for"][0]["kind"] == "Challenge"
    assert found.private


async def test_ends_that_are_no_waiting() -> None:
    """An order that failed since when, a request that nobody approves, and one that is issued."""
    sim = Sim()
    failed = certificate(sim, "failed", NOT_READY)
    of_failed = request(sim, failed, 1, APPROVED, condition("Ready", "False", "Failed", "order is invalid"))
    ended = {"state": "errored", "reason": "429 rateLimited", "failureTime": sim.ago(days=3)}
    put(sim, ORDER, "failed-1-1", of_failed, spec={}, status=ended)
    put(sim, ORDER, "failed-1-2", of_failed, spec={}, status={"state": "valid"})
    request(sim, certificate(sim, "unapproved", NOT_READY), 1)
    request(sim, certificate(sim, "issued", NOT_READY), 1, APPROVED, condition("Ready", "True", "Issued"))
    text = (await collect(sim.context(), "certificate_status")).text
    assert "  Order shop/failed-1-1: errored for 3d: 429 rateLimited" in text
    assert "  CertificateRequest shop/unapproved-1: waits for its approval for" in text
    assert "failed-1-2" not in text
    assert "issued-1" not in text


async def test_what_belongs_to_another_of_that_name_is_not_its_own() -> None:
    sim = Sim()
    certificate(sim, "api", NOT_READY)
    before = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "name": "api",
        "controller": True,
        "uid": "old",
    }
    sim.put(manifest(REQUEST, "api-1", ownerReferences=[before], spec={}, status={"conditions": [pending("api-1-1")]}))
    assert sim.peek(ObjectRef(REQUEST, "shop", "api-1"))
    assert "api-1" not in (await collect(sim.context(), "certificate_status")).text


async def test_ready_ones_cost_no_more_lists() -> None:
    sim = Sim()
    for kind in (REQUEST, ORDER, CHALLENGE):
        sim.cluster.forbid("list", kind)
    certificate(sim, "well", condition("Ready", "True", "Ready"))
    assert (await collect(sim.context(), "certificate_status")).error == ""


async def test_challenges_that_cannot_be_read_are_not_none() -> None:
    sim = Sim()
    at_a_challenge(sim)
    sim.cluster.forbid("list", CHALLENGE)
    found = await collect(sim.context(), "certificate_status")
    assert "Challenge: could not be read, we may not list challenges" in found.text
    assert "Order shop/stuck-2-1: pending" in found.text
    assert "not all could be read" in found.summary
