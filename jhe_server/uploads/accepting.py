"""Uploads accepted: the rules that need the store, and the writing.

A Bundle's entries are judged one by one and written together: a refused entry leaves no trace and stops no other,
unless the Bundle is a transaction, which is all or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from .. import audit, changes, consents, fhir, observations
from ..access import Actor
from ..db import microseconds
from ..devices import CodeRow, DataSourceRow
from ..errors import NOT_CONSENTED, Conflict, ExchangeError, Forbidden, Invalid
from ..observations import ObservationIdentifierRow, identifier_digest
from ..patient_rows import PatientOrganizationRow, PatientRow
from ..studies import chunks
from .reading import Candidate, Identifier, Resource, Upload, read_bundle, read_one


@dataclass
class World:
    """What the rules ask of the store, fetched once for all entries."""

    codes: dict[tuple[str, str], int]
    devices: set[int]
    seen: set[int]
    may_upload: set[int]
    consented: set[tuple[int, int]]


# ------------------------------------------------------------------ verbs
def create(session: Session, actor: Actor, body: Resource | Candidate) -> Resource:
    """Accept one Observation, as sent or as `read_one` read it, and answer it as it is stored."""
    actor.knock("uploads.create")
    candidate = body if isinstance(body, Candidate) else read_one(body)
    _judge_all(session, actor, [candidate])
    if candidate.refusal is not None:
        raise candidate.refusal
    _write(session, [candidate])
    return observations.resource(session, actor, candidate.id)


def create_many(session: Session, actor: Actor, body: Resource | Upload) -> Resource:
    """Accept a batch or transaction Bundle of Observations, as sent or read; one answer per entry, in order."""
    actor.knock("uploads.create_many")
    upload = body if isinstance(body, Upload) else read_bundle(body)
    _judge_all(session, actor, upload.candidates)
    if upload.kind == "transaction":
        _all_or_nothing(upload.candidates)
    _write(session, [candidate for candidate in upload.candidates if candidate.refusal is None])
    return fhir.response_bundle(upload.kind, [_answer(candidate) for candidate in upload.candidates])


def _all_or_nothing(candidates: list[Candidate]) -> None:
    for at, candidate in enumerate(candidates):
        if candidate.refusal is not None:
            candidate.refusal.detail = f"Nothing was stored, since entry {at} was refused: {candidate.refusal.detail}"
            raise candidate.refusal


def _answer(candidate: Candidate) -> Resource:
    if candidate.refusal is None:
        return fhir.response_entry(201, location=f"Observation/{candidate.id}")
    refusal = candidate.refusal
    return fhir.response_entry(refusal.status, outcome=fhir.operation_outcome(refusal.fhir_code, refusal.detail))


# ------------------------------------------------------------------ the rules
def _judge_all(session: Session, actor: Actor, candidates: list[Candidate]) -> None:
    """Judge what the store knows of every entry, then what the others claim."""
    open_ones = [candidate for candidate in candidates if candidate.refusal is None]
    world = _world(session, actor, {candidate.patient_id for candidate in open_ones})
    for candidate in open_ones:
        try:
            _judge(candidate, world)
        except ExchangeError as refusal:
            candidate.refusal = refusal
    _refuse_taken(session, [candidate for candidate in open_ones if candidate.refusal is None])


def _world(session: Session, actor: Actor, patients: set[int]) -> World:
    codes = session.execute(select(CodeRow.coding_system, CodeRow.coding_code, CodeRow.id))
    return World(
        codes={(system, code): id for system, code, id in codes},
        devices=set(session.scalars(select(DataSourceRow.id))),
        seen=_patients(session, actor, "observations.search", patients),
        may_upload=_patients(session, actor, "uploads.create", patients),
        consented=consents.uploadable(session, actor, patients),
    )


def _patients(session: Session, actor: Actor, verb: str, patients: set[int]) -> set[int]:
    """Those of the patients with whom the actor may do the verb."""
    if actor.patient_id is not None:
        return patients & {actor.patient_id}
    allowed = actor.organizations(verb)
    found: set[int] = set()
    for chunk in chunks(sorted(patients)):
        rows = select(PatientRow.id).where(PatientRow.id.in_(chunk))
        if allowed is not None:
            rows = select(PatientOrganizationRow.patient_id).where(
                PatientOrganizationRow.patient_id.in_(chunk), PatientOrganizationRow.organization_id.in_(allowed)
            )
        found |= set(session.scalars(rows))
    return found


def _judge(candidate: Candidate, world: World) -> None:
    """The rules in the order in which a caller learns of them: nobody hears more about a patient they cannot see."""
    if candidate.patient_id not in world.seen:
        raise Invalid("Observation.subject: no such patient.")
    if candidate.patient_id not in world.may_upload:
        raise Forbidden("You may not upload for this patient.")
    if candidate.device_id not in world.devices:
        raise Invalid("Observation.device: no such data source.")
    code_id = world.codes.get(candidate.concept)
    if code_id is None:
        raise Invalid("Observation.code: no such code in this system.")
    if (candidate.patient_id, code_id) not in world.consented:
        raise Forbidden(f"{NOT_CONSENTED} {candidate.concept[1]} in a study that requests it.")
    candidate.code_id = code_id
    if candidate.unfit is not None:
        raise candidate.unfit


def _refuse_taken(session: Session, candidates: list[Candidate]) -> None:
    """An identifier is one observation's: claiming a taken one, or one an earlier entry claims, is refused."""
    claimed = {identifier: identifier_digest(*identifier) for one in candidates for identifier in one.identifiers}
    taken = _taken(session, claimed)
    for candidate in candidates:
        clash = next((one for one in candidate.identifiers if one in taken), None)
        if clash is not None:
            system, value = clash
            candidate.refusal = Conflict(f"Identifier already exists: {system}|{value}")
        else:
            taken.update(candidate.identifiers)


def _taken(session: Session, claimed: dict[Identifier, bytes]) -> set[Identifier]:
    """Those of the identifiers that are somebody's."""
    digest = ObservationIdentifierRow.digest
    known: set[bytes] = set()
    for some in chunks(sorted(claimed.values())):
        known.update(session.scalars(select(digest).where(digest.in_(some))))
    return {identifier for identifier, digest in claimed.items() if digest in known}


# ------------------------------------------------------------------ writing
def _write(session: Session, candidates: list[Candidate]) -> None:
    for candidate, id in zip(candidates, observations.add(session, [_point(c) for c in candidates]), strict=True):
        candidate.id = id
    patients = {candidate.patient_id for candidate in candidates}
    audit.note(session, patients=patients, patient=min(patients) if len(patients) == 1 else None, count=len(candidates))
    homes = select(PatientOrganizationRow.patient_id, PatientOrganizationRow.organization_id)
    for chunk in chunks(sorted(patients)):
        for patient_id, organization_id in session.execute(homes.where(PatientOrganizationRow.patient_id.in_(chunk))):
            audit.note(session, organizations=[organization_id])
            changes.note(session, "observations", patient_id, [organization_id], patient_id)


def _point(candidate: Candidate) -> dict[str, Any]:
    point = candidate.point
    assert point is not None
    return {
        "patient_id": candidate.patient_id,
        "code_id": candidate.code_id,
        "data_source_id": candidate.device_id,
        "status": candidate.status,
        "effective_start": None if point.effective_start is None else microseconds(point.effective_start),
        "effective_end": None if point.effective_end is None else microseconds(point.effective_end),
        "utc_offset_minutes": point.utc_offset_minutes,
        "modality": point.modality,
        "payload": candidate.payload,
        "text": candidate.text.decode(),
        "identifiers": candidate.identifiers,
    }
