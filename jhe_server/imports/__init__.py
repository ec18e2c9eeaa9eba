"""Bulk import: each row becomes a patient created, linked, enrolled, left alone, or an error that says why.

A dry run goes the same way as a real one and is rolled back, so it cannot promise anything else. One bad row stops no
other, and running a list again finds what is done already.

running     the verb: from the rows to what became of each
reading     what a row says
known       whom the store knows of those the rows are about
deciding    what becomes of a row
writing     what was decided, a statement a table
shapes      how all of it looks on the wire
"""

from __future__ import annotations

from .running import run
from .shapes import AT_ONCE, Import, ImportResult, RowError, RowResult

__all__ = ["AT_ONCE", "Import", "ImportResult", "RowError", "RowResult", "run"]
