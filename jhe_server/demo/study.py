"""How the demo study gets into the seeded clinic: as any other study would, but with its past written as past.

A verb dates what it does to the moment it runs. What should have happened weeks ago (requests, enrolments, answers,
invitations, uploads) is therefore written with its own time, by the rooms' own functions where they take one.
"""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from .. import changes, consents, ledger, observations, omh, patients, studies
from ..access import Actor
from ..db import microseconds, now
from ..devices import CodeRow
from ..invitations import ISSUED, LENGTH, REDEEMED, InvitationRow, default_client, token_hash
from ..organizations import roles_of
from ..patient_rows import PatientRow
from ..studies import NewStudy, OneClient, OneDataSource, StudyCodeRow, StudyPatientRow, StudyRow
from .people import CODES, DAYS, SEED, SOURCES, STUDY, Participant, data_points, participants

LAB, MANAGER = 20003, 10002  # the clinic's lab, and Mary who manages it and runs the study
OPEN_MHEALTH = "https://w3id.org/openmhealth"
CONTACT = "research@example.com"
DESCRIPTION = (
    "Two weeks of continuous glucose, blood pressure by day and by night, heart rate and steps, at home. "
    "Everybody in it is synthetic."
)
OPENED, INVITED = timedelta(days=7), timedelta(days=3)  # before the first reading
INVITATION_LIFE = timedelta(days=14)
WITHDRAWAL = "withdrew by telephone"


def load(session: Session, *, moment: datetime | None = None, seed: int = SEED, days: int = DAYS) -> int:
    """Put the demo study into the seeded clinic and answer its id; where it is there already, nothing is done.

    The data covers `days` days and ends where the day of `moment` (default: now) begins on each person's own clock.
    Raises Forbidden where the clinic has not been seeded: nobody manages the lab then.
    """
    found = session.scalar(select(StudyRow.id).where(StudyRow.name == STUDY, StudyRow.organization_id == LAB))
    if found is not None:
        return found
    moment = moment or now()
    mary = Actor(MANAGER, roles=roles_of(session, MANAGER), via="cli")
    codes = _codes(session)
    study = _study(session, mary, codes, moment - timedelta(days=days) - OPENED)
    for who in participants(seed):
        start = moment.astimezone(who.tz).date() - timedelta(days=days)
        patient = _enrol(session, mary, study, who, start)
        _answer(session, mary, study, codes, patient, who, start)
        _upload(session, study, codes, patient, [*data_points(who, start=start, days=days, seed=seed)])
    return study.id


def _codes(session: Session) -> dict[str, CodeRow]:
    rows = select(CodeRow).where(CodeRow.coding_system == OPEN_MHEALTH, CodeRow.coding_code.in_(CODES))
    return {row.coding_code: row for row in session.scalars(rows)}


def _study(session: Session, mary: Actor, codes: dict[str, CodeRow], opened: datetime) -> StudyRow:
    made = studies.create(
        session, mary, NewStudy(name=STUDY, description=DESCRIPTION, organization=LAB, contact=CONTACT)
    )
    for code in codes.values():
        session.add(StudyCodeRow(study_id=made.id, code_id=code.id))
        ledger.append(session, mary, ledger.REQUESTED, made.id, code_id=code.id, time=opened)
    for source in sorted(set(SOURCES.values())):
        studies.add_data_source(session, mary, made.id, OneDataSource(data_source_id=source))
    studies.add_client(session, mary, made.id, OneClient(client_id=default_client(session).id))
    return session.get_one(StudyRow, made.id)


def _at(who: Participant, day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), who.tz).astimezone(UTC)


def _enrol(session: Session, mary: Actor, study: StudyRow, who: Participant, start: date) -> PatientRow:
    """Create the person, enrol them and invite them, three days before the first reading."""
    made = patients.create(
        session,
        mary,
        patients.NewPatient(
            telecom_email=who.email,
            name_family=who.name_family,
            name_given=who.name_given,
            birth_date=who.birth_date,
            telecom_phone=who.phone,
            identifier=who.identifier,
            organization_id=LAB,
        ),
    )
    invited = _at(who, start, 10) - INVITED
    session.add(StudyPatientRow(study_id=study.id, patient_id=made.id, enrolled=invited))
    ledger.append(session, mary, ledger.ENROLLED, study.id, [made.id], time=invited)
    changes.note(session, "enrolment", made.id, [LAB], made.id)
    session.add(_invitation(session, made.id, who.connected, invited))
    return session.get_one(PatientRow, made.id)


def _invitation(session: Session, patient_id: int, connected: bool, invited: datetime) -> InvitationRow:
    """An invitation whose secret nobody was told: redeemed the day after, or never and by now expired."""
    return InvitationRow(
        patient_id=patient_id,
        oauth_client_id=default_client(session).id,
        token_hash=token_hash(secrets.token_hex(LENGTH)),
        status=REDEEMED if connected else ISSUED,
        issued_by=MANAGER,
        created=invited,
        expires=invited + INVITATION_LIFE,
        last_updated=invited + timedelta(days=1) if connected else invited,
    )


def _answer(
    session: Session,
    mary: Actor,
    study: StudyRow,
    codes: dict[str, CodeRow],
    patient: PatientRow,
    who: Participant,
    start: date,
) -> None:
    """What the person answered on their phone two days before the first reading, and took back since, if they did."""
    if not who.connected:
        return
    themselves = Actor(patient.user_id, patient_id=patient.id)
    for name, code in codes.items():
        answered = _at(who, start, 11) - INVITED + timedelta(days=1)
        consents.record(session, themselves, study, patient.id, code, name in who.codes, time=answered)
    if who.withdrew_after is not None:
        withdrew = _at(who, start + timedelta(days=who.withdrew_after), 9)
        for code in codes.values():
            consents.record(session, mary, study, patient.id, code, False, reason=WITHDRAWAL, time=withdrew)


def _upload(
    session: Session,
    study: StudyRow,
    codes: dict[str, CodeRow],
    patient: PatientRow,
    points: list[tuple[str, int, dict[str, Any]]],
) -> None:
    """Write the person's data points, checked like anybody's, as received when they were measured."""
    observations.add(session, [_point(patient.id, codes[code], source, sent) for code, source, sent in points])
    changes.note(session, "observations", patient.id, [study.organization_id], patient.id)


def _point(patient_id: int, code: CodeRow, data_source_id: int, payload: dict[str, Any]) -> dict[str, Any]:
    checked = omh.check(payload, code.coding_code)
    assert checked.effective_start is not None
    return {
        "patient_id": patient_id,
        "code_id": code.id,
        "data_source_id": data_source_id,
        "status": "final",
        "effective_start": microseconds(checked.effective_start),
        "effective_end": None if checked.effective_end is None else microseconds(checked.effective_end),
        "utc_offset_minutes": checked.utc_offset_minutes,
        "modality": checked.modality,
        "payload": payload,
        "identifiers": [],
        "created": checked.effective_end or checked.effective_start,
    }
