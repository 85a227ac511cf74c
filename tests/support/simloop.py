"""A seeded event loop with virtual time: the same seed gives the same interleaving of all tasks, in no time at all.

`_run_once` and `_ready` are private to asyncio (CPython 3.11 to 3.14 have them); they are touched only here.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

PROCESS: ContextVar[str] = ContextVar("process", default="")
"""Which simulated process a callback belongs to; empty = the world outside of all of them."""


class _NoIO(selectors.SelectSelector):
    """Never blocks: jumps virtual time instead."""

    loop: SimLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("deadlock: nothing is scheduled")
        self.loop.now += max(timeout, 0.0)
        return []


class _Ready(deque[Any]):
    """What runs next. Callbacks of a frozen process are kept aside until it thaws."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen: dict[str, list[Any]] = {}

    def append(self, handle: Any) -> None:
        if self.frozen:
            aside = self.frozen.get(handle._context.get(PROCESS, ""))
            if aside is not None:
                aside.append(handle)
                return
        super().append(handle)

    def popleft(self) -> Any:
        """asyncio counts before it takes; who froze meanwhile is not there any more."""
        return super().popleft() if self else _NOTHING


class _Cancelled:
    _cancelled = True


_NOTHING = _Cancelled()


class SimLoop(asyncio.SelectorEventLoop):
    """`freeze` is SIGSTOP for a process (time goes on, its callbacks do not), `thaw` is SIGCONT."""

    def __init__(self, seed: int) -> None:
        self.now, self.rng = 0.0, random.Random(seed)
        selector = _NoIO()
        super().__init__(selector)
        selector.loop = self
        self._ready = _Ready()
        self.problems: list[str] = []
        self.set_exception_handler(self._note)
        self._tasks_of: dict[str, dict[asyncio.Task[Any], None]] = {}
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if len(self._ready) > 1:
            ready = list(self._ready)
            self.rng.shuffle(ready)
            self._ready.clear()
            self._ready.extend(ready)
        super()._run_once()  # type: ignore[misc]

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.problems.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _new_task(self, loop: Any, coroutine: Any, context: Any = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, context=context)
        of_process = self._tasks_of.setdefault((context or copy_context()).get(PROCESS, ""), {})
        of_process[task] = None
        task.add_done_callback(lambda done: of_process.pop(done, None))
        return task

    def tasks_of(self, process: str) -> list[asyncio.Task[Any]]:
        """Oldest first."""
        return list(self._tasks_of.get(process, ()))

    def freeze(self, process: str) -> None:
        aside = self._ready.frozen.setdefault(process, [])
        waiting = list(self._ready)
        self._ready.clear()
        for handle in waiting:
            mine = handle._context.get(PROCESS, "") == process
            (aside if mine else self._ready).append(handle)

    def thaw(self, process: str) -> None:
        self._ready.extend(self._ready.frozen.pop(process, ()))

    def is_frozen(self, process: str) -> bool:
        return process in self._ready.frozen


def run(world: Callable[[SimLoop], Coroutine[Any, Any, Any]], seed: int) -> Any:
    """Run a whole world on a loop of its own; whatever it leaves behind is cancelled."""
    loop = SimLoop(seed)
    try:
        return loop.run_until_complete(world(loop))
    finally:
        for process in list(loop._ready.frozen):
            loop.thaw(process)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
