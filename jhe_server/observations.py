"""Observations: Open mHealth data points as patients' apps upload them, read only through the consent gate.

The row is narrow and typed; the payload, as it was sent, lies in a table of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ForeignKey,
    Identity,
    Index,
    Select,
    SmallInteger,
    String,
    Text,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, changes, consents, fhir, omh, studies
from .access import Actor
from .columns import Column, Table
from .db import Base, BigId, UTCTime, count, microseconds, moment, now, ordered, within
from .devices import CodeRow, DataSourceRow
from .errors import Forbidden, NotFound
from .patient_rows import PatientOrganizationRow, PatientRow, shared
from .shapes import Id, Line, Listing, Moment, Page, Shape, Time


class ObservationRow(Base):
    __tablename__ = "observation"
    __table_args__ = (
        Index("observation_patient", "patient_id", "code_id", "effective_start"),
        Index("observation_updated", "last_updated", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, Identity(start=60_001), primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    code_id: Mapped[int] = mapped_column(ForeignKey("code.id"))
    data_source_id: Mapped[int] = mapped_column(ForeignKey("data_source.id"))
    status: Mapped[str] = mapped_column(String(20))
    effective_start: Mapped[int | None] = mapped_column(BigInteger)  # microseconds since 1970 UTC
    effective_end: Mapped[int | None] = mapped_column(BigInteger)  # null for a point in time
    utc_offset_minutes: Mapped[int | None] = mapped_column(SmallInteger)  # null where the local clock is unknown
    modality: Mapped[str | None] = mapped_column(String(20))
    created: Mapped[datetime] = mapped_column(UTCTime)
    last_updated: Mapped[datetime] = mapped_column(UTCTime)


class PayloadRow(Base):
    """The data point as it was sent."""

    __tablename__ = "observation_payload"

    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.id", ondelete="CASCADE"), primary_key=True)
    payload: Mapped[str] = mapped_column(Text)


class ObservationIdentifierRow(Base):
    __tablename__ = "observation_identifier"
    __table_args__ = (Index("observation_identifier_observation", "observation_id"),)

    system: Mapped[str] = mapped_column(String(1000), primary_key=True)
    value: Mapped[str] = mapped_column(String(1000), primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.id", ondelete="CASCADE"))


class ObservationSearch(Listing):
    organization_id: Id | None = None
    study_id: Id | None = None
    patient_id: Id | None = None
    code: Line | None = None
    data_source_id: Id | None = None
    since: Moment | None = None
    until: Moment | None = None


class Period(Shape):
    start: Time
    end: Time


class Observation(Shape):
    """A row of the REST list; `omhData` and `valueAttachmentData` are both the decoded data point."""

    id: int
    subject_patient: int
    subject_patient_id: int
    patient_name_display: str
    patient_name_family: str
    patient_name_given: str
    codeable_concept: int
    coding_system: str
    coding_code: str
    coding_text: str
    data_source: int
    data_source_name: str
    status: str
    created: Time
    last_updated: Time
    effective_date_time: str | None = None
    effective_period: dict[str, str] | None = None
    omh_data: Any
    value_attachment_data: Any


# ------------------------------------------------------------------ reading, all of it through the gate
def readable(
    actor: Actor, verb: str, study_id: int | ColumnElement[Any] | None = None, organization_id: int | None = None
) -> Select[Any]:
    """The ids of the observations the actor may read: the one place where a read of observations begins."""
    row = ObservationRow
    start, end = row.effective_start.expression, row.effective_end.expression
    return select(row.id).where(
        consents.gate(
            actor,
            row.patient_id.expression,
            row.code_id.expression,
            start,
            func.coalesce(end, start),
            study_id=study_id,
            organization_id=organization_id,
            verb=verb,
        )
    )


def search(session: Session, actor: Actor, query: ObservationSearch) -> Page[Observation]:
    """Observations, newest first, where the patient consents."""
    actor.knock("observations.search")
    rows = _narrowed(session, readable(actor, "observations.search", query.study_id, query.organization_id), query)
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


def _narrowed(session: Session, rows: Select[Any], query: ObservationSearch) -> Select[Any]:
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


# ------------------------------------------------------------------ as columns
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
    rows = _narrowed(session, readable(actor, "observations.search", query.study_id, query.organization_id), query)
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


def _full(ids: list[int]) -> Select[*tuple[Any, ...]]:
    return (
        select(ObservationRow, PayloadRow.payload, CodeRow, DataSourceRow, PatientRow)
        .join(PayloadRow, PayloadRow.observation_id == ObservationRow.id)
        .join(CodeRow, CodeRow.id == ObservationRow.code_id)
        .join(DataSourceRow, DataSourceRow.id == ObservationRow.data_source_id)
        .join(PatientRow, PatientRow.id == ObservationRow.patient_id)
        .where(ObservationRow.id.in_(ids))
    )


def _fetched(session: Session, ids: list[int], actor: Actor) -> list[Any]:
    rows = {row[0].id: row for row in session.execute(_full(ids))}
    patients = {row[0].patient_id for row in rows.values()}
    audit.note(session, patients=patients, organizations=_homes(session, actor, patients), count=len(rows))
    return [rows[id] for id in ids if id in rows]


def _homes(session: Session, actor: Actor, patients: set[int]) -> set[int]:
    """The organizations through which the actor knows the patients of a page: whom the audit row concerns."""
    home = PatientOrganizationRow.organization_id
    rows = select(home).where(PatientOrganizationRow.patient_id.in_(patients)).distinct()
    allowed = actor.organizations("patients.get")
    return set(session.scalars(rows if allowed is None else rows.where(home.in_(allowed))))


def shapes(session: Session, ids: list[int], actor: Actor) -> list[Observation]:
    """Observations in the order of their ids' list."""
    return [_shape(*row) for row in _fetched(session, ids, actor)]


