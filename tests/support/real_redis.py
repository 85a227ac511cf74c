"""A real Redis with a replica and three Sentinels for tests: loopback, free ports, ended with their test.

Skipped where redis-server and redis-sentinel are not installed; `REQUIRE_REDIS=1` turns that into a failure.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from remediator.outside_redis import RedisSentinels
from tests.support.controlplane.process import Server, free_port, wait_until

MASTER = "orders"
PASSWORD = "sesame-street"


def _command(port: int, *words: str) -> str:
    """One command in a few bytes, as the raw answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
        one.settimeout(5)
        for said in (("AUTH", PASSWORD), words):
            one.sendall(f"*{len(said)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in said))
            if said[0] == "AUTH":
                one.recv(1024)
        return one.recv(65_536).decode()


class Redis:
    """`down_after_ms`: after how long without an answer a Sentinel holds the master to be down."""

    def __init__(self, folder: Path, stack: ExitStack, *, down_after_ms: int, quorum: int) -> None:
        self.ports = [free_port(), free_port()]
        self.sentinel_ports = [free_port() for _ in range(3)]
        self.servers = [self._server(folder, port) for port in self.ports]
        self.sentinels = [self._sentinel(folder, port, down_after_ms, quorum) for port in self.sentinel_ports]
        for server in self.servers:
            stack.callback(server.stop)
            server.start()
        for server, port in zip(self.servers, self.ports, strict=True):
            server.wait_ready(lambda port=port: "PONG" in _command(port, "PING"))  # type: ignore[misc]
        wait_until(lambda: "master_link_status:up" in _command(self.ports[1], "INFO", "replication"), what="replica")
        for sentinel in self.sentinels:
            stack.callback(sentinel.stop)
            sentinel.start()
        wait_until(self._acquainted, timeout_s=20.0, what="Sentinels that know each other and the replica")

    def _server(self, folder: Path, port: int) -> Server:
        argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        argv += ["--dir", str(folder), "--repl-diskless-sync-delay", "0", "--dbfilename", f"{port}.rdb"]
        if port != self.ports[0]:
            argv += ["--replicaof", "127.0.0.1", str(self.ports[0])]
        return Server(f"redis-{port}", argv, folder / f"{port}.log")

    def _sentinel(self, folder: Path, port: int, down_after_ms: int, quorum: int) -> Server:
        config = folder / f"sentinel-{port}.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nrequirepass {PASSWORD}\nsentinel sentinel-pass {PASSWORD}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self.ports[0]} {quorum}\n"
            f"sentinel down-after-milliseconds {MASTER} {down_after_ms}\n"
            f"sentinel failover-timeout {MASTER} 20000\n"
        )
        return Server(f"sentinel-{port}", ["redis-sentinel", str(config)], folder / f"sentinel-{port}.log")

    def _acquainted(self) -> bool:
        return all(
            "OK 3 usable" in _command(port, "SENTINEL", "CKQUORUM", MASTER)
            and str(self.ports[1]) in _command(port, "SENTINEL", "REPLICAS", MASTER)
            and "\r\nok\r\n" in _command(port, "SENTINEL", "REPLICAS", MASTER)
            for port in self.sentinel_ports
        )

    def freeze(self, number: int) -> None:
        """The server answers nobody, and does not know it. 0 is the master, 1 the replica."""
        os.kill(self.servers[number].pid, signal.SIGSTOP)

    def lose_master(self) -> None:
        """Down for all Sentinels, whose own failover has failed: the replica could not be promoted just then.

        They wait for twice the failover timeout before they try again.
        """
        self.say(self.ports[1], "CONFIG", "SET", "replica-priority", "0")
        self._wait_for("slave-priority\r\n$1\r\n0", "REPLICAS")
        self.freeze(0)
        self._wait_for("s_down", "MASTER")
        given_up = "-failover-abort-no-good-slave"
        wait_until(lambda: any(given_up in one.log_tail() for one in self.sentinels), timeout_s=20.0, what=given_up)
        wait_until(
            lambda: (
                not any(
                    "failover_in_progress" in _command(p, "SENTINEL", "MASTER", MASTER) for p in self.sentinel_ports
                )
            ),
            timeout_s=30.0,
            what="Sentinels that have given up",
        )
        self.say(self.ports[1], "CONFIG", "SET", "replica-priority", "100")
        self._wait_for("slave-priority\r\n$3\r\n100", "REPLICAS")

    def _wait_for(self, text: str, about: str) -> None:
        wait_until(
            lambda: all(text in _command(port, "SENTINEL", about, MASTER) for port in self.sentinel_ports),
            timeout_s=30.0,
            what=f"{text} of all Sentinels",
        )

    def settings(self, **more: Any) -> RedisSentinels:
        given = {
            "name": "orders",
            "master": MASTER,
            "sentinels": [f"127.0.0.1:{port}" for port in self.sentinel_ports],
            "password_file": {"value": PASSWORD},
            "tls": False,
            "failover_timeout": "20s",
        }
        return RedisSentinels.model_validate({**given, **more})

    def say(self, port: int, *words: str) -> str:
        return _command(port, *words)


@contextmanager
def started(folder: Path, *, down_after_ms: int = 2000, quorum: int = 2) -> Iterator[Redis]:
    """A master `orders`, one replica, three Sentinels."""
    if shutil.which("redis-server") is None or shutil.which("redis-sentinel") is None:
        if os.environ.get("REQUIRE_REDIS") == "1":
            pytest.fail("redis-server and redis-sentinel are not installed", pytrace=False)
        pytest.skip("redis-server and redis-sentinel are not installed")
    with ExitStack() as stack:
        yield Redis(folder, stack, down_after_ms=down_after_ms, quorum=quorum)
