"""The caller `forge`: pull requests in the repositories that GitOps reads.

    ask   {"about": "files", "path", "branch"}            YAML below a folder, or one file, with the commit they are of
          {"about": "pull_request", "branch"}             what has become of the one from that branch
    send  {"do": "propose", "branch", "base", "head", "files": {path: {"before_sha", "text"}}, "title", "body"}
          {"do": "close", "branch"}

`place` is a name of `outside.forges[].repositories`, or an address as Argo CD and Flux write it, which is looked up
there. An empty branch, or `HEAD`, is the first that is listed. `before_sha` is the SHA-256 of the text that was seen.

The branch names the pull request: whatever of it is there already is gone on with, so sending again is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from remediator.adapters.callers.forge_places import Here, Places
from remediator.adapters.callers.forge_proposing import OURS, close, may, propose, refuse_moved, wish_of
from remediator.adapters.forges.port import MOST_FILES, Blob
from remediator.errors import CannotSee, Conflict, Forbidden, NotFound, ReadError, Refused, Unavailable
from remediator.outside_forges import OWN_BRANCHES, Forge
from remediator.ports import Found

MOST_TOGETHER = 2**20
"""Bytes of all files of one answer."""
AT_ONCE = 4
ANSWER_S = 60.0

Request = Mapping[str, Any]


class ForgeCaller:
    """`place` is a repository."""

    def __init__(self, forges: Sequence[Forge]) -> None:
        """Raises: InvalidConfig."""
        self._places = Places(forges)

    async def close(self) -> None:
        await self._places.close()

    async def ask(self, place: str, request: Request) -> Any:
        """Raises: ReadError."""
        here, about = self._places.at(place), request.get("about")
        questions = {"files": _files, "pull_request": _pull_request}
        question = questions.get(str(about))
        if question is None:
            raise NotFound(f"{about!r:.40} cannot be asked of a forge; {', '.join(sorted(questions))} can")
        try:
            async with asyncio.timeout(ANSWER_S):
                return await question(here, request)
        except TimeoutError as exc:
            raise CannotSee(f"{here.name} did not answer within {ANSWER_S:g} s") from exc

    async def rehearse(self, place: str, request: Request) -> str:
        """No forge has a dry run: whether it is allowed here, and the files are as seen. Raises: Refused, ReadError."""
        here = self._places.at(place)
        if request.get("do") == "close":
            _branch(request)
            return ""
        wish = wish_of(here, request)
        try:
            await refuse_moved(here, wish)
        except Conflict as exc:
            raise Refused(str(exc)) from exc
        return f"nothing can be rehearsed at a forge; {len(wish.files)} files of {here.name} are as they were seen"

    async def send(self, place: str, request: Request, *, key: str) -> Mapping[str, Any]:
        """Raises: EffectError."""
        try:
            here = self._places.at(place)
            match request.get("do"):
                case "propose":
                    return await propose(here, wish_of(here, request))
                case "close":
                    return await close(here, _branch(request))
                case other:
                    raise Refused(f"a forge cannot do {other!r:.40}")
        except (NotFound, Forbidden) as exc:  # before anything was sent
            raise Refused(str(exc), forbidden=isinstance(exc, Forbidden)) from exc
        except ReadError as exc:
            raise Unavailable(f"nothing was sent: {exc}") from exc

    async def find(self, place: str, request: Request, *, key: str) -> Found:
        """A branch alone is no pull request yet, and repeating goes on with it. Raises: ReadError."""
        here = self._places.at(place)
        found = await here.forge.find(here.project, _branch(request))
        if request.get("do") == "close":
            return "happened" if found is None or found.state == "closed" else "never"
        return "happened" if found is not None else "never"


async def _files(here: Here, request: Request) -> Mapping[str, Any]:
    """Raises: ReadError."""
    path = str(request.get("path") or "").strip("/").removeprefix("./")
    path = "" if path == "." else path
    branch = here.base(str(request.get("branch") or ""))
    if not may(here, path):
        raise Forbidden(
            f"outside.forges[].repositories[{here.name}].paths does not list {path or 'the whole repository'!r:.200}"
        )
    head = await here.forge.head(here.project, branch)
    blobs = await here.forge.blobs(here.project, head, path)
    if len(blobs) > MOST_FILES:
        raise CannotSee(f"{here.name} has {len(blobs)} YAML files below {path or '/'}, at most {MOST_FILES} are read")
    gate = asyncio.Semaphore(AT_ONCE)

    async def read(blob: Blob) -> tuple[str, bytes]:
        async with gate:
            return blob.path, await here.content(blob)

    if sum(blob.size or 0 for blob in blobs) > MOST_TOGETHER:
        raise CannotSee(_too_much(here, path))
    texts = dict(await asyncio.gather(*(read(blob) for blob in blobs if may(here, blob.path))))
    if sum(map(len, texts.values())) > MOST_TOGETHER:
        raise CannotSee(_too_much(here, path))
    return {
        "repository": here.name,
        "branch": branch,
        "head": head,
        "path": path,
        "files": {name: _text(here, name, content) for name, content in sorted(texts.items())},
    }


def _too_much(here: Here, path: str) -> str:
    return f"the YAML of {here.name} below {path or '/'} has more than {MOST_TOGETHER} bytes: name a deeper path"


def _text(here: Here, path: str, content: bytes) -> str:
    """Raises: CannotSee for what would not be the same bytes when it is written back."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise CannotSee(f"{path} of {here.name} is no UTF-8") from exc


async def _pull_request(here: Here, request: Request) -> Mapping[str, Any]:
    """Raises: ReadError."""
    found = await here.forge.find(here.project, _branch(request))
    if found is None:
        return {"state": "none"}
    return {"state": found.state, "number": found.number, "url": found.url, "merged_at": found.merged_at}


def _branch(request: Request) -> str:
    """Raises: NotFound."""
    branch = request.get("branch")
    if not isinstance(branch, str) or not OURS.fullmatch(branch):  # it becomes part of an address
        raise NotFound(f"branch: expected one of ours, {OWN_BRANCHES}..., got {branch!r:.80}")
    return branch
