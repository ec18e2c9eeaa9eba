"""How studies look on the wire, and what may be sent and asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..devices import DataSource
from ..oauth_clients import OAuthClient
from ..shapes import MAX_ID, Body, Code, Id, Line, Listing, Name, OrganizationName, Prose, Shape, WebAddress

AT_ONCE = 10_000  # patients enrolled or removed in one request
Policy = Literal["hide", "keep"]


class NewStudy(Body):
    name: Name
    description: Prose
    organization: Id
    icon_url: WebAddress | None = None
    contact: Line | None = None
    data_after_withdrawal: Policy | None = None


class StudyChange(Body):
    name: Name | None = None
    description: Prose | None = None
    icon_url: WebAddress | None = None
    contact: Line | None = None
    data_after_withdrawal: Policy | None = None


class PatientIds(Body):
    patient_ids: Annotated[list[Id], Field(min_length=1, max_length=AT_ONCE)]


class OneDataSource(Body):
    data_source_id: Id


class OneClient(Body):
    client_id: Annotated[int, Field(ge=0, le=MAX_ID)] | Name


class StudySearch(Listing):
    organization_id: Id | None = None
    search: Line | None = None


class Study(Shape):
    id: int
    name: str
    description: str
    organization: OrganizationName
    icon_url: str | None
    scope_requests: list[Code]
    data_sources: list[DataSource]
    patient_count: int
    contact: str | None
    data_after_withdrawal: str


class StudyScopeRequest(Shape):
    """A code a study requests, in the public API's words."""

    study: int
    scope_code: Code


class StudyDataSource(Shape):
    study: int
    data_source: DataSource


class StudyClient(Shape):
    study: int
    client: OAuthClient


class StudyPatient(Shape):
    study: int
    patient: int


class StudyPatients(Shape):
    study_patients: list[StudyPatient]
