"""Observations as FHIR R5: the resource, what it can be searched by, and the two reading verbs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from .. import audit, fhir
from ..access import Actor
from ..db import microseconds
from ..devices import CodeRow
from ..errors import NotFound
from ..fhir_search import FHIRSearch, Resources, Token
from ..fhir_select import By, Searchable, during, identified
from ..patient_rows import IdentifierRow
from .counting import pair_total
from .reading import Found, fetched, is_many, readable, through_the_gate, time_of
from .rows import ObservationIdentifierRow, ObservationRow, identifier_digest

Condition = ColumnElement[bool]
VERB = "observations.fhir_search"
AT_ONCE = 1000  # resources that are made together
OMH, IEEE = "https://w3id.org/openmhealth", "https://w3id.org/ieee1752"
OF_PAIRS = {"patient", "subject", "patient.identifier", "code"}  # parameters about the patient or the code alone
_ROW = ObservationRow
_START = _ROW.effective_start.expression
_END = func.coalesce(_ROW.effective_end, _START)


# ------------------------------------------------------------------ what it can be searched by
def _of_patients(_actor: Actor, ids: Sequence[int]) -> Condition:
    return _ROW.patient_id.in_(ids)


def _of_identified(_actor: Actor, tokens: Sequence[Token]) -> Condition:
    named = identified(tokens, IdentifierRow.system, IdentifierRow.value)
    return _ROW.patient_id.in_(select(IdentifierRow.patient_id).where(named))


def _in_studies(actor: Actor, ids: Sequence[int]) -> Condition:
    return or_(*(through_the_gate(actor, VERB, study_id=id) for id in ids))


def _in_organizations(actor: Actor, ids: Sequence[int]) -> Condition:
    return or_(*(through_the_gate(actor, VERB, organization_id=id) for id in ids))


def _coded(_actor: Actor, tokens: Sequence[Token]) -> Condition:
    """By code; the public client puts every bare code, IEEE's too, into Open mHealth's system."""
    misplaced = [Token(IEEE, one.value) for one in tokens if one.system == OMH and one.value.startswith("ieee:")]
    named = identified([*tokens, *misplaced], CodeRow.coding_system, CodeRow.coding_code)
    return _ROW.code_id.in_(select(CodeRow.id).where(named))


def _identified(_actor: Actor, tokens: Sequence[Token]) -> Condition:
    row = ObservationIdentifierRow
    whole = [identifier_digest(one.system, one.value) for one in tokens if one.system is not None and one.value]
    rest = [one for one in tokens if one.system is None or not one.value]
    named = or_(row.digest.in_(whole), *([identified(rest, row.system, row.value)] if rest else []))
    return _ROW.id.in_(select(row.observation_id).where(named))


SEARCHABLE = Searchable(
    "Observation",
    id=_ROW.id,
    updated=_ROW.last_updated,
    by={
        "identifier": By("token", _identified),
        "code": By("token", _coded),
        "date": By("date", lambda _, spans: during(spans, _START, _END, clock=microseconds)),
        "patient": By("Patient", _of_patients),
        "subject": By("Patient", _of_patients),
        "patient.identifier": By("token", _of_identified),
        "patient.organization": By("Organization", _in_organizations),
        "patient._has:Group:member:_id": By("id", _in_studies),
    },
    # What has no time was never measured, so it comes before everything that was.
    order={"date": func.coalesce(_START, -(2**63)), "patient": _ROW.patient_id},
)


# ------------------------------------------------------------------ verbs
def fhir_search(session: Session, actor: Actor, query: FHIRSearch) -> Resources:
    """Observations as FHIR resources, newest first, where the patient consents."""
    actor.knock(VERB)
    audit.note(
        session,
        patient=query.only("patient") or query.only("subject"),
        study=query.only("patient._has:Group:member:_id"),
        organization=query.only("patient.organization"),
    )
    study_id, rest = _taken_out(query, "patient._has:Group:member:_id")
    organization_id, rest = _taken_out(rest, "patient.organization")
    total = _total(session, actor, rest, study_id, organization_id)
    known = {"whole": total is not None, "many": is_many(session, total)}
    rows = readable(actor, VERB, study_id, organization_id, **known)
    total, ids = SEARCHABLE.page(session, actor, rows, rest, total, narrowed_to=(study_id, organization_id))
    return Resources(total, resources(session, actor, ids))


def _taken_out(query: FHIRSearch, name: str) -> tuple[int | None, FHIRSearch]:
    """The one study or organization that a parameter names: the gate asks for it, and need not be passed twice."""
    named = next((one for one in query.filters if one.name == name and len(one.values) == 1), None)
    if named is None:
        return None, query
    rest = [one for one in query.filters if one is not named]
    return named.values[0], query.model_copy(update={"filters": rest})


def _total(
    session: Session, actor: Actor, query: FHIRSearch, study_id: int | None, organization_id: int | None
) -> int | None:
    """How many there are, where the question is about patients and codes alone; else None."""
    if not {one.name for one in query.filters} <= OF_PAIRS:
        return None
    conditions = SEARCHABLE.conditions(actor, query)
    return pair_total(session, actor, VERB, conditions, study_id, organization_id)


def fhir_get(session: Session, actor: Actor, observation_id: int) -> fhir.Resource:
    """One observation as a FHIR resource, where the patient consents."""
    actor.knock("observations.fhir_get")
    found = session.scalar(readable(actor, "observations.fhir_get").where(_ROW.id == observation_id))
    if found is None:
        raise NotFound()
    return resource(session, actor, found)


# ------------------------------------------------------------------ the resource
def resource(session: Session, actor: Actor, observation_id: int) -> fhir.Resource:
    return resources(session, actor, [observation_id])[0]


def resources(session: Session, actor: Actor, ids: list[int]) -> list[fhir.Resource]:
    """Observations in the order of their ids' list: a fixed number of statements, however many."""
    identifiers = _identifiers(session, ids)
    found = fetched(session, ids, actor)
    return [to_fhir(row, found, identifiers.get(row.id, [])) for row in found.rows]


