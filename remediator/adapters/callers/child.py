"""A program as a child that dies with us: no shell, bounded output, killed with its whole group when time is over.

It is started through a few lines of Python that ask the kernel (Linux) to kill it when we die, and then become the
program: what an earlier life of ours began must not go on unseen while a later one looks what became of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_BECOME = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    os._exit(127)  # we died in between
os.execv(sys.argv[2], sys.argv[2:])
"""


class NotStarted(Exception):
    """Nothing was run."""


class OutOfTime(Exception):
    """It was killed; what it had done by then is not known."""


@dataclass(frozen=True, slots=True)
class Ran:
    """`cut`: there was more output than what is kept."""

    code: int
    stdout: bytes
    stderr: bytes
    cut: bool = False


async def run(argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float, limit: int) -> Ran:
    """`argv[0]` is an absolute path. Raises: NotStarted, OutOfTime."""
    if not os.access(argv[0], os.X_OK):
        raise NotStarted(f"{argv[0]} cannot be run: it is not there, or no program")
    start = tuple(argv)
    if sys.platform == "linux" and sys.executable:
        start = (sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), *argv)
    try:
        process = await asyncio.create_subprocess_exec(
            *start,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        raise NotStarted(f"{argv[0]} cannot be run: {type(exc).__name__}") from exc
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(timeout_s):
            (out, more), (err, _), code = await asyncio.gather(
                _kept(process.stdout, limit), _kept(process.stderr, limit), process.wait()
            )
    except TimeoutError as exc:
        raise OutOfTime(f"killed after {timeout_s:g} s") from exc
    finally:
        await asyncio.shield(_ended(process))
    return Ran(code, out, err, more)


async def _kept(stream: asyncio.StreamReader, limit: int) -> tuple[bytes, bool]:
    """The beginning, and whether there was more. All of it is read: a full pipe would stop the program half-way."""
    kept, more = bytearray(), False
    while chunk := await stream.read(65_536):
        room = limit - len(kept)
        more = more or len(chunk) > room
        kept += chunk[:room]
    return bytes(kept), more


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Kill the group, also what the program has started, and wait for the program's end."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
