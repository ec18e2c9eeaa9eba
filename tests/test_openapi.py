"""The description of the API held against the API: as a stranger, a patient, a viewer and a manager would meet it.

`JHE_HUNT=10` tries ten times as many examples.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from conftest import MARY, PETER, VICTOR, Exchange
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from jhe_server import api, fhir_api, oauth_api
from jhe_server.api_page import tags
from jhe_server.openapi import document

CALLERS = {"stranger": None, "patient": PETER, "viewer": VICTOR, "manager": MARY}
EXAMPLES = 3 * int(os.environ.get("JHE_HUNT", "1"))
OPERATIONS = [
    (method.upper(), path) for path, operations in document()["paths"].items() for method in operations
]  # fmt: skip
BOUNDED = settings(
    max_examples=EXAMPLES,
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def described(shared_exchange: Exchange) -> Any:
    said = shared_exchange.as_(None).get("openapi.json").json()
    schema = schemathesis.openapi.from_dict(said)
    schema.config.update(base_url=shared_exchange.address)
    # A parameter nobody knows is left alone by contract, and who is asking is not generated but tried one by one.
    schema.config.generation.update(allow_extra_parameters=False, with_security_parameters=False)
    return schema


@pytest.fixture(scope="module")
def callers(shared_exchange: Exchange) -> Iterator[dict[str, requests.Session]]:
    found = {}
    for name, email in CALLERS.items():
        session = found[name] = requests.Session()
        session.trust_env = False
        if email is not None:
            session.headers["Authorization"] = f"Bearer {shared_exchange.token(email)}"
    yield found
    for session in found.values():
        session.close()


@pytest.mark.filterwarnings("default")  # what a generator of bad input makes its own libraries say is not about us
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda one: one)
def test_no_call_answers_what_the_description_does_not_say(
    described: Any, callers: dict[str, requests.Session], method: str, path: str
) -> None:
    operation = described[path][method.lower()]
    good, bad = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @BOUNDED
    @given(case=st.one_of(good, bad), caller=st.sampled_from(sorted(callers)))
    def check(case: Any, caller: str) -> None:
        if isinstance((case.query or {}).get("wait"), int | float):
            case.query["wait"] = min(case.query["wait"], 0)  # nothing new will come
        answer = case.call(session=callers[caller])
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, excluded_checks=[positive_data_acceptance])

    check()


def test_every_call_is_described_and_every_reference_leads_somewhere() -> None:
    said = document()
    served = {f"{root}/{route.path}" for root, routes in [("api/v1", api.ROUTES), ("FHIR/R5", fhir_api.ROUTES),
              ("o", oauth_api.KNOWN)] for route in routes}  # fmt: skip
    assert {path.strip("/") for path in said["paths"]} == {
        one.replace("{token}", "{invitation_id}").rstrip("/") for one in served
    }
    schemas = set(said["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/([\w-]+)", str(said))) <= schemas
    ids = [one["operationId"] for operations in said["paths"].values() for one in operations.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)


def test_the_viewer_shows_every_call_without_scripts_or_the_net(shared_exchange: Exchange) -> None:
    stranger = shared_exchange.as_(None)
    page = stranger.get("openapi")
    assert page.status_code == 200
    assert "script" not in page.text.partition("<main>")[0]
    assert set(re.findall(r'(?:src|href)="(\w+:)', page.text)) == set(), "nothing from elsewhere"
    for _, calls in tags(document()):
        assert all(f"{call['method']} {call['path']}" in page.text for call in calls)
    assert httpx.URL(stranger.get("openapi.json").json()["servers"][0]["url"]).path == "/jhe"
