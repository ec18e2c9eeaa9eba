"""Paging: however a list is turned, page by page or by offset, up or down, each of its rows is met exactly once."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import ADMIN, MARY, MEGAN, TOM, Clinic
from hypothesis import given
from hypothesis import strategies as st
from indoors import answered, bundle, examples, reading

from jhe_server import patients, studies, uploads
from jhe_server.errors import NotFound
from jhe_server.patients import NewPatient
from jhe_server.studies import NewStudy

# Each list with its rows' identity and the columns it can be ordered by.
LISTS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "patients": (("id",), ["id", "nameFamily", "nameGiven", "birthDate", "telecomEmail", "telecomPhone"]),
    "patients?organization_id=20003": (("id",), ["nameFamily", "birthDate"]),
    "studies/30001/patients": (("id",), ["nameGiven", "telecomPhone"]),
    "studies": (("id",), ["id", "name", "organization"]),
    "studies/30001/consents": (("patientId", "code"), ["patientId", "code", "time"]),
    "observations": (("id",), ["id", "lastUpdated", "effective", "created"]),
    "organizations": (("id",), ["id", "name", "type"]),
    "followup": (("patientId", "studyId"), ["patientId", "studyId", "nameFamily"]),
    "data_sources": (("id",), ["id", "name"]),
    "users": (("id",), ["id", "email", "lastName"]),
}


@pytest.fixture
def peopled(clinic: Clinic) -> Clinic:
    """The clinic with more of everything, many of them alike in what they can be ordered by."""
    for number in range(11):
        body = {"telecom_email": f"n{number}@example.com", "name_family": f"N{number % 3}", "name_given": "Same"}
        body |= {"birth_date": "1990-01-01", "telecom_phone": None if number % 2 else "555", "organization_id": 20003}
        clinic.call(patients.create, MEGAN, NewPatient.model_validate(body))
        clinic.call(studies.create, MEGAN, NewStudy(name="Same", description="", organization=20003))
    joined = studies.PatientIds(patient_ids=list(range(40006, 40017)))
    clinic.call(studies.enroll, MEGAN, 30001, joined)
    clinic.call(uploads.create_many, MEGAN, bundle(*(reading(40001, 50004) for _ in range(9))))
    return clinic


def test_every_row_is_met_exactly_once(peopled: Clinic) -> None:
    whole = {path: met(answered(peopled, ADMIN, with_(path, "limit=1000")), path) for path in LISTS}

    @examples(peopled)
    @given(path=st.sampled_from(sorted(LISTS)), size=st.integers(1, 9), by_page=st.booleans(), data=st.data())
    def holds(path: str, size: int, by_page: bool, data: st.DataObject) -> None:
        ordering = data.draw(orderings(path))
        first = with_(path, f"pageSize={size}" if by_page else f"limit={size}", ordering)
        there = turned(peopled, first, "next")
        rows = [row for page in there for row in met(page, path)]
        assert sorted(rows) == sorted(whole[path])
        assert len(rows) == len(set(rows)) == there[0]["count"]
        assert all(page["count"] == there[0]["count"] for page in there)
        last = relative(there[-2]["next"]) if len(there) > 1 else first
        back = turned(peopled, last, "previous")
        assert [page["results"] for page in back] == [page["results"] for page in reversed(there)]

    holds()


def orderings(path: str) -> st.SearchStrategy[str]:
    signed = st.tuples(st.sampled_from(["", "-"]), st.sampled_from(LISTS[path][1])).map("".join)
    return st.lists(signed, max_size=2).map(lambda names: f"ordering={','.join(names)}" if names else "")


def with_(path: str, *parameters: str) -> str:
    given = "&".join(one for one in parameters if one)
    return f"{path}{'&' if '?' in path else '?'}{given}"


def met(page: Any, path: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in LISTS[path][0]) for row in page["results"]]


def turned(clinic: Clinic, path: str | None, way: str) -> list[Any]:
    """All pages from one on, following the links."""
    pages = []
    while path is not None:
        pages.append(answered(clinic, ADMIN, path))
        path = relative(pages[-1][way])
    return pages


def relative(link: str | None) -> str | None:
    if link is None:
        return None
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc) == ("https", "jhe.example.org")
    return f"{parts.path.removeprefix('/jhe/api/v1/')}?{parts.query.replace('%2C', ',')}"


# ------------------------------------------------------------------ the edges
def test_a_page_past_the_end_does_not_exist_and_an_offset_past_it_is_empty(clinic: Clinic) -> None:
    with pytest.raises(NotFound) as refusal:
        answered(clinic, TOM, "patients?page=2")
    assert refusal.value.detail == "Invalid page."
    past = answered(clinic, TOM, "patients?offset=5&limit=2")
    assert (past["count"], past["results"], past["next"]) == (5, [], None)
    assert answered(clinic, TOM, "patients?patient_id=49999")["results"] == []


def test_links_keep_the_callers_filters_and_way_of_turning(clinic: Clinic) -> None:
    by_page = answered(clinic, TOM, "patients?search=p&page=2&pageSize=2")
    query = {name: parse_qs(urlsplit(by_page[name]).query) for name in ("next", "previous")}
    assert query["next"] == {"search": ["p"], "page": ["3"], "pageSize": ["2"]}
    assert query["previous"] == {"search": ["p"], "page": ["1"], "pageSize": ["2"]}
    by_offset = answered(clinic, TOM, "patients?organization_id=20008&limit=1")
    assert parse_qs(urlsplit(by_offset["next"]).query) == {
        "organization_id": ["20008"],
        "limit": ["1"],
        "offset": ["1"],
    }
    assert by_offset["previous"] is None


def test_both_spellings_of_paging_turn_the_same_pages(clinic: Clinic) -> None:
    ids = [row["id"] for row in answered(clinic, TOM, "patients?page=2&page_size=2")["results"]]
    assert ids == [row["id"] for row in answered(clinic, TOM, "patients?offset=2&limit=2")["results"]] == [40003, 40004]
    assert len(answered(clinic, ADMIN, "patients?limit=5000")["results"]) == 5


def test_a_search_finds_names_beyond_ascii_in_any_case(clinic: Clinic) -> None:
    made = patients.NewPatient.model_validate(
        {"telecomEmail": "mesut@example.com", "nameFamily": "Özil", "nameGiven": "Ünal", "birthDate": "1988-10-15",
         "organizationId": 20003}
    )  # fmt: skip
    clinic.call(patients.create, MARY, body=made)
    for search in ("özil", "ÖZ", "Özil", "ünal"):
        found = clinic.call(patients.search, MARY, query=patients.PatientSearch(search=search))
        assert [one.name_family for one in found.results] == ["Özil"], search
