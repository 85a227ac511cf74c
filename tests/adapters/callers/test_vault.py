"""vault: what is asked, what is written, what an answer means, and that no value ever leaves it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest

from remediator.adapters.callers.vault import MARKER, VaultCaller
from remediator.errors import (
    CannotSee,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    RemediatorError,
    Unavailable,
    Uncertain,
)
from remediator.outside_vaults import Vault
from tests.support.fake_http import Fault
from tests.support.fake_vault import FIXED, JWT, ROLE_ID, SECRET_ID, FakeVault

OLD, OTHER = "the-old-Pa55word-of-the-database", "other-value-that-nobody-reads"
PATH = "cmp/database"
DATA, METADATA = f"secret/data/{PATH}", f"secret/metadata/{PATH}"
ROTATE = {"do": "rotate", "secret": "database", "version": 2}
RESTORE = {"do": "restore", "secret": "database", "version": 2}
ASK = {"about": "secret", "secret": "database"}
KUBERNETES = {"kubernetes": {"role": "remediator", "token_file": {"value": JWT}}}
APPROLE = {"approle": {"role_id": ROLE_ID, "secret_id_file": {"value": SECRET_ID}}}
TOKEN = {"token_file": {"value": FIXED}}


@pytest.fixture
async def server() -> AsyncIterator[FakeVault]:
    async with FakeVault() as fake:
        fake.put(PATH, {"password": "the-first-one-12345", "user": OTHER})
        fake.put(PATH, {"password": OLD, "user": OTHER})
        fake.secrets[PATH]["custom"] = {"owner": "team-data"}
        yield fake
        assert fake.violations == []


def settings(server: FakeVault, **more: Any) -> Vault:
    secret = {"name": "database", "path": PATH, "key": "password"}
    one = {"name": "main", "url": server.root, "auth": KUBERNETES, "timeout": "1s", "secrets": [secret]}
    return Vault.model_validate({**one, **more})


@pytest.fixture
async def caller(server: FakeVault) -> AsyncIterator[VaultCaller]:
    made = VaultCaller((settings(server),))
    yield made
    await made.close()


def stamp(server: FakeVault) -> str:
    return str((server.secrets[PATH]["custom"] or {}).get(MARKER, ""))


# Questions


async def test_metadata_and_never_a_value(server: FakeVault, caller: VaultCaller) -> None:
    found = await caller.ask("main", ASK)
    assert found == {
        "secret": "database",
        "mount": "secret",
        "path": PATH,
        "key": "password",
        "version": 2,
        "created": "2025-06-01T10:02:00.123456789Z",
        "state": "there",
        "has_key": True,
        "max_versions": 0,
        "cas_required": False,
        "delete_after": "0s",
        "custom_metadata": {"owner": "team-data"},
    }
    assert not [call for call in server.calls if DATA in call]


async def test_deleted_versions_and_missing_keys(server: FakeVault, caller: VaultCaller) -> None:
    server.put(PATH, {"user": OTHER})
    assert (await caller.ask("main", ASK))["has_key"] is False
    server.secrets[PATH]["versions"][3]["deletion_time"] = "2025-06-01T11:00:00Z"
    assert (await caller.ask("main", ASK))["state"] == "deleted"
    server.secrets[PATH]["versions"][3]["destroyed"] = True
    assert (await caller.ask("main", ASK))["state"] == "destroyed"


# Rotating


async def test_one_key_gets_a_new_value_and_the_others_stay(server: FakeVault, caller: VaultCaller) -> None:
    said = await caller.send("main", ROTATE, key="e-1")
    new = server.value(PATH, "password")
    assert said == {"version": 3, "says": f"password of secret/{PATH} has a new value (version 3)"}
    assert server.value(PATH, "user") == OTHER
    assert new not in (OLD, "")
    assert len(new) == 32
    assert new.isalnum()
    assert server.secrets[PATH]["custom"]["owner"] == "team-data"
    (_, _), (_, body) = server.bodies
    assert (body["options"], set(body["data"])) == ({"cas": 2}, {"password"})


async def test_length_and_alphabet_are_the_configurations(server: FakeVault) -> None:
    secret = {"name": "database", "path": PATH, "key": "password", "length": 64, "alphabet": "hex"}
    caller = VaultCaller((settings(server, secrets=[secret]),))
    await caller.send("main", ROTATE, key="e-1")
    new = server.value(PATH, "password")
    await caller.send("main", {**ROTATE, "version": 3}, key="e-2")
    await caller.close()
    assert len(new) == 64
    assert set(new) <= set("0123456789abcdef")
    assert server.value(PATH, "password") != new


async def test_somebody_has_written_it_meanwhile(server: FakeVault, caller: VaultCaller) -> None:
    server.put(PATH, {"password": "by-a-person-123456"})
    with pytest.raises(Conflict, match="at version 3, not 2"):
        await caller.send("main", ROTATE, key="e-1")
    assert server.bodies == []
    assert await caller.find("main", ROTATE, key="e-1") == "unknown"


async def test_somebody_is_quicker_between_the_look_and_the_write(server: FakeVault, caller: VaultCaller) -> None:
    server.meanwhile[f"PATCH {DATA}"] = lambda: server.put(PATH, {"password": "by-a-person-123456"})
    with pytest.raises(Conflict, match="at version 3, not 2"):
        await caller.send("main", ROTATE, key="e-1")
    assert await caller.find("main", ROTATE, key="e-1") == "never"  # its hash is there, the value is another one
    assert server.value(PATH, "password") == "by-a-person-123456"


async def test_what_became_of_a_rotation(server: FakeVault, caller: VaultCaller) -> None:
    assert await caller.find("main", ROTATE, key="e-1") == "never"
    server.fail(f"PATCH {DATA}", Fault(hang="after"))
    with pytest.raises(Uncertain):
        await caller.send("main", ROTATE, key="e-1")
    assert await caller.find("main", ROTATE, key="e-1") == "happened"
    assert await caller.find("main", ROTATE, key="e-2") == "unknown"
    server.put(PATH, {"password": "by-a-person-123456"})
    assert await caller.find("main", ROTATE, key="e-1") == "happened"
    server.secrets[PATH]["versions"][3]["destroyed"] = True
    assert await caller.find("main", ROTATE, key="e-1") == "unknown"


async def test_a_late_request_and_its_repetition_make_one_version(server: FakeVault, caller: VaultCaller) -> None:
    server.fail(f"PATCH {DATA}", Fault(hang="after"))
    with pytest.raises(Uncertain):
        await caller.send("main", ROTATE, key="e-1")
    new = server.value(PATH, "password")
    again = await caller.send("main", ROTATE, key="e-1")
    assert again["already"] is True
    assert (server.value(PATH, "password"), server.secrets[PATH]["now"]) == (new, 3)


async def test_one_that_comes_in_while_it_is_sent_again(server: FakeVault, caller: VaultCaller) -> None:
    """Both have left their hash; the repetition meets the first one's version and says that it is there."""
    server.fail(f"PATCH {DATA}", Fault(status=500))
    with pytest.raises(Uncertain):
        await caller.send("main", ROTATE, key="e-1")
    (late,) = server.sent
    server.meanwhile[f"PATCH {DATA}"] = lambda: server.put(PATH, {**late["data"], "user": OTHER})
    again = await caller.send("main", ROTATE, key="e-1")
    assert again["already"] is True
    assert len(stamp(server).split()) == 4
    assert (server.value(PATH, "password"), server.secrets[PATH]["now"]) == (late["data"]["password"], 3)
    assert await caller.find("main", ROTATE, key="e-1") == "happened"


