"""What a notebook holds: the Exchange's verbs, with names accepted where ids are, and its lists as frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from enum import Enum
from html import escape
from typing import TYPE_CHECKING, Any, Final

from .cohort import Plan, plan_import
from .connection import Json
from .invitation import Invitation
from .tables import Tables
from .times import iso_date

if TYPE_CHECKING:
    from .panels import Panel


class _Unchanged(Enum):
    UNCHANGED = "unchanged"


UNCHANGED: Final = _Unchanged.UNCHANGED  # None is a value here: `phone=None` forgets the number


class Exchange(Tables):
    """An Exchange as one person sees it; made by `jhe_jupyter.connect()`.

    Wherever an organization, study, patient, code or data source is asked for, an id, a name (or e-mail) or the
    object itself will do. Every method raises `ExchangeError` and its kin, whose sentence is the server's.

    >>> Exchange("http://127.0.0.1:8888/jhe", "a-secret")
    <Exchange http://127.0.0.1:8888/jhe>
    """

    _me: Json | None = None

    def sign_in(self) -> Exchange:
        """Ask once who we are, so that a wrong address or token is heard now and not in the middle of the work."""
        self._me = self.get_user()
        return self

    # -- patients ---------------------------------------------------------------------------------------------------

    def create_patient(
        self,
        email: str,
        family_name: str,
        given_name: str,
        birth_date: date | str,
        organization: Any,
        phone: str | None = None,
        identifiers: str | Mapping[str, str] | Iterable[Mapping[str, str]] | None = None,
    ) -> Json:
        """Create a patient in an organization and return the record; Conflict where the e-mail is taken.

        `identifiers` is one value (of the organization's own system), `{system: value}` or `[{system, value}, …]`.
        """
        body = {
            "telecomEmail": email,
            "nameFamily": family_name,
            "nameGiven": given_name,
            "birthDate": iso_date(birth_date),
            "organizationId": self.organization_id(organization),
            "telecomPhone": phone,
            **_identifiers(identifiers),
        }
        return self.post_patient({name: value for name, value in body.items() if value is not None})

    def update_patient(
        self,
        patient: Any,
        *,
        family_name: str | _Unchanged = UNCHANGED,
        given_name: str | _Unchanged = UNCHANGED,
        birth_date: date | str | _Unchanged = UNCHANGED,
        phone: str | _Unchanged | None = UNCHANGED,
        email: str | _Unchanged = UNCHANGED,
        identifiers: str | Mapping[str, str] | Iterable[Mapping[str, str]] | _Unchanged | None = UNCHANGED,
    ) -> Json:
        """Change only what is given and return the record; `phone=None` and `identifiers=None` empty them.

        A new e-mail ends the patient's sign-ins and open invitations.
        """
        body: Json = {} if isinstance(identifiers, _Unchanged) else _identifiers(identifiers, emptied=True)
        if not isinstance(birth_date, _Unchanged):
            body["birthDate"] = iso_date(birth_date)
        given = {"nameFamily": family_name, "nameGiven": given_name, "telecomPhone": phone, "telecomEmail": email}
        body |= {name: value for name, value in given.items() if value is not UNCHANGED}
        return self.patch_patient(self.patient_id(patient), body)

    def remove_patient(self, patient: Any, organization: Any) -> None:
        """Take a patient out of an organization, with its studies and consents there; from the last one, altogether.

        `get_removal_preview` says beforehand what goes along.
        """
        self.delete_patient(self.patient_id(patient), self.organization_id(organization))

    def add_patient_to_organization(self, patient: Any, organization: Any) -> Json:
        """Add a patient one sees, or has just found with `lookup_patient(email=…)`, to an organization."""
        found = self.lookup_patient(email=patient) if isinstance(patient, str) and "@" in patient else patient
        return self.patch_patient_organization(self.patient_id(found), self.organization_id(organization))

    def invite(self, patient: Any, client: Any = None, send_email: bool = False) -> Invitation:
        """Issue a link that lets a patient connect an app (`client`, else the default one), and mail it if asked.

        It retires the patient's earlier link. The answer's `.link` is the only time the secret is shown.
        """
        patient_id = self.patient_id(patient)
        client_id = None if client is None else self.client_id(client)
        return Invitation.from_answer(patient_id, self.post_invitation(patient_id, client_id, send_email))

    def plan_import(self, csv_or_frame: Any, organization: Any, study: Any = None) -> Plan:
        """What importing a CSV file or DataFrame of patients would do, row by row; writes nothing until `.apply()`.

        Columns `email, last_name, first_name, dob`, optionally `phone, identifier, study_id`; usual spellings are
        understood. Raises Unreadable for a file that is no such table.
        """
        study_id = None if study is None else self.study_id(study)
        return plan_import(self, csv_or_frame, self.organization_id(organization), study_id)

    # -- studies ----------------------------------------------------------------------------------------------------

    def create_study(self, name: str, description: str, organization: Any, icon_url: str | None = None) -> Json:
        """Create a study in an organization and return it."""
        body = {"name": name, "description": description, "organization": self.organization_id(organization)}
        return self.post_study(body if icon_url is None else {**body, "iconUrl": icon_url})

    def enroll(self, study: Any, patients: Any) -> list[Json]:
        """Enrol one patient or many (a list, a Series, a frame of patients): all or none; twice is no error."""
        answer = self.post_study_patients(self.study_id(study), self.patient_ids(patients))
        return list(answer["studyPatients"])

    def unenroll(self, study: Any, patients: Any) -> None:
        """End the enrolment of one patient or many, and their consents to the study; the data stays."""
        self.delete_study_patients(self.study_id(study), self.patient_ids(patients))

    def set_consents(self, patient: Any, study: Any, answers: Mapping[Any, bool], reason: str | None = None) -> Json:
        """Record on a patient's behalf what they answered: `{code: True | False}`; returns their consents.

        Kept in the ledger with who recorded it and `reason`. Raises TypeError for an answer that is neither.
        """
        odd = [code for code, answer in answers.items() if not isinstance(answer, bool)]
        if odd:
            raise TypeError(f"an answer is True or False, for {odd[0]!r} it is {answers[odd[0]]!r}")
        scopes = [{**_coding(self.code(code)), "consented": answer} for code, answer in answers.items()]
        body: Json = {"studyId": self.study_id(study), "scopeConsents": scopes}
        patient_id = self.patient_id(patient)
        self.post_patient_consents(patient_id, [body if reason is None else {**body, "reason": reason}])
        return self.get_patient_consents(patient_id)

    def withdraw_consents(self, patient: Any, study: Any, reason: str | None = None) -> Json:
        """Record on a patient's behalf a no to everything a study asks for; returns their consents.

        The patient stays enrolled, and nothing is deleted.
        """
        patient_id = self.patient_id(patient)
        self.post_patient_withdrawal(patient_id, self.study_id(study), reason)
        return self.get_patient_consents(patient_id)

    def add_scope_request(self, study: Any, code: Any) -> list[Json]:
        """Let a study ask its patients for a code; twice is no error."""
        return self.post_scope_request(self.study_id(study), self.code(code)["id"])

    def add_data_source(self, study: Any, source: Any) -> list[Json]:
        """Allow a data source in a study; twice is no error."""
        return self.post_study_data_source(self.study_id(study), self.data_source_id(source))

    # -- organizations ----------------------------------------------------------------------------------------------

    def create_organization(self, name: str, type: str, part_of: Any = 0) -> Json:
        """Create an organization below another (0 is the ROOT) and return it; who makes one manages it."""
        return self.post_organization({"name": name, "type": type, "partOf": self.organization_id(part_of)})

    def add_practitioner(self, organization: Any, user: Any, role: str) -> Json:
        """Give a person (id or e-mail) a role in an organization: viewer, member or manager."""
        return self.post_organization_user(self.organization_id(organization), self.user_id(user), role)

    # -- panels -----------------------------------------------------------------------------------------------------

    def console(self, organization: Any = None, study: Any = None) -> Panel:
        """Every panel under one row of tabs, opening where `organization` or `study` says."""
        from .panels import Console  # widgets are loaded when somebody wants to look

        return Console(self, organization, study)

    def patients_panel(self, organization: Any = None, study: Any = None) -> Panel:
        """Patients by mouse: find, add, edit, invite, enrol, consents; `selected_df` is what is ticked."""
        return self._panel("PatientsScreen", organization, study)

    def import_panel(self, organization: Any = None, study: Any = None, source: Any = None) -> Panel:
        """A CSV by mouse: choose, see the plan, apply; `source` is planned at once (a path or a DataFrame)."""
        from .panels import import_panel

        return import_panel(self, organization, study, source)

    def studies_panel(self, organization: Any = None) -> Panel:
        """Studies by mouse: create, edit, what they ask for, how far enrolment and consent have come."""
        return self._panel("StudiesScreen", organization)

    def organizations_panel(self, organization: Any = None) -> Panel:
        """The tree of organizations, their members and roles."""
        return self._panel("OrganizationsScreen", organization)

    def observations_panel(self, organization: Any = None, study: Any = None) -> Panel:
        """Observations by mouse, with payloads and plots; `screen.df` is what was last fetched whole."""
        return self._panel("ObservationsScreen", organization, study)

    def followup_panel(self, organization: Any = None, study: Any = None) -> Panel:
        """Who has not connected, not answered, or stopped uploading."""
        return self._panel("FollowUpScreen", organization, study)

    def review_panel(self) -> Panel:
        """Who read or changed what, for managers."""
        return self._panel("ReviewScreen")

    def _panel(self, screen: str, organization: Any = None, study: Any = None) -> Panel:
        from . import panels

        return panels.Panel(self, (getattr(panels, screen),), organization, study)

    # -- who and where ----------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        me = f" as {self._me['email']}" if self._me else ""
        return f"<Exchange {self.url}{me}>"

    def _repr_html_(self) -> str:
        if self._me is None:
            return f"<p>Exchange at {escape(self.url)}</p>"
        practitioner = self._me.get("practitioner") or {}
        rows = "".join(
            f"<tr><td>{escape(str(one['id']))}</td><td>{escape(one['name'])}</td><td>{escape(_role(one))}</td></tr>"
            for one in practitioner.get("organizations") or []
        )
        table = f"<table><tr><th>id</th><th>organization</th><th>role</th></tr>{rows}</table>" if rows else ""
        superuser = ", superuser" if self._me.get("isSuperuser") else ""
        me = f"<strong>{escape(self._me['email'])}</strong>{superuser}"
        return f"<p>Exchange at {escape(self.url)} as {me}</p>{table}"


def _identifiers(given: Any, *, emptied: bool = False) -> Json:
    """The body's part for identifiers as people give them."""
    if given is None:
        return {"identifiers": []} if emptied else {}
    if isinstance(given, str):
        return {"identifier": given}
    if isinstance(given, Mapping):
        given = [given] if set(given) == {"system", "value"} else [{"system": s, "value": v} for s, v in given.items()]
    return {"identifiers": [dict(one) for one in given]}


def _coding(code: Json) -> Json:
    return {"codingSystem": code["codingSystem"], "codingCode": code["codingCode"]}


def _role(organization: Mapping[str, Any]) -> str:
    return str(organization.get("currentUserRole") or organization.get("role") or "")
