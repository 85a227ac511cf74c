"""`tcp`, `tls`, `dns`: what an answer means, and where nobody is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.errors import CannotSee, InvalidPlaybook, ReadError
from remediator.objects import ObjectRef
from remediator.playbooks.model import Check
from remediator.remediation.checks.base import ServedCertificate
from remediator.remediation.checks.registry import parse_check
from tests.checks.fakes import FakeProbe
from tests.checks.simulated import Sim, at, manifest
from tests.checks.test_condition import ask

API = ObjectRef("Deployment", "shop", "api")
NOW = datetime(2025, 6, 2, 10, 0, tzinfo=UTC)


@dataclass
class FakeNetwork(FakeProbe):
    """Answers every address alike."""

    listens: bool | ReadError = True
    shown: ServedCertificate | ReadError = field(
        default_factory=lambda: ServedCertificate("0a1b", NOW - timedelta(days=1), NOW + timedelta(days=89))
    )
    addresses: tuple[str, ...] | ReadError = ("10.0.0.1",)

    async def connect(self, host: str, port: int, *, timeout_s: float) -> bool:
        self.asked.append(f"{host}:{port}")
        return _or_raise(self.listens)

    async def certificate(self, host: str, port: int, *, name: str, timeout_s: float) -> ServedCertificate:
        self.asked.append(f"{host}:{port} {name}")
        return _or_raise(self.shown)

    async def resolve(self, name: str, *, timeout_s: float) -> tuple[str, ...]:
        self.asked.append(name)
        return _or_raise(self.addresses)


def _or_raise(found: Any) -> Any:
    if isinstance(found, ReadError):
        raise found
    return found


@pytest.mark.parametrize(
    ("listens", "answer"),
    [
        pytest.param(True, "good", id="listens"),
        pytest.param(False, "bad", id="refused"),
        pytest.param(CannotSee("no answer"), "unknown", id="no answer"),
    ],
)
async def test_tcp(listens: Any, answer: str) -> None:
    net = FakeNetwork(listens=listens)
    found = await ask(Sim().context(API, http=net), "tcp", service="orders-db", port=5432)
    assert (found.answer, found.check, net.asked) == (answer, "tcp orders-db:5432", ["orders-db.shop.svc:5432"])


async def test_without_a_probe_that_can_it_is_unknown() -> None:
    for more in ({}, {"http": FakeProbe()}):
        found = await ask(Sim().context(API, **more), "dns", name="shop.example.com")
        assert (found.answer, "not configured" in found.detail) == ("unknown", True)


@pytest.mark.parametrize("service", ["evil.com/", "169.254.169.254", "Api", "a_b"])
async def test_a_service_is_a_name(service: str) -> None:
    net = FakeNetwork()
    found = await ask(Sim().context(API, http=net), "tcp", service=service, port=80)
    assert (found.answer, net.asked) == ("unknown", [])


@pytest.mark.parametrize(
    ("begins", "ends", "args", "answer"),
    [
        pytest.param(-1, 89, {}, "good", id="valid"),
        pytest.param(-1, 89, {"min_days": 90}, "bad", id="too short"),
        pytest.param(-90, -1, {}, "bad", id="expired"),
        pytest.param(1, 89, {}, "bad", id="not valid yet"),
        pytest.param(-1, 89, {"certificate": "api-tls"}, "good", id="the one that was issued last"),
        pytest.param(-9, 60, {"certificate": "api-tls"}, "unknown", id="still the one of before"),
    ],
)
async def test_tls(begins: float, ends: float, args: dict[str, Any], answer: str) -> None:
    sim = Sim()
    issued = {"conditions": [], "notAfter": at(NOW + timedelta(days=89))}
    sim.put(manifest("Certificate.cert-manager.io", "api-tls", spec={"secretName": "api-tls"}, status=issued))
    shown = ServedCertificate("0a1b", NOW + timedelta(days=begins), NOW + timedelta(days=ends))
    net = FakeNetwork(shown=shown)
    found = await ask(sim.context(API, http=net), "tls", host="shop.example.com", **args)
    assert found.answer == answer
    assert found.badness is None if answer == "unknown" else found.badness == pytest.approx(-ends)
    assert net.asked == ["shop.example.com:443 shop.example.com"]


async def test_tls_of_a_certificate_elsewhere() -> None:
    """Who serves it and what issues it are often in two namespaces, and one playbook may act on both."""
    sim, ends = Sim(), NOW + timedelta(days=89)
    issued = {"conditions": [], "notAfter": at(ends)}
    sim.put(manifest("Certificate.cert-manager.io", "wide-tls", "cert-manager", spec={}, status=issued))
    net = FakeNetwork(shown=ServedCertificate("0a1b", NOW, ends))
    args = {"host": "shop.example.com", "certificate": "wide-tls"}
    context = sim.context(API, http=net)
    assert (await ask(context, "tls", **args)).answer == "unknown"
    assert (await ask(context, "tls", **args, namespace="cert-manager")).answer == "good"


@pytest.mark.parametrize(
    ("addresses", "answer"),
    [(("10.0.0.1", "10.0.0.2"), "good"), ((), "bad"), (CannotSee("no answer"), "unknown")],
)
async def test_dns(addresses: Any, answer: str) -> None:
    found = await ask(Sim().context(API, http=FakeNetwork(addresses=addresses)), "dns", name="shop.example.com")
    assert found.answer == answer


@pytest.mark.parametrize(
    ("kind", "args", "why"),
    [
        pytest.param("tcp", {"port": 80}, "either service or host", id="nowhere"),
        pytest.param("tcp", {"port": 80, "service": "a", "host": "b.c"}, "either service or host", id="both"),
        pytest.param("tcp", {"service": "a"}, "port", id="no port"),
        pytest.param("tcp", {"host": "${labels.instance}", "port": 80}, "a host has no ${...}", id="a label's host"),
        pytest.param("tls", {"host": "169.254.169.254"}, "no host name", id="an address"),
        pytest.param("tls", {"host": "2852039166"}, "no host name", id="an address in other digits"),
        pytest.param("tls", {"host": "a.example/x"}, "no host name", id="a path"),
        pytest.param("dns", {"name": ""}, "name", id="no name"),
    ],
)
def test_arguments(kind: str, args: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidPlaybook) as complaint:
        parse_check(Check(kind=kind, args=args))
    assert why in str(complaint.value)
