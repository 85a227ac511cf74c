"""The real adapter against a server that misbehaves: what is sent, how often, and what becomes of each failure."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from remediator import __version__
from remediator.adapters.kubernetes import KubernetesCluster, transport
from remediator.errors import (
    CannotSee,
    EffectError,
    Forbidden,
    InvalidConfig,
    NotFound,
    ReadError,
    Refused,
    Unavailable,
    Uncertain,
)
from remediator.objects import ObjectRef
from remediator.ports import Verb, WriteRequest
from tests.adapters.fake_api_server import DROP, FakeApiServer, Received, Reply, answer, failure, fake_api_server, text

POD = ObjectRef("Pod", "shop", "api-1")
FOUND = answer({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "api-1", "resourceVersion": "1"}})
PATCH = WriteRequest("patch", POD, "application/merge-patch+json", b'{ "metadata": {} }')
DELETE = WriteRequest("delete", POD, "application/json", b'{"preconditions":{"uid":"u"}}')


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with fake_api_server() as fake:
        yield fake


@pytest.fixture
async def cluster(server: FakeApiServer, tmp_path: Path) -> AsyncIterator[KubernetesCluster]:
    kubeconfig = server.kubeconfig(tmp_path)
    made = await KubernetesCluster.connect(
        "c", kubeconfig=kubeconfig, read_timeout_s=2.0, write_timeout_s=0.5, watch_s=0.2
    )
    yield made
    await made.close()


# Start


def test_the_transport_comes_without_the_generated_models() -> None:
    """32 MB and seconds of start. The import is watched, and the library stays whole for whoever wants all of it."""
    program = """
import sys
seen = []

class Watcher:
    def find_spec(self, name, path=None, target=None):
        seen.append(name)

