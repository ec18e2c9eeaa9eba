"""A frame read earlier, held against what may be read now: consents are withdrawn while notebooks lie open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from .arrow import from_arrow
from .client import Client
from .connection import Json
from .dtypes import memory, typed
from .errors import NotFound
from .fhir import GROUP
from .lists import patient_answers
from .times import rfc3339

IDS = {"observation_id": "int64"}
KEYS = ("observation_id", "patient_id", "code")
SCOPE = ("study_id", "organization_id")
REPORT = {"observation_id": "int64", "patient_id": "int64", "code": "category", "reason": "category", "since": "utc"}
FEW = 20  # patients; of more, everything readable is asked about at once

WITHDRAWN = "consent withdrawn"
UNANSWERED = "consent no longer given"
NOT_ASKED = "no longer enrolled, or the study no longer asks"
INVISIBLE = "patient no longer visible"
REMOVED = "observation removed"


def revalidate(client: Client, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a frame that may still be read, and a report with one row per observation gone and the reason.

    `frame` needs `observation_id`, `patient_id` and `code` (else ValueError); rows without an observation, as a merge
    leaves them, stay. A study or organization named in its `attrs` is kept to. The index stays as it is.
    """
    rows = _observations(frame)
    scope = {name: value for name, value in frame.attrs.get("query", {}).items() if name in SCOPE}
    there = _readable(client, rows, scope)
    lost = rows[~np.isin(rows["observation_id"].to_numpy(), there)]
    report = _report(client, lost, scope.get("study_id"))
    gone = pd.to_numeric(frame["observation_id"]).isin(report["observation_id"])
    kept = frame[~gone.to_numpy(dtype=bool)]
    kept.attrs = {**frame.attrs, "time": rfc3339(datetime.now(UTC)), "count": len(kept)}
    return kept, report


def _observations(frame: pd.DataFrame) -> pd.DataFrame:
    """The observations of a frame, one row each, with plain dtypes: a merge repeats rows and turns ids into floats."""
    missing = [name for name in KEYS if name not in frame]
    if missing:
        absent = " and no ".join(missing)
        raise ValueError(f"revalidate needs the columns {', '.join(KEYS)}; this frame has no {absent}")
    rows = frame.loc[frame["observation_id"].notna().to_numpy(), list(KEYS)].drop_duplicates("observation_id")
    return rows.astype({"observation_id": "int64", "patient_id": "int64", "code": "object"})


def _readable(client: Client, rows: pd.DataFrame, scope: Mapping[str, Any]) -> Any:
    """The ids of the observations of these codes and patients that may be read now."""
    codes = sorted(map(str, rows["code"].dropna().unique()))
    asked = {**scope, "code": ",".join(codes) or None}
    patients = [int(one) for one in rows["patient_id"].unique()]
    questions = [{**asked, "patient_id": one} for one in patients] if len(patients) <= FEW else [asked]
    return np.concatenate([np.empty(0, "int64"), *(_ids(client, question) for question in questions)])


def _ids(client: Client, asked: Mapping[str, Any]) -> Any:
    found = client.read_arrow("observations", lambda stream: from_arrow(stream, IDS), asked, shape="ids", size=memory)
    if found is not None:
        return found["observation_id"].to_numpy()
    names = {"patient_id": "patient", "study_id": GROUP, "organization_id": "patient.organization", "code": "code"}
    resources = client.search_fhir("Observation", {names[name]: value for name, value in asked.items()})
    return np.array([int(one["id"]) for one in resources], dtype="int64")


def _report(client: Client, lost: pd.DataFrame, study: int | None) -> pd.DataFrame:
    pairs = lost[["patient_id", "code"]].drop_duplicates()
    patients = pairs.groupby("patient_id")["code"]
    said = [one for patient, codes in patients for one in _explained(client, int(str(patient)), list(codes), study)]
    explained = typed(said, {"patient_id": "int64", "code": "object", "reason": "category", "since": "utc"})
    report = lost.merge(explained, on=["patient_id", "code"], how="left", validate="many_to_one")
    return report.astype({"code": "category"})[list(REPORT)]


def _explained(client: Client, patient: int, codes: Sequence[str], study: int | None) -> Iterator[Json]:
    try:
        consents: Mapping[str, Any] | None = client.get_patient_consents(patient)
    except NotFound:
        consents = None
    for code in codes:
        why, since = reason(consents, code, study)
        yield {"patient_id": patient, "code": code, "reason": why, "since": since}


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
