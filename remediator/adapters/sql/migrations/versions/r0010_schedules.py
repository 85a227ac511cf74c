"""Schedules: up to when each is dealt with, and what became of each of its times. What began without an alert."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("remediations", sa.Column("cause", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "schedules",
        sa.Column("playbook", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("playbook", "rule", name="pk_schedules"),
    )
    op.create_table(
        "schedule_runs",
        sa.Column("playbook", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("remediation_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("playbook", "due_at", name="pk_schedule_runs"),
    )
    op.create_index("ix_schedule_runs_due", "schedule_runs", ["due_at"])
