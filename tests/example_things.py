"""What an example call is made with: ids of the seed, or fresh ones where the call uses them up, and bodies to send."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
from contract_table import THING

from jhe_server.fhir import attachment

LAB, OTHER_LAB = 20003, 20007
OMH = "https://w3id.org/openmhealth"
Made = Callable[["Things"], Any]


class Things:
    """The ids a call is made with. `fresh` ones are made by a superuser for this call alone."""

    numbers = count(1)
    standing = {
        "patient_id": 40001, "study_id": 30001, "organization_id": LAB, "data_source_id": 70001, "oauth_client_id": 1,
        "practitioner_id": 80003, "invitation_id": 1, "observation_id": 0, "colleague_id": 0,
        "practitioner_client_id": 0, "token": "",
    }  # fmt: skip

    def __init__(self, superuser: httpx.Client, fresh: tuple[str, ...] = (), **instead: int) -> None:
        self.superuser = superuser
        self.ids = self.standing | {name: getattr(self, f"new_{name}")() for name in fresh} | instead

    def __getitem__(self, name: str) -> Any:
        return self.ids[name]

    @property
    def number(self) -> int:
        return next(self.numbers)

    def post(self, path: str, **body: Any) -> Any:
        answer = self.superuser.post(f"api/v1/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def new_patient_id(self, organization: int = LAB) -> int:
        return int(self.post("patients", **patient(self.number), organizationId=organization)["id"])

    def new_foreign_patient_id(self) -> int:
        return self.new_patient_id(OTHER_LAB)

    def new_study_id(self) -> int:
        study = int(self.post("studies", name=f"Study {self.number}", description="", organization=LAB)["id"])
        self.post(f"studies/{study}/patients", patientIds=[40001])
        self.post(f"studies/{study}/scope_requests", scopeCodeId=50002)
        self.post(f"studies/{study}/data_sources", dataSourceId=70001)
        self.post(f"studies/{study}/clients", clientId=1)
        return study

    def new_organization_id(self) -> int:
        return int(self.post("organizations", name=f"Team {self.number}", type="team", partOf=LAB)["id"])

    def new_colleague_id(self) -> int:
        user = int(self.post("practitioners", **practitioner(self.number))["jheUserId"])
        self.post(f"organizations/{LAB}/user", jheUserId=user, organizationPractitionerRole="viewer")
        return user

    def new_practitioner_id(self) -> int:
        return int(self.post("practitioners", **practitioner(self.number))["id"])

    def new_data_source_id(self) -> int:
        source = int(self.post("data_sources", name=f"Source {self.number}", type="personal_device")["id"])
        self.post(f"data_sources/{source}/supported_scopes", scopeCodeId=50002)
        return source

    def new_oauth_client_id(self) -> int:
        client = int(self.post("clients", name=f"App {self.number}")["id"])
        self.post(f"clients/{client}/data_sources", dataSourceId=70001)
        return client

    def new_invitation_id(self) -> int:
        return int(self.post("invitation", patientId=self.new_patient_id(), clientId=1)["id"])

    def new_token(self) -> str:
        """The secret of an invitation that nobody has redeemed."""
        return str(self.post("invitation", patientId=self.new_patient_id(), clientId=1)["invitationLink"][-32:])

    def new_observation_id(self) -> int:
        answer = self.superuser.post("FHIR/R5/Observation", json=observation(40001))
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])


@dataclass(frozen=True)
class Example:
    """`may` is a capability of the contract's table; `fresh` names the ids that the call uses up.

    `answer` is the status of success where the route does not say it, `hidden` that of a thing from elsewhere.
    """

    route: str
    may: str
    about: str = THING
    query: dict[str, Any] | Made | None = None
    body: dict[str, Any] | Made | None = None
    form: dict[str, Any] | Made | None = None
    fresh: tuple[str, ...] = ()
    before: Callable[[httpx.Client, Things], Any] | None = None
    answer: int = 0
    hidden: int = 404
    says: str = ""

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]

    @property
    def name(self) -> str:
        return self.route + (f" ({self.says})" if self.says else "")

    def send(self, client: httpx.Client, things: Things) -> httpx.Response:
        query, body, form = (made(things) if callable(made) else made for made in (self.query, self.body, self.form))
        content = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        path = f"{self.root}/{self.path.format_map(things)}".rstrip("/")
        return client.request(self.method, path, params=query, content=content, data=form, headers=headers)

    @property
    def root(self) -> str:
        return "FHIR/R5" if self.is_fhir else "o" if self.path == "userinfo" else "api/v1"

    @property
    def says_why(self) -> str:
        return "error_description" if self.root == "o" else "detail"

    @property
    def is_fhir(self) -> bool:
        return not self.path or self.path[0].isupper()


def patient(number: int) -> dict[str, str]:
    email = f"matrix-{number}@example.org"
    return {"telecomEmail": email, "nameFamily": "Doe", "nameGiven": "Jo", "birthDate": "1980-01-31"}


def practitioner(number: int) -> dict[str, str]:
    return {"email": f"colleague-{number}@example.org", "firstName": "Col", "lastName": "League"}


def observation(patient_id: int) -> dict[str, Any]:
    """A blood pressure, as FHIR."""
    measured = "2026-01-05T08:30:00Z"
    values = {"systolic_blood_pressure": 121, "diastolic_blood_pressure": 79}
    point = {
        "header": {
            "uuid": "8d8bcd45-1f04-4a5c-9b4e-0d2c7a7d0c11",
            "schema_id": {"namespace": "omh", "name": "blood-pressure", "version": "4.0"},
            "source_creation_date_time": measured,
            "modality": "sensed",
        },
        "body": {name: {"value": value, "unit": "mmHg"} for name, value in values.items()}
        | {"effective_time_frame": {"date_time": measured}},
    }
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": OMH, "code": "omh:blood-pressure:4.0"}]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "device": {"reference": "Device/70001"},
        "valueAttachment": attachment(point),
    }


def bundle(patient_id: int, kind: str = "transaction") -> dict[str, Any]:
    entry = {"resource": observation(patient_id), "request": {"method": "POST", "url": "Observation"}}
    return {"resourceType": "Bundle", "type": kind, "entry": [entry]}


def answers(study_id: int = 30002, **consented: bool) -> dict[str, Any]:
    code = {"codingSystem": OMH, "codingCode": "omh:blood-pressure:4.0", **consented}
    return {"studyScopeConsents": [{"studyId": study_id, "scopeConsents": [code]}]}


def row(number: int) -> dict[str, str]:
    return {"email": f"row-{number}@example.org", "last_name": "Row", "first_name": "A", "dob": "1980-01-31"}
