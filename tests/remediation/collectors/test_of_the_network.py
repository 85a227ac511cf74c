"""tls_chain and dns_lookup: what is shown, where it leads, and what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.errors import CannotSee, InvalidPlaybook
from remediator.playbooks.model import Collect
from remediator.remediation.checks.base import ServedCertificate
from remediator.remediation.evidence import parse_collect
from tests.checks.simulated import Sim
from tests.checks.test_network import FakeNetwork
from tests.remediation.collectors.looking import collect

LEAF, ROOT = "CN=shop.example.com", "CN=Root, O=Example"


def chain(sim: Sim, *, above: bool | None = True, issuer: str = ROOT, days: float = 5) -> ServedCertificate:
    now = sim.now
    root = ServedCertificate("01", now - timedelta(days=900), now + timedelta(days=900), ROOT, ROOT)
    own = ServedCertificate("0a", now - timedelta(days=1), now + timedelta(days=days), LEAF, issuer)
    return replace(own, above=None if above is None else (root,) if above else ())


async def test_every_certificate_of_the_chain() -> None:
    sim = Sim()
    net = FakeNetwork(shown=chain(sim))
    found = await collect(sim.context(http=net), "tls_chain", host="shop.example.com")
    first, second = found.text.splitlines()
    assert first.startswith(f"1. {LEAF}, issued by {ROOT}, until ")
    assert first.endswith("UTC (5d)")
    assert second.startswith(f"2. {ROOT}, issued by {ROOT}")
    assert found.summary == "2 certificates, the first expires in 5d"
    assert [row["subject"] for row in found.data["rows"]] == [LEAF, ROOT]
    assert net.asked == ["shop.example.com:443 shop.example.com"]


@pytest.mark.parametrize(
    ("given", "text", "summary", "error"),
    [
        pytest.param({"above": False}, "1. CN=shop", "1 certificate, the first expires in 5d", "", id="alone"),
        pytest.param({"issuer": "CN=R11"}, "1. is issued by CN=R11, and what comes next is", ", a gap", "", id="gap"),
        pytest.param({"days": -3}, "(-3d)", "expires in -3d", "", id="expired"),
        pytest.param({"days": 0.5, "issuer": "CN=a\nCN=b"}, "issued by CN=a CN=b,", "12h, a gap", "", id="one line"),
        pytest.param(
            {"above": None}, "could not be read", "not all could be read", "could not be read", id="cannot be seen"
        ),
    ],
)
async def test_chains_that_are_not_well(given: dict[str, Any], text: str, summary: str, error: str) -> None:
    sim = Sim()
    net = FakeNetwork(shown=chain(sim, **given))
    found = await collect(sim.context(http=net), "tls_chain", host="shop.example.com", port=8443)
    assert text in found.text
    assert summary in found.summary
    assert error in found.error


@pytest.mark.parametrize(
    ("addresses", "text", "summary"),
    [
        pytest.param(("10.0.0.1", "10.0.0.2"), "10.0.0.1\n10.0.0.2", "2 addresses", id="some"),
        pytest.param((), "shop.example.com has no address", "no address", id="none"),
        pytest.param(tuple(f"10.0.1.{n}" for n in range(60)), "10.0.1.49\nand 10 more", "60 addresses", id="many"),
    ],
)
async def test_addresses(addresses: tuple[str, ...], text: str, summary: str) -> None:
    sim = Sim()
    found = await collect(sim.context(http=FakeNetwork(addresses=addresses)), "dns_lookup", name="shop.example.com")
    assert text in found.text
    assert (found.summary, found.error) == (summary, "")


@pytest.mark.parametrize(
    ("kind", "args"), [("tls_chain", {"host": "a.example"}), ("dns_lookup", {"name": "a.example"})]
)
async def test_no_answer_is_no_empty_answer(kind: str, args: dict[str, str]) -> None:
    lost = CannotSee("did not answer")
    net = FakeNetwork(shown=lost, addresses=lost)
    for context, why in ((Sim().context(http=net), "did not answer"), (Sim().context(), "not configured")):
        found = await collect(context, kind, **args)
        assert (found.summary, why in found.error) == ("not available", True)


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        pytest.param("tls_chain", {"host": "${labels.host}"}, id="a label's host"),
        pytest.param("tls_chain", {"host": "2852039166"}, id="an address as a number"),
        pytest.param("tls_chain", {}, id="no host"),
        pytest.param("tls_chain", {"host": "a.example", "port": 0}, id="no port"),
        pytest.param("dns_lookup", {"name": "${labels.host}"}, id="a label's name"),
        pytest.param("dns_lookup", {"name": ""}, id="no name"),
    ],
)
def test_hosts_are_the_authors_own_words(kind: str, args: dict[str, Any]) -> None:
    with pytest.raises(InvalidPlaybook):
        parse_collect(Collect(kind=kind, args=args))
