"""The journal port: the durable truth. One code path for every database (adapters/sql), one shared contract suite.

Order of things that the store guarantees: pauses, reservations and attempt rows are each one transaction, so the store
says which came first. A commit whose result is unknown raises `JournalUnavailable` and is read again before anything is
decided. Every write of a remediation is a compare-and-set on its `version` and, once it has one, its `epoch`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from remediator.actions.change import Direction
from remediator.actions.view import Revision
from remediator.alerts.alert import Alert
from remediator.guardrails.facts import Arrival, EffectiveLimits, Outcome, Pause, Run, Storm
from remediator.guardrails.verdict import Verdict
from remediator.objects import ObjectRef
from remediator.people.incidents import PagedIncident
from remediator.people.ladder import Ladder
from remediator.people.outbox_rows import Letters, OutboxMessage
from remediator.ports import MessageRef, WriteRequest
from remediator.remediation.draft import Decision
from remediator.remediation.state import Remediation


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """One open firing interval of one fingerprint, as one source tells it: the identity of an alert.

    `verdict` is empty until it is decided: `no_playbook: …`, `resolved: …`, `remediation:r-…`, `joined:r-…`.
    """

    id: str
    alert: Alert
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None = None
    verdict: str = ""
    detail: str = ""
    undecided_since: datetime | None = None
    """None = decided. In the future: it is not to be decided before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a committed delivery changed: `new` intervals and re-sends to be evaluated anew; the rest was known."""

    new: int = 0
    known: int = 0
    resolved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """An incident as we see it. `key` = cluster + root target."""

    id: str
    cluster: str
    root: ObjectRef
    opened_at: datetime
    closed_at: datetime | None = None
    ladders: int = 0
    """Ladders that have ended with an effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that nobody will get."""

    channel: str
    destination: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRequest:
    """What one reservation takes, all or nothing. `locks` are sorted keys `CLUSTER/Kind/ns/name`.

    `target_key` and `namespace` are the root target's, `beside` those of everything else that it acts on: every target
    of several, and what single steps name. Limits, windows and cooldowns count them all.
    """

    locks: tuple[str, ...]
    target_key: str
    playbook: str
    cluster: str
    namespace: str
    direction: Direction
    limits: EffectiveLimits
    between_rungs: bool = False
    domains: frozenset[str] = frozenset()
    """Failure domains that its targets stand in."""
    beside: tuple[tuple[str, str], ...] = ()
    """(target_key, namespace), without the root target's."""

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        return tuple(dict.fromkeys(((self.target_key, self.namespace), *self.beside)))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    """One attempt row to be: one row = one request, with its exact bytes.

    `pause_scopes` are the scopes that cover it: a live pause on any of them refuses the row, in the same statement.
    `not_after`: when its window closes; from then on the row is refused as well.
    """

    remediation_id: str
    effect_id: str
    epoch: int
    uid: str
    resource_version: str
    generation: int | None
    request: WriteRequest
    pause_scopes: tuple[str, ...]
    not_after: datetime | None = None


