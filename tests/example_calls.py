"""One example call for every route, all of them about the lab (organization 20003): what the role matrix walks.

A route without an example fails `test_access.py`, so a new one cannot escape it.
"""

from __future__ import annotations

from typing import Any

import httpx
from contract_table import ALL, ANYBODY, INTO, LIST, SHARED, THING
from example_things import LAB, Example, Made, Things, answers, bundle, observation, patient, practitioner, row


def _look_up(caller: httpx.Client, things: Things) -> None:
    """A patient of another organization may be added by whoever has found them by e-mail."""
    email = things.superuser.get(f"api/v1/patients/{things['foreign_patient_id']}").json()["telecomEmail"]
    things.ids["patient_id"] = things["foreign_patient_id"]
    caller.get("api/v1/patients/global_lookup", params={"email": email}).raise_for_status()


def _make_a_key(caller: httpx.Client, things: Things) -> None:
    """A key is its maker's alone."""
    made = caller.post("api/v1/practitioner_clients", json={"name": "To be deleted"})
    things.ids["practitioner_client_id"] = made.raise_for_status().json()["id"]


IN_LAB = {"organization_id": LAB}
ONE_CODE, ONE_SOURCE, ONE_CLIENT = {"scope_code_id": 50002}, {"data_source_id": 70001}, {"client_id": 1}
KEEP = {"dataAfterWithdrawal": "keep"}
RECORD, ORGANIZATION, DATA = "read a patient", "read an organization", "read observations"
PATIENTS, STUDIES, CONSENT, UPLOAD = "write patients", "write studies", "set consent", "upload"
MANAGE, RUN, SOURCES, CLIENTS = "manage the organization", "run the exchange", "see data sources", "see clients"


def _new_study(things: Things) -> dict[str, Any]:
    return {"name": f"Study {things.number}", "description": "", "organization": LAB}


def _new_part(of: int) -> Made:
    return lambda things: {"name": f"Part {things.number}", "type": "team", "partOf": of}


PATIENT_CALLS = [
    Example("GET patients", ORGANIZATION, LIST, query=IN_LAB),
    Example("POST patients", PATIENTS, INTO, body=lambda t: patient(t.number) | {"organizationId": LAB}),
    Example("GET patients/me", "see the own record", ALL),
    Example("GET patients/global_lookup", PATIENTS, ALL, query={"email": "npl_patient_percy@example.com"}),
    Example("POST patients/import", PATIENTS, INTO, body=lambda t: {"organizationId": LAB, "rows": [row(t.number)]}),
    Example("GET patients/{patient_id}", RECORD),
    Example("PATCH patients/{patient_id}", PATIENTS, body=lambda t: {"telecomPhone": f"555-{t.number}"}),
    Example("DELETE patients/{patient_id}", PATIENTS, fresh=("patient_id",)),
    Example("DELETE patients/{patient_id}", PATIENTS, INTO, IN_LAB, fresh=("patient_id",), says="from an organization"),
    Example("GET patients/{patient_id}/removal_preview", PATIENTS),
    Example("PATCH patients/{patient_id}/global_add_organization", PATIENTS, INTO, IN_LAB,
            fresh=("foreign_patient_id",), before=_look_up),
    Example("GET patients/{patient_id}/invitation_link", PATIENTS),
    Example("POST patients/{patient_id}/invitation_link", PATIENTS),
    Example("GET patients/{patient_id}/consolidated_clients", RECORD),
    Example("GET patients/{patient_id}/consents", RECORD),
    Example("POST patients/{patient_id}/consents", CONSENT, body=answers(consented=True)),
    Example("PATCH patients/{patient_id}/consents", CONSENT, body=answers(consented=False)),
    Example("DELETE patients/{patient_id}/consents", CONSENT, body=answers()),
    Example("GET patients/{patient_id}/consents/history", RECORD),
    Example("POST patients/{patient_id}/consents/withdraw", CONSENT, body={"studyId": 30002}),
    Example("GET invitation", PATIENTS, LIST, query={"patient_id": 40001}),
    Example("POST invitation", PATIENTS, body=lambda t: {"patientId": t["patient_id"], "clientId": 2}),
    Example("DELETE invitation/{invitation_id}", PATIENTS, fresh=("invitation_id",)),
    Example("POST invitation/redeem", "redeem an invitation", ANYBODY, body=lambda t: {"token": t["token"]},
            fresh=("token",)),
    Example("POST invitation/{token}", "redeem an invitation", ANYBODY, fresh=("token",)),
    Example("GET followup", ORGANIZATION, LIST, query={"study_id": 30001}),
    Example("GET observations", DATA, LIST, query={"patient_id": 40001}),
    Example("GET observations/{observation_id}", DATA),
    Example("DELETE observations/{observation_id}", MANAGE, fresh=("observation_id",)),
    Example("POST Observation", UPLOAD, body=lambda t: observation(t["patient_id"]), answer=201, hidden=400),
    Example("POST ", UPLOAD, body=lambda t: bundle(t["patient_id"]), hidden=400, says="a transaction"),
]  # fmt: skip

