"""How observations look on the wire of `/api/v1`, and how they are asked for there."""

from __future__ import annotations

from typing import Any

from ..shapes import Id, Line, Listing, Moment, Shape, Time


class ObservationSearch(Listing):
    organization_id: Id | None = None
    study_id: Id | None = None
    patient_id: Id | None = None
    code: Line | None = None
    data_source_id: Id | None = None
    since: Moment | None = None
    until: Moment | None = None


class Observation(Shape):
    """A row of the REST list; `omhData` and `valueAttachmentData` are both the decoded data point."""

    id: int
    subject_patient: int
    subject_patient_id: int
    patient_name_display: str
    patient_name_family: str
    patient_name_given: str
    codeable_concept: int
    coding_system: str
    coding_code: str
    coding_text: str
    data_source: int
    data_source_name: str
    status: str
    created: Time
    last_updated: Time
    effective_date_time: str | None = None
    effective_period: dict[str, str] | None = None
    omh_data: Any
    value_attachment_data: Any