async def test_nothing_is_written_without_its_mark(server: FakeVault, caller: VaultCaller) -> None:
    server.fail(f"PATCH {METADATA}", Fault(hang="after"))
    with pytest.raises(Unavailable, match="nothing was rotated"):
        await caller.send("main", ROTATE, key="e-1")
    server.policy[METADATA] = ["read"]
    with pytest.raises(Refused, match="permission denied"):
        await caller.send("main", ROTATE, key="e-1")
    assert (server.value(PATH, "password"), server.secrets[PATH]["now"]) == (OLD, 2)


# Back


async def test_the_value_before_again_as_another_version(server: FakeVault, caller: VaultCaller) -> None:
    await caller.send("main", ROTATE, key="e-1")
    assert await caller.find("main", RESTORE, key="u-1") == "never"
    said = await caller.send("main", RESTORE, key="u-1")
    assert said["says"] == f"password of secret/{PATH} has its value of version 2 again (version 4)"
    assert server.secrets[PATH]["versions"][4]["data"] == {"password": OLD, "user": OTHER}
    assert await caller.find("main", RESTORE, key="u-1") == "happened"
    assert (await caller.send("main", RESTORE, key="u-1"))["already"] is True


async def test_not_over_what_somebody_has_written(server: FakeVault, caller: VaultCaller) -> None:
    await caller.send("main", ROTATE, key="e-1")
    server.put(PATH, {"password": "by-a-person-123456"})
    with pytest.raises(Refused, match="at version 4, not 3"):
        await caller.send("main", RESTORE, key="u-1")
    assert await caller.find("main", RESTORE, key="u-1") == "never"
    assert server.value(PATH, "password") == "by-a-person-123456"


