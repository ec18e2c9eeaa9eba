"""Bulk import: each row becomes a patient created, linked, enrolled, left alone, or an error that says why.

A dry run goes the same way as a real one and is rolled back, so it cannot promise anything else. One bad row stops no
other, and running a list again finds what is done already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
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


@dataclass(eq=False)
class Person:
    """Somebody a row is about: known to the store (then with an id), or about to be."""

    values: dict[str, Any]
    id: int | None = None
    member: bool = False
    studies: set[int] = field(default_factory=set)


@dataclass
class Row:
    """One row on its way: what it says, and what is found out about it."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    errors: list[RowError] = field(default_factory=list)
    action: str = "error"
    person: Person | None = None
    study_id: int | None = None

    def wrong(self, name: str, message: str) -> None:
        self.errors.append(RowError(field=name, message=message))

    @property
    def patient_id(self) -> int | None:
        return self.person.id if self.person else None


@dataclass
class Known:
    """Whom the store knows, by e-mail and by the organization's own identifier; later rows find earlier ones here."""

    practitioners: set[str]
    people: dict[str, Person]
    identifiers: dict[str, Person]
    studies: set[int]
    created: list[Person] = field(default_factory=list)
    joining: list[Person] = field(default_factory=list)
    enrolling: dict[int, list[Person]] = field(default_factory=dict)


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
        _decide(row, known)
    _write(session, actor, organization_id, known)
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
    found: dict[str, Person] = {}
    practitioners: set[str] = set()
    for part in _parts(emails):
        users = select(UserRow.email_key, UserRow.user_type, PatientRow)
        users = users.outerjoin(PatientRow, PatientRow.user_id == UserRow.id).where(UserRow.email_key.in_(part))
        for key, user_type, patient in session.execute(users):
            if user_type != PATIENT or patient is None:
                practitioners.add(key)
            else:
                found[key] = _person(patient)
    by_id = {person.id: person for person in found.values() if person.id is not None}
    audit.note(session, patients=by_id)  # a dry run looks people up as well
    _join_known(session, organization_id, by_id)
    own = session.scalars(select(StudyRow.id).where(StudyRow.organization_id == organization_id))
    return Known(practitioners, found, _identifiers(session, organization_id, rows, by_id), set(own))


def _person(row: PatientRow) -> Person:
    values = {
        "last_name": row.name_family,
        "first_name": row.name_given,
        "dob": row.birth_date,
        "phone": row.telecom_phone,
    }
    return Person(values, row.id)


