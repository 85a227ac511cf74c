"""A fingerprint names an alert of one source."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("uq_alerts_latest", "alerts")
    op.create_index(
        "uq_alerts_latest",
        "alerts",
        ["fingerprint", "cluster", "source"],
        unique=True,
        sqlite_where=sa.text("latest IS 1"),
        postgresql_where=sa.text("latest"),
    )
