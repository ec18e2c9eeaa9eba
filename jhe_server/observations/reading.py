"""Observations read: what the gate lets through, searched, one by one, and as the rows of the REST list."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from .. import audit, consents, fhir, studies
from ..access import Actor
from ..db import count, microseconds, moment, newest, ordered, within
from ..devices import CodeRow, DataSourceRow
from ..errors import NotFound
from ..patient_rows import PatientOrganizationRow, PatientRow
from ..shapes import Page
from .counting import pair_total
from .rows import ObservationRow, PayloadRow
from .shapes import Observation, ObservationSearch

VERB = "observations.search"
ORDERS = {
    "id": ObservationRow.id,
    "lastUpdated": ObservationRow.last_updated,
    "effective": ObservationRow.effective_start,
    "created": ObservationRow.created,
}
MANY = 20_000  # observations; fewer are sorted in no time


# ------------------------------------------------------------------ all of it through the gate
def readable(
    actor: Actor,
    verb: str,
    study_id: int | ColumnElement[Any] | None = None,
    organization_id: int | None = None,
    *,
    whole: bool = False,
    many: bool = False,
) -> Select[Any]:
    """The ids of the observations the actor may read: the one place where a read of observations begins.

    `whole` where `pair_total` could tell how many there are: then every pair is open in whole or not at all. `many`
    where they are a good part of all that there is, so that a page is best found by going through all in its order.
    """
    if not whole:
        return select(ObservationRow.id).where(through_the_gate(actor, verb, study_id, organization_id))
    patient, code = ObservationRow.patient_id.expression, ObservationRow.code_id.expression
    if many:
        # Left to itself, SQLite would go from the open pairs to their rows by an index, and sort them all for a page.
        patient = patient + 0
    only: Any = {"study_id": study_id, "organization_id": organization_id, "verb": verb}
    return select(ObservationRow.id).where(consents.pair_gate(actor, patient, code, whole=True, **only))


def through_the_gate(
    actor: Actor, verb: str, study_id: int | ColumnElement[Any] | None = None, organization_id: int | None = None
) -> ColumnElement[bool]:
    """The gate, asked about the row at hand; through one study or organization, or through any."""
    row = ObservationRow
    start, end = row.effective_start.expression, row.effective_end.expression
    return consents.gate(
        actor,
        row.patient_id.expression,
        row.code_id.expression,
        start,
        func.coalesce(end, start),
        study_id=study_id,
        organization_id=organization_id,
        verb=verb,
    )


def search(session: Session, actor: Actor, query: ObservationSearch) -> Page[Observation]:
    """Observations, newest first, where the patient consents."""
    actor.knock("observations.search")
    audit.note(session, patient=query.patient_id, study=query.study_id, organization=query.organization_id)
    total = _total(session, actor, query)
    known = {"whole": total is not None, "many": is_many(session, total)}
    rows = readable(actor, VERB, query.study_id, query.organization_id, **known)
    rows = narrowed(session, rows, query)
    total = count(session, rows) if total is None else total
    offset, limit = within(total, query)
    if query.ordering:
        ids = list(session.scalars(ordered(rows, query, ORDERS, ObservationRow.id.desc()).offset(offset).limit(limit)))
    else:
        ids = newest(session, rows, ObservationRow.last_updated, ObservationRow.id, offset, limit, total)
    return Page(count=total, results=shapes(session, ids, actor))


def is_many(session: Session, total: int | None) -> bool:
    """Whether so many are a good part of all observations; how many those are, the span of their ids tells."""
    if total is None or total <= MANY:
        return False
    first, last = (session.scalar(select(one(ObservationRow.id))) or 0 for one in (func.min, func.max))
    return bool(total * 20 > last - first)


def _total(session: Session, actor: Actor, query: ObservationSearch) -> int | None:
    """How many there are, where the question is about patients and codes alone; else None."""
    if query.since is not None or query.until is not None or query.data_source_id is not None:
        return None
    asked = narrowed(session, select(ObservationRow.id), query)
    conditions = [] if asked.whereclause is None else [asked.whereclause]
    return pair_total(session, actor, VERB, conditions, query.study_id, query.organization_id)


def narrowed(session: Session, rows: Select[Any], query: ObservationSearch) -> Select[Any]:
    if query.patient_id is not None:
        rows = rows.where(ObservationRow.patient_id == query.patient_id)
    if query.data_source_id is not None:
        rows = rows.where(ObservationRow.data_source_id == query.data_source_id)
    if query.code is not None:
        rows = rows.where(ObservationRow.code_id.in_(code_ids(session, query.code)))
    return measured(rows, query.since, query.until)


def code_ids(session: Session, named: str) -> list[int]:
    """Codes by `code`, `system|code` or id, several parted by commas."""
    found: list[int] = []
    for one in named.split(","):
        system, _, code = one.strip().rpartition("|")
        where = (
            CodeRow.coding_code == code
            if not system
            else (CodeRow.coding_system == system) & (CodeRow.coding_code == code)
        )
        if not system and code.isdecimal() and len(code) < 19:
            where = or_(where, CodeRow.id == int(code))
        found += session.scalars(select(CodeRow.id).where(where))
    return found


def measured(rows: Select[Any], since: datetime | None, until: datetime | None) -> Select[Any]:
    """Narrow to what was measured from `since` up to, and not including, `until`."""
    if since is not None:
        rows = rows.where(ObservationRow.effective_start >= microseconds(since))
    if until is not None:
        rows = rows.where(ObservationRow.effective_start < microseconds(until))
    return rows


def get(session: Session, actor: Actor, observation_id: int) -> Observation:
    """One observation, where the patient consents."""
    actor.knock("observations.get")
    found = session.scalar(readable(actor, "observations.get").where(ObservationRow.id == observation_id))
    if found is None:
        raise NotFound()
    return shapes(session, [found], actor)[0]


# ------------------------------------------------------------------ rows
_FIELDS = (
    ObservationRow.id, ObservationRow.patient_id, ObservationRow.code_id, ObservationRow.data_source_id,
    ObservationRow.status, ObservationRow.effective_start, ObservationRow.effective_end,
    ObservationRow.utc_offset_minutes, ObservationRow.created, ObservationRow.last_updated, PayloadRow.payload,
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """Observations of one page, and what they refer to, by id."""

    rows: list[Any]
    codes: dict[int, CodeRow]
    sources: dict[int, DataSourceRow]
    patients: dict[int, PatientRow]


def fetched(session: Session, ids: list[int], actor: Actor) -> Found:
    """Observations in the order of their ids' list: a fixed number of statements, however many."""
    full = select(*_FIELDS).join(PayloadRow, PayloadRow.observation_id == ObservationRow.id)
    rows = {row.id: row for row in session.execute(full.where(ObservationRow.id.in_(ids)))}
    codes = _by_id(session, CodeRow, {row.code_id for row in rows.values()})
    sources = _by_id(session, DataSourceRow, {row.data_source_id for row in rows.values()})
    patients = _by_id(session, PatientRow, {row.patient_id for row in rows.values()})
    audit.note(session, patients=set(patients), organizations=homes_of(session, actor, set(patients)), count=len(rows))
    return Found([rows[id] for id in ids if id in rows], codes, sources, patients)


