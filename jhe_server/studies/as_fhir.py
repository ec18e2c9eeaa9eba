"""Studies as FHIR R5 Groups: the resource, what it can be searched by, and the two reading verbs.

A Group says how many are in it, not who: a study may have 100,000 members. `Patient?_has:Group:member:_id=` lists them,
page by page and audited one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from .. import audit, fhir
from ..access import Actor
from ..errors import NotFound
from ..fhir_search import FHIRSearch, Resources
from ..fhir_select import By, Searchable, starts
from ..organizations import names
from ..shapes import OrganizationName
from .reading import members, visible
from .rows import StudyPatientRow, StudyRow

VERB = "studies.fhir_search"


def seen(actor: Actor, verb: str) -> Select[Any]:
    """The ids of the studies an actor may know of: their organizations', and a patient's own."""
    if actor.patient_id is None:
        return visible(actor, verb).with_only_columns(StudyRow.id)
    own = select(StudyPatientRow.study_id).where(StudyPatientRow.patient_id == actor.patient_id)
    return select(StudyRow.id).where(StudyRow.id.in_(own))


def _with_members(actor: Actor, ids: Sequence[int]) -> ColumnElement[bool]:
    """A patient learns of nobody else that they are in the same study."""
    asked = [id for id in ids if actor.patient_id in (None, id)]
    return StudyRow.id.in_(select(StudyPatientRow.study_id).where(StudyPatientRow.patient_id.in_(asked)))


SEARCHABLE = Searchable(
    "Group",
    id=StudyRow.id,
    updated=StudyRow.last_updated,
    by={
        "name": By("string", lambda _, texts: starts(texts, StudyRow.name)),
        "managing-entity": By("Organization", lambda _, ids: StudyRow.organization_id.in_(ids)),
        "member": By("Patient", _with_members),
    },
    order={"name": func.lower(StudyRow.name)},
)


# ------------------------------------------------------------------ verbs
def fhir_search(session: Session, actor: Actor, query: FHIRSearch) -> Resources:
    """Studies as FHIR Groups, newest first."""
    actor.knock(VERB)
    audit.note(
        session,
        study=query.only("_id"),
        patient=query.only("member"),
        organization=query.only("managing-entity"),
    )
    total, ids = SEARCHABLE.page(session, actor, seen(actor, VERB), query)
    return Resources(total, _resources(session, actor, ids))


def fhir_get(session: Session, actor: Actor, study_id: int) -> fhir.Resource:
    """One study as a FHIR Group."""
    actor.knock("studies.fhir_get")
    audit.note(session, study=study_id)
    if session.scalar(seen(actor, "studies.fhir_get").where(StudyRow.id == study_id)) is None:
        raise NotFound()
    return _resources(session, actor, [study_id])[0]


# ------------------------------------------------------------------ the resource
def _resources(session: Session, actor: Actor, ids: list[int]) -> list[fhir.Resource]:
    rows = {row.id: row for row in session.scalars(select(StudyRow).where(StudyRow.id.in_(ids)))}
    homes = names(session, {row.organization_id for row in rows.values()})
    enrolled = {} if actor.patient_id is not None else dict.fromkeys(ids, 0) | members(session, ids)
    audit.note(session, organizations=homes, count=len(rows))
    return [to_fhir(rows[id], homes[rows[id].organization_id], enrolled.get(id)) for id in ids]


def to_fhir(row: StudyRow, home: OrganizationName, enrolled: int | None) -> fhir.Resource:
    """The Group resource; how many are enrolled is left out where it is none of the caller's business."""
    return {
        "resourceType": "Group",
        "id": str(row.id),
        "meta": fhir.meta(row.last_updated),
        "type": "person",
        "membership": "enumerated",
        "name": row.name,
        **({"description": row.description} if row.description.strip() else {}),
        **({} if enrolled is None else {"quantity": enrolled}),
        "managingEntity": fhir.reference("Organization", home.id, home.name),
    }
