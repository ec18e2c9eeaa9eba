"""Observations written: many at once by an upload; and removed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from .. import audit, changes, studies
from ..access import Actor
from ..db import now
from ..errors import Forbidden, NotFound
from ..patient_rows import PatientOrganizationRow, shared
from .reading import readable
from .rows import ObservationIdentifierRow, ObservationRow, PayloadRow


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
    forget(session, [row.patient_id], only=observation_id)


def forget(session: Session, patients: Iterable[int], only: int | None = None) -> None:
    """Delete observations (one, or all of the patients) with their payloads and identifiers."""
    for chunk in studies.chunks(sorted(set(patients))):
        rows = delete(ObservationRow).where(ObservationRow.patient_id.in_(chunk))
        session.execute(rows if only is None else rows.where(ObservationRow.id == only))
        homes = select(PatientOrganizationRow.patient_id, PatientOrganizationRow.organization_id)
        for patient_id, home in session.execute(homes.where(PatientOrganizationRow.patient_id.in_(chunk))):
            changes.note(session, "observations", patient_id, [home], patient_id)


def add(session: Session, points: list[dict[str, Any]]) -> list[int]:
    """Write checked data points set-wise; their ids, in order.

    A point has the columns of `ObservationRow`, `payload` (text), `identifiers` [(system, value)] and, where it was
    uploaded in the past, `created`.
    """
    if not points:
        return []
    time = now()
    columns = ("patient_id", "code_id", "data_source_id", "status", "effective_start", "effective_end",
               "utc_offset_minutes", "modality")  # fmt: skip
    stamps = [point.get("created") or time for point in points]
    rows = [
        {name: point[name] for name in columns} | {"created": stamp, "last_updated": stamp}
        for point, stamp in zip(points, stamps, strict=True)
    ]
    inserted = insert(ObservationRow).returning(ObservationRow.id, sort_by_parameter_order=True)
    ids = list(session.scalars(inserted, rows))
    pairs = list(zip(ids, points, strict=True))
    session.execute(insert(PayloadRow), [{"observation_id": id, "payload": point["payload"]} for id, point in pairs])
    named = [
        {"system": system, "value": value, "observation_id": id}
        for id, point in pairs
        for system, value in point["identifiers"]
    ]
    if named:
        session.execute(insert(ObservationIdentifierRow), named)
    return ids
