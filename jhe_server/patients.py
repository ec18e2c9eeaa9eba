"""Patients: the record as callers read and write it, with what it counts of studies and answers.

The rows, and who may see whom, are in `patient_rows.py`; leaving an organization is in `departures.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Select, bindparam, case, delete, func, select
from sqlalchemy.orm import Session

from . import audit, consents, invitations, settings, studies, tokens
from .access import Actor
from .columns import Column, Table
from .db import count, now, ordered, within
from .errors import Conflict, Forbidden, NotFound, TooMany
from .organizations import Organization, OrganizationRow, shaped, to_write
from .patient_rows import (
    IdentifierRow,
    PatientName,
    PatientOrganizationRow,
    PatientRow,
    add_identifiers,
    free_identifiers,
    join,
    named,
    reach,
    require_all,
    row_of,
    shared,
    touched,
    visible,
)
from .people import PATIENT, UserRow, add_user, change_email, email_key
from .shapes import BirthDate, Body, Email, Id, Line, Listing, Name, Page, Query, Shape, Time
from .studies import StudyPatientRow

OWN_SYSTEM = "https://jupyterhealth.org/jhe/organization/{}/identifier"
FOUND_FOR = 15 * 60.0  # seconds in which a patient found by e-mail may be added to an organization


class NewIdentifier(Body):
    """`id` is answered with an identifier and may come back with it; it changes nothing."""

    system: Annotated[Line, Field(min_length=1)]
    value: Name
    id: Id | None = None


class NewPatient(Body):
    telecom_email: Email
    name_family: Name
    name_given: Name
    birth_date: BirthDate
    organization_id: Id
    telecom_phone: Line | None = None
    identifier: Name | None = None
    identifiers: list[NewIdentifier] = []


class PatientChange(Body):
    name_family: Name | None = None
    name_given: Name | None = None
    birth_date: BirthDate | None = None
    telecom_phone: Line | None = None
    telecom_email: Email | None = None
    identifier: Name | None = None
    identifiers: list[NewIdentifier] | None = None


class PatientSearch(Listing):
    organization_id: Id | None = None
    study_id: Id | None = None
    patient_id: Id | None = None
    patient_identifier_value: Line | None = None
    search: Line | None = None


class InOrganization(Query):
    organization_id: Id | None = None


class IntoOrganization(Query):
    organization_id: Id


class ByEmail(Query):
    email: Line


class PatientIdentifier(Shape):
    id: int
    system: str
    value: str


class Patient(PatientName):
    jhe_user_id: int
    identifier: str | None
    identifiers: list[PatientIdentifier]
    telecom_phone: str | None
    organization_id: int | None
    organizations: list[Organization]
    studies_pending: int = 0
    studies_answered: int = 0
    last_updated: Time


# ------------------------------------------------------------------ shapes from rows
# Built once: a page asks these of every window, and building a statement costs more than SQLite's answer to it.
_RECORDS = (
    select(
        PatientRow.id,
        PatientRow.user_id,
        PatientRow.name_family,
        PatientRow.name_given,
        PatientRow.birth_date,
        PatientRow.telecom_phone,
        PatientRow.last_updated,
        UserRow.email,
    )
    .join(UserRow, UserRow.id == PatientRow.user_id)
    .where(PatientRow.id.in_(bindparam("ids", expanding=True)))
)
_IDENTIFIERS = (
    select(IdentifierRow.patient_id, IdentifierRow.id, IdentifierRow.system, IdentifierRow.value)
    .where(IdentifierRow.patient_id.in_(bindparam("ids", expanding=True)))
    .order_by(IdentifierRow.id)
)
_HOMES = (
    select(
        PatientOrganizationRow.patient_id,
        OrganizationRow.id,
        OrganizationRow.name,
        OrganizationRow.type,
        OrganizationRow.part_of,
    )
    .join(OrganizationRow, OrganizationRow.id == PatientOrganizationRow.organization_id)
    .where(PatientOrganizationRow.patient_id.in_(bindparam("ids", expanding=True)))
    .order_by(OrganizationRow.id)
)


def shapes(session: Session, actor: Actor, ids: list[int], organization_id: int | None = None) -> list[Patient]:
    """Patients in the order of their ids' list: one statement per table, however many patients."""
    records = {row.id: row for row in session.execute(_RECORDS, {"ids": ids})}
    identifiers, homes = _identifiers(session, ids), _homes(session, actor, ids)
    counted = consents.counts(session, actor, sorted(ids))
    audit.note(session, patients=ids, organizations={home.id for found in homes.values() for home in found})
    return [
        _shape(records[id], identifiers.get(id, []), homes.get(id, []), organization_id, counted[id])
        for id in ids
        if id in records
    ]


