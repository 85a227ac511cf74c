"""Forges with the repositories that GitOps reads: the `forges` list of the `outside` block.

A pull request is only ever proposed in a repository that is listed, to a branch that is listed, for files below a path
that is listed. An address that Argo CD or Flux gives is looked up here and never used.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from remediator.encrypted import only_encrypted
from remediator.playbooks.fields import NAME_PATTERN, Duration
from remediator.secret_files import Secret, Section

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Url = Annotated[str, StringConstraints(min_length=3, max_length=500)]
Branch = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}$")]
PathPattern = Annotated[str, StringConstraints(pattern=r"^(\.|[A-Za-z0-9_*][A-Za-z0-9._*/-]{0,299})$")]

OWN_BRANCHES = "remediator/"
"""What the branches of our pull requests begin with."""

_PORTS = {"https": 443, "http": 80, "ssh": 22}


def address_of(url: str) -> str:
    """A repository's address in one form, `git.example.com/acme/deploy`, without user, scheme and `.git`.

    Empty for what is none. `git@host:path` is read as git does.
    """
    text = url.strip()
    if "://" not in text:
        before, colon, path = text.partition(":")
        host = before.rpartition("@")[2]
        # `user:password@host:path` is no form of git's: its password would be taken for the path, and told.
        if not colon or "/" in host or not host or ("@" in path and "@" not in before):
            return ""
        return _joined(host, path)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not host:
        return ""
    # The port of ssh says nothing about which repository it is: https of the same server has another.
    known = parts.scheme == "ssh" or port in (None, _PORTS[parts.scheme])
    return _joined(host if known else f"{host}:{port}", parts.path)


def _joined(host: str, path: str) -> str:
    name = path.strip("/").removesuffix(".git").rstrip("/")
    return f"{host.lower()}/{name}" if name else ""


class Repository(Section):
    """`project` is its name at the forge (`acme/deploy`), `urls` how Argo CD and Flux write its address.

    `paths`: folders (or files) that may be read and changed, with all that lies below; `*` stands for one part, and
    `.` alone for everything.
    """

    name: Name
    project: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,100}(/[A-Za-z0-9_.-]{1,100}){1,20}$")
    urls: tuple[Url, ...] = Field((), max_length=20)
    branches: tuple[Branch, ...] = Field(min_length=1, max_length=20)
    paths: tuple[PathPattern, ...] = Field(min_length=1, max_length=100)

    @field_validator("urls")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for number, url in enumerate(urls):
            if not address_of(url):
                raise ValueError(
                    f"urls[{number}] is no address of a repository: write https://host/path, ssh://git@host/path or "
                    "git@host:path"
                )
            if "://" in url and url.startswith("http") and "@" in urlsplit(url).netloc:
                raise ValueError(f"urls[{number}]: leave out user and password; the token comes from token_file")
        return urls

    @field_validator("branches")
    @classmethod
    def _not_ours(cls, branches: tuple[str, ...]) -> tuple[str, ...]:
        for branch in branches:
            if branch.startswith(OWN_BRANCHES):
                raise ValueError(f"branches: {branch!r} is what pull requests of remediator are made of")
            if ".." in branch or branch.endswith(("/", ".lock", ".")) or "//" in branch:
                raise ValueError(f"branches: {branch!r} is no name of a branch")
        return branches

    @field_validator("paths")
    @classmethod
    def _plain(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if path != "." and any(part == "" or part.startswith(".") for part in path.split("/")):
                raise ValueError(f"paths: {path!r}: no empty part and none that begins with a dot")
            if any("*" in part and part != "*" for part in path.split("/")):
                raise ValueError(f"paths: {path!r}: * stands for one whole part of a path")
        return paths

    @model_validator(mode="after")
    def _no_steps(self) -> Self:
        if {".", ".."} & set(self.project.split("/")):
            raise ValueError("project: no . or .. in it")
        return self

    def lists(self, path: str) -> bool:
        """Whether a folder or file may be read and changed. Hidden ones never: CI and owners of code live there."""
        parts = path.split("/") if path else []
        if any(part in ("", "..") or part.startswith(".") for part in parts):
            return False
        return any(pattern == "." or _covers(pattern.split("/"), parts) for pattern in self.paths)


def _covers(pattern: list[str], parts: list[str]) -> bool:
    if len(parts) < len(pattern):
        return False
    return all(want in ("*", part) for want, part in zip(pattern, parts, strict=False))


class Forge(Section):
    """A GitHub or GitLab. `url`: of the API for GitHub (`https://api.github.com`, `https://HOST/api/v3`), of the server
    for GitLab. `token_file`: a token with the rights of docs/gitops.md; it is read for every request."""

    name: Name
    kind: Literal["github", "gitlab"]
    url: str = Field(pattern=r"^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?$")
    token_file: Secret
    repositories: tuple[Repository, ...] = Field(min_length=1, max_length=200)
    ca: Path | None = None
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=1))] = timedelta(seconds=10)
    """Of one request."""

    @field_validator("url")
    @classmethod
    def _api(cls, url: str) -> str:
        if url.rstrip("/") in ("https://github.com", "http://github.com"):
            raise ValueError("url: give that of the API, https://api.github.com")
        return only_encrypted(url, "forge")

    @model_validator(mode="after")
    def _projects(self) -> Self:
        if self.kind == "github" and (long := [r.name for r in self.repositories if r.project.count("/") != 1]):
            raise ValueError(f"repositories: project of {long[0]!r} is owner/name at GitHub")
        return self


def check_forges(forges: tuple[Forge, ...]) -> None:
    """Raises: ValueError when a name or an address means two repositories."""
    repositories = [repository for forge in forges for repository in forge.repositories]
    names = [repository.name for repository in repositories]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"outside.forges: two repositories are called {twice[0]!r}; give each its own name")
    addresses: dict[str, str] = {}
    for repository in repositories:
        for address in {address_of(url) for url in repository.urls}:
            other = addresses.setdefault(address, repository.name)
            if other != repository.name:
                raise ValueError(f"outside.forges: {other!r} and {repository.name!r} both have the url {address}")
