"""Proposing a pull request, and taking it back: what is checked before, and how what is there already is gone on with.

Before the first request that changes anything a failed read means that nothing was sent; after it, that nobody knows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.actions.change import GENERATED_ID
from remediator.adapters.callers.forge_places import Here
from remediator.adapters.forges.port import LARGEST_FILE, Proposal, wanted
from remediator.adapters.forges.texts import line, markdown
from remediator.errors import Conflict, EffectError, Forbidden, NotFound, ReadError, Refused, Uncertain
from remediator.outside_forges import OWN_BRANCHES

MOST_CHANGED = 20
"""Files of one pull request."""

OURS = re.compile(rf"{OWN_BRANCHES}(?:[a-z0-9][a-z0-9-]{{2,60}}|{re.escape(GENERATED_ID)})")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")

CLOSED = "Closed by remediator, which took its change back."


@dataclass(frozen=True, slots=True)
class Wish:
    """A request that is allowed here. `files` by path: the digest of what was seen, and the new text.

    Without a `head` the commit stands on the end of the base: its files are what was seen, and the rest is nobody's
    business.
    """

    branch: str
    base: str
    head: str
    files: Mapping[str, tuple[str, str]]
    title: str
    body: str

    @property
    def texts(self) -> Mapping[str, str]:
        return {path: text for path, (_, text) in self.files.items()}


def may(here: Here, path: str) -> bool:
    """Whether the configuration lets this folder or file be read and changed."""
    return here.repository.lists(path)


def wish_of(here: Here, request: Mapping[str, Any]) -> Wish:
    """Raises: Refused for anything that the configuration does not allow, or that no plan of ours says."""
    if request.get("do") != "propose":
        raise Refused(f"a forge cannot do {request.get('do')!r:.40}")
    branch, head, files = request.get("branch"), request.get("head"), request.get("files")
    if not isinstance(branch, str) or not OURS.fullmatch(branch):
        raise Refused(f"branch: expected {OWN_BRANCHES} and an id, got {branch!r:.80}")
    if not isinstance(head, str) or (head and not _COMMIT.fullmatch(head)):
        raise Refused(f"head: expected the id of a commit, or nothing, got {head!r:.80}")
    if not isinstance(files, Mapping) or not 1 <= len(files) <= MOST_CHANGED:
        raise Refused(f"files: expected 1 to {MOST_CHANGED} files")
    try:
        base = here.base(str(request.get("base") or ""))
    except Forbidden as exc:
        raise Refused(str(exc)) from exc
    return Wish(
        branch=branch,
        base=base,
        head=head,
        files={str(path): _file(here, str(path), said) for path, said in files.items()},
        title=line(str(request.get("title") or "")),
        body=markdown(str(request.get("body") or "")),
    )


def _file(here: Here, path: str, said: Any) -> tuple[str, str]:
    """Raises: Refused."""
    if not may(here, path):
        raise Refused(f"outside.forges[].repositories[{here.name}].paths does not list {path!r:.200}")
    if not wanted(path):
        raise Refused(f"{path!r:.200} is no YAML or JSON: nothing else is changed")
    before, text = (said.get("before_sha"), said.get("text")) if isinstance(said, Mapping) else (None, None)
    if not isinstance(before, str) or not _SHA256.fullmatch(before) or not isinstance(text, str):
        raise Refused(f"files[{path:.200}]: expected before_sha and text")
    if len(text.encode()) > LARGEST_FILE:
        raise Refused(f"{path:.200} would have more than {LARGEST_FILE} bytes")
    if "\r" in text:  # both forges write LF for it, so the change would be of every line
        raise Refused(
            f"{path:.200} has the line ends of Windows, which forges change: give it LF first, or edit by hand"
        )
    if _sha(text.encode()) == before:
        raise Refused(f"{path:.200} says it already")
    return before, text


async def refuse_moved(here: Here, wish: Wish) -> str:
    """The end of the base. Raises: Conflict when it has other texts by now, Refused without one, ReadError."""
    try:
        tip = await here.forge.head(here.project, wish.base)
        for path, (before, _) in wish.files.items():
            found = await _read(here, tip, path)
            if found is None or _sha(found) != before:
                raise Conflict(f"{path} of {here.name} has changed in {wish.base} since it was looked at")
    except (NotFound, Forbidden) as exc:
        raise Refused(str(exc), forbidden=isinstance(exc, Forbidden)) from exc
    return tip


async def propose(here: Here, wish: Wish) -> Mapping[str, Any]:
    """Raises: EffectError; ReadError as long as nothing was sent."""
    if GENERATED_ID in wish.branch:
        raise Refused(f"branch: {wish.branch} has no id yet")
    found = await here.forge.find(here.project, wish.branch)
    if found is not None:
        return await _gone_on(here, wish, found)
    tip = await refuse_moved(here, wish)
    await _branch_of(here, wish, wish.head or tip)
    return _said(here, wish, await _opened(here, wish))


async def _gone_on(here: Here, wish: Wish, found: Proposal) -> Mapping[str, Any]:
    """With what an earlier request has made. Raises: Refused, ReadError."""
    if found.state == "closed":
        raise Refused(f"the pull request {found.number} of {here.name} from {wish.branch} was closed by somebody")
    if found.base != wish.base:
        raise Refused(_other_base(here, wish, found))
    if found.state == "open" and not await _ours(here, wish):
        raise Refused(f"the pull request {found.number} of {here.name} from {wish.branch} has other changes by now")
    return _said(here, wish, found)


def _other_base(here: Here, wish: Wish, found: Proposal) -> str:
    return f"the pull request {found.number} of {here.name} from {wish.branch} is for {found.base:.80}"


async def _branch_of(here: Here, wish: Wish, head: str) -> None:
    """The branch with its one commit, made now or before. Raises: EffectError."""
    message = f"{wish.title}\n\nProposed by remediator.\n"
    try:
        await here.forge.commit(here.project, branch=wish.branch, head=head, files=wish.texts, message=message)
        return
    except (Refused, Conflict) as exc:
        refused = exc
    try:
        there = await _ours(here, wish)
    except NotFound:
        if isinstance(refused, Conflict):
            raise Uncertain(f"{refused}; it cannot be seen yet") from None
        raise refused from None
    except ReadError as exc:
        raise Uncertain(f"{refused}; whether the branch is there cannot be seen: {exc}") from exc
    if not there:
        raise Refused(f"{wish.branch} of {here.name} is there already, with something else in it")


async def _opened(here: Here, wish: Wish) -> Proposal:
    """Raises: EffectError."""
    try:
        return await here.forge.open(here.project, branch=wish.branch, base=wish.base, title=wish.title, body=wish.body)
    except (Refused, Conflict) as exc:
        refused = exc
    try:
        found = await here.forge.find(here.project, wish.branch)
    except ReadError as exc:
        raise Uncertain(f"{refused}; whether there is a pull request cannot be seen: {exc}") from exc
    if found is not None and found.state != "closed":
        if found.base != wish.base:
            raise Refused(_other_base(here, wish, found))
        return found
    if isinstance(refused, Conflict):  # lists lag behind; without its branch it would be closed
        raise Uncertain(f"{refused}; no list shows it yet")
    left = await _tidied(here, wish.branch)
    raise Refused(f"{refused}{left}", forbidden=getattr(refused, "forbidden", False))


async def _tidied(here: Here, branch: str) -> str:
    """Delete a branch that nothing needs; what is left of it, for people."""
    try:
        await here.forge.delete_branch(here.project, branch)
    except EffectError as exc:
        return f"; the branch {branch} stays: {exc}"
    return ""


async def _ours(here: Here, wish: Wish) -> bool:
    """Whether the branch is one commit on top of the base that makes exactly these texts.

    Raises: ReadError, NotFound without such a branch.
    """
    tip = await here.forge.head(here.project, wish.branch)
    head = wish.head or await here.forge.head(here.project, wish.base)
    difference = await here.forge.difference(here.project, head, tip)
    if difference.commits != 1 or difference.paths != frozenset(wish.files):
        return False
    return all([await _read(here, tip, path) == text.encode() for path, (_, text) in wish.files.items()])


async def close(here: Here, branch: str) -> Mapping[str, Any]:
    """Raises: EffectError; ReadError as long as nothing was sent."""
    found = await here.forge.find(here.project, branch)
    if found is not None and found.state == "merged":
        raise Refused(
            f"the pull request {found.number} of {here.name} is merged: take it back there, {found.url or 'by hand'}"
        )
    alone = await _untouched(here, branch, found.base if found else "")
    notes = []
    if found is not None and found.state == "open":
        await here.forge.shut(here.project, found.number)
        try:
            await here.forge.comment(here.project, found.number, CLOSED)
        except EffectError:
            notes.append("without a comment")
    if alone:
        left = await _tidied(here, branch)
        notes += [left.removeprefix("; ")] if left else []
    elif alone is False:
        notes.append(f"the branch {branch} stays: somebody has added to it")
    what = f"pull request {found.number} of {here.name} is closed" if found else f"{here.name} had no pull request"
    answer: dict[str, Any] = {"says": "; ".join([what, *notes])}
    return answer | ({"number": found.number, "url": found.url} if found else {})


async def _untouched(here: Here, branch: str, base: str) -> bool | None:
    """Whether a branch has our one commit only; None when there is none. Raises: ReadError."""
    try:
        tip = await here.forge.head(here.project, branch)
    except NotFound:
        return None
    parted = await here.forge.head(here.project, base or here.repository.branches[0])
    return (await here.forge.difference(here.project, parted, tip)).commits <= 1


async def _read(here: Here, commit: str, path: str) -> bytes | None:
    """None for what is no regular file there. Raises: ReadError."""
    try:
        found = await here.forge.blobs(here.project, commit, path)
    except NotFound:
        return None
    if len(found) != 1 or found[0].path != path:
        return None
    return await here.content(found[0])


def _said(here: Here, wish: Wish, found: Proposal) -> Mapping[str, Any]:
    already = "" if found.state == "open" else f", {found.state} already"
    return {
        "number": found.number,
        "url": found.url,
        "says": f"pull request {found.number} of {here.name} from {wish.branch}{already}",
    }


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
