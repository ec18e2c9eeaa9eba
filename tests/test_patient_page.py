"""The patient's own page: who asks, what was answered, stopping in two taps, one's data; nothing of anybody else."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from browsers import Browser
from conftest import ADMIN, MEGAN, PAMELA, PETER, Exchange
from example_things import Things
from phones import invited
from sqlalchemy import select

from jhe_server.audit import AuditRow

NOT_ANSWERED = "Blood pressure: not answered"


@pytest.fixture
def peter(shared_exchange: Exchange) -> Browser:
    browser = Browser(shared_exchange)
    browser.sign_in(PETER)
    browser.open("me")
    return browser


def consents(exchange: Exchange, study: int, email: str = MEGAN, patient: int = 40001) -> dict[str, bool]:
    """A study's answers as a member of its organization sees them."""
    said = exchange.as_(email).get(f"api/v1/patients/{patient}/consents").json()
    [found] = [one for one in said["studies"] if one["id"] == study] or [{"scopeConsents": []}]
    return {one["code"]["text"]: one["consented"] for one in found["scopeConsents"]}


def answer(browser: Browser, study: int, code: str, said: str) -> None:
    """Tap the button beside a kind of data of a study."""
    forms = [fields for target, fields in browser.forms if target.endswith("me/answer")]
    [hidden] = [one for one in forms if (one["study"], one["code"]) == (str(study), code)]
    sent = {"Origin": browser.origin, "Accept": "text/html"}
    browser._followed(browser.http.post("me/answer", data={**hidden, "answer": said}, headers=sent))
    browser.open("me")


def test_a_patient_sees_who_asks_for_what_and_answers(shared_exchange: Exchange, peter: Browser) -> None:
    assert "What you share" in peter.text
    assert NOT_ANSWERED in peter.text
    answer(peter, 30002, "omh:blood-pressure:4.0", "yes")
    assert NOT_ANSWERED not in peter.text
    assert consents(shared_exchange, 30002) == {"Blood pressure": True}
    answer(peter, 30002, "omh:blood-pressure:4.0", "no")
    assert consents(shared_exchange, 30002) == {"Blood pressure": False}
    assert "declined, by patient" in peter.text
    assert "granted, by patient" in peter.text, "the history forgets nothing"


def test_two_taps_stop_everything_with_a_study_and_nothing_else(shared_exchange: Exchange, peter: Browser) -> None:
    things = Things(shared_exchange.as_(ADMIN))
    study = things.new_study_id()
    peter.open("me")
    answer(peter, study, "omh:blood-pressure:4.0", "yes")
    others = consents(shared_exchange, 30001)
    assert f'href="/jhe/me/withdraw/{study}"' in peter.page.text
    peter.open(f"me/withdraw/{study}")
    assert "can no longer be read" in peter.text, "what stopping means is said before"
    peter.submit()
    assert consents(shared_exchange, study) == {"Blood pressure": False}
    assert consents(shared_exchange, 30001) == others


def test_withdrawing_is_one_call_of_the_api_as_well(shared_exchange: Exchange) -> None:
    pamela = shared_exchange.as_(PAMELA)
    assert consents(shared_exchange, 30001, patient=40002) == {"Blood pressure": True, "Heart Rate": True}
    made = pamela.post("api/v1/patients/40002/consents/withdraw", json={"studyId": 30001, "reason": "moved away"})
    assert made.status_code == 201, made.text
    assert consents(shared_exchange, 30001, patient=40002) == {"Blood pressure": False, "Heart Rate": False}
    assert consents(shared_exchange, 30002, patient=40002) == {"Blood pressure": True}
    history = pamela.get("api/v1/patients/40002/consents/history").json()
    assert [(one["decision"], one["reason"], one["actor"]) for one in history[:2]] == [
        ("declined", "moved away", "patient")
    ] * 2
    for study in (30004, 99999):
        refusal = pamela.post("api/v1/patients/40002/consents/withdraw", json={"studyId": study})
        assert refusal.status_code == 400


