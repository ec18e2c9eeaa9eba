"""Observations read: what the gate lets through, searched, one by one, and as the rows of the REST list."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from .. import audit, consents, fhir, studies
from ..access import Actor
from ..db import count, microseconds, moment, ordered, within
from ..devices import CodeRow, DataSourceRow
from ..errors import NotFound
from ..patient_rows import PatientOrganizationRow, PatientRow
from ..shapes import Page
from .rows import ObservationRow, PayloadRow
from .shapes import Observation, ObservationSearch


# ------------------------------------------------------------------ all of it through the gate
def readable(
    actor: Actor, verb: str, study_id: int | ColumnElement[Any] | None = None, organization_id: int | None = None
) -> Select[Any]:
    """The ids of the observations the actor may read: the one place where a read of observations begins."""
    return select(ObservationRow.id).where(through_the_gate(actor, verb, study_id, organization_id))


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
    rows = narrowed(session, readable(actor, "observations.search", query.study_id, query.organization_id), query)
    audit.note(session, patient=query.patient_id, study=query.study_id, organization=query.organization_id)
    total = count(session, rows)
    offset, limit = within(total, query)
    columns = {
        "id": ObservationRow.id,
        "lastUpdated": ObservationRow.last_updated,
        "effective": ObservationRow.effective_start,
        "created": ObservationRow.created,
    }
    newest = (ObservationRow.last_updated.desc(),)
    chosen = ordered(rows, query, columns, ObservationRow.id.desc(), newest).offset(offset).limit(limit)
    return Page(count=total, results=shapes(session, list(session.scalars(chosen)), actor))


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
def _full(ids: list[int]) -> Select[*tuple[Any, ...]]:
    return (
        select(ObservationRow, PayloadRow.payload, CodeRow, DataSourceRow, PatientRow)
        .join(PayloadRow, PayloadRow.observation_id == ObservationRow.id)
        .join(CodeRow, CodeRow.id == ObservationRow.code_id)
        .join(DataSourceRow, DataSourceRow.id == ObservationRow.data_source_id)
        .join(PatientRow, PatientRow.id == ObservationRow.patient_id)
        .where(ObservationRow.id.in_(ids))
    )


def fetched(session: Session, ids: list[int], actor: Actor) -> list[Any]:
    rows = {row[0].id: row for row in session.execute(_full(ids))}
    patients = {row[0].patient_id for row in rows.values()}
    audit.note(session, patients=patients, organizations=homes_of(session, actor, patients), count=len(rows))
    return [rows[id] for id in ids if id in rows]


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
    return [_shape(*row) for row in fetched(session, ids, actor)]


def _shape(row: ObservationRow, payload: str, code: CodeRow, source: DataSourceRow, patient: PatientRow) -> Observation:
    decoded = json.loads(payload)
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
