"""The rate limiter against an oracle that counts every sliding window by hand.

Histories are random: reservations in all scopes, refunds, rungs that pass their slot on, crashes, clocks that jump an
hour either way, and two processes that take turns on one store. The oracle remembers what was truly granted, in the
order in which it was granted, and counts every window there is, not only those that end now.

Two things are asked of the limiter: that no window ever holds one more than the limit, and that it refuses nothing for
which there is room. The time that a token is stamped with never goes backwards. So a clock that is set back makes the
limiter stricter for that long and never looser; that caution is part of the oracle, and so is what it cannot do: while
a clock is ahead, tokens look older than they are. That is why nothing is reserved under a clock that is not believed
(`ClockWatch`).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.adapters.sql.engine import SqliteMemory
from remediator.adapters.sql.journal import SqlJournal
from remediator.guardrails.facts import EffectiveLimits
from remediator.remediation.journal import Committed, ReservationRefused, ReserveRequest
from remediator.remediation.state import Remediation, State, StepOutcome
from tests.journal.given import begun, to
from tests.support.building import NOW

SOAK = int(os.environ.get("REMEDIATOR_SOAK_EXAMPLES", "0"))
"""More histories than usual, for a long run."""
WINDOW = timedelta(hours=1)
LIMITS = EffectiveLimits(
    in_flight_target=1,
    in_flight_playbook=2,
    in_flight_cluster=3,
    in_flight_everywhere=4,
    rate_target=2,
    rate_playbook=3,
    rate_namespace=4,
    rate_cluster=5,
    rate_window=WINDOW,
)
RATES = ("target", "playbook", "namespace", "cluster")
SLOTS = ("target", "playbook", "cluster", "everywhere")
BOTH_WAYS, BACK = (3600, -3600, -1800, -1, 3599), (-3600, -1800, -1)
SECONDS = (0, 1, 59, 300, 300, 300, 600, 600, 1199, 1200, 1799, 1800, 1801, 3599, 3600, 3601)


@dataclass(frozen=True, slots=True)
class Place:
    cluster: str
    namespace: str
    target: str
    playbook: str

    def scope(self, name: str) -> object:
        """What is counted together in this scope."""
        match name:
            case "target":
                return self.cluster, self.namespace, self.target
            case "playbook":
                return self.cluster, self.namespace, self.playbook
            case "namespace":
                return self.cluster, self.namespace
            case "cluster":
                return self.cluster
            case _:
                return None


PLACES = tuple(
    Place(cluster, namespace, target, playbook)
    for cluster in ("c1", "c1", "c2")
    for namespace in ("n1", "n1", "n2")
    for target in ("t1", "t2", "t3")
    for playbook in ("p1", "p2")
)


@dataclass(slots=True)
class Token:
    """One reservation that was granted: when it truly was, and the latest that any clock had shown by then."""

    owner: str
    place: Place
    truly: datetime
    stamp: datetime
    refunded: bool = False


class Oracle:
    """Counts by hand, as slowly as you like."""

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.slots: dict[str, Place] = {}
        self.latest = NOW - timedelta(days=1)

    def stamp(self, now: datetime) -> datetime:
        return max(now, self.latest)

    def full(self, owner: str, place: Place, now: datetime) -> list[str]:
        """The scopes without room; empty when there is room in all of them."""
        found = []
        for scope in SLOTS:
            others = [o for o, p in self.slots.items() if o != owner and p.scope(scope) == place.scope(scope)]
            if len(others) >= getattr(LIMITS, f"in_flight_{scope}"):
                found.append(f"in_flight {scope}")
        at = self.stamp(now)
        for scope in RATES:
            if len(self.within(scope, place, at) - {owner}) >= getattr(LIMITS, f"rate_{scope}"):
                found.append(f"rate {scope}")
        return found

    def within(self, scope: str, place: Place, end: datetime) -> set[str]:
        """Whose tokens lie in the window of an hour that ends here, its end included and its beginning not."""
        return {
            t.owner
            for t in self.tokens
            if not t.refunded and t.place.scope(scope) == place.scope(scope) and end - WINDOW < t.stamp <= end
        }

    def take(self, owner: str, place: Place, now: datetime, truly: datetime) -> None:
        self.latest = self.stamp(now)
        self.slots[owner] = place
        self.tokens.append(Token(owner, place, truly, self.latest))

    def truly_overfull(self) -> list[str]:
        """Windows of true time, whatever the clocks showed."""
        kept = [t for t in self.tokens if not t.refunded]
        found = []
        for last in kept:
            for scope in RATES:
                here = last.place.scope(scope)
                window = {
                    t.owner
                    for t in kept
                    if t.place.scope(scope) == here and last.truly - WINDOW < t.truly <= last.truly
                }
                if len(window) > getattr(LIMITS, f"rate_{scope}"):
                    found.append(f"{scope} {here}: {sorted(window)} in the hour before {last.truly}")
        return found

    def refund(self, owner: str) -> None:
        for token in self.tokens:
            if token.owner == owner:
                token.refunded = True


def _epoch(result: Committed | ReservationRefused) -> float:
    return result.remediation.epoch if isinstance(result, Committed) else float("inf")


async def overfull(journal: SqlJournal, now: datetime) -> list[str]:
    """Every sliding window of the final table that holds more than its limit. A fullest one ends at some token."""
    rows = [r for r in await journal.runs(now, timedelta(days=400)) if not r.tokens_back]
    found = []
    for last in rows:
        window = [r for r in rows if last.reserved_at - WINDOW < r.reserved_at <= last.reserved_at]
        for scope in RATES:
            names = {
                "target": ("target_key",),
                "playbook": ("cluster", "namespace", "playbook"),
                "namespace": ("cluster", "namespace"),
                "cluster": ("cluster",),
            }[scope]
            same = {r.remediation_id for r in window if all(getattr(r, n) == getattr(last, n) for n in names)}
            if len(same) > getattr(LIMITS, f"rate_{scope}"):
                found.append(f"{scope} {names}: {sorted(same)} in the hour before {last.reserved_at}")
    return found


class History:
    """One random history. `journals` are the processes; which of them acts is drawn for each step."""

    def __init__(self, draw: random.Random, journals: list[SqlJournal], jumps: tuple[int, ...]) -> None:
        self.draw = draw
        self.journals = journals
        self.jumps = jumps
        self.oracle = Oracle()
        self.now = self.truly = NOW
        self.count = 0
        self.idle: dict[str, Remediation] = {}
        self.running: dict[str, Remediation] = {}
        self.granted = self.refused = 0
        self.reasons: set[str] = set()

    @property
    def journal(self) -> SqlJournal:
        return self.draw.choice(self.journals)

    async def step(self) -> None:
        kinds = (self.reserve,) * 8 + (self.time_passes,) * 4 + (self.release,) * 8 + (self.pass_on, self.crash)
        await self.draw.choice(kinds)()

    async def time_passes(self) -> None:
        passed = timedelta(seconds=self.draw.choice(SECONDS))
        self.truly += passed
        self.now += passed
        if self.jumps and self.draw.random() < 0.15:
            self.now += timedelta(seconds=self.draw.choice(self.jumps))

    def _request(self, place: Place, *, rung: bool) -> ReserveRequest:
        key = f"{place.cluster}/Deployment/{place.namespace}/{place.target}"
        return ReserveRequest(
            locks=(key,),
            target_key=key,
            playbook=place.playbook,
            cluster=place.cluster,
            namespace=place.namespace,
            direction="",
            limits=LIMITS,
            between_rungs=rung,
        )

    async def _new(self) -> Remediation:
        self.count += 1
        made = await self.journal.open(begun(self.count), self.now)
        assert made is not None
        self.idle[made.id] = made
        return made

    async def reserve(self) -> None:
        """By one process, or by two at the same moment, of which the second sees what the first one took."""
        asked: list[tuple[Remediation, Place, SqlJournal]] = []
        for journal in self.draw.sample(self.journals, self.draw.randint(1, len(self.journals))):
            known = sorted(i for i in self.idle if i not in {r.id for r, _, _ in asked})
            r = self.idle[self.draw.choice(known)] if known and self.draw.random() < 0.6 else await self._new()
            place = self.oracle.slots.get(r.id) if r.parent else None
            asked.append((r, place or self.draw.choice(PLACES), journal))
        answers = await asyncio.gather(*(self._ask(*one) for one in asked))
        # The store says which came first, by its epochs; a refusal is right when the others leave no room.
        for r, place, result in sorted(answers, key=lambda a: _epoch(a[2])):
            self._compare(r, place, result)

    async def _ask(self, r: Remediation, place: Place, journal: SqlJournal) -> tuple[Remediation, Place, Any]:
        decision = to(r, State.RESERVED, reserve=True)
        request = self._request(place, rung=bool(r.parent))
        return r, place, await journal.commit(decision, self.now, holder="", reserve=request)

    def _compare(self, r: Remediation, place: Place, result: Any) -> None:
        full = self.oracle.full(r.id, place, self.now)
        if isinstance(result, ReservationRefused):
            self.refused += 1
            self.reasons.update(full)
            assert full, f"{r.id} was refused though there is room: {[v.reason for v in result.verdicts]}"
            return
        assert isinstance(result, Committed)
        assert not full, f"{r.id} was granted though {full} is full"
        self.granted += 1
        self.oracle.take(r.id, place, self.now, self.truly)
        del self.idle[r.id]
        self.running[r.id] = result.remediation

    async def release(self) -> None:
        """It ends, or goes back to planning; tokens come back only where nothing was done."""
        if not self.running:
            return
        r = self.running.pop(self.draw.choice(sorted(self.running)))
        ends, refund = self.draw.random() < 0.6, self.draw.random() < 0.35
        decision = to(r, State.CANCELLED if ends else State.PLANNED, now=self.now, release=True, refund=refund, epoch=0)
        result = await self.journal.commit(decision, self.now, holder="")
        assert isinstance(result, Committed)
        if not ends:
            self.idle[r.id] = result.remediation
        del self.oracle.slots[r.id]
        if refund:
            self.oracle.refund(r.id)

    async def pass_on(self) -> None:
        """The next rung has the slot; its token it takes itself."""
        if not self.running:
            return
        parent = self.running.pop(self.draw.choice(sorted(self.running)))
        self.count += 1
        child = begun(self.count, parent=parent.id, episode=parent.episode)
        decision = to(parent, State.ESCALATED, now=self.now, outcome=StepOutcome.FAILED, child="next")
        await self.journal.commit(decision, self.now, holder="", child=child)
        self.idle[child.id] = child
        self.oracle.slots[child.id] = self.oracle.slots.pop(parent.id)

    async def crash(self) -> None:
        """A process takes over what another one left: new epochs, the same tokens."""
        await self.journal.takeover(f"p{self.draw.random()}")
        for known in (self.running, self.idle):
            for name in known:
                stored = await self.journal.get(name)
                assert stored is not None
                known[name] = stored

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            await self.step()
        assert not await overfull(self.journal, self.now)
        at = await self.journal.runs(self.now, timedelta(days=400))
        assert sorted(r.remediation_id for r in at if r.ended_at is None) == sorted(self.oracle.slots)


def run(history: Coroutine[Any, Any, History]) -> History:
    return asyncio.run(history)


async def in_memory(draw: random.Random, steps: int, jumps: tuple[int, ...]) -> History:
    database = SqliteMemory()
    try:
        history = History(draw, [SqlJournal.in_memory(database)], jumps)
        await history.run(steps)
        return history
    finally:
        database.dispose()


@settings(max_examples=SOAK or 25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(20, 90))
def test_no_sliding_window_ever_holds_more_than_its_limit(draw: random.Random, steps: int) -> None:
    """By the times on record, which is what the limiter counts, with clocks that jump either way."""
    run(in_memory(draw, steps, BOTH_WAYS))


@settings(max_examples=SOAK or 15, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(20, 90))
def test_nor_in_true_time_when_clocks_are_set_back(draw: random.Random, steps: int) -> None:
    history = run(in_memory(draw, steps, BACK))
    assert not history.oracle.truly_overfull()


@pytest.mark.parametrize("number", range(SOAK or 3))
async def test_nor_with_two_processes_on_one_file(number: int, tmp_path: Path, path: Path) -> None:
    """Two journals with their threads on one file, under two names: SQLite puts their transactions in an order."""
    link = tmp_path / "other-process.db"
    link.symlink_to(path)
    journals = [SqlJournal.open_file(path), SqlJournal.open_file(link)]
    try:
        history = History(random.Random(f"two processes {number}"), journals, BOTH_WAYS)
        await history.run(60)
        assert history.granted
        assert history.refused
    finally:
        for journal in journals:
            await journal.close()


def test_histories_are_full_of_both_answers() -> None:
    """Each scope has refused, and there were refunds, rungs and grants: otherwise the oracle has little to say."""
    histories = [run(in_memory(random.Random(f"answers {n}"), 90, BOTH_WAYS)) for n in range(12)]
    assert {why for h in histories for why in h.reasons} == {
        *(f"in_flight {scope}" for scope in SLOTS),
        *(f"rate {scope}" for scope in RATES),
    }
    assert any(t.refunded for h in histories for t in h.oracle.tokens)
