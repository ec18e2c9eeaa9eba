"""Studies (FHIR's Group): what each asks of whom, and who is enrolled; answers to it live in `consents.py`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import ForeignKey, Identity, Index, Select, String, Text, delete, func, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, changes, ledger
from .access import Actor
from .db import Base, BigId, UTCTime, count, now, ordered, within
from .devices import CodeRow, DataSource, DataSourceRow, OneCode, code_of, code_shape, data_source_of
from .devices import shapes as data_source_shapes
from .errors import Invalid, NotFound
from .oauth_clients import OAuthClient, OAuthClientRow, known
from .oauth_clients import shape as client_shape
from .organizations import OrganizationRow, names, to_write
from .organizations import row_of as organization_of
from .patient_rows import PatientOrganizationRow
from .shapes import MAX_ID, Body, Code, Id, Line, Listing, Name, OrganizationName, Page, Prose, Shape, WebAddress

APART = "Patient and study must share the same organization"
AT_ONCE = 10_000  # patients enrolled or removed in one request


class StudyRow(Base):
    __tablename__ = "study"
    __table_args__ = (Index("study_organization", "organization_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, Identity(start=30_001), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    organization_id: Mapped[int] = mapped_column(ForeignKey("organization.id"))
    icon_url: Mapped[str | None] = mapped_column(String(2000))
    contact: Mapped[str | None] = mapped_column(String(1000))
    data_after_withdrawal: Mapped[str] = mapped_column(String(4), default=ledger.HIDE)
    last_updated: Mapped[datetime] = mapped_column(UTCTime)


class StudyPatientRow(Base):
    __tablename__ = "study_patient"
    __table_args__ = (Index("study_patient_patient", "patient_id", "study_id"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), primary_key=True)
    enrolled: Mapped[datetime] = mapped_column(UTCTime)


class StudyCodeRow(Base):
    __tablename__ = "study_code"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    code_id: Mapped[int] = mapped_column(ForeignKey("code.id"), primary_key=True)


class StudyDataSourceRow(Base):
    __tablename__ = "study_data_source"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    data_source_id: Mapped[int] = mapped_column(ForeignKey("data_source.id"), primary_key=True)


class StudyClientRow(Base):
    __tablename__ = "study_client"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    oauth_client_id: Mapped[int] = mapped_column(ForeignKey("oauth_client.id"), primary_key=True)


Policy = Literal["hide", "keep"]


class NewStudy(Body):
    name: Name
    description: Prose
    organization: Id
    icon_url: WebAddress | None = None
    contact: Line | None = None
    data_after_withdrawal: Policy | None = None


class StudyChange(Body):
    name: Name | None = None
    description: Prose | None = None
    icon_url: WebAddress | None = None
    contact: Line | None = None
    data_after_withdrawal: Policy | None = None


class PatientIds(Body):
    patient_ids: Annotated[list[Id], Field(min_length=1, max_length=AT_ONCE)]


class OneDataSource(Body):
    data_source_id: Id


class OneClient(Body):
    client_id: Annotated[int, Field(ge=0, le=MAX_ID)] | Name


class StudySearch(Listing):
    organization_id: Id | None = None
    search: Line | None = None


class Study(Shape):
    id: int
    name: str
    description: str
    organization: OrganizationName
    icon_url: str | None
    scope_requests: list[Code]
    data_sources: list[DataSource]
    patient_count: int
    contact: str | None
    data_after_withdrawal: str


class StudyScopeRequest(Shape):
    """A code a study requests, in the public API's words."""

    study: int
    scope_code: Code


class StudyDataSource(Shape):
    study: int
    data_source: DataSource


class StudyClient(Shape):
    study: int
    client: OAuthClient


class StudyPatient(Shape):
    study: int
    patient: int


class StudyPatients(Shape):
    study_patients: list[StudyPatient]


# ------------------------------------------------------------------ what a caller may see
def visible(actor: Actor, verb: str = "studies.search") -> Select[Any]:
    """The studies of the organizations in which the actor may do the verb."""
    allowed = actor.organizations(verb)
    rows = select(StudyRow)
    return rows if allowed is None else rows.where(StudyRow.organization_id.in_(allowed))


def row_of(session: Session, actor: Actor, study_id: int) -> StudyRow:
    """The study, if the caller may see it."""
    audit.note(session, study=study_id)
    row: StudyRow | None = session.scalar(visible(actor, "studies.get").where(StudyRow.id == study_id))
    if row is None:
        raise NotFound()
    audit.note(session, organization=row.organization_id)
    return row


