"""Bulk import: each row becomes a patient created, linked, enrolled, left alone, or an error that says why.

A dry run goes the same way as a real one and is rolled back, so it cannot promise anything else. One bad row stops no
other, and running a list again finds what is done already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from . import audit, changes, invitations, ledger, studies
from .access import Actor
from .db import now
from .errors import Forbidden
from .organizations import to_write
from .patient_rows import IdentifierRow, PatientOrganizationRow, PatientRow
from .patients import OWN_SYSTEM
from .people import EXISTS, PATIENT, UserRow, email_key
from .shapes import BirthDate, Body, Email, Id, Line, Name, Shape
from .studies import StudyPatientRow, StudyRow, chunks

AT_ONCE = 50_000
COLUMNS = ("email", "last_name", "first_name", "dob", "phone", "identifier", "study_id")
REQUIRED = COLUMNS[:4]
# The guide's header is the first of each; the others are what spreadsheets and FHIR call the same thing.
ALIASES = {
    "email": "email e-mail mail telecom_email e_mail email_address",
    "last_name": "last_name name_family family_name family surname lastname",
    "first_name": "first_name name_given given_name given forename firstname",
    "dob": "dob birth_date date_of_birth birthdate birthday",
    "phone": "phone telecom_phone cell mobile telephone phone_number",
    "identifier": "identifier external_identifier external_id mrn",
    "study_id": "study_id study",
}
_CANONICAL = {re.sub(r"[\s_-]", "", alias): name for name, said in ALIASES.items() for alias in said.split()}
_SHAPES: dict[str, TypeAdapter[Any]] = {
    "email": TypeAdapter(Email),
    "last_name": TypeAdapter(Name),
    "first_name": TypeAdapter(Name),
    "dob": TypeAdapter(BirthDate),
    "phone": TypeAdapter(Line),
    "identifier": TypeAdapter(Name),
}


class Import(Body):
    organization_id: Id
    study_id: Id | None = None
    rows: Annotated[list[dict[str, str | int | None]], Field(min_length=1, max_length=AT_ONCE)]
    dry_run: bool = False
    invite: bool = False


class RowError(Shape):
    field: str
    message: str


class RowResult(Shape):
    """`action` is create, link, enrol, unchanged or error; `row` is the one sent, else the position, from 1."""

    row: int
    action: str
    patient_id: int | None = None
    errors: list[RowError] = []
    invitation_link: str | None = None


class ImportResult(Shape):
    results: list[RowResult]
    summary: dict[str, int]


@dataclass
class Row:
    """One row on its way: what it says, and what is found out about it."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    errors: list[RowError] = field(default_factory=list)
    action: str = "error"
    patient_id: int | None = None
    study_id: int | None = None

    def wrong(self, name: str, message: str) -> None:
        self.errors.append(RowError(field=name, message=message))


@dataclass
class Known:
    """Whom the store knows, by e-mail; kept up to date while the rows are gone through."""

    user_types: dict[str, str]
    patients: dict[str, PatientRow]
    members: set[int]
    identifiers: dict[str, int]
    enrolled: set[tuple[int, int]]
    studies: dict[int, int]


class _Rollback(Exception):
    """A dry run's way out."""


# ------------------------------------------------------------------ the verb
def run(session: Session, actor: Actor, body: Import) -> ImportResult:
    """Import rows of patients into an organization (and a study), each for itself; a dry run writes nothing."""
    home = to_write(session, actor, "imports.run", body.organization_id)
    rows = [_read(number, sent, body.study_id) for number, sent in enumerate(body.rows, 1)]
    result = _rolled_back(session, actor, home.id, rows) if body.dry_run else _done(session, actor, home.id, rows)
    if body.invite and not body.dry_run:
        _invite(session, actor, rows, result)
    touched = {row.patient_id for row in rows if row.patient_id is not None}
    audit.note(session, patients=() if body.dry_run else touched, count=0 if body.dry_run else len(touched))
    return result


def _done(session: Session, actor: Actor, organization_id: int, rows: list[Row]) -> ImportResult:
    known = _known(session, organization_id, rows)
    for row in rows:
        _decide(session, actor, row, organization_id, known)
    _write(session, actor, organization_id, rows, known)
    return _result(rows)


def _rolled_back(session: Session, actor: Actor, organization_id: int, rows: list[Row]) -> ImportResult:
    """The real thing inside a savepoint that is thrown away, ids of people who would be created included."""
    result: list[ImportResult] = []
    noted = dict(session.info.get("changes", {}))
    try:
        with session.begin_nested():
            result.append(_done(session, actor, organization_id, rows))
            raise _Rollback
    except _Rollback:
        session.info["changes"] = noted
    for one in result[0].results:
        one.patient_id = None if one.action == "create" else one.patient_id
    return result[0]


def _result(rows: list[Row]) -> ImportResult:
    results = [
        RowResult(row=row.number, action=row.action, patient_id=row.patient_id, errors=row.errors) for row in rows
    ]
    summary: dict[str, int] = {}
    for one in results:
        summary[one.action] = summary.get(one.action, 0) + 1
    return ImportResult(results=results, summary=summary)


