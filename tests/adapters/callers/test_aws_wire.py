"""How requests to AWS are signed, who we are, and what its errors mean."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from remediator.adapters.callers.aws import RdsCaller
from remediator.adapters.callers.aws_signing import Keys, encoded, identity, signed
from remediator.adapters.callers.connect import connect_callers
from remediator.errors import CannotSee, Forbidden, NotFound, Refused, TargetGone, Unavailable, Uncertain
from remediator.outside import OutsideSettings
from remediator.outside_aws import RdsInstance
from tests.checks.fakes import FakeCluster

PLACE: dict[str, Any] = {
    "name": "orders",
    "instance": "prod-db",
    "region": "eu-west-1",
    "allow": ["snapshot", "reboot"],
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key_file": {"value": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
}
ERROR = (
    '<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type><Code>{}</Code>'
    "<Message>no, password=hunter22</Message></Error></ErrorResponse>"
)
INSTANCE = (
    '<R xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DBInstances><DBInstance><DBInstanceIdentifier>prod-db'
    "</DBInstanceIdentifier><DbiResourceId>db-A</DbiResourceId><DBInstanceStatus>available</DBInstanceStatus>"
    "<AvailabilityZone>a</AvailabilityZone></DBInstance></DBInstances></R>"
)
REBOOT = {"do": "reboot", "resource": "db-A", "zone": "a", "failover": False}


def test_the_signature_of_the_documented_example():
    """`get-vanilla-query-order-key-case` of AWS' own test suite."""
    headers = signed(
        Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        host="example.amazonaws.com",
        query=encoded([("Param2", "value2"), ("Param1", "value1")]),
        region="us-east-1",
        service="service",
        now=datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC),
    )
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
    )


def test_queries_are_encoded_as_aws_does():
    assert encoded([("b", "a b/c:d"), ("a", "~ä")]) == "a=~%C3%A4&b=a%20b%2Fc%3Ad"


class FakeRds:
    """Answers what it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.text = 200, INSTANCE
        self.sent: tuple[int, str] = (200, "<R/>")
        self.asked: list[str] = []
        self.headers: list[Any] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.query["Action"])
        self.headers.append(request.headers)
        reads = request.query["Action"].startswith("Describe")
        status, text = (self.status, self.text) if reads else self.sent
        return web.Response(status=status, text=text, content_type="text/xml")


@pytest.fixture
async def rds() -> AsyncIterator[tuple[FakeRds, RdsCaller]]:
    fake = FakeRds()
    app = web.Application()
    app.router.add_get("/", fake.handle)
    server = TestServer(app)
    await server.start_server()
    place = RdsInstance.model_validate({**PLACE, "endpoint": f"http://{server.host}:{server.port}"})
    caller = RdsCaller((place,))
    yield fake, caller
    await caller.close()
    await server.close()


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        pytest.param(404, ERROR.format("DBInstanceNotFound"), NotFound, id="not there"),
        pytest.param(403, ERROR.format("AccessDenied"), Forbidden, id="not ours"),
        pytest.param(400, ERROR.format("Throttling"), CannotSee, id="too fast"),
        pytest.param(503, "gone fishing", CannotSee, id="down"),
        pytest.param(200, "{}", CannotSee, id="no XML"),
        pytest.param(200, "<!DOCTYPE x [<!ENTITY a 'b'>]><R/>", CannotSee, id="a document type"),
        pytest.param(200, "<R/>", NotFound, id="nothing in it"),
    ],
)
async def test_questions(rds, status, text, error):
    fake, caller = rds
    fake.status, fake.text = status, text
    with pytest.raises(error) as raised:
        await caller.ask("orders", {"about": "instance"})
    assert "hunter22" not in str(raised.value)
    with pytest.raises((Refused, Unavailable)):
        await caller.send("orders", REBOOT, key="k")
    assert set(fake.asked) == {"DescribeDBInstances"}


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        pytest.param(500, ERROR.format("InternalFailure"), Uncertain, id="their fault"),
        pytest.param(502, "<html>", Uncertain, id="a proxy"),
        pytest.param(400, "<html/>", Uncertain, id="not AWS"),
        pytest.param(400, ERROR.format("Throttling"), Unavailable, id="too fast"),
        pytest.param(400, ERROR.format("InvalidDBInstanceState"), Unavailable, id="busy"),
        pytest.param(404, ERROR.format("DBInstanceNotFound"), TargetGone, id="gone"),
        pytest.param(403, ERROR.format("AccessDenied"), Refused, id="not ours"),
        pytest.param(400, ERROR.format("SnapshotQuotaExceeded"), Refused, id="quota"),
    ],
)
async def test_requests(rds, status, text, error):
    fake, caller = rds
    fake.sent = status, text
    with pytest.raises(error) as raised:
        await caller.send("orders", REBOOT, key="k")
    assert "hunter22" not in str(raised.value)
    assert fake.asked == ["DescribeDBInstances", "RebootDBInstance"]  # once


async def test_a_failover_without_a_standby_is_not_sent(rds):
    fake, caller = rds
    with pytest.raises(Refused, match="no standby"):
        await caller.send("orders", {**REBOOT, "failover": True}, key="k")
    with pytest.raises(Refused, match="no standby"):
        await caller.rehearse("orders", {**REBOOT, "failover": True})
    assert "RebootDBInstance" not in fake.asked


async def test_a_reboot_under_way_has_happened(rds):
    fake, caller = rds
    assert await caller.find("orders", REBOOT, key="k") == "unknown"
    fake.text = INSTANCE.replace("available", "rebooting")
    assert await caller.find("orders", REBOOT, key="k") == "happened"


def test_who_we_are(monkeypatch, tmp_path):
    for name in ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    bare = RdsInstance.model_validate({**PLACE, "access_key_id": "", "secret_access_key_file": None})
    with pytest.raises(CannotSee, match="no credentials"):
        identity(bare)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "whisper")
    assert "whisper" not in repr(identity(bare))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:x")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(CannotSee, match="web identity token cannot be read"):
        identity(bare)
    assert identity(RdsInstance.model_validate(PLACE)) == Keys(
        "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    )


def test_wiring():
    callers = connect_callers(OutsideSettings.model_validate({"rds": [PLACE]}), FakeCluster([]))
    assert isinstance(callers["rds"], RdsCaller)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"allow": []}, id="nothing allowed"),
        pytest.param({"allow": ["delete"]}, id="never"),
        pytest.param({"secret_access_key_file": None}, id="half a key"),
        pytest.param({"secret_access_key_file": "wJalrX"}, id="a secret in place"),
        pytest.param({"region": "eu-west-1.evil.com/"}, id="an address as a region"),
        pytest.param({"instance": "a--b"}, id="no identifier"),
        pytest.param({"endpoint": "file:///etc/passwd"}, id="no endpoint"),
    ],
)
def test_settings_that_are_not_taken(more):
    with pytest.raises(ValidationError):
        RdsInstance.model_validate({**PLACE, **more})
