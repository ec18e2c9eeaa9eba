"""FHIR searches on the wire: forms, aliases, links, strictness, and every resource of the seed and the demo as R5."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ADMIN, MARK, MARY, PETER, TOM, Clinic, Exchange
from fhir.resources import get_fhir_model_class
from fhir.resources.capabilitystatement import CapabilityStatement
from fhir.resources.operationoutcome import OperationOutcome
from indoors import ask

from jhe_server.fhir_api import FHIR_JSON, READABLE

KINDS = [one.searchable.kind for one in READABLE]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
STRICT = {"Prefer": "return=representation; handling=strict"}


@pytest.fixture(scope="module")
def mary(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(MARY)


def found(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == FHIR_JSON
    said: dict[str, Any] = answer.json()
    get_fhir_model_class("Bundle").model_validate(said)
    return said


def links(said: dict[str, Any]) -> dict[str, str]:
    return {one["relation"]: one["url"] for one in said["link"]}


def ids(said: dict[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in said["entry"]]


def refused(answer: httpx.Response, status: int) -> OperationOutcome:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == FHIR_JSON
    return OperationOutcome.model_validate(answer.json())


# ------------------------------------------------------------------ forms
def test_a_search_may_come_as_a_form(mary: httpx.Client) -> None:
    said = found(mary.post("FHIR/R5/Patient/_search", data={"identifier": "urn:oid:1.2.3.4|E1234", "_count": "5"}))
    assert ids(said) == ["40001"]
    assert found(mary.get(links(said)["self"])) == said, "the link asks the same by GET"
    both = mary.post("FHIR/R5/Patient/_search?_count=1", content=b"family=P%C3%A9,P&_sort=family", headers=FORM)
    assert (ids(found(both)), both.json()["total"]) == (["40002"], 2), "address and form together"
    assert found(mary.get(links(both.json())["next"]))["entry"][0]["resource"]["id"] == "40001"
    assert len(ids(found(mary.post("FHIR/R5/Patient/_search")))) == 2, "an empty form asks for everything"


def test_a_form_is_read_by_searches_only(mary: httpx.Client) -> None:
    assert mary.get("FHIR/R5/Patient/_search").headers["Allow"] == "POST"
    refused(mary.post("FHIR/R5/Patient/_search", json={"family": "P"}), 415)
    refused(mary.post("FHIR/R5/Observation", content=b"resourceType=Observation", headers=FORM), 415)
    refused(mary.post("FHIR/R5/Patient", data={"family": "P"}), 405)
    refused(mary.post("FHIR/R5/Patient/_search", content=b"family=\xff", headers=FORM), 400)
    refused(mary.post("FHIR/R5/Patient/_search", content=b"family=%ff", headers=FORM), 400)
    refused(mary.post("FHIR/R5/Patient/_search", content=b"x" * (2**20 + 1), headers=FORM), 413)


def test_a_form_is_audited_as_the_search_it_is(shared_exchange: Exchange, mary: httpx.Client) -> None:
    found(mary.post("FHIR/R5/Patient/_search", data={"_id": "40001"}))
    [row, *_] = shared_exchange.as_(ADMIN).get("api/v1/audit?ordering=-seq&limit=1").json()["results"]
    assert (row["verb"], row["patientId"], row["count"]) == ("patients.fhir_search", 40001, 1)


# ------------------------------------------------------------------ addresses
@pytest.mark.parametrize("path", ["FHIR/R5/Patient", "fhir/r5/Patient/", "fhir/Patient", "fhir/Patient/_search"])
def test_links_keep_the_address_the_caller_used(shared_exchange: Exchange, mary: httpx.Client, path: str) -> None:
    query = {"_count": "1", "name": "P"}
    said = found(mary.post(path, data=query) if path.endswith("_search") else mary.get(path, params=query))
    root = f"{shared_exchange.address}/{path.partition('/Patient')[0]}"
    assert links(said) == {
        "self": f"{root}/Patient?_count=1&name=P",
        "next": f"{root}/Patient?_count=1&name=P&_page=2",
    }
    [entry] = said["entry"]
    assert entry["fullUrl"] == f"{root}/Patient/{entry['resource']['id']}"
    assert mary.get(entry["fullUrl"]).json() == entry["resource"]
    last = found(mary.get(links(said)["next"]))
    assert links(last)["previous"] == f"{root}/Patient?_count=1&name=P&_page=1"
    assert "next" not in links(last)


def test_what_was_left_out_is_missing_from_the_self_link(mary: httpx.Client) -> None:
    said = found(mary.get("FHIR/R5/Patient?nonsense=1&family=Park&_sort=shoe-size"))
    assert (ids(said), links(said)["self"].partition("?")[2]) == (["40002"], "family=Park")


@pytest.mark.parametrize("query", ["nonsense=1", "_sort=shoe-size", "_summary=text", "Family=Park"])
def test_a_strict_caller_is_refused_what_would_be_left_out(mary: httpx.Client, query: str) -> None:
    assert refused(mary.get(f"FHIR/R5/Patient?{query}", headers=STRICT), 400).issue[0].expression == [
        query.partition("=")[0]
    ]
    found(mary.get(f"FHIR/R5/Patient?{query}"))
    found(mary.get("FHIR/R5/Patient?family=Park", headers=STRICT))


@pytest.mark.parametrize(
    ("query", "status"),
    [("family:exact=Park", 400), ("birthdate=soon", 400), ("_lastUpdated=0001-01-01T00:00:00%2B14:00", 400),
     ("birthdate=9999-12-31", 200), ("_id=" + "1," * 600, 400), ("_page=99", 404), ("_page=99&_summary=count", 200),
     ("_format=xml", 406), ("_format=json", 200), ("_count=0", 200), ("family=" + "%25" * 50, 200),
     ("%00=1", 400), ("_has:Group:member:_id=99999999999999999999", 200)],
)  # fmt: skip
def test_a_search_is_answered_or_refused_never_failed(mary: httpx.Client, query: str, status: int) -> None:
    answer = mary.get(f"FHIR/R5/Patient?{query}")
    assert found(answer)["resourceType"] == "Bundle" if status == 200 else refused(answer, status)


# ------------------------------------------------------------------ everything there is, as R5
def everything(exchange: Exchange, email: str, kind: str) -> Iterator[dict[str, Any]]:
    client, url = exchange.as_(email), f"FHIR/R5/{kind}?_count=1000"
    while url:
        said = found(client.get(url))
        yield from (entry["resource"] for entry in said["entry"])
        url = links(said).get("next", "")


@pytest.mark.parametrize("email", [ADMIN, TOM, MARK, PETER])
@pytest.mark.parametrize("kind", KINDS)
def test_every_resource_of_the_seed_is_r5(shared_exchange: Exchange, kind: str, email: str) -> None:
    resources = list(everything(shared_exchange, email, kind))
    for resource in resources:
        get_fhir_model_class(kind).model_validate(resource)
        assert resource["meta"]["source"] == "https://jupyterhealth.org/jhe"
        assert resource["meta"]["lastUpdated"].endswith("Z")
    assert resources or (email, kind) == (PETER, "Practitioner")


@pytest.fixture(scope="module")
def demo_clinic(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """The demo's store, without a server."""
    folder = tmp_path_factory.mktemp("demo-clinic")
    shutil.copytree(demo_folder / "data", folder / "data")
    clinic = Clinic(f"sqlite:///{folder / 'data' / 'exchange.sqlite'}", folder)
    yield clinic
    clinic.close()


