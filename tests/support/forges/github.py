"""A GitHub with one repository: headers, fields and statuses as its REST API demands them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.support.forges.git import Files, Pull, digest
from tests.support.forges.server import ForgeServer, body_of, stored

REPO = "/repos/acme/deploy"
NOW = "Sun, 22 Nov 2026 04:00:00 GMT"
NO_RIGHT = "Resource not accessible by personal access token"


class FakeGitHub(ForgeServer):
    kind = "github"

    def __init__(self) -> None:
        super().__init__()
        self.trees: dict[str, Files] = {}
        self.truncated = False
        self.spent: tuple[str, ...] = ()
        """Methods for which the limit of this hour is reached; it ends in ten minutes."""

    def app(self) -> web.Application:
        app = web.Application()
        for method, path, call, handler in (
            ("GET", "/git/ref/heads/{branch:.+}", "get ref", self._ref),
            ("GET", "/git/commits/{sha}", "get commit", self._commit),
            ("GET", "/git/trees/{sha}", "get tree", self._tree),
            ("GET", "/git/blobs/{sha}", "get blob", self._blob),
            ("GET", "/compare/{old}...{new}", "compare", self._compare),
            ("GET", "/pulls", "list pulls", self._pulls),
            ("POST", "/git/trees", "create tree", self._create_tree),
            ("POST", "/git/commits", "create commit", self._create_commit),
            ("POST", "/git/refs", "create branch", self._create_ref),
            ("POST", "/pulls", "create pull", self._create_pull),
            ("PATCH", "/pulls/{number}", "change pull", self._change_pull),
            ("POST", "/issues/{number}/comments", "comment", self._comment),
            ("DELETE", "/git/refs/heads/{branch:.+}", "delete branch", self._delete_ref),
        ):
            self.route(app, method, REPO + path, call, handler)
        return app

    def refused(self, request: web.Request) -> web.Response | None:
        if not request.headers.get("User-Agent"):
            return self.said(403, "Request forbidden by administrative rules")
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return self.said(401, "Bad credentials")
        if request.headers.get("X-GitHub-Api-Version") != "2022-11-28":
            self.violations.append(f"{request.path}: no X-GitHub-Api-Version")
        if "application/vnd.github" not in request.headers.get("Accept", ""):
            self.violations.append(f"{request.path}: no Accept")
        if request.method in self.spent:
            left = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795320600", "Date": NOW}
            text = {"message": "API rate limit exceeded for user ID 1."}
            return web.json_response(text, status=403, headers=left)
        if not self.sees:
            return self.said(404, "Not Found")
        if self.moved:
            status, to = (301 if request.method == "GET" else 307), {"Location": "/repositories/1/somewhere"}
            return web.json_response({"message": "Moved Permanently"}, status=status, headers=to)
        if request.method != "GET":
            about_pulls = "/pulls" in request.path or "/issues" in request.path
            if not (self.may_propose if about_pulls else self.may_push):
                return self.said(403, NO_RIGHT)
        return None

    # --- the git database -----------------------------------------------------------------------------------------

    async def _ref(self, request: web.Request) -> web.Response:
        branch = request.match_info["branch"]
        sha = self.repo.branches.get(branch)
        if sha is None or branch in self.unseen:
            return self.said(404, "Not Found")
        return web.json_response({"ref": f"refs/heads/{branch}", "object": {"type": "commit", "sha": sha}})

    async def _commit(self, request: web.Request) -> web.Response:
        commit = self.repo.commits.get(request.match_info["sha"])
        if commit is None:
            return self.said(404, "Not Found")
        return web.json_response({"tree": {"sha": self._tree_sha(commit.files)}, "message": commit.message})

    def _tree_sha(self, files: Files) -> str:
        said = "".join(f"{mode} {path} {digest('blob', content)}\n" for path, (mode, content) in sorted(files.items()))
        sha = digest("tree", said.encode())
        self.trees[sha] = dict(files)
        return sha

    async def _tree(self, request: web.Request) -> web.Response:
        files = self.trees.get(request.match_info["sha"])
        if files is None:
            return self.said(404, "Not Found")
        recursive = "recursive" in request.query
        entries: dict[str, dict[str, Any]] = {}
        for path, (mode, content) in files.items():
            parts = path.split("/")
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                folder = "/".join(parts[:depth])
                entries[folder] = {"path": folder, "mode": "040000", "type": "tree", "sha": self._sub(files, folder)}
            if recursive or len(parts) == 1:
                sha = digest("blob", content)
                entries[path] = {"path": path, "mode": mode, "type": "blob", "sha": sha, "size": len(content)}
                if mode == "160000":
                    entries[path] = {"path": path, "mode": mode, "type": "commit", "sha": sha}
        return web.json_response(
            {"sha": "x", "tree": list(entries.values()), "truncated": recursive and self.truncated}
        )

    def _sub(self, files: Files, folder: str) -> str:
        prefix = f"{folder}/"
        return self._tree_sha({p.removeprefix(prefix): v for p, v in files.items() if p.startswith(prefix)})

    async def _blob(self, request: web.Request) -> web.Response:
        content = self.repo.blobs.get(request.match_info["sha"])
        if content is None:
            return self.said(404, "Not Found")
        if request.headers.get("Accept") != "application/vnd.github.raw+json":
            return self.said(415, "this fake only has raw contents")
        return web.Response(body=content, content_type="application/vnd.github.raw+json")

    async def _compare(self, request: web.Request) -> web.Response:
        old, new = request.match_info["old"], request.match_info["new"]
        if not {old, new} <= self.repo.commits.keys():
            return self.said(404, "Not Found")
        names = sorted(self.repo.changed(self.repo.parted(old, new), new))
        ahead = len(self.repo.ahead(old, new))
        return web.json_response({"ahead_by": ahead, "files": [{"filename": name} for name in names]})

    async def _create_tree(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        base, entries = self.trees.get(str(body.get("base_tree"))), body.get("tree")
        if base is None or not isinstance(entries, list) or not entries:
            return self.said(422, "Invalid tree info")
        files = dict(base)
        for one in entries:
            if one.get("mode") not in ("100644", "100755") or one.get("type") != "blob" or "content" not in one:
                return self.said(422, "Must supply a valid tree.mode")
            files[one["path"]] = (one["mode"], stored(one["content"]))
        return web.json_response({"sha": self._tree_sha(files)}, status=201)

    async def _create_commit(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        files = self.trees.get(str(body.get("tree")))
        parents = body.get("parents", [])
        if files is None or not body.get("message") or any(one not in self.repo.commits for one in parents):
            return self.said(422, "Validation Failed")
        return web.json_response({"sha": self.repo.commit(tuple(parents), files, body["message"])}, status=201)

    async def _create_ref(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        name = str(body.get("ref", ""))
        if not name.startswith("refs/heads/"):
            return self.said(422, "Validation Failed")
        if body.get("sha") not in self.repo.commits:
            return self.said(422, "Object does not exist")
        branch = name.removeprefix("refs/heads/")
        if branch in self.repo.branches:
            return self.said(422, "Reference already exists")
        if self.repo.is_protected(branch):
            rules = "Repository rule violations found\n\nCannot create ref due to creations being restricted.\n\n"
            return self.said(422, rules)
        self.repo.branches[branch] = body["sha"]
        return web.json_response({"ref": name, "object": {"sha": body["sha"]}}, status=201)

    async def _delete_ref(self, request: web.Request) -> web.Response:
        branch = request.match_info["branch"]
        if self.repo.branches.pop(branch, None) is None:
            return self.said(422, "Reference does not exist")
        return web.Response(status=204)

    # --- pull requests --------------------------------------------------------------------------------------------

    async def _pulls(self, request: web.Request) -> web.Response:
        owner, _, branch = request.query.get("head", "").partition(":")
        if owner != "acme" or request.query.get("state") != "all":
            self.violations.append(f"list pulls by {request.query}")
        return web.json_response([self._told(pull) for pull in self.listed(branch)])

    async def _create_pull(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        branch, base = body.get("head"), body.get("base")
        if not body.get("title") or branch not in self.repo.branches or base not in self.repo.branches:
            return self.said(422, "Validation Failed")
        if any(one.branch == branch and one.state == "open" and not one.fork for one in self.repo.pulls):
            return self._invalid(f"A pull request already exists for acme:{branch}.")
        if not self.repo.ahead(self.repo.branches[base], self.repo.branches[branch]):
            return self._invalid(f"No commits between {base} and {branch}")
        pull = Pull(len(self.repo.pulls) + 1, branch, base, body["title"], body.get("body") or "")
        self.repo.pulls.append(pull)
        return web.json_response(self._told(pull), status=201)

    def _invalid(self, message: str) -> web.Response:
        errors = [{"resource": "PullRequest", "code": "custom", "message": message}]
        return web.json_response({"message": "Validation Failed", "errors": errors}, status=422)

    async def _change_pull(self, request: web.Request) -> web.Response:
        pull, body = self._found(request), await body_of(request)
        if pull is None:
            return self.said(404, "Not Found")
        if body.get("state") == "closed" and pull.state == "open":
            pull.state = "closed"
        return web.json_response(self._told(pull))

    async def _comment(self, request: web.Request) -> web.Response:
        pull, body = self._found(request), await body_of(request)
        if pull is None or not body.get("body"):
            return self.said(404, "Not Found")
        pull.comments.append(body["body"])
        return web.json_response({"id": 1}, status=201)

    def _found(self, request: web.Request) -> Pull | None:
        number = int(request.match_info["number"])
        return self.repo.pulls[number - 1] if 0 < number <= len(self.repo.pulls) else None

    def _told(self, pull: Pull) -> Mapping[str, Any]:
        repo = {"full_name": "acme/fork" if pull.fork else self.repo.project}
        return {
            "number": pull.number,
            "state": "open" if pull.state == "open" else "closed",
            "merged_at": pull.merged_at,
            "html_url": f"https://git.example.com/acme/deploy/pull/{pull.number}",
            "title": pull.title,
            "head": {"ref": pull.branch, "repo": repo},
            "base": {"ref": pull.base},
        }
