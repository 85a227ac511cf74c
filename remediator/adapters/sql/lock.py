"""One process per SQLite file: two would each believe that they alone decide."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from remediator.errors import JournalUnavailable

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class ProcessLock:
    """An advisory lock on a file of its own; the system drops it with the process, also with `kill -9`.

    Not on the database file: closing any descriptor of that one would drop SQLite's own locks. The lock file stays: if
    it were removed, two processes could hold locks on two files of that name.
    """

    def __init__(self, path: Path) -> None:
        """Raises: JournalUnavailable when another process has it, or the file cannot be made."""
        self.path = path
        try:
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise JournalUnavailable(f"cannot make the lock file {path}: {exc.strerror or exc}") from exc
        try:
            _try_lock(self._descriptor)
        except OSError as exc:
            holder = self._read_holder()
            os.close(self._descriptor)
            if not isinstance(exc, BlockingIOError | PermissionError):
                raise JournalUnavailable(
                    f"cannot lock {path} ({exc.strerror or exc}): keep the journal on a file system that can lock files"
                ) from exc
            raise JournalUnavailable(
                f"the journal is in use by another process{holder}: stop that one, or give this one a file of its own "
                f"(lock {path})"
            ) from exc
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _read_holder(self) -> str:
        assert self._descriptor is not None
        with contextlib.suppress(OSError):
            pid = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            return f" (pid {pid})" if pid else ""
        return ""

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
