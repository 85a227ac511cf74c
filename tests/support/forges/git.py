"""As much of git as a forge needs: contents by their digest, commits with parents, branches, and merging."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Literal

Files = Mapping[str, tuple[str, bytes]]
"""Mode and content by path."""


def digest(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


@dataclass(frozen=True)
class Commit:
    parents: tuple[str, ...]
    files: Files
    message: str


@dataclass
class Pull:
    number: int
    branch: str
    base: str
    title: str
    body: str
    state: Literal["open", "merged", "closed"] = "open"
    merged_at: str | None = None
    comments: list[str] = field(default_factory=list)
    fork: bool = False
    """From a branch of that name in somebody's fork."""


class CannotMerge(Exception):
    """Both sides changed the same file."""


class Repo:
    """One repository with one branch `main`."""

    def __init__(self, files: Mapping[str, str], project: str = "acme/deploy") -> None:
        self.project = project
        self.commits: dict[str, Commit] = {}
        self.blobs: dict[str, bytes] = {}
        self.branches: dict[str, str] = {}
        self.pulls: list[Pull] = []
        self.protected: set[str] = set()
        """Patterns of branches that nobody may push to."""
        self.branches["main"] = self.commit((), {path: ("100644", text.encode()) for path, text in files.items()}, "x")

    def commit(self, parents: tuple[str, ...], files: Files, message: str) -> str:
        said = json.dumps([parents, message, len(self.commits), sorted((p, m, c.hex()) for p, (m, c) in files.items())])
        sha = digest("commit", said.encode())
        self.commits[sha] = Commit(parents, dict(files), message)
        self.blobs |= {digest("blob", content): content for _, content in files.values()}
        return sha

    def push(self, branch: str, changes: Mapping[str, str | None], message: str = "by people") -> str:
        """One commit more on a branch; None deletes a file."""
        tip = self.branches[branch]
        files = dict(self.commits[tip].files)
        for path, text in changes.items():
            if text is None:
                del files[path]
            else:
                files[path] = (files.get(path, ("100644", b""))[0], text.encode())
        self.branches[branch] = self.commit((tip,), files, message)
        return self.branches[branch]

    def text(self, branch: str, path: str) -> str:
        return self.commits[self.branches[branch]].files[path][1].decode()

    def history(self, sha: str) -> set[str]:
        seen: set[str] = set()
        waiting = [sha]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += self.commits[one].parents
        return seen

    def ahead(self, old: str, new: str) -> set[str]:
        return self.history(new) - self.history(old)

    def parted(self, old: str, new: str) -> str:
        """The newest commit that both have."""
        order = list(self.commits)
        return max(self.history(old) & self.history(new), key=order.index)

    def changed(self, old: str, new: str) -> set[str]:
        before, after = self.commits[old].files, self.commits[new].files
        return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}

    def is_protected(self, branch: str) -> bool:
        return any(fnmatch(branch, pattern) for pattern in self.protected)

    def merge(self, number: int, at: str = "2026-11-22T03:00:00Z", *, delete_branch: bool = True) -> None:
        """What people do. Raises: CannotMerge."""
        pull = self.pulls[number - 1]
        tip, base = self.branches[pull.branch], self.branches[pull.base]
        root = self.parted(base, tip)
        if both := self.changed(root, tip) & self.changed(root, base):
            raise CannotMerge(sorted(both))
        files = dict(self.commits[base].files)
        for path in self.changed(root, tip):
            if path in self.commits[tip].files:
                files[path] = self.commits[tip].files[path]
            else:
                files.pop(path, None)
        self.branches[pull.base] = self.commit((base, tip), files, f"Merge {pull.branch}")
        pull.state, pull.merged_at = "merged", at
        if delete_branch:
            del self.branches[pull.branch]
