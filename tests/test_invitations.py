"""Invitations: the guide's link and any client's, shown once, retired by the next, expired by time, mailed if asked."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Any

import pytest
from conftest import ADMIN, MARK, MARY, MEGAN, PAMELA, PETER, TOM, VICTOR, Clinic
from indoors import answered, ask, rows
from sqlalchemy import update

from jhe_server import departures, invitations
from jhe_server.db import now
from jhe_server.errors import Conflict, Forbidden, Invalid, NotFound
from jhe_server.invitations import InvitationRow, InvitationSearch, NewInvitation, SendEmail
from jhe_server.patients import InOrganization
from jhe_server.settings import GUIDE_PREFIX

PLAIN = SendEmail()
GUIDES_LINK = re.compile(re.escape(GUIDE_PREFIX) + r"jhe\.example\.org\|([A-Za-z0-9]{32})")


def statuses(clinic: Clinic, patient: int = 40001) -> list[str]:
    page = clinic.call(invitations.search, MEGAN, InvitationSearch(patient_id=patient))
    return [one.status for one in page.results]


def outlived(clinic: Clinic) -> None:
    """Every invitation as it is once its time is over."""
    with clinic.database.write() as session:
        session.execute(update(InvitationRow).values(expires=now() - timedelta(seconds=1)))


def test_the_guides_call_answers_the_guides_link(clinic: Clinic) -> None:
    answer = clinic.call(invitations.link, MEGAN, 40001, PLAIN)
    found = GUIDES_LINK.fullmatch(answer.invitation_link)
    assert found is not None
    assert (answer.email_sent, answer.email) == (False, None)
    assert timedelta(days=13) < answer.expires - now() < timedelta(days=14)
    [(hashed,)] = rows(clinic.database, "SELECT token_hash FROM invitation")
    assert hashed == hashlib.sha256(found[1].encode()).hexdigest()


def test_an_invitation_to_a_client_is_its_address_with_host_and_token(clinic: Clinic) -> None:
    answer = clinic.call(invitations.issue, MEGAN, NewInvitation(patient_id=40001, client_id=1))
    assert re.fullmatch(r"https://carex\.ai/invitation/jhe\.example\.org_[A-Za-z0-9]{32}", answer.invitation_link)
    assert (answer.client_id, answer.status) == (1, "issued")
    by_name = clinic.call(
        invitations.issue, MEGAN, NewInvitation(patient_id=40001, client_id="commonhealth-patient-app")
    )
    assert by_name.invitation_link.startswith("https://commonhealth.tcp.org?invitation=jhe.example.org_")
    for unknown in (99, "nobody"):
        with pytest.raises(Invalid):
            clinic.call(invitations.issue, MEGAN, NewInvitation(patient_id=40001, client_id=unknown))


def test_the_secret_is_shown_once(clinic: Clinic) -> None:
    secret = clinic.call(invitations.link, MEGAN, 40001, PLAIN).invitation_link[-32:]
    for path in ("invitation?patient_id=40001", "patients/40001/consolidated_clients"):
        assert secret not in str(answered(clinic, MEGAN, path))


def test_issuing_a_new_one_retires_the_old_one_of_that_patient_and_client(clinic: Clinic) -> None:
    for _ in range(2):
        clinic.call(invitations.link, MEGAN, 40001, PLAIN)
    clinic.call(invitations.issue, MEGAN, NewInvitation(patient_id=40001, client_id=1))
    clinic.call(invitations.link, MEGAN, 40002, PLAIN)
    assert statuses(clinic) == ["issued", "issued", "reissued"]
    assert statuses(clinic, 40002) == ["issued"]


def test_an_invitation_expires_by_itself(clinic: Clinic) -> None:
    made = clinic.call(invitations.issue, MEGAN, NewInvitation(patient_id=40001))
    outlived(clinic)
    assert statuses(clinic) == ["expired"]
    with pytest.raises(Conflict):
        clinic.call(invitations.cancel, MEGAN, made.id)


def test_an_expired_invitation_is_none_that_a_removal_would_take(clinic: Clinic) -> None:
    clinic.call(invitations.link, MEGAN, 40001, PLAIN)
    outlived(clinic)
    query = InOrganization(organization_id=20003)
    assert clinic.call(departures.preview_patient, MEGAN, 40001, query).open_invitations == 0


def test_an_open_invitation_is_cancelled_once(clinic: Clinic) -> None:
    made = clinic.call(invitations.issue, MEGAN, NewInvitation(patient_id=40001))
    clinic.call(invitations.cancel, MARY, made.id)
    assert statuses(clinic) == ["cancelled"]
    with pytest.raises(Conflict):
        clinic.call(invitations.cancel, MARY, made.id)


def test_a_filter_by_a_patient_one_may_not_ask_about_finds_nothing(clinic: Clinic) -> None:
    clinic.call(invitations.issue, MEGAN, NewInvitation(patient_id=40001))
    for email, patient in ((TOM, 40001), (MARK, 40001), (MEGAN, 49999)):
        assert clinic.call(invitations.search, email, InvitationSearch(patient_id=patient)).count == 0
    with pytest.raises(Forbidden):
        clinic.call(invitations.search, VICTOR, InvitationSearch(patient_id=40001))


def test_viewers_and_strangers_neither_issue_nor_cancel(clinic: Clinic) -> None:
    made = clinic.call(invitations.issue, MEGAN, NewInvitation(patient_id=40001))
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (invitations.link, (40001, PLAIN)),
        (invitations.issue, (NewInvitation(patient_id=40001),)),
        (invitations.cancel, (made.id,)),
    ]
    for verb, arguments in calls:
        for email in (VICTOR, TOM):
            with pytest.raises(Forbidden):
                clinic.call(verb, email, *arguments)
        for email in (MARK, PAMELA):
            with pytest.raises(NotFound):
                clinic.call(verb, email, *arguments)
    with pytest.raises(NotFound):
        clinic.call(invitations.cancel, ADMIN, 999)
    assert statuses(clinic) == ["issued"]


def test_a_patients_clients_come_with_their_invitations(clinic: Clinic) -> None:
    clinic.call(invitations.issue, MEGAN, NewInvitation(patient_id=40001, client_id=1))
    clinic.call(invitations.issue, MEGAN, NewInvitation(patient_id=40001, client_id=2))
    for email in (VICTOR, PETER):
        [client] = answered(clinic, email, "patients/40001/consolidated_clients")
        assert client["name"] == "CareX"
        assert [one["status"] for one in client["patientInvitations"]] == ["issued"]


# ------------------------------------------------------------------ the message
def test_mail_goes_to_the_outbox_where_no_server_is_set_and_the_answer_says_so(clinic: Clinic) -> None:
    answer = clinic.call(invitations.link, MEGAN, 40001, SendEmail(send_email=True))
    assert (answer.email_sent, answer.email) == (False, "outbox")
    [file] = clinic.outbox.glob("*.eml")
    assert PETER in file.read_text()
    [listed] = clinic.call(invitations.search, MEGAN, InvitationSearch(patient_id=40001)).results
    assert listed.email == "outbox"


def test_no_mail_leaves_unless_it_is_asked_for_and_the_invitation_stands(clinic: Clinic) -> None:
    clinic.call(invitations.link, MEGAN, 40001, PLAIN)
    with pytest.raises(Forbidden):
        clinic.call(invitations.link, VICTOR, 40001, SendEmail(send_email=True))
    assert not clinic.outbox.exists()


def test_get_and_post_do_the_same(clinic: Clinic) -> None:
    for method in ("GET", "POST"):
        reply = ask(clinic, MEGAN, method, "patients/40001/invitation_link?send_email=true")
        assert reply.status == 200
        assert GUIDES_LINK.fullmatch(reply.answer.invitation_link)
    assert statuses(clinic) == ["issued", "reissued"]
