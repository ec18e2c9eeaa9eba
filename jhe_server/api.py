"""`/api/v1`: path → verb. One row a call; what a row means is in `routes.py`, what its verb does in the concept."""

from __future__ import annotations

from . import (
    audit,
    changes,
    colleagues,
    consents,
    departures,
    devices,
    followup,
    imports,
    invitations,
    oauth_clients,
    observations,
    organizations,
    patients,
    people,
    practitioner_clients,
    profile,
    redemptions,
    studies,
)
from .routes import Route
from .shapes import Listing


def _get(path: str, verb: object, **more: object) -> Route:
    return Route("GET", path, verb, **more)  # type: ignore[arg-type]


def _plain(path: str, verb: object, **more: object) -> Route:
    """A read that touches no patient data: it is not audited."""
    return Route("GET", path, verb, audited=False, **more)  # type: ignore[arg-type]


def _post(path: str, verb: object, body: object, status: int = 201, **more: object) -> Route:
    return Route("POST", path, verb, body=body, status=status, **more)  # type: ignore[arg-type]


def _patch(path: str, verb: object, body: object, **more: object) -> Route:
    return Route("PATCH", path, verb, body=body, **more)  # type: ignore[arg-type]


def _delete(path: str, verb: object, **more: object) -> Route:
    return Route("DELETE", path, verb, status=204, **more)  # type: ignore[arg-type]


_STUDY = "studies/{study_id}"
_PATIENT = "patients/{patient_id}"
_ORGANIZATION = "organizations/{organization_id}"
_SOURCE = "data_sources/{data_source_id}"
_CLIENT = "clients/{oauth_client_id}"
_CHANGED = patients.PatientChange

