"""Importing over HTTP: rows named by number and field, a dry run that promises exactly what the real one does."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from conftest import MEGAN, Exchange
from refusals import written

BAD = {
    101: ("dob", {"dob": "2999-01-01"}),
    333: ("email", {"email": "no address"}),
    500: ("last_name", {"last_name": "  "}),
    777: ("phone", {"phone": "5\u0000"}),
    1000: ("email", {"email": "manager_mary@example.com"}),
}


def rows(prefix: str = "p", number: int = 1000) -> list[dict[str, Any]]:
    good = [
        {
            "email": f"{prefix}{i}@example.org",
            "last_name": f"Family{i}",
            "first_name": "Ada",
            "dob": "1980-01-31",
            "phone": "",
        }
        for i in range(1, number + 1)
    ]
    return [row | BAD[i][1] if i in BAD else row for i, row in enumerate(good, 1)]


@pytest.fixture(scope="module")
def megan(shared_exchange: Exchange) -> httpx.Client:
    return shared_exchange.as_(MEGAN)


def imported(client: httpx.Client, sent: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    answer = client.post(
        "api/v1/patients/import", json={"organizationId": 20003, "studyId": 30001, "rows": sent} | other
    )
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def test_five_bad_rows_among_a_thousand_stop_no_other(shared_exchange: Exchange, megan: httpx.Client) -> None:
    before = written(shared_exchange)
    promised = imported(megan, rows(), dryRun=True)
    assert written(shared_exchange) == before
    done = imported(megan, rows())
    assert done["summary"] == promised["summary"] == {"create": 995, "error": 5}
    for one in promised["results"]:
        assert one["patientId"] is None
    without_ids = [{key: value for key, value in one.items() if key != "patientId"} for one in done["results"]]
    assert without_ids == [
        {key: value for key, value in one.items() if key != "patientId"} for one in promised["results"]
    ]
    named = {one["row"]: {error["field"] for error in one["errors"]} for one in done["results"] if one["errors"]}
    assert named == {row: {field} for row, (field, _) in BAD.items()}
    assert megan.get("api/v1/studies/30001").json()["patientCount"] == 2 + 995


def test_running_it_again_leaves_everybody_as_they_are(shared_exchange: Exchange, megan: httpx.Client) -> None:
    imported(megan, rows("again", 50))
    before = written(shared_exchange)
    assert imported(megan, rows("again", 50), dryRun=True)["summary"] == {"unchanged": 50}
    assert imported(megan, rows("again", 50))["summary"] == {"unchanged": 50}
    assert written(shared_exchange) == before


def test_no_value_of_a_refused_row_is_repeated(megan: httpx.Client) -> None:
    bad = [
        {
            "email": "Secretive",
            "last_name": "Secretive\u0007",
            "first_name": "Secretive",
            "dob": "Secretive",
            "phone": "Secretive\n",
        }
    ]
    answer = megan.post("api/v1/patients/import", json={"organizationId": 20003, "rows": bad})
    assert answer.json()["summary"] == {"error": 1}
    assert "Secretive" not in answer.text


def test_the_row_a_file_has_it_in_is_answered(megan: httpx.Client) -> None:
    sent = [row | {"row": 40 + i} for i, row in enumerate(rows("numbered", 3))]
    assert [one["row"] for one in imported(megan, sent, dryRun=True)["results"]] == [40, 41, 42]


def test_the_last_rows_of_one_file_see_its_first(megan: httpx.Client) -> None:
    """The same person twice is one patient; the same e-mail with another name is an error of the second row."""
    [row] = rows("twice", 1)
    other = row | {"first_name": "Bea"}
    for dry in (True, False):
        said = imported(megan, [row, row, other], dryRun=dry)["results"]
        assert [one["action"] for one in said] == ["create", "unchanged", "error"]
        assert [error["field"] for error in said[2]["errors"]] == ["first_name"]