async def test_what_is_gone_is_not_brought_back(server: FakeVault, caller: VaultCaller) -> None:
    await caller.send("main", ROTATE, key="e-1")
    server.secrets[PATH]["versions"][2]["destroyed"] = True
    with pytest.raises(Refused, match="restore it by hand"):
        await caller.send("main", RESTORE, key="u-1")
    assert server.secrets[PATH]["now"] == 3


# Rehearsals


async def test_a_rehearsal_asks_for_the_rights_of_both_ways(server: FakeVault, caller: VaultCaller) -> None:
    assert "version 2 is the current one" in await caller.rehearse("main", ROTATE)
    server.policy[DATA] = ["patch"]
    with pytest.raises(Refused, match=f"read on {DATA}. Add it to the policy"):
        await caller.rehearse("main", ROTATE)
    with pytest.raises(Refused, match="at version 2, not 1"):
        await caller.rehearse("main", {**ROTATE, "version": 1})
    assert server.bodies == []


# Ways in


@pytest.mark.parametrize("auth", [KUBERNETES, APPROLE, TOKEN], ids=["kubernetes", "approle", "token"])
async def test_ways_in(server: FakeVault, auth: dict[str, Any]) -> None:
    caller = VaultCaller((settings(server, auth=auth, namespace="team/a"),))
    await caller.ask("main", ASK)
    server.expire()
    await caller.ask("main", ASK)  # with another token
    server.expire()
    assert (await caller.send("main", ROTATE, key="e-1"))["version"] == 3
    await caller.close()
    assert set(server.namespaces) == {"team/a"}


@pytest.mark.parametrize(
    "auth",
    [
        {"kubernetes": {"role": "remediator", "token_file": {"value": "wrong-jwt-1"}}},
        {"approle": {"role_id": ROLE_ID, "secret_id_file": {"value": "wrong-secret-id"}}},
        {"token_file": {"value": "hvs.wrong-token"}},
        {"kubernetes": {"role": "remediator", "token_file": {"value": JWT}, "mount": "kubernetes-2"}},
    ],
)
async def test_nothing_is_sent_without_a_way_in(server: FakeVault, auth: dict[str, Any]) -> None:
    caller = VaultCaller((settings(server, auth=auth),))
    with pytest.raises(Forbidden) as asked:
        await caller.ask("main", ASK)
    with pytest.raises(Refused) as sent:
        await caller.send("main", ROTATE, key="e-1")
    await caller.close()
    assert server.bodies == []
    assert "wrong" not in f"{asked.value}{sent.value}"


