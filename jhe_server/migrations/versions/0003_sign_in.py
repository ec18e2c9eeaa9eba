"""Sign-in and OAuth2: families of tokens, authorization codes, practitioners' keys, browser sessions, links."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _user() -> sa.Column[int]:
    return sa.Column("user_id", BigId, sa.ForeignKey("jhe_user.id", ondelete="CASCADE"), nullable=False)


def _time(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _text(
    name: str, length: int, nullable: bool = False, primary_key: bool = False, unique: bool = False
) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable, primary_key=primary_key, unique=unique or None)


def upgrade() -> None:
    _oauth()
    _accounts()


def _oauth() -> None:
    op.create_table(
        "token_family",
        sa.Column("id", BigId, sa.Identity(always=False), primary_key=True),
        _user(),
        _text("client_id", 200),
        _text("scope", 200),
        _time("created"),
        _time("expires"),
        _time("last_used"),
        _time("ended", nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("token_family_user", "token_family", ["user_id"])
    kind = "INTEGER" if op.get_context().dialect.name == "sqlite" else "BIGINT"
    op.execute(f"ALTER TABLE token ADD COLUMN family_id {kind} REFERENCES token_family (id)")
    op.create_index("token_family_of", "token", ["family_id"])
    family = sa.ForeignKey("token_family.id", ondelete="CASCADE")
    op.create_table(
        "refresh_token",
        _text("token_hash", 64, primary_key=True),
        sa.Column("family_id", BigId, family, nullable=False),
        _time("created"),
        _time("expires"),
        _time("used", nullable=True),
    )
    op.create_index("refresh_token_family", "refresh_token", ["family_id"])
    op.create_table(
        "authorization_code",
        _text("code_hash", 64, primary_key=True),
        _user(),
        _text("client_id", 200),
        _text("redirect_uri", 2000),
        _text("scope", 200),
        _text("challenge", 128),
        _text("nonce", 300, nullable=True),
        sa.Column("invitation_id", BigId, sa.ForeignKey("invitation.id", ondelete="CASCADE"), nullable=True),
        _time("expires"),
        _time("used", nullable=True),
        sa.Column("family_id", BigId, sa.ForeignKey("token_family.id", ondelete="CASCADE"), nullable=True),
    )
    op.create_index("authorization_code_invitation", "authorization_code", ["invitation_id"])
    op.create_table(
        "practitioner_client",
        sa.Column("id", BigId, sa.Identity(always=False), primary_key=True),
        _user(),
        _text("name", 200),
        _text("client_id", 200, unique=True),
        _text("secret_hash", 64),
        _time("created"),
        sqlite_autoincrement=True,
    )
    op.create_index("practitioner_client_user", "practitioner_client", ["user_id"])


def _accounts() -> None:
    op.create_table(
        "browser_session",
        _text("session_hash", 64, primary_key=True),
        _user(),
        _time("created"),
        _time("expires"),
    )
    op.create_index("browser_session_user", "browser_session", ["user_id"])
    op.create_table("password_link", _text("link_hash", 64, primary_key=True), _user(), _time("expires"))
    op.create_index("password_link_user", "password_link", ["user_id"])
    op.create_table(
        "attempt",
        _text("whose", 64, primary_key=True),
        sa.Column("minute", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
    )
