"""Cohorts: whatever a spreadsheet makes of a list of patients is read line by line; a bad line costs only itself."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jhe_jupyter import Unreadable, read_csv
from jhe_jupyter.chunks import chunks
from jhe_jupyter.cohort import MOST_BYTES
from jhe_jupyter.roster import Record, on_one_line, read_roster

HEADER = "email,last_name,first_name,dob,phone\n"
JO = "jo@example.com,Smith,Jo,1980-01-01,555-1234\n"


def records(text: str | bytes) -> list[Record]:
    return list(read_csv(io.BytesIO(text) if isinstance(text, bytes) else io.StringIO(text)))


def test_the_guides_columns() -> None:
    [jo] = records(HEADER + JO)
    assert (jo.row, jo.line, jo.problem) == (1, 2, None)
    assert list(jo.values.values()) == ["jo@example.com", "Smith", "Jo", "1980-01-01", "555-1234"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends_of_every_spreadsheet(separator: str, end: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(("\ufeff" + HEADER + JO).replace(",", separator).replace("\n", end).encode())
    [jo] = read_csv(file)
    assert (jo.line, jo.values["email"], jo.values["last_name"]) == (2, "jo@example.com", "Smith")


def test_a_header_that_says_which_separator_follows() -> None:
    [jo] = records("sep=;\n" + (HEADER + JO).replace(",", ";"))
    assert (jo.row, jo.line) == (1, 3)


def test_quoted_newlines_keep_the_lines_of_the_file() -> None:
    found = records(HEADER + 'a@x.org,"Smith\n-Jones",A,1980-01-01,\n\n' + JO)
    assert [(one.row, one.line) for one in found] == [(1, 2), (2, 5)]
    assert found[0].values["last_name"] == "Smith -Jones"


def test_a_line_with_the_wrong_number_of_fields_costs_only_itself() -> None:
    found = records(HEADER + "a@x.org,Smith,A\n" + JO + "b@x.org,Smith,B,1980-01-01,1,2\n" + JO)
    assert [one.problem for one in found] == [
        "This line has 3 fields, the header has 5.",
        None,
        "This line has 6 fields, the header has 5.",
        None,
    ]


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest() -> None:
    found = records(HEADER + 'a@x.org,"Smith,A,1980-01-01,1\n' + JO + JO)
    assert [(one.line, one.problem is None) for one in found] == [(2, False), (3, True), (4, True)]
    found = records(HEADER + 'a@x.org,"Smith,A,1980-01-01,1\n' + JO + 'b@x.org,"Smith",B,1980-01-01,1\n' + JO)
    assert [(one.line, one.problem is None) for one in found] == [(2, False), (3, True), (4, True), (5, True)]


def test_blank_lines_and_empty_spreadsheet_rows_are_no_patients() -> None:
    assert [one.line for one in records("\n" + HEADER + "\n,,,,\n" + JO + "\n\n")] == [5]


def test_text_is_text() -> None:
    long = "x" * 100_000
    [one] = records(HEADER + f'jo@example.com,"=1+1",{long},01/02/80,+49 30 1\n')
    assert one.values["last_name"] == "=1+1"
    assert one.values["first_name"] == long
    assert one.values["dob"] == "01/02/80"
    assert one.values["phone"] == "+49 30 1"


def test_a_field_without_end_is_a_problem_of_its_line() -> None:
    found = records(HEADER + "jo@example.com," + "x" * 200_000 + ",Jo,1980-01-01,\n" + JO)
    assert [one.problem is None for one in found] == [False, True]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ((HEADER + JO).encode() + b"bo@x.org,M\xfcller,Bo,1980-01-01,\n", r"byte 0xFC at position \d+, line 3"),
        ((HEADER + JO).encode("utf-16"), "is UTF-16"),
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"email,first_name,dob\n", "has no column last_name; its header is: email, first_name, dob"),
        (HEADER.replace("phone", "E-Mail").encode(), r"two columns for email \(email and E-Mail\)"),
        (b'"email,last_name\n', "header in line 1 has a quote that is never closed"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_what_to_do(content: bytes, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        records(content)


def test_a_file_that_is_not_there_is_the_usual_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_csv(tmp_path / "nowhere.csv")


def test_headers_in_many_spellings_and_columns_that_stay_out() -> None:
    header = "Family Name;givenName;Date of Birth;telecomEmail;MRN;Ward\n"
    roster = read_csv(io.StringIO(header + "Smith;Jo;1980-01-01;jo@x.org;7;B\n"))
    assert roster.columns == {
        "email": "telecomEmail",
        "last_name": "Family Name",
        "first_name": "givenName",
        "dob": "Date of Birth",
        "identifier": "MRN",
    }
    assert roster.ignored == ["Ward"]
    assert roster.records[0].values["identifier"] == "7"


def test_a_frame_is_read_with_its_dates_numbers_and_gaps() -> None:
    frame = pd.DataFrame({
        "email": ["jo@example.com", "bo@example.com"],
        "name_family": ["Smith", None],
        "name_given": ["Jo", "Bo"],
        "birth_date": pd.to_datetime(["1980-01-01", None]),
        "phone": [5551234.0, float("nan")],
        "study_id": pd.array([30001, None], dtype="Int64"),
    })  # fmt: skip
    jo, bo = read_roster(frame)
    assert list(jo.values.values()) == ["jo@example.com", "Smith", "Jo", "1980-01-01", "5551234", "30001"]
    assert list(bo.values.values()) == ["bo@example.com", "", "Bo", "", "", ""]
    assert (bo.row, bo.line) == (2, None)


def test_dictionaries_are_read_too() -> None:
    [jo] = read_roster([{"email": "jo@example.com", "last_name": "Smith", "first_name": "Jo", "dob": date(1980, 1, 1)}])
    assert jo.values["dob"] == "1980-01-01"


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=8)


@given(st.lists(st.lists(CELL, min_size=5, max_size=5)))
def test_whatever_a_csv_writer_writes_comes_back(rows: list[list[str]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([HEADER.strip().split(","), *rows])
    kept = [[on_one_line(cell) for cell in row] for row in rows if any(cell.strip() for cell in row)]
    assert [list(one.values.values()) for one in records(out.getvalue())] == kept


def test_requests_stay_below_the_limit_of_the_server() -> None:
    rows = [{"row": number, "last_name": "x" * 3_000_000} for number in range(5)]
    assert [len(chunk) for chunk in chunks(rows, 250, MOST_BYTES)] == [2, 2, 1]


def test_reading_a_file_needs_no_pandas() -> None:
    code = "import sys, jhe_jupyter.cohort; jhe_jupyter.read_csv; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pandas", "pyarrow", "matplotlib", "jhe_server"} & set(done.stdout.split())
