"""The wire: statuses and the one error shape, spellings, paging with links that can be followed, and media types."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from conftest import ADMIN, MARY, MEGAN, PETER, TOM, VICTOR, Exchange
from refusals import refused

PEOPLE = 45
ALL = {"organization_id": 20001}


@pytest.fixture(scope="module")
def clinic_exchange(shared_exchange: Exchange) -> Exchange:
    """With 45 patients in an organization of Mary's that had none."""
    rows = [
        {
            "email": f"p{i:02}@example.org",
            "last_name": f"Family{i % 7}",
            "first_name": f"Given{i}",
            "dob": f"1980-01-{i % 28 + 1:02}",
        }
        for i in range(PEOPLE)
    ]
    body = {"organizationId": 20001, "rows": rows}
    assert shared_exchange.as_(MARY).post("api/v1/patients/import", json=body).json()["summary"] == {"create": PEOPLE}
    return shared_exchange


@pytest.fixture(scope="module")
def mary(clinic_exchange: Exchange) -> httpx.Client:
    return clinic_exchange.as_(MARY)


@pytest.fixture(scope="module")
def stranger(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(None)


# ------------------------------------------------------------------ strangers
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "PUT"])
@pytest.mark.parametrize(
    "path", ["api/v1/patients", "api/v1/patients/40001", "api/v1/nothing", "nothing", "FHIR/R5/Observation", "FHIR/R5"]
)
def test_a_stranger_hears_401_whatever_they_ask(stranger: httpx.Client, method: str, path: str) -> None:
    answer = stranger.request(method, path)
    refused(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"\xff", b"x" * (3 * 2**20)])
@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
def test_a_stranger_hears_401_before_their_body_is_read(stranger: httpx.Client, body: bytes, media_type: str) -> None:
    answer = stranger.post("api/v1/patients", content=body, headers={"Content-Type": media_type})
    assert refused(answer, 401) == {"detail": "Authentication credentials were not provided."}


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer jhe_",
        "Bearer jhe_nothing",
        "Bearer x",
        "Basic YTpi",
        "token x",
        "jhe_x",
        "Bearer jhe_" + "x" * 5000,
    ],
)
def test_a_bad_credential_is_a_stranger(stranger: httpx.Client, authorization: str) -> None:
    refused(stranger.get("api/v1/patients", headers={"Authorization": authorization}), 401)


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_in_the_address_is_refused_even_where_it_is_right(
    shared_exchange: Exchange, mary: httpx.Client, name: str
) -> None:
    token = shared_exchange.token(MARY)
    for client in (mary, shared_exchange.as_(None)):
        refused(client.get("api/v1/patients", params={name: token}), 400)
        refused(client.post("api/v1/patients", params={name: token}, json={}), 400)


