"""`python -m tests.support.crashing serve ...`: the real service, killed at a named point of its first effect.

CRASH_AT names the point. The product has no hooks for this: its journal and cluster adapters are wrapped here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import Any

from remediator import app
from remediator.config import Config
from remediator.connecting import Outside
from remediator.connecting import connect as real_connect
from remediator.errors import Uncertain
from remediator.objects import Object
from remediator.ports import WriteRequest

POINTS = (
    "before_row",
    "between_row_and_request",
    "in_the_call",
    "after_the_answer",
    "after_the_outcome",
    "reply_lost",
    "lands_late",
)
AT = os.environ.get("CRASH_AT", "")
LATE_S = float(os.environ.get("CRASH_LATE_S", "2"))


def die() -> None:
    """As the kernel does it: no clean-up, no last words."""
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


class CrashingJournal:
    """Kills around the attempt row and its outcome; everything else is the real journal."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def record_attempt(self, *args: Any) -> Any:
        if AT == "before_row":
            die()
        row = await self._real.record_attempt(*args)
        if AT == "between_row_and_request":
            die()
        return row

    async def record_outcome(self, *args: Any) -> None:
        await self._real.record_outcome(*args)
        if AT == "after_the_outcome":
            die()


class CrashingCluster:
    """Kills around the request, loses its reply, or sends it late from another process."""

    def __init__(self, real: Any, config: Config) -> None:
        self._real = real
        self._config = config

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def write(self, request: WriteRequest, *, dry_run: bool = False) -> Object:
        if dry_run or request.ref.kind == "Event":  # a message, not an effect
            return await self._real.write(request, dry_run=dry_run)
        match AT:
            case "in_the_call":
                sending = asyncio.ensure_future(self._real.write(request))
                await asyncio.wait({sending}, timeout=0.004)
                die()
            case "lands_late":
                send_late(request, self._config)
                raise Uncertain("timeout")
            case "reply_lost":
                await self._real.write(request)
                raise Uncertain("timeout")
            case _:
                pass
        answer = await self._real.write(request)
        if AT == "after_the_answer":
            die()
        return answer


def send_late(request: WriteRequest, config: Config) -> None:
    """From a process of its own, which survives ours, as a request in a slow network does."""
    kubeconfig = str(config.clusters[0].kubeconfig)
    ref = request.ref
    arguments = [ref.kind, ref.namespace, ref.name, request.verb, request.content_type, request.body.hex()]
    subprocess.Popen(
        [sys.executable, "-m", "tests.support.late_write", kubeconfig, str(LATE_S), *arguments],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )


async def connect(config: Config, stack: AsyncExitStack) -> Outside:
    outside = await real_connect(config, stack)
    outside.journal = CrashingJournal(outside.journal)  # type: ignore[assignment]
    outside.clusters = {name: CrashingCluster(c, config) for name, c in outside.clusters.items()}
    return outside


app.connect = connect  # type: ignore[attr-defined]

if __name__ == "__main__":
    from remediator.__main__ import main

    assert AT in POINTS, f"CRASH_AT must be one of {POINTS}"
    main()
