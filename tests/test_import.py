"""Importing a cohort through a real server: planned, mended, applied, cut off and taken up again."""

from __future__ import annotations

import io
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MARY, MEGAN, PERCY, PETER, wait_for
from conftest import Exchange as Server

import jhe_jupyter as jhe
from jhe_jupyter import cohort
from jhe_jupyter.cohort import Plan
from jhe_jupyter.exchange import Exchange

HEADER = "E-mail;Family name;Given name;dob;phone;ward\n"


def line(email: str, family: str = "Import", given: str = "Ida", dob: str = "1980-01-31") -> str:
    return f"{email};{family};{given};{dob};555;B\n"


def fresh() -> str:
    return f"ida-{uuid.uuid4().hex}@example.com"


@pytest.fixture(scope="module")
def mary(shared_exchange: Server) -> Iterator[Exchange]:
    with jhe.connect(shared_exchange.address, shared_exchange.token(MARY)) as exchange:
        yield exchange


def plan_of(exchange: Exchange, *lines: str, study: object = None) -> Plan:
    return exchange.plan_import(io.StringIO(HEADER + "".join(lines)), organization="Wearables Lab", study=study)


def test_a_plan_says_what_would_happen_and_writes_nothing(mary: Exchange) -> None:
    before = len(mary.patients_df())
    new = fresh()
    plan = plan_of(
        mary,
        line(new),
        line(PETER, "Petersen", "Peter", "1980-01-15"),
        line("no-address"),
        line(fresh(), dob="31.01.1980"),
        "short;line\n",
        line(new),
    )
    assert plan.summary().to_dict() == {"create": 1, "link": 0, "enrol": 0, "unchanged": 2, "error": 3}
    assert repr(plan) == "<Plan for the file: 1 create, 2 unchanged, 3 error>"
    assert plan.rows["action"].tolist() == ["create", "unchanged", "error", "error", "error", "unchanged"]
    assert plan.rows.loc[1, "patient_id"] == 40001
    report = plan.report
    assert list(report.columns) == ["row", "line", "field", "severity", "message", "fix"]
    errors = report[report["severity"] == "error"]
    assert errors[["row", "line"]].to_numpy().tolist() == [[3, 4], [4, 5], [5, 6]]
    assert errors["field"].fillna("").tolist() == ["E-mail", "dob", ""]
    assert "YYYY-MM-DD" in errors["fix"].tolist()[1]
    [warning] = report[report["severity"] == "warning"].to_dict("records")
    assert (warning["field"], warning["line"]) == ("ward", 1)
    assert "no-address" not in plan._repr_html_()
    assert len(mary.patients_df()) == before


def test_applying_does_it_once_however_often(mary: Exchange) -> None:
    study = mary.create_study(f"Import {uuid.uuid4().hex}", "", "Wearables Lab")
    emails = [fresh(), fresh()]
    plan = plan_of(mary, *map(line, emails), line("no-address"), study=study)
    result = plan.apply(progress=False)
    assert list(result.columns) == ["row", "action", "status", "patient_id", "message", "invitation_link"]
    assert result["status"].tolist() == ["done", "done", "error"]
    assert result["message"].tolist()[2].startswith("E-mail: ")
    enrolled = mary.patients_df(study=study)
    assert sorted(enrolled["telecom_email"]) == sorted(emails)
    assert sorted(enrolled["patient_id"]) == sorted(result["patient_id"].dropna())
    again = plan.apply(progress=False)
    assert again["action"].tolist() == ["unchanged", "unchanged", "error"]
    assert again["status"].tolist() == ["done", "done", "error"]
    assert len(mary.patients_df(study=study)) == 2


def test_five_bad_rows_among_a_thousand(mary: Exchange, tmp_path: Path) -> None:
    lines = [line(fresh(), '"von\nImport"' if number % 100 == 0 else "Import") for number in range(1000)]
    lines[10] = line("nowhere")
    lines[200] = line(fresh(), dob="1980-02-30")
    lines[333] = "a;b\n"
    lines[501] = line(fresh(), given=" ")
    lines[999] = line("")
    file = tmp_path / "cohort.csv"
    file.write_bytes(("\ufeff" + HEADER + "".join(lines)).replace("\n", "\r\n").encode())
    plan = mary.plan_import(file, organization=20003)
    errors = plan.report.query("severity == 'error'")
    # Every hundredth record takes two lines of the file, so lines run ahead of rows.
    expected = [(11, 13, "E-mail"), (201, 204, "dob"), (334, 338, ""), (502, 508, "Given name"), (1000, 1010, "E-mail")]
    assert list(errors[["row", "line", "field"]].fillna("").itertuples(index=False, name=None)) == expected
    result = plan.apply(progress=False)
    assert result["status"].value_counts().to_dict() == {"done": 995, "error": 5}
    first = mary.get_patient(int(result.loc[0, "patient_id"]))
    assert first["nameFamily"] == "von Import"


