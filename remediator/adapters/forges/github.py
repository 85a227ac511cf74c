"""GitHub, by its REST API: trees, commits and references of the git database, and pull requests.

A commit that no reference names yet is invisible, so creating the reference is the one moment in which a branch appears
with all of its change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from remediator.adapters.callers.http_wire import Wire
from remediator.adapters.forges.port import (
    LARGEST_FILE,
    LARGEST_LIST,
    MOST_ENTRIES,
    Blob,
    Difference,
    Proposal,
    content_of,
    got,
    no_file,
    refused_to_make,
    send_problem,
    url_of,
    wanted,
)
from remediator.errors import CannotSee, Forbidden, NotFound, ReadError, Refused, Unavailable, Uncertain

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
RAW = {**HEADERS, "Accept": "application/vnd.github.raw+json"}
REGULAR = ("100644", "100755")
LINK = "120000"
MOST_CHANGED = 300
"""Files that a comparison lists; it may be more."""


class GitHub:
    """`wire` sends the token."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def close(self) -> None:
        await self._wire.close()

    async def head(self, project: str, branch: str) -> str:
        found = await self._get(f"{_repo(project)}/git/ref/heads/{quote(branch)}")
        return _id(found.get("object"), "sha")

    async def blobs(self, project: str, commit: str, path: str) -> tuple[Blob, ...]:
        """Goes down one folder after the other: a listing of the whole repository may be too large."""
        tree = await self._tree_of(project, commit)
        parts = path.split("/") if path else []
        for depth, part in enumerate(parts):
            entry = next((one for one in await self._entries(project, tree) if one.get("path") == part), None)
            if entry is None:
                raise NotFound(f"{project} has no {path} at {commit[:12]}")
            if entry.get("type") == "blob" and depth == len(parts) - 1:
                found = _blob(entry, path)
                if found is None:
                    raise no_file(project, path)
                return (found,)
            if entry.get("type") == "commit" or entry.get("mode") == LINK:
                raise no_file(project, "/".join(parts[: depth + 1]))
            if entry.get("type") != "tree":
                raise NotFound(f"{project} has no {path} at {commit[:12]}: {part} is no folder")
            tree = _id(entry, "sha")
        entries = await self._entries(project, tree, recursive=True)
        prefix = f"{path}/" if path else ""
        made = (_blob(one, prefix + str(one.get("path", ""))) for one in entries if one.get("type") == "blob")
        return tuple(blob for blob in made if blob is not None and wanted(blob.path))

    async def content(self, project: str, blob: Blob) -> bytes:
        if blob.size is not None and blob.size > LARGEST_FILE:
            raise CannotSee(f"{blob.path} of {project} has {blob.size} bytes, at most {LARGEST_FILE} are read")
        answer = await got(self._wire, f"{_repo(project)}/git/blobs/{blob.id}", headers=RAW, max_bytes=LARGEST_FILE)
        if answer.cut:
            raise CannotSee(f"{blob.path} of {project} has more than {LARGEST_FILE} bytes")
        return answer.body

    async def difference(self, project: str, old: str, new: str) -> Difference:
        found = await self._get(f"{_repo(project)}/compare/{quote(old)}...{quote(new)}")
        files, ahead = found.get("files"), found.get("ahead_by")
        if not isinstance(files, list) or not isinstance(ahead, int) or len(files) >= MOST_CHANGED:
            raise CannotSee(f"{self._wire.name} does not say what {new[:40]} changes")
        names = {str(one.get(key)) for one in files for key in ("filename", "previous_filename") if one.get(key)}
        return Difference(ahead, frozenset(names))

    async def commit(self, project: str, *, branch: str, head: str, files: Mapping[str, str], message: str) -> None:
        repo = _repo(project)
        try:
            base = await self._tree_of(project, head)
            modes = {path: await self._mode(project, head, path) for path in files}
        except (NotFound, Forbidden) as exc:
            raise Refused(str(exc), forbidden=isinstance(exc, Forbidden)) from exc
        except ReadError as exc:
            raise Unavailable(f"nothing was sent: {exc}") from exc
        entries = [
            {"path": path, "mode": modes[path], "type": "blob", "content": text} for path, text in sorted(files.items())
        ]
        tree = await self._post(f"{repo}/git/trees", {"base_tree": base, "tree": entries}, harmless=True)
        body = {"message": message, "tree": _made(tree), "parents": [head]}
        made = await self._post(f"{repo}/git/commits", body, harmless=True)
        try:
            await self._post(f"{repo}/git/refs", {"ref": f"refs/heads/{branch}", "sha": _made(made)})
        except Refused as exc:
            raise refused_to_make(exc) from exc

    async def open(self, project: str, *, branch: str, base: str, title: str, body: str) -> Proposal:
        asked = {"title": title, "head": branch, "base": base, "body": body, "maintainer_can_modify": False}
        try:
            return _proposal(await self._post(f"{_repo(project)}/pulls", asked))
        except Refused as exc:
            raise refused_to_make(exc) from exc
        except CannotSee as exc:
            raise Uncertain(str(exc)) from exc

    async def find(self, project: str, branch: str) -> Proposal | None:
        owner = project.partition("/")[0]
        asked = (("head", f"{owner}:{branch}"), ("state", "all"), ("per_page", "30"))
        answer = await got(self._wire, f"{_repo(project)}/pulls", params=asked, headers=HEADERS, max_bytes=LARGEST_LIST)
        found = [
            _proposal(one)
            for one in content_of(self._wire, answer, list)
            # The owner may have forks of it with a branch of that name.
            if _full_name(one).lower() == project.lower() and one["head"].get("ref") == branch
        ]
        return max(found, key=lambda one: (one.state == "open", one.number), default=None)

    async def shut(self, project: str, number: int) -> None:
        await self._write("PATCH", f"{_repo(project)}/pulls/{number}", {"state": "closed"}, 200)

    async def comment(self, project: str, number: int, text: str) -> None:
        await self._post(f"{_repo(project)}/issues/{number}/comments", {"body": text})

    async def delete_branch(self, project: str, branch: str) -> None:
        await self._write("DELETE", f"{_repo(project)}/git/refs/heads/{quote(branch)}", None, 204)

    # --- one request each -----------------------------------------------------------------------------------------

    async def _tree_of(self, project: str, commit: str) -> str:
        """Raises: ReadError."""
        return _id((await self._get(f"{_repo(project)}/git/commits/{quote(commit)}")).get("tree"), "sha")

    async def _entries(self, project: str, tree: str, *, recursive: bool = False) -> list[dict[str, Any]]:
        """Raises: ReadError, CannotSee for a listing that is not whole."""
        asked = (("recursive", "1"),) if recursive else ()
        answer = await got(
            self._wire, f"{_repo(project)}/git/trees/{tree}", params=asked, headers=HEADERS, max_bytes=LARGEST_LIST
        )
        content = content_of(self._wire, answer, dict)
        entries = content.get("tree")
        if content.get("truncated") is not False or not isinstance(entries, list) or len(entries) > MOST_ENTRIES:
            raise CannotSee(f"{project} has too many files there to list: name a deeper path")
        return [one for one in entries if isinstance(one, dict)]

    async def _mode(self, project: str, commit: str, path: str) -> str:
        """Raises: ReadError, NotFound for a folder."""
        found = await self.blobs(project, commit, path)
        if len(found) != 1 or found[0].path != path:
            raise NotFound(f"{path} of {project} is no regular file")
        return found[0].mode

    async def _get(self, path: str) -> dict[str, Any]:
        """Raises: ReadError."""
        answer = await got(self._wire, path, headers=HEADERS, max_bytes=LARGEST_LIST)
        found: dict[str, Any] = content_of(self._wire, answer, dict)
        return found

    async def _post(self, path: str, body: Mapping[str, Any], *, harmless: bool = False) -> dict[str, Any]:
        return await self._write("POST", path, body, 201, harmless=harmless)

    async def _write(
        self, method: str, path: str, body: Mapping[str, Any] | None, expected: int, *, harmless: bool = False
    ) -> dict[str, Any]:
        """`harmless`: nobody sees what it makes, so not knowing whether it was made is as good as nothing done.

        Raises: EffectError.
        """
        try:
            answer = await self._wire.exchange(method, path, body, headers=HEADERS, max_bytes=LARGEST_LIST)
            if answer.status != expected:
                raise send_problem(self._wire, answer)
            if expected == 204:
                return {}
            try:
                found: dict[str, Any] = content_of(self._wire, answer, dict)
            except CannotSee as exc:
                raise Uncertain(str(exc)) from exc
            return found
        except Uncertain as exc:
            if harmless:
                raise Unavailable(f"no branch was made yet: {exc}") from exc
            raise


