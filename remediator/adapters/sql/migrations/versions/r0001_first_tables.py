"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("latest_start_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("latest", sa.Boolean(), nullable=False),
        sa.Column("undecided_at", sa.BigInteger(), nullable=True),
        sa.Column("verdict", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("remediation_id", sa.Text(), nullable=True),
        sa.Column("episode_id", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_alerts_episode",
        "alerts",
        ["episode_id"],
        sqlite_where=sa.text("episode_id IS NOT NULL"),
        postgresql_where=sa.text("episode_id IS NOT NULL"),
    )
    op.create_index(
        "ix_alerts_open",
        "alerts",
        ["first_seen_at"],
        sqlite_where=sa.text("resolved_at IS NULL"),
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_index(
        "ix_alerts_resolved",
        "alerts",
        ["resolved_at"],
        sqlite_where=sa.text("resolved_at IS NOT NULL"),
        postgresql_where=sa.text("resolved_at IS NOT NULL"),
    )
    op.create_index(
        "ix_alerts_undecided",
        "alerts",
        ["undecided_at"],
        sqlite_where=sa.text("undecided_at IS NOT NULL"),
        postgresql_where=sa.text("undecided_at IS NOT NULL"),
    )
    op.create_index(
        "uq_alerts_latest",
        "alerts",
        ["fingerprint", "cluster"],
        unique=True,
        sqlite_where=sa.text("latest IS 1"),
        postgresql_where=sa.text("latest"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("remediation_id", sa.Text(), nullable=False),
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.Text(), server_default="", nullable=False),
        sa.Column("resource_version", sa.Text(), server_default="", nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=True),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("outcome_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.UniqueConstraint(
            "remediation_id", "effect_id", "number", name="uq_attempts_remediation_id_effect_id_number"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempts_at", "attempts", ["at"])
    op.create_index("ix_attempts_effect_id", "attempts", ["effect_id"])
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.create_table(
        "episodes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("root_key", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("ladders", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_episodes"),
    )
    op.create_index(
        "ix_episodes_closed",
        "episodes",
        ["closed_at"],
        sqlite_where=sa.text("closed_at IS NOT NULL"),
        postgresql_where=sa.text("closed_at IS NOT NULL"),
    )
    op.create_index(
        "uq_episodes_open",
        "episodes",
        ["cluster", "root_key"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "events",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("remediation_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), server_default="", nullable=False),
        sa.Column("to_state", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("data", sa.Text(), server_default="{}", nullable=False),
        sa.Column("facts_hash", sa.Text(), nullable=True),
        sa.Column("prev_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("remediation_id", "seq", name="uq_events_remediation_id_seq"),
    )
    op.create_index(
        "ix_events_facts",
        "events",
        ["facts_hash"],
        sqlite_where=sa.text("facts_hash IS NOT NULL"),
        postgresql_where=sa.text("facts_hash IS NOT NULL"),
    )
    op.create_table(
        "facts",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_facts"),
    )
    op.create_index("ix_facts_at", "facts", ["at"])
    op.create_table(
        "locks",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("remediation_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_locks"),
    )
    op.create_index("ix_locks_remediation_id", "locks", ["remediation_id"])
    op.create_table(
        "message_refs",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("ts", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_message_refs"),
    )
    op.create_index("ix_message_refs_at", "message_refs", ["at"])
    op.create_table(
        "outbox",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("once", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outbox_done",
        "outbox",
        ["done_at"],
        sqlite_where=sa.text("done_at IS NOT NULL"),
        postgresql_where=sa.text("done_at IS NOT NULL"),
    )
    op.create_index(
        "ix_outbox_pending",
        "outbox",
        ["channel", "key", "id"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "uq_outbox_once",
        "outbox",
        ["once"],
        unique=True,
        sqlite_where=sa.text("once IS NOT NULL"),
        postgresql_where=sa.text("once IS NOT NULL"),
    )
    op.create_table(
        "pauses",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), server_default="", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pauses"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_pauses_live",
        "pauses",
        ["scope"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "playbooks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("saved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_playbooks"),
    )
    op.create_table(
        "remediations",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("episode_id", sa.Text(), server_default="", nullable=False),
        sa.Column("parent", sa.Text(), server_default="", nullable=False),
        sa.Column("cluster", sa.Text(), server_default="", nullable=False),
        sa.Column("root_key", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.Column("playbook", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("wake_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("holder", sa.Text(), server_default="", nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("had_effect", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("doc", sa.LargeBinary(), nullable=False),
        sa.Column("event_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("event_hash", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_remediations"),
        sa.UniqueConstraint("id", name="uq_remediations_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_remediations_created", "remediations", ["cluster", "created_at"])
    op.create_index(
        "ix_remediations_ended",
        "remediations",
        ["ended_at"],
        sqlite_where=sa.text("ended_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_index("ix_remediations_episode", "remediations", ["episode_id"])
    op.create_index("ix_remediations_playbook", "remediations", ["playbook", "seq"])
    op.create_index("ix_remediations_state", "remediations", ["state", "seq"])
    op.create_index(
        "ix_remediations_unfinished",
        "remediations",
        ["cluster", "root_key"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_remediations_wake",
        "remediations",
        ["wake_at"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "uq_remediations_received",
        "remediations",
        ["cluster", "root_key"],
        unique=True,
        sqlite_where=sa.text("state = 'received' AND root_key <> ''"),
        postgresql_where=sa.text("state = 'received' AND root_key <> ''"),
    )
    op.create_table(
        "reservations",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("remediation_id", sa.Text(), nullable=False),
        sa.Column("held_by", sa.Text(), nullable=False),
        sa.Column("episode_id", sa.Text(), server_default="", nullable=False),
        sa.Column("playbook", sa.Text(), server_default="", nullable=False),
        sa.Column("cluster", sa.Text(), server_default="", nullable=False),
        sa.Column("namespace", sa.Text(), server_default="", nullable=False),
        sa.Column("target_key", sa.Text(), server_default="", nullable=False),
        sa.Column("direction", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("refunded_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
    )
    op.create_index("ix_reservations_at", "reservations", ["at"])
    op.create_index(
        "ix_reservations_released",
        "reservations",
        ["released_at"],
        sqlite_where=sa.text("released_at IS NOT NULL"),
        postgresql_where=sa.text("released_at IS NOT NULL"),
    )
    op.create_index("ix_reservations_remediation_id", "reservations", ["remediation_id"])
    op.create_index(
        "ix_reservations_running",
        "reservations",
        ["held_by"],
        sqlite_where=sa.text("released_at IS NULL"),
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.create_table(
        "revisions",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("workload_uid", sa.Text(), nullable=False),
        sa.Column("template_hash", sa.Text(), nullable=False),
        sa.Column("available_since_at", sa.BigInteger(), nullable=True),
        sa.Column("available_until_at", sa.BigInteger(), nullable=True),
        sa.Column("healthy", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("known_bad", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("alerts", sa.Text(), server_default="[]", nullable=False),
        sa.Column("saved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_revisions"),
        sa.UniqueConstraint(
            "cluster", "workload_uid", "template_hash", name="uq_revisions_cluster_workload_uid_template_hash"
        ),
    )
    op.execute("INSERT INTO counters (name, value) VALUES ('epoch', 0)")