def test_an_identifier_of_somebody_else_and_a_study_of_elsewhere_are_errors(mary: Exchange) -> None:
    taken = f"MRN-{uuid.uuid4().hex}"
    mary.create_patient(fresh(), "Taken", "Tea", "1980-01-01", 20003, identifiers=taken)
    rows = [
        {"email": fresh(), "last_name": "A", "first_name": "B", "dob": "1980-01-01", "MRN": taken},
        {"email": fresh(), "last_name": "A", "first_name": "B", "dob": "1980-01-01", "study_id": "30004"},
    ]
    report = mary.plan_import(rows, organization=20003).report
    assert report["field"].tolist() == ["MRN", "study_id"]
    assert report["line"].isna().all()


def test_someone_known_elsewhere_is_linked(mary: Exchange) -> None:
    plan = plan_of(mary, line(PERCY, "Pulse", "Percy", "1968-11-30"))
    assert plan.summary()["link"] == 1
    assert plan.apply(progress=False)["action"].tolist() == ["link"]
    mary.remove_patient(PERCY, 20003)


def test_a_plan_made_on_a_world_that_changed_says_what_changed(mary: Exchange) -> None:
    email = fresh()
    plan = plan_of(mary, line(email))
    mary.create_patient(email, "Import", "Ida", "1980-01-31", "Wearables Lab", phone="555")
    [row] = plan.apply(progress=False).to_dict("records")
    assert (row["action"], row["status"]) == ("unchanged", "changed")
    assert row["message"] == "planned as create, but meanwhile it is unchanged"


def test_inviting_while_importing_gives_everybody_a_link_once(mary: Exchange) -> None:
    plan = plan_of(mary, line(fresh()), line(fresh()))
    links = plan.apply(invite=True, progress=False)["invitation_link"]
    assert links.notna().all()
    assert links.nunique() == 2
    assert plan.apply(invite=True, progress=False)["invitation_link"].isna().all()


def test_an_empty_list_is_a_plan_of_nothing(mary: Exchange) -> None:
    plan = plan_of(mary)
    assert plan.summary().sum() == 0
    assert plan.report.query("severity == 'error'").empty
    assert plan.apply(progress=False).empty


def test_who_may_not_import_is_told_before_anything(shared_exchange: Server) -> None:
    with jhe.connect(shared_exchange.address, shared_exchange.token(MEGAN)) as megan, pytest.raises(jhe.Forbidden):
        megan.plan_import(io.StringIO(HEADER + line(fresh())), organization=20007)


def test_the_bar_counts_rows(mary: Exchange, capsys: pytest.CaptureFixture[str]) -> None:
    plan_of(mary, line(fresh()), line(fresh())).apply()
    assert "2/2" in capsys.readouterr().err


def test_a_server_killed_half_way_is_finished_by_running_it_again(
    sqlite_exchange: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort, "APPLIED_AT_ONCE", 10)
    lines = [line(f"kill-{number}@example.com") for number in range(400)]
    with jhe.connect(sqlite_exchange.address, sqlite_exchange.token(MARY)) as mary:
        plan = plan_of(mary, *lines, study="Blood pressure follow-up")
        caught: list[jhe.ImportInterrupted] = []

        def apply() -> None:
            try:
                plan.apply(progress=False)
            except jhe.ImportInterrupted as error:
                caught.append(error)

        run = threading.Thread(target=apply)
        run.start()
        with jhe.connect(sqlite_exchange.address, sqlite_exchange.token(MARY)) as other:
            wait_for(lambda: len(other.patients_df(search="kill-")) >= 30, 30)
        sqlite_exchange.stop(signal.SIGKILL)
        run.join()
        [error] = caught
        assert "run plan.apply() again to finish" in str(error)
        done = error.done
        assert 0 < len(done) < 400
        assert set(done["status"]) == {"done"}
        sqlite_exchange.start()
        there = mary.patients_df(search="kill-")
        assert set(done["patient_id"]) <= set(there["patient_id"]), "whatever was answered is there"
        result = plan.apply(progress=False)
        assert set(result["action"]) <= {"create", "unchanged"}
        assert "error" not in set(result["status"])
        everybody = mary.patients_df(search="kill-")
        assert len(everybody) == everybody["telecom_email"].nunique() == 400
        assert len(mary.patients_df(study="Blood pressure follow-up")) == 402
