"""The rows behind a patient and who may see them: what studies, consents and observations stand on.

The verbs are one floor up, in `patients`, since a patient's record counts studies and answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import Date, ForeignKey, Identity, Index, Select, String, exists, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from . import audit, changes
from .access import Actor
from .db import Base, BigId, UTCTime, now
from .errors import Conflict, Forbidden, NotFound
from .people import UserRow
from .shapes import Shape


class PatientRow(Base):
    __tablename__ = "patient"
    __table_args__ = (Index("patient_name", "name_family", "name_given"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, Identity(start=40_001), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("jhe_user.id"), unique=True)
    name_family: Mapped[str] = mapped_column(String(200))
    name_given: Mapped[str] = mapped_column(String(200))
    birth_date: Mapped[date] = mapped_column(Date)
    telecom_phone: Mapped[str | None] = mapped_column(String(1000))
    last_updated: Mapped[datetime] = mapped_column(UTCTime)


class PatientOrganizationRow(Base):
    __tablename__ = "patient_organization"
    __table_args__ = (Index("patient_organization_patient", "patient_id", "organization_id"),)

    organization_id: Mapped[int] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(UTCTime)


class IdentifierRow(Base):
    """A patient's identifier; a value is somebody's once per system."""

    __tablename__ = "patient_identifier"
    __table_args__ = (
        Index("patient_identifier_value", "value"),
        Index("patient_identifier_patient", "patient_id"),
        Index("patient_identifier_unique", "system", "value", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, Identity(), primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    system: Mapped[str] = mapped_column(String(1000))
    value: Mapped[str] = mapped_column(String(200))


class PatientName(Shape):
    """What a lookup across organizations tells, and no more."""

    id: int
    name_family: str
    name_given: str
    birth_date: date
    telecom_email: str


# ------------------------------------------------------------------ who may be seen
def visible(
    session: Session, actor: Actor, verb: str = "patients.search", organization_id: int | None = None
) -> Select[Any]:
    """A select of `(patient.id)` narrowed to whom the actor may see, in one organization or in all of theirs."""
    allowed = actor.organizations(verb)
    if actor.is_self(verb, actor.patient_id or 0):
        return select(PatientRow.id).where(PatientRow.id == actor.patient_id)
    if organization_id is not None:
        return _members([organization_id] if allowed is None or organization_id in allowed else [])
    if allowed is None:
        return select(PatientRow.id)  # every patient belongs somewhere, and a superuser sees everywhere
    peopled = [id for id in sorted(allowed) if session.scalar(select(exists(_members([id]))))]
    return _members(peopled) if len(peopled) < 2 else _in_any(peopled)


def _members(organizations: list[int]) -> Select[Any]:
    """Straight down the membership table's key: no patient is listed twice in one organization."""
    column = PatientOrganizationRow.patient_id
    if not organizations:
        return select(column).where(PatientOrganizationRow.organization_id.in_(()))
    return select(column).where(PatientOrganizationRow.organization_id == organizations[0])


def _in_any(organizations: Iterable[int]) -> Select[Any]:
    inside = exists().where(
        PatientOrganizationRow.patient_id == PatientRow.id, PatientOrganizationRow.organization_id.in_(organizations)
    )
    return select(PatientRow.id).where(inside)


def shared(session: Session, actor: Actor, verb: str, patient_id: int) -> list[int]:
    """The patient's organizations in which the actor may do the verb, in order of id."""
    rows = select(PatientOrganizationRow.organization_id).where(PatientOrganizationRow.patient_id == patient_id)
    allowed = actor.organizations(verb)
    if allowed is not None:
        rows = rows.where(PatientOrganizationRow.organization_id.in_(allowed))
    return list(session.scalars(rows.order_by(PatientOrganizationRow.organization_id)))


def row_of(session: Session, actor: Actor, patient_id: int, organization_id: int | None = None) -> PatientRow:
    """The patient, if the caller may see them (in that organization); else exactly what an unknown id answers."""
    audit.note(session, patient=patient_id)
    row = session.get(PatientRow, patient_id)
    seen_in = shared(session, actor, "patients.get", patient_id)
    own = actor.is_self("patients.get", patient_id)
    if (
        row is None
        or not (seen_in or own)
        or (organization_id is not None and organization_id not in seen_in and not own)
    ):
        raise NotFound()
    audit.note(
        session, organization=organization_id or (seen_in[0] if len(seen_in) == 1 else None), organizations=seen_in
    )
    return row


def reach(session: Session, actor: Actor, verb: str, patient_id: int, organization_id: int | None = None) -> PatientRow:
    """The patient to act on: seen (else 404), the verb allowed in that organization or in a shared one (else 403)."""
    if organization_id is not None and not actor.may("patients.get", organization_id):
        actor.require(verb, organization_id)
    row = row_of(session, actor, patient_id, organization_id)
    if actor.is_self(verb, patient_id):
        return row
    may_in = shared(session, actor, verb, patient_id)
    if not may_in or (organization_id is not None and organization_id not in may_in):
        raise Forbidden()
    return row


def names(session: Session, ids: Iterable[int]) -> dict[int, PatientName]:
    """Who the patients are, by id."""
    joined = select(PatientRow, UserRow.email).join(UserRow, UserRow.id == PatientRow.user_id)
    return {row.id: named(row, email) for row, email in session.execute(joined.where(PatientRow.id.in_(ids)))}


def named(row: PatientRow, email: str) -> PatientName:
    return PatientName(
        id=row.id,
        name_family=row.name_family,
        name_given=row.name_given,
        birth_date=row.birth_date,
        telecom_email=email,
    )


def join(session: Session, patient_id: int, organization_id: int) -> None:
    session.add(PatientOrganizationRow(organization_id=organization_id, patient_id=patient_id, since=now()))
    session.flush()
    changes.note(session, "patient", patient_id, [organization_id], patient_id)


def free_identifiers(session: Session, given: list[tuple[str, str]], owner: int | None = None) -> None:
    """Refuse an identifier that is another patient's, or named twice; the sentence names it, not whose it is."""
    if len(set(given)) < len(given):
        raise Conflict("An identifier is named twice.", {"identifiers": ["is named twice"]})
    for system, value in given:
        taken = session.scalar(
            select(IdentifierRow.patient_id).where(IdentifierRow.system == system, IdentifierRow.value == value)
        )
        if taken is not None and taken != owner:
            raise Conflict(
                f"Identifier {system}|{value} already belongs to another patient.", {"identifiers": ["is taken"]}
            )


def add_identifiers(session: Session, patient_id: int, given: list[tuple[str, str]]) -> None:
    if given:
        rows = [{"patient_id": patient_id, "system": system, "value": value} for system, value in given]
        session.execute(insert(IdentifierRow), rows)


def touched(session: Session, patient_id: int) -> None:
    """Tell the change feed in every organization of the patient."""
    homes = session.scalars(
        select(PatientOrganizationRow.organization_id).where(PatientOrganizationRow.patient_id == patient_id)
    )
    changes.note(session, "patient", patient_id, [*homes, None], patient_id)


def require_all(session: Session, actor: Actor, verb: str, patient_id: int) -> None:
    """E-mail and identifiers concern every organization of a patient: only a member of all may change them."""
    everywhere = session.scalars(
        select(PatientOrganizationRow.organization_id).where(PatientOrganizationRow.patient_id == patient_id)
    )
    if not all(actor.may(verb, organization_id) for organization_id in everywhere):
        raise Forbidden()
