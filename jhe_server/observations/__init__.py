"""Observations: Open mHealth data points as patients' apps upload them, read only through the consent gate.

rows        the narrow typed row, the payload as it was sent, identifiers
reading     what the gate lets through: searched, read, as rows of the REST list
as_fhir     the same as FHIR Observations
as_columns  the same as typed columns
writing     many added at once, some removed
shapes      how all of it looks on the wire
"""

from __future__ import annotations

from .as_columns import table
from .as_fhir import SEARCHABLE, every, fhir_get, fhir_search, resource, resources
from .reading import get, readable, search
from .rows import ObservationIdentifierRow, ObservationRow, PayloadRow, identifier_digest
from .shapes import Observation, ObservationSearch
from .writing import add, forget, remove

__all__ = [
    "SEARCHABLE",
    "Observation",
    "ObservationIdentifierRow",
    "ObservationRow",
    "ObservationSearch",
    "PayloadRow",
    "add",
    "every",
    "fhir_get",
    "fhir_search",
    "forget",
    "get",
    "identifier_digest",
    "readable",
    "remove",
    "resource",
    "resources",
    "search",
    "table",
]
