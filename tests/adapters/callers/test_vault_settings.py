"""outside.vaults: only named secrets, nothing in the clear, nothing that can be guessed."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.adapters.callers.connect import connect_callers
from remediator.adapters.callers.vault import VaultCaller
from remediator.adapters.simulated import SimulatedCluster, VirtualClock
from remediator.outside import OutsideSettings
from remediator.outside_vaults import Vault

SECRET = {"name": "database", "path": "cmp/database", "key": "password"}
TOKEN = {"token_file": {"value": "hvs.x"}}


def vault(secret: dict[str, Any] | None = None, **more: Any) -> Vault:
    one = {"name": "main", "url": "https://vault.example.com:8200", "auth": TOKEN}
    return Vault.model_validate({**one, "secrets": [{**SECRET, **(secret or {})}], **more})


@pytest.mark.parametrize("url", ["http://127.0.0.1:8200", "http://localhost:8200", "http://[::1]:8200"])
def test_in_the_clear_only_on_this_machine(url: str) -> None:
    assert vault(url=url).url == url


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"url": "http://vault.vault.svc:8200"}, "https only"),
        ({"url": "http://127.0.0.1.example.com"}, "https only"),
        ({"url": "https://user:pw@vault.example.com"}, "pattern"),
        ({"auth": {}}, "give one of"),
        ({"auth": {**TOKEN, "approle": {"role_id": "r", "secret_id_file": {"value": "s"}}}}, "give one of"),
        ({"secrets": []}, "at least 1"),
        ({"secrets": [SECRET, {**SECRET, "path": "other"}]}, "there twice"),
        ({"mount": "../sys"}, "pattern"),
        ({"token": "hvs.x"}, "Extra inputs"),
    ],
)
def test_what_is_no_vault(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        vault(**more)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ({"length": 8}, "greater than or equal"),
        ({"length": 16, "alphabet": "hex"}, "can be guessed"),
        ({"length": 64, "alphabet": "aa"}, "different"),
        ({"length": 64, "alphabet": "abc def"}, "different"),
        ({"length": 512, "alphabet": "x"}, "can be guessed"),
        ({"path": "../sys/raw"}, "pattern"),
        ({"path": "cmp//database"}, "pattern"),
        ({"path": "cmp/database."}, "no period"),
        ({"path": "data/cmp/database"}, "without data/"),
        ({"path": "cmp/data?version=1"}, "pattern"),
        ({"key": "a b"}, "pattern"),
    ],
)
def test_what_is_no_secret(secret: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        vault(secret)


@pytest.mark.parametrize(
    ("secret", "count"),
    [({}, 62), ({"alphabet": "hex"}, 16), ({"alphabet": "base64url"}, 64), ({"alphabet": "abcdefghij!#"}, 12)],
)
def test_alphabets(secret: dict[str, Any], count: int) -> None:
    assert len(vault(secret).secrets[0].characters) == count


async def test_it_is_connected_under_its_name() -> None:
    settings = OutsideSettings(vaults=(vault(),))
    callers = connect_callers(settings, SimulatedCluster("c", VirtualClock()))
    assert isinstance(callers["vault"], VaultCaller)
    await callers["vault"].close()
    with pytest.raises(ValidationError, match="there twice"):
        OutsideSettings(vaults=(vault(), vault()))
