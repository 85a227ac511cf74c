"""A seeded event loop with virtual time: the same seed gives the same interleaving of all tasks, in no time at all.

It is asyncio's loop without selector, threads and signals: what is ready runs in a shuffled order, then time jumps to
the next timer. `_run_once` is private to asyncio (CPython 3.11 to 3.14 have it); it is touched only here.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any

PROCESS: ContextVar[str] = ContextVar("process", default="")
"""Which simulated process a callback belongs to; empty = the world outside of all of them."""

KEPT_DONE = 64
"""Finished tasks that are forgotten together."""
MOST_STEPS = 3_000_000
"""Callbacks of one world. The largest ones need a tenth of it; more is somebody who goes round and round."""


class Handle:
    """A callback that waits for its turn."""

    __slots__ = ("args", "callback", "context")

    def __init__(self, callback: Callable[..., object] | None, args: tuple[Any, ...], context: Context) -> None:
        self.callback = callback
        self.args = args
        self.context = context

    def cancel(self) -> None:
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        return self.callback is None


class SimLoop(asyncio.BaseEventLoop):
    """`freeze` is SIGSTOP for a process (time goes on, its callbacks do not), `thaw` is SIGCONT.

    `strike` does something to a process at one of its next steps, whichever await it is at.
    """

    _ready: list[Handle]

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.now, self.rng = 0.0, random.Random(seed)
        self._ready = []
        self._timers: list[tuple[float, int, Handle]] = []
        self._timer_ids = 0
        self._left = MOST_STEPS
        self.problems: list[str] = []
        self.set_exception_handler(self._note)
        self._tasks_of: dict[str, list[asyncio.Task[Any]]] = {}
        self._frozen: dict[str, list[Handle]] = {}
        self._strikes: dict[str, tuple[int, Callable[[], None]]] = {}

    # What asyncio asks of a loop

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = Handle(callback, args, context if context is not None else copy_context())
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        handle = Handle(callback, args, context if context is not None else copy_context())
        self._timer_ids += 1
        heapq.heappush(self._timers, (when, self._timer_ids, handle))
        return handle

    def create_task(
        self, coro: Any, *, name: object = None, context: Context | None = None, **options: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=str(name or ""), context=context)
        process = PROCESS.get() if context is None else context.get(PROCESS, "")
        tasks = self._tasks_of.setdefault(process, [])
        tasks.append(task)
        if len(tasks) % KEPT_DONE == 0:
            tasks[:] = [task for task in tasks if not task.done()]
        return task

    def _run_once(self) -> None:
        timers = self._timers
        if not self._ready:
            while timers and timers[0][2].callback is None:
                heapq.heappop(timers)
            if not timers:
                raise RuntimeError("deadlock: nothing is scheduled")
            self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            self._ready.append(heapq.heappop(timers)[2])
        batch, self._ready = self._ready, []
        self._left -= len(batch)
        if self._left < 0:
            self._left = MOST_STEPS  # for tidying up
            raise RuntimeError(f"no rest: {MOST_STEPS} callbacks, and it is {self.now:.3f} s")
        if len(batch) > 1:
            self._shuffle(batch)
        frozen, strikes = self._frozen, self._strikes
        for handle in batch:
            if handle.callback is None or ((frozen or strikes) and self._is_held_up(handle)):
                continue
            try:
                handle.context.run(handle.callback, *handle.args)
            except Exception as exc:
                self.call_exception_handler({"message": f"in {handle.callback!r}", "exception": exc})

    def _shuffle(self, batch: list[Handle]) -> None:
        """As random.shuffle, at a third of its cost."""
        chance = self.rng.random
        for i in range(len(batch) - 1, 0, -1):
            j = int(chance() * (i + 1))
            batch[i], batch[j] = batch[j], batch[i]

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.problems.append(f"{context.get('message')}: {context.get('exception')!r}")

    # What happens to processes

    def _is_held_up(self, handle: Handle) -> bool:
        """Strike if it is time to, and keep back what belongs to a frozen process."""
        process = handle.context.get(PROCESS, "")
        if not process:
            return False
        if process not in self._frozen and process in self._strikes:
            left, strike = self._strikes[process]
            self._strikes[process] = (left - 1, strike)
            if left <= 1:
                del self._strikes[process]
                strike()
        aside = self._frozen.get(process)
        if aside is not None:
            aside.append(handle)
        return aside is not None

    def tasks_of(self, process: str) -> list[asyncio.Task[Any]]:
        """Those that are not done, oldest first."""
        return [task for task in self._tasks_of.get(process, ()) if not task.done()]

    def strike(self, process: str, step: int, what: Callable[[], None] | None) -> None:
        """Do this right before the `step`-th of the process's next callbacks, instead of what was planned before."""
        self._strikes.pop(process, None)
        if what is not None:
            self._strikes[process] = (step, what)

    def freeze(self, process: str) -> None:
        self._frozen.setdefault(process, [])

    def thaw(self, process: str) -> None:
        self._ready.extend(self._frozen.pop(process, ()))

    def is_frozen(self, process: str) -> bool:
        return process in self._frozen


def run(world: Callable[[SimLoop], Coroutine[Any, Any, Any]], seed: int) -> Any:
    """Run a whole world on a loop of its own; whatever it leaves behind is cancelled."""
    loop = SimLoop(seed)
    try:
        return loop.run_until_complete(world(loop))
    finally:
        loop._strikes.clear()
        for process in list(loop._frozen):
            loop.thaw(process)
        left = [task for process in loop._tasks_of for task in loop.tasks_of(process)]
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
