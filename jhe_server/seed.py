"""One small clinic: eight organizations, six practitioners, five patients, five studies, the world that documentation,
tests and notebooks share. Ids, e-mails and roles are those of the public Exchange's examples; nobody in it is real.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from . import consents, ledger, uploads
from .access import Actor
from .db import now
from .devices import CodeRow, DataSourceRow, SupportedCodeRow
from .errors import Conflict
from .fhir import attachment, codeable_concept, reference
from .oauth_clients import ClientDataSourceRow, OAuthClientRow
from .organizations import ROOT, MembershipRow, OrganizationRow
from .patient_rows import PatientOrganizationRow, PatientRow, add_identifiers
from .people import PATIENT, PRACTITIONER, PractitionerRow, UserRow, add_user, set_password
from .studies import StudyClientRow, StudyCodeRow, StudyDataSourceRow, StudyPatientRow, StudyRow

OMH, IEEE = "https://w3id.org/openmhealth", "https://w3id.org/ieee1752"
QUESTIONNAIRES = "http://hl7.org/fhir/resource-types"

CODES = [
    (OMH, "omh:blood-glucose:4.0", "Blood glucose"),
    (OMH, "omh:blood-pressure:4.0", "Blood pressure"),
    (OMH, "omh:body-temperature:4.0", "Body temperature"),
    (OMH, "omh:heart-rate:2.0", "Heart Rate"),
    (OMH, "omh:oxygen-saturation:2.0", "Oxygen saturation"),
    (OMH, "omh:respiratory-rate:2.0", "Respiratory rate"),
    (OMH, "omh:rr-interval:1.0", "RR interval"),
    (OMH, "omh:body-weight:3.0", "Body weight"),
    (OMH, "omh:forced-vital-capacity:1.0", "Forced vital capacity"),
    (OMH, "omh:forced-expiratory-volume-1-second:1.0", "Forced expiratory volume in 1 second"),
    (QUESTIONNAIRES, "QuestionnaireResponse", "Questionnaire response"),
    (OMH, "omh:physical-activity:1.2", "Physical activity"),
    (OMH, "omh:step-count:3.0", "Step count"),
    (IEEE, "ieee:sleep-stage-summary:1.0", "Sleep stage summary"),
    (OMH, "omh:sleep-episode:1.1", "Sleep episode"),
    (OMH, "omh:sleep-duration:2.0", "Sleep duration"),
]
DATA_SOURCES = [
    ("CareX", "personal_device", [50002, 50004]),
    ("Dexcom", "personal_device", [50001]),
    ("iHealth", "personal_device", [50003, 50004]),
    ("Oura", "personal_device", [50004]),
    ("Questionnaire", "patient_app", [50011]),
]
CLIENTS = [
    ("CareX", "carex-patient-app", "https://carex.ai/invitation/CODE", [70001, 70005]),
    ("CommonHealth", "commonhealth-patient-app", "https://commonhealth.tcp.org?invitation=CODE", [70002, 70003]),
]
ORGANIZATIONS = [
    ("Bayshore Institute", "edu", ROOT),
    ("School of Data Science", "team", 20001),
    ("Wearables Lab", "laboratory", 20002),
    ("Harbour Health", "prov", ROOT),
    ("Department of Medicine", "dept", 20004),
    ("Cardiology", "dept", 20005),
    ("Pulse Lab", "laboratory", 20006),
    ("Rhythm Lab", "laboratory", 20006),
]
PRACTITIONERS: list[tuple[int, str, str, str, dict[int, str]]] = [
    (10001, "admin@example.com", "Ada", "Admin", {}),
    (10002, "manager_mary@example.com", "Mary", "Manager", dict.fromkeys((20001, 20002, 20003), "manager")),
    (10003, "member_megan@example.com", "Megan", "Member", {20003: "member"}),
    (10004, "viewer_victor@example.com", "Victor", "Viewer", {20003: "viewer"}),
    (10005, "three_org_tom@example.com", "Tom", "Three", {20003: "viewer", 20007: "member", 20008: "manager"}),
    (10008, "manager_mark@example.com", "Mark", "Manager", dict.fromkeys((20004, 20005, 20006, 20007), "manager")),
]
PATIENTS: list[tuple[int, str, str, str, date, list[int]]] = [
    (10006, "ll_patient_peter@example.com", "Peter", "Petersen", date(1980, 1, 15), [20003]),
    (10007, "ll_patient_pamela@example.com", "Pamela", "Park", date(1975, 6, 2), [20003]),
    (10009, "npl_patient_percy@example.com", "Percy", "Pulse", date(1968, 11, 30), [20007]),
    (10010, "ccl_patient_paul@example.com", "Paul", "Pace", date(1990, 3, 21), [20008]),
    (10011, "ccl_cardio_patient_pat@example.com", "Pat", "Cardio", date(1959, 9, 9), [20006, 20008]),
]
PETERS_IDENTIFIERS = [("https://openwearables.io/ns/patient-id", "abc123"), ("urn:oid:1.2.3.4", "E1234")]
# name, description, organization, codes, data sources, clients, {patient: consented (None: pending)}
STUDIES: list[tuple[str, str, int, list[int], list[int], list[int], dict[int, bool | None]]] = [
    ("Blood pressure and heart rate at home", "Four weeks of home readings.", 20003, [50002, 50004], [70001], [1],
     {40001: True, 40002: True}),
    ("Blood pressure follow-up", "Readings after the first four weeks.", 20003, [50002], [70001], [1],
     {40001: None, 40002: True}),
    ("Glucose in cardiology", "Continuous glucose of cardiology patients.", 20006, [50001], [70002], [2],
     {40005: True}),
    ("Temperature after exercise", "Body temperature in the hours after exercise.", 20007, [50003], [70003], [2],
     {40003: True}),
    ("Oxygen at night", "Oxygen saturation of sleeping patients.", 20008, [50005], [], [], {40004: True, 40005: True}),
]  # fmt: skip
# One plausible reading of each code; keys are the schema's own.
READINGS: dict[int, dict[str, Any]] = {
    50001: {"blood_glucose": {"value": 104, "unit": "mg/dL"}},
    50002: {
        "systolic_blood_pressure": {"value": 122, "unit": "mmHg"},
        "diastolic_blood_pressure": {"value": 78, "unit": "mmHg"},
    },
    50003: {"body_temperature": {"value": 36.8, "unit": "C"}},
    50004: {"heart_rate": {"value": 67, "unit": "beats/min"}},
    50005: {"oxygen_saturation": {"value": 97, "unit": "%"}},
}


def plant(session: Session, password: str) -> None:
    """Fill an empty store with the clinic; everybody's password is the one given.

    Raises Conflict where there are organizations or patients already; a laptop owner's own account is no obstacle.
    """
    _refuse_used(session)
    time = now() - timedelta(days=30)
    _codes_and_sources(session)
    _organizations(session)
    _people(session, password, time)
    _studies(session, time)
    _observations(session, time)
    session.info.setdefault("changes", {})["seed", 0, None, None] = None


def _refuse_used(session: Session) -> None:
    organizations = session.scalar(select(OrganizationRow.id).where(OrganizationRow.id != ROOT).limit(1))
    if organizations is not None or session.scalar(select(PatientRow.id).limit(1)) is not None:
        raise Conflict("This database already has organizations or patients; the seed goes into an empty one only.")


def _codes_and_sources(session: Session) -> None:
    for id, (system, code, text) in enumerate(CODES, 50001):
        _numbered(session, CodeRow(coding_system=system, coding_code=code, text=text), id)
    for id, (name, kind, codes) in enumerate(DATA_SOURCES, 70001):
        _numbered(session, DataSourceRow(name=name, type=kind), id)
        session.add_all(SupportedCodeRow(data_source_id=id, code_id=code) for code in codes)
    for id, (name, client_id, address, sources) in enumerate(CLIENTS, 1):
        _numbered(session, OAuthClientRow(name=name, client_id=client_id, invitation_url=address), id)
        session.add_all(ClientDataSourceRow(oauth_client_id=id, data_source_id=source) for source in sources)


def _numbered(session: Session, row: Any, id: int) -> None:
    """Ids follow from the order of insertion; a store whose counters have moved on cannot hold this clinic."""
    session.add(row)
    session.flush()
    if row.id != id:
        raise Conflict("This database has been used before, so the clinic's ids are gone; seed a new one.")


def _organizations(session: Session) -> None:
    for id, (name, kind, part_of) in enumerate(ORGANIZATIONS, 20001):
        _numbered(session, OrganizationRow(name=name, type=kind, part_of=part_of), id)


def _people(session: Session, password: str, time: datetime) -> None:
    """Users are numbered in one sequence, practitioners and patients each in their own."""
    everybody: list[tuple[int, str, Any]] = sorted(
        [(one[0], PRACTITIONER, one) for one in PRACTITIONERS] + [(one[0], PATIENT, one) for one in PATIENTS]
    )
    practitioner_id, patient_id = 80001, 40001
    # One hash for all: a slow one per person would only make the seed slow, the password is printed anyway.
    hashed: str | None = None
    for user_id, kind, one in everybody:
        _, email, first, last, *rest = one
        superuser = user_id == 10001
        user = add_user(session, email, kind, first_name=first, last_name=last, is_superuser=superuser)
        if hashed is None:
            set_password(user, password)
            hashed = user.password_hash
        user.password_hash = hashed
        if user.id != user_id:
            raise Conflict("This database has been used before, so the clinic's ids are gone; seed a new one.")
        if kind == PRACTITIONER:
            _numbered(session, PractitionerRow(user_id=user.id), practitioner_id)
            practitioner_id += 1
            [roles] = rest
            session.add_all(
                MembershipRow(organization_id=home, user_id=user.id, role=role, since=time)
                for home, role in roles.items()
            )
        else:
            _patient(session, user, patient_id, (last, first), rest, time)
            patient_id += 1
    add_identifiers(session, 40001, PETERS_IDENTIFIERS)


def _patient(session: Session, user: UserRow, id: int, name: tuple[str, str], rest: list[Any], time: datetime) -> None:
    birth_date, homes = rest
    user.first_name, user.last_name = "", ""
    family, given = name
    row = PatientRow(user_id=user.id, name_family=family, name_given=given, birth_date=birth_date, last_updated=time)
    _numbered(session, row, id)
    session.add_all(PatientOrganizationRow(organization_id=home, patient_id=id, since=time) for home in homes)


def _studies(session: Session, time: datetime) -> None:
    admin = Actor(10001, is_superuser=True)
    for id, (name, description, home, codes, sources, clients, patients) in enumerate(STUDIES, 30001):
        study = StudyRow(name=name, description=description, organization_id=home, last_updated=time)
        _numbered(session, study, id)
        ledger.append(session, admin, ledger.HIDE, id, time=time)
        session.add_all(StudyCodeRow(study_id=id, code_id=code) for code in codes)
        session.add_all(StudyDataSourceRow(study_id=id, data_source_id=source) for source in sources)
        session.add_all(StudyClientRow(study_id=id, oauth_client_id=client) for client in clients)
        session.add_all(StudyPatientRow(study_id=id, patient_id=patient, enrolled=time) for patient in patients)
        session.flush()
        for code in codes:
            ledger.append(session, admin, ledger.REQUESTED, id, code_id=code, time=time)
        ledger.append(session, admin, ledger.ENROLLED, id, patients, time=time)
        _answers(session, study, codes, patients, time + timedelta(hours=1))


def _answers(
    session: Session, study: StudyRow, codes: list[int], patients: dict[int, bool | None], time: datetime
) -> None:
    for patient_id, consented in patients.items():
        if consented is None:
            continue
        user_id = session.get_one(PatientRow, patient_id).user_id
        themselves = Actor(user_id, patient_id=patient_id)
        for code_id in codes:
            code = session.get_one(CodeRow, code_id)
            consents.record(session, themselves, study, patient_id, code, consented, time=time)


def _observations(session: Session, time: datetime) -> None:
    """One reading per patient and consented code, so that every list has something to show."""
    rows = select(consents.AnswerRow.patient_id, consents.AnswerRow.code_id).where(consents.AnswerRow.consented)
    admin = Actor(10001, is_superuser=True)
    for number, (patient_id, code_id) in enumerate(
        sorted({(patient, code) for patient, code in session.execute(rows)})
    ):
        code = session.get_one(CodeRow, code_id)
        uploads.create(session, admin, _reading(patient_id, code, time + timedelta(days=1, minutes=number)))


def _reading(patient_id: int, code: CodeRow, time: datetime) -> dict[str, Any]:
    namespace, name, version = code.coding_code.split(":")
    measured = time.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    point = {
        "header": {
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{patient_id}/{code.coding_code}")),
            "schema_id": {"namespace": namespace, "name": name, "version": version},
            "source_creation_date_time": measured,
            "modality": "sensed",
        },
        "body": {**READINGS[code.id], "effective_time_frame": {"date_time": measured}},
    }
    source = next((id for id, (_, _, codes) in enumerate(DATA_SOURCES, 70001) if code.id in codes), 70001)
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": codeable_concept(code.coding_system, code.coding_code, code.text),
        "subject": reference("Patient", patient_id),
        "device": reference("Device", source),
        "valueAttachment": attachment(point),
    }
