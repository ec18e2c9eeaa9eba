"""`jupyter jhe import FILE.csv`: the file's rows through the same verb as over the wire, a chunk a transaction."""

from __future__ import annotations

from itertools import islice
from typing import Any

from jhe_jupyter.errors import ExchangeError as Unusable
from jhe_jupyter.roster import read_roster  # the one reader of the guide's CSV; it needs nothing of the client's side

from . import imports
from .db import Database
from .errors import ExchangeError, Invalid
from .operator import operator, recorded

CHUNK = 500


def import_file(database: Database, file: str, organization_id: int, study_id: int | None, dry_run: bool) -> int:
    """Import a file and print what became of its rows; answers how many were refused."""
    if not organization_id:
        raise ExchangeError("Say into which organization: --organization ID.")
    try:
        roster = read_roster(file)
    except (OSError, Unusable) as error:
        raise Invalid(str(error)) from None
    lines = {record.row: record.line or record.row for record in roster}
    refused = _unreadable(roster)
    summary: dict[str, int] = {"error": refused} if refused else {}
    rows = iter([{"row": record.row, **record.values} for record in roster if record.problem is None])
    size = imports.AT_ONCE if dry_run else CHUNK
    while part := list(islice(rows, size)):
        done = _run(database, part, organization_id, study_id, dry_run)
        for action, number in done.summary.items():
            summary[action] = summary.get(action, 0) + number
        _print_errors(done, lines)
    print(("would be: " if dry_run else "") + ", ".join(f"{number} {action}" for action, number in summary.items()))
    return summary.get("error", 0)


def _unreadable(roster: Any) -> int:
    bad = [record for record in roster if record.problem is not None]
    for record in bad:
        print(f"line {record.line}: {record.problem}")
    return len(bad)


def _run(
    database: Database, rows: list[dict[str, Any]], organization_id: int, study_id: int | None, dry_run: bool
) -> imports.ImportResult:
    body = imports.Import(organization_id=organization_id, study_id=study_id, rows=rows, dry_run=dry_run)
    with recorded(database, "imports.run") as session:
        return imports.run(session, operator(), body)


def _print_errors(done: imports.ImportResult, lines: dict[int, int]) -> None:
    for one in done.results:
        for error in one.errors:
            print(f"line {lines.get(one.row, one.row)}: {error.field}: {error.message}")
