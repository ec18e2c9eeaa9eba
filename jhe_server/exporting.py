"""`jupyter jhe export`: a study's observations and consents as files, from the tables, gate and audit of the wire.

Both are of one moment. Only what the study's patients consent to is in them, whoever the operator is; what has left in
a file is out of the gate's reach.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy.orm import Session

from . import audit, consents, observations, staging
from .columns import Table
from .db import Database
from .errors import Invalid
from .file_formats import WRITERS, rows_of, write_lines
from .operator import operator
from .studies import StudyRow


def export_study(database: Database, study_id: int, kind: str, folder: str) -> dict[str, int]:
    """Write `consents` and `observations` of a study into a folder; how many rows each has.

    `kind` is csv, ndjson or parquet; files of those names are replaced once both are whole. Raises Invalid where there
    is no such study or the folder cannot be written.
    """
    with database.read() as session:
        if session.get(StudyRow, study_id) is None:
            raise Invalid(f"There is no study {study_id}; say which with --study ID.")
        export = _Export(database, session, study_id, secrets.token_hex(8))
        with staging.staged(Path(folder)) as fresh:
            return {name: write(kind, fresh(f"{name}.{kind}")) for name, write in export.writers.items()}


@dataclass(frozen=True)
class _Export:
    """One export: a moment of the store, and the number that its rows in the audit share."""

    database: Database
    session: Session
    study_id: int
    request_id: str

    @property
    def writers(self) -> dict[str, Callable[[str, IO[bytes]], int]]:
        return {"consents": self._consents, "observations": self._observations}

    def _consents(self, kind: str, file: IO[bytes]) -> int:
        table = self._asked("consents.of_study", consents.table, self.study_id, consents.ConsentListing())
        return WRITERS[kind](rows_of(table), file)

    def _observations(self, kind: str, file: IO[bytes]) -> int:
        query = observations.ObservationSearch(study_id=self.study_id)
        table = self._asked("observations.search", observations.table, query)
        if kind != "ndjson":
            return WRITERS[kind](rows_of(table), file)
        return write_lines(observations.every(self.session, operator(), "observations.search", self.study_id), file)

    def _asked(self, verb: str, table: Callable[..., Table], *arguments: Any) -> Table:
        """A table of the wire, asked for as there: its row is in the audit before anything of it is read."""
        entry = audit.Entry(verb=verb, via="cli", study_id=self.study_id, request_id=self.request_id)
        self.session.info["audit"] = entry
        answer = table(self.session, operator(), *arguments)
        with self.database.write() as session:
            audit.append(session, entry)
        return answer
