"""Lists of the Exchange as typed frames in FHIR's words: patients, studies, organizations, consents, audit, follow-up.

Every list has one schema here; an answer without rows has the same columns and dtypes as one with. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from .dtypes import snake, typed

Json = Mapping[str, Any]
STATES = ("granted", "declined", "pending")
STATE_OF = {True: "granted", False: "declined", None: "pending"}

PATIENTS = {
    "patient_id": "int64",
    "jhe_user_id": "Int64",
    "identifier": "text",
    "name_family": "text",
    "name_given": "text",
    "birth_date": "date",
    "telecom_phone": "text",
    "telecom_email": "text",
    "organization_id": "Int64",
    "studies_pending": "Int64",
    "studies_answered": "Int64",
}

STUDIES = {
    "study_id": "int64",
    "name": "text",
    "description": "text",
    "organization_id": "Int64",
    "organization_name": "text",
    "codes": "object",
    "data_sources": "object",
    "patient_count": "Int64",
    "contact": "text",
    "data_after_withdrawal": "category",
    "icon_url": "text",
}

ORGANIZATIONS = {
    "organization_id": "int64",
    "name": "text",
    "type": "category",
    "part_of": "Int64",
    "current_user_role": "category",
}

CONSENTS = {
    "patient_id": "int64",
    "study_id": "int64",
    "code": "text",
    "state": "text",
    "time": "utc",
    "actor": "Int64",
    "reason": "text",
}

AUDIT = {
    "seq": "int64",
    "time": "utc",
    "actor_id": "Int64",
    "via": "category",
    "verb": "category",
    "patient_id": "Int64",
    "study_id": "Int64",
    "organization_id": "Int64",
    "outcome": "category",
    "count": "Int64",
    "request_id": "text",
    "patients": "text",
}

FOLLOWUP = {
    "patient_id": "int64",
    "name_family": "text",
    "name_given": "text",
    "study_id": "Int64",
    "invited": "utc",
    "connected": "utc",
    "consented": "utc",
    "pending_consents": "Int64",
    "last_measured": "utc",
    "last_uploaded": "utc",
    "state": "category",
}


def list_frame(
    rows: Iterable[Json], schema: Mapping[str, str], renamed: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Rows of a list as a frame of `schema`; camelCase keys become snake_case, and those in `renamed` what it says.

    >>> list_frame([{"id": 20003, "name": "the lab"}], ORGANIZATIONS, {"id": "organization_id"}).shape
    (1, 5)
    """
    return typed([_snaked(row, renamed or {}) for row in rows], schema)


def studies_frame(studies: Iterable[Json]) -> pd.DataFrame:
    """Studies as a frame; `codes` and `data_sources` are tuples of text, so that `explode` gives one row each."""
    return list_frame(map(_study_row, studies), STUDIES, {"id": "study_id"})


def consents_frame(answers: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of `CONSENTS` as one; `code` and `state` become categories, `state` of granted, declined and pending."""
    filled = [one for one in answers if len(one)] or [typed([], CONSENTS)]
    frame = pd.concat(filled, ignore_index=True)
    frame["code"] = frame["code"].astype("category")
    frame["state"] = pd.Categorical(frame["state"], categories=STATES)
    return frame


def patient_answers(consents: Json) -> Iterator[dict[str, Any]]:
    """Rows of `consents_frame` from `GET patients/{id}/consents`.

    >>> code = {"codingCode": "omh:heart-rate:2.0"}
    >>> [row["state"] for row in patient_answers({"patient": {"id": 1}, "studiesPendingConsent": [], "studies": [
    ...     {"id": 2, "scopeConsents": [{"code": code, "consented": False, "consentedTime": None}]}]})]
    ['declined']
    """
    studies = [*consents.get("studies", ()), *consents.get("studiesPendingConsent", ())]
    for study in studies:
        for answer in [*study.get("scopeConsents", ()), *study.get("pendingScopeConsents", ())]:
            yield {
                "patient_id": consents["patient"]["id"],
                "study_id": study["id"],
                "code": answer["code"]["codingCode"],
                "state": STATE_OF[answer["consented"]],
                "time": answer.get("consentedTime"),
                "actor": answer.get("actorId"),
                "reason": answer.get("reason"),
            }


def _study_row(study: Json) -> dict[str, Any]:
    organization = study.get("organization") or {}
    return {
        **study,
        "organizationId": organization.get("id"),
        "organizationName": organization.get("name"),
        "codes": tuple(code["codingCode"] for code in study.get("scopeRequests") or ()),
        "dataSources": tuple(source["name"] for source in study.get("dataSources") or ()),
    }


def _snaked(row: Json, renamed: Mapping[str, str]) -> dict[str, Any]:
    return {renamed.get(snake(name), snake(name)): value for name, value in row.items()}
