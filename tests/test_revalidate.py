"""An older frame held against today's consents, whatever was done to it in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from conftest import MARY, PETER
from conftest import Exchange as Server
from wires import WithoutArrow

import jhe_jupyter as jhe

STUDY = "Blood pressure and heart rate at home"
HEART = "omh:heart-rate:2.0"


@pytest.fixture(scope="module")
def mary(shared_exchange: Server) -> Iterator[jhe.Exchange]:
    with jhe.connect(shared_exchange.address, shared_exchange.token(MARY)) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def withdrawn(mary: jhe.Exchange) -> Iterator[pd.DataFrame]:
    """A frame of a study, read before Peter withdrew his heart rate."""
    frame = mary.observations_df(study=STUDY)
    mary.set_consents(PETER, STUDY, {"heart-rate": False}, reason="asked us to")
    yield frame
    mary.set_consents(PETER, STUDY, {"heart-rate": True})


def filtered(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    return frame[frame["code"] == HEART]


def merged(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """With people who have no observation, some rows twice, and without what was asked."""
    people = pd.DataFrame({"patient_id": [40001, 40001, 40002, 99999], "group": ["a", "b", "c", "d"]})
    both = people.merge(frame, on="patient_id", how="left")
    assert both["observation_id"].isna().any()
    assert "query" not in both.attrs
    return both


def saved(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    frame.to_parquet(folder / "frame.parquet")
    return pd.read_parquet(folder / "frame.parquet")


def in_arrow(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    frame.to_parquet(folder / "arrow.parquet")
    return pd.read_parquet(folder / "arrow.parquet", dtype_backend="pyarrow")


def by_time(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    return frame.set_index("effective_start").sort_index()


def untouched(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    return frame


@pytest.mark.parametrize("treated", [untouched, filtered, merged, saved, in_arrow, by_time])
def test_rows_without_consent_go_and_the_report_says_why(
    mary: jhe.Exchange,
    withdrawn: pd.DataFrame,
    treated: Callable[[pd.DataFrame, Path], pd.DataFrame],
    tmp_path: Path,
) -> None:
    frame = treated(withdrawn, tmp_path)
    lost = (frame["patient_id"] == 40001) & (frame["code"] == HEART)
    kept, report = mary.revalidate(frame)
    pd.testing.assert_frame_equal(kept, frame[~lost.to_numpy(dtype=bool)])
    assert list(report.columns) == ["observation_id", "patient_id", "code", "reason", "since"]
    assert sorted(report["observation_id"]) == sorted(
        {int(one) for one in frame.loc[lost.to_numpy(dtype=bool), "observation_id"]}
    )
    assert set(zip(report["patient_id"], report["code"], report["reason"], strict=True)) == {
        (40001, HEART, "consent withdrawn")
    }
    assert str(report["since"].dtype) == "datetime64[us, UTC]"
    assert report["since"].notna().all()
    assert kept.attrs["count"] == len(kept)


def test_nothing_gone_is_an_empty_report_with_its_columns(mary: jhe.Exchange) -> None:
    frame = mary.observations_df("blood-pressure", study=STUDY)
    kept, report = mary.revalidate(frame)
    pd.testing.assert_frame_equal(kept, frame)
    assert report.empty
    assert report.dtypes.astype(str).to_dict() == {
        "observation_id": "int64", "patient_id": "int64", "code": "category", "reason": "category",
        "since": "datetime64[us, UTC]",
    }  # fmt: skip


def test_a_frame_of_nothing_stays_one(mary: jhe.Exchange) -> None:
    kept, report = mary.revalidate(mary.observations_df("blood-glucose", study=STUDY))
    assert (len(kept), len(report)) == (0, 0)


def test_an_observation_nobody_may_see_any_more_is_named(mary: jhe.Exchange, withdrawn: pd.DataFrame) -> None:
    stranger = withdrawn.tail(1).assign(observation_id=10**9, patient_id=49999)
    _, report = mary.revalidate(pd.concat([withdrawn, stranger]))
    reasons = report.set_index("observation_id")["reason"].to_dict()
    assert reasons[10**9] == "patient no longer visible"


def test_many_patients_are_asked_about_at_once(mary: jhe.Exchange, withdrawn: pd.DataFrame) -> None:
    crowd = (
        withdrawn.head(1).loc[[0] * 30].assign(observation_id=range(10**9, 10**9 + 30), patient_id=range(90001, 90031))
    )
    kept, report = mary.revalidate(pd.concat([withdrawn, crowd]))
    again, alone = mary.revalidate(withdrawn)
    assert len(kept) == len(again)
    assert len(report) == len(alone) + 30


def test_without_arrow_streams_it_is_the_same(shared_exchange: Server, withdrawn: pd.DataFrame) -> None:
    with jhe.Exchange(shared_exchange.address, shared_exchange.token(MARY), transport=WithoutArrow()) as paged:
        kept, report = paged.revalidate(withdrawn)
    assert set(report["patient_id"]) == {40001}
    assert len(kept) + len(report) == len(withdrawn)


def test_a_frame_without_provenance_is_refused(mary: jhe.Exchange, withdrawn: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="this frame has no observation_id and no code"):
        mary.revalidate(withdrawn.drop(columns=["observation_id", "code"]))
