"""Bad input over the wire: every write route answers in one sentence that repeats nothing, and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import ADMIN, Exchange
from pydantic import BaseModel
from refusals import SECRET, assert_silent, refused, written

from jhe_server import api, fhir_api
from jhe_server.routes import Route

EXAMPLES = {
    "study_id": 30001,
    "patient_id": 40001,
    "organization_id": 20003,
    "data_source_id": 70001,
    "oauth_client_id": 1,
    "practitioner_id": 80002,
}
API = [route for route in api.ROUTES if route.body is not None]
FHIR = [route for route in fhir_api.ROUTES if route.body is not None]


def address(route: Route) -> str:
    root = "api/v1" if route in API else "FHIR/R5"
    return f"{root}/{route.path.format(**EXAMPLES)}".rstrip("/")


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture(scope="module")
def admin(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(ADMIN)


@pytest.fixture
def nothing_written(shared_exchange: Exchange, admin: httpx.Client) -> Iterator[None]:
    """Whatever the test sends leaves no row, no value and no traceback behind."""
    before = written(shared_exchange)
    yield
    assert written(shared_exchange) == before
    assert_silent(shared_exchange)


def send(client: httpx.Client, route: Route, body: bytes, media_type: str = "application/json") -> httpx.Response:
    return client.request(route.method, address(route), content=body, headers={"Content-Type": media_type})


# ------------------------------------------------------------------ every write route, generated
MEDIA_TYPES = ["text/plain", "application/x-www-form-urlencoded", "application/xml", "application/json; charset=utf-16"]
NO_OBJECT = [b"null", b"[]", b"[{}]", b"1", b"true", f'"{SECRET}"'.encode()]
NO_JSON = [
    b"{",
    b"{]",
    b'{"a": }',
    b"{'a': 1}",
    b'{"name": "\xff\xfe"}',
    b"\xef\xbb\xbf\xff",
    b'{"name": "\\ud800"}',
    b'{"name": "tab\tinside"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"{} {}",
    ('{"name": "' + SECRET).encode(),
]


@pytest.mark.parametrize("route", [*API, *FHIR], ids=named)
@pytest.mark.usefixtures("nothing_written")
def test_what_is_no_json_object_is_refused_everywhere(admin: httpx.Client, route: Route) -> None:
    turn = [*API, *FHIR].index(route) % 3  # each route meets a third of them, each of them a third of the routes
    for body in [b"", *[*NO_OBJECT, *NO_JSON][turn::3]]:
        refused(send(admin, route, body))


@pytest.mark.parametrize("route", [*API, *FHIR], ids=named)
@pytest.mark.usefixtures("nothing_written")
def test_another_media_type_is_refused_everywhere(admin: httpx.Client, route: Route) -> None:
    media_type = MEDIA_TYPES[[*API, *FHIR].index(route) % len(MEDIA_TYPES)]
    refused(send(admin, route, json.dumps({"name": SECRET}).encode(), media_type), 415)


@pytest.mark.parametrize("route", API, ids=named)
@pytest.mark.usefixtures("nothing_written")
def test_every_field_of_every_call_refuses_what_it_cannot_be(admin: httpx.Client, route: Route) -> None:
    assert issubclass(route.body, BaseModel)
    schema = route.body.model_json_schema(by_alias=True)
    for name, described in schema["properties"].items():
        for value in spoilt(described, name in schema.get("required", [])):
            refused(send(admin, route, f'{{"{name}": {value}}}'.encode()), field=name)


@pytest.mark.parametrize("route", API, ids=named)
@pytest.mark.usefixtures("nothing_written")
def test_every_call_refuses_fields_it_does_not_have(admin: httpx.Client, route: Route) -> None:
    for name in ("surprise", "isSuperuser"):
        refused(send(admin, route, json.dumps({name: SECRET}).encode()), field=name)


@pytest.mark.parametrize("route", API, ids=named)
@pytest.mark.usefixtures("nothing_written")
def test_every_call_refuses_a_key_given_twice(admin: httpx.Client, route: Route) -> None:
    name = next(iter(route.body.model_json_schema(by_alias=True)["properties"]))
    refused(send(admin, route, f'{{"{name}": 1, "{name}": 2}}'.encode()))


def spoilt(described: dict[str, Any], required: bool) -> list[str]:
    """JSON values that a property of this JSON schema cannot be; each kind of wrong at least once."""
    kinds = {one.get("type", "object" if "$ref" in one else "string") for one in described.get("anyOf", [described])}
    values = ["NaN", f'{{"a": "{SECRET}"}}' if "object" not in kinds else "5"]
    if required and "null" not in kinds:
        values.append("null")
    if "integer" not in kinds:
        values.append("5")
    if "boolean" not in kinds:
        values.append("true")
    if "array" not in kinds:
        values.append(f'["{SECRET}"]')
    if "integer" in kinds:
        values += ["1.5", "1e2", "-1", str(2**63)]
    return values + ([f'"{SECRET}\\u0000"'] if "string" in kinds else [f'"{SECRET}"', '"40001"'])