def _identifiers(session: Session, ids: list[int]) -> dict[int, list[PatientIdentifier]]:
    found: dict[int, list[PatientIdentifier]] = {}
    for patient_id, id, system, value in session.execute(_IDENTIFIERS, {"ids": ids}):
        found.setdefault(patient_id, []).append(PatientIdentifier(id=id, system=system, value=value))
    return found


def _homes(session: Session, actor: Actor, ids: list[int]) -> dict[int, list[Organization]]:
    """The organizations of each patient that the caller may know of; a patient knows all of their own."""
    allowed = actor.organizations("patients.get")
    everything = allowed is None or actor.patient_id is not None
    known: dict[int, Organization] = {}
    found: dict[int, list[Organization]] = {}
    for row in session.execute(_HOMES, {"ids": ids}):
        if everything or row.id in (allowed or ()):
            known.setdefault(row.id, shaped(row, actor))
            found.setdefault(row.patient_id, []).append(known[row.id])
    return found


def _shape(
    row: Any,
    identifiers: list[PatientIdentifier],
    homes: list[Organization],
    asked: int | None,
    counted: tuple[int, int],
) -> Patient:
    return Patient(
        id=row.id,
        jhe_user_id=row.user_id,
        identifier=identifiers[0].value if identifiers else None,
        identifiers=identifiers,
        name_family=row.name_family,
        name_given=row.name_given,
        birth_date=row.birth_date,
        telecom_phone=row.telecom_phone,
        telecom_email=row.email,
        organization_id=asked if asked is not None else (homes[0].id if homes else None),
        organizations=homes,
        studies_pending=counted[0],
        studies_answered=counted[1],
        last_updated=row.last_updated,
    )


# ------------------------------------------------------------------ searching
def narrowed(session: Session, actor: Actor, query: PatientSearch) -> Select[Any]:
    """The ids of the patients a search finds; a study the caller may not see finds nobody."""
    rows = visible(session, actor, "patients.search", query.organization_id)
    id = rows.selected_columns[0]
    if query.patient_id is not None:
        rows = rows.where(id == query.patient_id)
    if query.patient_identifier_value is not None:
        value = query.patient_identifier_value
        rows = rows.where(id.in_(select(IdentifierRow.patient_id).where(IdentifierRow.value == value)))
    if query.study_id is not None:
        seen = studies.visible(actor).with_only_columns(studies.StudyRow.id)
        enrolled = select(StudyPatientRow.patient_id).where(StudyPatientRow.study_id == query.study_id)
        rows = rows.where(id.in_(enrolled.where(StudyPatientRow.study_id.in_(seen))))
    audit.note(session, study=query.study_id, organization=query.organization_id, patient=query.patient_id)
    return rows.where(id.in_(_named(query.search))) if query.search else rows


def _named(search: str) -> Select[Any]:
    text = email_key(search)
    columns = (func.lower(PatientRow.name_family), func.lower(PatientRow.name_given), UserRow.email_key)
    starts = [column.startswith(text, autoescape=True) for column in columns]
    joined = select(PatientRow.id).join(UserRow, UserRow.id == PatientRow.user_id)
    return joined.where(starts[0] | starts[1] | starts[2])


