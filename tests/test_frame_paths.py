"""A frame of observations is the same whether it came as an Arrow stream or page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from conftest import ADMIN, Clinic, _served

import jhe_jupyter as jhe
from jhe_server import changes, demo

MOMENT = datetime(2026, 3, 10, 12, tzinfo=UTC)
STUDY = "CGM and blood pressure at home"


@pytest.fixture(scope="module")
def ex(seeded_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[jhe.Exchange]:
    """The demo study, two days of it, behind a server."""
    folder = tmp_path_factory.mktemp("paths")
    file = folder / "clinic.sqlite"
    file.write_bytes(seeded_file.read_bytes())
    clinic = Clinic(f"sqlite:///{file}", folder)
    with clinic.database.write() as session:
        demo.load(session, moment=MOMENT, days=2)
        changes.append(session)
    clinic.close()
    for exchange in _served(f"sqlite:///{file}", folder):
        yield jhe.connect(exchange.address, token=exchange.token(ADMIN))


@pytest.mark.parametrize("code", ["blood-glucose", "blood-pressure", "step-count", ["heart-rate", "step-count"], None])
def test_arrow_and_pages_give_the_same_frame(ex: jhe.Exchange, code: str | list[str] | None) -> None:
    streamed = ex.observations_df(code, study=STUDY)
    paged = ex.observations_df(code, study=STUDY, limit=10**6)
    assert len(streamed) > 10
    columns = [name for name in paged.columns if name in streamed.columns]
    assert set(paged.columns) <= set(streamed.columns)
    pd.testing.assert_frame_equal(
        streamed[columns], paged[columns], check_categorical=False, check_dtype=False, check_like=True
    )
    assert streamed[[name for name in streamed.columns if name not in columns]].isna().all().all()


def test_units_are_converted_on_both_paths(ex: jhe.Exchange) -> None:
    streamed = ex.observations_df("blood-glucose", study=STUDY, unit="mmol/L")
    paged = ex.observations_df("blood-glucose", study=STUDY, unit="mmol/L", limit=10**6)
    assert set(streamed["blood_glucose_unit"]) == {"mmol/L"}
    pd.testing.assert_series_equal(streamed["blood_glucose_value"], paged["blood_glucose_value"])