# ------------------------------------------------------------------ what a row says
def _read(number: int, sent: dict[str, str | int | None], study_id: int | None) -> Row:
    """One row's values, by the guide's column names whatever its header called them."""
    row = Row(number, study_id=study_id)
    for header, value in sent.items():
        if header == "row" and isinstance(value, int):
            row.number = value
            continue
        name = canonical(header)
        text = "" if value is None else str(value).strip()
        if name is None:
            row.wrong(header[:100], "is not a column of an import")
        elif name in row.values and text and row.values[name] != text:
            row.wrong(name, "is given twice, differently")
        elif text:
            row.values[name] = text
    _check(row)
    return row


def canonical(header: str) -> str | None:
    """The guide's name of a column.

    >>> canonical("nameFamily"), canonical("Date of Birth"), canonical("shoe size")
    ('last_name', 'dob', None)
    """
    return _CANONICAL.get(re.sub(r"[\s_-]", "", header).lower())


def _check(row: Row) -> None:
    for name in REQUIRED:
        if name not in row.values:
            row.wrong(name, "is required")
    for name, adapter in _SHAPES.items():
        if name in row.values:
            _parse(row, name, adapter)
    if "study_id" in row.values:
        text = row.values["study_id"]
        if text.isascii() and text.isdecimal() and len(text) < 19:
            row.study_id = int(text)
        else:
            row.wrong("study_id", "is not a study's id")


def _parse(row: Row, name: str, adapter: TypeAdapter[Any]) -> None:
    if name == "dob" and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", row.values[name]):
        row.wrong(name, "is not a date like 1980-01-31")
        return
    try:
        row.values[name] = adapter.validate_python(row.values[name])
    except ValidationError as error:
        if name == "email":
            row.wrong(name, "is not a valid e-mail address")
        else:
            said = error.errors(include_input=False, include_url=False, include_context=False)[0]["msg"]
            row.wrong(name, said.removeprefix("Value error, ").removeprefix("Input "))


# ------------------------------------------------------------------ what the store knows
def _known(session: Session, organization_id: int, rows: list[Row]) -> Known:
    """Everything the rows ask about, in a handful of statements, however many rows."""
    emails = sorted({email_key(row.values["email"]) for row in rows if isinstance(row.values.get("email"), str)})
    users: dict[str, str] = {}
    patients: dict[str, PatientRow] = {}
    for part in _parts(emails):
        people = select(UserRow.email_key, UserRow.user_type, PatientRow)
        people = people.outerjoin(PatientRow, PatientRow.user_id == UserRow.id).where(UserRow.email_key.in_(part))
        for key, user_type, patient in session.execute(people):
            users[key] = user_type
            if patient is not None:
                patients[key] = patient
    ids = sorted(patient.id for patient in patients.values())
    own = {id: home for id, home in session.execute(select(StudyRow.id, StudyRow.organization_id))}
    return Known(
        user_types=users,
        patients=patients,
        members=_in(
            session, PatientOrganizationRow.patient_id, ids, PatientOrganizationRow.organization_id == organization_id
        ),
        identifiers=_identifiers(session, organization_id, rows),
        enrolled=_enrolled(session, ids),
        studies={id: home for id, home in own.items() if home == organization_id},
    )


