"""Organizations and their people as FHIR R5 Organizations and Practitioners: resources, searches, reading verbs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from .. import audit, fhir
from ..access import Actor
from ..errors import NotFound
from ..fhir_search import FHIRSearch, Resources
from ..fhir_select import By, Searchable, identified, starts
from ..patient_rows import PatientOrganizationRow
from ..people import FIRST_ID, PractitionerRow, UserRow
from .reading import names, visible
from .rows import ROOT, MembershipRow, OrganizationRow
from .shapes import TYPES

ORGANIZATION_TYPE = "http://terminology.hl7.org/CodeSystem/organization-type"
OUR_TYPES = ("laboratory",)  # not in that code system, so it is said in words only
_TYPE_SYSTEM = case((OrganizationRow.type.in_(OUR_TYPES), ""), else_=ORGANIZATION_TYPE)

ORGANIZATION = Searchable(
    "Organization",
    id=OrganizationRow.id,
    updated=OrganizationRow.last_updated,
    by={
        "name": By("string", lambda _, texts: starts(texts, OrganizationRow.name)),
        "partof": By("Organization", lambda _, ids: OrganizationRow.part_of.in_(ids)),
        "type": By("token", lambda _, tokens: identified(tokens, _TYPE_SYSTEM, OrganizationRow.type)),
    },
    order={"name": func.lower(OrganizationRow.name)},
)
PRACTITIONER = Searchable(
    "Practitioner",
    id=PractitionerRow.id,
    updated=PractitionerRow.last_updated,
    by={
        "family": By("string", lambda _, texts: starts(texts, UserRow.last_name)),
        "given": By("string", lambda _, texts: starts(texts, UserRow.first_name)),
        "name": By("string", lambda _, texts: starts(texts, UserRow.last_name, UserRow.first_name)),
    },
    order={"family": func.lower(UserRow.last_name), "given": func.lower(UserRow.first_name)},
)


# ------------------------------------------------------------------ organizations
def _seen(session: Session, actor: Actor) -> Select[Any]:
    """A caller's organizations and those on their way to the root; a patient's own."""
    if actor.patient_id is None:
        return visible(session, actor).with_only_columns(OrganizationRow.id)
    own = select(PatientOrganizationRow.organization_id).where(PatientOrganizationRow.patient_id == actor.patient_id)
    return select(OrganizationRow.id).where(OrganizationRow.id.in_(own))


def fhir_search(session: Session, actor: Actor, query: FHIRSearch) -> Resources:
    """Organizations as FHIR resources, newest first."""
    actor.knock("organizations.fhir_search")
    total, ids = ORGANIZATION.page(session, actor, _seen(session, actor), query)
    return Resources(total, _organizations(session, actor, ids))


def fhir_get(session: Session, actor: Actor, organization_id: int) -> fhir.Resource:
    """One organization as a FHIR resource."""
    actor.knock("organizations.fhir_get")
    if session.scalar(_seen(session, actor).where(OrganizationRow.id == organization_id)) is None:
        raise NotFound()
    audit.note(session, organization=organization_id)
    return _organizations(session, actor, [organization_id])[0]


def _organizations(session: Session, actor: Actor, ids: list[int]) -> list[fhir.Resource]:
    rows = {row.id: row for row in session.scalars(select(OrganizationRow).where(OrganizationRow.id.in_(ids)))}
    above = names(session, {row.part_of for row in rows.values() if row.part_of})
    # A patient is told where they are a patient, not how that hospital is organized.
    parents = {} if actor.patient_id is not None else {id: one.name for id, one in above.items()}
    return [organization_to_fhir(rows[id], parents.get(rows[id].part_of or ROOT)) for id in ids]


def organization_to_fhir(row: OrganizationRow, parent: str | None) -> fhir.Resource:
    """The Organization resource; `parent` is the name of the one above, where there is one for the caller to know."""
    text = TYPES.get(row.type, row.type)
    known = row.type in TYPES and row.type not in OUR_TYPES
    return {
        "resourceType": "Organization",
        "id": str(row.id),
        "meta": fhir.meta(row.last_updated),
        "active": True,
        "type": [fhir.codeable_concept(ORGANIZATION_TYPE, row.type, text) if known else {"text": text}],
        "name": row.name,
        **({} if parent is None else {"partOf": fhir.reference("Organization", row.part_of or ROOT, parent)}),
    }


# ------------------------------------------------------------------ the people in them
def _known(actor: Actor, verb: str) -> Select[Any]:
    """The practitioners of the caller's organizations; a superuser knows everybody, a patient nobody."""
    rows = select(PractitionerRow.id).join(UserRow, UserRow.id == PractitionerRow.user_id)
    rows = rows.where(UserRow.id >= FIRST_ID)
    allowed = actor.organizations(verb)
    if allowed is None:
        return rows
    return rows.where(UserRow.id.in_(select(MembershipRow.user_id).where(MembershipRow.organization_id.in_(allowed))))


def fhir_colleagues(session: Session, actor: Actor, query: FHIRSearch) -> Resources:
    """The people of the caller's organizations as FHIR Practitioners, newest first."""
    actor.knock("organizations.fhir_colleagues")
    total, ids = PRACTITIONER.page(session, actor, _known(actor, "organizations.fhir_colleagues"), query)
    return Resources(total, _practitioners(session, ids))


def fhir_colleague(session: Session, actor: Actor, practitioner_id: int) -> fhir.Resource:
    """One of the people of the caller's organizations as a FHIR Practitioner."""
    actor.knock("organizations.fhir_colleague")
    known = _known(actor, "organizations.fhir_colleague").where(PractitionerRow.id == practitioner_id)
    if session.scalar(known) is None:
        raise NotFound()
    return _practitioners(session, [practitioner_id])[0]


def _practitioners(session: Session, ids: list[int]) -> list[fhir.Resource]:
    pairs = select(PractitionerRow, UserRow).join(UserRow, UserRow.id == PractitionerRow.user_id)
    found = {row.id: (row, user) for row, user in session.execute(pairs.where(PractitionerRow.id.in_(ids)))}
    return [practitioner_to_fhir(*found[id]) for id in ids]


def practitioner_to_fhir(row: PractitionerRow, user: UserRow) -> fhir.Resource:
    """The Practitioner resource; `active` is false for a disabled account."""
    name = fhir.human_name(user.last_name, user.first_name)
    return {
        "resourceType": "Practitioner",
        "id": str(row.id),
        "meta": fhir.meta(row.last_updated),
        "active": not user.disabled,
        **({"name": [name]} if name else {}),
        "telecom": [{"system": "email", "value": user.email}],
    }
