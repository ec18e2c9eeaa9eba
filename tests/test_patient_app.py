"""A notebook plays the patient's app: an invitation becomes consent, data, and a row in the researcher's frame."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import MEGAN, Exchange

import jhe_jupyter as jhe


@pytest.fixture
def megan(shared_exchange: Exchange) -> jhe.Exchange:
    return jhe.connect(shared_exchange.address, shared_exchange.token(MEGAN))


def test_an_invitation_becomes_consent_becomes_data_becomes_a_row(megan: jhe.Exchange) -> None:
    app = jhe.as_patient(megan.invite(40001, client="CareX").link)
    assert app.me["id"] == 40001
    state = app.consents().set_index("study_id").loc[30002, "state"]
    assert state == "pending"
    asked = megan.list_studies()
    name = next(one["name"] for one in asked if one["id"] == 30002)
    assert "granted" in set(app.answer(name, {"blood-pressure": True}).query("study_id == 30002").state)
    before = len(megan.observations_df("blood-pressure", study=30002))
    morning = {
        "effective_start": pd.to_datetime(["2026-03-01T08:30:00Z"]),
        "systolic_blood_pressure_value": [128.0],
        "systolic_blood_pressure_unit": ["mmHg"],
        "diastolic_blood_pressure_value": [81.0],
        "diastolic_blood_pressure_unit": ["mmHg"],
    }
    done = app.upload(pd.DataFrame(morning), device="CareX", code="blood-pressure")
    assert list(done.status) == ["created"]
    assert len(megan.observations_df("blood-pressure", study=30002)) == before + 1
    withdrawn = app.withdraw(30002, reason="a change of mind").query("study_id == 30002")
    assert list(withdrawn.state) == ["declined"]
    assert list(withdrawn.reason) == ["a change of mind"]


def test_an_invitation_is_redeemed_once_and_each_form_of_link_will_do(megan: jhe.Exchange) -> None:
    guides = megan.invite(40002)
    assert "|" in guides.link
    assert jhe.as_patient(guides.link).me["id"] == 40002
    with pytest.raises(jhe.Conflict, match="redeemed"):
        jhe.as_patient(guides.link)
    with pytest.raises(jhe.NotFound):
        jhe.as_patient(guides.link[:-32] + "x" * 32)
    for wrong in ("", "https://example.org/", guides.link[:-1]):
        with pytest.raises(ValueError, match="no invitation link"):
            jhe.as_patient(wrong)


def test_what_a_study_does_not_ask_is_not_answered(megan: jhe.Exchange) -> None:
    app = jhe.as_patient(megan.invite(40001, client="CareX").link)
    with pytest.raises(jhe.UnknownName, match=r"omh:blood-pressure:4\.0"):
        app.answer(30002, {"body-weight": True})
    with pytest.raises(jhe.UnknownName):
        app.answer("A study that does not ask", {"blood-pressure": True})
