"""The first schema: every table, the first ids, the root organization, and what makes records append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# SQLite continues from the number before; PostgreSQL's identities carry their start themselves.
BEFORE_FIRST = {
    "jhe_user": 10_000,
    "organization": 20_000,
    "study": 30_000,
    "patient": 40_000,
    "code": 50_000,
    "observation": 60_000,
    "data_source": 70_000,
    "practitioner": 80_000,
}
APPEND_ONLY = {"audit": "seq", "audit_subject": "seq, kind, first_id", "consent_ledger": "seq"}


def upgrade() -> None:
    _tables()
    organization = sa.table("organization", *(sa.column(name) for name in ("id", "name", "type", "part_of")))
    op.execute(organization.insert().values(id=0, name="ROOT", type="root", part_of=None))
    if op.get_context().dialect.name == "sqlite":
        _count_from()
        _protect_sqlite()
    else:
        _protect_postgresql()


def _count_from() -> None:
    for table, before in BEFORE_FIRST.items():
        op.execute(f"DELETE FROM sqlite_sequence WHERE name = '{table}'")  # noqa: S608
        op.execute(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {before})")  # noqa: S608


def _protect_sqlite() -> None:
    """No change, no deletion, and no replacement (which SQLite would otherwise do without either trigger)."""
    for table, key in APPEND_ONLY.items():
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for verb in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {refuse}")
        same = " AND ".join(f"{column} = NEW.{column}" for column in key.split(", "))
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) {refuse}"
        )


def _protect_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION jhe_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION jhe_append_only()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION jhe_append_only()"
        )


def downgrade() -> None:
    raise NotImplementedError("There is nothing before the first schema; restore a backup instead.")


def _tables() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", BigId, autoincrement=False, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", BigId, nullable=True),
        sa.Column("via", sa.String(length=16), nullable=False),
        sa.Column("verb", sa.String(length=60), nullable=False),
        sa.Column("patient_id", BigId, nullable=True),
        sa.Column("study_id", BigId, nullable=True),
        sa.Column("organization_id", BigId, nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("count", BigId, nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("address", sa.String(length=60), nullable=True),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("audit_actor", "audit", ["actor_id", "verb", "time"], unique=False)
    op.create_index("audit_organization", "audit", ["organization_id", "seq"], unique=False)
    op.create_index("audit_patient", "audit", ["patient_id", "seq"], unique=False)
    op.create_table(
        "audit_subject",
        sa.Column("seq", BigId, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("first_id", BigId, autoincrement=False, nullable=False),
        sa.Column("last_id", BigId, nullable=False),
        sa.PrimaryKeyConstraint("seq", "kind", "first_id"),
    )
    op.create_index("audit_subject_run", "audit_subject", ["kind", "first_id", "last_id"], unique=False)
    op.create_table(
        "change",
        sa.Column("seq", BigId, autoincrement=False, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("concept", sa.String(length=40), nullable=False),
        sa.Column("id", BigId, nullable=False),
        sa.Column("organization_id", BigId, nullable=True),
        sa.Column("patient_id", BigId, nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("change_organization", "change", ["organization_id", "seq"], unique=False)
    op.create_table(
        "code",
        sa.Column("id", BigId, sa.Identity(always=False, start=50001), nullable=False),
        sa.Column("coding_system", sa.String(length=1000), nullable=False),
        sa.Column("coding_code", sa.String(length=200), nullable=False),
        sa.Column("text", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("code_unique", "code", ["coding_system", "coding_code"], unique=True)
    op.create_table(
        "consent_ledger",
        sa.Column("seq", BigId, sa.Identity(always=False), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("study_id", BigId, nullable=False),
        sa.Column("patient_id", BigId, nullable=True),
        sa.Column("code_id", BigId, nullable=True),
        sa.Column("decision", sa.String(length=10), nullable=False),
        sa.Column("actor_id", BigId, nullable=False),
        sa.Column("on_behalf_of", BigId, nullable=True),
        sa.Column("reason", sa.String(length=1000), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("consent_ledger_patient", "consent_ledger", ["patient_id", "seq"], unique=False)
    op.create_index("consent_ledger_study", "consent_ledger", ["study_id", "seq"], unique=False)
    op.create_table(
        "data_source",
        sa.Column("id", BigId, sa.Identity(always=False, start=70001), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "jhe_user",
        sa.Column("id", BigId, sa.Identity(always=False, start=10001), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=False),
        sa.Column("first_name", sa.String(length=200), nullable=False),
        sa.Column("last_name", sa.String(length=200), nullable=False),
        sa.Column("user_type", sa.String(length=16), nullable=False),
        sa.Column("is_superuser", sa.Boolean(), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "oauth_client",
        sa.Column("id", BigId, sa.Identity(always=False, start=1), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("client_id", sa.String(length=200), nullable=False),
        sa.Column("invitation_url", sa.String(length=2000), nullable=True),
        sa.Column("redirect_uris", sa.Text(), nullable=False),
        sa.Column("confidential", sa.Boolean(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("client_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "organization",
        sa.Column("id", BigId, sa.Identity(always=False, start=20001), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("part_of", BigId, nullable=True),
        sa.ForeignKeyConstraint(
            ["part_of"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("organization_part_of", "organization", ["part_of"], unique=False)
    op.create_table(
        "data_source_code",
        sa.Column("data_source_id", BigId, nullable=False),
        sa.Column("code_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(
            ["code_id"],
            ["code.id"],
        ),
        sa.ForeignKeyConstraint(
            ["data_source_id"],
            ["data_source.id"],
        ),
        sa.PrimaryKeyConstraint("data_source_id", "code_id"),
    )
    op.create_table(
        "oauth_client_data_source",
        sa.Column("oauth_client_id", BigId, nullable=False),
        sa.Column("data_source_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(
            ["data_source_id"],
            ["data_source.id"],
        ),
        sa.ForeignKeyConstraint(
            ["oauth_client_id"],
            ["oauth_client.id"],
        ),
        sa.PrimaryKeyConstraint("oauth_client_id", "data_source_id"),
    )
    op.create_table(
        "patient",
        sa.Column("id", BigId, sa.Identity(always=False, start=40001), nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("name_family", sa.String(length=200), nullable=False),
        sa.Column("name_given", sa.String(length=200), nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=False),
        sa.Column("telecom_phone", sa.String(length=1000), nullable=True),
        sa.Column("last_updated", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["jhe_user.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("patient_name", "patient", ["name_family", "name_given"], unique=False)
    op.create_table(
        "practitioner",
        sa.Column("id", BigId, sa.Identity(always=False, start=80001), nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["jhe_user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "practitioner_organization",
        sa.Column("organization_id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["jhe_user.id"],
        ),
        sa.PrimaryKeyConstraint("organization_id", "user_id"),
    )
    op.create_index("practitioner_organization_user", "practitioner_organization", ["user_id"], unique=False)
    op.create_table(
        "study",
        sa.Column("id", BigId, sa.Identity(always=False, start=30001), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("organization_id", BigId, nullable=False),
        sa.Column("icon_url", sa.String(length=2000), nullable=True),
        sa.Column("contact", sa.String(length=1000), nullable=True),
        sa.Column("data_after_withdrawal", sa.String(length=4), nullable=False),
        sa.Column("last_updated", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("study_organization", "study", ["organization_id"], unique=False)
    op.create_table(
        "token",
        sa.Column("id", BigId, sa.Identity(always=False), nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("via", sa.String(length=16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["jhe_user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("token_user", "token", ["user_id"], unique=False)
    op.create_table(
        "invitation",
        sa.Column("id", BigId, sa.Identity(always=False), nullable=False),
        sa.Column("patient_id", BigId, nullable=False),
        sa.Column("oauth_client_id", BigId, nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("email", sa.String(length=300), nullable=True),
        sa.Column("issued_by", BigId, nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("last_updated", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["oauth_client_id"],
            ["oauth_client.id"],
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"],
            ["patient.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("invitation_patient", "invitation", ["patient_id"], unique=False)
    op.create_table(
        "observation",
        sa.Column("id", BigId, sa.Identity(always=False, start=60001), nullable=False),
        sa.Column("patient_id", BigId, nullable=False),
        sa.Column("code_id", BigId, nullable=False),
        sa.Column("data_source_id", BigId, nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("effective_start", sa.BigInteger(), nullable=True),
        sa.Column("effective_end", sa.BigInteger(), nullable=True),
        sa.Column("utc_offset_minutes", sa.SmallInteger(), nullable=True),
        sa.Column("modality", sa.String(length=20), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("last_updated", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["code_id"],
            ["code.id"],
        ),
        sa.ForeignKeyConstraint(
            ["data_source_id"],
            ["data_source.id"],
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"],
            ["patient.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("observation_patient", "observation", ["patient_id", "code_id", "effective_start"], unique=False)
    op.create_index("observation_updated", "observation", ["last_updated", "id"], unique=False)
    op.create_table(
        "patient_identifier",
        sa.Column("id", BigId, sa.Identity(always=False), nullable=False),
        sa.Column("patient_id", BigId, nullable=False),
        sa.Column("system", sa.String(length=1000), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["patient_id"],
            ["patient.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("patient_identifier_patient", "patient_identifier", ["patient_id"], unique=False)
    op.create_index("patient_identifier_unique", "patient_identifier", ["system", "value"], unique=True)
    op.create_index("patient_identifier_value", "patient_identifier", ["value"], unique=False)
    op.create_table(
        "patient_organization",
        sa.Column("organization_id", BigId, nullable=False),
        sa.Column("patient_id", BigId, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"],
            ["patient.id"],
        ),
        sa.PrimaryKeyConstraint("organization_id", "patient_id"),
    )
    op.create_index(
        "patient_organization_patient", "patient_organization", ["patient_id", "organization_id"], unique=False
    )
    op.create_table(
        "study_client",
        sa.Column("study_id", BigId, nullable=False),
        sa.Column("oauth_client_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(
            ["oauth_client_id"],
            ["oauth_client.id"],
        ),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["study.id"],
        ),
        sa.PrimaryKeyConstraint("study_id", "oauth_client_id"),
    )
    op.create_table(
        "study_code",
        sa.Column("study_id", BigId, nullable=False),
        sa.Column("code_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(
            ["code_id"],
            ["code.id"],
        ),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["study.id"],
        ),
        sa.PrimaryKeyConstraint("study_id", "code_id"),
    )
    op.create_table(
        "study_data_source",
        sa.Column("study_id", BigId, nullable=False),
        sa.Column("data_source_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(
            ["data_source_id"],
            ["data_source.id"],
        ),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["study.id"],
        ),
        sa.PrimaryKeyConstraint("study_id", "data_source_id"),
    )
    op.create_table(
        "study_patient",
        sa.Column("study_id", BigId, nullable=False),
        sa.Column("patient_id", BigId, nullable=False),
        sa.Column("enrolled", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["patient_id"],
            ["patient.id"],
        ),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["study.id"],
        ),
        sa.PrimaryKeyConstraint("study_id", "patient_id"),
    )
    op.create_index("study_patient_patient", "study_patient", ["patient_id", "study_id"], unique=False)
    op.create_table(
        "consent",
        sa.Column("study_id", BigId, nullable=False),
        sa.Column("patient_id", BigId, nullable=False),
        sa.Column("code_id", BigId, nullable=False),
        sa.Column("consented", sa.Boolean(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", BigId, nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=True),
        sa.ForeignKeyConstraint(
            ["study_id", "code_id"], ["study_code.study_id", "study_code.code_id"], ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["study_id", "patient_id"], ["study_patient.study_id", "study_patient.patient_id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study_id", "patient_id", "code_id"),
    )
    op.create_index("consent_patient", "consent", ["patient_id", "code_id", "study_id", "consented"], unique=False)
    op.create_table(
        "observation_identifier",
        sa.Column("system", sa.String(length=1000), nullable=False),
        sa.Column("value", sa.String(length=1000), nullable=False),
        sa.Column("observation_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(["observation_id"], ["observation.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("system", "value"),
    )
    op.create_index("observation_identifier_observation", "observation_identifier", ["observation_id"], unique=False)
    op.create_table(
        "observation_payload",
        sa.Column("observation_id", BigId, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["observation_id"], ["observation.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("observation_id"),
    )
    op.create_table(
        "consent_period",
        sa.Column("study_id", BigId, nullable=False),
        sa.Column("patient_id", BigId, nullable=False),
        sa.Column("code_id", BigId, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["study_id", "patient_id", "code_id"],
            ["consent.study_id", "consent.patient_id", "consent.code_id"],
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study_id", "patient_id", "code_id", "start"),
    )