def reach(session: Session, actor: Actor, verb: str, study_id: int) -> StudyRow:
    """The study to change: seen (else 404), and the verb allowed in its organization (else 403)."""
    row = row_of(session, actor, study_id)
    actor.require(verb, row.organization_id)
    return row


def codes_by_study(session: Session, ids: Iterable[int]) -> dict[int, list[Code]]:
    """The codes each study requests, one statement for all."""
    pairs = session.execute(
        select(StudyCodeRow.study_id, CodeRow)
        .join(CodeRow, CodeRow.id == StudyCodeRow.code_id)
        .where(StudyCodeRow.study_id.in_(ids))
        .order_by(CodeRow.id)
    )
    found: dict[int, list[Code]] = {}
    for study_id, code in pairs:
        found.setdefault(study_id, []).append(code_shape(code))
    return found


def data_sources_by_study(session: Session, ids: Iterable[int]) -> dict[int, list[DataSource]]:
    pairs = session.execute(
        select(StudyDataSourceRow.study_id, DataSourceRow)
        .join(DataSourceRow, DataSourceRow.id == StudyDataSourceRow.data_source_id)
        .where(StudyDataSourceRow.study_id.in_(ids))
        .order_by(DataSourceRow.id)
    ).all()
    unique = {row.id: row for _, row in pairs}
    ready = {source.id: source for source in data_source_shapes(session, list(unique.values()))}
    found: dict[int, list[DataSource]] = {}
    for study_id, row in pairs:
        found.setdefault(study_id, []).append(ready[row.id])
    return found


def shapes(session: Session, rows: list[StudyRow]) -> list[Study]:
    """Studies with all they embed: a fixed number of statements, however many studies."""
    ids = [row.id for row in rows]
    homes = names(session, {row.organization_id for row in rows})
    codes, sources = codes_by_study(session, ids), data_sources_by_study(session, ids)
    counted = select(StudyPatientRow.study_id, func.count()).where(StudyPatientRow.study_id.in_(ids))
    enrolled: dict[int, int] = {
        id: number for id, number in session.execute(counted.group_by(StudyPatientRow.study_id))
    }
    return [
        Study(
            id=row.id,
            name=row.name,
            description=row.description,
            organization=homes[row.organization_id],
            icon_url=row.icon_url,
            scope_requests=codes.get(row.id, []),
            data_sources=sources.get(row.id, []),
            patient_count=enrolled.get(row.id, 0),
            contact=row.contact,
            data_after_withdrawal=row.data_after_withdrawal,
        )
        for row in rows
    ]


# ------------------------------------------------------------------ verbs
def search(session: Session, actor: Actor, query: StudySearch) -> Page[Study]:
    """The studies of the caller's organizations."""
    actor.knock("studies.search")
    rows = visible(actor)
    if query.organization_id is not None:
        rows = rows.where(StudyRow.organization_id == query.organization_id)
        audit.note(session, organization=query.organization_id)
    if query.search:
        rows = rows.where(func.lower(StudyRow.name).startswith(query.search.lower(), autoescape=True))
    total = count(session, rows)
    offset, limit = within(total, query)
    columns = {"id": StudyRow.id, "name": StudyRow.name, "organization": StudyRow.organization_id}
    found = session.scalars(ordered(rows, query, columns, StudyRow.id).offset(offset).limit(limit)).all()
    audit.note(session, organizations={row.organization_id for row in found}, count=len(found))
    return Page(count=total, results=shapes(session, list(found)))


def of_organization(session: Session, actor: Actor, organization_id: int) -> list[Study]:
    """The studies of one organization, all of them."""
    home = organization_of(session, actor, organization_id)
    actor.require("studies.of_organization", home.id)
    rows = session.scalars(select(StudyRow).where(StudyRow.organization_id == home.id).order_by(StudyRow.id))
    return shapes(session, list(rows))


def get(session: Session, actor: Actor, study_id: int) -> Study:
    """One study."""
    return shapes(session, [row_of(session, actor, study_id)])[0]