STUDY = "studies/{study_id}"
STUDY_CALLS = [
    Example("GET studies", ORGANIZATION, LIST, query=IN_LAB),
    Example("POST studies", STUDIES, INTO, body=_new_study),
    Example("POST studies", MANAGE, INTO, body=lambda t: _new_study(t) | KEEP, says="with a policy"),
    Example(f"GET {STUDY}", ORGANIZATION),
    Example(f"PATCH {STUDY}", STUDIES, body=lambda t: {"contact": f"desk {t.number}"}),
    Example(f"PATCH {STUDY}", MANAGE, body=KEEP, fresh=("study_id",), says="its policy"),
    Example(f"DELETE {STUDY}", STUDIES, fresh=("study_id",)),
    Example(f"GET {STUDY}/patients", ORGANIZATION),
    Example(f"POST {STUDY}/patients", STUDIES, body={"patient_ids": [40001]}),
    Example(f"DELETE {STUDY}/patients", STUDIES, body={"patient_ids": [40001]}, fresh=("study_id",)),
    Example(f"GET {STUDY}/consents", ORGANIZATION),
    Example(f"GET {STUDY}/scope_requests", ORGANIZATION),
    Example(f"POST {STUDY}/scope_requests", STUDIES, body=ONE_CODE),
    Example(f"DELETE {STUDY}/scope_requests", STUDIES, body=ONE_CODE, fresh=("study_id",)),
    Example(f"GET {STUDY}/data_sources", ORGANIZATION),
    Example(f"POST {STUDY}/data_sources", STUDIES, body=ONE_SOURCE),
    Example(f"DELETE {STUDY}/data_sources", STUDIES, body=ONE_SOURCE, fresh=("study_id",)),
    Example(f"GET {STUDY}/clients", ORGANIZATION),
    Example(f"POST {STUDY}/clients", STUDIES, body=ONE_CLIENT),
    Example(f"DELETE {STUDY}/clients", STUDIES, body=ONE_CLIENT, fresh=("study_id",)),
]

HOME = "organizations/{organization_id}"
ACCOUNT = "practitioners/{practitioner_id}"
PEOPLE_CALLS = [
    Example("GET organizations", "see own organizations", ALL),
    Example("POST organizations", MANAGE, INTO, body=_new_part(of=LAB)),
    Example("POST organizations", RUN, INTO, body=_new_part(of=0), says="at the top"),
    Example("GET organizations/types", "see own organizations", ALL),
    Example(f"GET {HOME}", ORGANIZATION),
    Example(f"PATCH {HOME}", MANAGE, body=lambda t: {"name": f"Lab {t.number}"}),
    Example(f"DELETE {HOME}", MANAGE, fresh=("organization_id",)),
    Example(f"GET {HOME}/tree", ORGANIZATION),
    Example(f"GET {HOME}/users", ORGANIZATION),
    Example(f"GET {HOME}/studies", ORGANIZATION),
    Example(f"POST {HOME}/user", MANAGE, fresh=("colleague_id",),
            body=lambda t: {"jheUserId": t["colleague_id"], "organizationPractitionerRole": "member"}),
    Example(f"DELETE {HOME}/remove_user", MANAGE, body=lambda t: {"jheUserId": t["colleague_id"]},
            fresh=("colleague_id",)),
    Example(f"POST {HOME}/invite", MANAGE,
            body=lambda t: practitioner(t.number) | {"organizationPractitionerRole": "viewer"}),
    Example("GET users/profile", "see the own profile", ALL),
    Example("GET users", ORGANIZATION, LIST, query=IN_LAB),
    Example("GET users/search_by_email", MANAGE, ALL, query={"email": "manager_mary@example.com"}),
    Example("GET practitioners", RUN, ALL),
    Example("POST practitioners", RUN, ALL, body=lambda t: practitioner(t.number)),
    Example(f"GET {ACCOUNT}", RUN, ALL),
    Example(f"PATCH {ACCOUNT}", RUN, ALL, body=lambda t: {"lastName": f"Name {t.number}"}),
    Example(f"DELETE {ACCOUNT}", RUN, ALL, fresh=("practitioner_id",)),
    Example("GET practitioner_clients", "keep own keys", ALL),
    Example("POST practitioner_clients", "keep own keys", ALL, body=lambda t: {"name": f"Key {t.number}"}),
    Example("DELETE practitioner_clients/{practitioner_client_id}", "keep own keys", ALL, before=_make_a_key),
    Example("GET userinfo", "see the own profile", ALL),
    Example("GET audit", MANAGE, LIST, query=IN_LAB),
    Example("GET changes", "see the own profile", ALL),
]  # fmt: skip

