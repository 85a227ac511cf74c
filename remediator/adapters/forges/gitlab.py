"""GitLab, by its REST API version 4. One request makes the branch and its commit together."""

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
    State,
    content_of,
    got,
    no_file,
    plain,
    refused_to_make,
    send_problem,
    url_of,
    wanted,
)
from remediator.errors import CannotSee, Conflict, NotFound, Refused, Uncertain

PAGE = 100
REGULAR = ("100644", "100755")
STATES: Mapping[str, State] = {"opened": "open", "locked": "open", "merged": "merged", "closed": "closed"}
"""`locked`: it is being merged."""


class GitLab:
    """`wire` sends the token; its address ends in `/api/v4`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def close(self) -> None:
        await self._wire.close()

    async def head(self, project: str, branch: str) -> str:
        found = await self._get(f"{_repository(project)}/branches/{quote(branch, safe='')}")
        return _id(found.get("commit"))

    async def blobs(self, project: str, commit: str, path: str) -> tuple[Blob, ...]:
        entries = await self._tree(project, commit, path)
        if not entries and path:
            return (await self._file(project, commit, path),)
        made = (_blob(one) for one in entries if one.get("type") == "blob")
        return tuple(blob for blob in made if blob is not None and wanted(blob.path))

    async def content(self, project: str, blob: Blob) -> bytes:
        path = f"{_repository(project)}/blobs/{quote(blob.id, safe='')}/raw"
        answer = await got(self._wire, path, max_bytes=LARGEST_FILE)
        if answer.cut:
            raise CannotSee(f"{blob.path} of {project} has more than {LARGEST_FILE} bytes")
        return answer.body

    async def difference(self, project: str, old: str, new: str) -> Difference:
        asked = (("from", old), ("to", new), ("straight", "false"))
        answer = await got(self._wire, f"{_repository(project)}/compare", params=asked, max_bytes=LARGEST_LIST)
        found = content_of(self._wire, answer, dict)
        commits, diffs = found.get("commits"), found.get("diffs")
        if not isinstance(commits, list) or not isinstance(diffs, list) or found.get("compare_timeout"):
            raise CannotSee(f"{self._wire.name} does not say what {new[:40]} changes")
        names = {str(one.get(key)) for one in diffs for key in ("old_path", "new_path") if one.get(key)}
        return Difference(len(commits), frozenset(names))

    async def commit(self, project: str, *, branch: str, head: str, files: Mapping[str, str], message: str) -> None:
        actions = [{"action": "update", "file_path": path, "content": text} for path, text in sorted(files.items())]
        body = {"branch": branch, "start_sha": head, "commit_message": message, "actions": actions}
        try:
            await self._write("POST", f"{_repository(project)}/commits", body, 201)
        except (Refused, Conflict) as exc:
            raise refused_to_make(exc) from exc

    async def open(self, project: str, *, branch: str, base: str, title: str, body: str) -> Proposal:
        asked = {
            "source_branch": branch,
            "target_branch": base,
            "title": title,
            "description": body,
            "remove_source_branch": True,
        }
        try:
            return _proposal(await self._write("POST", f"{_project(project)}/merge_requests", asked, 201))
        except (Refused, Conflict) as exc:
            raise refused_to_make(exc) from exc
        except CannotSee as exc:
            raise Uncertain(str(exc)) from exc

    async def find(self, project: str, branch: str) -> Proposal | None:
        asked = (("source_branch", branch), ("state", "all"), ("scope", "all"), ("per_page", "30"))
        answer = await got(self._wire, f"{_project(project)}/merge_requests", params=asked, max_bytes=LARGEST_LIST)
        found = [
            _proposal(one)
            for one in content_of(self._wire, answer, list)
            # Forks have branches of any name.
            if isinstance(one, dict)
            and one.get("source_project_id") == one.get("target_project_id")
            and one.get("source_branch") == branch
        ]
        return max(found, key=lambda one: (one.state == "open", one.number), default=None)

    async def shut(self, project: str, number: int) -> None:
        await self._write("PUT", f"{_project(project)}/merge_requests/{number}", {"state_event": "close"}, 200)

    async def comment(self, project: str, number: int, text: str) -> None:
        await self._write("POST", f"{_project(project)}/merge_requests/{number}/notes", {"body": text}, 201)

    async def delete_branch(self, project: str, branch: str) -> None:
        await self._write("DELETE", f"{_repository(project)}/branches/{quote(branch, safe='')}", None, 204)

    # --- one request each -----------------------------------------------------------------------------------------

    async def _tree(self, project: str, commit: str, path: str, *, recursive: bool = True) -> list[dict[str, Any]]:
        """All entries below a folder, empty where there is no such folder. Raises: ReadError."""
        entries: list[dict[str, Any]] = []
        asked = [("ref", commit), ("per_page", str(PAGE)), *([("recursive", "true")] if recursive else [])]
        asked += [("path", path)] if path else []
        for page in range(1, MOST_ENTRIES // PAGE + 2):
            try:
                answer = await got(
                    self._wire,
                    f"{_repository(project)}/tree",
                    params=[*asked, ("page", str(page))],
                    max_bytes=LARGEST_LIST,
                )
            except NotFound:
                if path and page == 1:  # the folder above will tell whether it is a file
                    return []
                raise
            entries += [one for one in content_of(self._wire, answer, list) if isinstance(one, dict)]
            following = answer.headers.get("X-Next-Page", "")
            if not following:
                return self._whole(project, entries)
            if following != str(page + 1):
                raise CannotSee(f"{self._wire.name}: X-Next-Page is {following:.20!r} behind page {page}")
        raise CannotSee(f"{project} has more than {MOST_ENTRIES} files below {path or '/'}: name a deeper path")

    def _whole(self, project: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """GitLab makes the first page by other means than the next ones. In two orders, some entries would come twice
        and as many never. Raises: CannotSee.
        """
        if len({str(one.get("path")) for one in entries}) != len(entries):
            raise CannotSee(f"{self._wire.name}: the files of {project} come twice, its pages do not fit together")
        return entries

    async def _file(self, project: str, commit: str, path: str) -> Blob:
        """By its folder: what GitLab says of a single file does not tell a link from a text. Raises: ReadError."""
        beside = await self._tree(project, commit, path.rpartition("/")[0], recursive=False)
        entry = next((one for one in beside if one.get("path") == path), None)
        if entry is None:
            raise NotFound(f"{project} has no {path} at {commit[:12]}")
        found = _blob(entry) if entry.get("type") == "blob" else None
        if found is None:
            raise no_file(project, path)
        return found

    async def _get(self, path: str) -> dict[str, Any]:
        """Raises: ReadError."""
        found: dict[str, Any] = content_of(self._wire, await got(self._wire, path), dict)
        return found

    async def _write(self, method: str, path: str, body: Mapping[str, Any] | None, expected: int) -> dict[str, Any]:
        """Raises: EffectError."""
        answer = await self._wire.exchange(method, path, body, max_bytes=LARGEST_LIST)
        if answer.status == 409:
            raise Conflict(self._wire.said(plain(answer)))
        if answer.status != expected:
            raise send_problem(self._wire, answer)
        if expected == 204:
            return {}
        try:
            found: dict[str, Any] = content_of(self._wire, answer, dict)
        except CannotSee as exc:
            raise Uncertain(str(exc)) from exc
        return found


def _project(project: str) -> str:
    return f"/projects/{quote(project, safe='')}"


def _repository(project: str) -> str:
    return f"{_project(project)}/repository"


def _id(found: Any) -> str:
    """Raises: CannotSee."""
    value = found.get("id") if isinstance(found, dict) else None
    if not isinstance(value, str) or not value.isalnum():
        raise CannotSee("GitLab's answer names no commit")
    return value


def _blob(entry: Mapping[str, Any]) -> Blob | None:
    """None for a symbolic link."""
    mode = str(entry.get("mode"))
    if mode not in REGULAR:
        return None
    return Blob(str(entry.get("path", "")), _id(entry), mode)


def _proposal(merge: Any) -> Proposal:
    """Raises: CannotSee."""
    try:
        return Proposal(
            number=int(merge["iid"]),
            url=url_of(merge.get("web_url")),
            state=STATES[merge["state"]],
            branch=str(merge["source_branch"]),
            base=str(merge["target_branch"]),
            merged_at=str(merge.get("merged_at") or "")[:40],
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise CannotSee("GitLab's answer is no merge request") from exc
