"""What enters and leaves as consents, in the guide's words."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..devices import DataSource
from ..patient_rows import PatientName
from ..shapes import Body, Code, Id, Line, Listing, Moment, OrganizationName, Query, Shape, Time

GRANTED, DECLINED, PENDING = "granted", "declined", "pending"


class CodeAnswer(Body):
    coding_system: Line
    coding_code: Line
    consented: bool


class StudyAnswers(Body):
    study_id: Id
    scope_consents: Annotated[list[CodeAnswer], Field(min_length=1)]
    reason: Line | None = None


class Answers(Body):
    """The guide's body, for POST and PATCH."""

    study_scope_consents: Annotated[list[StudyAnswers], Field(min_length=1)]


class CodeToClear(Body):
    coding_system: Line
    coding_code: Line


class StudyToClear(Body):
    study_id: Id
    scope_consents: Annotated[list[CodeToClear], Field(min_length=1)]
    reason: Line | None = None


class ToClear(Body):
    study_scope_consents: Annotated[list[StudyToClear], Field(min_length=1)]


class Withdrawal(Body):
    """Everything a study asks for, at once."""

    study_id: Id
    reason: Line | None = None


class AsOf(Query):
    as_of: Moment | None = None
    reset: str | None = None


class ConsentListing(Listing):
    as_of: Moment | None = None


class ScopeConsent(Shape):
    """One code's answer; null while pending."""

    code: Code
    consented: bool | None = None
    consented_time: Time | None = None
    actor_id: int | None = None
    reason: str | None = None


class _StudyOf(Shape):
    id: int
    name: str
    description: str
    organization: OrganizationName
    data_sources: list[DataSource]


class PendingStudy(_StudyOf):
    pending_scope_consents: list[ScopeConsent]


class AnsweredStudy(_StudyOf):
    scope_consents: list[ScopeConsent]


class PatientConsents(Shape):
    patient: PatientName
    consolidated_consented_scopes: list[Code]
    studies_pending_consent: list[PendingStudy]
    studies: list[AnsweredStudy]


class StudyScopeConsents(Shape):
    study_id: int
    scope_consents: list[ScopeConsent]


class Answered(Shape):
    study_scope_consents: list[StudyScopeConsents]


class Consent(Shape):
    """One row of a study's consents: a patient, a code, and how they answered."""

    patient_id: int
    study_id: int
    code: str
    coding_system: str
    state: str
    time: Time | None
    actor_id: int | None
    reason: str | None
