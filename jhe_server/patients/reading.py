"""Patients read: records with what they count of studies and answers, searched, looked up and one by one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session

from .. import audit, consents, settings, studies
from ..access import Actor
from ..db import count, ordered, within
from ..errors import Forbidden, TooMany
from ..organizations import Organization, OrganizationRow, shaped
from ..patient_rows import IdentifierRow, PatientName, PatientOrganizationRow, PatientRow, named, row_of, visible
from ..people import UserRow, email_key
from ..shapes import Listing, Page
from ..studies import StudyPatientRow
from .shapes import ByEmail, InOrganization, Patient, PatientIdentifier, PatientSearch

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


def me(session: Session, actor: Actor) -> Patient:
    """The patient's own record."""
    if actor.patient_id is None:
        raise Forbidden()
    row = row_of(session, actor, actor.patient_id)
    return shapes(session, actor, [row.id])[0]
