"""Who is who on a JupyterHub: a Hub user's name, the account it stands for, and when the Hub made it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "hub_user",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("user_id", BigId, sa.ForeignKey("jhe_user.id", ondelete="CASCADE"), nullable=False),
        sa.Column("made", sa.String(40), nullable=True),
        sa.Column("linked", sa.BigInteger(), nullable=False),
    )
    op.create_index("hub_user_user", "hub_user", ["user_id"])
