"""Segments are derived: whatever is uploaded, removed, withdrawn and asked, a stream says the same with and without."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from conftest import ADMIN, PETER, TOM, Clinic
from hypothesis import given
from hypothesis import strategies as st
from indoors import CODES, Rehearsal, answers, bundle, examples, reading, rehearsal, rows, streamed
from sqlalchemy import event, text

from jhe_server import consents, fhir, observations, studies, uploads
from jhe_server.arrow_stream import stream
from jhe_server.observations import ObservationSearch, segments
from jhe_server.opened import open_store
from jhe_server.studies import StudyChange

QUESTIONNAIRE, STAGES = "QuestionnaireResponse", "ieee:sleep-stage-summary:1.0"
PRESSURE, TEMPERATURE, HEART_RATE = 50002, 50003, 50004
LONG_AGO = datetime(2026, 3, 1, 8, tzinfo=UTC)
STUDIES = {
    (40001, PRESSURE): [30001, 30002],
    (40001, HEART_RATE): [30001],
    (40002, PRESSURE): [30002],
    (40003, TEMPERATURE): [30004],
}
PAIRS = list(STUDIES)
HOURS = st.integers(0, 20).map(lambda hour: timedelta(hours=hour))
POINTS = st.fixed_dictionaries(
    {
        "pair": st.sampled_from([*PAIRS[:2], *PAIRS]),
        "after": HOURS,
        "device": st.sampled_from([70001, 70002]),
        "modality": st.sampled_from(["sensed", "self-reported", None]),
        "offset": st.sampled_from(["Z", "+02:00", "-05:00"]),
        "more": st.sampled_from([{}, {"descriptive_statistic": "average"}, {"quality": 3, "note": "ü"}]),
        "interval": st.booleans(),
    }
)
MANY = st.lists(POINTS, min_size=6, max_size=16)
STEPS = st.one_of(
    st.tuples(st.just("upload"), st.lists(POINTS, min_size=1, max_size=6)),
    st.tuples(st.just("remove"), st.integers(0, 30)),
    st.tuples(st.just("answer"), st.sampled_from(PAIRS), st.booleans()),
)
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "since": HOURS.map(lambda after: LONG_AGO + after),
        "until": HOURS.map(lambda after: LONG_AGO + after),
        "data_source_id": st.sampled_from([70001, 70002]),
        "patient_id": st.sampled_from([40001, 40002]),
        "study_id": st.sampled_from([30001, 30002, 30004]),
        "code": st.sampled_from(["omh:blood-pressure:4.0", "omh:blood-pressure:4.0,omh:heart-rate:2.0"]),
    },
)


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments so short that a few uploads fill, merge and cut them."""
    monkeypatch.setattr(segments, "LOOSE", 2)
    monkeypatch.setattr(segments, "ROWS", 5)


@pytest.mark.usefixtures("short_segments")
def test_a_stream_says_the_same_with_and_without_segments(clinic: Clinic) -> None:
    @examples(clinic, share=4)
    @given(keep=st.booleans(), first=MANY, steps=st.lists(STEPS, max_size=6), asked=st.tuples(QUERIES, QUERIES))
    def holds(keep: bool, first: list[Any], steps: list[Any], asked: tuple[dict[str, Any], ...]) -> None:
        with rehearsal(clinic) as stage:
            prepare(stage, keep)
            upload(stage, first)
            for kind, *what in steps:
                {"upload": upload, "remove": remove, "answer": answer}[kind](stage, *what)
            queries = [{}, *asked]
            sealed = [frames(stage, query) for query in queries]
            with stage.session() as session:
                segments.unseal(session, CODES)
            assert [frames(stage, query) for query in queries] == sealed
            with stage.session() as session:
                segments.seal_all(session)
            assert [frames(stage, query) for query in queries] == sealed

    holds()


def prepare(stage: Rehearsal, keep: bool) -> None:
    policy = StudyChange.model_validate({"dataAfterWithdrawal": "keep" if keep else "hide"})
    for study in (30001, 30002, 30004):
        stage.call(studies.update, ADMIN, study, policy)
    for patient, code in PAIRS:
        answer(stage, (patient, code), True)


def upload(stage: Rehearsal, points: list[dict[str, Any]]) -> None:
    """As the store takes them in: what is uploaded is not at issue here, only what becomes of it."""
    entries = [{"resource": sent(**point)} for point in points]
    stage.call(uploads.create_many, ADMIN, {"resourceType": "Bundle", "type": "batch", "entry": entries})


def sent(
    pair: tuple[int, int], after: timedelta, device: int, modality: str | None, offset: str, more: Any, interval: bool
) -> dict[str, Any]:
    resource = reading(*pair)
    point = fhir.read_attachment(resource["valueAttachment"])[0]
    when = (LONG_AGO + after).strftime("%Y-%m-%dT%H:%M:%S") + offset
    frame = {"start_date_time": when, "duration": {"value": 5, "unit": "min"}}
    point["body"] |= {"effective_time_frame": {"time_interval": frame} if interval else {"date_time": when}, **more}
    point["header"] |= {"modality": modality, "uuid": str(uuid4())}
    if modality is None:
        del point["header"]["modality"]
    attached = fhir.attachment(point)
    return resource | {"device": fhir.reference("Device", device), "valueAttachment": attached}


