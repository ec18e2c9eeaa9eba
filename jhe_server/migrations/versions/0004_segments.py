"""Observations as columns beside their rows: segments, and the list of those in none yet; leaner indexes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Everything is loose at first; whoever opens the store seals it."""
    op.create_table(
        "observation_segment",
        sa.Column("id", BigId, sa.Identity(always=False), primary_key=True),
        sa.Column("patient_id", BigId, sa.ForeignKey("patient.id"), nullable=False),
        sa.Column("code_id", BigId, sa.ForeignKey("code.id"), nullable=False),
        sa.Column("layout", sa.String(32), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("earliest", sa.BigInteger(), nullable=True),
        sa.Column("latest", sa.BigInteger(), nullable=True),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.Column("batch", sa.LargeBinary(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("observation_segment_pair", "observation_segment", ["patient_id", "code_id", "id"])
    op.create_index("observation_segment_layout", "observation_segment", ["code_id", "layout"])
    op.create_table(
        "observation_loose",
        sa.Column("patient_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("code_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("observation_id", BigId, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO observation_loose (patient_id, code_id, observation_id) "
        "SELECT patient_id, code_id, id FROM observation ORDER BY patient_id, code_id, id"
    )
    op.drop_index("observation_updated", "observation")
    op.create_index("observation_updated", "observation", ["last_updated", "id", "patient_id", "code_id"])
    if op.get_bind().dialect.name == "sqlite":
        _identifiers_in_one_tree()


def _identifiers_in_one_tree() -> None:
    """The key is the table: a random identifier is looked up and inserted in one tree instead of two."""
    op.create_table(
        "identifier_in_one_tree",
        sa.Column("system", sa.String(1000), primary_key=True),
        sa.Column("value", sa.String(1000), primary_key=True),
        sa.Column("observation_id", BigId, sa.ForeignKey("observation.id", ondelete="CASCADE"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO identifier_in_one_tree SELECT system, value, observation_id "
        "FROM observation_identifier ORDER BY system, value"
    )
    op.drop_table("observation_identifier")
    op.rename_table("identifier_in_one_tree", "observation_identifier")
    op.create_index("observation_identifier_observation", "observation_identifier", ["observation_id"])
