"""What the role of the service may do in PostgreSQL: its daily work, and neither rewrite records nor change the schema.

The tables belong to another role, the owner, which only upgrades and backups use. So whoever takes the service over,
or its password, can still not remove a trigger, a row of the audit, or a table.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from .errors import ExchangeError
from .tables import Base

# Written once and never changed: whoever may insert into the audit is a service.
RECORDS = ("audit", "audit_subject", "consent_ledger", "change")
_GRANTED = """
    SELECT DISTINCT grantee::regrole::text FROM pg_class, aclexplode(relacl)
    WHERE oid = to_regclass('audit') AND privilege_type = 'INSERT' AND grantee NOT IN (0, relowner)
"""


def grant(connection: Connection, role: str) -> None:
    """Give a role what the service needs, and take from it whatever else it had.

    Raises:
        ExchangeError: on SQLite, which has no roles; for a role that is not there, or that may act as the owner.
    """
    if connection.dialect.name != "postgresql":
        raise ExchangeError("SQLite has no roles: whoever may open the file may do everything.")
    if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}) is None:
        raise ExchangeError(f"There is no role {role}: let an administrator of the database create it.")
    if acts_as_owner(connection, role):
        raise ExchangeError(f"{role} owns the tables, or may act as their owner: name the role the service runs as.")
    _grant(connection, connection.dialect.identifier_preparer.quote_identifier(role))


def renew(connection: Connection) -> None:
    """Give the services' roles what an upgrade has added."""
    if connection.dialect.name == "postgresql":
        for quoted in connection.scalars(text(_GRANTED)).all():
            _grant(connection, quoted)


def acts_as_owner(connection: Connection, role: str | None = None) -> bool:
    """Whether a role (else the one connected) owns the tables, belongs to their owner, or is a superuser."""
    owns = """SELECT pg_has_role(coalesce(:role, current_user), relowner, 'MEMBER') FROM pg_class
              WHERE oid = to_regclass('alembic_version')"""
    return bool(connection.scalar(text(owns), {"role": role}))


def may_create(connection: Connection, role: str) -> bool:
    """Whether a role may make tables of its own beside ours, as everybody may before PostgreSQL 15."""
    asked = text("SELECT has_schema_privilege(:role, current_schema(), 'CREATE')")
    return bool(connection.scalar(asked, {"role": role}))


def _grant(connection: Connection, quoted: str) -> None:
    schema = connection.scalar(text("SELECT quote_ident(current_schema())"))
    for statement in (
        f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {schema} TO {quoted}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {quoted}",
        f"REVOKE ALL ON alembic_version FROM {quoted}",
        f"GRANT SELECT ON alembic_version TO {quoted}",
    ):
        connection.exec_driver_sql(statement)
    for table in Base.metadata.tables:
        allowed = "SELECT, INSERT" if table in RECORDS else "SELECT, INSERT, UPDATE, DELETE"
        connection.exec_driver_sql(f'REVOKE ALL ON "{table}" FROM {quoted}')
        connection.exec_driver_sql(f'GRANT {allowed} ON "{table}" TO {quoted}')
