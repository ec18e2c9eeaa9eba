"""Observations as typed columns, for an Arrow stream: keys first, then one column per leaf of their schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, Select, select, type_coerce
from sqlalchemy.orm import Session

from .. import audit, omh
from ..access import Actor
from ..columns import Column, Table
from ..db import count
from ..devices import CodeRow, DataSourceRow
from ..patient_rows import shared
from .reading import narrowed, readable
from .rows import ObservationRow, PayloadRow
from .shapes import ObservationSearch

KEYS = [
    Column("observation_id", "int"),
    Column("patient_id", "int"),
    Column("code", "word"),
    Column("data_source", "word"),
    Column("status", "word"),
    Column("effective_start", "time"),
    Column("effective_end", "time"),
    Column("utc_offset_minutes", "short"),
    Column("created", "time"),
    Column("modality", "word"),
]
KINDS = {"double": "double", "number": "double", "int": "int", "integer": "int", "bool": "bool", "boolean": "bool"}
BATCH = 10_000


def table(session: Session, actor: Actor, query: ObservationSearch) -> Table:
    """The same observations, all of them, as typed columns: keys first, then one column per leaf of their schemas.

    In order of id. What a schema does not name is JSON text in `extra`; `effective_end` of a point in time is null.
    """
    actor.knock("observations.search")
    rows = narrowed(session, readable(actor, "observations.search", query.study_id, query.organization_id), query)
    audit.note(session, patient=query.patient_id, study=query.study_id, organization=query.organization_id)
    patients = set(session.scalars(rows.with_only_columns(ObservationRow.patient_id).distinct()))
    codes = _codes(session, rows)
    homes = {home for patient in patients for home in shared(session, actor, "patients.get", patient)}
    audit.note(session, patients=patients, organizations=homes, count=count(session, rows))
    leaves = {name: kind for code in codes.values() for name, kind in omh.leaves(code).items()}
    columns = [
        *KEYS,
        *(Column(name, KINDS.get(kind, "word")) for name, kind in leaves.items()),
        Column("extra", "text"),
    ]
    return Table(columns, _batches(session, rows, codes, list(leaves)))


def _codes(session: Session, rows: Select[Any]) -> dict[int, str]:
    """The codes of the observations found, by id."""
    found = rows.with_only_columns(ObservationRow.code_id).distinct()
    named = select(CodeRow.id, CodeRow.coding_code).where(CodeRow.id.in_(found)).order_by(CodeRow.id)
    return {id: code for id, code in session.execute(named)}


def _batches(
    session: Session, rows: Select[Any], codes: dict[int, str], leaves: list[str]
) -> Iterator[list[tuple[Any, ...]]]:
    sources = {id: name for id, name in session.execute(select(DataSourceRow.id, DataSourceRow.name))}
    row = ObservationRow
    full = rows.join(PayloadRow, PayloadRow.observation_id == row.id).with_only_columns(
        row.id, row.patient_id, row.code_id, row.data_source_id, row.status, row.effective_start, row.effective_end,
        row.utc_offset_minutes, type_coerce(row.created, BigInteger), row.modality, PayloadRow.payload,
    )  # fmt: skip
    last = 0
    while found := session.execute(full.where(row.id > last).order_by(row.id).limit(BATCH)).all():
        yield [_columns(one, codes, sources, leaves) for one in found]
        last = found[-1][0]


def _columns(one: Any, codes: dict[int, str], sources: dict[int, str], leaves: list[str]) -> tuple[Any, ...]:
    id, patient_id, code_id, source_id, *rest, payload = one
    code = codes[code_id]
    body = json.loads(payload).get("body", {})
    flat = omh.flatten(body)
    known = omh.leaves(code)
    values = (flat.get(name) if name in known else None for name in leaves)
    more = omh.extra(body, code)  # noqa: S610  (not Django)
    extra = json.dumps(more, ensure_ascii=False) if more else None
    return (id, patient_id, code, sources[source_id], *rest, *values, extra)
