"""Lists as Arrow streams: the same rows as the JSON, and a validator that changes whenever the answer could."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import httpx
import pyarrow as pa
import pytest
from conftest import ADMIN, MARY, MEGAN, TOM, VICTOR, Exchange, _fresh

ARROW = {"Accept": "application/vnd.apache.arrow.stream"}
PRESSURE = {"codingSystem": "https://w3id.org/openmhealth", "codingCode": "omh:blood-pressure:4.0"}


def table(answer: httpx.Response) -> pa.Table:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == ARROW["Accept"]
    return pa.ipc.open_stream(answer.content).read_all()


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def same(value: Any) -> Any:
    """A JSON time with or without its zeros is the same time."""
    if isinstance(value, str) and value.endswith("Z"):
        return datetime.fromisoformat(value).isoformat().replace("+00:00", "Z")
    return value


@pytest.mark.parametrize("email", [MARY, TOM, VICTOR, ADMIN])
@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("patients", ["id"]),
        ("patients?organization_id=20003", ["id"]),
        ("patients?search=pa", ["id"]),
        ("patients?search=nobody", ["id"]),
        ("studies/30001/consents", ["patientId", "code"]),
        ("studies/30001/consents?as_of=2020-01-01T00:00:00Z", ["patientId", "code"]),
    ],
)
def test_the_stream_holds_the_rows_of_the_list(
    shared_exchange: Exchange, path: str, key: list[str], email: str
) -> None:
    client = shared_exchange.as_(email)
    listed = client.get(f"api/v1/{path}{'&' if '?' in path else '?'}limit=1000").json()
    if path.startswith("studies") and email == TOM:
        assert listed["count"] == (0 if "as_of" in path else 4)
    rows = table(client.get(f"api/v1/{path}", headers=ARROW)).to_pylist()
    assert len(rows) == listed["count"]
    names = {
        name: "id" if name == "patient_id" and path.startswith("patients") else camel(name)
        for name in (rows or [{}])[0]
    }
    streamed = [{names[name]: plain(value) for name, value in row.items()} for row in rows]
    expected = [{name: same(one[name]) for name in names.values()} for one in listed["results"]]
    assert sorted(streamed, key=lambda one: [one[name] for name in key]) == sorted(
        expected, key=lambda one: [one[name] for name in key]
    )


def test_the_audit_streams_as_it_lists(shared_exchange: Exchange) -> None:
    """Reading the audit is audited, so both are asked for what lies before a moment."""
    admin = shared_exchange.as_(ADMIN)
    until = admin.get("api/v1/audit", params={"limit": 1}).json()["results"][0]["time"]
    params = {"until": until, "limit": 1000}
    listed = admin.get("api/v1/audit", params=params).json()
    assert listed["count"] == len(listed["results"]) > 0
    rows = table(admin.get("api/v1/audit", params=params, headers=ARROW)).to_pylist()
    streamed = [{camel(name): plain(value) for name, value in row.items()} for row in rows]
    assert streamed == [{name: same(value) for name, value in one.items()} for one in listed["results"][::-1]]


def test_a_managers_audit_stream_is_narrowed_like_the_list(shared_exchange: Exchange) -> None:
    mary = shared_exchange.as_(MARY)
    mary.get("api/v1/patients/40001")
    until = shared_exchange.as_(ADMIN).get("api/v1/audit", params={"limit": 1}).json()["results"][0]["time"]
    listed = mary.get("api/v1/audit", params={"until": until, "limit": 1000}).json()["results"]
    rows = table(mary.get("api/v1/audit", params={"until": until}, headers=ARROW)).to_pylist()
    assert [row["seq"] for row in rows] == [one["seq"] for one in listed][::-1]
    assert 0 < len(rows) < shared_exchange.as_(ADMIN).get("api/v1/audit").json()["count"]


@pytest.mark.parametrize("path", ["patients", "studies/30001/consents", "observations", "audit"])
def test_a_reader_without_rights_gets_no_stream(shared_exchange: Exchange, path: str) -> None:
    answers = [shared_exchange.as_(None).get(f"api/v1/{path}", headers=ARROW)]
    if path == "audit":
        answers.append(shared_exchange.as_(VICTOR).get("api/v1/audit", headers=ARROW))
    assert [answer.status_code for answer in answers] == [401, 403][: len(answers)]
    assert all(answer.headers["Content-Type"] == "application/json" for answer in answers)


# ------------------------------------------------------------------ ETag
@pytest.fixture(scope="module")
def own_exchange(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A server whose world the tests change."""
    folder = tmp_path_factory.mktemp("own")
    exchange = Exchange(_fresh(request, "sqlite", folder), folder)
    yield exchange
    exchange.close()


