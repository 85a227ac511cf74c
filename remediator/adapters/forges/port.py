"""What the caller `forge` needs of a forge. Reads raise `ReadError`s, writes `EffectError`s; no write is repeated here.

`project` is the name at the forge (`acme/deploy`), `commit` a commit's id, `path` is relative to the repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal, Protocol

import orjson

from remediator.adapters.callers.http_wire import Answered, Wire, asked, read_failure, send_failure
from remediator.errors import CannotSee, Conflict, EffectError, ReadError, Refused, Unavailable

State = Literal["open", "merged", "closed"]

MOST_FILES = 200
MOST_ENTRIES = 5000
"""Files below one folder that are looked through for YAML."""
LARGEST_FILE = 256 * 1024
LARGEST_LIST = 4 * 2**20
"""Bytes of one answer that lists files."""
SUFFIXES = (".yaml", ".yml", ".json", "/Kustomization")
RATE_LIMITED_S = 60.0
LONGEST_WAIT_S = 3600.0
DEEPEST = 4
"""How far down in an error's JSON a reason is looked for."""
MAX_URL = 300


@dataclass(frozen=True, slots=True)
class Blob:
    """One regular file of a commit; `id` names its content, `size` in bytes where the forge says it."""

    path: str
    id: str
    mode: str = "100644"
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A pull request, or merge request. `merged_at` as the forge writes it."""

    number: int
    url: str
    state: State
    branch: str
    base: str
    merged_at: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a commit has that another has not: how many commits, and the files that they change."""

    commits: int
    paths: frozenset[str]


class Forge(Protocol):
    """One server with one token."""

    async def head(self, project: str, branch: str) -> str:
        """The commit at the end of a branch. Raises: ReadError, NotFound without such a branch."""
        ...

    async def blobs(self, project: str, commit: str, path: str) -> tuple[Blob, ...]:
        """The regular files below a folder, or the file of that name. Links and submodules are not followed.

        Raises: ReadError, CannotSee for too many, and for a path that is a link or a submodule itself.
        """
        ...

    async def content(self, project: str, blob: Blob) -> bytes:
        """Raises: ReadError, CannotSee for more than LARGEST_FILE."""
        ...

    async def difference(self, project: str, old: str, new: str) -> Difference:
        """What `new` has since it parted from `old`. Raises: ReadError."""
        ...

    async def commit(self, project: str, *, branch: str, head: str, files: Mapping[str, str], message: str) -> None:
        """A new branch with one commit on top of `head` that gives existing files these texts; all or nothing.

        Raises: EffectError; Conflict when the forge says that there is such a branch.
        """
        ...

    async def open(self, project: str, *, branch: str, base: str, title: str, body: str) -> Proposal:
        """Raises: EffectError; Conflict when the forge says that there is one for this branch."""
        ...

    async def find(self, project: str, branch: str) -> Proposal | None:
        """The pull request from that branch of this very repository, whatever its state; the newest. Raises: ReadError.

        An open one before all others.
        """
        ...

    async def shut(self, project: str, number: int) -> None:
        """Close it without merging. Raises: EffectError."""
        ...

    async def comment(self, project: str, number: int, text: str) -> None:
        """Raises: EffectError."""
        ...

    async def delete_branch(self, project: str, branch: str) -> None:
        """Raises: EffectError."""
        ...

    async def close(self) -> None: ...


def limited(answer: Answered) -> bool:
    """Whether an answer says that we ask too much: 429, or the 403 of GitHub that stands for it."""
    if answer.status == 429:
        return True
    if answer.status != 403:
        return False
    content = answer.json()
    said = content if isinstance(content, dict) else {}
    spent = answer.headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in answer.headers
    explained = str(said.get("documentation_url", "")).endswith("rate-limits")
    return spent or explained or "rate limit" in str(said.get("message", "")).lower()


def plain(answer: Answered) -> Answered:
    """The same, its reasons in one line: GitHub hides them in `errors`, GitLab in lists and below names of fields."""
    content = answer.json()
    if not isinstance(content, dict):
        return answer
    said = [text for key in ("message", "errors", "error", "error_description") for text in _reasons(content.get(key))]
    return replace(answer, body=orjson.dumps({"message": ": ".join(dict.fromkeys(said))})) if said else answer


