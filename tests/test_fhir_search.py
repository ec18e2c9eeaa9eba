"""How a FHIR query is read: ids, tokens, dates and texts; or and and; what is refused, what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jhe_server.errors import ExchangeError, Invalid, NotAcceptable
from jhe_server.fhir_search import AT_ONCE, Filter, Kind, Span, Token, read, values

KINDS: Mapping[str, Kind] = {
    "_id": "id",
    "patient": "Patient",
    "code": "token",
    "date": "date",
    "family": "string",
    "_source": "uri",
    "patient._has:Group:member:_id": "id",
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# ------------------------------------------------------------------ ids and references
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("40001", (40001,)),
        ("Patient/40001", (40001,)),
        ("https://example.org/jhe/FHIR/R5/Patient/40001", (40001,)),
        ("40001, Patient/40002", (40001, 40002)),
        ("Group/40001", ()),
        ("Patient/40001/_history/1", ()),
        ("nobody", ()),
        ("-1", ()),
        ("４０００１", ()),
        ("9" * 40, ()),
        ("9223372036854775808", ()),
        ("", ()),
        (",,", ()),
    ],
)
def test_a_reference_is_an_id_bare_relative_or_absolute(text: str, expected: tuple[int, ...]) -> None:
    assert values("Patient", text) == expected


# ------------------------------------------------------------------ tokens and texts
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("E1234", (Token(None, "E1234"),)),
        ("urn:oid:1.2.3.4|E1234", (Token("urn:oid:1.2.3.4", "E1234"),)),
        ("|E1234", (Token("", "E1234"),)),
        ("urn:x|", (Token("urn:x", ""),)),
        ("a|b|c", (Token("a", "b|c"),)),
        (r"a\|b", (Token(None, "a|b"),)),
        (r"urn:x|a\,b,c", (Token("urn:x", "a,b"), Token(None, "c"))),
        (r"back\\slash", (Token(None, r"back\slash"),)),
        ("|", ()),
        ("\\", ()),
    ],
)
def test_a_token_is_a_value_of_a_system_of_none_or_of_any(text: str, expected: tuple[Token, ...]) -> None:
    assert values("token", text) == expected


def test_a_text_keeps_what_is_escaped() -> None:
    assert values("string", r"O\,Hara,Smith") == ("O,Hara", "Smith")


# ------------------------------------------------------------------ dates
@pytest.mark.parametrize(
    ("text", "comparator", "start", "end"),
    [
        ("2026", "eq", "2026-01-01", "2027-01-01"),
        ("ge2026-12", "ge", "2026-12-01", "2027-01-01"),
        ("lt2024-02-29", "lt", "2024-02-29", "2024-03-01"),
        ("gt2026-03-01T08:00", "gt", "2026-03-01T08:00", "2026-03-01T08:01"),
        ("le2026-03-01T08:00:07Z", "le", "2026-03-01T08:00:07", "2026-03-01T08:00:08"),
        ("eq2026-03-01T08:00:07.5-05:00", "eq", "2026-03-01T13:00:07.500", "2026-03-01T13:00:07.600"),
        ("2026-03-01T08:00:07.123456+01:00", "eq", "2026-03-01T07:00:07.123456", "2026-03-01T07:00:07.123457"),
        ("2026-03-01T08:00:07 01:00", "eq", "2026-03-01T07:00:07", "2026-03-01T07:00:08"),
        ("9999", "eq", "9999-01-01", "9999-12-31T23:59:59.999999"),
        ("9999-12-31", "eq", "9999-12-31", "9999-12-31T23:59:59.999999"),
    ],
)
def test_a_date_is_as_long_as_it_was_written_precisely(text: str, comparator: Any, start: str, end: str) -> None:
    assert values("date", text) == (Span(comparator, at(start), at(end)),)


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2026-02-30", "2026-13", "0000", "26-01-01", "2026T08:00", "2026-01-01T08", "2026-01-01T25:00",
     "2026-01-01T08:00.5", "ne2026-01-01", "ap2026", "ge", "0001-01-01T00:00+14:00", "９９９９", "2026-01-01T08:00+9"],
)  # fmt: skip
def test_what_is_no_date_is_refused_by_the_parameters_name(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read([("date", text)], KINDS)
    assert list(refused.value.errors) == ["date"]


@given(kind=st.sampled_from(sorted(set(KINDS.values()))), text=st.text(max_size=40))
def test_whatever_is_sent_is_read_or_refused(kind: Kind, text: str) -> None:
    try:
        assert isinstance(values(kind, text), tuple)
    except Invalid:
        assert kind == "date"


@given(moment=st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9998, 1, 1), timezones=st.just(UTC)))
def test_every_moment_is_found_by_itself_as_an_instant(moment: datetime) -> None:
    [span] = values("date", moment.isoformat(timespec="microseconds").replace("+00:00", "Z"))
    assert (span.start, (span.end - span.start).microseconds) == (moment, 1)


# ------------------------------------------------------------------ or, and; what is left out
def test_a_comma_means_or_and_a_parameter_given_twice_means_and() -> None:
    search = read([("code", "a,b"), ("code", "b"), ("patient", "1")], KINDS)
    both, second = (Token(None, "a"), Token(None, "b")), (Token(None, "b"),)
    assert search.filters == [Filter("code", both), Filter("code", second), Filter("patient", (1,))]


def test_what_is_unknown_is_left_out_of_what_was_understood() -> None:
    pairs = [("patient", "1"), ("nonsense", "1"), ("_sort", "nonsense"), ("_summary", "data"), ("_count", "5")]
    search = read(pairs, KINDS, ["date"])
    assert search.understood == [("patient", "1"), ("_count", "5")]
    assert search.sort == []


@pytest.mark.parametrize("pair", [("nonsense", "1"), ("_sort", "nonsense"), ("_summary", "data"), ("_total", "x")])
def test_what_is_unknown_is_refused_where_the_caller_is_strict(pair: tuple[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        read([("patient", "1"), pair], KINDS, ["date"], strict=True)
    assert list(refused.value.errors) == [pair[0]]


def test_a_strict_caller_who_is_understood_is_answered() -> None:
    pairs = [
        ("patient", "1"),
        ("_sort", "-date,_id"),
        ("_summary", "false"),
        ("_total", "accurate"),
        ("_format", "json"),
    ]
    search = read(pairs, KINDS, ["date", "_id"], strict=True)
    assert (search.sort, search.understood) == ([("date", True), ("_id", False)], pairs)


@pytest.mark.parametrize("name", ["family:exact", "code:not", "patient:Patient", "patient:missing", "date:x"])
def test_a_modifier_is_refused_since_without_it_too_much_would_be_found(name: str) -> None:
    with pytest.raises(Invalid, match="modifier"):
        read([(name, "1")], KINDS)


def test_a_refusal_never_says_what_is_no_name() -> None:
    with pytest.raises(Invalid) as refused:
        read([("Peter Petersen, born 1980", "")], KINDS, strict=True)
    assert list(refused.value.errors) == ["parameter"]
    assert "Peter" not in refused.value.detail


# ------------------------------------------------------------------ pages
@pytest.mark.parametrize(
    ("pairs", "window", "counts"),
    [
        ([], (0, 20), False),
        ([("_count", "7"), ("_page", "3")], (14, 7), False),
        ([("_count", "5000")], (0, 1000), False),
        ([("_page", "0")], (0, 20), False),
        ([("_count", "0")], (0, 20), True),
        ([("_summary", "count"), ("_count", "7")], (0, 7), True),
    ],
)
def test_a_page_is_twenty_unless_said_otherwise_and_never_more_than_a_thousand(
    pairs: list[tuple[str, str]], window: tuple[int, int], counts: bool
) -> None:
    search = read(pairs, KINDS)
    assert (search.window, search.count_only) == (window, counts)


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "", "１", "9" * 30])
@pytest.mark.parametrize("name", ["_count", "_page"])
def test_a_page_is_a_whole_number(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=f"{name} is not a whole number"):
        read([(name, value)], KINDS)


def test_only_json_is_spoken() -> None:
    with pytest.raises(NotAcceptable):
        read([("_format", "application/fhir+xml")], KINDS)


def test_a_search_has_bounds() -> None:
    assert len(read([("_id", ",".join(["1"] * AT_ONCE))], KINDS).filters[0].values) == AT_ONCE
    for pairs in ([("_id", ",".join(["1"] * (AT_ONCE + 1)))], [("code", "a,b")] * AT_ONCE):
        with pytest.raises(ExchangeError, match=f"{AT_ONCE} values"):
            read(pairs, KINDS)


def test_the_audit_is_told_of_the_one_patient_a_search_names() -> None:
    assert read([("patient", "Patient/40001")], KINDS).only("patient") == 40001
    for pairs in ([("patient", "1,2")], [("patient", "1"), ("patient", "2")], [("patient", "x")], []):
        assert read(pairs, KINDS).only("patient") is None
