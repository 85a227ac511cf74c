"""Server processes of a test run: started on free loopback ports, ended by pid, never left behind."""

from __future__ import annotations

import atexit
import contextlib
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")

# Below the ranges from which Linux and macOS take the ports of outgoing connections: between our look and the server's
# bind, only another test run that draws the same number could take the port.
PORTS = range(20000, 32000)
_given: set[int] = set()
_guard = threading.Lock()


def free_port() -> int:
    """A loopback port that nobody listens on, never given twice by this process."""
    with _guard:
        for _ in range(200):
            port = random.choice(PORTS)
            if port in _given:
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            _given.add(port)
            return port
    raise RuntimeError("no free loopback port found")


def wait_until(
    check: Callable[[], T | None], *, timeout_s: float = 10.0, what: str = "", interval_s: float = 0.03
) -> T:
    """Call `check` until it returns something true, and return that.

    An exception of `check` counts as "not yet", AssertionError included, so a check may be a few asserts ending in
    `return True`. Raises: TimeoutError, naming `what` and the last answer.
    """
    deadline = time.monotonic() + timeout_s
    last: object = None
    while True:
        try:
            answer = check()
            if answer:
                return answer
            last = answer
        except Exception as exc:
            last = exc
        if time.monotonic() >= deadline:
            cause = last if isinstance(last, Exception) else None
            raise TimeoutError(f"{what or check} not within {timeout_s:g} s; last answer: {last!r}") from cause
        time.sleep(interval_s)


class Server:
    """One child process with its log in a file."""

    def __init__(self, name: str, argv: list[str], log: Path) -> None:
        self.name = name
        self.argv = argv
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C at pytest must reach pytest alone, which then stops us in order.
            self._process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        _watchdog.tell("+", self._process.pid)

    @property
    def pid(self) -> int:
        """Raises: RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    def wait_ready(self, check: Callable[[], object], *, timeout_s: float = 60.0) -> None:
        """Poll `check` until it is true. Fails at once, with the end of the log, when the process has exited."""

        def ready() -> bool:
            return self.exited() or bool(check())

        try:
            wait_until(ready, timeout_s=timeout_s, what=f"{self.name} ready")
        except TimeoutError as exc:
            raise RuntimeError(f"{exc}\n{self.log_tail()}") from exc
        if self.exited():
            raise RuntimeError(f"{self.name} exited at start:\n{self.log_tail()}")

    def exited(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def log_tail(self, lines: int = 15) -> str:
        """The end of the log, with lines cut: a flag error prints all usage."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(line[:400] for line in text.splitlines()[-lines:])

    def stop(self, *, grace_s: float = 0.0) -> None:
        """End the process: at once, or with `grace_s` by SIGTERM first. Does nothing when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        if grace_s and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
        if process.poll() is None:
            process.kill()
        process.wait()
        _watchdog.tell("-", process.pid)


class _Watchdog:
    """The process that ends our servers if we cannot. See watchdog.py."""

    def __init__(self) -> None:
        self._pipe: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def tell(self, sign: str, pid: int) -> None:
        with self._lock:
            pipe = self._pipe or self._start()
            pipe.write(f"{sign}{pid}\n".encode())
            pipe.flush()

    def _start(self) -> IO[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("watchdog.py"))],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        atexit.register(self._close)
        return self._pipe

    def _close(self) -> None:
        """At our regular end: closing the pipe makes it kill whatever a test forgot, and exit."""
        if self._pipe is not None and self._process is not None:
            self._pipe.close()
            self._process.wait()


_watchdog = _Watchdog()
