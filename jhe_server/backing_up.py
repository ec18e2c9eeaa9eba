"""`jupyter jhe backup`: one file of one moment, taken while the Exchange runs, checked before it gets its name."""

from __future__ import annotations

from pathlib import Path

from . import migrations, portable, staging
from .complaints import opening
from .db import Database
from .errors import Conflict, Invalid
from .operator import recorded
from .portable import Contents


def back_up(url: str, file: Path, replaces: bool = False) -> Contents:
    """Write a store into a file; what is in it, counted in the file itself.

    The store is left at its schema: a backup is what one makes before an upgrade. Raises Conflict where the file exists
    and is not to be replaced, Invalid where there is no store or the file cannot be written; a store whose audit is
    broken is backed up like any other, and `broken` says so.
    """
    with opening():
        _refuse(url, file, replaces)
        database = Database(url)
        revision = migrations.revision(database)
    try:
        if revision is None:
            raise Invalid("There is no Exchange in this database.")
        portable.known(revision)
        if revision == migrations.HEAD:  # an older audit may have other columns
            with recorded(database, "backup.create"):
                pass
        with staging.staged(file.absolute().parent) as fresh:
            return _copied(database, revision, Path(fresh(file.name).name))
    finally:
        database.close()


def _refuse(url: str, file: Path, replaces: bool) -> None:
    source = Database.file_of(url)
    if source is not None and not source.exists():
        raise Invalid(f"There is no database at {source}.")
    if file.exists() and (source is None or not source.samefile(file)) and not replaces:
        raise Conflict(f"{file} exists; choose another name, or --replace it.")
    if source is not None and file.exists() and source.samefile(file):
        raise Conflict(f"{file} is the database itself.")


def _copied(database: Database, revision: str, copy: Path) -> Contents:
    source = Database.file_of(str(database.url))
    if source is not None:
        portable.copy_file(source, copy)
        portable.check_file(copy)
        return portable.contents_of(copy, revision)
    there = _copy_server(database, revision, copy)
    portable.check_file(copy)
    found = portable.contents_of(copy, revision)
    if there != found.rows:
        raise Invalid("The copy has not the rows of the store; nothing was written.")
    return found


def _copy_server(database: Database, revision: str, copy: Path) -> dict[str, int]:
    """The rows of a server's tables at one moment, in a file with the same schema; how many of each there were."""
    made = Database(portable.url_of(copy))
    try:
        with portable.owning(), database.read() as session, made.alone() as target:
            migrations.migrate(target, revision)
            source, tables = session.connection(), portable.tables_of(target)
            for table in tables:
                target.execute(table.delete())  # what migrations have put there is among what comes
            portable.copy_rows(source, target, tables)
            portable.set_last_ids(target, portable.last_ids(source, tables), tables)
            there = portable.counts(source, tables)
    finally:
        made.close()
    portable.in_one_file(copy)
    return there