def remove(stage: Rehearsal, which: int) -> None:
    found = stage.call(observations.search, ADMIN, ObservationSearch(limit=1000)).results
    if found:
        stage.call(observations.remove, ADMIN, found[which % len(found)].id)


def answer(stage: Rehearsal, pair: tuple[int, int], yes: bool) -> None:
    """In every study that asks this patient for this code."""
    patient, code = pair
    for study in STUDIES[pair]:
        stage.call(consents.answer, ADMIN, patient, answers(study, {code: yes}))


def frames(stage: Rehearsal, query: dict[str, Any]) -> list[Any]:
    """What the stream says to a practitioner (all of it: to a superuser and a patient as well), in the order of ids."""
    return [frame(stage, email, query) for email in ((TOM,) if query else (ADMIN, TOM, PETER))]


def frame(stage: Rehearsal, email: str, query: dict[str, Any]) -> Any:
    table = stage.call(read, email, ObservationSearch(**query))
    listed = stage.call(observations.search, email, ObservationSearch(limit=1000, **query))
    assert sorted(row.id for row in listed.results) == sorted(table.column("observation_id").to_pylist())
    for column in table.unify_dictionaries().columns:
        if pa.types.is_dictionary(column.type) and len(table):  # no word of a row that is not there
            assert set(column.chunk(0).dictionary.to_pylist()) == set(column.to_pylist()) - {None}
    return table.schema, sorted(table.to_pylist(), key=lambda row: row["observation_id"])


def read(session: Any, actor: Any, query: ObservationSearch) -> Any:
    noted = session.info["audit"]
    table = pa.ipc.open_stream(b"".join(stream(observations.table(session, actor, query)))).read_all()
    table.validate(full=True)
    assert noted.count == len(table)
    assert noted.patients == set(table.column("patient_id").to_pylist())
    return table


def test_segments_of_another_layout_are_sealed_anew_when_the_store_is_opened(clinic: Clinic) -> None:
    clinic.call(uploads.create_many, ADMIN, bundle(*(reading(40001, PRESSURE) for _ in range(300))))
    before = streamed(clinic, ADMIN, "observations")
    [(sealed, _)] = rows(clinic.database, "SELECT sum(rows), min(layout) FROM observation_segment")
    assert sealed >= 300
    with clinic.database.write() as session:
        session.execute(text("UPDATE observation_segment SET layout = 'of long ago', batch = :junk"), {"junk": b"x"})
    open_store(str(clinic.database.url.render_as_string(hide_password=False))).close()
    after = streamed(clinic, ADMIN, "observations")
    assert after.sort_by("observation_id").to_pylist() == before.sort_by("observation_id").to_pylist()
    [(again, layout)] = rows(clinic.database, "SELECT sum(rows), min(layout) FROM observation_segment")
    assert (again, layout != "of long ago") == (sealed, True)


def test_whatever_was_accepted_can_be_streamed_and_sealed(clinic: Clinic) -> None:
    """A questionnaire with a body of its own, and a count no column of integers holds: both are in `extra`."""
    with clinic.database.write() as session:
        payloads = [
            (QUESTIONNAIRE, {"resourceType": "QuestionnaireResponse", "status": "completed", "body": "x"}),
            (STAGES, {"header": {}, "body": {"sleep_stage_summary": {"number_of_awakenings": 1e30}}}),
        ]
        points = [point(session, code, payload) for code, payload in payloads for _ in range(300)]
        observations.add(session, points)
    table = streamed(clinic, PETER, "observations")
    said = [json.loads(text) for text in table.column("extra").to_pylist() if text]
    assert said.count(payloads[0][1]) == 300
    assert said.count(payloads[1][1]["body"]) == 300


def point(session: Any, code: str, payload: Any) -> dict[str, Any]:
    [code_id] = session.scalars(text("SELECT id FROM code WHERE coding_code = :code"), {"code": code})
    return {
        "patient_id": 40001, "code_id": code_id, "data_source_id": 70001, "status": "final", "effective_start": None,
        "effective_end": None, "utc_offset_minutes": None, "modality": None, "payload": payload, "identifiers": [],
    }  # fmt: skip


def test_a_stream_of_one_patient_asks_for_what_is_loose_by_its_whole_key(clinic: Clinic) -> None:
    """By the observation alone, the store would go through all that is loose for every row of the patient."""
    if not clinic.database.is_sqlite:
        pytest.skip("a plan of SQLite's")
    said: list[tuple[str, Any]] = []
    event.listen(clinic.database._readers, "before_cursor_execute", lambda *given: said.append(given[2:4]))
    streamed(clinic, ADMIN, "observations?patient_id=40001")
    plans = [
        str(row[3])
        for statement, values in said
        if "observation_loose" in statement
        for row in clinic.database._readers.raw_connection().cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values)
    ]
    assert plans
    assert not any("SCAN observation_loose" in step for step in plans)
