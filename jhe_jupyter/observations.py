"""Observations in a notebook: read as tidy frames, held against today's consents, uploaded from frames or lists."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pandas as pd

from . import frames, uploading
from .by_name import ByName
from .columns import AGGREGATE
from .connection import Json
from .dtypes import copied, memory
from .errors import Forbidden
from .fhir import GROUP
from .revalidate import revalidate
from .tidy import tidy_frame
from .times import Time, rfc3339


class Observations(ByName):
    """A client whose observations come as frames."""

    def observations_df(
        self,
        code: Any = None,
        study: Any = None,
        patient: Any = None,
        organization: Any = None,
        since: Time | None = None,
        until: Time | None = None,
        unit: str | None = None,
        limit: int | None = None,
        dtype_backend: str | None = None,
    ) -> pd.DataFrame:
        """Measurements the caller may read, one row each, sorted by patient, code and time; all of them.

        `code` is a short name (`blood-glucose`), a full code, or a list of them; `since` ≤ effective time < `until`;
        `unit` turns values into one unit (`mg/dL`, `kg`, …) and the unit column says so; `limit` keeps those last
        uploaded; `dtype_backend` is None, `numpy_nullable` or `pyarrow`, as in pandas.

        Columns: `observation_id, patient_id, code, data_source, status, effective_start, effective_end` (UTC)`,
        utc_offset_minutes, effective_local` (the patient's clock, NaT where unknown)`, created, modality`, then one
        per leaf (`blood_glucose_value`, `blood_glucose_unit`, …). `descriptive_statistic` is null for a reading and
        names what an aggregate is (`average`, …): leave those out before you average. `attrs` states `query, time,
        count, aggregates` (how many those are) and `consent_policy`: by study, whether data stays readable after a
        withdrawal (`hide` or `keep`). An answer is remembered (see `read_arrow`) and sent again only if it changed.
        Raises UnknownName with the nearest names, ValueError for a unit that nothing found can be turned into.
        """
        codes = self.codes(code)
        asked = self._asked(study, patient, organization, since, until)
        found = self._observed(asked, codes, limit)
        frame = frames.as_asked(copied(found), unit, dtype_backend)
        named = [one["codingCode"] for one in codes] or None
        frame.attrs = _stated(found, {**asked, "code": named, "unit": unit, "limit": limit})
        return frame

    def revalidate(self, df: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of an earlier frame that may still be read, and a report of those that may not.

        `df` needs `observation_id, patient_id, code`, whatever else was filtered, merged, saved or read back. The
        report has one row per observation gone: `observation_id, patient_id, code, reason, since` (UTC).
        """
        return revalidate(self, df)

    def upload_observations(
        self,
        data: pd.DataFrame | Sequence[Json],
        patient: Any = None,
        device: Any = None,
        code: Any = None,
        *,
        progress: bool = True,
    ) -> pd.DataFrame:
        """Upload Open mHealth data points, FHIR Observations, or the rows of a frame with the columns of ours.

        `patient`, `device` and `code` say what the data does not. A frame has `effective_start` and the columns of its
        codes, and may have `effective_end`, `utc_offset_minutes` (without it the local clock is unknown), `modality`,
        `patient_id`, `data_source`, `code`; times without a zone are UTC.
        Returns a DataFrame: `row` (1 = first), `status` (`created`, `exists`, `error`), `observation_id, message`.
        What was measured decides an identifier, so that uploading it again doubles nothing and finishes an upload
        that was cut off. Raises UploadInterrupted, with `.done`, when the server goes away half way.
        """
        return uploading.upload(self, data, patient, device, code, progress=progress)

    def list_observations(
        self, patient_id: Any = None, study_id: Any = None, code: Enum | str | None = None, limit: int | None = None
    ) -> Generator[Json]:
        """Yield FHIR Observation resources, newest first; ids or names, all of them unless `limit` says otherwise."""
        return super().list_observations(*self._of(patient_id, study_id), code, limit)

    def list_observations_df(
        self, patient_id: Any = None, study_id: Any = None, code: Enum | str | None = None, limit: int | None = None
    ) -> pd.DataFrame:
        """Observations as jupyterhealth-client shapes them: every path of the resource and its body a column."""
        return tidy_frame(self.list_observations(patient_id, study_id, code, limit))

    def _asked(self, study: Any, patient: Any, organization: Any, since: Time | None, until: Time | None) -> Json:
        return {
            "organization_id": self._optional(organization, self.organization_id),
            "study_id": self._optional(study, self.study_id),
            "patient_id": self._optional(patient, self.patient_id),
            "since": rfc3339(since),
            "until": rfc3339(until),
        }

    def _observed(self, asked: Json, codes: Sequence[Json], limit: int | None) -> pd.DataFrame:
        """The rows a query finds, to be handed on as a copy: from one stream where there is one, else by pages."""
        named = [one["codingCode"] for one in codes]
        frame = None
        if limit is None:
            frame = self.read_arrow(
                "observations",
                lambda stream: frames.observations_from_arrow(stream, named),
                {**asked, "code": ",".join(named) or None},
                shape="observations",
                size=memory,
            )
        if frame is None:
            frame = self._from_pages(asked, codes, limit)
        if "consent_policy" not in frame.attrs:  # the ETag changes with it, so it is remembered with the rows
            frame.attrs["consent_policy"] = self._policy(asked["study_id"], asked["organization_id"])
        return frame

    def _from_pages(self, asked: Json, codes: Sequence[Json], limit: int | None) -> pd.DataFrame:
        """The same rows from FHIR pages, newest first, for a limit and for an Exchange without Arrow streams."""
        since, until = asked["since"], asked["until"]
        params = {
            "patient": asked["patient_id"],
            GROUP: asked["study_id"],
            "patient.organization": asked["organization_id"],
            "code": ",".join(f"{one['codingSystem']}|{one['codingCode']}" for one in codes) or None,
            "date": [f"{sign}{time}" for sign, time in (("ge", since), ("lt", until)) if time] or None,
        }
        # FHIR also finds an interval that began before `since`, so a limit is applied to what is left of it.
        most = limit if since is until is None else None
        frame = frames.observations_frame(
            self.search_fhir("Observation", params, limit=most), [one["codingCode"] for one in codes]
        )
        return frames.newest(frames.measured_within(frame, since, until), limit)

    def _policy(self, study: int | None, organization: int | None) -> dict[str, str]:
        """By study, what becomes of data after a withdrawal; empty for those who see no studies."""
        try:
            studies = [self.get_study(study)] if study is not None else self.list_studies(organization_id=organization)
            said = {str(one["id"]): one.get("dataAfterWithdrawal") for one in studies}
        except Forbidden:
            return {}
        return {study: policy for study, policy in said.items() if policy is not None}


def _stated(found: pd.DataFrame, query: Json) -> dict[Any, Any]:
    """What a frame says of itself in `attrs`."""
    return {
        "query": {name: value for name, value in query.items() if value is not None},
        "time": rfc3339(datetime.now(UTC)),
        "count": len(found),
        "aggregates": int(found[AGGREGATE].count()),
        "consent_policy": dict(found.attrs["consent_policy"]),
    }