SOURCE, APP = "data_sources/{data_source_id}", "clients/{oauth_client_id}"
DEVICE_CALLS = [
    Example("GET data_sources", SOURCES, ALL),
    Example("POST data_sources", RUN, ALL, body=lambda t: {"name": f"Source {t.number}", "type": "personal_device"}),
    Example("GET data_sources/all_scopes", SOURCES, ALL),
    Example(f"GET {SOURCE}", SOURCES, ALL),
    Example(f"PATCH {SOURCE}", RUN, ALL, body=lambda t: {"name": f"Source {t.number}"}),
    Example(f"DELETE {SOURCE}", RUN, ALL, fresh=("data_source_id",)),
    Example(f"GET {SOURCE}/supported_scopes", SOURCES, ALL),
    Example(f"POST {SOURCE}/supported_scopes", RUN, ALL, body=ONE_CODE),
    Example(f"DELETE {SOURCE}/supported_scopes", RUN, ALL, body=ONE_CODE, fresh=("data_source_id",)),
    Example("GET clients", CLIENTS, ALL),
    Example("POST clients", RUN, ALL, body=lambda t: {"name": f"App {t.number}"}),
    Example(f"GET {APP}", CLIENTS, ALL),
    Example(f"PATCH {APP}", RUN, ALL, body=lambda t: {"redirectUris": [f"https://app.example.org/{t.number}"]}),
    Example(f"DELETE {APP}", RUN, ALL, fresh=("oauth_client_id",)),
    Example(f"GET {APP}/data_sources", CLIENTS, ALL),
    Example(f"POST {APP}/data_sources", RUN, ALL, body=ONE_SOURCE),
    Example(f"DELETE {APP}/data_sources", RUN, ALL, body=ONE_SOURCE, fresh=("oauth_client_id",)),
]


def _fhir(
    kind: str, may: str, search: str, id: str, asked: Made, about: str = LIST, one: str = THING, **more: Any
) -> list[Example]:
    """A type searched both ways, and read; `search` and `may` are what one needs for it."""
    return [
        Example(f"GET {kind}", search, about, query=asked, **more),
        Example(f"POST {kind}/_search", search, about, form=asked, **more),
        Example(f"GET {kind}/{{{id}}}", may, one),
    ]


WHERE, PLACES = "read where one is", "search organizations"
FHIR_CALLS = [
    *_fhir("Patient", RECORD, RECORD, "patient_id", lambda t: {"identifier": "urn:oid:1.2.3.4|E1234"}),
    *_fhir("Observation", DATA, DATA, "observation_id", lambda t: {"patient": 40001}),
    *_fhir("Group", WHERE, WHERE, "study_id", lambda t: {"_id": t["study_id"]}, one=SHARED, fresh=("study_id",)),
    *_fhir("Device", SOURCES, SOURCES, "data_source_id", lambda t: {}, ALL, ALL),
    *_fhir("Organization", WHERE, PLACES, "organization_id", lambda t: {"_id": LAB}, ALL, SHARED),
    *_fhir("Practitioner", ORGANIZATION, WHERE, "practitioner_id", lambda t: {"_id": t["practitioner_id"]}),
]
EXAMPLES = [*PATIENT_CALLS, *STUDY_CALLS, *PEOPLE_CALLS, *DEVICE_CALLS, *FHIR_CALLS]