sys.meta_path.insert(0, Watcher())
import remediator.adapters.kubernetes
assert not any("kubernetes_asyncio" in name for name in sys.modules), "sys.modules is not as it was"
heavy = [n for n in seen if n.startswith(("kubernetes_asyncio.client.models", "kubernetes_asyncio.client.api."))]
assert not heavy, heavy
assert "kubernetes_asyncio.client.api_client" in seen
from kubernetes_asyncio.client import CoreV1Api, V1Pod
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_library_that_is_there_already_is_used_as_it_is() -> None:
    program = """
import kubernetes_asyncio.client
from remediator.adapters.kubernetes.transport import library
assert library.api_client is kubernetes_asyncio.client.ApiClient
assert library.configuration is kubernetes_asyncio.client.Configuration
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


async def test_outside_a_pod_there_is_no_default_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InvalidConfig):
        await KubernetesCluster.connect("c")


async def test_a_certificate_that_is_not_there_is_a_matter_of_configuration(tmp_path: Path) -> None:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://x.example", "certificate-authority-data": "bm8gY2VydA=="}}
        ],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    with pytest.raises(InvalidConfig):
        await KubernetesCluster.connect("c", kubeconfig=tmp_path / "kubeconfig")


async def test_connecting_sends_nothing(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    assert cluster.name == "c"
    assert server.connections == 0


# What is sent


async def test_a_write_sends_the_recorded_bytes(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(FOUND)
    assert (await cluster.write(PATCH))["kind"] == "Pod"
    (sent,) = server.received
    assert sent.body == PATCH.body
    assert sent.method == "PATCH"
    assert sent.path.startswith("/api/v1/namespaces/shop/pods/api-1?fieldManager=remediator")
    assert sent.headers["content-type"] == "application/merge-patch+json"
    assert sent.headers["authorization"] == "Bearer secret-1"
    assert sent.headers["user-agent"] == f"remediator/{__version__}"


async def test_connections_are_kept(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(FOUND)
    for _ in range(5):
        await cluster.get(POD)
        await cluster.write(PATCH)
    assert server.connections == 1


async def test_proxy_variables_do_not_matter(
    server: FakeApiServer, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    server.will(FOUND)
    assert await cluster.get(POD)


async def test_a_redirect_is_not_followed(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    """Our credentials and effects go nowhere but to the API server."""
    server.will(text(307, "", Location="http://127.0.0.1:1/elsewhere"))
    with pytest.raises(Uncertain):
        await cluster.write(PATCH)
    with pytest.raises(CannotSee):
        await cluster.get(POD)
    assert len(server.received) == 2


# Writes: once


@pytest.mark.parametrize("request_", [PATCH, DELETE], ids=["patch", "delete"])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        pytest.param(DROP, Uncertain, id="dropped"),
        pytest.param(Reply(wait_s=5), Uncertain, id="no answer in time"),
        pytest.param(failure(500, "InternalError"), Uncertain, id="500"),
        pytest.param(text(503, "no backend"), Uncertain, id="503 as text"),
        pytest.param(text(429, "Too many requests", Retry_After="1"), Unavailable, id="429 as text"),
        pytest.param(failure(401, "Unauthorized"), Unavailable, id="401"),
        pytest.param(Reply(200, b"<html>welcome</html>"), Uncertain, id="a 200 that is no object"),
        pytest.param(Reply(200, b"[]"), Uncertain, id="a 200 that is a list"),
        pytest.param(Reply(200, b""), Uncertain, id="an empty 200"),
        pytest.param(Reply(200, chunks=(b'{"kind":',), hang=True), Uncertain, id="half an answer"),
        pytest.param(Reply(200, b"{}", (("Content-Encoding", "gzip"),)), Uncertain, id="garbage for gzip"),
    ],
)
async def test_a_write_is_sent_once_whatever_comes_back(
    server: FakeApiServer, cluster: KubernetesCluster, request_: WriteRequest, reply: Reply, error: type[EffectError]
) -> None:
    """Also on the connection of an earlier read: there aiohttp by itself repeats a DELETE whose connection broke."""
    server.will(FOUND, reply)
    await cluster.get(POD)
    with pytest.raises(error):
        await cluster.write(request_)
    assert [r.method for r in server.received].count("GET") == 1
    assert len(server.received) == 2


async def test_the_wait_that_overload_asks_for_is_handed_on(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(text(429, "Too many requests, please try again later.", Retry_After="7"))
    with pytest.raises(Unavailable) as refused:
        await cluster.write(PATCH)
    assert (refused.value.retry_after_s, refused.value.disruption_budget) == (7.0, False)


async def test_nothing_was_sent_where_nobody_listens(tmp_path: Path) -> None:
    async with fake_api_server() as gone:
        kubeconfig = gone.kubeconfig(tmp_path)
    cluster = await KubernetesCluster.connect("c", kubeconfig=kubeconfig, read_timeout_s=0.5)
    with pytest.raises(Unavailable):
        await cluster.write(DELETE)
    with pytest.raises(CannotSee):
        await cluster.get(POD)
    await cluster.close()


async def test_nothing_was_sent_where_no_connection_came_about(
    server: FakeApiServer, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediator.adapters.kubernetes.transport.CONNECT_TIMEOUT_S", 0.05)

    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("aiohttp.TCPConnector._create_connection", never)
    with pytest.raises(Unavailable):
        await cluster.write(PATCH)


async def test_a_cancelled_write_is_cancelled(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(Reply(wait_s=5))
    writing = asyncio.create_task(cluster.write(PATCH))
    await asyncio.sleep(0.05)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing


@pytest.mark.parametrize("verb", ["patch", "create", "delete", "evict"])
async def test_an_unknown_kind_is_refused_unsent(server: FakeApiServer, cluster: KubernetesCluster, verb: Verb) -> None:
    with pytest.raises(Refused):
        await cluster.write(WriteRequest(verb, ObjectRef("Secret", "shop", "x"), "application/json", b"{}"))
    assert server.received == []


# Reads: up to three times


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(DROP, id="dropped"),
        pytest.param(failure(500, "InternalError"), id="500"),
        pytest.param(text(502, "<html>Bad Gateway</html>"), id="502"),
        pytest.param(text(429, "Too many requests", Retry_After="0"), id="429"),
    ],
)
async def test_a_read_is_tried_again(server: FakeApiServer, cluster: KubernetesCluster, trouble: Reply) -> None:
    server.will(trouble, trouble, FOUND)
    assert (await cluster.get(POD))["metadata"]["name"] == "api-1"
    server.will(trouble)
    with pytest.raises(CannotSee):
        await cluster.get(POD)
    assert len(server.received) == 3


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (failure(404, "NotFound", name="api-1"), NotFound),
        (failure(404, "NotFound", "the server could not find the requested resource"), CannotSee),
        (failure(403, "Forbidden"), Forbidden),
        (failure(400, "BadRequest"), CannotSee),
        (text(404, "404 page not found"), CannotSee),
        (Reply(200, b"<html>"), CannotSee),
        (Reply(200, b"[]"), CannotSee),
        (Reply(200, b'{"kind":"Status"}'), CannotSee),
    ],
)
async def test_a_clear_answer_is_not_asked_for_again(
    server: FakeApiServer, cluster: KubernetesCluster, reply: Reply, error: type[ReadError]
) -> None:
    server.will(reply)
    with pytest.raises(error):
        await cluster.get(POD)
    assert len(server.received) == 1


async def test_a_read_waits_as_long_as_it_is_asked_to(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(text(429, "later", Retry_After="1"), FOUND)
    before = time.monotonic()
    await cluster.get(POD)
    assert 0.9 < time.monotonic() - before < 1.9


async def test_a_read_does_not_wait_beyond_its_time(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(text(429, "later", Retry_After="30"))
    before = time.monotonic()
    with pytest.raises(CannotSee):
        await cluster.get(POD)
    assert time.monotonic() - before < 1
    assert len(server.received) == 1


async def test_a_read_that_hangs_ends_in_time(server: FakeApiServer, tmp_path: Path) -> None:
    server.will(Reply(wait_s=30))
    cluster = await KubernetesCluster.connect("c", kubeconfig=server.kubeconfig(tmp_path), read_timeout_s=0.3)
    before = time.monotonic()
    with pytest.raises(CannotSee):
        await cluster.get(POD)
    assert time.monotonic() - before < 1
    await cluster.close()


async def test_an_object_always_carries_its_kind(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(answer({"metadata": {"name": "api-1"}}))
    read = await cluster.get(POD)
    assert (read["kind"], read["apiVersion"]) == ("Pod", "v1")


# Credentials that expire


async def test_expired_credentials_are_read_again_for_a_read(
    server: FakeApiServer, cluster: KubernetesCluster, tmp_path: Path
) -> None:
    server.kubeconfig(tmp_path, token="secret-2")
    server.will(failure(401, "Unauthorized"), FOUND)
    await cluster.get(POD)
    assert [r.headers["authorization"] for r in server.received] == ["Bearer secret-1", "Bearer secret-2"]


async def test_credentials_are_read_again_once(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(failure(401, "Unauthorized"))
    with pytest.raises(CannotSee):
        await cluster.get(POD)
    assert len(server.received) == 2


async def test_many_reads_share_one_renewal(
    server: FakeApiServer, cluster: KubernetesCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.kubeconfig(tmp_path, token="secret-2")
    renewals = 0
    refresh = cluster._transport.refresh

    async def counted() -> None:
        nonlocal renewals
        renewals += 1
        await refresh()

    monkeypatch.setattr(cluster._transport, "refresh", counted)
    old_is_bad = lambda r: FOUND if r.headers["authorization"].endswith("2") else failure(401)  # noqa: E731
    server.will(old_is_bad)
    await asyncio.gather(*(cluster.get(POD) for _ in range(8)))
    assert renewals == 1


async def test_a_write_is_not_repeated_with_fresh_credentials_but_the_next_one_has_them(
    server: FakeApiServer, cluster: KubernetesCluster, tmp_path: Path
) -> None:
    server.kubeconfig(tmp_path, token="secret-2")
    server.will(failure(401, "Unauthorized"), FOUND)
    with pytest.raises(Unavailable):
        await cluster.write(PATCH)
    assert len(server.received) == 1
    await cluster.write(PATCH)
    assert server.received[-1].headers["authorization"] == "Bearer secret-2"


async def test_credentials_that_cannot_be_read_again(
    server: FakeApiServer, cluster: KubernetesCluster, tmp_path: Path
) -> None:
    (tmp_path / "kubeconfig").write_text("{")
    server.will(failure(401, "Unauthorized"))
    with pytest.raises(CannotSee):
        await cluster.get(POD)
    with pytest.raises(Unavailable):
        await cluster.write(PATCH)


# Lists


def page(names: str, token: str = "", version: str = "9") -> Reply:
    items = [{"metadata": {"name": name}} for name in names]
    return answer({"kind": "PodList", "metadata": {"continue": token, "resourceVersion": version}, "items": items})


async def test_all_pages_are_read(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(page("ab", "t1"), page("cd", "t2"), page("e"))
    found = await cluster.list("Pod", "shop", labels="app=web,tier in (a,b)")
    assert [o["metadata"]["name"] for o in found.items] == list("abcde")
    assert {(o["kind"], o["apiVersion"]) for o in found.items} == {("Pod", "v1")}
    assert found.resource_version == "9"
    assert ["continue=t1" in r.path for r in server.received] == [False, True, False]
    queries = [parse_qs(urlsplit(r.path).query) for r in server.received]
    assert all(q["labelSelector"] == ["app=web,tier in (a,b)"] for q in queries)
    assert "resourceVersion" not in queries[0]  # a consistent read


async def test_a_list_that_expires_begins_anew(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(page("ab", "t1"), failure(410, "Expired"), page("xy", "t2"), page("z"))
    found = await cluster.list("Pod", "shop")
    assert [o["metadata"]["name"] for o in found.items] == list("xyz")


async def test_a_list_that_always_expires_is_no_list(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    def reply(request: Received) -> Reply:
        return failure(410, "Expired") if "continue=" in request.path else page("ab", "t1")

    server.will(reply)
    with pytest.raises(CannotSee):
        await cluster.list("Pod", "shop")


@pytest.mark.parametrize("reply", [Reply(200, b"{}"), Reply(200, b"[]"), Reply(200, b"nothing")])
async def test_an_answer_that_is_no_list_is_not_an_empty_one(
    server: FakeApiServer, cluster: KubernetesCluster, reply: Reply
) -> None:
    server.will(reply)
    with pytest.raises(CannotSee):
        await cluster.list("Pod", "shop")


async def test_a_later_page_that_fails_fails_the_list(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(page("ab", "t1"), failure(500))
    with pytest.raises(CannotSee):
        await cluster.list("Pod", "shop")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (failure(404, "NotFound", "the server could not find the requested resource"), NotFound),
        (text(404, "404 page not found\n"), NotFound),
        (text(404, "<html>no such site</html>"), CannotSee),
    ],
)
async def test_a_kind_that_is_not_served(
    server: FakeApiServer, cluster: KubernetesCluster, reply: Reply, error: type[ReadError]
) -> None:
    server.will(reply)
    with pytest.raises(error):
        await cluster.list("Pod", "shop")


async def test_a_list_without_items_is_empty(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(answer({"kind": "PodList", "metadata": {"resourceVersion": "3"}, "items": None}))
    found = await cluster.list("Pod")
    assert (found.items, found.resource_version) == ((), "3")


# Watches


def event(kind: str, name: str = "a", **more: Any) -> bytes:
    return json.dumps({"type": kind, "object": {"kind": "Pod", "metadata": {"name": name}, **more}}).encode() + b"\n"


async def watched(cluster: KubernetesCluster) -> list[tuple[str, str]]:
    changes = cluster.watch("Pod", "shop", resource_version="7")
    return [(e.type, e.object["metadata"]["name"]) async for e in changes]


async def test_a_watch_gives_changes_until_it_is_closed(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    stream = event("ADDED") + event("BOOKMARK") + event("MODIFIED") + event("DELETED", "b")
    server.will(Reply(chunks=(stream[:10], stream[10:150], stream[150:])))
    assert await watched(cluster) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "b")]
    path = server.received[0].path
    assert all(part in path for part in ("watch=1", "resourceVersion=7", "allowWatchBookmarks=true", "timeoutSeconds="))


async def test_a_long_line_is_read_whole(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    long = event("ADDED", "big", data="x" * 6 * 2**20)
    server.will(Reply(chunks=(long,)))
    assert await watched(cluster) == [("ADDED", "big")]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        pytest.param(failure(410, "Expired"), CannotSee, id="410"),
        pytest.param(
            Reply(chunks=(b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n',)),
            CannotSee,
            id="410 within",
        ),
        pytest.param(text(429, "Too many requests"), CannotSee, id="429 as text"),
        pytest.param(failure(403, "Forbidden"), Forbidden, id="403"),
        pytest.param(failure(401, "Unauthorized"), CannotSee, id="401"),
        pytest.param(Reply(chunks=(b"<html>\n",)), CannotSee, id="not JSON"),
        pytest.param(Reply(chunks=(b'{"type":"NEW","object":{}}\n',)), CannotSee, id="unknown type"),
        pytest.param(DROP, CannotSee, id="dropped"),
    ],
)
async def test_a_watch_that_fails_says_so(
    server: FakeApiServer, cluster: KubernetesCluster, reply: Reply, error: type[ReadError]
) -> None:
    server.will(reply)
    with pytest.raises(error):
        await watched(cluster)


async def test_a_watch_that_falls_silent_ends(
    server: FakeApiServer, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediator.adapters.kubernetes.cluster.SILENCE_S", 0.1)
    server.will(Reply(chunks=(event("ADDED"),), hang=True))
    changes = cluster.watch("Pod", "shop", resource_version="7")
    assert (await anext(changes)).type == "ADDED"
    with pytest.raises(CannotSee):
        await anext(changes)


# The end


def hearing(server: FakeApiServer, reply: Reply) -> asyncio.Event:
    """Set when the first request is there."""
    heard = asyncio.Event()

    def hear(_: Received) -> Reply:
        heard.set()
        return reply

    server.will(hear)
    return heard


async def test_it_closes_behind_what_is_under_way(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    """A read that failed has left others alone; their connections are not left behind half made."""
    heard = hearing(server, Reply(200, FOUND.body, wait_s=0.05))
    reads = [asyncio.create_task(cluster.get(POD)) for _ in range(3)]
    await heard.wait()
    await cluster.close()
    assert [(await read)["metadata"]["name"] for read in reads] == ["api-1"] * 3


async def test_it_closes_though_nothing_answers(
    server: FakeApiServer, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CLOSING_S", 0.05)
    heard = hearing(server, Reply(hang=True))
    read = asyncio.create_task(cluster.get(POD))
    await heard.wait()
    await cluster.close()
    assert not read.done()
    read.cancel()


# The rest


async def test_logs_come_as_they_are(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(Reply(200, b'{"a": true}\xff\n', (("Content-Type", "text/plain"),)))
    assert await cluster.logs(POD, container="app", previous=True, lines=5) == '{"a": true}\ufffd\n'
    path = server.received[0].path
    assert "/pods/api-1/log?" in path
    assert all(part in path for part in ("tailLines=5", "limitBytes=", "container=app", "previous=true"))


async def test_of_long_lines_the_end_is_kept(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    """limitBytes cuts off the end of what tailLines chose: we ask for more and cut off the beginning."""
    server.will(Reply(200, b"x" * 5000 + b"the end", (("Content-Type", "text/plain"),)))
    assert await cluster.logs(POD, limit_bytes=10) == "xxxthe end"
    assert "limitBytes=1048576" in server.received[0].path


@pytest.mark.parametrize(
    ("message", "previous", "error"),
    [
        ('previous terminated container "app" in pod "api-1" not found', True, NotFound),
        ('container "app" in pod "api-1" is waiting to start: ContainerCreating', False, NotFound),
        ("container x is not valid for pod api-1", False, NotFound),
        ("a container name must be specified for pod api-1, choose one of: [a b]", False, CannotSee),
        ("a container name must be specified for pod api-1, choose one of: [a b]", True, CannotSee),
    ],
)
async def test_logs_that_are_not_there(
    server: FakeApiServer, cluster: KubernetesCluster, message: str, previous: bool, error: type[ReadError]
) -> None:
    server.will(failure(400, "BadRequest", message))
    with pytest.raises(error):
        await cluster.logs(POD, previous=previous)


async def test_may_we(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(answer({"status": {"allowed": True}}, 201), answer({"status": {"allowed": False}}, 201))
    assert await cluster.allowed("create", "Pod", "shop", subresource="eviction")
    assert not await cluster.allowed("patch", "Deployment", "")
    server.will(answer({"status": {}}, 201))
    with pytest.raises(CannotSee):
        await cluster.allowed("get", "Pod", "shop")


async def test_the_servers_time(server: FakeApiServer, cluster: KubernetesCluster) -> None:
    server.will(answer({}, Date="Mon, 02 Jun 2025 10:00:00 GMT"))
    assert await cluster.server_time() == datetime(2025, 6, 2, 10, tzinfo=UTC)
    for replies in (answer({}), answer({}, Date="soon")):
        server.will(replies)
        with pytest.raises(CannotSee):
            await cluster.server_time()