AttemptOutcome = Literal[
    "done", "conflict", "refused", "gone", "unavailable", "uncertain", "not_sent", "never", "happened"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A committed attempt row. `outcome` None = unanswered: maybe done. `number` counts from 1 per effect."""

    id: str
    remediation_id: str
    effect_id: str
    number: int
    epoch: int
    uid: str
    resource_version: str
    generation: int | None
    request: WriteRequest
    at: datetime
    outcome: AttemptOutcome | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRefused:
    """The conditional statement granted no row: `paused` with the pause, `closed` by its window, or `fenced` by another
    epoch."""

    why: Literal["paused", "closed", "fenced"]
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEvent:
    """One line of a remediation's append-only record. `data` is JSON."""

    seq: int
    at: datetime
    type: str
    from_state: str
    to_state: str
    reason: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The decision is durable. `remediation` carries the epoch that a reservation assigned."""

    remediation: Remediation


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationRefused:
    """Nothing was committed: these limits were taken meanwhile."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """How what a storm held goes on after it: oldest first, `apart`, the last one no later than `within`. Each may be
    held for `held_for` from its turn on, but not longer than `at_most` since it began."""

    apart: timedelta
    within: timedelta
    held_for: timedelta
    at_most: timedelta


ScheduleKey = tuple[str, str]
"""A playbook's name, and its cron and zone as one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRun:
    """What became of one due time: the remediation that it began, or why it was skipped."""

    due: datetime
    remediation_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRevert:
    """A remediation that has left something behind for a time, which nobody has taken back yet."""

    remediation_id: str
    at: datetime
    quiet_since: datetime | None = None
    looked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingHold:
    """A hold of drift correction that nobody has ended yet: the effect that took it, and when."""

    effect_id: str
    remediation_id: str
    at: datetime
    told_at: datetime | None = None
    """When people were told that it has lasted for too long."""
    release_id: str = ""
    """The newest remediation that was to end it."""


class StaleRemediation(Exception):
    """Somebody else moved this remediation (another version or epoch): drop what you were about to do and read it
    again."""


class AlreadyDecided(Exception):
    """Somebody else decided this alert meanwhile, and nothing was stored: it needs nothing more."""


class Journal(Protocol):
    """Every method raises JournalUnavailable when the store does not take or give it."""

    # Alerts ---------------------------------------------------------------------------------------------------------
    async def accept(self, alerts: Sequence[Alert], now: datetime) -> Accepted:
        """Durably take a delivery (grouped with others into one commit). Returns only after COMMIT.

        Firing: opens an interval, or refreshes `last_seen` of the open one; a new startsAt without a resolve between,
        or
        within 10 minutes of it, is the same alert. Put back to undecided is an open interval whose last remediation
        ended without effect (not when a person rejected it, and not within 5 minutes of that ending) or that no
        playbook matched; and one that was closed and fires again, unless its remediation is still at work.
        Resolved: closes the interval (the row stays 7 days).
        """
        ...

    async def undecided(self, limit: int, now: datetime | None = None) -> tuple[AlertRecord, ...]:
        """Oldest first. With `now`, only those whose time has come: a re-send soon after an ending waits 5 minutes."""
        ...

    async def decide_alerts(self, verdicts: Mapping[str, str], now: datetime) -> None:
        """Record what became of alerts that start nothing: alert id -> verdict text. Leaves alone what is decided by
        now, and does not say `resolved: …` of what fires again."""
        ...

    async def alerts(self, ids: Sequence[str]) -> tuple[AlertRecord, ...]: ...

    async def recent_alerts(self, limit: int) -> tuple[AlertRecord, ...]:
        """Newest first, for people."""
        ...

    async def episode_alerts(self) -> Mapping[str, tuple[AlertRecord, ...]]:
        """What belongs to each open episode by its id, newest first, also what has been resolved meanwhile."""
        ...

    async def look_again(self, now: datetime) -> frozenset[str]:
        """What still fires, and ended only because a person had the episode, is decided anew once nobody has it. The
        episodes with such alerts."""
        ...

    async def close_unsent(self, now: datetime, silent: timedelta) -> int:
        """Close open intervals that were not re-sent for longer than `silent`, but for undecided ones and those that a
        remediation is at work on. Returns how many."""
        ...

    # Remediations ---------------------------------------------------------------------------------------------------
    async def open(self, remediation: Remediation, now: datetime) -> Remediation | None:
        """Create it with its episode (an open one of the same root is reused) and mark its alerts decided, in one
        transaction. None when an unfinished `received` remediation of that root exists by now (join that one).
        Raises: AlreadyDecided.
        """
        ...

    # Schedules ------------------------------------------------------------------------------------------------------
    async def begin_schedule(self, key: ScheduleKey, now: datetime) -> datetime:
        """Up to when its times are dealt with. One not known counts from now on: nothing of before is missed."""
        ...

    async def forget_schedule(self, key: ScheduleKey) -> None:
        """It is not in force any more; should it come back, it counts from then on."""
        ...

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
        """Its times from `was` to `until` are dealt with: the `skipped` ones are on record, and `run` has opened this
        remediation, all in one transaction. None where nothing was opened: there was nothing to open, somebody else was
        faster, or that time of the playbook has been dealt with."""
        ...

    async def schedule_runs(self, playbook: str, limit: int) -> tuple[ScheduleRun, ...]:
        """Newest first."""
        ...

    # Reverts --------------------------------------------------------------------------------------------------------
    async def waiting_reverts(self, limit: int) -> tuple[WaitingRevert, ...]:
        """Not settled, newest first. A remediation that ends with temporary effects begins one as it is committed."""
        ...

    async def looked_at_revert(self, remediation_id: str, quiet_since: datetime | None, now: datetime) -> None:
        """Keep since when its alerts are proven quiet, as of now; None = they are not."""
        ...

    async def settle_revert(
        self,
        remediation_id: str,
        now: datetime,
        *,
        revert: Remediation | None = None,
        detail: str = "",
        messages: Sequence[OutboxMessage] = (),
    ) -> Remediation | None:
        """It is dealt with: by opening this remediation in the same transaction, or by none, and `detail` and
        `messages` say why. None where nothing was opened, also because somebody else was faster: then nothing is told.
        """
        ...

    # Holds ----------------------------------------------------------------------------------------------------------
    async def waiting_holds(self, limit: int) -> tuple[WaitingHold, ...]:
        """Not settled, oldest first. One begins with the commit that records its effect as done."""
        ...

    async def release_hold(self, hold: WaitingHold, release: Remediation, now: datetime) -> Remediation | None:
        """Open what is to end it. None where it is settled by now, or somebody else has begun another release."""
        ...

    async def told_of_hold(self, effect_id: str, now: datetime, messages: Sequence[OutboxMessage]) -> bool:
        """Once in its life these messages go out; False where that has happened."""
        ...

    async def settle_hold(self, effect_id: str, now: datetime, detail: str) -> None:
        """It is dealt with; `detail` says how."""
        ...

    async def join(self, decision: Decision, now: datetime, messages: Sequence[OutboxMessage] = ()) -> None:
        """Commit a `Joined` decision with its messages and mark those alerts decided.

        Raises: StaleRemediation, AlreadyDecided.
        """
        ...

    async def unfinished(self, cluster: str, root: ObjectRef) -> tuple[Remediation, ...]:
        """Not ended, oldest first."""
        ...

    async def claim(
        self, holder: str, now: datetime, lease: timedelta, limit: int, busy: Sequence[str] = ()
    ) -> tuple[Remediation, ...]:
        """Take remediations that are due (due or deadline passed) and free, or whose lease is over, most overdue first.

        Taking one from another holder gives it a new epoch where it has one, so that the old holder's writes are
        refused.
        `busy` are those being worked on: they are ours already.
        """
        ...

    async def takeover(self, holder: str) -> int:
        """At start, by the one process of an embedded store: end every other lease. Returns how many."""
        ...

    async def next_due(self, busy: Sequence[str] = (), holder: str = "") -> datetime | None:
        """The earliest due time or deadline of all unfinished ones but the `busy` ones (those being worked on).

        With `holder`, what somebody else holds is not due for it before the end of that lease.
        """
        ...

    async def renew(self, holder: str, ids: Sequence[str], now: datetime, lease: timedelta) -> frozenset[str]:
        """Extend leases; returns the ids that are still ours."""
        ...

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
        """One transaction: the new state, its event, reservation or release, child, messages, known-bad mark; the
        intervals of its alerts are closed when it ends with the proof that they are quiet.

        Compare-and-set on the version before the decision, the epoch and the holder ("" for people's events through the
        API, which any process may commit). Raises: StaleRemediation.
        """
        ...

    async def get(self, remediation_id: str) -> Remediation | None: ...

    async def recent(self, limit: int, *, state: str = "", playbook: str = "") -> tuple[Remediation, ...]: ...

    async def history(self, remediation_id: str) -> tuple[JournalEvent, ...]: ...

    async def note(
        self,
        remediation_id: str,
        type: str,  # noqa: A002 (an event has a type)
        reason: str,
        data: Mapping[str, object],
        now: datetime,
    ) -> None:
        """Append evidence that changes no state (collected logs, a late outcome of an old epoch)."""
        ...

    # Facts for the guardrails ---------------------------------------------------------------------------------------
    async def runs(self, now: datetime, window: timedelta) -> tuple[Run, ...]:
        """Everything running, plus everything reserved or ended within the window."""
        ...

    async def arrivals(self, cluster: str, since: datetime) -> tuple[Arrival, ...]:
        """Root targets that remediations were opened for since then; rungs of a ladder do not count."""
        ...

    async def known_workloads(self, cluster: str) -> int:
        """Workloads that the observer has rows of."""
        ...

    async def outcomes(self, playbook: str, cluster: str, limit: int) -> tuple[Outcome, ...]:
        """How the latest remediations of a playbook with an effect ended, newest first: so many of this cluster, and so
        many of all. Those that say nothing about the playbook (stopped, refused, taken over) are left out."""
        ...

    async def storm(self, cluster: str) -> Storm | None:
        """The open one of this cluster."""
        ...

    async def held(self, cluster: str, known: Collection[str] = ()) -> tuple[Remediation, ...]:
        """Those that are held and are no rung of a ladder, oldest first, without the `known` ids."""
        ...

    async def save_storm(self, storm: Storm, messages: Sequence[OutboxMessage], now: datetime) -> bool:
        """Open it (version 0) or change it, with the messages that say so, in one transaction. False, and nothing is
        stored: another one of its cluster is open, or somebody else has changed or closed it."""
        ...

    async def close_storm(self, storm: Storm, messages: Sequence[OutboxMessage], now: datetime, turns: Turns) -> bool:
        """It is over: what it held in its cluster is looked at again in turn. One transaction; False as above."""
        ...

    async def ended(
        self, since: datetime, until: datetime, limit: int, after: tuple[datetime, str] | None = None
    ) -> tuple[Remediation, ...]:
        """Those that ended in [since, until), oldest first; `after` = (ended_at, id) of the last one of the page
        before."""
        ...

    async def count_ended(self, since: datetime, until: datetime) -> int: ...

    async def waits(self, ids: Sequence[str]) -> Mapping[str, timedelta]:
        """From the first time that people were asked to the first answer; where nobody answered it is left out."""
        ...

    async def dead_letters(self, since: datetime, until: datetime) -> tuple[DeadLetter, ...]:
        """Messages that were given up then, newest first, at most 200."""
        ...

    async def open_ladders(self) -> tuple[Ladder, ...]:
        """Those of episodes in which a person was needed and whose alerts are not gone yet."""
        ...

    async def ladders(self, episode_id: str) -> tuple[Ladder, ...]:
        """All of an episode, also those that have ended; an open one is the last."""
        ...

    async def save_ladder(
        self, ladder: Ladder, messages: Sequence[OutboxMessage], now: datetime, *, over: bool = False
    ) -> bool:
        """Begin it (version 0), change it or end it, with its messages, in one transaction. False, and nothing is
        stored: another one of its episode is open, or somebody else has changed or ended it."""
        ...

    async def episode(self, episode_id: str) -> Episode | None: ...

    async def quiet_episodes(self, now: datetime, quiet: timedelta) -> Mapping[str, Remediation | None]:
        """Open episodes whose alerts are all resolved and whose remediations have ended, `quiet` ago; oldest first.

        Each with the remediation that was the last to end, of those that did more than observe; None where there is
        none, or where an alert was closed only because it was not sent any more.
        """
        ...

    async def close_episodes(
        self, now: datetime, quiet: timedelta, messages: Mapping[str, Sequence[OutboxMessage]] | None = None
    ) -> int:
        """Close them, if they are still quiet. With `messages` only those that it names, each one's messages stored in
        the same transaction. Returns how many."""
        ...

    async def knows_effect(self, effect_id: str) -> bool: ...

    # Attempts -------------------------------------------------------------------------------------------------------
    async def record_attempt(self, attempt: NewAttempt, now: datetime) -> Attempt | AttemptRefused:
        """ONE conditional statement: epoch current, no live pause on its scopes, window open. Committed when this
        returns."""
        ...

    async def record_outcome(self, attempt_id: str, outcome: AttemptOutcome, detail: str, now: datetime) -> None: ...

    async def last_attempt(self, remediation_id: str, effect_id: str) -> Attempt | None: ...

    async def attempts(self, remediation_id: str) -> tuple[Attempt, ...]: ...

    # Pauses ---------------------------------------------------------------------------------------------------------
    async def pause(self, scope: str, who: str, why: str, until: datetime | None, now: datetime) -> Pause: ...

    async def resume(self, pause_id: str, who: str, now: datetime) -> bool:
        """Whether there was such a live pause. What may have waited for its end is due at once."""
        ...

    async def pauses(self, now: datetime) -> tuple[Pause, ...]:
        """The live ones."""
        ...

    async def pause_ended(self, scope: str) -> datetime | None:
        """When a pause of exactly this scope was ended last; None = none was, as far as is on record."""
        ...

    # Observer -------------------------------------------------------------------------------------------------------
    async def revisions(self, cluster: str, workload_uid: str) -> tuple[Revision, ...]: ...

    async def firing_roots(self, cluster: str) -> Mapping[str, frozenset[str]]:
        """Root key (`ObjectRef.key`) -> names of unresolved alerts that a remediation of that root was opened for."""
        ...

    async def save_revisions(self, cluster: str, revisions: Sequence[Revision], now: datetime) -> None: ...

    # Playbooks ------------------------------------------------------------------------------------------------------
    async def last_good(self) -> Mapping[str, str]:
        """Playbook name -> YAML text of its last good version."""
        ...

    async def save_good(self, name: str, text: str, hash: str, now: datetime) -> None: ...  # noqa: A002

    async def forget_good(self, name: str) -> None: ...

    # Outbox (the store half of people/outbox.py) --------------------------------------------------------------------
    async def store_messages(self, messages: Sequence[OutboxMessage], now: datetime) -> None:
        """Messages that no transition caused."""
        ...

    async def message_ref(self, key: str) -> MessageRef | None: ...

    async def keys_of_message(self, ref: MessageRef) -> Sequence[str]:
        """Which keys have this message as their main one now; none = it is not ours, or was succeeded."""
        ...

    async def paged_incident(self, key: str) -> PagedIncident | None:
        """By the key that the pager knows it by; None when nothing was ever sent to it."""
        ...

    async def message_states(self, onces: Sequence[str]) -> Mapping[str, str]:
        """`once` to what became of it (pending, sent, failed, superseded); one that was never stored is left out."""
        ...

    async def knows_key(self, key: str) -> bool:
        """Whether something of this key was sent as a main message, or waits to be."""
        ...

    async def outbox_pending(self) -> int:
        """Messages that wait to be sent."""
        ...

    async def letters(self, since: datetime) -> Sequence[Letters]:
        """Every channel of the outbox that has rows waiting, or given up since then."""
        ...

    # Housekeeping ---------------------------------------------------------------------------------------------------
    async def purge(self, now: datetime) -> Mapping[str, int]:
        """Retention: alert keys 7 days after resolve or 30 days after last seen, bodies 7 d, events 90 d, effects 400
        d;
        keeps what idempotency and limits still need. Returns rows removed per table."""
        ...

    async def ping(self) -> None:
        """Raises JournalUnavailable unless the store can commit."""
        ...

    async def close(self) -> None: ...
