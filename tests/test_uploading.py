"""Uploads from frames and lists: what arrives is what was given, twice is once, and a cut upload is finished."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pandas as pd
import pytest
from conftest import MEGAN, PAMELA, PETER
from conftest import Exchange as Server

import jhe_jupyter as jhe
from jhe_jupyter import resources, uploading
from jhe_jupyter.columns import LEAVES
from jhe_server.omh.schemas import known_codes, leaf_paths

HEART = "omh:heart-rate:2.0"


@pytest.fixture
def megan(sqlite_exchange: Server) -> Iterator[jhe.Exchange]:
    with jhe.connect(sqlite_exchange.address, sqlite_exchange.token(MEGAN)) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def shared(shared_exchange: Server) -> Iterator[jhe.Exchange]:
    with jhe.connect(shared_exchange.address, shared_exchange.token(MEGAN)) as exchange:
        yield exchange


def beats(rows: int, start: str = "2026-01-05T06:30:00Z") -> pd.DataFrame:
    """A reading a minute, on a clock an hour east of UTC."""
    times = pd.date_range(start, periods=rows, freq="min").astype("datetime64[us, UTC]")
    return pd.DataFrame(
        {
            "effective_start": times,
            "utc_offset_minutes": 60,
            "heart_rate_value": [60.0 + row % 40 for row in range(rows)],
            "heart_rate_unit": "beats/min",
            "modality": "sensed",
        }
    )


def point(rate: int, at: str = "2026-01-06T07:30:00+01:00", **header: Any) -> dict[str, Any]:
    schema = {"namespace": "omh", "name": "heart-rate", "version": "2.0"}
    return {
        "header": {"uuid": "f6a1c0de-0000-4000-8000-000000000001", "schema_id": schema,
                   "source_creation_date_time": at, **header},
        "body": {"heart_rate": {"value": rate, "unit": "beats/min"}, "effective_time_frame": {"date_time": at}},
    }  # fmt: skip


def test_a_frame_comes_back_as_it_went_and_a_second_time_doubles_nothing(megan: jhe.Exchange) -> None:
    given = beats(2300)
    first = megan.upload_observations(given, PETER, "CareX", "heart-rate", progress=False)
    assert list(first.columns) == ["row", "status", "observation_id", "message"]
    assert first["row"].tolist() == list(range(1, 2301))
    assert set(first["status"]) == {"created"}
    assert first["observation_id"].is_unique
    read = megan.observations_df("heart-rate", patient=PETER, since="2026-01-05", until="2026-01-07")
    pd.testing.assert_series_equal(read["effective_start"], given["effective_start"])
    assert read["heart_rate_value"].tolist() == given["heart_rate_value"].tolist()
    assert set(read["effective_local"] - read["effective_start"].dt.tz_localize(None)) == {pd.Timedelta(hours=1)}
    assert set(read["modality"]) == {"sensed"}
    second = megan.upload_observations(read, progress=False)
    assert set(second["status"]) == {"exists"}
    assert second["observation_id"].tolist() == first["observation_id"].tolist()
    assert second["message"].str.startswith("Identifier already exists").all()


def test_a_bad_row_is_named_and_stops_no_other(shared: jhe.Exchange) -> None:
    given = beats(4, "2026-02-01T06:30:00Z")
    given.loc[1, "effective_start"] = pd.NaT
    given.loc[2, "heart_rate_value"] = -5.0
    done = shared.upload_observations(given, PETER, "CareX", "heart-rate", progress=False)
    assert done["status"].tolist() == ["created", "error", "error", "created"]
    assert done.loc[1, "message"] == "effective_start is missing"
    assert "heart_rate" in done.loc[2, "message"]
    assert done["observation_id"].isna().tolist() == [False, True, True, False]


def test_rows_say_for_themselves_whose_they_are(shared: jhe.Exchange) -> None:
    given = beats(2, "2026-02-02T06:30:00Z").assign(code=HEART, patient_id=[40001, 40002], data_source="CareX")
    done = shared.upload_observations(given, progress=False)
    assert set(done["status"]) == {"created"}
    read = shared.observations_df("heart-rate", since="2026-02-02", until="2026-02-03")
    assert read["patient_id"].tolist() == [40001, 40002]
    without = shared.upload_observations(given.drop(columns="data_source"), progress=False)
    assert set(without["message"]) == {"there is no data_source here, and no device= was given"}


def test_data_points_and_observations_of_a_list(shared: jhe.Exchange) -> None:
    stored = next(shared.list_observations(40002, None, HEART, 1))
    bare = {name: value for name, value in stored.items() if name not in ("id", "meta", "identifier", "device")}
    given = [point(71), bare, {"heart_rate": 71}, "words"]
    done = shared.upload_observations(given, PAMELA, 70001, progress=False)
    assert done["status"].tolist() == ["created", "created", "error", "error"]
    assert set(done["message"].iloc[2:]) == {
        "this is neither a FHIR Observation nor a data point with a header and a body"
    }
    again = shared.upload_observations([point(71, uuid="f6a1c0de-0000-4000-8000-000000000002")], PAMELA, 70001)
    assert again["status"].tolist() == ["exists"], "another header does not make it another measurement"
    assert again["observation_id"].tolist() == done["observation_id"].tolist()[:1]
    assert shared.upload_observations(point(72), PAMELA, 70001, progress=False)["status"].tolist() == ["created"]


def test_an_unknown_name_stops_before_anything_is_sent(shared: jhe.Exchange) -> None:
    with pytest.raises(jhe.UnknownName, match="'heart-rat'"):
        shared.upload_observations(beats(1), PETER, "CareX", "heart-rat")


class Cut(httpx.HTTPTransport):
    """The wire breaks when the second Bundle has been answered, before the answer arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.bundles = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        bundle = request.method == "POST" and request.url.path.endswith("FHIR/R5/")
        response = super().handle_request(request)
        self.bundles += bundle
        if bundle and self.bundles > 1:
            response.close()
            raise httpx.ReadTimeout("the wire is cut", request=request)
        return response


