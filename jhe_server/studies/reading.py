"""Studies read: those a caller may see, with all they embed, searched and one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from .. import audit
from ..access import Actor
from ..db import count, ordered, within
from ..devices import CodeRow, DataSource, DataSourceRow, code_shape
from ..devices import shapes as data_source_shapes
from ..errors import NotFound
from ..organizations import OrganizationRow, names
from ..organizations import row_of as organization_of
from ..shapes import Code, Page
from .rows import StudyCodeRow, StudyDataSourceRow, StudyPatientRow, StudyRow
from .shapes import Study, StudySearch


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


def members(session: Session, ids: Iterable[int]) -> dict[int, int]:
    """How many are enrolled in each study that has anybody."""
    counted = select(StudyPatientRow.study_id, func.count()).where(StudyPatientRow.study_id.in_(ids))
    return {id: number for id, number in session.execute(counted.group_by(StudyPatientRow.study_id))}


def shapes(session: Session, rows: list[StudyRow]) -> list[Study]:
    """Studies with all they embed: a fixed number of statements, however many studies."""
    ids = [row.id for row in rows]
    homes = names(session, {row.organization_id for row in rows})
    codes, sources = codes_by_study(session, ids), data_sources_by_study(session, ids)
    enrolled = members(session, ids)
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


def organization_name(session: Session, row: StudyRow) -> str:
    return session.get_one(OrganizationRow, row.organization_id).name
