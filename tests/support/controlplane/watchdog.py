"""Ends the servers of a test run whose Python died without doing so (kill -9, a crash, a CI timeout).

Run as a script in a session of its own. It reads "+PID" and "-PID" lines from the test run's pipe; when the pipe
closes, however that came about, it kills what is still listed. Unlike PR_SET_PDEATHSIG this works on macOS too and
does not depend on which thread started a server.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    alive: list[int] = []
    for line in sys.stdin:
        sign, pid = line[0], int(line[1:])
        if sign == "+":
            alive.append(pid)
        elif pid in alive:
            alive.remove(pid)
    for pid in reversed(alive):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
