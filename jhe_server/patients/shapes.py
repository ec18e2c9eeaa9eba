"""How patients look on the wire, and what may be sent and asked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..organizations import Organization
from ..patient_rows import PatientName
from ..shapes import BirthDate, Body, Email, Id, Line, Listing, Name, Query, Shape, Time


class NewIdentifier(Body):
    """`id` is answered with an identifier and may come back with it; it changes nothing."""

    system: Annotated[Line, Field(min_length=1)]
    value: Name
    id: Id | None = None


class NewPatient(Body):
    telecom_email: Email
    name_family: Name
    name_given: Name
    birth_date: BirthDate
    organization_id: Id
    telecom_phone: Line | None = None
    identifier: Name | None = None
    identifiers: list[NewIdentifier] = []


class PatientChange(Body):
    name_family: Name | None = None
    name_given: Name | None = None
    birth_date: BirthDate | None = None
    telecom_phone: Line | None = None
    telecom_email: Email | None = None
    identifier: Name | None = None
    identifiers: list[NewIdentifier] | None = None


class PatientSearch(Listing):
    organization_id: Id | None = None
    study_id: Id | None = None
    patient_id: Id | None = None
    patient_identifier_value: Line | None = None
    search: Line | None = None


class InOrganization(Query):
    organization_id: Id | None = None


class IntoOrganization(Query):
    organization_id: Id


class ByEmail(Query):
    email: Line


class PatientIdentifier(Shape):
    id: int
    system: str
    value: str


class Patient(PatientName):
    jhe_user_id: int
    identifier: str | None
    identifiers: list[PatientIdentifier]
    telecom_phone: str | None
    organization_id: int | None
    organizations: list[Organization]
    studies_pending: int = 0
    studies_answered: int = 0
    last_updated: Time