def _parts(values: list[str], size: int = 5000) -> list[list[str]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


def _join_known(session: Session, organization_id: int, people: dict[int, Person]) -> None:
    """Who of them belongs to the organization already, and to which studies."""
    for part in chunks(sorted(people)):
        members = select(PatientOrganizationRow.patient_id).where(
            PatientOrganizationRow.patient_id.in_(part), PatientOrganizationRow.organization_id == organization_id
        )
        for id in session.scalars(members):
            people[id].member = True
        enrolled = select(StudyPatientRow.patient_id, StudyPatientRow.study_id)
        for id, study_id in session.execute(enrolled.where(StudyPatientRow.patient_id.in_(part))):
            people[id].studies.add(study_id)


def _identifiers(
    session: Session, organization_id: int, rows: list[Row], people: dict[int, Person]
) -> dict[str, Person]:
    """Whose each identifier of the organization's own system is."""
    values = sorted({row.values["identifier"] for row in rows if "identifier" in row.values})
    found: dict[str, Person] = {}
    for part in _parts(values):
        owned = select(IdentifierRow.value, IdentifierRow.patient_id).where(
            IdentifierRow.system == OWN_SYSTEM.format(organization_id), IdentifierRow.value.in_(part)
        )
        for value, id in session.execute(owned):
            found[value] = people.get(id) or Person({}, id)
    return found


# ------------------------------------------------------------------ what becomes of a row
def _decide(row: Row, known: Known) -> None:
    if row.study_id is not None and row.study_id not in known.studies:
        row.wrong("study_id", "is not a study of this organization")
    if row.errors:
        return
    key = email_key(row.values["email"])
    person, owner = known.people.get(key), known.identifiers.get(row.values.get("identifier", ""))
    if key in known.practitioners:
        row.wrong("email", EXISTS)
    elif owner is not None and owner is not person:
        row.wrong("identifier", "already belongs to another patient")
    elif person is not None:
        _same(row, person, owner)
    if not row.errors:
        _settle(row, known, person or _new(row, known, key))


def _new(row: Row, known: Known, key: str) -> Person:
    person = Person(row.values)
    known.people[key] = person
    known.created.append(person)
    return person


def _same(row: Row, person: Person, owner: Person | None) -> None:
    """Somebody the Exchange knows: the row must be about them.

    The store's own values are never said. Of a patient of other organizations not even which value differs, or a
    birth date could be guessed a row at a time.
    """
    differing = [name for name in ("last_name", "first_name", "dob", "phone") if _differs(row, person, name)]
    foreign = person.id is not None and not person.member
    if foreign and set(differing) - {"phone"}:
        row.wrong("email", EXISTS)
    for name in () if foreign else differing:
        row.wrong(name, "differs from the record of the patient with this e-mail")
    if person.member and "identifier" in row.values and owner is None:
        row.wrong("identifier", "is not on the patient's record; update the patient to add it")


def _differs(row: Row, person: Person, name: str) -> bool:
    said, stored = row.values.get(name), person.values.get(name)
    return said is not None and said != stored and not (name == "phone" and stored is None)


def _settle(row: Row, known: Known, person: Person) -> None:
    """What is left to do for this person, and therefore what the row's action is called."""
    row.person = person
    enrols = row.study_id is not None and row.study_id not in person.studies
    if not person.member:
        row.action = "create" if person.id is None else "link"
        person.member = True
        known.joining.append(person)
        named = row.values.get("identifier")
        if named is not None and named not in known.identifiers:  # one who comes back has kept theirs
            person.values = {**person.values, "identifier": named}
            known.identifiers[named] = person
    else:
        row.action = "enrol" if enrols else "unchanged"
    if enrols and row.study_id is not None:
        person.studies.add(row.study_id)
        known.enrolling.setdefault(row.study_id, []).append(person)


# ------------------------------------------------------------------ writing what was decided
def _write(session: Session, actor: Actor, organization_id: int, known: Known) -> None:
    """Set-wise: a statement a table, however many rows."""
    time = now()
    _create(session, known.created, time)
    if known.joining:
        memberships = [
            {"organization_id": organization_id, "patient_id": person.id, "since": time} for person in known.joining
        ]
        session.execute(insert(PatientOrganizationRow), memberships)
    system = OWN_SYSTEM.format(organization_id)
    identifiers = [
        {"patient_id": person.id, "system": system, "value": person.values["identifier"]}
        for person in known.joining
        if person.values.get("identifier")
    ]
    if identifiers:
        session.execute(insert(IdentifierRow), identifiers)
    for study_id, people in known.enrolling.items():
        _enroll(session, actor, study_id, [person.id for person in people if person.id is not None], time)
    for person in known.joining:
        changes.note(session, "patient", person.id or 0, [organization_id], person.id)


def _create(session: Session, people: list[Person], time: datetime) -> None:
    if not people:
        return
    users = [
        {
            "email": person.values["email"],
            "email_key": email_key(person.values["email"]),
            "user_type": PATIENT,
            "first_name": "",
            "last_name": "",
            "is_superuser": False,
            "disabled": False,
            "created": time,
        }
        for person in people
    ]
    user_ids = session.scalars(insert(UserRow).returning(UserRow.id, sort_by_parameter_order=True), users).all()
    patients = [
        {
            "user_id": user_id,
            "name_family": person.values["last_name"],
            "name_given": person.values["first_name"],
            "birth_date": person.values["dob"],
            "telecom_phone": person.values.get("phone"),
            "last_updated": time,
        }
        for user_id, person in zip(user_ids, people, strict=True)
    ]
    ids = session.scalars(insert(PatientRow).returning(PatientRow.id, sort_by_parameter_order=True), patients)
    for person, id in zip(people, ids, strict=True):
        person.id = id


def _enroll(session: Session, actor: Actor, study_id: int, ids: list[int], time: datetime) -> None:
    session.execute(insert(StudyPatientRow), [{"study_id": study_id, "patient_id": id, "enrolled": time} for id in ids])
    ledger.append(session, actor, ledger.ENROLLED, study_id, ids, time=time)
    study = session.get_one(StudyRow, study_id)
    studies.touched(session, study, len(ids))
    for id in ids:
        changes.note(session, "enrolment", id, [study.organization_id], id)


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