def _shape(row: ObservationRow, payload: str, code: CodeRow, source: DataSourceRow, patient: PatientRow) -> Observation:
    decoded = json.loads(payload)
    effective = fhir.effective(_time(row.effective_start), _time(row.effective_end), row.utc_offset_minutes)
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


def _time(value: int | None) -> datetime | None:
    return None if value is None else moment(value)


# ------------------------------------------------------------------ as FHIR
class FHIRSearch(Listing):
    """A FHIR search, already parsed: each list is one parameter's alternatives."""

    ids: list[int] | None = None
    patients: list[int] | None = None
    studies: list[int] | None = None
    organizations: list[int] | None = None
    codes: list[str] | None = None
    since: Moment | None = None
    until: Moment | None = None
    count_only: bool = False


class Resources(Shape):
    """Resources of one page and how many there are in all."""

    total: int
    resources: list[dict[str, Any]]


def fhir_search(session: Session, actor: Actor, query: FHIRSearch) -> Resources:
    """Observations as FHIR resources, newest first, where the patient consents."""
    actor.knock("observations.fhir_search")
    rows = _fhir_narrowed(session, actor, query)
    total = count(session, rows)
    offset, limit = within(total, query)
    if query.count_only:
        return Resources(total=total, resources=[])
    newest = rows.order_by(ObservationRow.last_updated.desc(), ObservationRow.id.desc()).offset(offset).limit(limit)
    found = _fetched(session, list(session.scalars(newest)), actor)
    identifiers = _identifiers(session, [row[0].id for row in found])
    return Resources(total=total, resources=[to_fhir(row, identifiers.get(row[0].id, [])) for row in found])


def _fhir_narrowed(session: Session, actor: Actor, query: FHIRSearch) -> Select[Any]:
    verb = "observations.fhir_search"
    rows = measured(readable(actor, verb), query.since, query.until)
    if query.studies is not None:
        rows = rows.where(or_(*(ObservationRow.id.in_(readable(actor, verb, study_id=id)) for id in query.studies)))
    if query.organizations is not None:
        within_one = (ObservationRow.id.in_(readable(actor, verb, organization_id=id)) for id in query.organizations)
        rows = rows.where(or_(*within_one))
    if query.ids is not None:
        rows = rows.where(ObservationRow.id.in_(query.ids))
    if query.patients is not None:
        rows = rows.where(ObservationRow.patient_id.in_(query.patients))
        audit.note(session, patient=query.patients[0] if len(query.patients) == 1 else None)
    if query.codes is not None:
        rows = rows.where(ObservationRow.code_id.in_([id for named in query.codes for id in code_ids(session, named)]))
    return rows


def fhir_get(session: Session, actor: Actor, observation_id: int) -> dict[str, Any]:
    """One observation as a FHIR resource, where the patient consents."""
    actor.knock("observations.fhir_get")
    found = session.scalar(readable(actor, "observations.fhir_get").where(ObservationRow.id == observation_id))
    if found is None:
        raise NotFound()
    return resource(session, actor, found)


