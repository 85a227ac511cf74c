"""The tables. Migrations create them (migrations/versions); a test holds both to the same shape.

Times are integer microseconds since 1970 UTC (`*_at`): they compare, index and bind the same on every database. JSON is
text. Rows are found by integer keys where the database may choose them: SQLite writes WITHOUT ROWID tables on hash-like
keys six times slower. Partial unique indexes carry the promises that must hold even if our code is wrong.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Serial = BigInteger().with_variant(Integer, "sqlite")
"""SQLite fills in only a key that is declared INTEGER."""


def _text(name: str, *, default: str | None = "") -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _time(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _maybe_time(name: str) -> Column[int | None]:
    return Column(name, BigInteger, nullable=True)


alerts = Table(
    "alerts",
    metadata,
    Column("id", Serial, primary_key=True),
    _text("cluster", default=None),
    _text("fingerprint", default=None),
    _text("source"),
    _text("name"),
    _time("starts_at"),
    # The newest startsAt that was seen in this interval: a resolve of an earlier firing must not close it.
    _time("latest_start_at"),
    _maybe_time("ends_at"),
    _time("first_seen_at"),
    _time("last_seen_at"),
    _maybe_time("resolved_at"),
    # False once a later interval of the same fingerprint exists.
    Column("latest", Boolean, nullable=False),
    # NULL = decided. Otherwise from when on it is to be decided.
    _maybe_time("undecided_at"),
    _text("verdict"),
    _text("detail"),
    Column("remediation_id", Text),
    Column("episode_id", Text),
    # JSON of labels, annotations, generator URL and group key; NULL once retention took it.
    Column("body", Text),
    sqlite_autoincrement=True,  # ids stand in remediations: they must never be used twice
)
# One interval per fingerprint is the latest, and only the latest may be open: this is the identity of an alert. The
# fingerprint is what the source says, so it means nothing across sources.
Index(
    "uq_alerts_latest",
    alerts.c.fingerprint,
    alerts.c.cluster,
    alerts.c.source,
    unique=True,
    sqlite_where=text("latest IS 1"),
    postgresql_where=text("latest"),
)
Index(
    "ix_alerts_undecided",
    alerts.c.undecided_at,
    sqlite_where=alerts.c.undecided_at.is_not(None),
    postgresql_where=alerts.c.undecided_at.is_not(None),
)
# For retention and for closing episodes. None of them is written when a known alert is sent again.
Index(
    "ix_alerts_resolved",
    alerts.c.resolved_at,
    sqlite_where=alerts.c.resolved_at.is_not(None),
    postgresql_where=alerts.c.resolved_at.is_not(None),
)
Index(
    "ix_alerts_open",
    alerts.c.first_seen_at,
    sqlite_where=alerts.c.resolved_at.is_(None),
    postgresql_where=alerts.c.resolved_at.is_(None),
)
Index(
    "ix_alerts_episode",
    alerts.c.episode_id,
    sqlite_where=alerts.c.episode_id.is_not(None),
    postgresql_where=alerts.c.episode_id.is_not(None),
)

episodes = Table(
    "episodes",
    metadata,
    Column("id", Text, primary_key=True),
    _text("cluster", default=None),
    _text("root_key", default=None),
    _time("opened_at"),
    _maybe_time("closed_at"),
    Column("ladders", Integer, nullable=False, server_default="0"),
)
Index(
    "uq_episodes_open",
    episodes.c.cluster,
    episodes.c.root_key,
    unique=True,
    sqlite_where=episodes.c.closed_at.is_(None),
    postgresql_where=episodes.c.closed_at.is_(None),
)

Index(
    "ix_episodes_closed",
    episodes.c.closed_at,
    sqlite_where=episodes.c.closed_at.is_not(None),
    postgresql_where=episodes.c.closed_at.is_not(None),
)

storms = Table(
    "storms",
    metadata,
    Column("id", Text, primary_key=True),
    _text("cluster", default=None),
    _time("opened_at"),
    _time("peak_at"),
    # At most so many within one window, and how many would have been no storm.
    Column("targets", Integer, nullable=False),
    Column("most", Integer, nullable=False),
    # JSON lists: ids of remediations, oldest first; chat channels that it was said in.
    _text("members", default="[]"),
    _text("channels", default="[]"),
    # The pager's service that was called.
    _text("service"),
    _text("shown"),
    Column("version", Integer, nullable=False),
    _maybe_time("closed_at"),
)
# One at a time in a cluster, however many replicas see it begin.
Index(
    "uq_storms_open",
    storms.c.cluster,
    unique=True,
    sqlite_where=storms.c.closed_at.is_(None),
    postgresql_where=storms.c.closed_at.is_(None),
)

remediations = Table(
    "remediations",
    metadata,
    Column("seq", Serial, primary_key=True),
    _text("id", default=None),
    _text("episode_id"),
    _text("parent"),
    _text("cluster"),
    _text("root_key"),
    _text("state", default=None),
    _text("outcome"),
    _text("playbook"),
    _text("reason"),
    # The earlier of due and deadline; NULL = only an event from outside moves it.
    _maybe_time("wake_at"),
    _time("created_at"),
    _maybe_time("ended_at"),
    Column("version", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    _text("holder"),
    _maybe_time("lease_until"),
    # Whether it, or a rung before it, altered the world, or may have.
    Column("had_effect", Boolean, nullable=False, server_default=false()),
    # The whole value, as state.dump writes it.
    Column("doc", LargeBinary, nullable=False),
    Column("event_seq", Integer, nullable=False, server_default="0"),
    _text("event_hash"),
    # Empty = an alert; otherwise who or what began it.
    _text("cause"),
    UniqueConstraint("id"),
    sqlite_autoincrement=True,
)
Index(
    "ix_remediations_wake",
    remediations.c.wake_at,
    sqlite_where=remediations.c.ended_at.is_(None),
    postgresql_where=remediations.c.ended_at.is_(None),
)
Index(
    "ix_remediations_unfinished",
    remediations.c.cluster,
    remediations.c.root_key,
    sqlite_where=remediations.c.ended_at.is_(None),
    postgresql_where=remediations.c.ended_at.is_(None),
)
Index(
    "uq_remediations_received",
    remediations.c.cluster,
    remediations.c.root_key,
    unique=True,
    sqlite_where=text("state = 'received' AND root_key <> ''"),
    postgresql_where=text("state = 'received' AND root_key <> ''"),
)
Index("ix_remediations_episode", remediations.c.episode_id)
Index("ix_remediations_created", remediations.c.cluster, remediations.c.created_at)
Index("ix_remediations_state", remediations.c.state, remediations.c.seq)
Index("ix_remediations_playbook", remediations.c.playbook, remediations.c.seq)
Index(
    "ix_remediations_ended",
    remediations.c.ended_at,
    sqlite_where=remediations.c.ended_at.is_not(None),
    postgresql_where=remediations.c.ended_at.is_not(None),
)

events = Table(
    "events",
    metadata,
    Column("id", Serial, primary_key=True),
    _text("remediation_id", default=None),
    Column("seq", Integer, nullable=False),
    _time("at"),
    _text("type", default=None),
    _text("from_state"),
    _text("to_state"),
    _text("reason"),
    _text("data", default="{}"),
    Column("facts_hash", Text),
    _text("prev_hash"),
    _text("hash", default=None),
    UniqueConstraint("remediation_id", "seq"),
)
Index(
    "ix_events_facts",
    events.c.facts_hash,
    sqlite_where=events.c.facts_hash.is_not(None),
    postgresql_where=events.c.facts_hash.is_not(None),
)

facts = Table(
    "facts",
    metadata,
    Column("hash", Text, primary_key=True),
    _time("at"),
    _text("json", default=None),
)
Index("ix_facts_at", facts.c.at)

locks = Table(
    "locks",
    metadata,
    Column("key", Text, primary_key=True),
    _text("remediation_id", default=None),
)
Index("ix_locks_remediation_id", locks.c.remediation_id)

reservations = Table(
    "reservations",
    metadata,
    Column("id", Serial, primary_key=True),
    # Who took the token.
    _text("remediation_id", default=None),
    # Who has the slot now: the same, or the rung that it was passed to.
    _text("held_by", default=None),
    _text("episode_id"),
    _text("playbook"),
    _text("cluster"),
    _text("namespace"),
    _text("target_key"),
    _text("direction"),
    _time("at"),
    _maybe_time("released_at"),
    _maybe_time("refunded_at"),
    # Failure domains that it touches, separated by line feeds; none of them holds one.
    _text("domains"),
)
Index(
    "ix_reservations_running",
    reservations.c.held_by,
    sqlite_where=reservations.c.released_at.is_(None),
    postgresql_where=reservations.c.released_at.is_(None),
)
Index(
    "ix_reservations_released",
    reservations.c.released_at,
    sqlite_where=reservations.c.released_at.is_not(None),
    postgresql_where=reservations.c.released_at.is_not(None),
)
Index("ix_reservations_at", reservations.c.at)
Index("ix_reservations_remediation_id", reservations.c.remediation_id)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Serial, primary_key=True),
    _text("remediation_id", default=None),
    _text("effect_id", default=None),
    Column("number", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    _text("uid"),
    _text("resource_version"),
    Column("generation", BigInteger),
    _text("verb", default=None),
    _text("kind", default=None),
    _text("namespace"),
    _text("name", default=None),
    _text("content_type"),
    Column("body", LargeBinary, nullable=False),
    _time("at"),
    Column("outcome", Text),
    _text("detail"),
    _maybe_time("outcome_at"),
    _text("subresource"),
    UniqueConstraint("remediation_id", "effect_id", "number"),
    sqlite_autoincrement=True,
)
Index("ix_attempts_effect_id", attempts.c.effect_id)
Index("ix_attempts_at", attempts.c.at)

pauses = Table(
    "pauses",
    metadata,
    Column("id", Serial, primary_key=True),
    _text("scope", default=None),
    _text("who"),
    _text("why"),
    _maybe_time("until_at"),
    _time("created_at"),
    _maybe_time("ended_at"),
    _text("ended_by"),
    sqlite_autoincrement=True,
)
Index(
    "ix_pauses_live",
    pauses.c.scope,
    sqlite_where=pauses.c.ended_at.is_(None),
    postgresql_where=pauses.c.ended_at.is_(None),
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", Serial, primary_key=True),
    _text("cluster", default=None),
    _text("workload_uid", default=None),
    _text("template_hash", default=None),
    _maybe_time("available_since_at"),
    _maybe_time("available_until_at"),
    Column("healthy", Boolean, nullable=False, server_default=false()),
    Column("known_bad", Boolean, nullable=False, server_default=false()),
    _text("alerts", default="[]"),
    _time("saved_at"),
    UniqueConstraint("cluster", "workload_uid", "template_hash"),
)

playbooks = Table(
    "playbooks",
    metadata,
    Column("name", Text, primary_key=True),
    _text("text", default=None),
    _text("hash", default=None),
    _time("saved_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True),
    _text("channel", default=None),
    _text("destination", default=None),
    _text("key", default=None),
    _text("kind", default=None),
    _text("payload", default=None),
    Column("once", Text),
    Column("tries", Integer, nullable=False, server_default="0"),
    _time("due_at"),
    _time("created_at"),
    # pending, sent, failed, superseded
    _text("state", default="pending"),
    _maybe_time("done_at"),
    _text("error"),
    sqlite_autoincrement=True,
)
Index(
    "ix_outbox_pending",
    outbox.c.channel,
    outbox.c.key,
    outbox.c.id,
    sqlite_where=text("state = 'pending'"),
    postgresql_where=text("state = 'pending'"),
)
Index(
    "ix_outbox_done",
    outbox.c.done_at,
    sqlite_where=outbox.c.done_at.is_not(None),
    postgresql_where=outbox.c.done_at.is_not(None),
)
Index(
    "uq_outbox_once",
    outbox.c.once,
    unique=True,
    sqlite_where=outbox.c.once.is_not(None),
    postgresql_where=outbox.c.once.is_not(None),
)
# The newest state of a key, whatever became of its row.
Index("ix_outbox_key", outbox.c.key, outbox.c.id)
Index(
    "ix_outbox_failed",
    outbox.c.channel,
    outbox.c.done_at,
    sqlite_where=text("state = 'failed'"),
    postgresql_where=text("state = 'failed'"),
)

outbox_holds = Table(
    "outbox_holds",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    _text("holder", default=None),
    _time("until_at"),
)
"""Which worker sends something of a key just now. A row is deleted when the worker says how it went."""

message_refs = Table(
    "message_refs",
    metadata,
    Column("key", Text, primary_key=True),
    _text("channel", default=None),
    _text("ts", default=None),
    _time("at"),
)

Index("ix_message_refs_at", message_refs.c.at)
# A click says where its message is, not which one it is.
Index("ix_message_refs_ts", message_refs.c.ts)

escalations = Table(
    "escalations",
    metadata,
    Column("id", Text, primary_key=True),
    _text("episode_id", default=None),
    # The whole ladder, as JSON.
    _text("doc", default=None),
    Column("version", Integer, nullable=False),
    _maybe_time("ended_at"),
)
# One at a time for an episode, however many replicas see that a person is needed.
Index(
    "uq_escalations_open",
    escalations.c.episode_id,
    unique=True,
    sqlite_where=escalations.c.ended_at.is_(None),
    postgresql_where=escalations.c.ended_at.is_(None),
)
Index("ix_escalations_episode_id", escalations.c.episode_id)
Index(
    "ix_escalations_ended",
    escalations.c.ended_at,
    sqlite_where=escalations.c.ended_at.is_not(None),
    postgresql_where=escalations.c.ended_at.is_not(None),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", Serial, primary_key=True),
    _text("source", default=None),
    _text("key", default=None),
    # JSON; `null` once it is dealt with.
    _text("body", default=None),
    Column("tries", Integer, nullable=False, server_default="0"),
    _time("received_at"),
    _time("due_at"),
    _maybe_time("done_at"),
    # One line: how it ended, or why not yet.
    _text("result"),
    # Said twice, stored once: for as long as the row is kept.
    UniqueConstraint("source", "key"),
    sqlite_autoincrement=True,
)
Index(
    "ix_inbox_due",
    inbox.c.due_at,
    sqlite_where=inbox.c.done_at.is_(None),
    postgresql_where=inbox.c.done_at.is_(None),
)
Index(
    "ix_inbox_done",
    inbox.c.done_at,
    sqlite_where=inbox.c.done_at.is_not(None),
    postgresql_where=inbox.c.done_at.is_not(None),
)

incidents = Table(
    "incidents",
    metadata,
    # The deduplication key that the pager knows it by.
    Column("key", Text, primary_key=True),
    # When it last took our word that somebody is needed, and that all is well.
    _maybe_time("rang_at"),
    _maybe_time("resolved_at"),
)

schedules = Table(
    "schedules",
    metadata,
    Column("playbook", Text, primary_key=True),
    # Cron and zone as one text: another rule begins anew.
    Column("rule", Text, primary_key=True),
    # Every time of it up to this one is dealt with.
    _time("settled_at"),
)

schedule_runs = Table(
    "schedule_runs",
    metadata,
    # One row for each time of a playbook, however many replicas see it come: this is what makes it start once.
    Column("playbook", Text, primary_key=True),
    Column("due_at", BigInteger, primary_key=True),
    _time("at"),
    # NULL = it was skipped, and `detail` says why.
    Column("remediation_id", Text),
    _text("detail"),
)
Index("ix_schedule_runs_due", schedule_runs.c.due_at)

reverts = Table(
    "reverts",
    metadata,
    # What has left something behind for a time. Which fields these are is in its document.
    Column("remediation_id", Text, primary_key=True),
    _time("at"),
    # Since when its alerts are proven quiet, without a gap in looking; NULL = they are not.
    _maybe_time("quiet_since"),
    _maybe_time("looked_at"),
    # Once it is dealt with: by which remediation, or why by none.
    _maybe_time("settled_at"),
    Column("revert_id", Text),
    _text("detail"),
)
Index(
    "ix_reverts_waiting",
    reverts.c.at,
    sqlite_where=reverts.c.settled_at.is_(None),
    postgresql_where=reverts.c.settled_at.is_(None),
)

holds = Table(
    "holds",
    metadata,
    # An effect that keeps a GitOps controller from correcting drift. What takes it back is in its remediation.
    Column("effect_id", Text, primary_key=True),
    Column("remediation_id", Text, nullable=False),
    _time("at"),
    # When people were told that it has lasted for too long.
    _maybe_time("told_at"),
    # The newest remediation that was to end it.
    Column("release_id", Text),
    # Once it is dealt with, and why.
    _maybe_time("settled_at"),
    _text("detail"),
)
Index(
    "ix_holds_waiting",
    holds.c.at,
    sqlite_where=holds.c.settled_at.is_(None),
    postgresql_where=holds.c.settled_at.is_(None),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""`epoch`: the last fencing epoch given out."""