def create(session: Session, actor: Actor, body: NewStudy) -> Study:
    """A new study in an organization; a body that says what happens after a withdrawal needs a manager."""
    home = to_write(session, actor, "studies.create", body.organization)
    if body.data_after_withdrawal is not None:
        actor.require("studies.set_policy", home.id)
    row = StudyRow(
        name=body.name,
        description=body.description,
        organization_id=home.id,
        icon_url=body.icon_url,
        contact=body.contact,
        data_after_withdrawal=body.data_after_withdrawal or ledger.HIDE,
        last_updated=now(),
    )
    session.add(row)
    session.flush()
    ledger.append(session, actor, row.data_after_withdrawal, row.id)
    return _written(session, row)


def _written(session: Session, row: StudyRow) -> Study:
    touched(session, row)
    return shapes(session, [row])[0]


def touched(session: Session, row: StudyRow, count: int = 1) -> None:
    row.last_updated = now()
    session.flush()
    changes.note(session, "study", row.id, [row.organization_id])
    audit.note(session, study=row.id, count=count)


def update(session: Session, actor: Actor, study_id: int, body: StudyChange) -> Study:
    """Change a study; its organization stays what it is, its policy is a manager's."""
    row = reach(session, actor, "studies.update", study_id)
    if body.data_after_withdrawal is not None:
        actor.require("studies.set_policy", row.organization_id)
        if body.data_after_withdrawal != row.data_after_withdrawal:
            row.data_after_withdrawal = body.data_after_withdrawal
            ledger.append(session, actor, row.data_after_withdrawal, row.id)
    row.name = body.name or row.name
    row.description = row.description if body.description is None else body.description
    for name in ("icon_url", "contact"):
        if name in body.model_fields_set:
            setattr(row, name, getattr(body, name))
    return _written(session, row)


def enroll(session: Session, actor: Actor, study_id: int, body: PatientIds) -> StudyPatients:
    """Enrol patients: all or none, only within the study's organization; enrolling twice is not an error."""
    row = reach(session, actor, "studies.enroll", study_id)
    ids = sorted(set(body.patient_ids))
    apart = set(ids) - _members(session, row.organization_id, ids)
    if apart:
        raise Invalid(
            f"{APART}: {', '.join(map(str, sorted(apart)))}", {"patientIds": ["are not in the study's organization"]}
        )
    already = enrolled(session, row.id, ids)
    new = [id for id in ids if id not in already]
    if new:
        time = now()
        session.execute(
            insert(StudyPatientRow), [{"study_id": row.id, "patient_id": id, "enrolled": time} for id in new]
        )
        ledger.append(session, actor, ledger.ENROLLED, row.id, new, time=time)
    _enrolment_changed(session, row, ids)
    return StudyPatients(study_patients=[StudyPatient(study=row.id, patient=id) for id in ids])


def _members(session: Session, organization_id: int, ids: list[int]) -> set[int]:
    rows = select(PatientOrganizationRow.patient_id).where(PatientOrganizationRow.organization_id == organization_id)
    return {
        id for chunk in chunks(ids) for id in session.scalars(rows.where(PatientOrganizationRow.patient_id.in_(chunk)))
    }


def enrolled(session: Session, study_id: int, ids: list[int]) -> set[int]:
    """Which of the patients are in the study."""
    rows = select(StudyPatientRow.patient_id).where(StudyPatientRow.study_id == study_id)
    return {id for chunk in chunks(ids) for id in session.scalars(rows.where(StudyPatientRow.patient_id.in_(chunk)))}


def chunks(ids: list[int], size: int = 5000) -> Iterable[list[int]]:
    """A long list of ids in parts that a statement can carry (SQLite takes 32,766 parameters)."""
    return (ids[i : i + size] for i in range(0, len(ids), size))


def _enrolment_changed(session: Session, row: StudyRow, ids: list[int]) -> None:
    touched(session, row, len(ids))
    audit.note(session, patients=ids, patient=ids[0] if len(ids) == 1 else None)
    for id in ids:
        changes.note(session, "enrolment", id, [row.organization_id], id)


def unenroll(session: Session, actor: Actor, study_id: int, body: PatientIds) -> None:
    """Remove patients from a study: their answers to it go with them (by foreign key), their data stays."""
    row = reach(session, actor, "studies.unenroll", study_id)
    take_out(session, actor, row, sorted(enrolled(session, row.id, sorted(set(body.patient_ids)))))
    audit.note(session, patients=body.patient_ids)


