"""Studies (FHIR's Group): what each asks of whom, and who is enrolled; answers to it live in `consents`.

rows        the study, its patients, its codes, data sources and clients
reading     those a caller may see, searched and one by one
writing     made and changed
enrolment   patients in and out
asking      codes, data sources and clients, in and out
as_fhir     studies as FHIR Groups
shapes      how all of it looks on the wire
"""

from __future__ import annotations

from .as_fhir import SEARCHABLE, fhir_get, fhir_search, seen
from .asking import (
    add_client,
    add_data_source,
    clients,
    codes,
    data_sources,
    drop_code,
    remove_client,
    remove_data_source,
    request_code,
)
from .enrolment import APART, chunks, enroll, enrolled, take_out, unenroll
from .reading import (
    codes_by_study,
    data_sources_by_study,
    get,
    of_organization,
    organization_name,
    reach,
    row_of,
    search,
    visible,
)
from .rows import StudyClientRow, StudyCodeRow, StudyDataSourceRow, StudyPatientRow, StudyRow
from .shapes import (
    NewStudy,
    OneClient,
    OneDataSource,
    PatientIds,
    Study,
    StudyChange,
    StudySearch,
)
from .writing import create, touched, update

__all__ = [
    "APART",
    "SEARCHABLE",
    "NewStudy",
    "OneClient",
    "OneDataSource",
    "PatientIds",
    "Study",
    "StudyChange",
    "StudyClientRow",
    "StudyCodeRow",
    "StudyDataSourceRow",
    "StudyPatientRow",
    "StudyRow",
    "StudySearch",
    "add_client",
    "add_data_source",
    "chunks",
    "clients",
    "codes",
    "codes_by_study",
    "create",
    "data_sources",
    "data_sources_by_study",
    "drop_code",
    "enroll",
    "enrolled",
    "fhir_get",
    "fhir_search",
    "get",
    "of_organization",
    "organization_name",
    "reach",
    "remove_client",
    "remove_data_source",
    "request_code",
    "row_of",
    "search",
    "seen",
    "take_out",
    "touched",
    "unenroll",
    "update",
    "visible",
]
