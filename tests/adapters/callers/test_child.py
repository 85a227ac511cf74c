"""A child process: bounded, without a shell, and gone when we are."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from remediator.adapters.callers.child import NotStarted, OutOfTime, run

ENV = {"PATH": os.environ["PATH"]}


async def test_words_stay_words_and_output_is_bounded() -> None:
    program = "import sys; print(sys.argv[1]); print('x' * 500_000); print('oops', file=sys.stderr); sys.exit(3)"
    ran = await run([sys.executable, "-c", program, "$(id); a b"], env=ENV, timeout_s=30, limit=1000)
    assert (ran.code, ran.stderr, ran.cut) == (3, b"oops\n", True)
    assert ran.stdout.startswith(b"$(id); a b\nxxx")
    assert len(ran.stdout) == 1000


async def test_what_cannot_be_started() -> None:
    with pytest.raises(NotStarted):
        await run(["/nowhere/helm"], env=ENV, timeout_s=5, limit=100)


def _holder(folder: Path) -> tuple[list[str], Path]:
    """A program that holds the writing end of a pipe for as long as it, or what it has started, lives."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    script = folder / "hold"
    script.write_text(f"#!/bin/sh\nexec 3>{pipe}\necho up >&3\nsleep 20 &\nsleep 20\n")
    script.chmod(0o755)
    return [str(script)], pipe


async def test_time_over_kills_it_with_all_that_it_started(tmp_path: Path) -> None:
    argv, pipe = _holder(tmp_path)
    reading = asyncio.create_task(asyncio.to_thread(pipe.read_bytes))
    with pytest.raises(OutOfTime):
        await run(argv, env=ENV, timeout_s=2.0, limit=100)
    assert await asyncio.wait_for(reading, 10) == b"up\n"  # the end of the file: nobody holds it any more


async def test_cancelling_kills_it(tmp_path: Path) -> None:
    argv, pipe = _holder(tmp_path)
    running = asyncio.create_task(run(argv, env=ENV, timeout_s=60, limit=100))
    with await asyncio.to_thread(pipe.open, "rb") as held:
        assert await asyncio.to_thread(held.readline) == b"up\n"
        running.cancel()
        assert await asyncio.wait_for(asyncio.to_thread(held.read), 10) == b""
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_it_dies_with_us(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    hold = f"import time; f = open({str(pipe)!r}, 'w'); f.write('up\\n'); f.flush(); time.sleep(20)"
    ours = (
        "import asyncio, sys; from remediator.adapters.callers.child import run; "
        f"asyncio.run(run([sys.executable, '-c', {hold!r}], env={{}}, timeout_s=60, limit=100))"
    )
    parent = subprocess.Popen([sys.executable, "-c", ours])  # noqa: ASYNC220 it is not waited for
    try:
        with await asyncio.to_thread(pipe.open, "rb") as held:
            assert await asyncio.to_thread(held.readline) == b"up\n"
            parent.send_signal(signal.SIGKILL)
            assert await asyncio.wait_for(asyncio.to_thread(held.read), 10) == b""
    finally:
        parent.kill()
        parent.wait()
