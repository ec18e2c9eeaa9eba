"""Asked again, an unchanged answer does not travel again; a changed one does, and nobody's changes reach another's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from conftest import MARY, PETER
from conftest import Exchange as Server
from wires import Recording

import jhe_jupyter as jhe
from jhe_jupyter.remembered import Answer, Remembered

STUDY, PATH = "Blood pressure and heart rate at home", "api/v1/observations"


@pytest.fixture
def wire() -> Recording:
    return Recording()


@pytest.fixture
def mary(shared_exchange: Server, wire: Recording) -> Iterator[jhe.Exchange]:
    with jhe.Exchange(shared_exchange.address, shared_exchange.token(MARY), transport=wire) as exchange:
        yield exchange


def test_the_same_question_is_answered_from_memory(mary: jhe.Exchange, wire: Recording) -> None:
    first = mary.observations_df("heart-rate", study=STUDY)
    assert wire.of(PATH) == [200]
    second = mary.observations_df("heart-rate", study=STUDY)
    assert wire.of(PATH) == [304]
    pd.testing.assert_frame_equal(first, second)
    assert first.attrs["time"] < second.attrs["time"]
    assert {**first.attrs, "time": ""} == {**second.attrs, "time": ""}


def test_another_question_is_another_answer(mary: jhe.Exchange, wire: Recording) -> None:
    everything = mary.observations_df(study=STUDY)
    assert len(mary.observations_df("blood-pressure", study=STUDY)) < len(everything)
    assert wire.of(PATH) == [200, 200]


def test_units_and_dtypes_are_made_of_what_is_remembered(mary: jhe.Exchange, wire: Recording) -> None:
    plain = mary.observations_df("heart-rate", study=STUDY)
    arrow = mary.observations_df("heart-rate", study=STUDY, dtype_backend="pyarrow")
    assert wire.of(PATH) == [200, 304]
    assert str(arrow["heart_rate_value"].dtype) == "double[pyarrow]"
    assert str(plain["heart_rate_value"].dtype) == "float64"


def test_lists_are_remembered_too(mary: jhe.Exchange, wire: Recording) -> None:
    first, second = mary.patients_df(), mary.patients_df()
    assert wire.of("api/v1/patients") == [200, 304]
    pd.testing.assert_frame_equal(first, second)


def _overwrite(frame: pd.DataFrame) -> None:
    frame.loc[:, "heart_rate_value"] = -1.0


def _fill(frame: pd.DataFrame) -> None:
    frame["heart_rate_value"] = frame["heart_rate_value"].to_numpy() * np.nan


def _iat(frame: pd.DataFrame) -> None:
    frame.iloc[0, frame.columns.get_loc("patient_id")] = 7


def _category(frame: pd.DataFrame) -> None:
    frame.loc[0, "heart_rate_unit"] = None


def _rename(frame: pd.DataFrame) -> None:
    frame.columns = pd.Index([name.upper() for name in frame.columns])


def _drop(frame: pd.DataFrame) -> None:
    del frame["heart_rate_value"]


def _attrs(frame: pd.DataFrame) -> None:
    frame.attrs["query"]["study_id"] = 0
    frame.attrs["consent_policy"].clear()


@pytest.mark.parametrize("change", [_overwrite, _fill, _iat, _category, _rename, _drop, _attrs])
def test_what_is_changed_in_a_frame_is_changed_in_no_other(
    mary: jhe.Exchange, wire: Recording, change: Callable[[pd.DataFrame], None]
) -> None:
    first = mary.observations_df("heart-rate", study=STUDY)
    before, said = first.copy(deep=True), {**first.attrs["query"]}
    change(first)
    second = mary.observations_df("heart-rate", study=STUDY)
    assert wire.of(PATH) == [200, 304]
    pd.testing.assert_frame_equal(second, before)
    assert second.attrs["query"] == said
    assert second.attrs["consent_policy"] == {"30001": "hide"}


def test_a_withdrawn_consent_is_a_new_answer_without_the_rows(mary: jhe.Exchange, wire: Recording) -> None:
    before = mary.observations_df("heart-rate", study=STUDY)
    mary.set_consents(PETER, STUDY, {"heart-rate": False})
    try:
        wire.answers.clear()
        after = mary.observations_df("heart-rate", study=STUDY)
        assert wire.of(PATH) == [200]
    finally:
        mary.set_consents(PETER, STUDY, {"heart-rate": True})
    assert 40001 in set(before["patient_id"])
    assert set(after["patient_id"]) == set(before["patient_id"]) - {40001}
    pd.testing.assert_frame_equal(mary.observations_df("heart-rate", study=STUDY), before)


def test_a_closed_connection_remembers_nothing(mary: jhe.Exchange) -> None:
    mary.observations_df("heart-rate", study=STUDY)
    assert len(mary._remembered) == 1
    mary.close()
    assert len(mary._remembered) == 0


def test_memory_is_bounded_and_forgets_what_was_not_asked_for_longest() -> None:
    remembered = Remembered(most=100)
    for question in ("a", "b", "c"):
        remembered.keep(question, Answer('"1"', question, 30))
    assert remembered.recall("a") is not None
    remembered.keep("d", Answer('"1"', "d", 30))
    assert [one for one in "abcd" if remembered.recall(one)] == ["a", "c", "d"]
    remembered.keep("a", Answer('"2"', "A", 101))
    assert remembered.recall("a") is None, "what has no room does not leave the older answer behind"
    remembered.keep("e", Answer('"1"', "e", 100))
    assert [one for one in "abcde" if remembered.recall(one)] == ["e"]
