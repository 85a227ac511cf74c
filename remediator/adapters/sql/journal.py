"""The journal port on SQL: each method is one function, in one transaction, on the writer or on a reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from remediator.actions.view import Revision
from remediator.adapters.sql import alerts as alerts_sql
from remediator.adapters.sql import attempts as attempts_sql
from remediator.adapters.sql import episodes as episodes_sql
from remediator.adapters.sql import escalations as escalations_sql
from remediator.adapters.sql import events as events_sql
from remediator.adapters.sql import firing as firing_sql
from remediator.adapters.sql import holds as holds_sql
from remediator.adapters.sql import inbox as inbox_sql
from remediator.adapters.sql import incidents as incidents_sql
from remediator.adapters.sql import outbox as outbox_sql
from remediator.adapters.sql import outbox_looks
from remediator.adapters.sql import outcomes as outcomes_sql
from remediator.adapters.sql import pauses as pauses_sql
from remediator.adapters.sql import periods as periods_sql
from remediator.adapters.sql import playbooks as playbooks_sql
from remediator.adapters.sql import remediations as remediations_sql
from remediator.adapters.sql import reservations as reservations_sql
from remediator.adapters.sql import retention as retention_sql
from remediator.adapters.sql import reverts as reverts_sql
from remediator.adapters.sql import revisions as revisions_sql
from remediator.adapters.sql import schedules as schedules_sql
from remediator.adapters.sql import storms as storms_sql
from remediator.adapters.sql.engine import Database, SqliteFile, SqliteMemory
from remediator.adapters.sql.inline import Faults, InlineWriter
from remediator.adapters.sql.writer import GROUP_LIMIT, Hooks, ThreadWriter, Writer
from remediator.alerts.alert import Alert
from remediator.guardrails.facts import Arrival, Outcome, Pause, Run, Storm
from remediator.objects import ObjectRef
from remediator.people.inbox_rows import Incoming, Undone
from remediator.people.incidents import PagedIncident
from remediator.people.ladder import Ladder
from remediator.people.outbox_rows import Letters, OutboxMessage, OutboxRow, Sending
from remediator.ports import MessageRef
from remediator.remediation.draft import Decision
from remediator.remediation.journal import (
    Accepted,
    AlertRecord,
    Attempt,
    AttemptOutcome,
    AttemptRefused,
    Committed,
    DeadLetter,
    Episode,
    JournalEvent,
    NewAttempt,
    ReservationRefused,
    ReserveRequest,
    ScheduleKey,
    ScheduleRun,
    Turns,
    WaitingHold,
    WaitingRevert,
)
from remediator.remediation.state import Remediation


class SqlJournal:
    """The `Journal` and the `OutboxStore` of a process. What the methods promise is written in those Protocols."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    @classmethod
    def open_file(cls, path: Path, *, hooks: Hooks | None = None, queue: int = GROUP_LIMIT) -> SqlJournal:
        """The journal of the service: one file, held by this process alone, migrated, with its own threads.

        `queue`: alerts that may wait for a commit; beyond it `accept` refuses at once. Blocks for as long as a
        migration takes. Raises: JournalUnavailable.
        """
        database = SqliteFile(path)
        return cls(database, ThreadWriter(database, alerts_sql.accept, hooks=hooks, grouped_limit=queue))

    @classmethod
    def in_memory(cls, database: SqliteMemory | None = None, *, faults: Faults | None = None) -> SqlJournal:
        """The same on in-memory SQLite, called inline. To come back after a simulated crash, give the same database."""
        database = database or SqliteMemory()
        return cls(database, InlineWriter(database, alerts_sql.accept, faults=faults))

    # Alerts ---------------------------------------------------------------------------------------------------------

    async def accept(self, alerts: Sequence[Alert], now: datetime) -> Accepted:
        if not alerts:
            return Accepted()
        accepted: Accepted = await self._writer.grouped(alerts_sql.Delivery(alerts, now), len(alerts))
        return accepted

    async def undecided(self, limit: int, now: datetime | None = None) -> tuple[AlertRecord, ...]:
        """With `now`, only those whose time has come: a re-send soon after an ending without effect waits 5 minutes."""
        return await self._writer.read(lambda c: alerts_sql.undecided(c, limit, now))

    async def decide_alerts(self, verdicts: Mapping[str, str], now: datetime) -> None:
        await self._writer.control("decide_alerts", lambda c: alerts_sql.decide(c, verdicts, now))

    async def alerts(self, ids: Sequence[str]) -> tuple[AlertRecord, ...]:
        """In the order of `ids`; those that retention took are left out."""
        return await self._writer.read(lambda c: alerts_sql.by_ids(c, ids))

    async def recent_alerts(self, limit: int) -> tuple[AlertRecord, ...]:
        return await self._writer.read(lambda c: alerts_sql.recent(c, limit))

    async def episode_alerts(self) -> Mapping[str, tuple[AlertRecord, ...]]:
        return await self._writer.read(alerts_sql.of_open_episodes)

    async def look_again(self, now: datetime) -> frozenset[str]:
        return await self._writer.control("look_again", lambda c: alerts_sql.look_again(c, now))

    async def close_unsent(self, now: datetime, silent: timedelta) -> int:
        closed = 0
        while True:
            rows = await self._writer.control(
                "close_unsent", lambda c: alerts_sql.close_unsent(c, now, silent, retention_sql.BATCH)
            )
            closed += rows
            if rows < retention_sql.BATCH:
                return closed

    # Remediations ---------------------------------------------------------------------------------------------------

    async def open(self, remediation: Remediation, now: datetime) -> Remediation | None:
        return await self._writer.control("open", lambda c: remediations_sql.open_new(c, remediation, now))

    async def begin_schedule(self, key: ScheduleKey, now: datetime) -> datetime:
        return await self._writer.control("begin_schedule", lambda c: schedules_sql.begin(c, key, now))

    async def forget_schedule(self, key: ScheduleKey) -> None:
        await self._writer.control("forget_schedule", lambda c: schedules_sql.forget(c, key))

    async def settle_schedule(
        self,
        key: ScheduleKey,
        was: datetime,
        until: datetime,
        now: datetime,
        *,
        skipped: Sequence[ScheduleRun] = (),
        run: ScheduleRun | None = None,
        remediation: Remediation | None = None,
    ) -> Remediation | None:
        return await self._writer.control(
            "settle_schedule",
            lambda c: schedules_sql.settle(c, key, was, until, skipped, run, remediation, now),
        )

    async def schedule_runs(self, playbook: str, limit: int) -> tuple[ScheduleRun, ...]:
        return await self._writer.read(lambda c: schedules_sql.runs(c, playbook, limit))

    async def waiting_reverts(self, limit: int) -> tuple[WaitingRevert, ...]:
        return await self._writer.read(lambda c: reverts_sql.waiting(c, limit))

    async def looked_at_revert(self, remediation_id: str, quiet_since: datetime | None, now: datetime) -> None:
        await self._writer.control(
            "looked_at_revert", lambda c: reverts_sql.looked(c, remediation_id, quiet_since, now)
        )

    async def settle_revert(
        self,
        remediation_id: str,
        now: datetime,
        *,
        revert: Remediation | None = None,
        detail: str = "",
        messages: Sequence[OutboxMessage] = (),
    ) -> Remediation | None:
        return await self._writer.control(
            "settle_revert", lambda c: reverts_sql.settle(c, remediation_id, now, revert, detail, messages)
        )

    async def waiting_holds(self, limit: int) -> tuple[WaitingHold, ...]:
        return await self._writer.read(lambda c: holds_sql.waiting(c, limit))

    async def release_hold(self, hold: WaitingHold, release: Remediation, now: datetime) -> Remediation | None:
        return await self._writer.control("release_hold", lambda c: holds_sql.release(c, hold, now, release))

    async def told_of_hold(self, effect_id: str, now: datetime, messages: Sequence[OutboxMessage]) -> bool:
        return await self._writer.control("told_of_hold", lambda c: holds_sql.told(c, effect_id, now, messages))

    async def settle_hold(self, effect_id: str, now: datetime, detail: str) -> None:
        await self._writer.control("settle_hold", lambda c: holds_sql.settle(c, effect_id, now, detail))

    async def join(self, decision: Decision, now: datetime, messages: Sequence[OutboxMessage] = ()) -> None:
        await self._writer.control("join", lambda c: remediations_sql.join(c, decision, now, messages))

    async def unfinished(self, cluster: str, root: ObjectRef) -> tuple[Remediation, ...]:
        return await self._writer.read(lambda c: remediations_sql.unfinished(c, cluster, root))

    async def claim(
        self, holder: str, now: datetime, lease: timedelta, limit: int, busy: Sequence[str] = ()
    ) -> tuple[Remediation, ...]:
        """`busy` are those being worked on: they are ours already, and due until their work is committed."""
        return await self._writer.control("claim", lambda c: remediations_sql.claim(c, holder, now, lease, limit, busy))

    async def takeover(self, holder: str) -> int:
        """At start, by the one process of this store: ends every other lease and gives new epochs. Returns how many."""

        def take_over(connection: Connection) -> int:
            outbox_sql.release_all(connection)
            return remediations_sql.take_over(connection, holder)

        return await self._writer.control("takeover", take_over)

    async def next_due(self, busy: Sequence[str] = (), holder: str = "") -> datetime | None:
        return await self._writer.read(lambda c: remediations_sql.next_due(c, busy, holder))

    async def renew(self, holder: str, ids: Sequence[str], now: datetime, lease: timedelta) -> frozenset[str]:
        if not ids:
            return frozenset()
        return await self._writer.control("renew", lambda c: remediations_sql.renew(c, holder, ids, now, lease))

    async def commit(
        self,
        decision: Decision,
        now: datetime,
        *,
        holder: str,
        reserve: ReserveRequest | None = None,
        child: Remediation | None = None,
        messages: Sequence[OutboxMessage] = (),
        facts: Mapping[str, object] | None = None,
        keep_claim: bool = True,
    ) -> Committed | ReservationRefused:
        """Raises: ValueError for a decision to reserve, or to go on to a child, without the one it names."""
        if decision.reserve != (reserve is not None) or bool(decision.child) != (child is not None):
            raise ValueError("the decision and what is given with it disagree about a reservation or a child")
        work = partial(
            remediations_sql.commit,
            decision=decision,
            now=now,
            holder=holder,
            reserve=reserve,
            child=child,
            messages=messages,
            facts=facts,
            keep_claim=keep_claim,
        )
        return await self._writer.control("reserve" if reserve else "commit", work)

    async def get(self, remediation_id: str) -> Remediation | None:
        return await self._writer.read(lambda c: remediations_sql.get(c, remediation_id))

    async def recent(self, limit: int, *, state: str = "", playbook: str = "") -> tuple[Remediation, ...]:
        return await self._writer.read(lambda c: remediations_sql.recent(c, limit, state, playbook))

    async def history(self, remediation_id: str) -> tuple[JournalEvent, ...]:
        return await self._writer.read(lambda c: events_sql.history(c, remediation_id))

    async def history_broken_at(self, remediation_id: str) -> int | None:
        """The first line of a record that was tampered with; None = its hash chain is whole."""
        return await self._writer.read(lambda c: events_sql.broken_at(c, remediation_id))

    async def note(
        self,
        remediation_id: str,
        type: str,  # noqa: A002 (the port's name)
        reason: str,
        data: Mapping[str, object],
        now: datetime,
    ) -> None:
        line = events_sql.NewEvent(at=now, type=type, reason=reason, data=data)
        await self._writer.control("note", lambda c: events_sql.note(c, remediation_id, line))

    # Facts for the guardrails ---------------------------------------------------------------------------------------

    async def runs(self, now: datetime, window: timedelta) -> tuple[Run, ...]:
        return await self._writer.read(lambda c: reservations_sql.runs(c, now, window))

    async def arrivals(self, cluster: str, since: datetime) -> tuple[Arrival, ...]:
        return await self._writer.read(lambda c: firing_sql.arrivals(c, cluster, since))

    async def known_workloads(self, cluster: str) -> int:
        return await self._writer.read(lambda c: firing_sql.known_workloads(c, cluster))

    async def outcomes(self, playbook: str, cluster: str, limit: int) -> tuple[Outcome, ...]:
        return await self._writer.read(lambda c: outcomes_sql.latest(c, playbook, cluster, limit))

    # Storms ---------------------------------------------------------------------------------------------------------

    async def storm(self, cluster: str) -> Storm | None:
        return await self._writer.read(lambda c: storms_sql.of_cluster(c, cluster))

    async def held(self, cluster: str, known: Collection[str] = ()) -> tuple[Remediation, ...]:
        return await self._writer.read(lambda c: storms_sql.held(c, cluster, known))

    async def save_storm(self, storm: Storm, messages: Sequence[OutboxMessage], now: datetime) -> bool:
        return await self._writer.control("save_storm", lambda c: storms_sql.save(c, storm, messages, now))

    async def close_storm(self, storm: Storm, messages: Sequence[OutboxMessage], now: datetime, turns: Turns) -> bool:
        return await self._writer.control("close_storm", lambda c: storms_sql.close(c, storm, messages, now, turns))

    # Digests and hand-overs -----------------------------------------------------------------------------------------

    async def ended(
        self, since: datetime, until: datetime, limit: int, after: tuple[datetime, str] | None = None
    ) -> tuple[Remediation, ...]:
        return await self._writer.read(lambda c: periods_sql.ended(c, since, until, limit, after))

    async def count_ended(self, since: datetime, until: datetime) -> int:
        return await self._writer.read(lambda c: periods_sql.count_ended(c, since, until))

    async def waits(self, ids: Sequence[str]) -> Mapping[str, timedelta]:
        return await self._writer.read(lambda c: periods_sql.waits(c, ids))

    async def dead_letters(self, since: datetime, until: datetime) -> tuple[DeadLetter, ...]:
        return await self._writer.read(lambda c: periods_sql.dead_letters(c, since, until))

    # Ladders --------------------------------------------------------------------------------------------------------

    async def open_ladders(self) -> tuple[Ladder, ...]:
        return await self._writer.read(escalations_sql.open_ones)

    async def ladders(self, episode_id: str) -> tuple[Ladder, ...]:
        return await self._writer.read(lambda c: escalations_sql.of_episode(c, episode_id))

    async def save_ladder(
        self, ladder: Ladder, messages: Sequence[OutboxMessage], now: datetime, *, over: bool = False
    ) -> bool:
        return await self._writer.control(
            "save_ladder", lambda c: escalations_sql.save(c, ladder, messages, now, over=over)
        )

    # ----------------------------------------------------------------------------------------------------------------

    async def episode(self, episode_id: str) -> Episode | None:
        return await self._writer.read(lambda c: episodes_sql.get(c, episode_id))

    async def quiet_episodes(self, now: datetime, quiet: timedelta) -> Mapping[str, Remediation | None]:
        return await self._writer.read(lambda c: remediations_sql.last_of_quiet_episodes(c, now, quiet))

    async def close_episodes(
        self, now: datetime, quiet: timedelta, messages: Mapping[str, Sequence[OutboxMessage]] | None = None
    ) -> int:
        return await self._writer.control("close_episodes", lambda c: episodes_sql.close_quiet(c, now, quiet, messages))

    async def knows_effect(self, effect_id: str) -> bool:
        return await self._writer.read(lambda c: attempts_sql.knows_effect(c, effect_id))

    # Attempts -------------------------------------------------------------------------------------------------------

    async def record_attempt(self, attempt: NewAttempt, now: datetime) -> Attempt | AttemptRefused:
        return await self._writer.control("record_attempt", lambda c: attempts_sql.record(c, attempt, now))

    async def record_outcome(self, attempt_id: str, outcome: AttemptOutcome, detail: str, now: datetime) -> None:
        """A definite outcome is never overwritten; what comes from a fenced sender is kept as a `late_outcome` line."""
        await self._writer.control(
            "record_outcome", lambda c: attempts_sql.record_outcome(c, attempt_id, outcome, detail, now)
        )

    async def last_attempt(self, remediation_id: str, effect_id: str) -> Attempt | None:
        return await self._writer.read(lambda c: attempts_sql.last(c, remediation_id, effect_id))

    async def attempts(self, remediation_id: str) -> tuple[Attempt, ...]:
        return await self._writer.read(lambda c: attempts_sql.of_remediation(c, remediation_id))

    # Pauses ---------------------------------------------------------------------------------------------------------

    async def pause(self, scope: str, who: str, why: str, until: datetime | None, now: datetime) -> Pause:
        return await self._writer.control("pause", lambda c: pauses_sql.add(c, scope, who, why, until, now))

    async def resume(self, pause_id: str, who: str, now: datetime) -> bool:
        def end(connection: Connection) -> bool:
            ended = pauses_sql.end(connection, pause_id, who, now)
            if ended:
                remediations_sql.wake(connection, now)
            return ended

        return await self._writer.control("resume", end)

    async def pauses(self, now: datetime) -> tuple[Pause, ...]:
        return await self._writer.read(lambda c: pauses_sql.live(c, now))

    async def pause_ended(self, scope: str) -> datetime | None:
        return await self._writer.read(lambda c: pauses_sql.ended(c, scope))

    # Observer -------------------------------------------------------------------------------------------------------

    async def revisions(self, cluster: str, workload_uid: str) -> tuple[Revision, ...]:
        return await self._writer.read(lambda c: revisions_sql.of_workload(c, cluster, workload_uid))

    async def firing_roots(self, cluster: str) -> Mapping[str, frozenset[str]]:
        return await self._writer.read(lambda c: firing_sql.firing_roots(c, cluster))

    async def save_revisions(self, cluster: str, revisions: Sequence[Revision], now: datetime) -> None:
        await self._writer.control("save_revisions", lambda c: revisions_sql.save(c, cluster, revisions, now))

    # Playbooks ------------------------------------------------------------------------------------------------------

    async def last_good(self) -> Mapping[str, str]:
        return await self._writer.read(playbooks_sql.last_good)

    async def save_good(self, name: str, text: str, hash: str, now: datetime) -> None:  # noqa: A002 (the port's name)
        await self._writer.control("save_good", lambda c: playbooks_sql.save(c, name, text, hash, now))

    async def forget_good(self, name: str) -> None:
        await self._writer.control("forget_good", lambda c: playbooks_sql.forget(c, name))

    # Outbox ---------------------------------------------------------------------------------------------------------

    async def store_messages(self, messages: Sequence[OutboxMessage], now: datetime) -> None:
        """Messages that no transition caused."""
        await self._writer.control("store_messages", lambda c: outbox_sql.store(c, messages, now))

    async def due(
        self, channel: str, now: datetime, limit: int, *, skip: Collection[str] = ()
    ) -> tuple[OutboxRow, ...]:
        return await self._writer.read(lambda c: outbox_sql.due(c, channel, now, limit, skip))

    async def begin(self, sending: Sending, holder: str, until: datetime, now: datetime) -> OutboxRow | None:
        return await self._writer.control("begin", lambda c: outbox_sql.begin(c, sending, holder, until, now))

    async def sent(self, row_id: int, ref: MessageRef | None, holder: str, now: datetime) -> bool:
        return await self._writer.control("sent", lambda c: outbox_sql.sent(c, row_id, ref, holder, now))

    async def failed(
        self,
        row_id: int,
        error: str,
        retry_at: datetime | None,
        holder: str,
        now: datetime,
        *,
        unanswered: bool = False,
        as_post: bool = False,
    ) -> bool:
        return await self._writer.control(
            "failed",
            lambda c: outbox_sql.failed(
                c, row_id, error, retry_at, holder, now, unanswered=unanswered, as_post=as_post
            ),
        )

    async def abandon(self, serving: Collection[str], before: datetime, error: str, now: datetime) -> Mapping[str, int]:
        return await self._writer.control("abandon", lambda c: outbox_sql.abandon(c, serving, before, error, now))

    async def clock_set_back(self, by: timedelta, now: datetime) -> None:
        await self._writer.control("clock_set_back", lambda c: outbox_sql.clock_set_back(c, by, now))

    async def letters(self, since: datetime) -> tuple[Letters, ...]:
        return await self._writer.read(lambda c: outbox_sql.letters(c, since))

    async def message_ref(self, key: str) -> MessageRef | None:
        return await self._writer.read(lambda c: outbox_sql.message_ref(c, key))

    async def paged_incident(self, key: str) -> PagedIncident | None:
        return await self._writer.read(lambda c: incidents_sql.get(c, key))

    async def message_states(self, onces: Sequence[str]) -> Mapping[str, str]:
        return await self._writer.read(lambda c: outbox_looks.states(c, onces))

    async def knows_key(self, key: str) -> bool:
        return await self._writer.read(lambda c: outbox_looks.knows_key(c, key))

    async def outbox_pending(self) -> int:
        """How many messages wait, for the metric."""
        return await self._writer.read(outbox_sql.pending)

    # Inbox ----------------------------------------------------------------------------------------------------------

    async def take_in(self, item: Incoming, now: datetime) -> bool:
        return await self._writer.control("take_in", lambda c: inbox_sql.take_in(c, item, now))

    async def incoming(
        self, now: datetime, limit: int, skip: Collection[int] = (), full: Collection[str] = ()
    ) -> tuple[Incoming, ...]:
        return await self._writer.read(lambda c: inbox_sql.incoming(c, now, limit, skip, full))

    async def undone(self) -> Undone:
        return await self._writer.read(inbox_sql.undone)

    async def dealt_with(self, item_id: int, result: str, now: datetime) -> None:
        await self._writer.control("dealt_with", lambda c: inbox_sql.dealt_with(c, item_id, result, now))

    async def put_off(self, item_id: int, error: str, until: datetime, now: datetime) -> None:
        await self._writer.control("put_off", lambda c: inbox_sql.put_off(c, item_id, error, until))

    async def keys_of_message(self, ref: MessageRef) -> tuple[str, ...]:
        return await self._writer.read(lambda c: inbox_sql.keys_of_message(c, ref))

    # Housekeeping ---------------------------------------------------------------------------------------------------

    async def purge(self, now: datetime) -> Mapping[str, int]:
        removed: Counter[str] = Counter()
        for table, step in retention_sql.steps(now):
            while True:
                rows = await self._writer.control("purge", step)
                removed[table] += rows
                if rows < retention_sql.BATCH:
                    break
        return dict(removed)

    async def ping(self) -> None:
        # A real write: a full disk still lets one read, and take a transaction that changes nothing.
        await self._writer.control("ping", remediations_sql.next_epoch)

    async def close(self) -> None:
        await self._writer.close()
        self._database.close()