def test_a_cut_upload_is_finished_by_uploading_again(
    sqlite_exchange: Server, megan: jhe.Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "AT_ONCE", 10)
    given = beats(25)
    cut = jhe.Exchange(sqlite_exchange.address, sqlite_exchange.token(MEGAN), transport=Cut())
    with cut, pytest.raises(jhe.UploadInterrupted, match="10 of 25 rows are known to be done") as caught:
        cut.upload_observations(given, PETER, "CareX", "heart-rate", progress=False)
    assert caught.value.done["status"].tolist() == ["created"] * 10
    done = megan.upload_observations(given, PETER, "CareX", "heart-rate", progress=False)
    assert done["status"].tolist() == ["exists"] * 20 + ["created"] * 5
    assert len(megan.observations_df("heart-rate", patient=PETER, since="2026-01-05", until="2026-01-06")) == 25


def test_bundles_are_bounded_in_rows_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "AT_ONCE", 3)
    monkeypatch.setattr(uploading, "MOST_BYTES", 100)
    sizes = [5, 5, 5, 5, 200, 60, 60]
    made = [uploading.Made(row, {"x": "y" * size}) for row, size in enumerate(sizes)]
    assert [[one.row for one in bundle] for bundle in uploading.bundles(made)] == [[0, 1, 2], [3], [4], [5], [6]]


def test_every_column_finds_its_way_back_into_the_body() -> None:
    for code in sorted(known_codes()):
        assert {leaf: resources.path(leaf) for leaf in LEAVES[code]} == leaf_paths(code), code


def test_what_no_column_names_is_carried_in_extra() -> None:
    row = {"effective_start": pd.Timestamp("2026-01-05T06:30Z"), "effective_end": pd.Timestamp("2026-01-05T07:30Z"),
           "heart_rate_value": 61.0, "extra": '{"heart_rate": {"quality": 3}, "notes": ["a"]}'}  # fmt: skip
    assert resources.row_body(row, HEART) == {
        "heart_rate": {"quality": 3, "value": 61},
        "notes": ["a"],
        "effective_time_frame": {
            "time_interval": {"start_date_time": "2026-01-05T06:30:00Z", "end_date_time": "2026-01-05T07:30:00Z"}
        },
    }
