"""Verbs that cross concepts when something leaves: a patient an organization, a study, an organization, an account.

What each would take can be seen before (`preview_patient`); what it took is in the ledger and the audit afterwards.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from . import audit, changes, consents, invitations, oauth_clients, observations, organizations, studies, tokens
from .access import Actor
from .db import Base, count, now
from .devices import DataSourceRow, SupportedCodeRow
from .errors import Conflict, Forbidden, Invalid, NotFound
from .invitations import InvitationRow
from .oauth_clients import ClientDataSourceRow
from .organizations import ROOT, MembershipRow, OrganizationRow
from .patient_rows import IdentifierRow, PatientOrganizationRow, PatientRow, reach, shared, touched
from .patients import InOrganization
from .people import PractitionerRow, UserRow, account
from .shapes import Shape
from .studies import (
    StudyClientRow,
    StudyCodeRow,
    StudyDataSourceRow,
    StudyPatientRow,
    StudyRow,
    organization_name,
)
from .tokens import TokenRow


class StudyLeft(Shape):
    id: int
    name: str
    organization: str
    answers: int


class RemovalPreview(Shape):
    """What removing a patient from an organization would take."""

    patient_id: int
    organization_id: int
    studies: list[StudyLeft]
    answers: int
    open_invitations: int
    whole_record: bool
    observations: int


# ------------------------------------------------------------------ a patient leaves an organization
def preview_patient(session: Session, actor: Actor, patient_id: int, query: InOrganization) -> RemovalPreview:
    """What `remove_patient` would take; observations are counted where the caller may see them.

    Observations and invitations are the patient's, not the organization's: they go with the whole record only.
    """
    row, organization_id = _leaving(session, actor, "departures.preview_patient", patient_id, query.organization_id)
    left = [_left(session, study, row.id) for study in _studies(session, row.id, organization_id)]
    seen = observations.readable(actor, "observations.search").where(observations.ObservationRow.patient_id == row.id)
    open_ones = select(func.count()).where(
        InvitationRow.patient_id == row.id, InvitationRow.status == invitations.ISSUED, InvitationRow.expires > now()
    )
    whole = _homes(session, row.id) == [organization_id]
    return RemovalPreview(
        patient_id=row.id,
        organization_id=organization_id,
        studies=left,
        answers=sum(study.answers for study in left),
        open_invitations=(session.scalar(open_ones) or 0) if whole else 0,
        whole_record=whole,
        observations=count(session, seen) if whole else 0,
    )


def _leaving(
    session: Session, actor: Actor, verb: str, patient_id: int, organization_id: int | None
) -> tuple[PatientRow, int]:
    """The patient and the organization they leave; it need not be named where the two share only one."""
    row = reach(session, actor, verb, patient_id, organization_id)
    may_in = shared(session, actor, verb, row.id)
    if organization_id is None and len(may_in) > 1:
        raise Invalid(
            "The patient is in several of your organizations; say which with organization_id.",
            {"organizationId": ["is needed"]},
        )
    chosen = may_in[0] if organization_id is None else organization_id
    audit.note(session, organization=chosen)
    return row, chosen


def _homes(session: Session, patient_id: int) -> list[int]:
    rows = select(PatientOrganizationRow.organization_id).where(PatientOrganizationRow.patient_id == patient_id)
    return list(session.scalars(rows))


def _studies(session: Session, patient_id: int, organization_id: int) -> list[StudyRow]:
    enrolled = select(StudyPatientRow.study_id).where(StudyPatientRow.patient_id == patient_id)
    rows = select(StudyRow).where(StudyRow.organization_id == organization_id, StudyRow.id.in_(enrolled))
    return list(session.scalars(rows.order_by(StudyRow.id)))


def _left(session: Session, study: StudyRow, patient_id: int) -> StudyLeft:
    answers = select(func.count()).where(
        consents.AnswerRow.study_id == study.id, consents.AnswerRow.patient_id == patient_id
    )
    home = organization_name(session, study)
    return StudyLeft(id=study.id, name=study.name, organization=home, answers=session.scalar(answers) or 0)


def remove_patient(session: Session, actor: Actor, patient_id: int, query: InOrganization) -> None:
    """A patient leaves an organization, its studies and their consents; with none left, all of the record goes."""
    row, organization_id = _leaving(session, actor, "departures.remove_patient", patient_id, query.organization_id)
    touched(session, row.id)
    for study in _studies(session, row.id, organization_id):
        studies.take_out(session, actor, study, [row.id])
    membership = session.get_one(PatientOrganizationRow, (organization_id, row.id))
    session.delete(membership)
    session.flush()
    if not _homes(session, row.id):
        _forget(session, row)
    audit.note(session, patient=patient_id, organization=organization_id, count=1)


def _forget(session: Session, row: PatientRow) -> None:
    """Nothing of the person stays but ids in the ledger and the audit; the e-mail address is free again."""
    observations.forget(session, [row.id])
    session.execute(delete(IdentifierRow).where(IdentifierRow.patient_id == row.id))
    session.execute(delete(InvitationRow).where(InvitationRow.patient_id == row.id))
    session.execute(delete(TokenRow).where(TokenRow.user_id == row.user_id))
    user_id = row.user_id
    session.delete(row)
    session.flush()
    session.execute(delete(UserRow).where(UserRow.id == user_id))


# ------------------------------------------------------------------ a study, an organization, an account
def remove_study(session: Session, actor: Actor, study_id: int) -> None:
    """Delete a study: enrolments and answers go with it, data stays, the ledger keeps all of it."""
    row = studies.reach(session, actor, "departures.remove_study", study_id)
    enrolled = select(StudyPatientRow.patient_id).where(StudyPatientRow.study_id == row.id)
    patients = list(session.scalars(enrolled.order_by(StudyPatientRow.patient_id)))
    studies.take_out(session, actor, row, patients)
    studies.touched(session, row, len(patients) or 1)
    for link in (StudyCodeRow, StudyDataSourceRow, StudyClientRow):
        session.execute(delete(link).where(link.study_id == row.id))
    session.delete(row)
    session.flush()


def remove_organization(session: Session, actor: Actor, organization_id: int) -> None:
    """Delete an organization that nothing belongs to any more."""
    row = organizations.reach(session, actor, "departures.remove_organization", organization_id)
    belongings: dict[str, Any] = {
        "patients": PatientOrganizationRow.organization_id,
        "studies": StudyRow.organization_id,
        "sub-organizations": OrganizationRow.part_of,
    }
    held = [name for name, column in belongings.items() if _any(session, column, row.id)]
    if held:
        raise Conflict(f"This organization still has {' and '.join(held)}; it cannot be deleted.")
    if row.part_of in (ROOT, None):
        actor.require("organizations.create_top_level")
    session.execute(delete(MembershipRow).where(MembershipRow.organization_id == row.id))
    changes.note(session, "organization", row.id, [row.id, row.part_of])
    audit.note(session, count=1)
    session.delete(row)
    session.flush()


def _any(session: Session, column: Any, value: int) -> bool:
    return session.scalar(select(column).where(column == value).limit(1)) is not None


def remove_practitioner(session: Session, actor: Actor, practitioner_id: int) -> None:
    """Delete a practitioner's account; one who is somewhere the last manager has to be replaced first."""
    actor.require("departures.remove_practitioner")
    row, user = account(session, practitioner_id)
    if user.id == actor.user_id:
        raise Forbidden("You cannot delete your own account.")
    for organization_id in organizations.roles_of(session, user.id):
        organizations.keep_a_manager(session, organization_id, user.id)
        changes.note(session, "role", user.id, [organization_id])
    session.execute(delete(MembershipRow).where(MembershipRow.user_id == user.id))
    tokens.revoke_all(session, user.id)
    session.execute(delete(TokenRow).where(TokenRow.user_id == user.id))
    session.execute(delete(PractitionerRow).where(PractitionerRow.id == row.id))
    session.execute(delete(UserRow).where(UserRow.id == user.id))
    changes.note(session, "practitioner", row.id)
    audit.note(session, count=1)


