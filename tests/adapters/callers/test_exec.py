"""exec: what is run, where, how often, and what each way of ending means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from remediator.adapters.callers.connect import connect_callers
from remediator.adapters.callers.exec import ExecCaller, NotAllowed, words
from remediator.adapters.kubernetes import KubernetesCluster
from remediator.adapters.kubernetes import exec as exec_module
from remediator.errors import (
    CannotSee,
    Forbidden,
    NotFound,
    Refused,
    RemediatorError,
    TargetGone,
    Unavailable,
    Uncertain,
)
from remediator.outside import ExecCommand, OutsideSettings
from tests.adapters.callers.fake_exec import SUCCESS, V4, FakeExec, exited, internal, pod, refusal, says

PLACE = "shop/api-1/app"
CLEAR = ExecCommand(
    name="clear-cache",
    argv=("bin/console", "cache:clear", "--pool", "*"),
    args=("[a-z0-9._]{1,40}",),
    namespaces=("shop",),
    containers=("app",),
)
CHECK = ExecCommand(name="db-check", argv=("bin/check",), namespaces=("shop",), read_only=True)
ARGV = ["bin/console", "cache:clear", "--pool", "sessions"]
REQUEST = {"command": "clear-cache", "args": ["sessions"], "argv": ARGV, "uid": "uid-api-1"}


@pytest.fixture
async def server() -> AsyncIterator[FakeExec]:
    async with FakeExec() as fake:
        yield fake


@pytest.fixture
async def cluster(server: FakeExec, tmp_path: Path) -> AsyncIterator[KubernetesCluster]:
    made = await KubernetesCluster.connect("c", kubeconfig=server.kubeconfig(tmp_path), read_timeout_s=2.0)
    yield made
    await made.close()


@pytest.fixture
def caller(cluster: KubernetesCluster) -> ExecCaller:
    return ExecCaller((CLEAR, CHECK), cluster, cluster)


async def test_the_words_go_out_one_by_one_and_once(server: FakeExec, caller: ExecCaller) -> None:
    server.talk = says((1, b"cleared "), (2, b"a warning\n"), (1, b"3 pools\n"))
    said = await caller.send(PLACE, REQUEST, key="e-1")
    assert server.ran == [
        [("container", "app"), ("stdout", "true"), ("stderr", "true"), *(("command", word) for word in ARGV)]
    ]
    assert said == {
        "exit_code": 0,
        "stdout": "cleared 3 pools\n",
        "stderr": "a warning\n",
        "cut": False,
        "says": "clear-cache ran in Pod shop/api-1",
    }


async def test_words_keep_their_signs(server: FakeExec, cluster: KubernetesCluster) -> None:
    """No shell, and nothing of a word becomes part of the address."""
    nasty = ["a&command=rm", "b c", "$(id)", "é", "x;y", "%2e"]
    command = ExecCommand(name="echo", argv=("echo", *("*" for _ in nasty)), args=(".*",) * 6, namespaces=("shop",))
    caller = ExecCaller((command,), cluster, cluster)
    request = {"command": "echo", "args": nasty, "argv": ["echo", *nasty], "uid": ""}
    await caller.send(PLACE, request, key="e-1")
    assert [value for key, value in server.ran[0] if key == "command"] == ["echo", *nasty]


async def test_the_older_protocol_will_do(server: FakeExec, caller: ExecCaller) -> None:
    server.protocols = (V4,)
    assert (await caller.send(PLACE, REQUEST, key="e-1"))["exit_code"] == 0


async def test_another_exit_code_is_refused_with_the_last_lines(server: FakeExec, caller: ExecCaller) -> None:
    server.talk = says((1, b"hello\n"), (2, b"one\ntwo\npassword=hunter22\n"), status=exited(3))
    with pytest.raises(Refused) as caught:
        await caller.send(PLACE, REQUEST, key="e-1")
    assert "exit code 3: one | two | password=[redacted]" in str(caught.value)


async def test_output_is_bounded_and_keeps_its_end(server: FakeExec, caller: ExecCaller) -> None:
    chunk = b"x" * 32_000
    server.talk = says((1, b"begin"), *((1, chunk),) * 40, (1, b"the end"))
    said = await caller.send(PLACE, REQUEST, key="e-1")
    assert len(said["stdout"]) <= 64 * 1024
    assert said["stdout"].endswith("the end")
    assert said["cut"]


async def test_output_after_the_status_is_kept(server: FakeExec, caller: ExecCaller) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"\x03" + json.dumps(SUCCESS).encode())
        await socket.send_bytes(b"\x01late")

    server.talk = talk
    assert (await caller.send(PLACE, REQUEST, key="e-1"))["stdout"] == "late"


async def test_a_status_in_pieces_is_put_together(server: FakeExec, caller: ExecCaller) -> None:
    status = json.dumps(exited(7)).encode()
    server.talk = says((3, status[:20]), (3, status[20:]), status=None)
    with pytest.raises(Refused, match="exit code 7"):
        await caller.send(PLACE, REQUEST, key="e-1")


async def test_a_server_that_does_not_hang_up_after_the_status_is_not_waited_for(
    server: FakeExec, caller: ExecCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_module, "LINGER_S", 0.05)
    forever = asyncio.Event()

    async def talk(socket: web.WebSocketResponse) -> None:
        await says((1, b"done"))(socket)
        await forever.wait()

    server.talk = talk
    async with asyncio.timeout(5):
        assert (await caller.send(PLACE, REQUEST, key="e-1"))["stdout"] == "done"
    forever.set()


async def _drop(socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(b"\x01working")
    assert socket._req is not None
    assert socket._req.transport is not None
    socket._req.transport.abort()


async def _text(socket: web.WebSocketResponse) -> None:
    await socket.send_str("0aGVsbG8=")


@pytest.mark.parametrize(
    ("talk", "error", "words"),
    [
        pytest.param(_drop, Uncertain, "may still run", id="the connection breaks"),
        pytest.param(says((1, b"x"), status=None), Uncertain, "without an exit code", id="closed without a status"),
        pytest.param(_text, Uncertain, "another protocol", id="text frames"),
        pytest.param(
            says(status=internal("Internal error occurred: something broke")),
            Uncertain,
            "cannot be told",
            id="internal",
        ),
        pytest.param(
            says(status=internal('exec: "jcmd": executable file not found in $PATH')),
            Refused,
            "was not started",
            id="no such program",
        ),
        pytest.param(
            says(status=internal('unable to upgrade connection: container not found ("app")')),
            Refused,
            "was not started",
            id="no such container",
        ),
        pytest.param(
            says(status={**exited(1), "details": {"causes": []}}), Uncertain, "cannot be read", id="no code in it"
        ),
    ],
)
async def test_what_becomes_of_a_program_that_was_started(
    server: FakeExec, caller: ExecCaller, talk: Any, error: type[RemediatorError], words: str
) -> None:
    server.talk = talk
    with pytest.raises(error, match=words) as caught:
        await caller.send(PLACE, REQUEST, key="e-1")
    assert type(caught.value) is error
    assert server.calls.count("exec") == 1


async def test_a_program_that_goes_on_for_too_long_is_uncertain(server: FakeExec, cluster: KubernetesCluster) -> None:
    forever = asyncio.Event()

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"\x01still at it")
        await forever.wait()

    server.talk = talk
    slow = CLEAR.model_copy(update={"timeout": CLEAR.timeout / 100})
    with pytest.raises(Uncertain, match=r"no end within 0\.3 s"):
        await ExecCaller((slow,), cluster, cluster).send(PLACE, REQUEST, key="e-1")
    forever.set()


@pytest.mark.parametrize(
    ("refuse", "error"),
    [
        pytest.param(
            refusal(
                403, "Forbidden", 'pods "api-1" is forbidden: User "x" cannot create resource "pods/exec"', "api-1"
            ),
            Refused,
            id="not allowed",
        ),
        pytest.param(refusal(404, "NotFound", 'pods "api-1" not found', "api-1"), TargetGone, id="pod gone"),
        pytest.param(refusal(400, "BadRequest", "container x is not valid for pod api-1"), Refused, id="bad request"),
        pytest.param(refusal(429, "TooManyRequests", "later"), Unavailable, id="busy"),
        pytest.param((502, "bad gateway"), Uncertain, id="a proxy gave up"),
        pytest.param((404, "page not found"), Refused, id="not the API server's 404"),
    ],
)
async def test_a_refused_handshake(
    server: FakeExec, caller: ExecCaller, refuse: Any, error: type[RemediatorError]
) -> None:
    server.refuse = refuse
    with pytest.raises(error) as caught:
        await caller.send(PLACE, REQUEST, key="e-1")
    assert type(caught.value) is error
    assert server.calls.count("exec") == 1


async def test_a_redirect_is_not_followed(server: FakeExec, caller: ExecCaller) -> None:
    server.redirect = f"{server.root}/api/v1/namespaces/shop/pods/other/exec"
    with pytest.raises(Uncertain):
        await caller.send(PLACE, REQUEST, key="e-1")
    assert server.calls.count("exec") == 1
    assert server.ran == []


async def test_a_handshake_whose_connection_breaks_is_not_made_again(server: FakeExec, caller: ExecCaller) -> None:
    """A GET that starts a program: aiohttp would send it a second time."""
    server.hang_up = True
    with pytest.raises(Uncertain):
        await caller.send(PLACE, REQUEST, key="e-1")
    assert server.calls.count("exec") == 1


async def test_no_server_at_all_means_nothing_was_sent(server: FakeExec, caller: ExecCaller) -> None:
    await server.__aexit__()
    with pytest.raises(Unavailable):
        await caller.send(PLACE, REQUEST, key="e-1")


# The pod of the plan


@pytest.mark.parametrize(
    ("found", "container", "error", "words"),
    [
        pytest.param(None, "app", TargetGone, "does not exist", id="gone"),
        pytest.param(pod(uid="uid-other"), "app", TargetGone, "another pod", id="another one by its name"),
        pytest.param(pod(deletionTimestamp="2025-06-01T10:00:00Z"), "app", TargetGone, "going away", id="leaving"),
        pytest.param(pod(), "proxy", Refused, "may not run in container proxy", id="a container not listed"),
    ],
)
async def test_nothing_starts_where_the_plan_did_not_mean(
    server: FakeExec, caller: ExecCaller, found: Any, container: str, error: type[RemediatorError], words: str
) -> None:
    server.pods = {} if found is None else {"api-1": found}
    with pytest.raises(error, match=words):
        await caller.send(f"shop/api-1/{container}", REQUEST, key="e-1")
    assert server.ran == []


async def test_a_container_that_does_not_run(server: FakeExec, caller: ExecCaller) -> None:
    with pytest.raises(Refused, match="container proxy of Pod shop/api-1 does not run"):
        await caller.send(
            "shop/api-1/proxy", {"command": "db-check", "args": [], "argv": ["bin/check"], "uid": ""}, key="e-1"
        )


# The operator's list


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        pytest.param([], "takes 1 args, not 0", id="too few"),
        pytest.param(["a", "b"], "takes 1 args, not 2", id="too many"),
        pytest.param(["Sessions"], "does not match", id="not what the expression allows"),
        pytest.param(["a b"], "does not match", id="a space"),
        pytest.param(["a\n"], "control characters", id="a newline at the end"),
        pytest.param(["a;rm"], "does not match", id="a shell's sign"),
        pytest.param(["--force"], "would be an option", id="an option"),
        pytest.param([""], "is empty", id="empty"),
        pytest.param(["a" * 501], "too long", id="too long"),
    ],
)
def test_words_that_the_list_does_not_allow(args: list[str], problem: str) -> None:
    with pytest.raises(NotAllowed, match=problem):
        words(CLEAR, args)


@pytest.mark.parametrize(
    ("place", "change", "problem"),
    [
        pytest.param(PLACE, {"command": "drop-tables"}, "has no command 'drop-tables'", id="not listed"),
        pytest.param("bank/api-1/app", {}, "may not run in namespace bank", id="another namespace"),
        pytest.param(PLACE, {"argv": [*ARGV, "--all"]}, "another one in the configuration", id="other words"),
        pytest.param(PLACE, {"argv": None}, "another one in the configuration", id="no words"),
        pytest.param("shop/api-1", {}, "names no container", id="no container"),
        pytest.param("shop/../x/y", {}, "names no container", id="a path"),
    ],
)
async def test_a_request_that_the_list_does_not_allow(
    server: FakeExec, caller: ExecCaller, place: str, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(Refused, match=problem):
        await caller.send(place, {**REQUEST, **change}, key="e-1")
    assert server.calls == []


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        pytest.param({"argv": ["*"], "args": [".*"]}, "program itself", id="any program"),
        pytest.param({"argv": ["x", "*"]}, "one expression for each", id="a word without bounds"),
        pytest.param({"argv": ["/bin/sh", "-c", "*"], "args": [".*"]}, "would make a command", id="a shell"),
        pytest.param({"argv": ["x", "*"], "args": ["(?=a)"]}, "RE2", id="no RE2"),
        pytest.param({"argv": ["x"], "namespaces": []}, "namespaces", id="no namespace"),
        pytest.param({"argv": ["x"], "namespaces": ["*"]}, "namespaces", id="every namespace"),
        pytest.param({"argv": ["x"], "timeout": "1h"}, "600 seconds", id="too long"),
    ],
)
def test_a_list_that_does_not_load(command: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ExecCommand.model_validate({"name": "a", "namespaces": ["shop"], **command})


def test_names_are_unique() -> None:
    with pytest.raises(ValidationError, match="'db-check' is there twice"):
        OutsideSettings(exec=(CHECK, CHECK))


# Questions


async def test_what_would_run_is_told(server: FakeExec, caller: ExecCaller) -> None:
    about = {"about": "command", "command": "clear-cache", "args": ["sessions"], "container": ""}
    assert await caller.ask("shop", about) == {
        "allowed": True,
        "argv": ARGV,
        "read_only": False,
        "timeout_s": 30.0,
        "containers": ["app"],
    }
    refused = await caller.ask("bank", about)
    assert not refused["allowed"]
    assert "may not run in namespace bank" in refused["why"]
    assert server.calls == []


async def test_only_what_reads_is_run_for_a_question(server: FakeExec, caller: ExecCaller) -> None:
    server.talk = says((1, b"OK token=abcdef123456\n"))
    about = {"about": "output", "args": [], "uid": "uid-api-1"}
    said = await caller.ask(PLACE, {**about, "command": "db-check"})
    assert (said["exit_code"], said["stdout"]) == (0, "OK token=[redacted]\n")
    with pytest.raises(Forbidden, match="not read_only"):
        await caller.ask(PLACE, {**about, "command": "clear-cache", "args": ["sessions"]})
    server.talk = says(status=exited(2))
    assert (await caller.ask(PLACE, {**about, "command": "db-check"}))["exit_code"] == 2
    server.talk = says(status=internal("boom"))
    with pytest.raises(CannotSee):
        await caller.ask(PLACE, {**about, "command": "db-check"})
    server.pods = {}
    with pytest.raises(NotFound):
        await caller.ask(PLACE, {**about, "command": "db-check"})
    assert len(server.ran) == 3


async def test_a_rehearsal_runs_nothing(server: FakeExec, caller: ExecCaller) -> None:
    assert await caller.rehearse(PLACE, REQUEST) == ""
    server.may = {"get"}  # what sufficed before 1.35
    with pytest.raises(Refused, match="may not create pods/exec") as caught:
        await caller.rehearse(PLACE, REQUEST)
    assert caught.value.forbidden
    server.may = {"create", "get"}
    server.pods = {}
    with pytest.raises(Refused, match="does not exist"):
        await caller.rehearse(PLACE, REQUEST)
    assert server.ran == []
    assert await caller.find(PLACE, REQUEST, key="e-1") == "unknown"


async def test_only_a_cluster_that_can_exec_gets_the_caller(cluster: KubernetesCluster) -> None:
    assert set(connect_callers(OutsideSettings(exec=(CHECK,)), cluster)) == {"exec"}
    assert connect_callers(OutsideSettings(), cluster) == {}