def page_of_ids(
    session: Session, rows: Select[Any], query: Listing, question: Hashable = None
) -> tuple[int, list[int]]:
    """(how many in all, the ids of one window), in the order asked for."""
    total = count(session, rows, question)
    offset, limit = within(total, query)
    if query.ordering is None:
        return total, _by_id(session, rows, total, offset, limit)
    rows = select(PatientRow.id).join(UserRow, UserRow.id == PatientRow.user_id).where(PatientRow.id.in_(rows))
    return total, list(session.scalars(ordered(rows, query, ORDER, PatientRow.id).offset(offset).limit(limit)))


ORDER: dict[str, Any] = {
    "id": PatientRow.id,
    "nameFamily": func.lower(PatientRow.name_family),
    "nameGiven": func.lower(PatientRow.name_given),
    "birthDate": PatientRow.birth_date,
    "telecomEmail": UserRow.email_key,
    "telecomPhone": PatientRow.telecom_phone,
}


def _by_id(session: Session, rows: Select[Any], total: int, offset: int, limit: int) -> list[int]:
    """One window in order of id, reached from whichever end of the list is nearer: an offset is walked, not jumped."""
    id = rows.selected_columns[0]
    size = max(0, min(limit, total - offset))
    if offset <= total // 2:
        return list(session.scalars(rows.order_by(id).offset(offset).limit(size)))
    from_the_end = rows.order_by(id.desc()).offset(total - offset - size).limit(size)
    return list(session.scalars(from_the_end))[::-1]


# ------------------------------------------------------------------ verbs
def search(session: Session, actor: Actor, query: PatientSearch) -> Page[Patient]:
    """The patients of the caller's organizations, by id unless `ordering=` says otherwise."""
    actor.knock("patients.search")
    filters = query.model_dump_json(exclude={"page", "page_size", "limit", "offset", "ordering"})
    question = ("patients.search", actor.scope, filters)
    total, ids = page_of_ids(session, narrowed(session, actor, query), query, question)
    audit.note(session, count=len(ids))
    return Page(count=total, results=shapes(session, actor, ids, query.organization_id))


def of_study(session: Session, actor: Actor, study_id: int, query: Listing) -> Page[Patient]:
    """The patients of a study."""
    study = studies.row_of(session, actor, study_id)
    actor.require("patients.of_study", study.organization_id)
    rows = select(StudyPatientRow.patient_id).where(StudyPatientRow.study_id == study.id)
    total, ids = page_of_ids(session, rows, query)
    audit.note(session, count=len(ids))
    return Page(count=total, results=shapes(session, actor, ids, study.organization_id))


def get(session: Session, actor: Actor, patient_id: int, query: InOrganization) -> Patient:
    """One patient the caller may see."""
    row = row_of(session, actor, patient_id, query.organization_id)
    return shapes(session, actor, [row.id], query.organization_id)[0]


def lookup(session: Session, actor: Actor, query: ByEmail) -> list[PatientName]:
    """The patient with exactly this e-mail in any organization: how one who already exists is found and added.

    Rate-limited and audited; who is found may be added to an organization for the next 15 minutes.
    """
    actor.require("patients.lookup")
    if audit.recently(session, actor.user_id, "patients.lookup", 60) >= settings.of(session).lookups_per_minute:
        raise TooMany("Too many lookups; try again in a minute.", headers={"Retry-After": "60"})
    found = session.execute(
        select(PatientRow, UserRow.email)
        .join(UserRow, UserRow.id == PatientRow.user_id)
        .where(UserRow.email_key == email_key(query.email))
    ).all()
    own = sorted(actor.organizations("patients.lookup") or ())
    audit.note(session, patients=[row.id for row, _ in found], organizations=own, count=len(found))
    return [named(row, email) for row, email in found]


