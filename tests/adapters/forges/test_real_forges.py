"""What real forges do besides what they document: lists that lag, texts that they change, links, moved projects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from remediator.adapters.callers.forge import ForgeCaller
from remediator.errors import CannotSee, NotFound, Refused, Unavailable, Uncertain
from remediator.outside_forges import Forge
from tests.adapters.forges.test_forges import ABOUT, BRANCH, FILES_OF, propose, sha
from tests.support.fake_http import Fault
from tests.support.forges.github import FakeGitHub
from tests.support.forges.gitlab import FakeGitLab
from tests.support.forges.server import FILES, WEB, ForgeServer

LINKS = {
    "apps/shop/link.yaml": ("120000", b"../blog/web.yaml"),
    "apps/linked": ("120000", b"shop"),
    "apps/module": ("160000", b"0" * 40),
}


def with_links(server: ForgeServer) -> None:
    tip = server.repo.branches["main"]
    files = {**server.repo.commits[tip].files, **LINKS}
    server.repo.branches["main"] = server.repo.commit((tip,), files, "links")


# --- lists that lag ---------------------------------------------------------------------------------------------------


async def test_a_pull_request_that_no_list_shows_yet(caller: ForgeCaller, server: ForgeServer) -> None:
    """The forge says that there is one: nobody may delete its branch, which would close it."""
    await propose(caller, server)
    server.late = {1}
    with pytest.raises(Uncertain, match="already exists"):
        await propose(caller, server)
    assert (len(server.repo.pulls), server.repo.pulls[0].state) == (1, "open")
    assert BRANCH in server.repo.branches
    server.late = set()
    assert (await propose(caller, server))["number"] == 1


async def test_a_branch_that_cannot_be_seen_yet(caller: ForgeCaller, server: ForgeServer) -> None:
    """Made by an earlier request whose answer was lost: "it exists already" and "not found" together mean later."""
    server.lose["create branch"] = 1
    with pytest.raises(Uncertain):
        await propose(caller, server)
    server.unseen = {BRANCH}
    with pytest.raises(Uncertain, match="already exists"):
        await propose(caller, server)
    server.unseen = set()
    assert (await propose(caller, server))["number"] == 1


async def test_a_pull_request_that_somebody_gave_another_base(caller: ForgeCaller, server: ForgeServer) -> None:
    await propose(caller, server)
    server.repo.pulls[0].base = "release"
    server.fail("list pulls", Fault(status=200, body="[]"))
    with pytest.raises(Refused, match="is for release"):
        await propose(caller, server)
    assert BRANCH in server.repo.branches


# --- texts and links --------------------------------------------------------------------------------------------------


async def test_line_ends_that_forges_would_change(caller: ForgeCaller, server: ForgeServer) -> None:
    old = FILES[WEB].replace("\n", "\r\n")
    server.repo.push("main", {WEB: old})
    assert (await caller.ask("deploy", FILES_OF))["files"][WEB] == old
    files = {WEB: {"before_sha": sha(old), "text": old.replace("3", "5")}}
    with pytest.raises(Refused, match="line ends of Windows"):
        await propose(caller, server, files=files)
    assert server.writes == []


@pytest.mark.parametrize("path", ["apps/shop/link.yaml", "apps/linked", "apps/module"])
async def test_what_is_no_regular_file_is_not_read(caller: ForgeCaller, server: ForgeServer, path: str) -> None:
    """Nor does it look like a folder without files."""
    with_links(server)
    with pytest.raises(CannotSee, match="is no folder and no regular file"):
        await caller.ask("deploy", {**FILES_OF, "path": path})
    found = await caller.ask("deploy", FILES_OF)
    assert sorted(found["files"]) == ["apps/shop/api.yaml", WEB]


async def test_a_link_is_not_changed(caller: ForgeCaller, server: ForgeServer) -> None:
    with_links(server)
    link = "apps/shop/link.yaml"
    with pytest.raises((Refused, Unavailable), match="no regular file"):
        await propose(caller, server, files={link: {"before_sha": sha("../blog/web.yaml"), "text": "replicas: 5\n"}})
    assert server.writes == []


# --- what it says -----------------------------------------------------------------------------------------------------


async def test_the_reason_of_a_refusal(caller: ForgeCaller, server: ForgeServer) -> None:
    """GitHub hides it in `errors`, GitLab in lists and by fields."""
    bodies = {
        "github": '{"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", '
        '"message": "the base is archived"}, {"resource": "PullRequest", "field": "base", "code": "invalid"}]}',
        "gitlab": '{"message": {"title": ["the base is archived"], "base": [{"x": "base invalid"}]}}',
    }
    server.fail("create pull", Fault(status=422, body=bodies[server.kind]))
    with pytest.raises(Refused, match=r"^HTTP 422 from \w+ ours: [^{}\[\]]*the base is archived[^{}\[\]]*base[^{}]*$"):
        await propose(caller, server)
    assert BRANCH not in server.repo.branches


async def test_a_reason_without_end(caller: ForgeCaller, server: ForgeServer) -> None:
    deep = '{"message": ' + "[" * 900 + '"x"' + "]" * 900 + "}"
    server.fail("create pull", Fault(status=422, body=deep))
    with pytest.raises(Refused, match="HTTP 422"):
        await propose(caller, server)


async def test_not_found_may_mean_not_allowed(caller: ForgeCaller, server: ForgeServer) -> None:
    server.fail("create branch", Fault(status=404, body='{"message": "Not Found"}'))
    with pytest.raises(Refused, match="the token may not"):
        await propose(caller, server)


async def test_an_empty_repository(caller: ForgeCaller, server: ForgeServer) -> None:
    """GitHub says so, GitLab just has no such branch."""
    if server.kind == "gitlab":
        server.repo.branches.clear()
    else:
        server.fail("get ref", Fault(status=409, body='{"message": "Git Repository is empty."}'))
    with pytest.raises((CannotSee, NotFound), match=r"is empty|Branch Not Found"):
        await caller.ask("deploy", FILES_OF)


async def test_a_project_that_has_moved(caller: ForgeCaller, server: ForgeServer) -> None:
    server.moved = True
    with pytest.raises(CannotSee, match="the project has moved"):
        await caller.ask("deploy", FILES_OF)
    with pytest.raises(Unavailable, match="the project has moved"):
        await propose(caller, server)
    assert server.writes == []


@pytest.mark.parametrize("branch", ["remediator/../main", "remediator/a/../../main", "remediator/x y", "remediator/"])
async def test_a_branch_that_steps_out(caller: ForgeCaller, server: ForgeServer, branch: str) -> None:
    with pytest.raises(Refused, match="one of ours"):
        await caller.send("deploy", {"do": "close", "branch": branch}, key="k")
    with pytest.raises(NotFound, match="one of ours"):
        await caller.ask("deploy", {**ABOUT, "branch": branch})
    assert server.calls == []


# --- one forge only ---------------------------------------------------------------------------------------------------


async def of(server: ForgeServer) -> AsyncIterator[Any]:
    async with server:
        caller = ForgeCaller((Forge.model_validate(server.place()),))
        yield caller, server
        await caller.close()
        assert server.violations == []


@pytest.fixture
async def github() -> AsyncIterator[Any]:
    async for both in of(FakeGitHub()):
        yield both


@pytest.fixture
async def gitlab() -> AsyncIterator[Any]:
    async for both in of(FakeGitLab()):
        yield both


async def test_gitlab_pages_that_do_not_fit_together(gitlab: tuple[ForgeCaller, FakeGitLab]) -> None:
    caller, server = gitlab
    server.repo.push("main", {f"apps/shop/f{n}.yaml": "a: 1\n" for n in range(150)})
    assert len((await caller.ask("deploy", FILES_OF))["files"]) == 152
    server.pages_differ = True
    with pytest.raises(CannotSee, match="pages do not fit together"):
        await caller.ask("deploy", FILES_OF)


async def test_github_says_when_its_limit_ends(github: tuple[ForgeCaller, FakeGitHub]) -> None:
    caller, server = github
    server.spent = ("POST",)
    with pytest.raises(Unavailable, match="rate limit") as problem:
        await propose(caller, server)
    assert problem.value.retry_after_s == 600
    server.spent = ("GET",)
    with pytest.raises(CannotSee, match="limits how much"):
        await caller.ask("deploy", FILES_OF)
    assert BRANCH not in server.repo.branches
