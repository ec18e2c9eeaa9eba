"""What a row says: columns by whatever name, each value in its shape, and what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..shapes import BirthDate, Email, Line, Name
from .shapes import RowError

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


def read(number: int, sent: dict[str, str | int | None], study_id: int | None) -> Row:
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
