"""Reading by name: the calls of jupyterhealth-client that ask for ids, given an id, a name or the object itself.

A name sent where the Exchange expects an id would find nothing: here it is resolved first, or refused in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from .connection import Json
from .names import Names


class ByName(Names):
    """A client whose reading calls understand names as well; see `Client` for what each answers."""

    def get_patient(self, id: Any) -> Json:
        """One patient."""
        return super().get_patient(self.patient_id(id))

    def list_patients(
        self, organization_id: Any = None, study_id: Any = None, search: str | None = None
    ) -> Generator[Json]:
        """Yield patients, optionally of one organization or study, or whose name or e-mail starts with `search`."""
        organization = self._optional(organization_id, self.organization_id)
        return super().list_patients(organization, self._optional(study_id, self.study_id), search)

    def get_patient_consents(self, patient_id: Any, as_of: str | None = None) -> Json:
        """What a patient has been asked and has answered, study by study; `as_of` (RFC 3339) replays the ledger."""
        return super().get_patient_consents(self.patient_id(patient_id), as_of)

    def list_consent_history(self, patient_id: Any) -> Generator[Json]:
        """Yield every answer of a patient from the ledger, the newest first."""
        return super().list_consent_history(self.patient_id(patient_id))

    def list_invitations(self, patient_id: Any) -> Generator[Json]:
        """Yield a patient's invitations with their status; never the secret."""
        return super().list_invitations(self.patient_id(patient_id))

    def get_study(self, id: Any) -> Json:
        """One study."""
        return super().get_study(self.study_id(id))

    def list_studies(self, *, organization_id: Any = None) -> Generator[Json]:
        """Yield the studies of the caller's organizations, or of one of them."""
        return super().list_studies(organization_id=self._optional(organization_id, self.organization_id))

    def list_study_consents(self, study_id: Any, as_of: str | None = None) -> Generator[Json]:
        """Yield a study's answers, one per patient and code."""
        return super().list_study_consents(self.study_id(study_id), as_of)

    def list_followup(self, study_id: Any = None) -> Generator[Json]:
        """Yield how far each patient of a study has come, from invited to last uploaded."""
        return super().list_followup(self._optional(study_id, self.study_id))

    def get_organization(self, id: Any) -> Json:
        """One organization; 0 is the ROOT."""
        return super().get_organization(self.organization_id(id))

    def list_organization_users(self, id: Any) -> Generator[Json]:
        """Yield the people of an organization with their roles."""
        return super().list_organization_users(self.organization_id(id))

    def get_fhir(
        self,
        resource_type: str,
        id: int | str | None = None,
        *,
        patient_id: Any = None,
        study_id: Any = None,
        fhir_source: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Json:
        """One FHIR resource by id, or without one the first Bundle of a search; ids or names of patient and study."""
        patient, study = self._of(patient_id, study_id)
        more: Json = {"fhir_source": fhir_source, "params": params}
        return super().get_fhir(resource_type, id, patient_id=patient, study_id=study, **more)

    def list_fhir(
        self,
        resource_type: str,
        *,
        patient_id: Any = None,
        study_id: Any = None,
        fhir_source: str | None = None,
        limit: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Generator[Json]:
        """Yield the resources of a FHIR type, of a patient, of a study's patients, or from one source."""
        patient, study = self._of(patient_id, study_id)
        more: Json = {"fhir_source": fhir_source, "limit": limit, "params": params}
        return super().list_fhir(resource_type, patient_id=patient, study_id=study, **more)

    def _of(self, patient: Any, study: Any) -> tuple[int | None, int | None]:
        """A search asks for ids alone: a name would find nothing, silently."""
        return self._optional(patient, self.patient_id), self._optional(study, self.study_id)

    @staticmethod
    def _optional(thing: Any, resolve: Callable[[Any], int]) -> int | None:
        return None if thing is None else resolve(thing)
