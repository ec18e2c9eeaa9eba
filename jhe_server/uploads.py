"""Uploads: FHIR Observations on their way in, one or a Bundle; every rule of acceptance is here.

A Bundle's entries are judged one by one and written together: a refused entry leaves no trace and stops no other,
unless the Bundle is a transaction, which is all or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from . import audit, changes, consents, fhir, observations, omh
from .access import Actor
from .db import microseconds
from .devices import CodeRow, DataSourceRow
from .errors import Conflict, ExchangeError, Forbidden, Invalid, TooLarge
from .observations import ObservationIdentifierRow
from .patient_rows import PatientOrganizationRow, PatientRow
from .studies import chunks

AT_ONCE = 10_000
STATUSES = ("registered", "specimen-in-process", "preliminary", "final", "amended", "corrected", "appended",
            "cancelled", "entered-in-error", "unknown", "cannot-be-obtained")  # fmt: skip
Resource = dict[str, Any]


@dataclass
class Candidate:
    """An entry on its way in; `refusal` is why it goes no further."""

    resource: Any
    refusal: ExchangeError | None = None
    patient_id: int = 0
    device_id: int = 0
    concept: tuple[str, str] = ("", "")
    code_id: int = 0
    status: str = ""
    payload: Any = None
    identifiers: list[tuple[str, str]] = field(default_factory=list)
    point: omh.DataPoint | None = None
    id: int = 0


@dataclass
class World:
    """What the rules ask of the store, fetched once for all entries."""

    codes: dict[tuple[str, str], int]
    devices: set[int]
    seen: set[int]
    may_upload: set[int]
    consented: set[tuple[int, int]]


# ------------------------------------------------------------------ verbs
def create(session: Session, actor: Actor, body: Resource) -> Resource:
    """Accept one Observation and answer it as it is stored."""
    actor.knock("uploads.create")
    [candidate] = _accepted(session, actor, [body])
    if candidate.refusal is not None:
        raise candidate.refusal
    _write(session, [candidate])
    return observations.resource(session, actor, candidate.id)


def create_many(session: Session, actor: Actor, body: Resource) -> Resource:
    """Accept a batch or transaction Bundle of Observations; one answer per entry, in order."""
    actor.knock("uploads.create_many")
    kind, entries = _entries(body)
    candidates = _accepted(session, actor, [_of_entry(entry) for entry in entries])
    refused = [candidate for candidate in candidates if candidate.refusal is not None]
    if kind == "transaction" and refused:
        first = refused[0].refusal
        assert first is not None
        at = candidates.index(refused[0])
        first.detail = f"Nothing was stored, since entry {at} was refused: {first.detail}"
        raise first
    _write(session, [candidate for candidate in candidates if candidate.refusal is None])
    return fhir.response_bundle("transaction" if kind == "transaction" else "batch", [_answer(c) for c in candidates])


def _entries(body: Resource) -> tuple[str, list[Any]]:
    if body.get("resourceType") != "Bundle":
        raise Invalid("Expected a Bundle.", {"resourceType": ["is not Bundle"]})
    kind = body.get("type")
    if kind not in ("batch", "transaction"):
        raise Invalid("Expected a Bundle of type batch or transaction.", {"type": ["is not batch or transaction"]})
    entries = body.get("entry")
    if not isinstance(entries, list) or not entries:
        raise Invalid("The Bundle has no entry.", {"entry": ["is missing or empty"]})
    if len(entries) > AT_ONCE:
        raise TooLarge(f"A Bundle may have {AT_ONCE} entries; this one has {len(entries)}.")
    return kind, entries


def _of_entry(entry: Any) -> Any:
    """The resource of an entry, or the refusal it has earned already."""
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return Invalid("The entry has no resource.")
    request = entry.get("request") or {}
    method = request.get("method", "POST") if isinstance(request, dict) else None
    url = str(request.get("url", "Observation")) if isinstance(request, dict) else ""
    if method != "POST" or url.strip("/").rpartition("/")[2] != "Observation":
        return Invalid("Only POST Observation is accepted in a Bundle.")
    return entry["resource"]


def _answer(candidate: Candidate) -> Resource:
    if candidate.refusal is None:
        return fhir.response_entry(201, location=f"Observation/{candidate.id}")
    refusal = candidate.refusal
    return fhir.response_entry(refusal.status, outcome=fhir.operation_outcome(refusal.fhir_code, refusal.detail))


# ------------------------------------------------------------------ the rules
def _accepted(session: Session, actor: Actor, resources: list[Any]) -> list[Candidate]:
    """Judge every entry: first what its text says, then what the store knows, then what the others claim."""
    candidates = [_read(resource) for resource in resources]
    open_ones = [candidate for candidate in candidates if candidate.refusal is None]
    world = _world(session, actor, {candidate.patient_id for candidate in open_ones})
    now = datetime.now(UTC)
    for candidate in open_ones:
        try:
            _judge(candidate, world, now)
        except ExchangeError as refusal:
            candidate.refusal = refusal
    _refuse_taken(session, [candidate for candidate in open_ones if candidate.refusal is None])
    return candidates


def _read(resource: Any) -> Candidate:
    """What the entry says by itself."""
    candidate = Candidate(resource)
    try:
        if isinstance(resource, ExchangeError):
            raise resource
        if not isinstance(resource, dict) or resource.get("resourceType") != "Observation":
            raise Invalid("Expected an Observation.")
        if resource.get("status") not in STATUSES:
            raise Invalid("Observation.status is not one of FHIR's observation statuses.")
        candidate.status = resource["status"]
        candidate.patient_id = _referenced(resource, "subject", "Patient")
        candidate.device_id = _referenced(resource, "device", "Device")
        candidate.concept = _named("Observation.code", fhir.parse_concept, resource.get("code"))
        candidate.identifiers = _identifiers(resource.get("identifier"))
        candidate.payload = _named(
            "Observation.valueAttachment", fhir.decode_attachment, resource.get("valueAttachment")
        )
    except ExchangeError as refusal:
        candidate.refusal = refusal
    return candidate


def _referenced(resource: Resource, name: str, kind: str) -> int:
    return int(_named(f"Observation.{name}", lambda value: fhir.parse_reference(value, kind), resource.get(name)))


def _named(where: str, parse: Any, value: Any) -> Any:
    try:
        return parse(value)
    except ExchangeError as error:
        error.detail = f"{where}: {error.detail}"
        raise


def _identifiers(sent: Any) -> list[tuple[str, str]]:
    if sent is None:
        return []
    if not isinstance(sent, list) or not all(isinstance(one, dict) for one in sent):
        raise Invalid("Observation.identifier is not a list of identifiers.")
    found = [(one.get("system", ""), one.get("value")) for one in sent]
    for system, value in found:
        fits = isinstance(system, str) and isinstance(value, str) and 0 < len(value) <= 1000 and len(system) <= 1000
        # Together they are a key, and a key of PostgreSQL's ends at 2,704 bytes.
        if not fits or not (system + value).isprintable() or len((system + value).encode()) > 2000:
            raise Invalid("Observation.identifier needs a value, and both of system and value as plain text.")
    return list(dict.fromkeys(found))


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


def _judge(candidate: Candidate, world: World, now: datetime) -> None:
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
        raise Forbidden(f"The patient has not consented to {candidate.concept[1]} in a study that requests it.")
    candidate.code_id = code_id
    candidate.point = omh.check(candidate.payload, candidate.concept[1], now=now)


def _refuse_taken(session: Session, candidates: list[Candidate]) -> None:
    """An identifier is one observation's: claiming a taken one, or one an earlier entry claims, is refused."""
    claimed = {identifier for candidate in candidates for identifier in candidate.identifiers}
    taken = _taken(session, sorted(claimed))
    for candidate in candidates:
        clash = next((one for one in candidate.identifiers if one in taken), None)
        if clash is not None:
            system, value = clash
            candidate.refusal = Conflict(f"Identifier already exists: {system}|{value}")
        else:
            taken.update(candidate.identifiers)


def _taken(session: Session, claimed: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the identifiers that are somebody's, found by the index: system by system, since values alone repeat."""
    row = ObservationIdentifierRow
    found: set[tuple[str, str]] = set()
    for system, named in groupby(claimed, lambda one: one[0]):
        for values in chunks([value for _, value in named]):
            rows = select(row.value).where(row.system == system, row.value.in_(values))
            found |= {(system, value) for value in session.scalars(rows)}
    return found


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
        "identifiers": candidate.identifiers,
    }
