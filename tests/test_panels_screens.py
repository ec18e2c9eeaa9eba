"""The other screens: import, studies, organizations, observations, follow-up and access review."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pandas as pd
import pytest
from conftest import ADMIN, MARY, MEGAN, PETER, TOM, VICTOR, Exchange
from viewers import Viewer, Ward

from jhe_jupyter import plots
from jhe_jupyter.panels import drawing

LAB, HOME = 20003, 30001
CSV = "email,last_name,first_name,dob\nada.csv@example.com,Ada,A,1980-01-01\nbad,Bob,B,2999-01-01\n"


@pytest.fixture
def ward(shared_exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    ward = Ward(shared_exchange, monkeypatch)
    yield ward
    ward.close()


def grid(viewer: Viewer, label: str) -> list[list[str]]:
    return next(one["rows"] for one in viewer.blocks("main") if one["kind"] == "grid" and one["label"] == label)


# ------------------------------------------------------------------ import
def test_a_csv_becomes_patients_in_a_study_with_bad_rows_named_and_mended(ward: Ward) -> None:
    megan = ward.open(MEGAN, "import_panel", study=HOME)
    megan.upload("cohort.csv", CSV.encode())
    assert [row[2] for row in grid(megan, "What to mend")] == ["email", "dob"]
    assert "New patients: 1" in megan.words("main")
    assert list(ward.exchange(MEGAN).list_patients(search="ada.csv")) == [], "planning writes nothing"
    megan.press("Apply", "main")
    assert [row[1:3] for row in grid(megan, "Result")] == [["create", "done"], ["error", "error"]]
    failed = next(one for one in megan.blocks("main") if one["kind"] == "download")
    assert failed["text"].splitlines()[1].startswith("bad,Bob,B,2999-01-01,")
    assert megan.panel.python == ["ex.plan_import('cohort.csv', 20003, study=30001).apply()"]
    megan.upload("cohort.csv", CSV.replace("bad,Bob,B,2999", "bob.csv@example.com,Bob,B,1999").encode())
    megan.press("Apply", "main")
    frame = ward.exchange(MEGAN).patients_df(study=HOME)
    assert {"ada.csv@example.com", "bob.csv@example.com"} <= set(frame["telecom_email"])


def test_a_frame_can_be_handed_over_and_a_file_that_is_none_is_refused_in_words(ward: Ward) -> None:
    frame = pd.DataFrame([{"email": "cy@example.com", "last_name": "Cy", "first_name": "C", "dob": "1980-01-01"}])
    megan = ward.open(MEGAN, "import_panel", source=frame)
    assert "Plan for the frame" in megan.words("main")
    megan.upload("letter.csv", b"Dear Madam,\nnothing")
    assert "has no column email" in megan.words("notice")


def test_what_failed_is_mended_in_its_own_file_and_loaded_again(ward: Ward) -> None:
    rows = "email,last_name,first_name,dob,phone\nbad,Fay,F,1980-01-01,+1 555 0100\n"
    megan = ward.open(MEGAN, "import_panel", study=HOME)
    megan.upload("cohort.csv", (rows + "gus.csv@example.com,Gus,G,1980-01-01,\n").encode())
    megan.press("Apply", "main")
    failed = next(one for one in megan.blocks("main") if one["kind"] == "download")["text"]
    assert "'+1 555 0100" in failed, "a spreadsheet opens it as text"
    megan.upload("not-imported.csv", failed.replace("bad,", "fay.csv@example.com,").encode())
    assert "No errors, 1 warning." in megan.words("main")
    megan.press("Apply", "main")
    (fay,) = ward.exchange(MEGAN).list_patients(search="fay.csv")
    assert fay["telecomPhone"] == "+1 555 0100"


def test_a_long_import_shows_how_far_it_is_and_stops_when_asked(ward: Ward) -> None:
    rows = [
        {"email": f"l{n}@example.com", "last_name": f"L{n}", "first_name": "L", "dob": "1980-01-01"} for n in range(600)
    ]
    megan = ward.open(MEGAN, "import_panel", source=pd.DataFrame(rows))
    screen = megan.panel.screen
    came = screen._came

    def stop_after_the_first(done: int, total: int) -> bool:
        screen.stopped = True
        return came(done, total)

    screen._came = stop_after_the_first
    megan.press("Apply", "main")
    shown = [one for message in megan.messages for one in message.get("blocks", []) if one["kind"] == "progress"]
    assert (shown[0]["value"], shown[-1]["max"]) == (0, 600)
    assert len(list(ward.exchange(MEGAN).list_patients(search="l"))) < 600
    assert "250 done" in megan.words("main")
    assert "It was cancelled there" in megan.words("notice")


def test_a_viewer_is_offered_no_import(ward: Ward) -> None:
    assert "Import" not in ward.open(VICTOR).part("tabs")["tabs"]


# ------------------------------------------------------------------ studies
def test_a_study_is_made_filled_changed_and_deleted(ward: Ward) -> None:
    mary = ward.open(MARY, "studies_panel", organization=LAB)
    mary.press("Create Study…", "bar")
    mary.press("Create", name="Sleep", description="How well", contact="sleep@example.com", dataAfterWithdrawal="keep")
    (id,) = [int(row[0]) for row in mary.rows if row[1] == "Sleep"]
    mary.act("View", "Sleep")
    mary.press("Add", **{"new-code": "50004"})
    assert "Heart Rate was added to Sleep." in mary.words("notice")
    exchange = ward.exchange(MARY)
    assert [code["id"] for code in exchange.get_study(id)["scopeRequests"]] == [50004]
    exchange.enroll(id, [40001])
    exchange.set_consents(40001, id, {"heart-rate": True})
    mary.press("Close")
    mary.act("View", "Sleep")
    bars = next(one["bars"] for one in mary.blocks("dialog") if one["kind"] == "bars")
    assert [[part["count"] for part in bar["parts"]] for bar in bars] == [[1, 0], [1, 0, 0]]
    mary.press("Remove", id=50004)
    assert "1 answer to it." in mary.words("dialog")
    mary.press("Remove")
    assert exchange.get_study(id)["scopeRequests"] == []
    mary.press("Close")
    mary.act("Edit", "Sleep")
    mary.press("Update", description="How well and how long")
    assert exchange.get_study(id)["description"] == "How well and how long"
    mary.act("Delete", "Sleep")
    assert "1 enrolment and 0 answers end with it." in mary.words("dialog")
    mary.press("Delete")
    assert "Sleep" not in mary.column("Name")
    done = [line.split("(")[0].removeprefix("ex.") for line in mary.panel.python]
    assert done == ["post_study", "post_scope_request", "delete_scope_request", "patch_study", "delete_study"]


def test_who_changes_a_study_meanwhile_is_not_overwritten(ward: Ward) -> None:
    mary = ward.open(MARY, "studies_panel", organization=LAB)
    study = mary.rows[0][1]
    mary.act("Edit", study)
    ward.exchange(MEGAN).patch_study(HOME, {"contact": "megan@example.com"})
    mary.press("Update", contact="mary@example.com")
    assert mary.field("Contact")["error"] == "Somebody else has just changed this to “megan@example.com”."
    assert ward.exchange(MEGAN).get_study(HOME)["contact"] == "megan@example.com"


def test_what_happens_after_a_withdrawal_is_for_managers_to_say(ward: Ward) -> None:
    megan = ward.open(MEGAN, "studies_panel")
    megan.press("Create Study…", "bar")
    assert megan.field("Data after a withdrawal")["disabled"]
    victor = ward.open(VICTOR, "studies_panel")
    assert victor.labels("bar") == []
    victor.act("View", victor.rows[0][1])
    assert victor.labels("dialog") == ["Close"]


# ------------------------------------------------------------------ organizations
def test_the_tree_leads_to_an_organization_its_people_and_studies(ward: Ward) -> None:
    mary = ward.open(MARY, "organizations_panel", organization=LAB)
    (tree,) = [one for one in mary.blocks("main") if one["kind"] == "tree"]
    assert [tree["nodes"][0]["id"], tree["nodes"][0]["children"][0]["children"][0]["id"]] == [20001, LAB]
    assert "viewer_victor@example.com (Victor Viewer): viewer" in mary.words("main")
    mary.press("Create Sub-organization…", "bar")
    mary.press("Create", name="Night lab", type="laboratory")
    made = next(one for one in ward.exchange(MARY).list_organizations() if one["name"] == "Night lab")
    assert made["partOf"] == LAB
    mary.send({"part": "main", "name": "choose", "id": made["id"], "values": {}})
    mary.press("Add Member…", "main")
    mary.press("Add", email=TOM, role="member")
    assert f"{TOM} is now member of Night lab." in mary.words("notice")
    tom = next(one for one in ward.exchange(MARY).list_organization_users(made["id"]) if one["email"] == TOM)
    mary.press("Change role…", "main", id=tom["id"])
    mary.press("Update", role="viewer")
    mary.press("Remove", "main", id=tom["id"])
    mary.press("Remove")
    assert TOM not in mary.words("main")
    mary.press("Delete…", "bar")
    mary.press("Delete")
    assert "Night lab" not in mary.words("main")


def test_the_last_manager_stays_and_the_panel_says_why(ward: Ward) -> None:
    mary = ward.open(MARY, "organizations_panel", organization=LAB)
    me = ward.exchange(MARY).get_user()["id"]
    mary.press("Remove", "main", id=me)
    mary.press("Remove")
    assert "manager" in mary.words("dialog")
    assert mary.asked


def test_a_viewer_finds_no_control_in_organizations(ward: Ward) -> None:
    victor = ward.open(VICTOR, "organizations_panel")
    assert victor.labels("bar") + victor.labels("main") == []


# ------------------------------------------------------------------ observations
def test_observations_are_filtered_opened_drawn_and_handed_to_pandas(ward: Ward) -> None:
    megan = ward.open(MEGAN, "observations_panel", study=HOME)
    assert megan.table["total"] == 4
    megan.choose("Patient", PETER)
    megan.choose("Data type", "omh:blood-pressure:4.0")
    assert (megan.table["total"], megan.column("Data type")) == (1, ["Blood pressure"])
    assert "mmHg" in megan.column("Value")[0]
    megan.send({"part": "main", "name": "observations.view", "id": int(megan.rows[0][0]), "values": {}})
    assert '"systolic_blood_pressure"' in megan.words("dialog")
    megan.press("Close")
    megan.press("Plot", "bar")
    (image,) = megan.blocks("figure")
    assert image["source"].startswith("data:image/")
    megan.press("To DataFrame", "bar")
    assert len(megan.panel.screen.df) == 1
    line = megan.panel.python[-1].removeprefix("df = ")
    assert len(eval(line, {"ex": ward.exchange(MEGAN)})) == 1
    megan.choose("Before", "2000-01-01")
    assert (megan.table["total"], megan.blocks("figure")) == (0, [])


def test_nobody_is_shown_for_a_patient_who_is_not_known(ward: Ward) -> None:
    mary = ward.open(MARY, organization=LAB)
    for screen in ("Observations", "Access review"):
        mary.turn_to(screen)
        mary.choose("Patient", PETER)
        assert mary.rows
        mary.choose("Patient", "Nobody Known")
        assert "No patient is called 'Nobody Known'." in mary.field("Patient", "bar")["error"]
        assert mary.rows == [], "not those of whoever was asked for before"
        mary.choose("Patient", "")
        assert mary.rows
        assert mary.field("Patient", "bar")["error"] is None


def test_a_plot_and_a_frame_are_of_what_the_filters_say(ward: Ward) -> None:
    megan = ward.open(MEGAN, "observations_panel", study=HOME)
    megan.choose("Data type", "omh:blood-pressure:4.0")
    (source,) = set(megan.column("Data source"))
    other = next(id for id, name in megan.field("Data source", "bar")["options"] if id and name != source)
    megan.choose("Data source", other)
    assert megan.rows == []
    megan.press("Plot", "bar")
    assert "There is nothing to plot" in megan.words("notice")
    megan.choose("Patient", "Nobody Known")
    megan.press("To DataFrame", "bar")
    assert "No patient is called 'Nobody Known'." in megan.words("notice")


def test_every_plot_that_fits_a_data_type_is_one_that_notebooks_use() -> None:
    assert set(drawing.FITTING.values()) <= set(plots.__all__)


# ------------------------------------------------------------------ follow-up and review
def test_follow_up_says_who_has_not_come_further_and_what_to_do(ward: Ward) -> None:
    megan = ward.open(MEGAN, "followup_panel", study=30002)
    states = dict(zip(megan.column("Patient"), megan.column("State"), strict=True))
    assert states["Petersen, Peter"] == "not invited"
    megan.choose("State", "not invited")
    assert megan.column("Patient") == ["Petersen, Peter"]
    assert megan.column("Next") == ["invite"]
    megan.tick("Petersen")
    megan.press("Invite…", "bar")
    megan.press("Generate Invitation Links")
    megan.press("Close")
    megan.choose("State", "")
    assert "invited" in megan.column("State")
    megan.act("View", "Petersen")
    assert "Generate Invitation Link" in megan.labels("dialog")


def test_managers_review_who_read_whom(ward: Ward) -> None:
    ward.exchange(VICTOR).get_patient(40002)
    mary = ward.open(MARY, "review_panel")
    mary.choose("Patient", "40002")
    mary.choose("Person", str(ward.exchange(VICTOR).get_user()["id"]))
    assert set(mary.column("Who")) == {VICTOR}
    assert "patients.get" in mary.column("Did")
    mary.choose("From", f"{datetime.now(UTC).year + 1}-01-01")
    assert mary.table["total"] == 0
    assert "Access review" not in ward.open(MEGAN).part("tabs")["tabs"]


# ------------------------------------------------------------------ registers
def test_a_superuser_keeps_accounts_data_sources_and_clients(ward: Ward) -> None:
    admin = ward.open(ADMIN)
    admin.turn_to("Registers")
    admin.press("Create practitioner…", "bar")
    admin.press("Create", email="new.doc@example.com", firstName="New", lastName="Doc")
    assert "new.doc@example.com" in admin.column("E-mail")
    admin.act("Edit", "new.doc@example.com")
    admin.press("Update", disabled=True)
    locked = dict(zip(admin.column("E-mail"), admin.column("Locked"), strict=True))
    assert locked["new.doc@example.com"] == "yes"
    admin.act("Delete", "new.doc@example.com")
    admin.press("Delete")
    assert "new.doc@example.com" not in admin.column("E-mail")
    admin.choose("Register", "client")
    admin.press("Create client…", "bar")
    admin.press("Create", name="A safe", invitationUrl="https://safe.example.com/CODE", confidential=True)
    secret = next(one["text"] for one in admin.blocks("dialog") if one["kind"] == "code")
    assert secret
    assert secret not in "".join(admin.panel.python)
    admin.press("Close")
    admin.choose("Register", "data_source")
    admin.press("Create data source…", "bar")
    admin.press("Create", name="Ring", type="personal_device")
    assert "Ring" in admin.column("Name")
    assert "Registers" not in ward.open(MARY).part("tabs")["tabs"]
