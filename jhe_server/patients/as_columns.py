"""Patients as typed columns, for an Arrow stream: the scalar fields of the list, all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from .. import audit, consents, studies
from ..access import Actor
from ..columns import Column, Table
from ..patient_rows import IdentifierRow, PatientOrganizationRow, PatientRow
from ..people import UserRow
from .reading import narrowed
from .shapes import PatientSearch

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
