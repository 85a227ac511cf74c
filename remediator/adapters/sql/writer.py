"""One thread writes. Everybody who waits at that moment shares one transaction, and one fsync.

Two lanes. Control writes (reserve, attempt, outcome, pause, approval) go first, each in a savepoint of its own, so that
a refusal of one does not touch the others; then deliveries of alerts, all together. A result is handed out only after
the COMMIT that contains it. Both lanes are bounded: a full one refuses at once, which the sender hears as 503.

Nothing is ever repeated here. If a COMMIT fails, everybody in it hears that the result is unknown; the connection is
thrown away and the next transaction opens a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from remediator.adapters.sql.engine import Database, unavailable
from remediator.adapters.sql.prepared import run_text
from remediator.errors import JournalUnavailable

T = TypeVar("T")

Work = Callable[[Connection], T]
"""Runs inside a transaction that somebody else begins and commits."""

Group = Callable[[Connection, Sequence[Any]], Sequence[Any]]
"""All deliveries of a transaction at once: one result each, in order."""

CONTROL_LIMIT = 2_000
"""Control writes waiting. The runner has a few per running remediation: this many means that the disk hangs."""
CONTROL_AT_ONCE = 100
GROUP_LIMIT = 20_000
"""Alerts waiting: some seconds of work, and about 20 MB."""
GROUP_AT_ONCE = 500
"""Alerts in one transaction: a control write waits for at most this many (about 10 ms)."""
READ_LIMIT = 2_000
READERS = 2
"""So that a page of history that takes long does not hold up the runner."""
CHECKPOINT_EVERY_S = 0.5


class Hooks(Protocol):
    """For tests: called around each commit. `names` are the control writes in it, in order, then "accept"."""

    def before_commit(self, names: Sequence[str]) -> None:
        """May raise JournalUnavailable: then nothing is committed."""
        ...

    def after_commit(self, names: Sequence[str]) -> None:
        """Committed, but nobody knows yet. May raise JournalUnavailable: to the callers the result is unknown."""
        ...


class Writer(Protocol):
    """Runs work in transactions. Raises JournalUnavailable; what the work itself raises reaches only its own caller."""

    async def control(self, name: str, work: Work[T]) -> T: ...

    async def grouped(self, delivery: Any, size: int) -> Any:
        """One delivery for the group function, together with those of others. `size` = alerts in it."""
        ...

    async def read(self, work: Work[T]) -> T:
        """In a read transaction that sees every write whose result was handed out."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Job(Generic[T]):
    name: str
    work: Work[T] | None
    delivery: Any
    size: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None


def _hand_out(jobs: Sequence[_Job[Any]]) -> None:
    """Runs in the event loop."""
    for job in jobs:
        if job.future.done():
            continue  # cancelled: nobody waits any more
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def _deliver(jobs: Sequence[_Job[Any]]) -> None:
    """One call into each event loop, however many jobs."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, those in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody is left to hear it
            loop.call_soon_threadsafe(_hand_out, those)


class _Transaction:
    """One transaction over several jobs: runs each, commits once, and leaves in each job how it went."""

    def __init__(self, database: Database, connection: Connection, group: Group, hooks: Hooks | None) -> None:
        self._database = database
        self._connection = connection
        self._group = group
        self._hooks = hooks

    def run(self, control: Sequence[_Job[Any]], deliveries: Sequence[_Job[Any]]) -> None:
        """Raises: SQLAlchemyError when the connection is to be thrown away; the jobs know by then."""
        jobs = [*control, *deliveries]
        names = [job.name for job in control] + (["accept"] if deliveries else [])
        phase = "nothing was stored"
        try:
            with self._connection.begin() as transaction:
                for job in control:
                    self._run_one(job)
                self._run_group(deliveries)
                if self._hooks:
                    self._hooks.before_commit(names)
                phase = "the commit failed, and whether it was stored is unknown"
                transaction.commit()
                if self._hooks:
                    self._hooks.after_commit(names)
        except (SQLAlchemyError, JournalUnavailable) as exc:
            for job in jobs:
                # What a job raised by itself stays: it was not stored in any case. One exception each: tracebacks grow.
                text = str(unavailable(exc, phase) if isinstance(exc, SQLAlchemyError) else exc)
                job.error = job.error or JournalUnavailable(text)
            if isinstance(exc, SQLAlchemyError):
                raise

    def _run_one(self, job: _Job[Any]) -> None:
        work = job.work
        assert work is not None
        self._in_savepoint([job], lambda: [work(self._connection)])

    def _run_group(self, jobs: Sequence[_Job[Any]]) -> None:
        """All together; if that fails, one by one, so that a bad delivery is its own sender's trouble."""
        if not jobs:
            return
        self._in_savepoint(jobs, lambda: self._group(self._connection, [job.delivery for job in jobs]))
        if len(jobs) > 1 and jobs[0].error is not None:
            for job in jobs:
                job.error = None
                self._run_group([job])

    def _in_savepoint(self, jobs: Sequence[_Job[Any]], work: Callable[[], Sequence[Any]]) -> None:
        """Raises: SQLAlchemyError when the database gave up the whole transaction, with everybody's work."""
        run_text(self._connection, "SAVEPOINT job")
        try:
            results = work()
        except Exception as exc:
            if not self._database.in_transaction(self._connection):
                raise
            run_text(self._connection, "ROLLBACK TO SAVEPOINT job")
            for job in jobs:
                job.error = unavailable(exc, "not stored") if isinstance(exc, SQLAlchemyError) else exc
        else:
            for job, result in zip(jobs, results, strict=True):
                job.result = result
        run_text(self._connection, "RELEASE SAVEPOINT job")


