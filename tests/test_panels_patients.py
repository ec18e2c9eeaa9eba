"""The Patients panel as a browser uses it: the guide's journey by its labels, refusals where they belong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import MARY, MEGAN, PAMELA, PERCY, PETER, VICTOR, Exchange
from viewers import Viewer, Ward

LAB, AGAIN, BORN = 20003, 30002, "1980-01-01"
NEW = {"telecomEmail": "nora.newcomer@example.com", "nameFamily": "Newcomer", "nameGiven": "Nora"}
WRITING = {"Add Patient…", "Add Patient(s) to Study…", "Remove Patient(s) from Study", "Invite…"}


@pytest.fixture
def ward(shared_exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    """One server for all of them: every test works on people of its own."""
    ward = Ward(shared_exchange, monkeypatch)
    yield ward
    ward.close()


@pytest.fixture
def megan(ward: Ward) -> Viewer:
    return ward.open(MEGAN, "patients_panel")


def made(ward: Ward, name: str, number: int = 1, study: int | None = None) -> list[int]:
    """New patients of the lab: `name.001@example.com`, …"""
    rows = [
        {
            "row": at,
            "email": f"{name}.{at:03}@example.com",
            "last_name": f"{name}{at:03}",
            "first_name": "A",
            "dob": BORN,
        }
        for at in range(1, number + 1)
    ]
    answer = ward.exchange(MEGAN).post_import(LAB, study, rows, dry_run=False)
    return [one["patientId"] for one in answer["results"]]


def test_the_table_has_the_guides_columns_and_a_row_for_each_patient(megan: Viewer) -> None:
    titles = [column["title"] for column in megan.table["columns"]]
    assert titles[:7] == ["ID", "External identifier", "Family name", "Given name", "DOB", "E-mail", "Cell"]
    assert titles[7:] == ["Studies pending", "Studies answered"]
    assert megan.column("E-mail")[:2] == [PETER, PAMELA]
    assert [megan.column(title)[0] for title in titles[7:]] == ["1", "1"]


def test_pages_turn_jump_sort_and_keep_who_is_ticked_by_id(ward: Ward, megan: Viewer) -> None:
    made(ward, "page", 45)
    megan.choose("Search", "page")
    assert (len(megan.rows), megan.table["total"]) == (20, 45)
    megan.tick("page.001")
    assert megan.part("marks")["heard"] == megan.part("marks")["selected"], "the browser is told that it was heard"
    megan.turn("page", 3)
    assert megan.column("E-mail")[-1] == "page.045@example.com"
    megan.tick("page.045")
    assert len(megan.rows) == 5
    megan.turn("sort", "-nameFamily")
    assert megan.column("Family name")[0] == "page045"
    assert len(megan.table["selected"]) == 2
    megan.turn("per_page", 100)
    assert (len(megan.rows), megan.table["page"]) == (45, 1)
    assert list(megan.panel.selected_df["telecom_email"]) == ["page.001@example.com", "page.045@example.com"]


def test_a_page_that_has_meanwhile_gone_becomes_the_last_one(ward: Ward, megan: Viewer) -> None:
    going = made(ward, "gone", 22)[2:]
    megan.choose("Search", "gone")
    megan.turn("page", 2)
    exchange = ward.exchange(MEGAN)
    for id in going:
        exchange.remove_patient(id, LAB)
    megan.turn("page", 2)
    assert (megan.table["page"], megan.column("Family name")) == (1, ["gone001", "gone002"])


def test_search_finds_the_beginning_of_a_name_or_an_email(megan: Viewer) -> None:
    megan.choose("Search", "ll_patient_pe")
    assert megan.column("E-mail") == [PETER]
    megan.choose("Search", "Zz")
    assert megan.table["empty"] == "Nobody's name or e-mail begins like this."
    megan.choose("Search", "")
    assert PAMELA in megan.column("E-mail")


def test_an_unknown_email_leads_to_the_form_and_create_makes_the_patient(ward: Ward, megan: Viewer) -> None:
    megan.choose("Search", "nora")
    megan.press("Add Patient…", "bar")
    assert "Create" not in megan.labels("dialog")
    megan.press("Lookup", telecomEmail=NEW["telecomEmail"])
    megan.press("Create", **NEW, birthDate=BORN, telecomPhone="555-1234", identifier="MRN-1")
    assert not megan.asked
    assert megan.column("E-mail") == [NEW["telecomEmail"]]
    found = ward.exchange(MEGAN).lookup_patient(external_id="MRN-1")
    assert (found["nameGiven"], found["birthDate"], found["telecomPhone"]) == ("Nora", BORN, "555-1234")
    line = "ex.create_patient('nora.newcomer@example.com', 'Newcomer', 'Nora', '1980-01-01', 20003, "
    assert megan.panel.python == [line + "phone='555-1234', identifiers='MRN-1')"]


def test_what_is_missing_or_refused_is_said_at_its_field(megan: Viewer) -> None:
    megan.press("Add Patient…", "bar")
    megan.press("Lookup")
    assert megan.field("Patient E-mail")["error"] == "An e-mail address is needed."
    megan.press("Lookup", telecomEmail="not an address")
    megan.press("Create", **{**NEW, "telecomEmail": "not an address"}, birthDate="2999-01-01")
    assert megan.field("DOB")["error"]
    assert megan.field("Patient E-mail")["error"]
    assert megan.part("dialog")["focus"] == "telecomEmail"
    megan.press("Create", **{**NEW, "nameGiven": ""}, birthDate=BORN)
    assert megan.field("Given Name")["error"] == "A given name is needed."


def test_who_is_known_elsewhere_is_shown_and_update_adds_them(ward: Ward, megan: Viewer) -> None:
    megan.press("Add Patient…", "bar")
    megan.press("Lookup", telecomEmail=PERCY)
    assert "This Patient already exists. Click the Update button below" in megan.words("dialog")
    assert "Create" not in megan.labels("dialog")
    megan.press("Update")
    megan.choose("Search", PERCY)
    assert megan.column("E-mail") == [PERCY]
    assert megan.panel.python == ["ex.add_patient_to_organization(40003, 20003)"]
    megan.press("Add Patient…", "bar")
    megan.press("Lookup", telecomEmail=PERCY)
    assert "Update" not in megan.labels("dialog"), "who is here already has nothing to be updated"


def test_edit_sends_what_was_changed_and_leaves_the_email_alone(ward: Ward, megan: Viewer) -> None:
    (id,) = made(ward, "edit")
    megan.choose("Search", "edit")
    megan.act("Edit", "edit.001")
    assert megan.field("E-mail")["readonly"]
    megan.press("Update", telecomPhone="555-0199")
    assert megan.column("Cell") == ["555-0199"]
    assert megan.panel.python == [f"ex.update_patient({id}, phone='555-0199')"]


def test_identifiers_are_added_and_taken_away(ward: Ward, megan: Viewer) -> None:
    megan.act("Edit", PETER)
    megan.press("Update", value1="", value3="K-7", system3="urn:oid:1.2.3.9")
    record = ward.exchange(MEGAN).get_patient(40001)
    assert [(one["system"], one["value"]) for one in record["identifiers"]] == [
        ("urn:oid:1.2.3.4", "E1234"),
        ("urn:oid:1.2.3.9", "K-7"),
    ]


def test_two_who_change_the_same_field_are_both_told(ward: Ward, megan: Viewer) -> None:
    (id,) = made(ward, "both")
    megan.choose("Search", "both")
    megan.act("Edit", "both.001")
    ward.exchange(MARY).update_patient(id, given_name="Pjotr", phone="555-1")
    megan.press("Update", nameGiven="Petr")
    assert megan.field("Given Name")["error"] == "Somebody else has just changed this to “Pjotr”."
    assert ward.exchange(MEGAN).get_patient(id)["nameGiven"] == "Pjotr"
    megan.press("Update", nameGiven="Petr")
    record = ward.exchange(MEGAN).get_patient(id)
    assert (record["nameGiven"], record["telecomPhone"]) == ("Petr", "555-1"), "the other field is not overwritten"


def test_remove_shows_what_goes_along_asks_and_cancel_keeps(ward: Ward, megan: Viewer) -> None:
    (id,) = made(ward, "leave", study=AGAIN)
    megan.choose("Search", "leave")
    megan.act("Remove", "leave.001")
    assert "Are you sure you want to delete this entire record?" in megan.words("dialog")
    assert "Blood pressure follow-up: 0 answers" in megan.words("dialog")
    assert megan.labels("dialog") == ["Cancel", "Delete"], "the safe one comes first"
    megan.press("Cancel")
    assert len(megan.rows) == 1
    megan.act("Remove", "leave.001")
    megan.press("Delete")
    assert megan.rows == []
    assert megan.panel.python == [f"ex.remove_patient({id}, 20003)"]


def test_the_ticked_are_enrolled_and_taken_out_again(ward: Ward, megan: Viewer) -> None:
    made(ward, "enrol", 2)
    megan.choose("Search", "enrol")
    assert megan.button("Add Patient(s) to Study…", "bar")["disabled"]
    megan.tick("enrol.001", "enrol.002")
    megan.press("Add Patient(s) to Study…", "bar")
    megan.press("Add")
    assert megan.field("Study")["error"] == "A study is needed."
    megan.press("Add", study_id=str(AGAIN))
    assert "2 patients added to" in megan.words("notice")
    assert megan.table["selected"] == [], "who was dealt with is no longer ticked"
    megan.choose("Study", str(AGAIN))
    assert len(megan.rows) == 2
    megan.tick("enrol.002")
    megan.press("Remove Patient(s) from Study", "bar")
    assert "0 answers to this study are withdrawn" in megan.words("dialog")
    megan.press("Remove")
    assert megan.column("Family name") == ["enrol001"]
    assert [line[:16] for line in megan.panel.python] == ["ex.enroll(30002,", "ex.unenroll(3000"]


def test_view_shows_what_is_pending_and_answered(megan: Viewer) -> None:
    megan.act("View", PETER)
    said = megan.words("dialog")
    assert said.index("Studies Pending Response") < said.index("Studies Responded To")
    answers = [one["answers"] for one in megan.blocks("dialog") if one["kind"] == "answers"]
    assert [[one["consented"] for one in study] for study in answers] == [[None], [True, True]]
    assert megan.panel.patient is not None
    assert megan.panel.patient["id"] == 40001


def test_an_invitation_is_shown_once_to_copy_print_and_cancel(ward: Ward, megan: Viewer) -> None:
    megan.act("View", PETER)
    assert megan.field("Send link by email")["value"] is False
    megan.press("Generate Invitation Link")
    link = megan.field("Invitation link")["value"]
    assert "cloud_sharing=" in link
    assert [one["text"] for one in megan.blocks("dialog") if one["kind"] == "copy"] == [link]
    assert {"Copy to Clipboard", "Print QR page"} <= set(megan.labels("dialog"))
    assert not list(ward.server.folder.glob("outbox/*"))
    assert link not in "".join(megan.panel.python)
    megan.press("Cancel the open invitation")
    assert {one["status"] for one in ward.exchange(MEGAN).list_invitations(40001)} == {"cancelled"}
    megan.press("Generate Invitation Link", send_email=True)
    assert "the mail lies in the outbox folder" in megan.words("dialog")


def test_many_are_invited_at_once_and_their_links_can_be_taken_home(ward: Ward, megan: Viewer) -> None:
    ids = made(ward, "many", 2)
    megan.choose("Search", "many")
    megan.tick("many.001", "many.002")
    megan.press("Invite…", "bar")
    megan.press("Generate Invitation Links")
    links = next(one for one in megan.blocks("dialog") if one["kind"] == "grid")
    assert [row[0] for row in links["rows"]] == [str(id) for id in ids]
    assert all("cloud_sharing=" in row[2] for row in links["rows"])
    assert megan.panel.python == [f"[ex.invite(patient) for patient in {ids}]"]


def test_a_link_can_be_for_another_client_and_each_open_one_is_cancelled_by_itself(ward: Ward, megan: Viewer) -> None:
    (id,) = made(ward, "apps")
    clients = {one["name"]: one["id"] for one in ward.exchange(MEGAN).list_clients() if one["invitationUrl"]}
    name, client = next(iter(clients.items()))
    megan.choose("Search", "apps")
    megan.act("View", "apps.001")
    assert [one for _, one in megan.field("Client")["options"]] == ["Default client", *clients]
    megan.press("Generate Invitation Link")
    megan.press("Generate Invitation Link", client_id=str(client))
    assert megan.panel.python == [f"ex.invite({id})", f"ex.invite({id}, client={client})"]
    known = ward.exchange(MEGAN)
    issued = {one["clientId"]: one["id"] for one in known.list_invitations(id) if one["status"] == "issued"}
    assert len(issued) == 2
    assert f"An invitation to {name} is open until" in megan.words("dialog")
    megan.press("Cancel the open invitation", id=issued[client])
    assert [one["clientId"] for one in known.list_invitations(id) if one["status"] == "issued"] != [client]
    history = next(one["rows"] for one in megan.blocks("dialog") if one["kind"] == "grid")
    assert {(row[0], row[1]) for row in history} >= {(name, "cancelled")}
    megan.press("Close")
    megan.tick("apps.001")
    megan.press("Invite…", "bar")
    megan.press("Generate Invitation Links", client_id=str(client))
    assert megan.panel.python[-1] == f"[ex.invite(patient, client={client}) for patient in {[id]}]"
    (issued_now,) = [
        one for one in known.list_invitations(id) if one["status"] == "issued" and one["clientId"] == client
    ]
    assert issued_now["id"] not in issued.values()


def test_everything_is_withdrawn_on_behalf_of_a_patient_with_a_reason(ward: Ward, megan: Viewer) -> None:
    (id,) = made(ward, "stop", study=AGAIN)
    megan.choose("Search", "stop")
    megan.act("View", "stop.001")
    megan.press("Withdraw all…", id=AGAIN)
    assert "pending, will decline" in megan.words("dialog")
    megan.press("Withdraw all")
    assert megan.field("Reason")["error"] == "A reason is needed."
    megan.press("Withdraw all", reason="by telephone")
    assert megan.title == "stop001, A", "back in the record"
    frame = ward.exchange(MEGAN).consents_df(study=AGAIN, patient=id)
    assert set(zip(frame["state"], frame["reason"], strict=True)) == {("declined", "by telephone")}
    assert megan.panel.python == [f"ex.withdraw_consents({id}, {AGAIN}, reason='by telephone')"]


def test_an_answer_is_recorded_on_behalf_of_a_patient_with_a_reason(ward: Ward, megan: Viewer) -> None:
    (id,) = made(ward, "said", study=AGAIN)
    megan.choose("Search", "said")
    megan.act("View", "said.001")
    megan.press("Record answers…", id=AGAIN)
    megan.press("Record", reason="said so")
    assert "Choose an answer" in megan.words("dialog")
    megan.press("Record", **{"omh:blood-pressure:4.0": "no"})
    assert megan.field("Reason")["error"] == "A reason is needed."
    megan.press("Record", **{"omh:blood-pressure:4.0": "no", "reason": "by telephone"})
    assert megan.title == "said001, A", "back in the record"
    (row,) = ward.exchange(MEGAN).consents_df(study=AGAIN, patient=id).to_dict("records")
    assert (row["state"], row["reason"]) == ("declined", "by telephone")
    assert megan.column("Studies answered") == ["1"]
    megan.press("History of answers…")
    (row,) = next(one["rows"] for one in megan.blocks("dialog") if one["kind"] == "grid")
    assert row[1:] == ["Blood pressure follow-up", "Blood pressure", "declined", "Megan Member", "by telephone"]
    megan.press("Back")
    assert megan.title == "said001, A"


def test_a_viewer_sees_everything_and_no_control_they_may_not_use(ward: Ward) -> None:
    victor = ward.open(VICTOR, "patients_panel")
    assert PETER in victor.column("E-mail")
    assert not WRITING & set(victor.labels("bar"))
    assert [one["label"] for one in victor.table["actions"]] == ["View"]
    victor.act("View", PETER)
    assert "Studies Responded To" in victor.words("dialog")
    assert set(victor.labels("dialog")) <= {"Close", "History of answers…"}


def test_what_a_control_does_not_offer_is_refused_by_the_exchange_in_its_own_words(ward: Ward) -> None:
    victor = ward.open(VICTOR, "patients_panel")
    victor.send({"part": "main", "name": "patients.remove", "id": 40001, "values": {}})
    assert "You do not have permission to perform this action." in victor.words("dialog")
    assert PETER in victor.column("E-mail")
