"""The outbox in virtual time, against a Slack that keeps its documented limits and fails in each documented way.

    told = tell(seed, Plan(keys=12, workers=2, faults=0.2, crashes=True))
    assert told.wrongs == []

One seed is one schedule: which worker runs when, what is lost, what lands late, who dies or stands still. What people
see is judged for each key's main message: it ends at the newest state, and nothing older shows after something newer,
except for a call that nobody answered, which may land late and is mended within a minute.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.adapters.sql.journal import SqlJournal
from remediator.errors import JournalUnavailable
from remediator.objects import Object
from remediator.people.carriers.slack import SlackCarrier
from remediator.people.outbox import Outbox
from remediator.people.outbox_rows import SETTLE, OutboxKind, OutboxMessage, OutboxStore
from remediator.ports import ChatError, MessageRef
from tests.support.simloop import PROCESS, SimLoop, run

START = datetime(2025, 6, 2, 3, 0, tzinfo=UTC)
TIMEOUT_S = 10.0
"""After which our client hangs up."""
UNDER_WAY_S = 45.0
"""The longest that a call without an answer is under way after that."""
LONGEST_S = 4 * 3600.0
MENDED_S = SETTLE.total_seconds() + 60.0
"""Until the newest state is back after something older landed late; with retries in between."""
FREEZE_S = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`faults`: share of calls that go wrong. `store_faults`: of the store's transactions. `late`: some land late."""

    keys: int
    channels: int = 1
    within_s: float = 60.0
    workers: int = 1
    faults: float = 0.0
    store_faults: float = 0.0
    late: bool = False
    storms: bool = False
    crashes: bool = False
    freezes: bool = False
    apart_s: float = 0.0
    """Every other worker's wall clock is that much ahead."""
    busy_s: float = 0.0
    """Trouble goes on at least until then."""


@dataclass(slots=True)
class Shown:
    """One message: what it showed when. `late` marks what landed after our client had hung up."""

    versions: list[tuple[float, str, bool]] = field(default_factory=list)
    deleted: bool = False


class Slack:
    """One workspace: a post a second in a channel, 50 updates in any 60 seconds, `Retry-After` or more trouble."""

    def __init__(self, loop: SimLoop, plan: Plan) -> None:
        self._loop, self._plan, self._rng = loop, plan, loop.rng
        self.messages: dict[MessageRef, Shown] = {}
        self.replies: list[tuple[MessageRef, str]] = []
        self.calls: Counter[str] = Counter()
        self.fates: Counter[str] = Counter()
        self.too_fast: list[str] = []
        """Calls beyond the documented rate; late ones do not count, nobody can help those."""
        self.impatient: list[str] = []
        """Calls that left before a `Retry-After` was over that their sender had heard of."""
        self.healthy = False
        self._posted: dict[str, float] = {}
        self._updated: list[float] = []
        self._told: dict[str, float] = {}
        self._storm_until = 0.0
        self._count = 0

    async def post(self, channel: str, text: str, blocks: tuple[Object, ...], *, thread: str = "") -> MessageRef:
        def apply(late: bool) -> MessageRef:
            self._count += 1
            ref = MessageRef(channel, f"{self._count}.0")
            if thread:
                self.replies.append((MessageRef(channel, thread), text))
            else:
                self.messages[ref] = Shown([(self._loop.now, text, late)])
            return ref

        ref: MessageRef = await self._call(f"post {channel}", apply, lambda: self._post_wait(channel))
        return ref

    async def update(self, ref: MessageRef, text: str, blocks: tuple[Object, ...]) -> None:
        def apply(late: bool) -> None:
            shown = self.messages[ref]
            if shown.deleted:
                raise ChatError("Slack: message_not_found")
            shown.versions.append((self._loop.now, text, late))

        await self._call("update", apply, self._update_wait)

    def delete(self, ref: MessageRef) -> None:
        """As a person does."""
        self.messages[ref].deleted = True

    async def _call(self, lane: str, apply: Callable[[bool], Any], too_fast: Callable[[], float]) -> Any:
        loop, rng, fate = self._loop, self._rng, self._fate()
        self.calls[lane.split()[0]] += 1
        who = PROCESS.get()
        if loop.now < self._told.get(f"{who} {lane}", 0.0) - 0.001:  # times of the outbox are whole microseconds
            self.impatient.append(f"{lane} at {loop.now:.3f}")
        answer: asyncio.Future[Any] = loop.create_future()

        def say(result: Any) -> None:
            if not answer.done():
                answer.set_result(result)

        def arrive(late: bool = False) -> None:
            if not late and (wait := too_fast()):
                back = ChatError("ratelimited", retry_after_s=wait)
            elif not late and loop.now < self._storm_until:
                back = ChatError("ratelimited", retry_after_s=float(rng.choice((1, 5, 30))))
            elif fate == "ok: false":
                back = ChatError("Slack: team_added_to_org", retry_after_s=1.0)
            elif fate == "5xx, not done":
                back = ChatError("Slack: internal_error", retry_after_s=1.0, unanswered=True)
            else:
                try:
                    back = apply(late)
                except ChatError as exc:
                    back = exc
                if fate == "5xx, done":
                    back = ChatError("Slack: internal_error", retry_after_s=1.0, unanswered=True)
            if fate != "answer lost" and not late:
                self._later(rng.uniform(0.02, 0.3), lambda: say(back))

        if fate == "late":
            self._later(TIMEOUT_S + rng.uniform(0.0, UNDER_WAY_S), lambda: arrive(True))
        elif fate != "request lost":
            self._later(rng.uniform(0.02, 0.3), arrive)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                back = await answer
        except TimeoutError:
            raise ChatError("timeout", retry_after_s=1.0, unanswered=True) from None
        if isinstance(back, ChatError):
            if back.retry_after_s and str(back) == "ratelimited":
                self._told[f"{who} {lane}"] = loop.now + back.retry_after_s
            raise back
        return back

    def storm(self, lasts_s: float) -> None:
        """Everything is answered with 429."""
        self._storm_until = self._loop.now + lasts_s

    def _fate(self) -> str:
        if self.healthy or self._rng.random() >= self._plan.faults:
            return ""
        fates = ["answer lost", "request lost", "5xx, done", "5xx, not done", "ok: false"]
        fate = self._rng.choice([*fates, *(["late"] * 2 if self._plan.late else ())])
        self.fates[fate] += 1
        return fate

    def _post_wait(self, channel: str) -> float:
        now, last = self._loop.now, self._posted.get(channel)
        if last is not None and now - last < 1.0:
            self.too_fast.append(f"{channel}: {now - last:.3f} s after the last one, at {now:.3f}")
            return 1.0
        self._posted[channel] = now
        return 0.0

    def _update_wait(self) -> float:
        now = self._loop.now
        self._updated = [at for at in self._updated if at > now - 60.0]
        if len(self._updated) >= 50:
            self.too_fast.append(f"update {len(self._updated) + 1} within a minute, at {now:.3f}")
            return 5.0
        self._updated.append(now)
        return 0.0

    def _later(self, delay: float, what: Callable[[], object]) -> None:
        """Outside of every process: their dying or standing still does not stop it."""
        self._loop.call_later(delay, what, context=Context())


