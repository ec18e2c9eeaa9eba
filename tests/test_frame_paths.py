"""A frame of observations is the same whether it came as an Arrow stream or from FHIR pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import ADMIN, Clinic, _served
from wires import Recording, WithoutArrow

import jhe_jupyter as jhe
from jhe_server import changes, demo

MOMENT = datetime(2026, 3, 10, 12, tzinfo=UTC)
STUDY = "CGM and blood pressure at home"
ARROW_PATH, FHIR_PATH = "api/v1/observations", "FHIR/R5/Observation"
QUESTIONS: list[dict[str, Any]] = [
    {"code": "blood-glucose"},
    {"code": ["blood-pressure"], "study": STUDY},
    {"code": ["omh:heart-rate:2.0", "step-count"], "study": STUDY},
    {"code": "step-count", "since": "2026-03-09T06:30Z", "until": "2026-03-09T18:30Z"},
    {"code": "heart-rate", "patient": 40001, "organization": 20003},
    {"code": "ieee:sleep-stage-summary:1.0"},
    {"code": "blood-glucose", "unit": "mmol/L", "study": STUDY},
    {"code": "blood-pressure", "dtype_backend": "numpy_nullable"},
    {},
]


@pytest.fixture(scope="module")
def served(seeded_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The demo study, two days of it, behind a server: its address, and the token of one who sees it."""
    folder = tmp_path_factory.mktemp("paths")
    file = folder / "clinic.sqlite"
    file.write_bytes(seeded_file.read_bytes())
    clinic = Clinic(f"sqlite:///{file}", folder)
    with clinic.database.write() as session:
        demo.load(session, moment=MOMENT, days=2)
        changes.append(session)
    clinic.close()
    for exchange in _served(f"sqlite:///{file}", folder):
        yield exchange.address, exchange.token(ADMIN)


@pytest.fixture(scope="module")
def streamed(served: tuple[str, str]) -> Iterator[jhe.Exchange]:
    with jhe.Exchange(*served, transport=Recording()) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def paged(served: tuple[str, str]) -> Iterator[jhe.Exchange]:
    with jhe.Exchange(*served, transport=WithoutArrow()) as exchange:
        yield exchange


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_both_ways_give_the_same_frame(streamed: jhe.Exchange, paged: jhe.Exchange, question: dict[str, Any]) -> None:
    by_stream, by_pages = streamed.observations_df(**question), paged.observations_df(**question)
    assert len(by_stream) or "ieee" in str(question), "else this compares nothing"
    pd.testing.assert_frame_equal(by_stream, by_pages)
    assert {**by_stream.attrs, "time": ""} == {**by_pages.attrs, "time": ""}


def test_the_two_ways_are_two(served: tuple[str, str]) -> None:
    asked = {}
    for wire in (Recording(), WithoutArrow()):
        with jhe.Exchange(*served, transport=wire) as exchange:
            exchange.observations_df("blood-pressure", patient=40001)
            asked[type(wire)] = {path for path, _ in wire.answers}
    assert FHIR_PATH not in asked[Recording]
    assert {ARROW_PATH, FHIR_PATH} <= asked[WithoutArrow]


def test_a_limit_keeps_what_was_uploaded_last(streamed: jhe.Exchange) -> None:
    everything = streamed.observations_df("step-count", since="2026-03-09")
    last = everything.sort_values(["created", "observation_id"])["observation_id"].tail(5)
    few = streamed.observations_df("step-count", since="2026-03-09", limit=5)
    assert sorted(few["observation_id"]) == sorted(last)
    assert len(streamed.observations_df("step-count", limit=5)) == 5
    assert len(streamed.observations_df("step-count", limit=0)) == 0
    with pytest.raises(ValueError, match="limit must not be negative, not -1"):
        streamed.observations_df("step-count", limit=-1)
