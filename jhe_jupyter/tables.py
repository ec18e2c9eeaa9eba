"""What the Exchange holds as DataFrames: patients, studies, organizations, consents, follow-up, audit, observations."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

import pandas as pd

from . import frames, lists
from .connection import Json
from .dtypes import from_arrow, typed
from .names import Names
from .revalidate import revalidate
from .times import rfc3339

Time = datetime | date | str


class Tables(Names):
    """A client whose lists come as frames, in FHIR's words, with fixed columns and dtypes, empty or not."""

    def patients_df(self, organization: Any = None, study: Any = None, search: str | None = None) -> pd.DataFrame:
        """Patients of an organization or study, or whose name or e-mail starts with `search`; one row each, by id.

        Columns `patient_id, jhe_user_id, identifier, name_family, name_given, birth_date` (datetime64)`,
        telecom_phone, telecom_email, organization_id, studies_pending, studies_answered` (counts).
        """
        params = {
            "organization_id": self._optional(organization, self.organization_id),
            "study_id": self._optional(study, self.study_id),
            "search": search,
        }
        return self._list_df("patients", params, lists.PATIENTS, {"id": "patient_id"})

    def studies_df(self, organization: Any = None) -> pd.DataFrame:
        """Studies, one row each; `codes` and `data_sources` are tuples, so that `explode` gives a row per code."""
        return lists.studies_frame(
            self.list_studies(organization_id=self._optional(organization, self.organization_id))
        )

    def organizations_df(self) -> pd.DataFrame:
        """Organizations with their parent (`part_of`, 0 is the ROOT) and the caller's role, null without one."""
        return lists.list_frame(self.list_organizations(), lists.ORGANIZATIONS, {"id": "organization_id"})

    def consents_df(self, study: Any = None, patient: Any = None, as_of: Time | None = None) -> pd.DataFrame:
        """Answers of a study, of a patient, or of everybody: one row per patient, study and requested code.

        Columns `patient_id, study_id, code, state` (granted, declined, pending)`, time` (UTC)`, actor` (user id)`,
        reason`. `as_of` replays the ledger: what was in force at that time (UTC where it names no zone).
        """
        at = rfc3339(as_of)
        study_id = self._optional(study, self.study_id)
        if patient is not None:
            answers = lists.patient_answers(self.get_patient_consents(self.patient_id(patient), at))
            rows = [row for row in answers if study_id in (None, row["study_id"])]
            return lists.consents_frame([typed(rows, lists.CONSENTS)])
        studies = [study_id] if study_id is not None else [one["id"] for one in self.list_studies()]
        paths = [f"studies/{one}/consents" for one in studies]
        named = {"actor_id": "actor"}
        return lists.consents_frame([self._list_df(path, {"as_of": at}, lists.CONSENTS, named) for path in paths])

    def followup_df(self, study: Any = None) -> pd.DataFrame:
        """How far each patient has come: invited, connected, consented, last measured and uploaded (UTC), state."""
        return lists.list_frame(self.list_followup(self._optional(study, self.study_id)), lists.FOLLOWUP)

    def audit_df(
        self, patient: Any = None, actor: Any = None, since: Time | None = None, until: Time | None = None
    ) -> pd.DataFrame:
        """Who did what to whose data, refusals included, in the order it happened (`seq`); `time` in UTC.

        `patients` holds the ids of all a row concerned, in runs (`40001-40002,40005`); `patient=` searches them too.
        """
        params = {
            "patient_id": self._optional(patient, self.patient_id),
            "actor_id": self._optional(actor, self.user_id),
            "since": rfc3339(since),
            "until": rfc3339(until),
        }
        frame = self._list_df("audit", params, lists.AUDIT)
        return frame.sort_values("seq", ignore_index=True)

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
        `unit` turns values into one unit (`mg/dL`, `kg`, …); `limit` keeps the newest; `dtype_backend` as in pandas.
        Columns: `observation_id, patient_id, code, data_source, status, effective_start, effective_end` (UTC)`,
        utc_offset_minutes, effective_local` (the patient's clock, NaT where unknown)`, created, modality`, then one
        per leaf (`blood_glucose_value`, `blood_glucose_unit`, …). `attrs` states query, time and count.
        Raises ValueError for a unit that nothing found can be turned into.
        """
        codes = [self.code(one)["codingCode"] for one in _several(code)]
        params = {
            "organization_id": self._optional(organization, self.organization_id),
            "study_id": self._optional(study, self.study_id),
            "patient_id": self._optional(patient, self.patient_id),
            "since": rfc3339(since),
            "until": rfc3339(until),
        }
        asked = {**params, "code": ",".join(codes) or None}
        frame = self._observed(asked, limit, codes, unit=unit, dtype_backend=dtype_backend)
        query = {**params, "code": codes or None, "unit": unit, "limit": limit}
        frame.attrs = {
            "query": {name: value for name, value in query.items() if value is not None},
            "time": rfc3339(datetime.now(UTC)),
            "count": len(frame),
        }
        return frame

    def _observed(self, asked: dict[str, Any], limit: int | None, codes: list[str], **shown: Any) -> pd.DataFrame:
        """The rows a query finds, as one stream where the server gives one, else page by page."""
        stream = self.arrow_stream("observations", asked) if limit is None else None
        if stream is not None:
            return frames.observations_from_arrow(stream, codes, **shown)
        # By id, new rows come last and no page moves while others are read; only a limit needs the newest first.
        order = "id" if limit is None else None
        rows = self.list_observation_rows({**asked, "ordering": order}, limit=limit)
        return frames.observations_frame(rows, codes, **shown)

    def revalidate(self, df: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of an earlier frame that may still be read, and a report of those that may not.

        The report has one row per row gone: `observation_id, patient_id, code, reason, since` (UTC).
        """
        return revalidate(self, df)

    def list_observations(
        self, patient_id: Any = None, study_id: Any = None, code: Enum | str | None = None, limit: int | None = None
    ) -> Generator[Json]:
        """Yield FHIR Observation resources, newest first; ids or names, all of them unless `limit` says otherwise."""
        patient = self._optional(patient_id, self.patient_id)
        return super().list_observations(patient, self._optional(study_id, self.study_id), code, limit)

    def list_observations_df(
        self, patient_id: Any = None, study_id: Any = None, code: Enum | str | None = None, limit: int | None = None
    ) -> pd.DataFrame:
        """Observations as jupyterhealth-client shapes them: every path of the resource and its body a column."""
        return frames.tidy_frame(self.list_observations(patient_id, study_id, code, limit))

    def _list_df(
        self,
        path: str,
        params: Mapping[str, Any],
        schema: Mapping[str, str],
        renamed: Mapping[str, str] | None = None,
    ) -> pd.DataFrame:
        """A list as a frame: through Arrow where the server offers it, else page by page."""
        stream = self.arrow_stream(path, params)
        if stream is not None:
            return from_arrow(stream, schema, renamed)
        return lists.list_frame(self.list_api(path, params), schema, renamed)

    @staticmethod
    def _optional(thing: Any, resolve: Any) -> int | None:
        return None if thing is None else int(resolve(thing))


def _several(code: Any) -> list[Any]:
    """One code or several: text and objects are one, other iterables many, None is none."""
    if code is None:
        return []
    if isinstance(code, str) or hasattr(code, "keys") or not isinstance(code, Iterable):
        return [code]
    return list(code)