STREAMS = ["patients", "studies/30001/consents", "observations"]


def asked(client: httpx.Client, path: str, etag: str | None = None) -> httpx.Response:
    return client.get(f"api/v1/{path}", headers=ARROW | ({"If-None-Match": etag} if etag else {}))


@pytest.mark.parametrize("path", STREAMS)
def test_what_has_not_changed_is_304_without_a_body(shared_exchange: Exchange, path: str) -> None:
    mary = shared_exchange.as_(MARY)
    etag = asked(mary, path).headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        answer = asked(mary, path, known)
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    for unknown in ('"other"', "*"):
        assert asked(mary, path, unknown).status_code == 200


def test_a_304_is_only_for_who_may_still_read(own_exchange: Exchange) -> None:
    """The validator is no way in: it is compared only after the rules, and it names who asked and with which roles."""
    victor, mary = own_exchange.as_(VICTOR), own_exchange.as_(MARY)
    etags = {asked(client, "studies/30001/consents").headers["ETag"] for client in (victor, mary)}
    assert len(etags) == 2
    etag = asked(victor, "studies/30001/consents").headers["ETag"]
    assert (
        mary.request("DELETE", "api/v1/organizations/20003/remove_user", json={"jheUserId": 10004}).status_code == 204
    )
    assert asked(victor, "studies/30001/consents", etag).status_code == 403
    assert asked(victor, "patients", "*").status_code == 403
    assert asked(mary, "studies/30004/consents", "*").status_code == 404
    assert asked(own_exchange.as_(None), "patients", "*").status_code == 401


def test_the_validator_changes_whenever_the_answer_could(own_exchange: Exchange) -> None:
    megan, mary = own_exchange.as_(MEGAN), own_exchange.as_(MARY)
    seen = {path: {asked(mary, path).headers["ETag"]} for path in STREAMS}

    def changed(method: str, path: str, body: dict[str, Any]) -> None:
        """After this write every stream has a validator it never had before."""
        answer = (
            megan.request(method, f"api/v1/{path}", json=body)
            if method != "POLICY"
            else mary.patch(f"api/v1/{path}", json=body)
        )
        assert answer.status_code < 300, answer.text
        for stream, known in seen.items():
            etag = asked(mary, stream).headers["ETag"]
            assert etag not in known, (method, path, stream)
            known.add(etag)

    def consent(consented: bool) -> dict[str, Any]:
        return {"studyScopeConsents": [{"studyId": 30001, "scopeConsents": [PRESSURE | {"consented": consented}]}]}

    changed("PATCH", "patients/40001", {"nameFamily": "Renamed"})
    changed("PATCH", "patients/40001/consents", consent(False))
    changed("PATCH", "patients/40001/consents", consent(True))
    changed("POLICY", "studies/30001", {"dataAfterWithdrawal": "keep"})
    changed("DELETE", "studies/30001/scope_requests", {"scope_code_id": 50002})
    changed("DELETE", "studies/30001/patients", {"patient_ids": [40001]})
    changed("POST", "studies/30001/patients", {"patient_ids": [40001]})
    changed("POST", "patients", {"telecomEmail": "new@example.org", "nameFamily": "New", "nameGiven": "Ada",
                                 "birthDate": "1980-01-01", "organizationId": 20003})  # fmt: skip


def test_another_question_has_another_validator(shared_exchange: Exchange) -> None:
    mary = shared_exchange.as_(MARY)
    questions = ["patients", "patients?organization_id=20003", "patients?search=p", "studies/30001/consents",
                 "studies/30002/consents", "observations", "observations?code=omh:heart-rate:2.0"]  # fmt: skip
    assert len({asked(mary, question).headers["ETag"] for question in questions}) == len(questions)


def test_the_audit_has_grown_by_the_reading_of_it(shared_exchange: Exchange) -> None:
    mary = shared_exchange.as_(MARY)
    etag = asked(mary, "audit").headers["ETag"]
    again = asked(mary, "audit", etag)
    assert (again.status_code, again.headers["ETag"] != etag) == (200, True)