class FarStore:
    """The store, a little away: others come in between, and answers get lost."""

    def __init__(self, loop: SimLoop, real: OutboxStore, rate: Callable[[], float]) -> None:
        self._loop, self._real, self._rate = loop, real, rate

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)

        async def call(*args: Any, **options: Any) -> Any:
            await asyncio.sleep(self._loop.rng.uniform(0.0, 0.02))
            trouble = self._loop.rng.random()
            if trouble < self._rate() / 2:
                raise JournalUnavailable("not stored")
            result = await real(*args, **options)
            await asyncio.sleep(self._loop.rng.uniform(0.0, 0.02))
            if trouble < self._rate():
                raise JournalUnavailable("nobody knows")
            return result

        return call


class Clock:
    def __init__(self, loop: SimLoop, ahead_s: float = 0.0) -> None:
        self._loop, self._ahead_s = loop, ahead_s

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.now + self._ahead_s)

    def boot(self) -> float:
        return self._loop.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class Told:
    """How a schedule went."""

    wrongs: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Until all was sent."""
    final_s: float = 0.0
    """Until each key's newest state was seen for the first time."""
    calls: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    too_fast: list[str] = field(default_factory=list)
    impatient: list[str] = field(default_factory=list)


class World:
    def __init__(self, loop: SimLoop, plan: Plan, store: SqlJournal) -> None:
        self.loop, self.plan, self.store = loop, plan, store
        self.clock = Clock(loop)
        self.slack = Slack(loop, plan)
        self.newest: dict[str, int] = {}
        self._workers: dict[str, tuple[Outbox, asyncio.Task[None]]] = {}
        self._names = iter(range(10_000))
        self._calm = False

    async def run(self) -> Told:
        plan = self.plan
        for _ in range(plan.workers):
            self._start()
        stories = [asyncio.create_task(self._story(i)) for i in range(plan.keys)]
        trouble = asyncio.create_task(self._trouble())
        await asyncio.gather(*stories)
        await asyncio.sleep(max(0.0, plan.busy_s - self.loop.now))
        trouble.cancel()
        self._calm = self.slack.healthy = True
        if not self._workers:
            self._start()
        while await self._pending() and self.loop.now < LONGEST_S:  # noqa: ASYNC110 (virtual time)
            await asyncio.sleep(1.0)
        told = Told(seconds=self.loop.now, calls=self.slack.calls, fates=self.slack.fates)
        await asyncio.sleep(UNDER_WAY_S + TIMEOUT_S)
        told.too_fast, told.impatient = self.slack.too_fast, self.slack.impatient
        await self._judge(told)
        return told

    async def _story(self, number: int) -> None:
        """A remediation's states, as they come: each is told at once, the final one last."""
        rng = self.loop.rng
        await asyncio.sleep(rng.uniform(0.0, self.plan.within_s))
        channel = f"C{number % self.plan.channels}"
        key = f"slack/{channel}/e-{number}"
        for state in range(rng.randint(2, 6)):
            self.newest[key] = state
            kind: OutboxKind = "post" if state == 1 and rng.random() < 0.5 else "update"
            text = f"{key}#{state}"
            told = [self._message(channel, key, kind, text), self._message(channel, key, "reply", f"{text} reply")]
            await self.store.store_messages(told, self.clock.now())
            for outbox, _ in self._workers.values():
                outbox.poke()
            await asyncio.sleep(rng.choice((0.01, 1.0, 20.0, 60.0)) * rng.random())

    def _message(self, channel: str, key: str, kind: OutboxKind, text: str) -> OutboxMessage:
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]
        payload = {"text": text, "blocks": blocks}
        return OutboxMessage(channel="slack", destination=channel, key=key, kind=kind, payload=payload)

    async def _trouble(self) -> None:
        """Storms of 429, deaths, people who delete messages, processes that stand still."""
        plan, rng = self.plan, self.loop.rng
        while True:
            await asyncio.sleep(rng.uniform(5.0, 40.0))
            if plan.storms and rng.random() < 0.5:
                self.slack.storm(rng.uniform(1.0, 30.0))
            if plan.crashes and rng.random() < 0.5:
                await self._crash()
            if plan.freezes and rng.random() < 0.5 and self._workers:
                name = rng.choice(list(self._workers))
                self.loop.freeze(name)
                self.loop.call_later(rng.uniform(1.0, FREEZE_S), self.loop.thaw, name, context=Context())
            if plan.faults and rng.random() < 0.2 and self.slack.messages:
                self.slack.delete(rng.choice(list(self.slack.messages)))

    def _start(self) -> None:
        number = next(self._names)
        name, clock = f"w{number}", Clock(self.loop, self.plan.apart_s * (number % 2))
        context = Context()
        context.run(PROCESS.set, name)
        store = FarStore(self.loop, self.store, lambda: 0.0 if self._calm else self.plan.store_faults)
        outbox = Outbox(store, {"slack": SlackCarrier(self.slack)})
        self._workers[name] = (outbox, self.loop.create_task(outbox.run(clock), context=context))

    async def _crash(self) -> None:
        name = self.loop.rng.choice(list(self._workers))
        del self._workers[name]
        for task in self.loop.tasks_of(name):
            task.cancel()
        self.loop.thaw(name)
        await asyncio.sleep(self.loop.rng.uniform(0.1, 20.0))
        self._start()

    async def _pending(self) -> bool:
        return any(letters.pending for letters in await self.store.letters(START))

    async def _judge(self, told: Told) -> None:
        for key, newest in self.newest.items():
            ref = await self.store.message_ref(key)
            shown = self.slack.messages.get(ref) if ref is not None else None
            if shown is None:
                told.wrongs.append(f"{key}: nothing to see")
                continue
            last = _state(key, shown.versions[-1][1])
            if last != newest and not shown.deleted:
                told.wrongs.append(f"{key}: people see {last}, the newest is {newest}: {shown.versions}")
            told.wrongs += _backwards(key, shown, MENDED_S + FREEZE_S * self.plan.freezes)
            told.final_s = max(
                told.final_s, min((at for at, text, _ in shown.versions if _state(key, text) == newest), default=0)
            )


