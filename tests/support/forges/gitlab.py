"""A GitLab with one project: headers, fields and statuses as its REST API demands them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.support.forges.git import Files, Pull, digest
from tests.support.forges.server import ForgeServer, body_of, stored

API = "/api/v4/projects/{project}"
STATES = {"open": "opened", "merged": "merged", "closed": "closed"}


class FakeGitLab(ForgeServer):
    kind = "gitlab"

    def __init__(self) -> None:
        super().__init__()
        self.pages_differ = False
        """The first page comes from another program than the others, which may put files in another order."""

    def app(self) -> web.Application:
        app = web.Application()
        for method, path, call, handler in (
            ("GET", "/repository/branches/{branch}", "get ref", self._branch),
            ("GET", "/repository/tree", "get tree", self._tree),
            ("GET", "/repository/blobs/{sha}/raw", "get blob", self._blob),
            ("GET", "/repository/compare", "compare", self._compare),
            ("GET", "/merge_requests", "list pulls", self._list),
            ("POST", "/repository/commits", "create branch", self._create_commit),
            ("POST", "/merge_requests", "create pull", self._create),
            ("PUT", "/merge_requests/{number}", "change pull", self._change),
            ("POST", "/merge_requests/{number}/notes", "comment", self._note),
            ("DELETE", "/repository/branches/{branch}", "delete branch", self._delete),
        ):
            self.route(app, method, API + path, call, handler)
        return app

    def refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("PRIVATE-TOKEN") != self.token:
            return self.said(401, "401 Unauthorized")
        if not self.sees or request.match_info["project"] != self.repo.project:
            return self.said(404, "404 Project Not Found")
        if self.moved and request.method == "GET":
            to = {"Location": "/api/v4/projects/1/somewhere"}
            return web.json_response({"message": "This resource has been moved"}, status=301, headers=to)
        if self.moved:
            return self.said(405, "Non GET methods are not allowed for moved projects")
        if request.method != "GET":
            about_merges = "/merge_requests" in request.path
            if not (self.may_propose if about_merges else self.may_push):
                return self.said(403, "403 Forbidden")
        return None

    # --- the repository -------------------------------------------------------------------------------------------

    async def _branch(self, request: web.Request) -> web.Response:
        branch = request.match_info["branch"]
        sha = self.repo.branches.get(branch)
        if sha is None or branch in self.unseen:
            return self.said(404, "404 Branch Not Found")
        return web.json_response({"name": branch, "commit": {"id": sha}, "protected": self.repo.is_protected(branch)})

    async def _tree(self, request: web.Request) -> web.Response:
        commit = self.repo.commits.get(request.query.get("ref", ""))
        folder = request.query.get("path", "")
        found = _entries(commit.files, folder, request.query.get("recursive") == "true") if commit else []
        if not found:
            return self.said(404, "404 invalid revision or path Not Found" if commit else "404 Tree Not Found")
        size, page = int(request.query.get("per_page", "20")), int(request.query.get("page", "1"))
        if size > 100:
            self.violations.append("GitLab gives 100 a page at most")
        ordered = found if page == 1 or not self.pages_differ else [*found[1:], found[0]]
        here = ordered[(page - 1) * size : page * size]
        # The first page always has a next one, also when that is empty.
        following = str(page + 1) if page == 1 or len(found) > page * size else ""
        return web.json_response(here, headers={"X-Next-Page": following, "X-Total": str(len(found))})

    async def _blob(self, request: web.Request) -> web.Response:
        content = self.repo.blobs.get(request.match_info["sha"])
        if content is None:
            return self.said(404, "404 Blob Not Found")
        return web.Response(body=content, content_type="text/plain")

    async def _compare(self, request: web.Request) -> web.Response:
        old, new = request.query.get("from", ""), request.query.get("to", "")
        if not {old, new} <= self.repo.commits.keys():
            return self.said(404, "404 Ref Not Found")
        names = sorted(self.repo.changed(self.repo.parted(old, new), new))
        commits = [{"id": sha} for sha in self.repo.ahead(old, new)]
        diffs = [{"old_path": name, "new_path": name} for name in names]
        return web.json_response({"commits": commits, "diffs": diffs, "compare_timeout": False})

    async def _create_commit(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        branch, head, actions = body.get("branch"), body.get("start_sha"), body.get("actions")
        if not branch or not body.get("commit_message") or not actions or head not in self.repo.commits:
            return self.said(400, "branch, commit_message, start_sha or actions is missing or invalid")
        if self.repo.is_protected(branch):
            return self.said(403, "403 Forbidden - You are not allowed to push into this branch")
        if branch in self.repo.branches:
            return self.said(
                400, f"A branch called '{branch}' already exists. Switch to that branch in order to make changes"
            )
        files = dict(self.repo.commits[head].files)
        for one in actions:
            if one.get("action") != "update" or one.get("file_path") not in files or "content" not in one:
                return self.said(400, "A file with this name doesn't exist")
            files[one["file_path"]] = (files[one["file_path"]][0], stored(one["content"]))
        self.repo.branches[branch] = self.repo.commit((head,), files, body["commit_message"])
        return web.json_response({"id": self.repo.branches[branch]}, status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        if self.repo.branches.pop(request.match_info["branch"], None) is None:
            return self.said(404, "404 Branch Not Found")
        return web.Response(status=204)

    # --- merge requests -------------------------------------------------------------------------------------------

    async def _list(self, request: web.Request) -> web.Response:
        branch = request.query.get("source_branch", "")
        if request.query.get("state") != "all" or not branch:
            self.violations.append(f"list merge requests by {request.query}")
        return web.json_response([self._told(pull) for pull in self.listed(branch)])

    async def _create(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        branch, base = body.get("source_branch"), body.get("target_branch")
        if not body.get("title") or not branch or not base:
            return web.json_response({"error": "title, source_branch or target_branch is missing"}, status=400)
        found = [one for one in self.repo.pulls if one.branch == branch and one.state == "open" and not one.fork]
        if found:
            text = f"Another open merge request already exists for this source branch: !{found[0].number}"
            return self.said(409, [text])
        if branch not in self.repo.branches or base not in self.repo.branches:
            return self.said(422, ["Source branch does not exist"])
        pull = Pull(len(self.repo.pulls) + 1, branch, base, body["title"], body.get("description") or "")
        self.repo.pulls.append(pull)
        return web.json_response(self._told(pull), status=201)

    async def _change(self, request: web.Request) -> web.Response:
        pull, body = self._found(request), await body_of(request)
        if pull is None:
            return self.said(404, "404 Not found")
        if body.get("state_event") == "close" and pull.state == "open":
            pull.state = "closed"
        return web.json_response(self._told(pull))

    async def _note(self, request: web.Request) -> web.Response:
        pull, body = self._found(request), await body_of(request)
        if pull is None or not body.get("body"):
            return self.said(404, "404 Not found")
        pull.comments.append(body["body"])
        return web.json_response({"id": 1}, status=201)

    def _found(self, request: web.Request) -> Pull | None:
        number = int(request.match_info["number"])
        return self.repo.pulls[number - 1] if 0 < number <= len(self.repo.pulls) else None

    def _told(self, pull: Pull) -> Mapping[str, Any]:
        return {
            "id": 1000 + pull.number,
            "iid": pull.number,
            "state": STATES[pull.state],
            "merged_at": pull.merged_at,
            "web_url": f"https://git.example.com/acme/deploy/-/merge_requests/{pull.number}",
            "title": pull.title,
            "source_branch": pull.branch,
            "target_branch": pull.base,
            "source_project_id": 2 if pull.fork else 1,
            "target_project_id": 1,
        }


def _entries(files: Files, folder: str, recursive: bool) -> list[dict[str, str]]:
    """Folders, then files, then submodules."""
    prefix = f"{folder}/" if folder else ""
    below = {path.removeprefix(prefix): path for path in sorted(files) if path.startswith(prefix)}
    trees: dict[str, str] = {}
    for short in below:
        parts = short.split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            trees["/".join(parts[:depth])] = "040000"
    made = [_entry(prefix + short, "tree", mode, digest("tree", short.encode())) for short, mode in trees.items()]
    for wanted in ("blob", "commit"):
        for path in (path for short, path in below.items() if recursive or "/" not in short):
            mode, content = files[path]
            if (kind := "commit" if mode == "160000" else "blob") == wanted:
                made.append(_entry(path, kind, mode, digest("blob", content)))
    return made


def _entry(path: str, kind: str, mode: str, sha: str) -> dict[str, str]:
    return {"id": sha, "name": path.rpartition("/")[2], "type": kind, "path": path, "mode": mode}
