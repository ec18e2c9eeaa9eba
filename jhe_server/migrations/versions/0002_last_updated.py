"""When organizations, data sources and practitioners last changed: FHIR resources say so and are ordered by it."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What is there already counts as changed now."""
    now = str(time.time_ns() // 1000)
    for table in ("organization", "data_source", "practitioner"):
        op.add_column(table, sa.Column("last_updated", sa.BigInteger(), nullable=False, server_default=sa.text(now)))
