"""Who am I: the caller's account, their patient record or their organizations, and what they may do in each."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from . import organizations, patients
from .access import Actor
from .organizations import OrganizationRow
from .patients import Patient
from .people import PATIENT, PRACTITIONER, PractitionerRow, UserRow
from .shapes import OrganizationName, Shape


class OwnOrganization(OrganizationName):
    role: str


class OwnPractitioner(Shape):
    id: int
    organizations: list[OwnOrganization]


class Profile(Shape):
    """`permissions` holds, per organization id, the verbs its user may do there: what a panel shows and hides."""

    id: int
    email: str
    first_name: str
    last_name: str
    user_type: str
    is_superuser: bool
    patient: Patient | None
    practitioner: OwnPractitioner | None
    permissions: dict[int, list[str]]


def get(session: Session, actor: Actor) -> Profile:
    """The caller's own profile."""
    user = session.get_one(UserRow, actor.user_id)
    practitioner = None if actor.patient_id is not None else _practitioner(session, actor)
    return Profile(
        id=user.id,
        email=user.email,
        first_name=user.first_name,
        last_name=user.last_name,
        user_type=PATIENT if actor.patient_id is not None else PRACTITIONER,
        is_superuser=user.is_superuser,
        patient=None if actor.patient_id is None else patients.me(session, actor),
        practitioner=practitioner,
        permissions={one.id: actor.allowed(one.id) for one in practitioner.organizations} if practitioner else {},
    )


def _practitioner(session: Session, actor: Actor) -> OwnPractitioner | None:
    id = session.scalar(select(PractitionerRow.id).where(PractitionerRow.user_id == actor.user_id))
    if id is None:
        return None
    # A superuser is a member of nothing: these are roles held, not reach.
    held = actor.roles if not actor.is_superuser else organizations.roles_of(session, actor.user_id)
    rows = session.scalars(select(OrganizationRow).where(OrganizationRow.id.in_(held)).order_by(OrganizationRow.id))
    return OwnPractitioner(
        id=id,
        organizations=[OwnOrganization(id=row.id, name=row.name, type=row.type, role=held[row.id]) for row in rows],
    )