def _by_id(session: Session, kind: type[Any], ids: set[int]) -> dict[int, Any]:
    return {row.id: row for row in session.scalars(select(kind).where(kind.id.in_(ids)))}


def homes_of(session: Session, actor: Actor, patients: set[int]) -> set[int]:
    """The organizations through which the actor knows the patients of an answer: whom the audit row concerns."""
    home = PatientOrganizationRow.organization_id
    allowed = actor.organizations("patients.get")
    found: set[int] = set()
    for chunk in studies.chunks(sorted(patients)):
        rows = select(home).where(PatientOrganizationRow.patient_id.in_(chunk)).distinct()
        found |= set(session.scalars(rows if allowed is None else rows.where(home.in_(allowed))))
    return found


def shapes(session: Session, ids: list[int], actor: Actor) -> list[Observation]:
    """Observations in the order of their ids' list."""
    found = fetched(session, ids, actor)
    return [_shape(row, found) for row in found.rows]


def _shape(row: Any, found: Found) -> Observation:
    code, source, patient = found.codes[row.code_id], found.sources[row.data_source_id], found.patients[row.patient_id]
    decoded = json.loads(row.payload)
    effective = fhir.effective(time_of(row.effective_start), time_of(row.effective_end), row.utc_offset_minutes)
    return Observation(
        id=row.id,
        subject_patient=patient.id,
        subject_patient_id=patient.id,
        patient_name_display=f"{patient.name_family}, {patient.name_given}",
        patient_name_family=patient.name_family,
        patient_name_given=patient.name_given,
        codeable_concept=code.id,
        coding_system=code.coding_system,
        coding_code=code.coding_code,
        coding_text=code.text,
        data_source=source.id,
        data_source_name=source.name,
        status=row.status,
        created=row.created,
        last_updated=row.last_updated,
        effective_date_time=effective.get("effectiveDateTime"),
        effective_period=effective.get("effectivePeriod"),
        omh_data=decoded,
        value_attachment_data=decoded,
    )


def time_of(value: int | None) -> datetime | None:
    return None if value is None else moment(value)