# What can go wrong


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=500), Uncertain, id="500"),
        pytest.param(Fault(status=502), Uncertain, id="502"),
        pytest.param(Fault(status=503, body="no server is available"), Uncertain, id="503 of a balancer"),
        pytest.param(Fault(drop=True), Uncertain, id="dropped"),
        pytest.param(Fault(hang="after"), Uncertain, id="done, and no answer"),
        pytest.param(Fault(status=429, retry_after="7"), Unavailable, id="quota"),
        pytest.param(Fault(status=412), Unavailable, id="behind"),
        pytest.param(Fault(status=472), Unavailable, id="secondary"),
        pytest.param(Fault(status=473), Unavailable, id="performance standby"),
        pytest.param(Fault(status=307), Refused, id="standby"),
        pytest.param(Fault(status=403), Refused, id="not allowed"),
        pytest.param(Fault(status=405), Refused, id="version 1"),
        pytest.param(Fault(error="no data provided"), Refused, id="not valid"),
        pytest.param(Fault(status=200, body="<html>"), Uncertain, id="no JSON"),
    ],
)
async def test_what_an_answer_means(
    server: FakeVault, caller: VaultCaller, fault: Fault, error: type[RemediatorError]
) -> None:
    server.fail(f"PATCH {DATA}", fault)
    with pytest.raises(error) as caught:
        await caller.send("main", ROTATE, key="e-1")
    assert type(caught.value) is error
    assert server.calls.count(f"PATCH {DATA}") == 1


async def test_sealed_behind_and_standby(server: FakeVault, caller: VaultCaller) -> None:
    server.sealed = True
    with pytest.raises(CannotSee, match="sealed"):
        await caller.ask("main", ASK)
    with pytest.raises(Unavailable, match="sealed"):
        await caller.send("main", ROTATE, key="e-1")
    server.sealed, server.standby = False, "http://127.0.0.1:1"
    with pytest.raises(CannotSee, match="307"):
        await caller.ask("main", ASK)
    server.standby, server.behind = "", 1
    with pytest.raises(CannotSee, match="412"):
        await caller.ask("main", ASK)
    assert server.bodies == []


async def test_sealed_right_before_the_write(server: FakeVault, caller: VaultCaller) -> None:
    await caller.ask("main", ASK)
    server.fail(f"PATCH {DATA}", Fault(status=503, body='{"errors":["Vault is sealed"]}'))
    with pytest.raises(Unavailable, match="sealed"):
        await caller.send("main", ROTATE, key="e-1")


async def test_places_secrets_and_questions_that_there_are_not(server: FakeVault, caller: VaultCaller) -> None:
    with pytest.raises(NotFound, match="there are: main"):
        await caller.ask("other", ASK)
    with pytest.raises(NotFound, match="there are: database"):
        await caller.ask("main", {**ASK, "secret": "cmp/admin"})
    with pytest.raises(NotFound, match="secret can"):
        await caller.ask("main", {**ASK, "about": "value"})
    for request in ({**ROTATE, "do": "delete"}, {**ROTATE, "version": 0}, {**ROTATE, "version": True}):
        with pytest.raises(Refused):
            await caller.send("main", request, key="e-1")
    del server.secrets[PATH]
    with pytest.raises(NotFound, match="no secret at secret/cmp/database"):
        await caller.ask("main", ASK)
    assert server.bodies == []


# Values


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault(status=500, body="echo"),
        Fault(status=400, body="echo"),
        Fault(status=403, body="echo"),
        Fault(drop=True),
        Fault(hang="after"),
        Fault(error="echo"),
    ],
)
async def test_no_value_leaves_it(
    server: FakeVault, caller: VaultCaller, fault: Fault | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in answers, errors, tracebacks, logs, or what Vault keeps beside the value, whatever Vault repeats."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    async def note(does: Any) -> None:
        try:
            told.append(repr(await does))
        except RemediatorError as exc:
            told.append("".join(traceback.format_exception(exc)) + repr(exc) + repr(exc.__cause__))

    await note(caller.ask("main", ASK))
    await note(caller.rehearse("main", ROTATE))
    if fault is not None:
        echo = Fault(status=fault.status, body=OLD, error=OLD if fault.error else "", drop=fault.drop, hang=fault.hang)
        for call in (f"PATCH {DATA}", f"GET {DATA}"):
            server.fail(call, echo)
    for request in (ROTATE, RESTORE):
        for _ in range(2):
            await note(caller.send("main", request, key="e-1"))
            await note(caller.find("main", request, key="e-1"))
    said = "\n".join([*told, repr(caller), repr(vars(caller)), str(caplog.records), caplog.text, stamp(server)])
    values = {OLD, OTHER} | {one["data"]["password"] for one in server.secrets[PATH]["versions"].values()}
    assert len(values) > 3
    for value in values:
        assert value not in said
    assert JWT not in said
    assert "hvs." not in said
