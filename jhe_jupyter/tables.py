"""What the Exchange holds as DataFrames: patients, studies, organizations, consents, follow-up, audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from . import lists
from .arrow import from_arrow
from .dtypes import copied, memory, typed
from .observations import Observations
from .times import Time, rfc3339


class Tables(Observations):
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

    def _list_df(
        self,
        path: str,
        params: Mapping[str, Any],
        schema: Mapping[str, str],
        renamed: Mapping[str, str] | None = None,
    ) -> pd.DataFrame:
        """A list as a frame: through Arrow where the server offers it, else page by page."""
        frame = self.read_arrow(
            path, lambda stream: from_arrow(stream, schema, renamed), params, shape="list", size=memory
        )
        if frame is None:
            return lists.list_frame(self.list_api(path, params), schema, renamed)
        return copied(frame)