# ------------------------------------------------------------------ a data source, a client
def remove_data_source(session: Session, actor: Actor, data_source_id: int) -> None:
    """Delete a data source that nothing was measured with."""
    actor.require("departures.remove_data_source")
    row = session.get(DataSourceRow, data_source_id)
    if row is None:
        raise NotFound()
    if _any(session, observations.ObservationRow.data_source_id, row.id):
        raise Conflict("This data source still has observations; it cannot be deleted.")
    _unlink(session, "data_source_id", row.id, SupportedCodeRow, StudyDataSourceRow, ClientDataSourceRow)
    _gone(session, row, "data_source")


def remove_client(session: Session, actor: Actor, oauth_client_id: int) -> None:
    """Delete a client that nobody was invited to."""
    actor.require("departures.remove_client")
    row = oauth_clients.row_of(session, oauth_client_id)
    if _any(session, InvitationRow.oauth_client_id, row.id):
        raise Conflict("This client still has invitations; it cannot be deleted.")
    tokens.end_client(session, row.client_id)
    _unlink(session, "oauth_client_id", row.id, StudyClientRow, ClientDataSourceRow)
    _gone(session, row, "client")


def _unlink(session: Session, column: str, id: int, *links: type[Base]) -> None:
    for link in links:
        session.execute(delete(link).where(getattr(link, column) == id))


def _gone(session: Session, row: Any, concept: str) -> None:
    changes.note(session, concept, row.id)
    audit.note(session, count=1)
    session.delete(row)
    session.flush()