def create(session: Session, actor: Actor, body: NewPatient) -> Patient:
    """A new patient in an organization; a person who already has an account is refused."""
    to_write(session, actor, "patients.create", body.organization_id)
    row = insert_patient(session, body)
    audit.note(session, patient=row.id, count=1)
    return shapes(session, actor, [row.id], body.organization_id)[0]


def insert_patient(session: Session, body: NewPatient) -> PatientRow:
    """Write the account, the record, its identifiers and its first organization."""
    given = [(one.system, one.value) for one in body.identifiers]
    if body.identifier is not None:
        given.insert(0, (OWN_SYSTEM.format(body.organization_id), body.identifier))
    free_identifiers(session, given)
    user = add_user(session, body.telecom_email, PATIENT)
    row = PatientRow(
        user_id=user.id,
        name_family=body.name_family,
        name_given=body.name_given,
        birth_date=body.birth_date,
        telecom_phone=body.telecom_phone,
        last_updated=now(),
    )
    session.add(row)
    session.flush()
    add_identifiers(session, row.id, given)
    join(session, row.id, body.organization_id)
    return row


def me(session: Session, actor: Actor) -> Patient:
    """The patient's own record."""
    if actor.patient_id is None:
        raise Forbidden()
    row = row_of(session, actor, actor.patient_id)
    return shapes(session, actor, [row.id])[0]


def update(session: Session, actor: Actor, patient_id: int, query: InOrganization, body: PatientChange) -> Patient:
    """Change what the body names, all of it or nothing: a field left out stays, a phone sent as null is taken away.

    Another e-mail ends the patient's tokens and open invitations: whoever held the old address is let in no more.
    """
    row = reach(session, actor, "patients.update", patient_id, query.organization_id)
    if _identifies(session, row, body):
        require_all(session, actor, "patients.update", row.id)
    if change_email(session, session.get_one(UserRow, row.user_id), body.telecom_email):
        tokens.revoke_all(session, row.user_id)
        invitations.retire(session, row.id, invitations.CANCELLED)
    for name in ("name_family", "name_given", "birth_date"):
        if (value := getattr(body, name)) is not None:
            setattr(row, name, value)
    if "telecom_phone" in body.model_fields_set:
        row.telecom_phone = body.telecom_phone
    if body.identifiers is not None or "identifier" in body.model_fields_set:
        _replace_identifiers(session, actor, row, body, query.organization_id)
    row.last_updated = now()
    session.flush()
    touched(session, row.id)
    audit.note(session, count=1)
    return shapes(session, actor, [row.id], query.organization_id)[0]


def _identifies(session: Session, row: PatientRow, body: PatientChange) -> bool:
    """Whether a change concerns what identifies the person everywhere; sending the same e-mail back does not."""
    if {"identifier", "identifiers"} & body.model_fields_set:
        return True
    kept = session.get_one(UserRow, row.user_id).email_key
    return body.telecom_email is not None and email_key(body.telecom_email) != kept


def _replace_identifiers(
    session: Session, actor: Actor, row: PatientRow, body: PatientChange, organization_id: int | None
) -> None:
    """`identifiers` replaces the list; `identifier` replaces the value the organization itself gave."""
    kept = session.execute(
        select(IdentifierRow.system, IdentifierRow.value)
        .where(IdentifierRow.patient_id == row.id)
        .order_by(IdentifierRow.id)
    )
    given = [(system, value) for system, value in kept]
    if body.identifiers is not None:
        given = [(one.system, one.value) for one in body.identifiers]
    if "identifier" in body.model_fields_set:
        own = OWN_SYSTEM.format(organization_id or shared(session, actor, "patients.get", row.id)[0])
        given = [pair for pair in given if pair[0] != own]
        given = given if body.identifier is None else [(own, body.identifier), *given]
    free_identifiers(session, given, row.id)
    session.execute(delete(IdentifierRow).where(IdentifierRow.patient_id == row.id))
    add_identifiers(session, row.id, given)