def _state(key: str, text: str) -> int | None:
    """None for the pointer to a successor, or words of another key."""
    head, _, number = text.partition("#")
    return int(number) if head == key else None


def _backwards(key: str, shown: Shown, mended_s: float) -> list[str]:
    """Older after newer, unless it landed late and was mended soon."""
    best, wrong_since, found = -1, None, []
    for at, text, late in shown.versions:
        state = _state(key, text)
        if state is None:
            continue
        if state < best:
            if not late:
                found.append(f"{key}: {state} after {best} at {at:.1f} s: {shown.versions}")
            wrong_since = at if wrong_since is None else wrong_since
        else:
            if wrong_since is not None and at - wrong_since > mended_s:
                found.append(f"{key}: older than {best} for {at - wrong_since:.0f} s: {shown.versions}")
            best, wrong_since = state, None
    return found


def tell(seed: int, plan: Plan, breaking: Callable[[Any], object] = lambda store: None) -> Told:
    """Run one schedule. `breaking` may spoil the store, to see that it is noticed."""

    async def world(loop: SimLoop) -> Told:
        store = SqlJournal.in_memory()
        breaking(store)
        found = World(loop, plan, store)
        told = await found.run()
        told.wrongs += loop.problems
        return told

    told: Told = run(world, seed)
    return told