def take_out(session: Session, actor: Actor, row: StudyRow, ids: list[int]) -> None:
    for chunk in chunks(ids):
        session.execute(
            delete(StudyPatientRow).where(StudyPatientRow.study_id == row.id, StudyPatientRow.patient_id.in_(chunk))
        )
    if ids:
        ledger.append(session, actor, ledger.LEFT, row.id, ids)
        _enrolment_changed(session, row, ids)


def codes(session: Session, actor: Actor, study_id: int) -> list[StudyScopeRequest]:
    """The codes a study requests."""
    row = row_of(session, actor, study_id)
    return [
        StudyScopeRequest(study=row.id, scope_code=code) for code in codes_by_study(session, [row.id]).get(row.id, [])
    ]


def request_code(session: Session, actor: Actor, study_id: int, body: OneCode) -> list[StudyScopeRequest]:
    """Request a code: pending for everyone enrolled until they answer."""
    row = reach(session, actor, "studies.request_code", study_id)
    code = code_of(session, body.scope_code_id)
    if session.get(StudyCodeRow, (row.id, code.id)) is None:
        session.add(StudyCodeRow(study_id=row.id, code_id=code.id))
        ledger.append(session, actor, ledger.REQUESTED, row.id, code_id=code.id)
    touched(session, row)
    return codes(session, actor, row.id)


def drop_code(session: Session, actor: Actor, study_id: int, body: OneCode) -> None:
    """Stop requesting a code: the answers to it go too (by foreign key), the ledger keeps them."""
    row = reach(session, actor, "studies.drop_code", study_id)
    link = session.get(StudyCodeRow, (row.id, body.scope_code_id))
    if link is None:
        raise NotFound("The study does not request this code.")
    session.delete(link)
    ledger.append(session, actor, ledger.DROPPED, row.id, code_id=body.scope_code_id)
    touched(session, row)


def data_sources(session: Session, actor: Actor, study_id: int) -> list[StudyDataSource]:
    """The data sources a study expects."""
    row = row_of(session, actor, study_id)
    found = data_sources_by_study(session, [row.id]).get(row.id, [])
    return [StudyDataSource(study=row.id, data_source=source) for source in found]


def add_data_source(session: Session, actor: Actor, study_id: int, body: OneDataSource) -> list[StudyDataSource]:
    """Add a data source to a study."""
    row = reach(session, actor, "studies.add_data_source", study_id)
    source = data_source_of(session, body.data_source_id)
    if session.get(StudyDataSourceRow, (row.id, source.id)) is None:
        session.add(StudyDataSourceRow(study_id=row.id, data_source_id=source.id))
    touched(session, row)
    return data_sources(session, actor, row.id)


def remove_data_source(session: Session, actor: Actor, study_id: int, body: OneDataSource) -> None:
    """Remove a data source from a study."""
    row = reach(session, actor, "studies.remove_data_source", study_id)
    link = session.get(StudyDataSourceRow, (row.id, body.data_source_id))
    if link is None:
        raise NotFound("The study does not have this data source.")
    session.delete(link)
    touched(session, row)


def clients(session: Session, actor: Actor, study_id: int) -> list[StudyClient]:
    """The clients through which a study's patients connect."""
    row = row_of(session, actor, study_id)
    linked = select(StudyClientRow.oauth_client_id).where(StudyClientRow.study_id == row.id)
    found = session.scalars(select(OAuthClientRow).where(OAuthClientRow.id.in_(linked)).order_by(OAuthClientRow.id))
    return [StudyClient(study=row.id, client=client_shape(client)) for client in found]


def add_client(session: Session, actor: Actor, study_id: int, body: OneClient) -> list[StudyClient]:
    """Add a client to a study."""
    row, client = reach(session, actor, "studies.add_client", study_id), known(session, body.client_id)
    if session.get(StudyClientRow, (row.id, client.id)) is None:
        session.add(StudyClientRow(study_id=row.id, oauth_client_id=client.id))
    touched(session, row)
    return clients(session, actor, row.id)


def remove_client(session: Session, actor: Actor, study_id: int, body: OneClient) -> None:
    """Remove a client from a study."""
    row, client = reach(session, actor, "studies.remove_client", study_id), known(session, body.client_id)
    link = session.get(StudyClientRow, (row.id, client.id))
    if link is None:
        raise NotFound("The study does not have this client.")
    session.delete(link)
    touched(session, row)


def organization_name(session: Session, row: StudyRow) -> str:
    return session.get_one(OrganizationRow, row.organization_id).name