def _reasons(said: Any, depth: int = DEEPEST) -> list[str]:
    if isinstance(said, str):
        return [" ".join(said.split())]
    if not depth:
        return ["..."]
    if isinstance(said, list):
        return [text for one in said for text in _reasons(one, depth - 1)]
    if not isinstance(said, dict):
        return []
    if said.get("message"):
        return _reasons(said["message"], depth - 1)
    if "code" in said:
        return [" ".join(str(said[key]) for key in ("resource", "field", "code") if key in said)]
    return [f"{key} {text}" for key, below in said.items() for text in _reasons(below, depth - 1)]


def no_file(project: str, path: str) -> CannotSee:
    return CannotSee(
        f"{path} of {project} is no folder and no regular file: links and submodules are not followed, "
        "name what it points to"
    )


def refused_to_make(problem: Refused | Conflict) -> EffectError:
    """Conflict for a branch or a pull request that is there already; neither forge has a code for only that."""
    said = str(problem)
    if "already exists" in said:
        return Conflict(said)
    return Refused(said, forbidden=getattr(problem, "forbidden", False))


def _wait_s(answer: Answered) -> float:
    """Until a limit ends, in seconds by the clock of the forge."""
    asked_for, ends = answer.headers.get("Retry-After", ""), answer.headers.get("X-RateLimit-Reset", "")
    wait_s = RATE_LIMITED_S
    if asked_for.isdecimal() and len(asked_for) < 6:
        wait_s = float(asked_for)
    elif ends.isdecimal() and len(ends) < 12 and answer.headers.get("X-RateLimit-Remaining") == "0":
        with suppress(ValueError, OverflowError):  # no date: the usual time
            wait_s = max(1.0, int(ends) - parsedate_to_datetime(answer.headers.get("Date", "")).timestamp())
    return min(wait_s, LONGEST_WAIT_S)


def read_problem(wire: Wire, answer: Answered) -> ReadError:
    """What an answer other than the expected one means for a question."""
    too_much, answer = limited(answer), plain(answer)
    if too_much:
        return CannotSee(f"{wire.said(answer)} (it limits how much we may ask)")
    if 300 <= answer.status < 400:
        return CannotSee(f"{wire.name} redirected us ({answer.status}): the project has moved, or url is wrong")
    found = read_failure(wire, answer)
    # Both forges answer 404 for what a token may not see, so it proves nothing about what is there.
    return type(found)(f"{found} (not there, or the token may not see it)") if answer.status == 404 else found


def send_problem(wire: Wire, answer: Answered) -> EffectError:
    """What an answer other than the expected one means for something sent."""
    too_much, answer = limited(answer), plain(answer)
    if too_much:
        return Unavailable(wire.said(answer), retry_after_s=_wait_s(answer))
    if answer.status == 404:
        return Refused(f"{wire.said(answer)} (not there, or the token may not do it)")
    return send_failure(wire, answer)


async def got(wire: Wire, path: str, **more: Any) -> Answered:
    """A 200. Raises: ReadError."""
    answer = await asked(wire, "GET", path, **more)
    if answer.status != 200:
        raise read_problem(wire, answer)
    return answer


def content_of(wire: Wire, answer: Answered, kind: type[Any]) -> Any:
    """The JSON of an answer. Raises: CannotSee unless it is such."""
    content = answer.json()
    if not isinstance(content, kind):
        why = "it answered too much" if answer.cut else f"its answer is no {kind.__name__} of JSON"
        raise CannotSee(f"{wire.name}: {why}")
    return content


def wanted(path: str) -> bool:
    """Whether a file may hold manifests or values."""
    return f"/{path}".endswith(SUFFIXES)


def url_of(value: object) -> str:
    """An address for people, as the forge gave it; empty for anything else."""
    text = str(value or "")
    return text if text.startswith(("https://", "http://")) and len(text) <= MAX_URL and text.isprintable() else ""