def _parts(values: list[str], size: int = 5000) -> list[list[str]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


def _in(session: Session, column: Any, ids: list[int], *where: Any) -> set[int]:
    return {id for part in chunks(ids) for id in session.scalars(select(column).where(column.in_(part), *where))}


def _enrolled(session: Session, ids: list[int]) -> set[tuple[int, int]]:
    pair = (StudyPatientRow.study_id, StudyPatientRow.patient_id)
    parts = (session.execute(select(*pair).where(StudyPatientRow.patient_id.in_(part))) for part in chunks(ids))
    return {(study, patient) for part in parts for study, patient in part}


def _identifiers(session: Session, organization_id: int, rows: list[Row]) -> dict[str, int]:
    """Whose each identifier of the organization's own system is."""
    values = sorted({row.values["identifier"] for row in rows if "identifier" in row.values})
    found: dict[str, int] = {}
    for part in _parts(values):
        owned = select(IdentifierRow.value, IdentifierRow.patient_id).where(
            IdentifierRow.system == OWN_SYSTEM.format(organization_id), IdentifierRow.value.in_(part)
        )
        found |= {value: patient for value, patient in session.execute(owned)}
    return found


# ------------------------------------------------------------------ what becomes of a row
def _decide(session: Session, actor: Actor, row: Row, organization_id: int, known: Known) -> None:
    if row.study_id is not None and row.study_id not in known.studies:
        row.wrong("study_id", "is not a study of this organization")
    if row.errors:
        return
    key = email_key(row.values["email"])
    if known.user_types.get(key, PATIENT) != PATIENT:
        row.wrong("email", EXISTS)
        return
    patient = known.patients.get(key)
    owner = known.identifiers.get(row.values.get("identifier", ""))
    if owner is not None and (patient is None or owner != patient.id):
        row.wrong("identifier", "already belongs to another patient")
    elif patient is None:
        _create(session, row, organization_id, known, key)
    else:
        _existing(row, patient, known, owner)


def _create(session: Session, row: Row, organization_id: int, known: Known, key: str) -> None:
    """Rows are written as they are met, so that a later row of the same file sees the earlier one."""
    user = UserRow(email=row.values["email"], email_key=key, user_type=PATIENT, created=now())
    session.add(user)
    session.flush()
    patient = PatientRow(
        user_id=user.id,
        name_family=row.values["last_name"],
        name_given=row.values["first_name"],
        birth_date=row.values["dob"],
        telecom_phone=row.values.get("phone"),
        last_updated=now(),
    )
    session.add(patient)
    session.flush()
    row.action, row.patient_id = "create", patient.id
    known.user_types[key], known.patients[key] = PATIENT, patient
    known.members.add(patient.id)
    if "identifier" in row.values:
        known.identifiers[row.values["identifier"]] = patient.id


def _existing(row: Row, patient: PatientRow, known: Known, owner: int | None) -> None:
    """Somebody the Exchange knows: the row must be about them, and then there may be little left to do."""
    _same(row, patient)
    member = patient.id in known.members
    if member and "identifier" in row.values and owner is None:
        row.wrong("identifier", "is not on the patient's record; update the patient to add it")
    if row.errors:
        return
    row.patient_id = patient.id
    enrolled = row.study_id is None or (row.study_id, patient.id) in known.enrolled
    row.action = "link" if not member else "unchanged" if enrolled else "enrol"
    known.members.add(patient.id)


def _same(row: Row, patient: PatientRow) -> None:
    """The store's own values are never said: the row's author may not be allowed to know them."""
    stored: dict[str, str | date | None] = {
        "last_name": patient.name_family,
        "first_name": patient.name_given,
        "dob": patient.birth_date,
    }
    for name, value in stored.items():
        if row.values[name] != value:
            row.wrong(name, "differs from the record of the patient with this e-mail")
    if "phone" in row.values and patient.telecom_phone is not None and row.values["phone"] != patient.telecom_phone:
        row.wrong("phone", "differs from the record of the patient with this e-mail")


# ------------------------------------------------------------------ writing what was decided
def _write(session: Session, actor: Actor, organization_id: int, rows: list[Row], known: Known) -> None:
    joined = [row for row in rows if row.action in ("create", "link")]
    time = now()
    if joined:
        memberships = [
            {"organization_id": organization_id, "patient_id": row.patient_id, "since": time} for row in joined
        ]
        session.execute(insert(PatientOrganizationRow), memberships)
    named = [row for row in joined if "identifier" in row.values]
    if named:
        system = OWN_SYSTEM.format(organization_id)
        identifiers = [
            {"patient_id": row.patient_id, "system": system, "value": row.values["identifier"]} for row in named
        ]
        session.execute(insert(IdentifierRow), identifiers)
    _enroll(session, actor, rows, known)
    for row in rows:
        if row.action in ("create", "link", "enrol") and row.patient_id is not None:
            changes.note(session, "patient", row.patient_id, [organization_id], row.patient_id)


def _enroll(session: Session, actor: Actor, rows: list[Row], known: Known) -> None:
    """Into each study those rows name who are not in it yet."""
    wanted: dict[int, dict[int, None]] = {}
    for row in rows:
        pair = (row.study_id or 0, row.patient_id or 0)
        if row.action != "error" and row.study_id is not None and pair not in known.enrolled:
            wanted.setdefault(pair[0], {})[pair[1]] = None
    time = now()
    for study_id, patients in wanted.items():
        session.execute(
            insert(StudyPatientRow), [{"study_id": study_id, "patient_id": id, "enrolled": time} for id in patients]
        )
        ledger.append(session, actor, ledger.ENROLLED, study_id, patients, time=time)
        studies.touched(session, session.get_one(StudyRow, study_id), len(patients))
        for id in patients:
            changes.note(session, "enrolment", id, [known.studies[study_id]], id)


def _invite(session: Session, actor: Actor, rows: list[Row], result: ImportResult) -> None:
    """An invitation with its message for everybody the import created or linked; mail leaves after the commit."""
    if not actor.may("invitations.link"):
        raise Forbidden()
    deliveries = []
    for row, one in zip(rows, result.results, strict=True):
        if row.action in ("create", "link") and row.patient_id is not None:
            query = invitations.SendEmail(send_email=True)
            one.invitation_link = invitations.link(session, actor, row.patient_id, query).invitation_link
            deliveries.append(session.info.pop("afterwards"))

    def deliver(write: invitations.Write) -> ImportResult:
        for send in deliveries:
            send(write)
        return result

    if deliveries:
        session.info["afterwards"] = deliver