def _repo(project: str) -> str:
    return f"/repos/{quote(project)}"


def _id(found: Any, key: str) -> str:
    """Raises: CannotSee."""
    value = found.get(key) if isinstance(found, dict) else None
    if not isinstance(value, str) or not value.isalnum():
        raise CannotSee("GitHub's answer names no object")
    return value


def _made(found: Any) -> str:
    """Raises: Unavailable."""
    try:
        return _id(found, "sha")
    except CannotSee as exc:
        raise Unavailable(f"no branch was made yet: {exc}") from exc


def _blob(entry: Mapping[str, Any], path: str) -> Blob | None:
    """None for a symbolic link."""
    mode, size = entry.get("mode"), entry.get("size")
    if mode not in REGULAR:
        return None
    return Blob(path, _id(entry, "sha"), str(mode), size if isinstance(size, int) else None)


def _full_name(pull: Any) -> str:
    """Of the repository that the branch is in; empty once that is deleted."""
    head = pull.get("head") if isinstance(pull, dict) else None
    repo = head.get("repo") if isinstance(head, dict) else None
    return str(repo.get("full_name", "")) if isinstance(repo, dict) else ""


def _proposal(pull: Any) -> Proposal:
    """Raises: CannotSee."""
    try:
        merged = str(pull["merged_at"] or "")[:40]
        return Proposal(
            number=int(pull["number"]),
            url=url_of(pull.get("html_url")),
            state="merged" if merged else "open" if pull["state"] == "open" else "closed",
            branch=str(pull["head"]["ref"]),
            base=str(pull["base"]["ref"]),
            merged_at=merged,
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise CannotSee("GitHub's answer is no pull request") from exc
