"""Arrow streams read while they arrive: any dictionaries, any order of rows, and a connection that breaks off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from test_client import Cut, client_of, scripted

import jhe_jupyter as jhe
from jhe_jupyter.arrow import categories, from_arrow, read_table
from jhe_jupyter.connection import ARROW
from jhe_jupyter.frames import observations_from_arrow

WORDS = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", tz="UTC")
CODE = "omh:heart-rate:2.0"


def stream(*batches: pa.RecordBatch, deltas: bool = False) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4", emit_dictionary_deltas=deltas)
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def words(*given: str | None) -> pa.RecordBatch:
    return pa.record_batch({"word": pa.array(given, pa.string()).dictionary_encode()})


def batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows of (id, patient, code, start in seconds, offset, value)."""
    ids, patients, codes, starts, offsets, values = zip(*rows, strict=True)
    return pa.record_batch(
        {
            "observation_id": pa.array(ids, pa.int64()),
            "patient_id": pa.array(patients, pa.int64()),
            "code": pa.array(codes, pa.string()).dictionary_encode(),
            "effective_start": pa.array([None if at is None else at * 10**6 for at in starts], pa.int64()).cast(TIME),
            "utc_offset_minutes": pa.array(offsets, pa.int16()),
            "heart_rate_value": pa.array(values, pa.float64()),
        }
    )


@pytest.mark.parametrize("deltas", [False, True])
def test_words_of_batches_with_other_dictionaries_are_kept(deltas: bool) -> None:
    parts = [["final", None], ["final", "amended"], ["final", "amended", "cancelled"], [None]]
    data = stream(*(words(*part) for part in parts), deltas=deltas)
    found = categories(read_table(data)["word"])
    given = [word for part in parts for word in part]
    assert [None if word is np.nan else word for word in found] == given
    assert found.categories.tolist() == ["amended", "cancelled", "final"]


def test_words_that_no_row_uses_are_no_categories() -> None:
    indices = pa.array([1, None, 1], pa.int32())
    unused = pa.DictionaryArray.from_arrays(indices, pa.array(["mmol/L", "mg/dL"]))
    assert categories(pa.chunked_array([unused])).categories.tolist() == ["mg/dL"]


def test_more_words_than_a_byte_counts() -> None:
    many = [f"word {number:04}" for number in range(300)]
    found = categories(pa.chunked_array([pa.array(many).dictionary_encode(), pa.array(many[::-1]).dictionary_encode()]))
    assert found.tolist() == many + many[::-1]


def test_a_stream_of_nothing_has_its_columns() -> None:
    schema = {"word": "category", "id": "int64", "time": "utc", "local": "local", "text": "text", "few": "Int16"}
    frame = from_arrow(stream(words().slice(0, 0)), {name: kind for name, kind in schema.items() if name != "id"})
    assert len(frame) == 0
    assert frame.dtypes.astype(str).to_dict() | {"text": ""} == {
        "word": "category", "time": "datetime64[us, UTC]", "local": "datetime64[us]", "text": "", "few": "Int16"
    }  # fmt: skip


def test_rows_come_out_in_one_order_whichever_way_they_came() -> None:
    rows = [(number, 40001 + number % 3, CODE, 1000 - number // 2, 60, float(number)) for number in range(60)]
    rows += [(99, 40001, CODE, None, None, 1.0), (98, 40001, "omh:body-weight:3.0", 5, 0, None)]
    frames = [
        observations_from_arrow(stream(*(batch(rows[first : first + 7]) for first in range(0, len(rows), 7)))),
        observations_from_arrow(stream(batch(rows[::-1]))),
    ]
    pd.testing.assert_frame_equal(*frames)
    expected = pd.DataFrame(frames[0]).sort_values(["patient_id", "code", "effective_start", "observation_id"])
    assert expected.index.is_monotonic_increasing
    assert frames[0].loc[frames[0]["patient_id"] == 40001, "observation_id"].iloc[[0, -1]].tolist() == [98, 99]
    assert frames[0]["effective_local"].isna().sum() == 1


def test_a_frame_is_its_own_and_can_be_written_to() -> None:
    frame = observations_from_arrow(stream(batch([(1, 40001, CODE, 0, 60, 61.0)])))
    for name in ("observation_id", "heart_rate_value"):
        frame.loc[0, name] = 7
    frame.loc[0, "effective_start"] = pd.Timestamp("2026-01-01", tz="UTC")
    assert frame.loc[0, ["observation_id", "heart_rate_value"]].tolist() == [7, 7.0]


def test_what_the_schema_does_not_know_comes_after_what_it_does() -> None:
    rows = batch([(1, 40001, CODE, 0, 60, 61.0)])
    rows = rows.append_column("extra", pa.array(['{"a": 1}'])).append_column("mood", pa.array([3.5]))
    frame = observations_from_arrow(stream(rows), [CODE])
    assert list(frame.columns)[-2:] == ["mood", "extra"]
    assert "extra" not in observations_from_arrow(stream(batch([(1, 40001, CODE, 0, 60, 61.0)])), [CODE])


def test_a_stream_that_breaks_off_is_asked_for_again() -> None:
    data = stream(batch([(1, 40001, CODE, 0, 60, 61.0)]))
    headers = {"Content-Type": ARROW}
    with scripted((200, headers, Cut(data)), (200, headers, data)) as server, client_of(server) as client:
        found = client.read_arrow("observations", observations_from_arrow, shape="frame", size=len)
        assert found is not None
        assert found["heart_rate_value"].tolist() == [61.0]
        assert len(server.asked) == 2


def test_a_stream_that_always_breaks_off_says_so() -> None:
    data = stream(batch([(1, 40001, CODE, 0, 60, 61.0)]))
    with scripted((200, {"Content-Type": ARROW}, Cut(data))) as server, client_of(server) as client:
        with pytest.raises(jhe.ConnectionLost, match="was lost"):
            client.read_arrow("observations", observations_from_arrow, shape="frame", size=len)
        assert len(server.asked) == 4