class ThreadWriter:
    """The writer of the service: one thread for writes, a few for reads, one for checkpoints."""

    def __init__(
        self,
        database: Database,
        group: Group,
        *,
        hooks: Hooks | None = None,
        readers: int = READERS,
        grouped_limit: int = GROUP_LIMIT,
    ) -> None:
        self._database = database
        self._group = group
        self._grouped_limit = grouped_limit
        self._hooks = hooks
        self._ready = threading.Condition()
        self._control: deque[_Job[Any]] = deque()
        self._grouped: deque[_Job[Any]] = deque()
        self._grouped_size = 0
        self._reads_ready = threading.Condition()
        self._reads: deque[_Job[Any]] = deque()
        self._closing = False
        self._closed = threading.Event()
        self._dirty = False
        names = ["write", *(f"read-{n}" for n in range(readers)), "checkpoint"]
        runs = [self._write_forever, *[self._read_forever] * readers, self._checkpoint_forever]
        self._threads = [
            threading.Thread(target=run, name=f"journal-{name}", daemon=True)
            for name, run in zip(names, runs, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    async def control(self, name: str, work: Work[T]) -> T:
        job = self._job(name, work)
        with self._ready:
            self._check_room(len(self._control), CONTROL_LIMIT)
            self._control.append(job)
            self._ready.notify()
        return await job.future

    async def grouped(self, delivery: Any, size: int) -> Any:
        job: _Job[Any] = self._job("accept", None, delivery, size)
        with self._ready:
            self._check_room(self._grouped_size, self._grouped_limit)
            self._grouped.append(job)
            self._grouped_size += size
            self._ready.notify()
        return await job.future

    async def read(self, work: Work[T]) -> T:
        job = self._job("read", work)
        with self._reads_ready:
            self._check_room(len(self._reads), READ_LIMIT)
            self._reads.append(job)
            self._reads_ready.notify()
        return await job.future

    def _job(self, name: str, work: Work[T] | None, delivery: Any = None, size: int = 0) -> _Job[T]:
        loop = asyncio.get_running_loop()
        return _Job(name, work, delivery, size, loop, loop.create_future())

    def _check_room(self, waiting: int, limit: int) -> None:
        if self._closing:
            raise JournalUnavailable("the journal is closed")
        if waiting >= limit:
            raise JournalUnavailable("queue is full")

    async def close(self) -> None:
        """What waits is still written; nothing new is taken."""
        self._closing = True
        for ready in (self._ready, self._reads_ready):
            with ready:
                ready.notify_all()
        self._closed.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    # In the threads -------------------------------------------------------------------------------------------------

    def _write_forever(self) -> None:
        connection: Connection | None = None
        while True:
            control, deliveries = self._next_writes()
            if not control and not deliveries:
                break
            try:
                connection = connection or self._database.connect_writer()
                _Transaction(self._database, connection, self._group, self._hooks).run(control, deliveries)
                self._dirty = True
            except Exception as exc:
                # A defect in here must not end the only writer: everybody hears, and a new connection is tried.
                for job in (*control, *deliveries):
                    job.error = job.error or JournalUnavailable(f"nothing was stored: {_text(exc)}")
                _throw_away(connection)
                connection = None
            _deliver([*control, *deliveries])
            if connection is not None:
                self._database.after_commit(connection)
        _throw_away(connection)

    def _next_writes(self) -> tuple[list[_Job[Any]], list[_Job[Any]]]:
        """Wait for work, then take all of it that fits in one transaction. Nothing = closed, and nothing is left."""
        with self._ready:
            while True:
                while not (self._control or self._grouped or self._closing):
                    self._ready.wait()
                control = [self._control.popleft() for _ in range(min(len(self._control), CONTROL_AT_ONCE))]
                deliveries: list[_Job[Any]] = []
                size = 0
                while self._grouped and size < GROUP_AT_ONCE:
                    job: _Job[Any] = self._grouped.popleft()
                    size += job.size
                    deliveries.append(job)
                self._grouped_size -= size
                # Whoever went away before his turn need not be served.
                wanted = [[job for job in jobs if not job.future.cancelled()] for jobs in (control, deliveries)]
                if any(wanted) or not (control or deliveries):
                    return wanted[0], wanted[1]

    def _read_forever(self) -> None:
        connection: Connection | None = None
        while True:
            with self._reads_ready:
                while not (self._reads or self._closing):
                    self._reads_ready.wait()
                if not self._reads:
                    break
                job: _Job[Any] = self._reads.popleft()
            if job.future.cancelled():
                continue
            assert job.work is not None
            try:
                connection = connection or self._database.connect_reader()
                with connection.begin():
                    job.result = job.work(connection)
            except SQLAlchemyError as exc:
                job.error = unavailable(exc, "cannot read")
                _throw_away(connection)
                connection = None
            except Exception as exc:
                job.error = exc
            _deliver([job])
        _throw_away(connection)

    def _checkpoint_forever(self) -> None:
        while not self._closed.wait(CHECKPOINT_EVERY_S):
            if self._dirty:
                self._dirty = False
                self._database.checkpoint()


def _text(exc: BaseException) -> str:
    return str(unavailable(exc)) if isinstance(exc, SQLAlchemyError) else repr(exc)


def _throw_away(connection: Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(Exception):
            connection.invalidate()
        with contextlib.suppress(Exception):
            connection.close()
