"""The Exchange over HTTP: one method per endpoint, ids in, decoded JSON out, pages followed, refusals raised.

Reading methods carry the names, positional order and return values of jupyterhealth-client, so that people can switch.
Writing methods are named after what goes over the wire (`post_patient`, `patch_patient`, …); the verbs a notebook
uses, with names where ids are, are in `exchange.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from .administration import Administration
from .connection import Json
from .errors import NotFound

FROM_NOW_ON = 2**53  # a number no change has: the Exchange answers with the last one there is


class Client(Administration):
    """A connection with a method for every endpoint; see `Connection` for its arguments and errors.

    >>> Client("http://127.0.0.1:8888/jhe", "a-secret")
    Client('http://127.0.0.1:8888/jhe')
    """

    # -- people -----------------------------------------------------------------------------------------------------

    def get_user(self) -> Json:
        """Who is asking: `id`, `email`, names, `userType`, `isSuperuser`, `patient`, `practitioner` and permissions."""
        return self._get("users/profile")

    def list_users(self) -> Generator[Json]:
        """Yield the people of the caller's organizations."""
        return self.list_api("users")

    def get_user_by_email(self, email: str) -> Json:
        """The person of an e-mail address; NotFound where there is none the caller may see."""
        return self._get("users/search_by_email", {"email": email})

    # -- patients ---------------------------------------------------------------------------------------------------

    def get_patient(self, id: int) -> Json:
        """One patient by id."""
        return self._get(f"patients/{id}")

    def list_patients(
        self, organization_id: int | None = None, study_id: int | None = None, search: str | None = None
    ) -> Generator[Json]:
        """Yield patients, optionally of one organization or study, or whose name or e-mail starts with `search`."""
        return self.list_api("patients", {"organization_id": organization_id, "study_id": study_id, "search": search})

    def lookup_patient(
        self, *, email: str | None = None, external_id: str | None = None, system: str | None = None
    ) -> Json:
        """A patient by exact e-mail across all organizations, or by an external identifier among one's own.

        `system` narrows `external_id` to one issuer. Raises KeyError where there is none, TypeError without either.
        """
        if email is None and external_id is None:
            raise TypeError("lookup_patient needs email= or external_id=")
        if email is not None:
            found: Iterable[Json] = self.api_request("patients/global_lookup", params={"email": email})
            words = f"e-mail {email!r}"
        else:
            found = self._identified(str(external_id), system)
            words = f"external identifier {external_id!r}" + (f" of {system!r}" if system else "")
        for patient in found:
            return dict(patient)
        raise NotFound(404, f"No patient found with {words}.")

    def _identified(self, value: str, system: str | None) -> Generator[Json]:
        for patient in self.list_api("patients", {"patient_identifier_value": value}):
            for identifier in patient["identifiers"]:
                if identifier["value"] == value and system in (None, identifier["system"]):
                    yield patient

    def get_patient_by_external_id(self, external_id: str) -> Json:
        """A patient by external identifier; `lookup_patient(external_id=…)` says the same."""
        return self.lookup_patient(external_id=external_id)

    def post_patient(self, body: Json) -> Json:
        """Create a patient and return it."""
        return self._write("POST", "patients", body)

    def patch_patient(self, id: int, body: Json, organization_id: int | None = None) -> Json:
        """Change what `body` names and return the patient."""
        return self._write("PATCH", f"patients/{id}", body, {"organization_id": organization_id})

    def delete_patient(self, id: int, organization_id: int) -> None:
        """Take a patient out of an organization, with its studies and their consents."""
        self._write("DELETE", f"patients/{id}", params={"organization_id": organization_id})

    def get_removal_preview(self, id: int, organization_id: int) -> Json:
        """What `delete_patient` would take along."""
        return self._get(f"patients/{id}/removal_preview", {"organization_id": organization_id})

    def patch_patient_organization(self, id: int, organization_id: int) -> Json:
        """Add an existing patient to an organization and return the patient."""
        path = f"patients/{id}/global_add_organization"
        return self._write("PATCH", path, params={"organization_id": organization_id})

    def get_patient_clients(self, id: int) -> list[Json]:
        """The apps of the patient's studies, each with its `patientInvitations`."""
        return list(self.list_api(f"patients/{id}/consolidated_clients"))

    def post_import(
        self, organization_id: int, study_id: int | None, rows: Sequence[Json], *, dry_run: bool, invite: bool = False
    ) -> Json:
        """Plan (`dry_run`) or do an import of patients; who is there already is left alone, so it may be sent again."""
        body = {
            "organizationId": organization_id,
            "studyId": study_id,
            "rows": list(rows),
            "dryRun": dry_run,
            "invite": invite,
        }
        return self._write("POST", "patients/import", body, repeatable=True)

    # -- consents ---------------------------------------------------------------------------------------------------

    def get_patient_consents(self, patient_id: int, as_of: str | None = None) -> Json:
        """What a patient has been asked and has answered, study by study; `as_of` (RFC 3339) replays the ledger."""
        return self._get(f"patients/{patient_id}/consents", {"as_of": as_of})

    def list_study_consents(self, study_id: int, as_of: str | None = None) -> Generator[Json]:
        """Yield a study's answers, one per patient and code."""
        return self.list_api(f"studies/{study_id}/consents", {"as_of": as_of})

    def list_consent_history(self, patient_id: int) -> Generator[Json]:
        """Yield every answer of a patient from the ledger, the newest first: who recorded it, when and why."""
        return self.list_api(f"patients/{patient_id}/consents/history")

    def post_patient_consents(self, patient_id: int, answers: Sequence[Json]) -> Json:
        """Record answers, `[{studyId, scopeConsents: [{codingSystem, codingCode, consented}], reason}]`."""
        return self._write("POST", f"patients/{patient_id}/consents", {"studyScopeConsents": list(answers)})

    def delete_patient_consents(self, patient_id: int, answers: Sequence[Json]) -> None:
        """Take answers back: the codes are pending again."""
        self._write("DELETE", f"patients/{patient_id}/consents", {"studyScopeConsents": list(answers)})

    def post_patient_withdrawal(self, patient_id: int, study_id: int, reason: str | None = None) -> Json:
        """Decline everything a study asks a patient for, answered before or not; all of it or nothing."""
        body = {"studyId": study_id, "reason": reason}
        return self._write("POST", f"patients/{patient_id}/consents/withdraw", body, repeatable=True)

    # -- invitations ------------------------------------------------------------------------------------------------

    def post_invitation(self, patient_id: int, client_id: int | None = None, send_email: bool = False) -> Json:
        """Issue an invitation; without `client_id` for the default client, with the guide's form of link."""
        if client_id is None:
            return self._write("POST", f"patients/{patient_id}/invitation_link", params={"send_email": send_email})
        body = {"patientId": patient_id, "clientId": client_id, "sendEmail": send_email}
        return self._write("POST", "invitation", body)

    def list_invitations(self, patient_id: int) -> Generator[Json]:
        """Yield a patient's invitations with their status; never the secret."""
        return self.list_api("invitation", {"patient_id": patient_id})

    def delete_invitation(self, id: int) -> None:
        """Cancel an invitation."""
        self._write("DELETE", f"invitation/{id}")

    # -- studies ----------------------------------------------------------------------------------------------------

    def get_study(self, id: int) -> Json:
        """One study by id."""
        return self._get(f"studies/{id}")

    def list_studies(self, *, organization_id: int | None = None) -> Generator[Json]:
        """Yield the studies of the caller's organizations, or of one of them."""
        return self.list_api("studies", {"organization_id": organization_id})

    def post_study(self, body: Json) -> Json:
        """Create a study and return it."""
        return self._write("POST", "studies", body)

    def patch_study(self, id: int, body: Json) -> Json:
        """Change what `body` names and return the study."""
        return self._write("PATCH", f"studies/{id}", body)

    def delete_study(self, id: int) -> None:
        """Delete a study."""
        self._write("DELETE", f"studies/{id}")

    def post_study_patients(self, id: int, patient_ids: Sequence[int]) -> Json:
        """Enrol patients, all or none; enrolling twice is no error, so it may be sent again."""
        return self._write("POST", f"studies/{id}/patients", {"patient_ids": list(patient_ids)}, repeatable=True)

    def delete_study_patients(self, id: int, patient_ids: Sequence[int]) -> None:
        """End enrolments and their consents; the data stays."""
        self._write("DELETE", f"studies/{id}/patients", {"patient_ids": list(patient_ids)})

    def post_scope_request(self, id: int, scope_code_id: int) -> list[Json]:
        """Let a study ask for a code; idempotent."""
        return self._add(f"studies/{id}/scope_requests", {"scope_code_id": scope_code_id})

    def delete_scope_request(self, id: int, scope_code_id: int) -> None:
        """Let a study no longer ask for a code."""
        self._write("DELETE", f"studies/{id}/scope_requests", {"scope_code_id": scope_code_id})

    def post_study_data_source(self, id: int, data_source_id: int) -> list[Json]:
        """Allow a data source in a study; idempotent."""
        return self._add(f"studies/{id}/data_sources", {"data_source_id": data_source_id})

    def delete_study_data_source(self, id: int, data_source_id: int) -> None:
        """Allow a data source in a study no longer."""
        self._write("DELETE", f"studies/{id}/data_sources", {"data_source_id": data_source_id})

    def post_study_client(self, id: int, client_id: int) -> list[Json]:
        """Give a study's patients an app; idempotent."""
        return self._add(f"studies/{id}/clients", {"client_id": client_id})

    def list_study_clients(self, id: int) -> Generator[Json]:
        """Yield the apps of a study: `{study, client}` each."""
        return self.list_api(f"studies/{id}/clients")

    def delete_study_client(self, id: int, client_id: int) -> None:
        """Take an app from a study's patients."""
        self._write("DELETE", f"studies/{id}/clients", {"client_id": client_id})

    def list_followup(self, study_id: int | None = None) -> Generator[Json]:
        """Yield how far each patient of a study has come, from invited to last uploaded."""
        return self.list_api("followup", {"study_id": study_id})

    # -- organizations and devices ----------------------------------------------------------------------------------

    def get_organization(self, id: int) -> Json:
        """One organization by id; 0 is the ROOT."""
        return self._get(f"organizations/{id}")

    def list_organizations(self) -> Generator[Json]:
        """Yield the caller's organizations and those on the path from them to the ROOT."""
        return self.list_api("organizations")

    def post_organization(self, body: Json) -> Json:
        """Create an organization and return it."""
        return self._write("POST", "organizations", body)

    def patch_organization(self, id: int, body: Json) -> Json:
        """Change what `body` names and return the organization."""
        return self._write("PATCH", f"organizations/{id}", body)

    def delete_organization(self, id: int) -> None:
        """Delete an organization that holds nothing any more."""
        self._write("DELETE", f"organizations/{id}")

    def get_organization_types(self) -> Json:
        """The types an organization can have, with what they mean."""
        return self._get("organizations/types")

    def list_organization_users(self, id: int) -> Generator[Json]:
        """Yield the people of an organization with their roles."""
        return self.list_api(f"organizations/{id}/users")

    def post_organization_user(self, id: int, jhe_user_id: int, role: str) -> Json:
        """Give a person a role in an organization: viewer, member or manager."""
        body = {"jheUserId": jhe_user_id, "organizationPractitionerRole": role}
        return self._write("POST", f"organizations/{id}/user", body)

    def delete_organization_user(self, id: int, jhe_user_id: int) -> None:
        """Take a person out of an organization."""
        self._write("DELETE", f"organizations/{id}/remove_user", {"jheUserId": jhe_user_id})

    def list_codes(self) -> Generator[Json]:
        """Yield every code known here: `id`, `codingSystem`, `codingCode`, `text`."""
        return self.list_api("data_sources/all_scopes")

    # -- records ----------------------------------------------------------------------------------------------------

    def list_observation_rows(
        self, params: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> Generator[Json]:
        """Yield the rows of `GET observations`, each with its decoded `omhData`, newest first."""
        return self.list_api("observations", params, limit=limit)

    def list_audit(self, params: Mapping[str, Any] | None = None) -> Generator[Json]:
        """Yield audit rows: who did what to whose data, refusals included."""
        return self.list_api("audit", params)

    def get_changes(self, since: int | None = None, wait: float = 0.0) -> Json:
        """What was written after the change numbered `since`, waiting up to `wait` seconds for something new.

        `{changes: [{seq, concept, id}], next}`; ask again with `next`. Without `since`: nothing, and where to start.
        """
        return self._get("changes", {"since": FROM_NOW_ON if since is None else since, "wait": wait})

    def _add(self, path: str, body: Json) -> list[Json]:
        """Add to a list where twice is once; the answer is what was added."""
        added: list[Json] = self.api_request(path, method="POST", json=body, repeatable=True)
        return added
