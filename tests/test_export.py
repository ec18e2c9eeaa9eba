"""`jupyter jhe export`: what the gate lets through and nothing else, in each format, whole or not at all, on record."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import ADMIN, MEGAN, PETER, Clinic
from fhir.resources.observation import Observation
from indoors import answers, ask, bundle, reading, rows, streamed
from test_cli import CommandLine

from jhe_server import consents, file_formats
from jhe_server.columns import Column, Table
from jhe_server.errors import Invalid
from jhe_server.exporting import export_study
from jhe_server.fhir_api import FHIR_JSON
from jhe_server.file_formats import rows_of, write_csv

STUDY, HEART_RATE, PRESSURE = 30001, 50004, 50002
KINDS = ["parquet", "csv", "ndjson"]


def cells(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


READ: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "parquet": lambda file: pq.read_table(file).to_pylist(),
    "csv": cells,
    "ndjson": lines,
}


def ids(folder: Path, kind: str) -> list[int]:
    return sorted(
        int(row["id" if kind == "ndjson" else "observation_id"]) for row in READ[kind](folder / f"observations.{kind}")
    )


# ------------------------------------------------------------------ the same as over the wire
def test_parquet_holds_the_frame_of_the_stream(clinic: Clinic, tmp_path: Path) -> None:
    told = export_study(clinic.database, STUDY, "parquet", str(tmp_path / "out"))
    for name, path in (("observations", f"observations?study_id={STUDY}"), ("consents", f"studies/{STUDY}/consents")):
        wire = streamed(clinic, ADMIN, path)
        file = pq.read_table(tmp_path / "out" / f"{name}.parquet")
        assert file.schema.names == wire.schema.names
        assert file.schema.types == wire.schema.types
        assert sorted(map(str, file.to_pylist())) == sorted(map(str, wire.to_pylist()))
        assert told[name] == file.num_rows > 0


def test_csv_says_numbers_as_numbers_and_times_in_utc(clinic: Clinic, tmp_path: Path) -> None:
    export_study(clinic.database, STUDY, "csv", str(tmp_path))
    wire = {
        str(row["observation_id"]): row for row in streamed(clinic, ADMIN, f"observations?study_id={STUDY}").to_pylist()
    }
    found = cells(tmp_path / "observations.csv")
    assert sorted(row["observation_id"] for row in found) == sorted(wire)
    for row in found:
        known = wire[row["observation_id"]]
        assert row["effective_start"] == known["effective_start"].isoformat(timespec="microseconds").replace(
            "+00:00", "Z"
        )
        assert row["code"] == known["code"]
        for name in ("heart_rate_value", "systolic_blood_pressure_value"):
            assert (float(row[name]) if row[name] else None) == known[name]


def test_ndjson_holds_fhir_observations_one_a_line(clinic: Clinic, tmp_path: Path) -> None:
    export_study(clinic.database, STUDY, "ndjson", str(tmp_path))
    found = lines(tmp_path / "observations.ndjson")
    for one in found:
        Observation.model_validate(one)
        path = f"Observation/{one['id']}"
        assert json.loads(ask(clinic, ADMIN, "GET", path, media_type=FHIR_JSON).body or b"") == one
    assert len(found) == streamed(clinic, ADMIN, f"observations?study_id={STUDY}").num_rows
    states = {(row["patient_id"], row["code"], row["state"]) for row in lines(tmp_path / "consents.ndjson")}
    assert (40001, "omh:heart-rate:2.0", "granted") in states


@pytest.mark.parametrize("kind", KINDS)
def test_a_withdrawn_consent_is_in_no_file(clinic: Clinic, tmp_path: Path, kind: str) -> None:
    export_study(clinic.database, STUDY, kind, str(tmp_path))
    before = ids(tmp_path, kind)
    hidden = [
        id
        for [id] in rows(
            clinic.database, f"SELECT id FROM observation WHERE patient_id = 40001 AND code_id = {HEART_RATE}"
        )
    ]
    assert set(hidden) & set(before)
    clinic.call(consents.answer, PETER, 40001, answers(STUDY, {HEART_RATE: False}, reason="=1+1"))
    export_study(clinic.database, STUDY, kind, str(tmp_path))
    assert ids(tmp_path, kind) == sorted(set(before) - set(hidden))
    [answer] = [
        row
        for row in READ[kind](tmp_path / f"consents.{kind}")
        if str(row["patient_id"]) == "40001" and row["code"] == "omh:heart-rate:2.0"
    ]
    assert (answer["state"], answer["reason"]) == ("declined", "'=1+1" if kind == "csv" else "=1+1")


def test_a_long_study_is_read_a_piece_at_a_time(
    clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_formats, "GROUP", 2)
    monkeypatch.setattr("jhe_server.observations.as_fhir.AT_ONCE", 2)
    ask(clinic, MEGAN, "POST", "", bundle(*[reading(40001, HEART_RATE)] * 5), media_type=FHIR_JSON)
    for kind in KINDS:
        export_study(clinic.database, STUDY, kind, str(tmp_path))
    assert ids(tmp_path, "parquet") == ids(tmp_path, "csv") == ids(tmp_path, "ndjson")
    assert len(ids(tmp_path, "csv")) > 5


# ------------------------------------------------------------------ spreadsheets
def as_csv(folder: Path, kind: str, *values: Any) -> Path:
    file = folder / "x.csv"
    with file.open("wb") as sink:
        assert write_csv(rows_of(Table([Column("x", kind)], iter([[(value,)] for value in values]))), sink) == len(
            values
        )
    return file


@pytest.mark.parametrize("kind", ["word", "text"])
def test_no_text_in_a_csv_is_a_formula(tmp_path: Path, kind: str) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]
    assert [row["x"] for row in cells(as_csv(tmp_path, kind, *texts))] == [f"'{text}" for text in texts]


@pytest.mark.parametrize("kind", ["word", "text"])
def test_other_texts_come_back_as_they_are(tmp_path: Path, kind: str) -> None:
    texts = ['Größe "XL", 測定=1;\n🦊', "a=b", " ", "'"]
    assert [row["x"] for row in cells(as_csv(tmp_path, kind, *texts))] == texts


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("short", [-300, None], "-300\n\n"),
        ("double", [-1.5, 5e-324, 1e300], "-1.5\n5e-324\n1e+300\n"),
        ("text", ["", None], '""\n\n'),
        ("time", [0, 1], '"1970-01-01T00:00:00.000000Z"\n"1970-01-01T00:00:00.000001Z"\n'),
        ("bool", [True, False], "true\nfalse\n"),
    ],
)
def test_what_is_no_text_is_written_as_it_is(tmp_path: Path, kind: str, values: list[Any], said: str) -> None:
    assert as_csv(tmp_path, kind, *values).read_text() == '"x"\n' + said


# ------------------------------------------------------------------ whole or not at all, and on record
def test_files_are_their_owners_alone_and_replace_earlier_ones(clinic: Clinic, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    for _ in range(2):
        export_study(clinic.database, STUDY, "csv", str(folder))
    assert sorted(one.name for one in folder.iterdir()) == ["consents.csv", "observations.csv"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_each_export_is_in_the_audit_as_the_operators(clinic: Clinic, tmp_path: Path) -> None:
    told = export_study(clinic.database, STUDY, "csv", str(tmp_path))
    found = rows(
        clinic.database,
        "SELECT verb, via, study_id, outcome, count, request_id FROM audit WHERE via = 'cli' ORDER BY seq",
    )
    assert [row[:5] for row in found] == [
        ("consents.of_study", "cli", STUDY, "ok", told["consents"]),
        ("observations.search", "cli", STUDY, "ok", told["observations"]),
    ]
    assert len({row[5] for row in found}) == 1
    [(first, last)] = rows(
        clinic.database, "SELECT min(first_id), max(last_id) FROM audit_subject WHERE kind = 'patient'"
    )
    assert first == 40001 <= last


# ------------------------------------------------------------------ as it is typed
@pytest.mark.parametrize("study", [0, 39999])
def test_a_study_that_does_not_exist_leaves_no_folder(clinic: Clinic, tmp_path: Path, study: int) -> None:
    with pytest.raises(Invalid) as refusal:
        export_study(clinic.database, study, "csv", str(tmp_path / "out"))
    assert refusal.value.detail == f"There is no study {study}; say which with --study ID."
    assert not (tmp_path / "out").exists()


def test_the_command_says_how_much_it_wrote(sqlite_store: str, tmp_path: Path) -> None:
    line = CommandLine(tmp_path, sqlite_store)
    said = line.run("export", "--study", str(STUDY), "--format", "csv", "out")
    answered, measured = (len(cells(tmp_path / "out" / f"{name}.csv")) for name in ("consents", "observations"))
    assert said == f"{answered} consents, {measured} observations\n"
    (tmp_path / "file").touch()
    assert line.run("export", "--study=30001", "file/out", expect=1) == "file/out cannot be written: Not a directory.\n"