def searched(clinic: Clinic, path: str) -> list[dict[str, Any]]:
    said = json.loads(ask(clinic, ADMIN, "GET", path, media_type=FHIR_JSON).body or b"")
    return [entry["resource"] for entry in said["entry"]]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"Observation"}))
def test_every_person_and_study_of_the_demo_is_r5(demo_clinic: Clinic, kind: str) -> None:
    resources = searched(demo_clinic, f"{kind}?_count=1000")
    assert len({resource["id"] for resource in resources}) == len(resources) > 4
    for resource in resources:
        get_fhir_model_class(kind).model_validate(resource)


@pytest.mark.parametrize("code", ["blood-glucose:4.0", "blood-pressure:4.0", "heart-rate:2.0", "step-count:3.0"])
def test_a_page_of_the_demos_observations_of_each_code_is_r5(demo_clinic: Clinic, code: str) -> None:
    resources = searched(demo_clinic, f"Observation?code=omh:{code}&_count=200")
    assert len(resources) == 200
    for resource in resources:
        get_fhir_model_class("Observation").model_validate(resource)


def test_the_capability_statement_says_what_each_type_can_be_searched_by(shared_exchange: Exchange) -> None:
    said = CapabilityStatement.model_validate(shared_exchange.as_(None).get("FHIR/R5/metadata").json())
    served = {one.type: one for one in said.rest[0].resource}
    assert list(served) == ["Patient", "Observation", "Group", "Device", "Organization", "Practitioner"]
    for kind, one in served.items():
        create = ["create"] if kind == "Observation" else []
        assert [found.code for found in one.interaction] == ["search-type", "read", *create]
        types = {found.name: found.type for found in one.searchParam}
        assert types["_id"] == "token"
        assert types["_lastUpdated"] == "date"
        assert types["_source"] == "uri"
    patient = {found.name: found.type for found in served["Patient"].searchParam}
    expected = {"family": "string", "birthdate": "date", "identifier": "token", "organization": "reference"}
    assert expected.items() <= patient.items()
