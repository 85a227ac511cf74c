"""What the caller `forge` promises, whichever forge it is: one pull request, nothing else, and an honest answer."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from remediator.adapters.callers.forge import ForgeCaller
from remediator.errors import CannotSee, Conflict, Forbidden, NotFound, Refused, Unavailable, Uncertain
from remediator.outside_forges import Forge
from tests.support.fake_http import Fault
from tests.support.forges.server import FILES, TOKEN, WEB, ForgeServer

BRANCH = "remediator/abc123defg"
FILES_OF = {"about": "files", "path": "apps/shop", "branch": "main"}
ABOUT = {"about": "pull_request", "branch": BRANCH}
CLOSE = {"do": "close", "branch": BRANCH}
ABUSE = '{"message": "You went too fast.", "documentation_url": "https://docs.github.com/x#secondary-rate-limits"}'
NEW = FILES[WEB].replace("replicas: 3", "replicas: 5")


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def wish(server: ForgeServer, **more: Any) -> dict[str, Any]:
    return {
        "do": "propose",
        "branch": BRANCH,
        "base": "main",
        "head": server.repo.branches["main"],
        "files": {WEB: {"before_sha": sha(FILES[WEB]), "text": NEW}},
        "title": "Deployment/shop/web: replicas 3 -> 5",
        "body": "Proposed by remediator.\n\n- Object: `Deployment/shop/web`\n",
        **more,
    }


async def propose(caller: ForgeCaller, server: ForgeServer, **more: Any) -> Any:
    return await caller.send("deploy", wish(server, **more), key="k")


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_the_files_of_a_folder(caller: ForgeCaller, server: ForgeServer) -> None:
    found = await caller.ask("deploy", FILES_OF)
    assert found == {
        "repository": "deploy",
        "branch": "main",
        "head": server.repo.branches["main"],
        "path": "apps/shop",
        "files": {name: FILES[name] for name in ("apps/shop/api.yaml", WEB)},
    }
    before = len(server.calls)
    assert await caller.ask("deploy", {**FILES_OF, "branch": "HEAD"}) == found
    assert "get blob" not in server.calls[before:], "contents never change, so they are read once"
    one = await caller.ask("deploy", {**FILES_OF, "path": f"./{WEB}", "branch": ""})
    assert one["files"] == {WEB: FILES[WEB]}
    assert server.writes == []


@pytest.mark.parametrize(
    "place",
    [
        "https://git.example.com/acme/deploy",
        "https://someone:hunter2@git.example.com/acme/deploy.git/",
        "ssh://git@git.example.com:2222/acme/deploy.git",
        "git@GIT.example.com:acme/deploy.git",
    ],
)
async def test_an_address_is_looked_up(caller: ForgeCaller, place: str) -> None:
    assert (await caller.ask(place, FILES_OF))["repository"] == "deploy"


@pytest.mark.parametrize(
    "place",
    [
        "https://git.example.com/acme/other",
        "https://evil.example.com/acme/deploy",
        "nowhere",
        "https://u:hunter2@h/x",
        "u:hunter2@h:x",
    ],
)
async def test_an_address_that_is_not_listed(caller: ForgeCaller, server: ForgeServer, place: str) -> None:
    with pytest.raises(NotFound, match=r"add it to outside\.forges") as problem:
        await caller.ask(place, FILES_OF)
    assert "hunter2" not in str(problem.value)
    assert server.calls == []


@pytest.mark.parametrize(
    ("request_", "error", "reason"),
    [
        ({"path": "infra"}, Forbidden, "paths does not list"),
        ({"path": "apps"}, Forbidden, "paths does not list"),
        ({"path": ""}, Forbidden, "whole repository"),
        ({"path": "apps/../infra"}, Forbidden, "paths does not list"),
        ({"path": ".github/workflows"}, Forbidden, "paths does not list"),
        ({"branch": "release"}, Forbidden, "branches does not list"),
        ({"path": "apps/none"}, NotFound, "apps/none|404"),
        ({"about": "secrets"}, NotFound, "cannot be asked"),
    ],
)
async def test_what_may_not_be_read(
    caller: ForgeCaller, request_: dict[str, str], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        await caller.ask("deploy", {**FILES_OF, **request_})


async def test_a_huge_repository_is_not_read(caller: ForgeCaller, server: ForgeServer) -> None:
    server.repo.push("main", {f"apps/shop/f{n}.yaml": "a: 1\n" for n in range(200)})
    with pytest.raises(CannotSee, match="at most 200"):
        await caller.ask("deploy", FILES_OF)
    server.repo.push("main", {"apps/big/f.yaml": "a" * 300_000})
    with pytest.raises(CannotSee, match="bytes"):
        await caller.ask("deploy", {**FILES_OF, "path": "apps/big"})
    server.repo.push("main", {f"apps/sum/f{n}.yaml": f"{n}" * 250_000 for n in range(5)})
    with pytest.raises(CannotSee, match="more than 1048576 bytes"):
        await caller.ask("deploy", {**FILES_OF, "path": "apps/sum"})


async def test_what_is_no_text(caller: ForgeCaller, server: ForgeServer) -> None:
    tip = server.repo.branches["main"]
    files = dict(server.repo.commits[tip].files)
    files |= {"apps/shop/link.yaml": ("120000", b"/etc/passwd")}
    server.repo.branches["main"] = server.repo.commit((tip,), files, "x")
    assert "apps/shop/link.yaml" not in (await caller.ask("deploy", FILES_OF))["files"]
    files |= {"apps/shop/odd.yaml": ("100644", b"\xff\xfe")}
    server.repo.branches["main"] = server.repo.commit((tip,), files, "x")
    with pytest.raises(CannotSee, match="no UTF-8"):
        await caller.ask("deploy", FILES_OF)


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        (Fault(status=301), CannotSee, "redirected us"),
        (Fault(status=429, retry_after="30"), CannotSee, "limits how much"),
        (Fault(status=403, retry_after="30"), CannotSee, "limits how much"),
        (Fault(status=403, body=ABUSE), CannotSee, "limits how much"),
        (Fault(status=502, body="<html>"), CannotSee, "502"),
        (Fault(status=200, body="<html>login"), CannotSee, "no dict of JSON"),
        (Fault(drop=True), CannotSee, "no answer"),
    ],
)
async def test_an_answer_that_says_nothing(
    caller: ForgeCaller, server: ForgeServer, fault: Fault, error: type[Exception], reason: str
) -> None:
    server.fail("get ref", fault)
    with pytest.raises(error, match=reason):
        await caller.ask("deploy", FILES_OF)


# --- proposing --------------------------------------------------------------------------------------------------------


async def test_a_pull_request(caller: ForgeCaller, server: ForgeServer) -> None:
    main = server.repo.branches["main"]
    assert await caller.ask("deploy", ABOUT) == {"state": "none"}
    assert "as they were seen" in await caller.rehearse("deploy", wish(server, branch="remediator/${generated:id}"))
    assert server.writes == []
    said = await propose(caller, server)
    (pull,) = server.repo.pulls
    assert (said["number"], pull.branch, pull.base) == (1, BRANCH, "main")
    assert said["url"].startswith("https://git.example.com/acme/deploy/")
    assert "pull request 1 of deploy" in said["says"]
    assert (pull.title, pull.body) == (
        "Deployment/shop/web: replicas 3 -> 5",
        "Proposed by remediator.\n\n- Object: `Deployment/shop/web`\n",
    )
    tip = server.repo.branches[BRANCH]
    assert server.repo.commits[tip].parents == (main,)
    assert server.repo.changed(main, tip) == {WEB}
    assert server.repo.text(BRANCH, WEB) == NEW
    assert server.repo.branches["main"] == main, "only people merge"
    assert (await caller.ask("deploy", ABOUT))["state"] == "open"
    assert await caller.find("deploy", wish(server), key="k") == "happened"
    server.repo.merge(1)
    assert await caller.ask("deploy", ABOUT) == {
        "state": "merged",
        "number": 1,
        "url": said["url"],
        "merged_at": "2026-11-22T03:00:00Z",
    }
    assert server.repo.text("main", WEB) == NEW


async def test_several_files_go_in_one_commit(caller: ForgeCaller, server: ForgeServer) -> None:
    api = "apps/shop/api.yaml"
    files = {
        api: {"before_sha": sha(FILES[api]), "text": "kind: X\n"},
        WEB: {"before_sha": sha(FILES[WEB]), "text": NEW},
    }
    await propose(caller, server, files=files)
    tip = server.repo.branches[BRANCH]
    assert len(server.repo.ahead(server.repo.branches["main"], tip)) == 1
    assert server.repo.changed(server.repo.branches["main"], tip) == {api, WEB}


async def test_without_a_commit_it_stands_on_the_end_of_the_base(caller: ForgeCaller, server: ForgeServer) -> None:
    tip = server.repo.push("main", {"apps/shop/api.yaml": "kind: Other\n"})
    server.lose["create branch"] = 1
    with pytest.raises(Uncertain):
        await propose(caller, server, head="")
    server.repo.push("main", {"apps/shop/api.yaml": "kind: Another\n"})
    assert (await propose(caller, server, head=""))["number"] == 1
    assert server.repo.commits[server.repo.branches[BRANCH]].parents == (tip,)
    assert (await propose(caller, server, head=""))["number"] == 1
    server.repo.merge(1)
    assert server.repo.text("main", "apps/shop/api.yaml") == "kind: Another\n"


async def test_an_executable_stays_one(caller: ForgeCaller, server: ForgeServer) -> None:
    tip = server.repo.branches["main"]
    files = {**server.repo.commits[tip].files, WEB: ("100755", FILES[WEB].encode())}
    server.repo.branches["main"] = server.repo.commit((tip,), files, "x")
    await propose(caller, server)
    assert server.repo.commits[server.repo.branches[BRANCH]].files[WEB] == ("100755", NEW.encode())


async def test_an_answer_that_is_lost_at_any_request(caller: ForgeCaller, server: ForgeServer) -> None:
    """Before its work or after it: looked for and sent again, there is one pull request with one commit."""
    await propose(caller, server)
    calls = list(server.writes)
    assert calls[-2:] == ["create branch", "create pull"]
    for number, call in enumerate(dict.fromkeys(calls)):
        for lost_after in (True, False):
            branch = f"remediator/lost-{number}-{lost_after}".lower()
            known = len(server.repo.pulls)
            if lost_after:
                server.lose[call] = 1
            else:
                server.fail(call, Fault(drop=True))
            with pytest.raises((Uncertain, Unavailable)) as problem:
                await propose(caller, server, branch=branch)
            # What nobody sees was not done: only a branch or a pull request makes it uncertain.
            seen = call in ("create branch", "create pull")
            assert isinstance(problem.value, Uncertain) == seen, (call, lost_after)
            happened = await caller.find("deploy", wish(server, branch=branch), key="k")
            assert happened == ("happened" if call == "create pull" and lost_after else "never")
            for _ in range(2):
                said = await propose(caller, server, branch=branch)
            assert len(server.repo.pulls) == known + 1 == said["number"]
            tip = server.repo.branches[branch]
            assert len(server.repo.ahead(server.repo.branches["main"], tip)) == 1
            assert server.repo.text(branch, WEB) == NEW


async def test_a_read_that_fails_after_the_branch_is_uncertain(caller: ForgeCaller, server: ForgeServer) -> None:
    server.lose["create branch"] = 1
    with pytest.raises(Uncertain):
        await propose(caller, server)
    server.fail("compare", Fault(status=500))
    with pytest.raises(Uncertain, match="cannot be seen"):
        await propose(caller, server)
    assert (await propose(caller, server))["number"] == 1


async def test_the_base_has_moved(caller: ForgeCaller, server: ForgeServer) -> None:
    asked = wish(server)
    server.repo.push("main", {"apps/shop/api.yaml": "kind: Other\n"})
    await caller.send("deploy", asked, key="k")
    assert server.repo.text(BRANCH, WEB) == NEW
    assert server.repo.commits[server.repo.branches[BRANCH]].parents == (asked["head"],)
    server.repo.push("main", {WEB: FILES[WEB].replace("3", "4")})
    with pytest.raises(Conflict, match=r"web\.yaml of deploy has changed in main"):
        await caller.send("deploy", {**asked, "branch": "remediator/second"}, key="k")
    with pytest.raises(Refused, match="has changed"):
        await caller.rehearse("deploy", {**asked, "branch": "remediator/second"})
    server.repo.push("main", {WEB: None})
    with pytest.raises(Conflict):
        await caller.send("deploy", {**asked, "branch": "remediator/second"}, key="k")
    assert len(server.repo.pulls) == 1
    assert "remediator/second" not in server.repo.branches


FILE = {"before_sha": sha("x"), "text": "y"}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"base": "release"}, "branches does not list"),
        ({"files": {"infra/dns.yaml": FILE}}, "paths does not list"),
        ({"files": {"apps/x/../../infra/dns.yaml": FILE}}, "paths does not list"),
        ({"files": {"/apps/shop/web.yaml": FILE}}, "paths does not list"),
        ({"files": {"apps/shop/.gitlab-ci.yml": FILE}}, "paths does not list"),
        ({"files": {"apps/shop/run.sh": FILE}}, "no YAML"),
        ({"files": {}}, "1 to 20"),
        ({"files": {f"apps/a/{n}.yaml": FILE for n in range(21)}}, "1 to 20"),
        ({"files": {WEB: {"before_sha": sha("y"), "text": "y"}}}, "says it already"),
        ({"files": {WEB: {"text": "y"}}}, "before_sha"),
        ({"files": {WEB: {**FILE, "text": "y" * 300_000}}}, "more than"),
        ({"branch": "main"}, "remediator/"),
        ({"branch": "remediator/../main"}, "remediator/"),
        ({"head": "main"}, "id of a commit"),
        ({"do": "merge"}, "cannot do"),
    ],
)
async def test_what_the_configuration_does_not_allow(
    caller: ForgeCaller, server: ForgeServer, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        await propose(caller, server, **more)
    with pytest.raises(Refused, match=reason):
        await caller.rehearse("deploy", wish(server, **more))
    assert server.calls == []


async def test_a_branch_without_its_id_is_only_rehearsed(caller: ForgeCaller, server: ForgeServer) -> None:
    with pytest.raises(Refused, match="no id yet"):
        await propose(caller, server, branch="remediator/${generated:id}")
    assert server.calls == []


@pytest.mark.parametrize("text", ["`` @all ` x", "\\` @all ` x", "`a` @all `b`", "` \n@all `"])
async def test_what_only_looks_like_code(caller: ForgeCaller, server: ForgeServer, text: str) -> None:
    await propose(caller, server, body=text)
    assert "@" not in server.repo.pulls[0].body


async def test_somebody_elses_branch(caller: ForgeCaller, server: ForgeServer) -> None:
    server.repo.branches[BRANCH] = server.repo.branches["main"]
    server.repo.push(BRANCH, {WEB: "something: else\n"})
    tip = server.repo.branches[BRANCH]
    with pytest.raises(Refused, match="something else in it"):
        await propose(caller, server)
    assert (server.repo.branches[BRANCH], server.repo.pulls) == (tip, [])


async def test_somebody_added_to_it(caller: ForgeCaller, server: ForgeServer) -> None:
    await propose(caller, server)
    server.repo.push(BRANCH, {"apps/shop/api.yaml": "more: 1\n"})
    with pytest.raises(Refused, match="other changes by now"):
        await propose(caller, server)


async def test_somebody_changed_it_and_took_that_back(caller: ForgeCaller, server: ForgeServer) -> None:
    """The same text, but not our commit any more."""
    await propose(caller, server)
    server.repo.push(BRANCH, {WEB: "other: 1\n"})
    server.repo.push(BRANCH, {WEB: NEW})
    with pytest.raises(Refused, match="other changes by now"):
        await propose(caller, server)


async def test_a_pull_request_that_comes_late(caller: ForgeCaller, server: ForgeServer) -> None:
    """An earlier request that was given up is carried out after all, behind our back."""
    await propose(caller, server)
    server.fail("list pulls", Fault(status=200, body="[]"))
    assert (await propose(caller, server))["number"] == 1
    assert server.writes.count("create pull") == 2
    assert len(server.repo.pulls) == 1


async def test_a_fork_with_a_branch_of_that_name(caller: ForgeCaller, server: ForgeServer) -> None:
    await propose(caller, server, branch="remediator/other")
    server.repo.pulls[0].branch, server.repo.pulls[0].fork = BRANCH, True
    assert await caller.ask("deploy", ABOUT) == {"state": "none"}
    assert (await propose(caller, server))["number"] == 2


async def test_what_was_closed_by_people_is_not_opened_again(caller: ForgeCaller, server: ForgeServer) -> None:
    await propose(caller, server)
    server.repo.pulls[0].state = "closed"
    with pytest.raises(Refused, match="closed by somebody"):
        await propose(caller, server)


# --- rights and limits ------------------------------------------------------------------------------------------------


async def test_a_token_that_is_not_taken(caller: ForgeCaller, server: ForgeServer) -> None:
    server.token = "rotated"
    with pytest.raises(Forbidden, match="401") as asked:
        await caller.ask("deploy", FILES_OF)
    with pytest.raises(Refused, match="401") as sent:
        await propose(caller, server)
    assert sent.value.forbidden
    assert TOKEN not in f"{asked.value} {sent.value}"


async def test_a_token_that_cannot_be_read(server: ForgeServer) -> None:
    caller = ForgeCaller((Forge.model_validate({**server.place(), "token_file": "/none/token"}),))
    with pytest.raises(CannotSee, match="cannot be read"):
        await caller.ask("deploy", FILES_OF)
    with pytest.raises(Unavailable, match="nothing was sent"):
        await propose(caller, server)
    await caller.close()
    assert server.calls == []


async def test_a_project_that_the_token_may_not_see(caller: ForgeCaller, server: ForgeServer) -> None:
    server.sees = False
    with pytest.raises(NotFound, match="may not see"):
        await caller.ask("deploy", FILES_OF)
    with pytest.raises(Refused, match="may not see"):
        await propose(caller, server)


async def test_no_right_to_push(caller: ForgeCaller, server: ForgeServer) -> None:
    server.may_push = False
    with pytest.raises(Refused, match="403") as problem:
        await propose(caller, server)
    assert problem.value.forbidden
    assert BRANCH not in server.repo.branches


async def test_no_right_to_propose_leaves_no_branch(caller: ForgeCaller, server: ForgeServer) -> None:
    server.may_propose = False
    with pytest.raises(Refused, match="403") as problem:
        await propose(caller, server)
    assert problem.value.forbidden
    assert BRANCH not in server.repo.branches


async def test_branches_of_ours_are_protected(caller: ForgeCaller, server: ForgeServer) -> None:
    server.repo.protected.add("remediator/*")
    with pytest.raises(Refused, match=r"restricted|not allowed"):
        await propose(caller, server)
    assert server.repo.pulls == []


@pytest.mark.parametrize("call", ["create branch", "create pull"])
@pytest.mark.parametrize("status", [403, 429])
async def test_a_limit_on_writing(caller: ForgeCaller, server: ForgeServer, call: str, status: int) -> None:
    server.fail(call, Fault(status=status, retry_after="90"))
    with pytest.raises(Unavailable) as problem:
        await propose(caller, server)
    assert problem.value.retry_after_s == 90
    assert (await propose(caller, server))["number"] == 1
    assert len(server.repo.pulls) == 1


@pytest.mark.parametrize("call", ["create branch", "create pull"])
async def test_a_redirect_is_not_followed(caller: ForgeCaller, server: ForgeServer, call: str) -> None:
    server.fail(call, Fault(status=307))
    with pytest.raises(Refused, match="redirects us"):
        await propose(caller, server)
    assert server.writes.count(call) == 1


# --- what it says -----------------------------------------------------------------------------------------------------

HOSTILE = (
    "@everyone fixes #12 closes acme/deploy#3 GH-4 !5 &6 ~bug $7 [skip ci] [x](https://evil.example.com) "
    "<img src=x> www.evil.example.com \u202e `@code` \x00"
)


async def test_hostile_text_does_nothing(caller: ForgeCaller, server: ForgeServer) -> None:
    body = f"{HOSTILE}\n/merge\n  /approve\n- `@inside #1`\n" + "x" * 50_000
    await propose(caller, server, title=f"Draft: {HOSTILE}\n/merge", body=body)
    (pull,) = server.repo.pulls
    message = server.repo.commits[server.repo.branches[BRANCH]].message
    for text in (pull.title, message, pull.body.replace("`@inside #1`", "").replace("`@code`", "")):
        assert not set("@#!<[]&~$`\x00\u202e") & set(text)
        assert "://" not in text
        assert "GH-4" not in text
        assert "www.evil" not in text
    assert not pull.title.startswith("Draft")
    assert "\n" not in pull.title
    assert "`@inside #1`" in pull.body, "code stays as it is"
    assert not any(
        line.lstrip().startswith("/") and not line.lstrip().startswith("/ ") for line in pull.body.split("\n")
    )
    assert len(pull.title) <= 200
    assert len(pull.body) <= 20_100


# --- taking it back ---------------------------------------------------------------------------------------------------


async def test_closing(caller: ForgeCaller, server: ForgeServer) -> None:
    await propose(caller, server)
    assert await caller.find("deploy", CLOSE, key="k") == "never"
    said = await caller.send("deploy", CLOSE, key="k")
    assert said["says"] == "pull request 1 of deploy is closed"
    assert (server.repo.pulls[0].state, len(server.repo.pulls[0].comments)) == ("closed", 1)
    assert BRANCH not in server.repo.branches
    assert await caller.find("deploy", CLOSE, key="k") == "happened"
    await caller.send("deploy", CLOSE, key="k")
    assert len(server.repo.pulls[0].comments) == 1
    assert (await caller.ask("deploy", ABOUT))["state"] == "closed"


@pytest.mark.parametrize("call", ["change pull", "comment", "delete branch"])
async def test_closing_with_a_lost_answer(caller: ForgeCaller, server: ForgeServer, call: str) -> None:
    await propose(caller, server)
    server.lose[call] = 1
    try:
        await caller.send("deploy", CLOSE, key="k")
    except Uncertain:
        assert call == "change pull"
    await caller.send("deploy", CLOSE, key="k")
    assert server.repo.pulls[0].state == "closed"
    assert BRANCH not in server.repo.branches


async def test_what_is_merged_is_not_closed(caller: ForgeCaller, server: ForgeServer) -> None:
    await propose(caller, server)
    server.repo.merge(1, delete_branch=False)
    writes = len(server.writes)
    with pytest.raises(Refused, match="is merged: take it back there"):
        await caller.send("deploy", CLOSE, key="k")
    assert len(server.writes) == writes
    assert await caller.find("deploy", CLOSE, key="k") == "never"


async def test_a_branch_that_somebody_added_to_stays(caller: ForgeCaller, server: ForgeServer) -> None:
    await propose(caller, server)
    server.repo.push(BRANCH, {"apps/shop/api.yaml": "more: 1\n"})
    said = await caller.send("deploy", CLOSE, key="k")
    assert "somebody has added to it" in said["says"]
    assert server.repo.pulls[0].state == "closed"
    assert BRANCH in server.repo.branches


async def test_nothing_to_close(caller: ForgeCaller, server: ForgeServer) -> None:
    assert (await caller.send("deploy", CLOSE, key="k"))["says"] == "deploy had no pull request"
    with pytest.raises(Refused, match="one of ours"):
        await caller.send("deploy", {"do": "close", "branch": "main"}, key="k")
    assert server.writes == []
