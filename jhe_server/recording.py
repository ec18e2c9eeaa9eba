"""Reads on record together: whoever comes while somebody writes shares the next transaction, and its sync to disk.

A read's row is committed before its answer leaves, and writers take turns. Without this, ten readers who waited for one
upload would then wait for one another's disk as well.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from . import audit
from .audit import Entry
from .db import Database
from .errors import InsufficientStorage, Unavailable


@dataclass(eq=False)
class _Slip:
    """One row to write, and why it is not on disk: nobody takes silence for success."""

    entry: Entry
    error: Exception | None = field(default_factory=Unavailable)


class Recorder:
    """Appends rows to the audit of one store, those of several threads at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = threading.Lock()
        self._waiting: list[_Slip] = []

    def record(self, entry: Entry) -> None:
        """Return when the row is on disk, or raise what kept it from there."""
        slip = _Slip(entry)
        self._waiting.append(slip)
        with self._turn:
            if slip in self._waiting:  # else somebody has written it, or tried
                self._write_all()
        if slip.error is not None:
            raise slip.error

    def _write_all(self) -> None:
        """Once it is this process's turn to write: all that wait by then."""
        slips: list[_Slip] = []
        try:
            with self._database.write() as session:
                session.connection()  # waits for the turn
                slips = self._taken()
                audit.append(session, *(slip.entry for slip in slips))
        except (Unavailable, InsufficientStorage) as error:
            _settle(slips or self._taken(), error)
        except Exception:
            for slip in slips or self._taken():  # one of them cannot be written: the others can
                self._write(slip)
        else:
            _settle(slips)

    def _taken(self) -> list[_Slip]:
        """What waits, from its front; others may be joining meanwhile."""
        slips = self._waiting[:]
        del self._waiting[: len(slips)]
        return slips

    def _write(self, slip: _Slip) -> None:
        try:
            with self._database.write() as session:
                audit.append(session, slip.entry)
        except Exception as error:
            slip.error = error
        else:
            slip.error = None


def _settle(slips: list[_Slip], error: Exception | None = None) -> None:
    for slip in slips:
        slip.error = error
