"""Identifiers of observations are found by a digest: a fifth of the bytes to keep at hand, and to look through."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
AT_ONCE = 10_000


def upgrade() -> None:
    named = op.create_table(
        "identifier_by_digest",
        sa.Column("digest", sa.LargeBinary(16), primary_key=True),
        sa.Column("system", sa.String(1000), nullable=False),
        sa.Column("value", sa.String(1000), nullable=False),
        sa.Column("observation_id", BigId, sa.ForeignKey("observation.id", ondelete="CASCADE"), nullable=False),
    )
    rows = _digested()
    while some := list(islice(rows, AT_ONCE)):
        op.bulk_insert(named, some)
    op.drop_table("observation_identifier")
    op.rename_table("identifier_by_digest", "observation_identifier")
    op.create_index("observation_identifier_observation", "observation_identifier", ["observation_id"])


def _digested() -> Iterator[dict[str, object]]:
    found = op.get_bind().execute(
        sa.text("SELECT system, value, observation_id FROM observation_identifier ORDER BY observation_id"),
        execution_options={"yield_per": AT_ONCE},
    )
    for system, value, observation_id in found:
        digest = blake2b(f"{system}\0{value}".encode(), digest_size=16).digest()
        yield {"digest": digest, "system": system, "value": value, "observation_id": observation_id}
