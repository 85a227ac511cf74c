"""Which forges the configuration takes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remediator.adapters.callers.connect import connect_callers
from remediator.adapters.callers.forge import ForgeCaller
from remediator.outside import OutsideSettings
from remediator.outside_forges import Repository, address_of
from tests.checks.fakes import FakeCluster

URL = "https://git.example.com/acme/deploy.git"
REPOSITORY = {"name": "deploy", "project": "acme/deploy", "urls": [URL], "branches": ["main"], "paths": ["apps/*"]}
FORGE = {"name": "ours", "kind": "github", "url": "https://api.github.com", "token_file": "/run/token"}


def forges(*repositories: dict[str, Any], **more: Any) -> OutsideSettings:
    return OutsideSettings.model_validate({"forges": [{**FORGE, "repositories": repositories or [REPOSITORY], **more}]})


def test_wiring() -> None:
    assert isinstance(connect_callers(forges(), FakeCluster([]))["forge"], ForgeCaller)
    assert "forge" not in connect_callers(OutsideSettings(), FakeCluster([]))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"kind": "bitbucket"}, "kind"),
        ({"url": "https://github.com"}, r"api\.github\.com"),
        ({"url": "git@github.com:acme"}, "url"),
        ({"url": "https://user:secret@api.github.com"}, "url"),
        ({"url": "http://git.example.com/api/v3"}, "https only"),
        ({"token_file": "ghp_secret"}, "path of a file"),
        ({"token": "ghp_secret"}, "token"),
        ({"repositories": []}, "repositories"),
        ({"timeout": "10m"}, "timeout"),
        ({"repositories": [REPOSITORY, {**REPOSITORY, "urls": []}]}, "two repositories are called 'deploy'"),
        ({"repositories": [REPOSITORY, {**REPOSITORY, "name": "b"}]}, "both have the url git.example.com/acme/deploy"),
        ({"repositories": [{**REPOSITORY, "project": "group/sub/deploy"}]}, "owner/name"),
    ],
)
def test_forges_that_are_not_taken(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as problem:
        forges(**more)
    assert "ghp_secret" not in "".join(str(error["msg"]) for error in problem.value.errors())


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"branches": []}, "branches"),
        ({"branches": ["remediator/x"]}, "made of"),
        ({"branches": ["-x"]}, "branches"),
        ({"branches": ["a..b"]}, "no name of a branch"),
        ({"paths": []}, "paths"),
        ({"paths": ["../up"]}, "paths"),
        ({"paths": ["apps//x"]}, "empty part"),
        ({"paths": ["apps/.github"]}, "begins with a dot"),
        ({"paths": ["apps/sh*"]}, "whole part"),
        ({"paths": ["/apps"]}, "paths"),
        ({"project": "acme"}, "project"),
        ({"project": "acme/.."}, "project"),
        ({"urls": ["deploy"]}, "no address"),
        ({"urls": ["ftp://git.example.com/x"]}, "no address"),
        ({"urls": ["https://user:secret@git.example.com/x/y"]}, "leave out user and password"),
    ],
)
def test_repositories_that_are_not_taken(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        forges({**REPOSITORY, **more})


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://Git.Example.com/acme/deploy.git", "git.example.com/acme/deploy"),
        ("https://git.example.com:443/acme/deploy/", "git.example.com/acme/deploy"),
        ("https://git.example.com:8443/acme/deploy", "git.example.com:8443/acme/deploy"),
        ("ssh://git@git.example.com:7999/acme/deploy.git", "git.example.com/acme/deploy"),
        ("git@git.example.com:acme/deploy.git", "git.example.com/acme/deploy"),
        ("git.example.com:acme/deploy", "git.example.com/acme/deploy"),
        ("https://git.example.com/", ""),
        ("file:///etc/passwd", ""),
        ("someone:hunter2@git.example.com:acme/deploy", ""),
        ("https://[bad/acme", ""),
        ("deploy", ""),
        ("", ""),
    ],
)
def test_addresses_in_one_form(url: str, address: str) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize(
    ("paths", "path", "listed"),
    [
        (["apps/*"], "apps/shop", True),
        (["apps/*"], "apps/shop/prod/web.yaml", True),
        (["apps/*"], "apps", False),
        (["apps/*/prod"], "apps/shop/prod/web.yaml", True),
        (["apps/*/prod"], "apps/shop/staging/web.yaml", False),
        (["apps"], "appsecret/web.yaml", False),
        (["apps"], "apps/../infra/x.yaml", False),
        (["apps"], "apps//x.yaml", False),
        (["apps"], "", False),
        (["."], "", True),
        (["."], "any/x.yaml", True),
        (["."], ".github/workflows/x.yaml", False),
        (["."], "apps/.sops.yaml", False),
    ],
)
def test_paths(paths: list[str], path: str, listed: bool) -> None:
    assert Repository.model_validate({**REPOSITORY, "paths": paths}).lists(path) is listed