def every(session: Session, actor: Actor, verb: str, study_id: int | None = None) -> Iterator[fhir.Resource]:
    """All observations that the actor may read, in the order of their ids, made a few at a time."""
    ids = session.scalars(readable(actor, verb, study_id).order_by(_ROW.id).execution_options(yield_per=AT_ONCE))
    for some in ids.partitions(AT_ONCE):
        yield from resources(session, actor, list(some))


def _identifiers(session: Session, ids: list[int]) -> dict[int, list[dict[str, str]]]:
    row = ObservationIdentifierRow
    named = select(row.observation_id, row.system, row.value).where(row.observation_id.in_(ids))
    found: dict[int, list[dict[str, str]]] = {}
    for id, system, value in session.execute(named.order_by(row.system, row.value)):
        found.setdefault(id, []).append(fhir.identifier(system, value))
    return found


def to_fhir(row: Any, found: Found, identifiers: list[dict[str, str]]) -> fhir.Resource:
    """The Observation resource: the data point as a base64 attachment, its time on the clock it was measured by."""
    code, source = found.codes[row.code_id], found.sources[row.data_source_id]
    return {
        "resourceType": "Observation",
        "id": str(row.id),
        "meta": fhir.meta(row.last_updated),
        **({"identifier": identifiers} if identifiers else {}),
        "status": row.status,
        "code": fhir.codeable_concept(code.coding_system, code.coding_code, code.text),
        "subject": fhir.reference("Patient", row.patient_id),
        "device": fhir.reference("Device", source.id, source.name),
        **fhir.effective(time_of(row.effective_start), time_of(row.effective_end), row.utc_offset_minutes),
        "valueAttachment": fhir.attached(row.payload),
    }