@pytest.mark.parametrize("path", ["health", "health/", "", "FHIR/R5/metadata", "fhir/r5/metadata/", "fhir/metadata"])
def test_what_is_public_answers_a_stranger(stranger: httpx.Client, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


# ------------------------------------------------------------------ statuses
def test_what_a_role_does_not_allow_is_403(shared_exchange: Exchange) -> None:
    body = {"name": "x", "description": "", "organization": 20003}
    answer = shared_exchange.as_(VICTOR).post("api/v1/studies", json=body)
    assert refused(answer, 403) == {"detail": "You do not have permission to perform this action."}


def test_the_body_is_read_only_where_the_role_allows_the_call(shared_exchange: Exchange) -> None:
    refused(
        shared_exchange.as_(VICTOR).post("api/v1/patients", content=b"{", headers={"Content-Type": "application/json"}),
        403,
    )


@pytest.mark.parametrize(
    "path", ["patients/{}", "studies/{}", "organizations/{}", "observations/{}", "patients/{}/consents"]
)
def test_what_cannot_be_seen_is_answered_like_what_does_not_exist(shared_exchange: Exchange, path: str) -> None:
    hidden = {"patients": 40003, "studies": 30004, "organizations": 20008, "observations": 60006}[
        path.partition("/")[0]
    ]
    megan = shared_exchange.as_(MEGAN)
    answers = [megan.get(f"api/v1/{path.format(id)}") for id in (hidden, 99999, 2**63 - 1, 10**30)]
    for answer in answers:
        assert refused(answer, 404) == {"detail": "Not found."}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "patients", "GET, POST"),
        ("DELETE", "patients", "GET, POST"),
        ("POST", "patients/40001", "DELETE, GET, PATCH"),
        ("POST", "patients/me", "GET"),
        ("GET", "patients/import", "POST"),
        ("GET", "patients/40001/global_add_organization", "PATCH"),
        ("HEAD", "audit", "GET"),
        ("PATCH", "audit", "GET"),
    ],
)
def test_another_method_is_405_and_says_which_are_served(
    mary: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = mary.request(method, f"api/v1/{path}")
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    if method != "HEAD":
        refused(answer, 405)


def test_options_says_what_a_path_serves_to_anybody(stranger: httpx.Client) -> None:
    answer = stranger.options("api/v1/patients/40001")
    assert (answer.status_code, answer.headers["Allow"]) == (204, "DELETE, GET, PATCH, OPTIONS")


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml", "application/json;q=0", "image/*", "application/fhir+json"]
)
def test_a_media_type_that_cannot_be_produced_is_406(mary: httpx.Client, accept: str) -> None:
    refused(mary.get("api/v1/studies", headers={"Accept": accept}), 406)


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "text/html, */*;q=0.1", "APPLICATION/JSON", "application/json; charset=utf-8"]
)
def test_json_is_found_among_what_is_accepted(mary: httpx.Client, accept: str) -> None:
    answer = mary.get("api/v1/studies", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")


def test_arrow_is_produced_only_where_it_is_offered(mary: httpx.Client) -> None:
    accept = {"Accept": "application/vnd.apache.arrow.stream"}
    refused(mary.get("api/v1/studies", headers=accept), 406)
    assert mary.get("api/v1/patients", headers=accept).headers["Content-Type"] == accept["Accept"]


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 2**16):
        yield b"x" * 2**16


@pytest.mark.parametrize("mebibytes", [2, 12])
def test_a_body_over_the_limit_is_413_whether_or_not_its_length_is_said(mary: httpx.Client, mebibytes: int) -> None:
    json_type = {"Content-Type": "application/json"}
    said = refused(mary.post("api/v1/studies", content=b"x" * mebibytes * 2**20, headers=json_type), 413)
    chunked = mary.post("api/v1/studies", content=chunks(mebibytes * 2**20), headers=json_type)
    assert refused(chunked, 413) == said == {"detail": "The body is larger than 1 MiB."}
    assert mary.get("api/v1/patients/40001").status_code == 200


def test_an_import_may_be_larger_and_has_its_own_limit(mary: httpx.Client) -> None:
    json_type = {"Content-Type": "application/json"}
    refused(mary.post("api/v1/patients/import", content=b"x" * 2 * 2**20, headers=json_type), 400)
    said = refused(mary.post("api/v1/patients/import", content=chunks(11 * 2**20), headers=json_type), 413)
    assert said == {"detail": "The body is larger than 10 MiB."}


