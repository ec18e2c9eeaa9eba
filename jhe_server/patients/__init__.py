"""Patients: the record as callers read and write it, with what it counts of studies and answers.

reading     records searched, looked up and one by one
writing     created, changed, added to an organization
as_fhir     the same as FHIR Patients
as_columns  the same as typed columns
shapes      how all of it looks on the wire

The rows, and who may see whom, are in `patient_rows.py`; leaving an organization is in `departures.py`.
"""

from __future__ import annotations

from .as_columns import table
from .as_fhir import SEARCHABLE, fhir_get, fhir_search
from .reading import get, lookup, me, of_study, search, shapes
from .shapes import (
    ByEmail,
    InOrganization,
    IntoOrganization,
    NewIdentifier,
    NewPatient,
    Patient,
    PatientChange,
    PatientSearch,
)
from .writing import OWN_SYSTEM, add_to_organization, create, insert_patient, update

__all__ = [
    "OWN_SYSTEM",
    "SEARCHABLE",
    "ByEmail",
    "InOrganization",
    "IntoOrganization",
    "NewIdentifier",
    "NewPatient",
    "Patient",
    "PatientChange",
    "PatientSearch",
    "add_to_organization",
    "create",
    "fhir_get",
    "fhir_search",
    "get",
    "insert_patient",
    "lookup",
    "me",
    "of_study",
    "search",
    "shapes",
    "table",
    "update",
]
