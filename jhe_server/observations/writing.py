"""Observations written: many at once by an upload; and removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from .. import audit, changes, studies
from ..access import Actor
from ..bulk import insert_many, reserve_ids
from ..db import microseconds, now
from ..errors import Forbidden, NotFound
from ..patient_rows import PatientOrganizationRow, shared
from . import segments
from .reading import readable
from .rows import ObservationIdentifierRow, ObservationRow, PayloadRow, identifier_digest

# The columns a data point is written with, in the order in which `typed` reads them.
POINT = ("patient_id", "code_id", "data_source_id", "status", "effective_start", "effective_end", "utc_offset_minutes",
         "modality")  # fmt: skip


def remove(session: Session, actor: Actor, observation_id: int) -> None:
    """Delete one observation that the caller can read: a manager's, for what should never have been uploaded."""
    actor.knock("observations.remove")
    one = ObservationRow.id == observation_id
    if session.scalar(readable(actor, "observations.get").where(one)) is None:
        raise NotFound()
    row = session.get_one(ObservationRow, observation_id)
    homes = shared(session, actor, "observations.remove", row.patient_id)
    audit.note(session, patient=row.patient_id, organizations=homes, count=1)
    # A manager elsewhere who reads it as a viewer here has no say in it: the gate has to open to a manager.
    if session.scalar(readable(actor, "observations.remove").where(one)) is None:
        raise Forbidden()
    pair = (row.patient_id, row.code_id)
    session.execute(delete(ObservationRow).where(one))
    segments.take_out(session, pair, observation_id)
    _changed(session, [pair[0]])


def forget(session: Session, patients: Iterable[int]) -> None:
    """Delete all observations of the patients with their payloads and identifiers."""
    for chunk in studies.chunks(sorted(set(patients))):
        segments.forget(session, chunk)
        session.execute(delete(ObservationRow).where(ObservationRow.patient_id.in_(chunk)))
        _changed(session, chunk)


def _changed(session: Session, patients: Sequence[int]) -> None:
    homes = select(PatientOrganizationRow.patient_id, PatientOrganizationRow.organization_id)
    for patient_id, home in session.execute(homes.where(PatientOrganizationRow.patient_id.in_(patients))):
        changes.note(session, "observations", patient_id, [home], patient_id)


def add(session: Session, points: list[dict[str, Any]]) -> list[int]:
    """Write checked data points set-wise; their ids, in order.

    A point has the columns of `ObservationRow`, `payload` (the decoded data point), `identifiers` [(system, value)];
    where it was written as JSON already `text`, and where it was uploaded in the past `created`.
    """
    if not points:
        return []
    time = microseconds(now())
    stamps = [microseconds(point["created"]) if point.get("created") else time for point in points]
    ids = reserve_ids(session, ObservationRow, len(points))
    rows = [
        (id, *(point[name] for name in POINT), stamp, stamp)
        for id, point, stamp in zip(ids, points, stamps, strict=True)
    ]
    insert_many(session, ObservationRow, ("id", *POINT, "created", "last_updated"), rows)
    texts = (point.get("text") or orjson.dumps(point["payload"]).decode() for point in points)
    insert_many(session, PayloadRow, ("observation_id", "payload"), zip(ids, texts, strict=True))
    named = [
        (identifier_digest(system, value), system, value, id)
        for id, point in zip(ids, points, strict=True)
        for system, value in point["identifiers"]
    ]
    insert_many(session, ObservationIdentifierRow, ("digest", "system", "value", "observation_id"), sorted(named))
    segments.arrived(session, (_arrived(row, point) for row, point in zip(rows, points, strict=True)))
    return list(ids)


def _arrived(row: tuple[Any, ...], point: dict[str, Any]) -> tuple[Any, ...]:
    """A row as it was just written, in the order of `typed.fields`."""
    *keys, modality, created, _ = row
    return (*keys, created, modality, point["payload"])