def test_what_one_may_not_answer_is_not_answered(shared_exchange: Exchange, peter: Browser) -> None:
    """A form can be edited by whoever fills it in."""
    before = [consents(shared_exchange, study, ADMIN) for study in (30001, 30002)]
    [_, *forms] = [one for one in peter.forms if one[0].endswith("me/answer")]
    hidden = forms[0][1]
    for wrong in ({"study": "30004"}, {"study": "x"}, {"study": ""}, {"code": "omh:body-weight:3.0"}, {"system": ""}):
        sent = {"Origin": peter.origin, "Accept": "text/html"}
        page = peter.http.post("me/answer", data={**hidden, "answer": "yes", **wrong}, headers=sent)
        assert page.status_code == 400, wrong
    assert [consents(shared_exchange, study, ADMIN) for study in (30001, 30002)] == before
    assert peter.open("me/withdraw/30004").status_code == 404


def test_the_download_is_a_bundle_of_all_that_is_ones_own(shared_exchange: Exchange, peter: Browser) -> None:
    answer(peter, 30001, "omh:blood-pressure:4.0", "no")
    file = peter.open("me/data", Accept="text/html")
    assert 'filename="my-data.json"' in file.headers["Content-Disposition"]
    bundle = json.loads(file.text)
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds[0] == "Patient"
    assert set(kinds[1:]) == {"Observation"}
    subjects = {entry["resource"]["subject"]["reference"] for entry in bundle["entry"][1:]}
    assert subjects == {"Patient/40001"}, "the own data, shared or not, and nobody else's"
    own = shared_exchange.as_(PETER).get("FHIR/R5/Observation", params={"_summary": "count"}).json()["total"]
    assert len(kinds) - 1 == own > 0
    asked = {"patient_id": 40001, "verb": "patient_page.data", "ordering": "-seq", "limit": 1}
    [row] = shared_exchange.as_(ADMIN).get("api/v1/audit", params=asked).json()["results"]
    assert row["count"] == len(kinds), "all of it is on record before any of it leaves"
    peter.open("me")
    answer(peter, 30001, "omh:blood-pressure:4.0", "yes")


def test_an_invitation_opens_the_page_once_and_not_by_being_looked_at(shared_exchange: Exchange) -> None:
    secret = invited(shared_exchange, 40001)
    for _ in range(3):
        looked = Browser(shared_exchange)
        assert looked.open(f"me/invitation/127.0.0.1_{secret}").status_code == 200
        assert looked.open("me").url.path == "/jhe/o/sign_in"
    browser = Browser(shared_exchange)
    browser.open(f"me/invitation/{secret}")
    browser.submit()
    assert "What you share" in browser.text
    assert Browser(shared_exchange).open(f"me/invitation/{secret}").status_code == 409
    assert shared_exchange.as_(None).post(f"api/v1/invitation/{secret}").status_code == 409
    assert secret not in shared_exchange.log.read_text()


def _stranger(exchange: Exchange) -> Browser:
    return Browser(exchange)


def _practitioner(exchange: Exchange) -> Browser:
    browser = Browser(exchange)
    browser.sign_in(MEGAN)
    return browser


@pytest.mark.parametrize(("who", "lands"), [(_stranger, "/jhe/o/sign_in"), (_practitioner, "/jhe/o/account")])
def test_it_is_a_patients_page(shared_exchange: Exchange, who: Callable[[Exchange], Browser], lands: str) -> None:
    browser = who(shared_exchange)
    assert browser.open("me").url.path == lands
    for path in ("me/data", "me/withdraw/30001"):
        assert browser.open(path).status_code == 403
    browser.open("o/account" if who is _practitioner else "o/sign_in")
    form = {**browser.forms[0][1], "study": "30001", "answer": "no"}
    sent = {"Origin": browser.origin, "Accept": "text/html"}
    for path in ("me/answer", "me/withdraw/30001"):
        assert browser.http.post(path, data=form, headers=sent).status_code == 403


def test_what_happens_on_the_page_is_in_the_audit(shared_exchange: Exchange, peter: Browser) -> None:
    answer(peter, 30002, "omh:blood-pressure:4.0", "yes")
    with shared_exchange.database.read() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.via == "page").order_by(AuditRow.seq.desc())).all()
    said = [(row.verb, row.actor_id, row.patient_id, row.outcome) for row in rows[:3]]
    page = ("patient_page.page", 10006, 40001, "ok")
    assert said == [page, page, ("patient_page.answer", 10006, 40001, "ok")], "led back to the page, opened again"
