"""Credentials: read from files, rotated without a gap, and a bad file leaves the old ones in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.config import ApiToken, SourceConfig
from remediator.errors import InvalidConfig
from remediator.http.auth import Senders, User, Users
from tests.http.harness import secret_file


def test_rotation_of_a_senders_token(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    configs = [SourceConfig(name="am", tokens=(secret_file(old, "one"), secret_file(new, "two")))]
    senders = Senders(configs)
    assert all(map(senders.find, ("Bearer one", "Bearer two")))
    old.write_text("three\n")
    assert senders.find("Bearer one")  # until it is told to read again
    senders.load(configs)
    assert not senders.find("Bearer one")
    assert all(map(senders.find, ("Bearer two", "Bearer three")))


@pytest.mark.parametrize("broken", ["", None])
def test_a_bad_secret_file_leaves_the_old_token_in_force(tmp_path: Path, broken: str | None) -> None:
    path = tmp_path / "token"
    configs = [SourceConfig(name="am", tokens=(secret_file(path, "one"),))]
    senders = Senders(configs)
    path.unlink() if broken is None else path.write_text(broken)
    with pytest.raises(InvalidConfig, match="token"):
        senders.load(configs)
    assert senders.find("Bearer one")


def test_users_are_reloaded_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "token"
    configs = [ApiToken(name="ann", role="approver", token=secret_file(path, "one"))]
    users = Users(configs)
    assert users.find("Bearer one") == User("ann", "approver")
    path.write_text("two")
    users.load(configs)
    assert users.find("Bearer one") is None
    assert users.find("Bearer two") == User("ann", "approver")


@pytest.mark.parametrize("header", ["", "Basic b25l", "Bearer", "Bearer ", "one", "Bearer one two"])
def test_no_user(tmp_path: Path, header: str) -> None:
    users = Users([ApiToken(name="ann", token=secret_file(tmp_path / "token", "one"))])
    assert users.find(header) is None


def test_whether_there_is_anybody(tmp_path: Path) -> None:
    assert not Users([])
    assert Users([ApiToken(name="ann", token=secret_file(tmp_path / "token", "one"))])


def test_no_plain_text_is_kept(tmp_path: Path) -> None:
    """A memory dump or a debugger's repr shows digests only."""
    senders = Senders([SourceConfig(name="am", tokens=(secret_file(tmp_path / "t", "very-secret"),))])
    users = Users([ApiToken(name="ann", token=secret_file(tmp_path / "u", "very-secret"))])
    assert "very-secret" not in repr((vars(senders), vars(users)))


def test_two_sources_with_one_secret_are_refused(tmp_path: Path) -> None:
    """They could not be told apart, and one may claim what the other may not."""
    same = secret_file(tmp_path / "token", "one")
    with pytest.raises(InvalidConfig, match="prod and staging have the same secret"):
        Senders([SourceConfig(name=name, tokens=(same,)) for name in ("prod", "staging")])
    with pytest.raises(InvalidConfig, match="ann and bob have the same secret"):
        Users([ApiToken(name=name, token=same) for name in ("ann", "bob")])
    Senders([SourceConfig(name="prod", tokens=(same, same))])  # the same file twice harms nobody