def resource(session: Session, actor: Actor, observation_id: int) -> dict[str, Any]:
    row = _fetched(session, [observation_id], actor)[0]
    return to_fhir(row, _identifiers(session, [observation_id]).get(observation_id, []))


def _identifiers(session: Session, ids: list[int]) -> dict[int, list[dict[str, str]]]:
    rows = session.scalars(
        select(ObservationIdentifierRow)
        .where(ObservationIdentifierRow.observation_id.in_(ids))
        .order_by(ObservationIdentifierRow.system, ObservationIdentifierRow.value)
    )
    found: dict[int, list[dict[str, str]]] = {}
    for row in rows:
        named = {"system": row.system, "value": row.value} if row.system else {"value": row.value}
        found.setdefault(row.observation_id, []).append(named)
    return found


def to_fhir(found: Any, identifiers: list[dict[str, str]]) -> dict[str, Any]:
    """The Observation resource: the data point as a base64 attachment, its time on the clock it was measured by."""
    row, payload, code, source, patient = found
    return {
        "resourceType": "Observation",
        "id": str(row.id),
        "meta": fhir.meta(row.last_updated),
        **({"identifier": identifiers} if identifiers else {}),
        "status": row.status,
        "code": fhir.codeable_concept(code.coding_system, code.coding_code, code.text),
        "subject": fhir.reference("Patient", patient.id),
        "device": fhir.reference("Device", source.id, source.name),
        **fhir.effective(_time(row.effective_start), _time(row.effective_end), row.utc_offset_minutes),
        "valueAttachment": fhir.attachment(json.loads(payload)),
    }


# ------------------------------------------------------------------ removing
def remove(session: Session, actor: Actor, observation_id: int) -> None:
    """Delete one observation that the caller can read: a manager's, for what should never have been uploaded."""
    actor.knock("observations.remove")
    one = ObservationRow.id == observation_id
    if session.scalar(readable(actor, "observations.get").where(one)) is None:
        raise NotFound()
    row = session.get_one(ObservationRow, observation_id)
    homes = shared(session, actor, "observations.remove", row.patient_id)
    audit.note(session, patient=row.patient_id, organizations=homes, count=1)
    # A manager elsewhere who reads it as a viewer here has no say in it: the gate has to open to a manager.
    if session.scalar(readable(actor, "observations.remove").where(one)) is None:
        raise Forbidden()
    forget(session, [row.patient_id], only=observation_id)


def forget(session: Session, patients: Iterable[int], only: int | None = None) -> None:
    """Delete observations (one, or all of the patients) with their payloads and identifiers."""
    for chunk in studies.chunks(sorted(set(patients))):
        rows = delete(ObservationRow).where(ObservationRow.patient_id.in_(chunk))
        session.execute(rows if only is None else rows.where(ObservationRow.id == only))
        homes = select(PatientOrganizationRow.patient_id, PatientOrganizationRow.organization_id)
        for patient_id, home in session.execute(homes.where(PatientOrganizationRow.patient_id.in_(chunk))):
            changes.note(session, "observations", patient_id, [home], patient_id)


# ------------------------------------------------------------------ writing many
def add(session: Session, points: list[dict[str, Any]]) -> list[int]:
    """Write checked data points set-wise; their ids, in order.

    A point has the columns of `ObservationRow`, `payload` (text), `identifiers` [(system, value)] and, where it was
    uploaded in the past, `created`.
    """
    if not points:
        return []
    time = now()
    columns = ("patient_id", "code_id", "data_source_id", "status", "effective_start", "effective_end",
               "utc_offset_minutes", "modality")  # fmt: skip
    stamps = [point.get("created") or time for point in points]
    rows = [
        {name: point[name] for name in columns} | {"created": stamp, "last_updated": stamp}
        for point, stamp in zip(points, stamps, strict=True)
    ]
    inserted = insert(ObservationRow).returning(ObservationRow.id, sort_by_parameter_order=True)
    ids = list(session.scalars(inserted, rows))
    pairs = list(zip(ids, points, strict=True))
    session.execute(insert(PayloadRow), [{"observation_id": id, "payload": point["payload"]} for id, point in pairs])
    named = [
        {"system": system, "value": value, "observation_id": id}
        for id, point in pairs
        for system, value in point["identifiers"]
    ]
    if named:
        session.execute(insert(ObservationIdentifierRow), named)
    return ids
