"""Patients as FHIR R5: the resource, what it can be searched by, and the two reading verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from .. import audit, fhir, studies
from ..access import Actor
from ..fhir_search import FHIRSearch, Resources, Token
from ..fhir_select import By, Searchable, identified, on_days, starts
from ..patient_rows import IdentifierRow, PatientOrganizationRow, PatientRow, row_of, visible
from ..studies import StudyPatientRow
from .reading import shapes
from .shapes import Patient

Condition = ColumnElement[bool]
VERB = "patients.fhir_search"
_ROW = PatientRow


# ------------------------------------------------------------------ what it can be searched by
def _identified(_actor: Actor, tokens: Sequence[Token]) -> Condition:
    named = identified(tokens, IdentifierRow.system, IdentifierRow.value)
    return _ROW.id.in_(select(IdentifierRow.patient_id).where(named))


def _in_organizations(actor: Actor, ids: Sequence[int]) -> Condition:
    """Of a patient's organizations only those count that the caller may know of."""
    home = PatientOrganizationRow.organization_id
    rows = select(PatientOrganizationRow.patient_id).where(home.in_(ids))
    allowed = None if actor.patient_id is not None else actor.organizations(VERB)
    return _ROW.id.in_(rows if allowed is None else rows.where(home.in_(allowed)))


def _in_studies(actor: Actor, ids: Sequence[int]) -> Condition:
    rows = select(StudyPatientRow.patient_id).where(StudyPatientRow.study_id.in_(ids))
    return _ROW.id.in_(rows.where(StudyPatientRow.study_id.in_(studies.seen(actor, VERB))))


_BY: dict[str, By] = {
    "identifier": By("token", _identified),
    "family": By("string", lambda _, texts: starts(texts, _ROW.name_family)),
    "given": By("string", lambda _, texts: starts(texts, _ROW.name_given)),
    "name": By("string", lambda _, texts: starts(texts, _ROW.name_family, _ROW.name_given)),
    "birthdate": By("date", lambda _, spans: on_days(spans, _ROW.birth_date)),
    "organization": By("Organization", _in_organizations),
    "_has:Group:member:_id": By("id", _in_studies),
}
# The public client sends the filters of Observations with every type; by themselves they would be left out here, and
# a question about one patient answered with all of them.
_AS_OF_OBSERVATIONS: dict[str, By] = {
    "patient": By("Patient", lambda _, ids: _ROW.id.in_(ids)),
    **{f"patient.{name}": _BY[name] for name in ("identifier", "organization", "_has:Group:member:_id")},
}
SEARCHABLE = Searchable(
    "Patient",
    id=_ROW.id,
    updated=_ROW.last_updated,
    by=_BY | _AS_OF_OBSERVATIONS,
    order={
        "family": func.lower(_ROW.name_family),
        "given": func.lower(_ROW.name_given),
        "birthdate": _ROW.birth_date,
    },
)


# ------------------------------------------------------------------ verbs
def fhir_search(session: Session, actor: Actor, query: FHIRSearch) -> Resources:
    """Patients as FHIR resources, newest first."""
    actor.knock(VERB)
    audit.note(
        session,
        patient=query.only("_id") or query.only("patient"),
        study=query.only("_has:Group:member:_id"),
        organization=query.only("organization"),
    )
    rows = select(_ROW.id).where(_ROW.id.in_(visible(session, actor, VERB)))
    total, ids = SEARCHABLE.page(session, actor, rows, query)
    audit.note(session, count=len(ids))
    return Resources(total, [to_fhir(patient) for patient in shapes(session, actor, ids)])


def fhir_get(session: Session, actor: Actor, patient_id: int) -> fhir.Resource:
    """One patient as a FHIR resource."""
    actor.knock("patients.fhir_get")
    row = row_of(session, actor, patient_id)
    audit.note(session, count=1)
    return to_fhir(shapes(session, actor, [row.id])[0])


def to_fhir(patient: Patient) -> fhir.Resource:
    """The Patient resource; of several organizations it names the first that the caller may know of, as REST does."""
    identifiers = [fhir.identifier(one.system, one.value) for one in patient.identifiers]
    home = next(iter(patient.organizations), None)
    return {
        "resourceType": "Patient",
        "id": str(patient.id),
        "meta": fhir.meta(patient.last_updated),
        **({"identifier": identifiers} if identifiers else {}),
        "name": [fhir.human_name(patient.name_family, patient.name_given)],
        "telecom": _telecom(patient),
        "birthDate": patient.birth_date.isoformat(),
        **({"managingOrganization": fhir.reference("Organization", home.id, home.name)} if home else {}),
    }


def _telecom(patient: Patient) -> list[dict[str, Any]]:
    reached_by = {"email": patient.telecom_email, "phone": patient.telecom_phone}
    return [{"system": system, "value": value} for system, value in reached_by.items() if value]
