"""RDS as moto plays it: a snapshot however often it is sent, a reboot, and who we are to AWS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from remediator.adapters.callers.aws import RdsCaller
from remediator.adapters.callers.aws_api import Api
from remediator.errors import Conflict, NotFound, Refused, TargetGone, Unavailable
from remediator.outside_aws import RdsInstance
from tests.support import moto_server

pytestmark = pytest.mark.controlplane

INSTANCE = {"about": "instance"}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_server.started(tmp_path_factory.mktemp("moto")) as address:
        yield address


class Stage:
    def __init__(self, address: str, name: str) -> None:
        self.place = RdsInstance.model_validate(
            {
                "name": "orders",
                "instance": name,
                "region": "eu-west-1",
                "allow": ["snapshot", "reboot"],
                "access_key_id": "AKIDEXAMPLE",
                "secret_access_key_file": {"value": "not-so-secret"},
                "endpoint": address,
                "sts_endpoint": address,
            }
        )
        self.api = Api(self.place)

    async def create(self, **more: str) -> None:
        given = {"Engine": "postgres", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": "20", "MultiAZ": "true"}
        given |= {"MasterUsername": "root", "MasterUserPassword": "0123456789", "AvailabilityZone": "eu-west-1a"}
        taken = await self.api.send("CreateDBInstance", DBInstanceIdentifier=self.place.instance, **given, **more)
        assert taken == ("", "")

    def caller(self, **more: Any) -> RdsCaller:
        return RdsCaller((RdsInstance.model_validate({**self.place.model_dump(), **more}),))


@pytest.fixture
async def stage(aws: str, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    made = Stage(aws, f"db-{abs(hash(request.node.name))}")
    await made.create()
    yield made
    await made.api.close()


@pytest.fixture
async def caller(stage: Stage) -> AsyncIterator[RdsCaller]:
    made = stage.caller()
    yield made
    await made.close()


async def test_an_instance(caller: RdsCaller, stage: Stage) -> None:
    found = await caller.ask("orders", INSTANCE)
    assert (found["instance"], found["status"], found["multi_az"]) == (stage.place.instance, "available", True)
    assert (found["zone"], found["storage_gib"], found["snapshots"]) == ("eu-west-1a", 20, 0)
    assert found["resource"].startswith("db-")
    assert found["cluster"] == ""


async def test_a_snapshot_is_one_however_often_it_is_sent(caller: RdsCaller) -> None:
    resource = (await caller.ask("orders", INSTANCE))["resource"]
    request = {"do": "snapshot", "resource": resource, "snapshot": "manual-snapshot-0123456789"}
    assert await caller.rehearse("orders", request) == ""
    assert await caller.find("orders", request, key="k") == "unknown"
    assert "already" not in await caller.send("orders", request, key="k")
    assert await caller.find("orders", request, key="k") == "happened"
    assert (await caller.send("orders", request, key="k"))["already"]
    found = await caller.ask("orders", {"about": "snapshot", "snapshot": request["snapshot"]})
    assert found["status"] == "available"
    assert (await caller.ask("orders", INSTANCE))["snapshots"] == 1
    with pytest.raises(NotFound):
        await caller.ask("orders", {"about": "snapshot", "snapshot": "other"})


async def test_a_name_that_another_instance_has_taken(aws: str, caller: RdsCaller) -> None:
    other = Stage(aws, "other-db")
    await other.create()
    taken = {"DBInstanceIdentifier": "other-db", "DBSnapshotIdentifier": "taken-1"}
    assert await other.api.send("CreateDBSnapshot", **taken) == ("", "")
    await other.api.close()
    resource = (await caller.ask("orders", INSTANCE))["resource"]
    with pytest.raises(Refused, match="AlreadyExists"):
        await caller.send("orders", {"do": "snapshot", "resource": resource, "snapshot": "taken-1"}, key="k")


async def test_a_reboot(caller: RdsCaller) -> None:
    found = await caller.ask("orders", INSTANCE)
    request = {"do": "reboot", "resource": found["resource"], "zone": found["zone"], "failover": True}
    assert await caller.rehearse("orders", request) == ""
    assert "with a failover" in (await caller.send("orders", request, key="k"))["says"]
    assert await caller.find("orders", {**request, "zone": "eu-west-1b"}, key="k") == "happened"
    assert await caller.find("orders", {**request, "resource": "db-OTHER"}, key="k") == "unknown"
    with pytest.raises(TargetGone):
        await caller.send("orders", {**request, "resource": "db-OTHER"}, key="k")
    with pytest.raises(Conflict, match="it has failed over"):
        await caller.send("orders", {**request, "zone": "eu-west-1b"}, key="k")


async def test_what_is_not_allowed_or_not_there(stage: Stage) -> None:
    caller = stage.caller(allow=["snapshot"])
    found = await caller.ask("orders", INSTANCE)
    request = {"do": "reboot", "resource": found["resource"], "zone": found["zone"], "failover": False}
    with pytest.raises(Refused, match="allow has no 'reboot'"):
        await caller.send("orders", request, key="k")
    await caller.close()
    gone = stage.caller(instance="nothing")
    with pytest.raises(NotFound, match="DBInstanceNotFound"):
        await gone.ask("orders", INSTANCE)
    with pytest.raises(Refused, match="DBInstanceNotFound"):
        await gone.send("orders", request, key="k")
    with pytest.raises(NotFound, match="there are: orders"):
        await gone.ask("elsewhere", INSTANCE)
    await gone.close()


async def test_an_instance_that_is_busy(caller: RdsCaller, stage: Stage) -> None:
    found = await caller.ask("orders", INSTANCE)
    assert await stage.api.send("StopDBInstance", DBInstanceIdentifier=stage.place.instance) == ("", "")
    request = {"do": "snapshot", "resource": found["resource"], "snapshot": "s-1"}
    with pytest.raises(Unavailable, match="is stopped"):
        await caller.send("orders", request, key="k")


async def test_as_the_pods_service_account(
    aws: str, stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "token").write_text("eyJ.token.x\n")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/remediator")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    caller = stage.caller(access_key_id="", secret_access_key_file=None)
    assert (await caller.ask("orders", INSTANCE))["status"] == "available"
    await caller.close()
