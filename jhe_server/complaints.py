"""What a store complains of, in the caller's words: one place knows the codes of SQLite and of PostgreSQL.

A store that is gone, starting, full up with connections or locked is no fault of the request: 503, and the same again
later. The pools open new connections by themselves as soon as there is something to connect to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from .errors import Conflict, InsufficientStorage, Invalid, Unavailable

# SQLite calls only ENOSPC full; a quota, or a limit on the size of a file, is a write that failed.
DISK_FULL = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    "53100",
}
# PostgreSQL: connections, operators who stop it, memory and connections that ran out, locks not had in time, deadlocks.
PUT_OFF = ("08", "57P", "53", "55P03", "40", "25P03")
UNREACHABLE = "The Exchange's database does not answer; try again shortly."
UNDECIDED = (
    "The Exchange's database was lost while it was writing this down; see whether it is there before you send it again."
)


@contextmanager
def said_plainly() -> Iterator[None]:
    """The store's own complaints as the errors of `errors.py`; none of them carries a value."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict() from error
    except DataError as error:
        raise Invalid("A value does not fit the column it was meant for.") from error
    except DBAPIError as error:
        if is_full(error.orig):
            raise InsufficientStorage() from error
        if "locked" in str(error.orig) or "busy" in str(error.orig):
            raise Unavailable(headers={"Retry-After": "1"}) from error
        if error.connection_invalidated or is_put_off(error.orig):
            raise Unavailable(UNREACHABLE, headers={"Retry-After": "5"}) from error
        raise
    except NoConnectionFree as error:
        raise Unavailable(headers={"Retry-After": "5"}) from error


@contextmanager
def undecided() -> Iterator[None]:
    """A connection that is lost during the commit leaves open whether there was one."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated or is_put_off(error.orig):
            raise Unavailable(UNDECIDED, headers={"Retry-After": "5"}) from error
        raise


@contextmanager
def opening() -> Iterator[None]:
    """What an operator is told of a store that cannot be opened: the driver's own sentence, which holds no password."""
    try:
        yield
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise Unavailable(f"The database cannot be opened: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The first line of what the driver said, for an operator; never a statement, never a value."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return said[0] if said else type(error).__name__


def is_full(error: BaseException | None) -> bool:
    """Whether the store says that its disk takes no more: SQLite by its code, PostgreSQL by its SQLSTATE."""
    return bool({getattr(error, "sqlite_errorcode", None), getattr(error, "sqlstate", None)} & DISK_FULL)


def is_put_off(error: BaseException | None) -> bool:
    """Whether PostgreSQL could not take this now; what has no SQLSTATE never came as far as the server."""
    state = getattr(error, "sqlstate", "other")
    return str(state).startswith(PUT_OFF) if state is not None else "OperationalError" in _lineage(error)


def _lineage(error: BaseException | None) -> set[str]:
    """By name: a SQLite store has no need of PostgreSQL's driver."""
    return {kind.__name__ for kind in type(error).__mro__}