def add_to_organization(session: Session, actor: Actor, patient_id: int, query: IntoOrganization) -> Patient:
    """Add an existing patient, seen already or found by `lookup` within 15 minutes, to one's organization."""
    audit.note(session, patient=patient_id)
    to_write(session, actor, "patients.add_to_organization", query.organization_id)
    row = session.get(PatientRow, patient_id)
    known = row is not None and (
        shared(session, actor, "patients.get", patient_id)
        or audit.recently(session, actor.user_id, "patients.lookup", FOUND_FOR, patient_id)
    )
    if row is None or not known:
        raise NotFound()
    if session.get(PatientOrganizationRow, (query.organization_id, patient_id)) is not None:
        raise Conflict("This patient already belongs to the organization.")
    join(session, patient_id, query.organization_id)
    touched(session, patient_id)
    audit.note(session, count=1)
    return shapes(session, actor, [patient_id], query.organization_id)[0]


# ------------------------------------------------------------------ the whole list, as columns
COLUMNS = [
    Column("patient_id", "int"),
    Column("jhe_user_id", "int"),
    Column("identifier", "text"),
    Column("name_family", "text"),
    Column("name_given", "text"),
    Column("birth_date", "date"),
    Column("telecom_phone", "text"),
    Column("telecom_email", "text"),
    Column("organization_id", "int"),
    Column("studies_pending", "int"),
    Column("studies_answered", "int"),
]
BATCH = 10_000


def table(session: Session, actor: Actor, query: PatientSearch) -> Table:
    """The same patients, all of them, for an Arrow stream: in order of id."""
    actor.knock("patients.search")
    rows = narrowed(session, actor, query)
    ids = list(session.scalars(rows.order_by(rows.selected_columns[0])))
    homes = [query.organization_id] if query.organization_id else sorted(actor.organizations("patients.search") or ())
    audit.note(session, patients=ids, organizations=homes, count=len(ids))
    return Table(
        COLUMNS, (_batch(session, actor, list(part), query.organization_id) for part in studies.chunks(ids, BATCH))
    )


def _batch(session: Session, actor: Actor, ids: list[int], organization_id: int | None) -> list[tuple[Any, ...]]:
    counted = consents.counts(session, actor, ids)
    return [(*row, *counted[row[0]]) for row in columns_of(session, actor, ids, organization_id)]


def columns_of(
    session: Session, actor: Actor, ids: list[int], organization_id: int | None
) -> Iterator[tuple[Any, ...]]:
    """The scalar columns of patients, in order of id: plain tuples, since 100,000 shapes would take seconds."""
    first = (
        select(IdentifierRow.value)
        .where(IdentifierRow.patient_id == PatientRow.id)
        .order_by(IdentifierRow.id)
        .limit(1)
        .scalar_subquery()
    )
    rows = (
        select(
            PatientRow.id,
            PatientRow.user_id,
            first,
            PatientRow.name_family,
            PatientRow.name_given,
            PatientRow.birth_date,
            PatientRow.telecom_phone,
            UserRow.email,
            _home(actor, organization_id),
        )
        .join(UserRow, UserRow.id == PatientRow.user_id)
        .where(PatientRow.id.between(ids[0], ids[-1]))
        .order_by(PatientRow.id)
    )
    wanted = set(ids)
    return (tuple(row) for row in session.execute(rows) if row[0] in wanted)


def _home(actor: Actor, organization_id: int | None) -> Any:
    if organization_id is not None:
        return case((PatientRow.id > 0, organization_id))
    homes = select(func.min(PatientOrganizationRow.organization_id)).where(
        PatientOrganizationRow.patient_id == PatientRow.id
    )
    allowed = actor.organizations("patients.get")
    return (
        homes if allowed is None else homes.where(PatientOrganizationRow.organization_id.in_(allowed))
    ).scalar_subquery()
