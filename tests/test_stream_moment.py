"""A stream is of one moment: whatever becomes of its segments while it is read, it says what it would have said."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from conftest import ADMIN, Clinic
from indoors import ask, bundle, counted, reading, streamed

from jhe_server import uploads
from jhe_server.calls import ARROW
from jhe_server.observations import as_columns, forget, segments

PRESSURE, HEART_RATE = 50002, 50004


@pytest.fixture
def fetched_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "LOOSE", 2)
    monkeypatch.setattr(segments, "ROWS", 5)
    monkeypatch.setattr(as_columns, "TOGETHER", 1)


@pytest.mark.usefixtures("fetched_one_by_one")
def test_what_is_sealed_anew_or_deleted_meanwhile_is_still_in_the_stream(clinic: Clinic) -> None:
    for code in (PRESSURE, HEART_RATE):
        clinic.call(uploads.create_many, ADMIN, bundle(*(reading(40001, code) for _ in range(12))))
    before = streamed(clinic, ADMIN, "observations")
    open_one: Any = ask(clinic, ADMIN, "GET", "observations", media_type=ARROW).stream
    begun = next(open_one)
    with clinic.database.write() as session:
        segments.unseal(session, [PRESSURE, HEART_RATE])
        segments.seal_all(session)
    begun += next(open_one)
    with clinic.database.write() as session:
        forget(session, [40001])
    assert counted(clinic.database, "observation_segment", "patient_id = 40001") == 0
    after = pa.ipc.open_stream(begun + b"".join(open_one)).read_all()
    assert after.sort_by("observation_id").to_pylist() == before.sort_by("observation_id").to_pylist()