ROUTES: list[Route] = [
    # patients
    _get("patients", patients.search, query=patients.PatientSearch, table=patients.table),
    _post("patients", patients.create, patients.NewPatient),
    _get("patients/me", patients.me),
    _get("patients/global_lookup", patients.lookup, query=patients.ByEmail),
    _post("patients/import", imports.run, imports.Import, 200, kind="import"),
    _get(_PATIENT, patients.get, query=patients.InOrganization),
    _patch(_PATIENT, patients.update, _CHANGED, query=patients.InOrganization),
    _delete(_PATIENT, departures.remove_patient, query=patients.InOrganization),
    _get(f"{_PATIENT}/removal_preview", departures.preview_patient, query=patients.InOrganization),
    Route("PATCH", f"{_PATIENT}/global_add_organization", patients.add_to_organization, patients.IntoOrganization),
    _get(f"{_PATIENT}/invitation_link", invitations.link, query=invitations.SendEmail, writes=True),
    Route("POST", f"{_PATIENT}/invitation_link", invitations.link, query=invitations.SendEmail),
    _get(f"{_PATIENT}/consolidated_clients", invitations.clients),
    _get(f"{_PATIENT}/consents", consents.of_patient, query=consents.AsOf),
    _post(f"{_PATIENT}/consents", consents.answer, consents.Answers),
    _patch(f"{_PATIENT}/consents", consents.change, consents.Answers),
    _delete(f"{_PATIENT}/consents", consents.clear, body=consents.ToClear),
    _get(f"{_PATIENT}/consents/history", consents.history),
    _post(f"{_PATIENT}/consents/withdraw", consents.withdraw, consents.Withdrawal),
    # invitations and follow-up
    _get("invitation", invitations.search, query=invitations.InvitationSearch),
    _post("invitation", invitations.issue, invitations.NewInvitation),
    _delete("invitation/{invitation_id}", invitations.cancel),
    _post("invitation/redeem", redemptions.redeem_sent, redemptions.ToRedeem, 200, public=True, limit="invitation"),
    _post("invitation/{token}", redemptions.redeem, None, 200, public=True, limit="invitation"),
    _get("followup", followup.search, query=followup.FollowUpSearch),
    # studies
    _plain("studies", studies.search, query=studies.StudySearch),
    _post("studies", studies.create, studies.NewStudy),
    _plain(_STUDY, studies.get),
    _patch(_STUDY, studies.update, studies.StudyChange),
    _delete(_STUDY, departures.remove_study),
    _get(f"{_STUDY}/patients", patients.of_study, query=Listing),
    _post(f"{_STUDY}/patients", studies.enroll, studies.PatientIds),
    _delete(f"{_STUDY}/patients", studies.unenroll, body=studies.PatientIds),
    _get(f"{_STUDY}/consents", consents.of_study, query=consents.ConsentListing, table=consents.table),
    _plain(f"{_STUDY}/scope_requests", studies.codes),
    _post(f"{_STUDY}/scope_requests", studies.request_code, devices.OneCode),
    _delete(f"{_STUDY}/scope_requests", studies.drop_code, body=devices.OneCode),
    _plain(f"{_STUDY}/data_sources", studies.data_sources),
    _post(f"{_STUDY}/data_sources", studies.add_data_source, studies.OneDataSource),
    _delete(f"{_STUDY}/data_sources", studies.remove_data_source, body=studies.OneDataSource),
    _plain(f"{_STUDY}/clients", studies.clients),
    _post(f"{_STUDY}/clients", studies.add_client, studies.OneClient),
    _delete(f"{_STUDY}/clients", studies.remove_client, body=studies.OneClient),
    # observations
    _get("observations", observations.search, query=observations.ObservationSearch, table=observations.table),
    _get("observations/{observation_id}", observations.get),
    _delete("observations/{observation_id}", observations.remove),
    # organizations and people
    _plain("organizations", organizations.search, query=organizations.OrganizationSearch),
    _post("organizations", organizations.create, organizations.NewOrganization),
    _plain("organizations/types", organizations.types),
    _plain(_ORGANIZATION, organizations.get),
    _patch(_ORGANIZATION, organizations.update, organizations.OrganizationChange),
    _delete(_ORGANIZATION, departures.remove_organization),
    _plain(f"{_ORGANIZATION}/tree", organizations.tree),
    _plain(f"{_ORGANIZATION}/users", organizations.users),
    _plain(f"{_ORGANIZATION}/studies", studies.of_organization),
    _post(f"{_ORGANIZATION}/user", organizations.set_role, organizations.RoleOf),
    _delete(f"{_ORGANIZATION}/remove_user", organizations.remove_user, body=organizations.UserOf),
    _post(f"{_ORGANIZATION}/invite", colleagues.invite, colleagues.NewColleague),
    _get("users/profile", profile.get),
    _plain("users", organizations.colleagues, query=people.PeopleSearch),
    _plain("users/search_by_email", people.find, query=people.ByEmail),
    _plain("practitioners", people.practitioners, query=people.PeopleSearch),
    _post("practitioners", people.create_practitioner, people.NewPractitioner),
    _plain("practitioners/{practitioner_id}", people.practitioner),
    _patch("practitioners/{practitioner_id}", colleagues.update_practitioner, people.PractitionerChange),
    _delete("practitioners/{practitioner_id}", departures.remove_practitioner),
    _plain("practitioner_clients", practitioner_clients.search, query=Listing),
    _post("practitioner_clients", practitioner_clients.create, practitioner_clients.NewPractitionerClient),
    _delete("practitioner_clients/{practitioner_client_id}", practitioner_clients.remove),
    # data sources and clients
    _plain("data_sources", devices.search, query=devices.DataSourceSearch),
    _post("data_sources", devices.create, devices.NewDataSource),
    _plain("data_sources/all_scopes", devices.codes),
    _plain(_SOURCE, devices.get),
    _patch(_SOURCE, devices.update, devices.DataSourceChange),
    _delete(_SOURCE, departures.remove_data_source),
    _plain(f"{_SOURCE}/supported_scopes", devices.supported_codes),
    _post(f"{_SOURCE}/supported_scopes", devices.support_code, devices.OneCode),
    _delete(f"{_SOURCE}/supported_scopes", devices.unsupport_code, body=devices.OneCode),
    _plain("clients", oauth_clients.search, query=oauth_clients.ClientSearch),
    _post("clients", oauth_clients.create, oauth_clients.NewClient),
    _plain(_CLIENT, oauth_clients.get),
    _patch(_CLIENT, oauth_clients.update, oauth_clients.ClientChange),
    _delete(_CLIENT, departures.remove_client),
    _plain(f"{_CLIENT}/data_sources", oauth_clients.data_sources),
    _post(f"{_CLIENT}/data_sources", oauth_clients.add_data_source, oauth_clients.ClientDataSource),
    _delete(f"{_CLIENT}/data_sources", oauth_clients.remove_data_source, body=oauth_clients.ClientDataSource),
    # the record of what happened
    _get("audit", audit.search, query=audit.AuditSearch, table=audit.table),
    _plain("changes", changes.feed, query=changes.Since, waits=True),
]
