"""The repositories of the configuration, by their names and by the addresses that GitOps tools write."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remediator.adapters.callers.http_wire import Wire
from remediator.adapters.forges.github import GitHub
from remediator.adapters.forges.gitlab import GitLab
from remediator.adapters.forges.port import Blob
from remediator.adapters.forges.port import Forge as ForgePort
from remediator.adapters.json_out import bearer, trusting
from remediator.errors import Forbidden, NotFound
from remediator.outside_forges import Forge, Repository, address_of

KEPT = 16 * 2**20
"""Bytes of contents that are kept: they are named by what they are, so they never change."""


class Contents:
    """What was read of one forge, the longest unused dropped first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._size = 0

    def get(self, project: str, blob: Blob) -> bytes | None:
        key = (project, blob.id)
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, project: str, blob: Blob, content: bytes) -> None:
        if (project, blob.id) in self._kept:
            return
        self._kept[project, blob.id] = content
        self._size += len(content)
        while self._size > KEPT:
            _, dropped = self._kept.popitem(last=False)
            self._size -= len(dropped)


@dataclass(frozen=True, slots=True)
class Here:
    """One repository and how to reach it."""

    repository: Repository
    forge: ForgePort
    contents: Contents

    @property
    def name(self) -> str:
        return self.repository.name

    @property
    def project(self) -> str:
        return self.repository.project

    def base(self, branch: str) -> str:
        """A branch that may be read and proposed to. Raises: Forbidden."""
        if branch in ("", "HEAD"):
            return self.repository.branches[0]
        if branch not in self.repository.branches:
            raise Forbidden(f"outside.forges[].repositories[{self.name}].branches does not list {branch!r:.100}")
        return branch

    async def content(self, blob: Blob) -> bytes:
        """Raises: ReadError."""
        known = self.contents.get(self.project, blob)
        if known is None:
            known = await self.forge.content(self.project, blob)
            self.contents.keep(self.project, blob, known)
        return known


class Places:
    """All of `outside.forges`. Owns the connections."""

    def __init__(self, forges: Sequence[Forge]) -> None:
        """Raises: InvalidConfig."""
        self._forges: list[ForgePort] = []
        self._by_name: dict[str, Here] = {}
        self._by_address: dict[str, Here] = {}
        for settings in forges:
            forge, contents = _forge(settings), Contents()
            self._forges.append(forge)
            for repository in settings.repositories:
                here = Here(repository, forge, contents)
                self._by_name[repository.name] = here
                self._by_address |= {address_of(url): here for url in repository.urls}

    async def close(self) -> None:
        for forge in self._forges:
            await forge.close()

    def at(self, place: str) -> Here:
        """Raises: NotFound."""
        found = self._by_name.get(place)
        if found is not None:
            return found
        address = address_of(place)  # without user and password, which an address may hold
        if address in self._by_address:
            return self._by_address[address]
        what = f"the address {address:.200}" if address else f"a repository called {place.rpartition('@')[2]!r:.80}"
        raise NotFound(f"no repository is configured for {what}: add it to outside.forges")


def _forge(settings: Forge) -> ForgePort:
    """Raises: InvalidConfig."""
    name, url = f"{settings.kind} {settings.name}", settings.url.rstrip("/")
    tls, token = trusting(settings.ca, f"outside.forges[{settings.name}]"), settings.token_file.read
    seconds = settings.timeout.total_seconds()
    if settings.kind == "github":
        return GitHub(Wire(name, url, login=bearer(token), tls=tls, timeout_s=seconds))

    def private() -> Mapping[str, str]:
        return {"PRIVATE-TOKEN": token()}

    api = url if url.endswith("/api/v4") else f"{url}/api/v4"
    return GitLab(Wire(name, api, login=private, tls=tls, timeout_s=seconds))
