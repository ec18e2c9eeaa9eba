"""Patients written: created, changed, and added to another organization."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from .. import audit, invitations, tokens
from ..access import Actor
from ..db import now
from ..errors import Conflict, NotFound
from ..organizations import to_write
from ..patient_rows import (
    IdentifierRow,
    PatientOrganizationRow,
    PatientRow,
    add_identifiers,
    free_identifiers,
    join,
    reach,
    require_all,
    shared,
    touched,
)
from ..people import PATIENT, UserRow, add_user, change_email, email_key
from .reading import shapes
from .shapes import InOrganization, IntoOrganization, NewPatient, Patient, PatientChange

OWN_SYSTEM = "https://jupyterhealth.org/jhe/organization/{}/identifier"
FOUND_FOR = 15 * 60.0  # seconds in which a patient found by e-mail may be added to an organization


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


def update(session: Session, actor: Actor, patient_id: int, query: InOrganization, body: PatientChange) -> Patient:
    """Change what the body names, all of it or nothing: a field left out stays, a phone sent as null is taken away.

    Another e-mail ends the patient's tokens, password and open invitations: who had the old address is out.
    """
    row = reach(session, actor, "patients.update", patient_id, query.organization_id)
    if _identifies(session, row, body):
        require_all(session, actor, "patients.update", row.id)
    if change_email(session, user := session.get_one(UserRow, row.user_id), body.telecom_email):
        user.password_hash = None
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
