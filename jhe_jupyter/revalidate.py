"""A frame read earlier, held against what may be read now: consents are withdrawn while notebooks lie open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from .client import Client
from .connection import Json
from .dtypes import from_arrow, typed
from .errors import NotFound
from .lists import patient_answers
from .times import rfc3339

REPORT = {"observation_id": "int64", "patient_id": "int64", "code": "category", "reason": "category", "since": "utc"}

WITHDRAWN = "consent withdrawn"
UNANSWERED = "consent no longer given"
NOT_ASKED = "no longer enrolled, or the study no longer asks"
INVISIBLE = "patient no longer visible"
REMOVED = "observation removed"


def revalidate(client: Client, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a frame that may still be read, and a report with one row per row gone and the reason.

    `frame` needs `observation_id`, `patient_id` and `code`; a study or organization named in its `attrs` is kept to.
    """
    scope = {name: value for name, value in frame.attrs.get("query", {}).items() if name.endswith("_id")}
    gone: list[Json] = []
    for patient, rows in frame.groupby("patient_id", observed=True):
        codes = sorted(map(str, rows["code"].dropna().unique()))
        asked = {**scope, "patient_id": int(str(patient)), "code": ",".join(codes) or None, "ordering": "id"}
        there = _readable(client, asked)
        lost = rows[~rows["observation_id"].isin(there)]
        if len(lost):
            gone += _explained(client, int(str(patient)), lost, scope.get("study_id"))
    report = typed(gone, REPORT)
    kept = frame[~frame["observation_id"].isin(report["observation_id"])].reset_index(drop=True)
    kept.attrs = {**frame.attrs, "time": rfc3339(datetime.now(UTC)), "count": len(kept)}
    return kept, report


def _readable(client: Client, asked: Mapping[str, Any]) -> set[int]:
    """The ids of the observations that may be read now; through Arrow, where the server offers it, in one answer."""
    stream = client.arrow_stream("observations", asked)
    if stream is None:
        return {row["id"] for row in client.list_observation_rows(asked)}
    return set(from_arrow(stream, {"observation_id": "int64"})["observation_id"])


def _explained(client: Client, patient: int, lost: pd.DataFrame, study: int | None) -> Iterator[Json]:
    try:
        consents: Mapping[str, Any] | None = client.get_patient_consents(patient)
    except NotFound:
        consents = None
    reasons = {code: reason(consents, code, study) for code in map(str, lost["code"].unique())}
    for observation, code in zip(lost["observation_id"], map(str, lost["code"]), strict=True):
        why, since = reasons[code]
        yield {"observation_id": observation, "patient_id": patient, "code": code, "reason": why, "since": since}


def reason(consents: Mapping[str, Any] | None, code: str, study: int | None = None) -> tuple[str, str | None]:
    """Why observations of a code are gone, as far as the patient's consents tell, and since when.

    >>> reason(None, "omh:heart-rate:2.0")
    ('patient no longer visible', None)
    """
    if consents is None:
        return INVISIBLE, None
    answers = [one for one in patient_answers(consents) if one["code"] == code and study in (None, one["study_id"])]
    times = {one["state"]: one["time"] for one in sorted(answers, key=lambda one: one["time"] or "")}
    if "granted" in times:
        return REMOVED, None
    if "declined" in times:
        return WITHDRAWN, times["declined"]
    return (UNANSWERED if "pending" in times else NOT_ASKED), None
