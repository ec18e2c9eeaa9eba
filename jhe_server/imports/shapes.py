"""What an import is asked and what it answers, a result for each row."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..shapes import Body, Id, Shape

AT_ONCE = 50_000


class Import(Body):
    organization_id: Id
    study_id: Id | None = None
    rows: Annotated[list[dict[str, str | int | None]], Field(min_length=1, max_length=AT_ONCE)]
    dry_run: bool = False
    invite: bool = False


class RowError(Shape):
    field: str
    message: str


class RowResult(Shape):
    """`action` is create, link, enrol, unchanged or error; `row` is the one sent, else the position, from 1."""

    row: int
    action: str
    patient_id: int | None = None
    errors: list[RowError] = []
    invitation_link: str | None = None


class ImportResult(Shape):
    results: list[RowResult]
    summary: dict[str, int]
