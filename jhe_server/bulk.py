"""Many rows written at once, by each driver's own quick way: ids reserved beforehand, then `executemany` or COPY.

For tables that take thousands of rows in one transaction; SQLAlchemy's own insert costs several times as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from .db import Base


def reserve_ids(session: Session, row: type[Base], number: int) -> Sequence[int]:
    """Ids nobody else gets, in a row: writers are serialised, and `insert_many` uses them at once."""
    table = row.__tablename__
    if session.get_bind().dialect.name == "sqlite":
        known = session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table})
        assert known is not None, "the first migration says where the ids of every table begin"
        return range(known + 1, known + 1 + number)
    sequence = text("SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, :number)")
    return list(session.scalars(sequence, {"table": table, "number": number}))


def insert_many(session: Session, row: type[Base], columns: Sequence[str], values: Iterable[tuple[Any, ...]]) -> None:
    """Insert tuples whose values are as the store keeps them (moments in microseconds)."""
    rows, connection = list(values), session.connection()
    if not rows:
        return
    quoted = ", ".join(f'"{name}"' for name in columns)
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" for _ in columns)
        connection.exec_driver_sql(f'INSERT INTO "{row.__tablename__}" ({quoted}) VALUES ({places})', rows)  # noqa: S608
        return
    _copy(connection, f'COPY "{row.__tablename__}" ({quoted}) FROM STDIN', rows)


def _copy(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """SQLAlchemy knows no COPY; what the driver complains of is told as SQLAlchemy tells it."""
    driver: Any = connection.connection
    base = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for one in rows:
                copy.write_row(one)
    except base as error:
        raise DBAPIError.instance(statement, None, error, base, dialect=connection.dialect) from error