def test_every_answer_tells_browsers_to_keep_and_guess_nothing(mary: httpx.Client, stranger: httpx.Client) -> None:
    for answer in (mary.get("api/v1/patients"), mary.get("api/v1/nothing"), stranger.get("api/v1/patients")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers


# ------------------------------------------------------------------ spellings
@pytest.mark.parametrize(
    "path",
    ["patients", "patients/40001", "patients/me", "patients/40001/consents", "studies", "studies/30001/patients",
     "organizations/types", "users/profile", "data_sources/all_scopes", "audit", "changes"],
)  # fmt: skip
def test_every_path_is_served_with_and_without_a_slash_at_its_end(shared_exchange: Exchange, path: str) -> None:
    who = shared_exchange.as_(PETER if path.startswith("patients/") else MARY)
    with_it, without = who.get(f"api/v1/{path}/"), who.get(f"api/v1/{path}")
    assert with_it.status_code == without.status_code == 200
    if path != "audit":  # where the first reading is part of the second's answer
        assert with_it.json().keys() == without.json().keys() if isinstance(with_it.json(), dict) else True


def test_queries_are_taken_in_both_spellings(mary: httpx.Client) -> None:
    both = [
        mary.get("api/v1/patients", params={name: 20003}).json()["count"]
        for name in ("organization_id", "organizationId")
    ]
    assert both == [2, 2]
    pages = [mary.get("api/v1/patients", params={name: 3}).json()["results"] for name in ("page_size", "pageSize")]
    assert len(pages[0]) == 3
    assert pages[0] == pages[1]


def test_bodies_are_taken_in_both_spellings_and_answered_in_camel_case(mary: httpx.Client) -> None:
    body = {
        "telecom_email": "snake@example.org",
        "name_family": "Snake",
        "nameGiven": "Camel",
        "birth_date": "1980-01-01",
        "organization_id": 20003,
        "telecom_phone": "+1 555 0100",
    }
    made = mary.post("api/v1/patients", json=body)
    assert made.status_code == 201
    said = made.json()
    assert {key: said[key] for key in ("telecomEmail", "nameFamily", "nameGiven", "birthDate", "telecomPhone")} == {
        "telecomEmail": "snake@example.org",
        "nameFamily": "Snake",
        "nameGiven": "Camel",
        "birthDate": "1980-01-01",
        "telecomPhone": "+1 555 0100",
    }
    assert not [key for key in said if "_" in key]
    assert mary.delete(f"api/v1/patients/{said['id']}", params={"organizationId": 20003}).status_code == 204


@pytest.mark.parametrize(
    "name", ["organizationPractitionerRole", "organizationPartitionerRole", "organization_partitioner_role"]
)
def test_the_public_misspelling_of_a_role_is_taken_too(shared_exchange: Exchange, name: str) -> None:
    answer = shared_exchange.as_(ADMIN).post(
        "api/v1/organizations/20003/user", json={"jheUserId": 10004, name: "viewer"}
    )
    assert answer.status_code == 201


def test_times_are_utc_with_a_z(mary: httpx.Client) -> None:
    assert mary.get("api/v1/patients/40001").json()["lastUpdated"].endswith("Z")
    assert mary.get("api/v1/observations").json()["results"][0]["created"].endswith("Z")


# ------------------------------------------------------------------ paging
def walk(client: httpx.Client, path: str, params: dict[str, Any], towards: str = "next") -> list[list[int]]:
    """The ids of each page, following the links."""
    page = client.get(path, params=params).json()
    pages = [[one["id"] for one in page["results"]]]
    while page[towards]:
        answer = client.get(page[towards])
        assert answer.status_code == 200
        page = answer.json()
        pages.append([one["id"] for one in page["results"]])
    return pages


@pytest.mark.parametrize(
    ("params", "sizes"),
    [
        ({}, [20, 20, 5]),
        ({"pageSize": 10}, [10, 10, 10, 10, 5]),
        ({"page": 1, "page_size": 44}, [44, 1]),
        ({"limit": 15}, [15, 15, 15]),
        ({"limit": 20, "offset": 10}, [20, 15]),
        ({"pageSize": 45}, [45]),
        ({"pageSize": 5000}, [45]),
    ],
)
def test_following_the_links_meets_every_row_once(mary: httpx.Client, params: dict[str, Any], sizes: list[int]) -> None:
    pages = walk(mary, "api/v1/patients", {**ALL, **params})
    assert [len(page) for page in pages] == sizes
    ids = [id for page in pages for id in page]
    assert ids == sorted(set(ids))


def test_the_links_back_meet_the_same_pages(mary: httpx.Client) -> None:
    there = walk(mary, "api/v1/patients", {**ALL, "pageSize": 10})
    assert walk(mary, "api/v1/patients", {**ALL, "pageSize": 10, "page": 5}, "previous") == there[::-1]


def test_links_keep_the_callers_filters_and_order(mary: httpx.Client) -> None:
    params = {**ALL, "search": "family3", "ordering": "-nameGiven", "pageSize": 2}
    pages = walk(mary, "api/v1/patients", params)
    whole = mary.get("api/v1/patients", params={**params, "pageSize": 1000}).json()
    assert [id for page in pages for id in page] == [one["id"] for one in whole["results"]]
    assert {one["nameFamily"] for one in whole["results"]} == {"Family3"}
    names = [one["nameGiven"].lower() for one in whole["results"]]
    assert names == sorted(names, reverse=True)


@pytest.mark.parametrize(
    "ordering", ["nameFamily", "-nameFamily", "nameFamily,-birthDate", "birthDate", "-id", "telecomEmail"]
)
def test_equal_rows_have_a_stable_order(mary: httpx.Client, ordering: str) -> None:
    params = {**ALL, "ordering": ordering}
    small = [id for page in walk(mary, "api/v1/patients", {**params, "limit": 4}) for id in page]
    assert small == walk(mary, "api/v1/patients", {**params, "limit": 1000})[0]
    assert len(set(small)) == PEOPLE


def test_a_page_past_the_end_does_not_exist_and_an_offset_past_it_is_empty(mary: httpx.Client) -> None:
    past = mary.get("api/v1/patients", params={**ALL, "page": 4})
    assert refused(past, 404) == {"detail": "Invalid page."}
    empty = mary.get("api/v1/patients", params={**ALL, "offset": 45}).json()
    assert (empty["count"], empty["next"], empty["results"]) == (PEOPLE, None, [])


def test_the_first_page_of_nothing_is_empty(mary: httpx.Client) -> None:
    none = {"count": 0, "next": None, "previous": None, "results": []}
    assert mary.get("api/v1/patients", params={"search": "nobody", "page": 1}).json() == none


def test_links_are_absolute_and_keep_the_callers_host(shared_exchange: Exchange, mary: httpx.Client) -> None:
    page = mary.get(f"http://localhost:{shared_exchange.port}/jhe/api/v1/patients/", params={**ALL, "page": 2}).json()
    root = f"http://localhost:{shared_exchange.port}/jhe/api/v1/patients/?organization_id=20001&page="
    assert (page["previous"], page["next"]) == (f"{root}1", f"{root}3")


@pytest.mark.parametrize(
    "path", ["studies", "organizations", "users", "practitioners", "data_sources", "clients", "observations"]
)
def test_every_list_pages_the_same_way(shared_exchange: Exchange, path: str) -> None:
    admin = shared_exchange.as_(ADMIN)
    whole = admin.get(f"api/v1/{path}", params={"limit": 1000}).json()
    pages = walk(admin, f"api/v1/{path}", {"page_size": 2})
    assert [id for page in pages for id in page] == [one["id"] for one in whole["results"]]
    assert whole["count"] == len(whole["results"]) > 1
    assert set(whole) == {"count", "next", "previous", "results"}


def test_observations_come_newest_first(shared_exchange: Exchange) -> None:
    rows = shared_exchange.as_(TOM).get("api/v1/observations").json()["results"]
    keys = [(one["lastUpdated"], one["id"]) for one in rows]
    assert keys == sorted(keys, reverse=True)
    assert len(rows) > 2


# ------------------------------------------------------------------ the change feed
def test_a_long_poll_hears_of_a_write_long_before_its_patience_ends(
    clinic_exchange: Exchange, mary: httpx.Client
) -> None:
    now = mary.get("api/v1/changes").json()["next"]
    with ThreadPoolExecutor(1) as pool:
        polling = clinic_exchange.as_(MARY)
        asked = pool.submit(polling.get, "api/v1/changes", params={"since": now, "wait": 50})
        assert mary.patch("api/v1/patients/40001", json={"telecomPhone": "+1 555 0199"}).status_code == 200
        heard = asked.result(20).json()
    assert {"concept": "patient", "id": 40001} in [
        {"concept": one["concept"], "id": one["id"]} for one in heard["changes"]
    ]
    assert heard["next"] > now


def test_a_long_poll_of_nothing_new_ends_with_its_patience(mary: httpx.Client) -> None:
    now = mary.get("api/v1/changes").json()["next"]
    assert mary.get("api/v1/changes", params={"since": now, "wait": 0.3}).json() == {"changes": [], "next": now}
    refused(mary.get("api/v1/changes", params={"wait": 61}), field="wait")
