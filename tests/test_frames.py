"""Frames: what a researcher may rely on in columns, dtypes, units and clocks, worked out by hand."""

from __future__ import annotations

import base64
import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from jhe_jupyter import frames, lists
from jhe_jupyter.arrow import from_arrow
from jhe_jupyter.dtypes import typed
from jhe_jupyter.tidy import tidy_frame
from jhe_jupyter.unit_columns import convert_units
from jhe_jupyter.units import UNITS, conversion

GLUCOSE, STEPS = "omh:blood-glucose:4.0", "omh:step-count:3.0"


NOON_IN_BERLIN = "2026-03-01T12:00:00+01:00"


def resource(id: int, code: str, point: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """A FHIR Observation as the server answers it."""
    data = base64.b64encode(json.dumps(point).encode()).decode()
    return {
        "resourceType": "Observation",
        "id": str(id),
        "meta": {"lastUpdated": "2026-03-01T08:00:00Z"},
        "status": "final",
        "code": {"coding": [{"code": code}]},
        "subject": {"reference": "Patient/40001"},
        "device": {"reference": "Device/70001", "display": "Dexcom"},
        **({} if point is None else {"valueAttachment": {"data": data}}),
        **more,
    }


def glucose(
    id: int, value: float, unit: str = "mg/dL", at: str = NOON_IN_BERLIN, code: str = GLUCOSE, **more: Any
) -> dict[str, Any]:
    body = {"blood_glucose": {"value": value, "unit": unit}, "effective_time_frame": {"date_time": at}, **more}
    utc = pd.Timestamp(at).tz_convert("UTC").isoformat()
    return resource(id, code, {"header": {"modality": "sensed"}, "body": body}, effectiveDateTime=utc)


def test_columns_and_dtypes_are_the_same_with_rows_and_without() -> None:
    empty = frames.observations_frame([], [GLUCOSE])
    full = frames.observations_frame([glucose(1, 99)], [GLUCOSE])
    assert list(empty.columns) == list(full.columns)
    assert [str(one) for one in empty.dtypes] == [str(one) for one in full.dtypes]
    assert str(full["effective_start"].dtype) == "datetime64[us, UTC]"
    assert str(full["effective_local"].dtype) == "datetime64[us]"
    assert str(full["utc_offset_minutes"].dtype) == "Int16"
    assert str(full["blood_glucose_value"].dtype) == "float64"


def test_blood_pressure_has_its_two_values_even_when_nobody_measured() -> None:
    empty = frames.observations_frame([], ["omh:blood-pressure:4.0"])
    assert {"systolic_blood_pressure_value", "diastolic_blood_pressure_unit"} <= set(empty.columns)


@pytest.mark.parametrize(
    ("written", "utc", "offset", "local"),
    [
        ("2026-03-01T07:30:00+01:00", "2026-03-01T06:30:00Z", 60, "2026-03-01T07:30:00"),
        ("2026-03-01T00:10:00-03:30", "2026-03-01T03:40:00Z", -210, "2026-03-01T00:10:00"),
        ("2026-03-01T07:30:00+00:00", "2026-03-01T07:30:00Z", 0, "2026-03-01T07:30:00"),
        ("2026-03-01T07:30:00Z", "2026-03-01T07:30:00Z", None, None),
        ("2026-03-01T07:30:00-00:00", "2026-03-01T07:30:00Z", None, None),
    ],
)
def test_the_local_clock_is_known_only_where_the_original_says_it(
    written: str, utc: str, offset: int | None, local: str | None
) -> None:
    row = frames.observations_frame([glucose(1, 99, at=written)]).iloc[0]
    assert row["effective_start"] == pd.Timestamp(utc)
    assert pd.isna(row["utc_offset_minutes"]) if offset is None else row["utc_offset_minutes"] == offset
    assert pd.isna(row["effective_local"]) if local is None else row["effective_local"] == pd.Timestamp(local)


def test_an_interval_has_an_end_and_the_offset_of_its_start() -> None:
    frame = {"time_interval": {"start_date_time": "2026-03-01T23:00:00+02:00", "duration": {"value": 8, "unit": "h"}}}
    point = {"body": {"step_count": {"value": 900, "unit": "steps"}, "effective_time_frame": frame}}
    period = {"start": "2026-03-01T21:00:00Z", "end": "2026-03-02T05:00:00Z"}
    night = frames.observations_frame([resource(5, STEPS, point, effectivePeriod=period)]).iloc[0]
    assert night["effective_end"] - night["effective_start"] == pd.Timedelta(hours=8)
    assert night["effective_local"] == pd.Timestamp("2026-03-01T23:00:00")
    assert night["step_count_value"] == 900.0


@pytest.mark.parametrize(
    ("written", "hours"),
    [
        ({"start_date_time": "2026-03-01T23:00:00+02:00", "duration": {"value": 8, "unit": "h"}}, 8),
        ({"end_date_time": "2026-03-02T05:00:00Z", "duration": {"value": 480, "unit": "min"}}, 8),
        ({"start_date_time": "2026-03-01T21:00:00Z", "end_date_time": "2026-03-02T05:00:00Z"}, 8),
        ({"start_date_time": "2026-03-01T21:00:00Z"}, None),
    ],
)
def test_a_server_that_does_not_say_when_leaves_it_to_the_body(written: dict[str, Any], hours: int | None) -> None:
    point = {"body": {"step_count": {"value": 900}, "effective_time_frame": {"time_interval": written}}}
    row = frames.observations_frame([resource(5, STEPS, point)]).iloc[0]
    assert row["effective_start"] == pd.Timestamp("2026-03-01T21:00:00Z")
    if hours is None:
        assert pd.isna(row["effective_end"])
    else:
        assert row["effective_end"] - row["effective_start"] == pd.Timedelta(hours=hours)


def test_a_time_that_no_calendar_knows_hides_no_other_row() -> None:
    frame = frames.observations_frame([resource(1, STEPS, None, effectiveDateTime="2026-02-31"), glucose(2, 99)])
    assert frame.set_index("observation_id")["effective_start"].isna().to_dict() == {1: True, 2: False}


def test_what_the_schema_does_not_name_is_kept_as_text_and_overwrites_nothing() -> None:
    frame = frames.observations_frame([glucose(1, 99, status="odd", device={"battery": [7, 8]}), glucose(2, 98)])
    assert frame["status"].tolist() == ["final", "final"]
    assert frame.loc[0, "extra"] == '{"status": "odd", "device": {"battery": [7, 8]}}'
    assert pd.isna(frame.loc[1, "extra"])


def test_a_value_that_does_not_fit_its_column_is_kept_as_text() -> None:
    row = glucose(1, 99, specimen_source=7)
    frame = frames.observations_frame([row])
    assert pd.isna(frame.loc[0, "specimen_source"])
    assert frame.loc[0, "extra"] == '{"specimen_source": 7}'


def test_a_code_nobody_knows_has_the_leaves_it_brings() -> None:
    frame = frames.observations_frame([glucose(1, 99, code="acme:apples:1.0", status="odd", ripe=True)])
    assert frame.loc[0, ["status", "body_status", "ripe", "blood_glucose_value"]].tolist() == ["final", "odd", True, 99]


def test_a_record_without_a_body_is_still_a_row() -> None:
    frame = frames.observations_frame([resource(9, "QuestionnaireResponse", None)])
    assert len(frame) == 1
    assert pd.isna(frame.loc[0, "effective_start"])


def test_mixed_glucose_units_become_one() -> None:
    frame = frames.as_asked(frames.observations_frame([glucose(1, 90), glucose(2, 5, "mmol/L")]), "mg/dL")
    assert frame["blood_glucose_value"].tolist() == pytest.approx([90, 90.091])
    assert set(frame["blood_glucose_unit"]) == {"mg/dL"}
    back = convert_units(frame, "mmol/L")
    assert back["blood_glucose_value"].tolist() == pytest.approx([90 / 18.0182, 5])


def test_a_unit_of_another_kind_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"nothing here can be given in 'kg'; there is blood_glucose in mg/dL"):
        convert_units(frames.observations_frame([glucose(1, 90)]), "kg")


def test_a_value_that_cannot_follow_stops_the_conversion() -> None:
    rows = [glucose(1, 90), glucose(2, 5, "drops")]
    with pytest.raises(ValueError, match="1 values of blood_glucose are in 'drops'"):
        convert_units(frames.observations_frame(rows), "mmol/L")


def test_only_glucose_is_turned_with_the_molar_mass_of_glucose() -> None:
    frame = pd.DataFrame({"cholesterol_value": [5.0], "cholesterol_unit": ["mmol/L"]})
    with pytest.raises(ValueError, match="nothing here can be given in 'mg/dL'"):
        convert_units(frame, "mg/dL")


def test_a_unit_asked_of_nothing_is_no_error() -> None:
    assert convert_units(frames.observations_frame([], [GLUCOSE]), "mg/dL").empty


@pytest.mark.parametrize(
    ("given", "wanted", "value", "expected"),
    [
        ("F", "C", 98.6, 37.0),
        ("C", "K", 37.0, 310.15),
        ("C", "F", 100.0, 212.0),
        ("lb", "kg", 150.0, 68.0388555),
        ("h", "min", 7.5, 450.0),
        ("in", "cm", 70.0, 177.8),
        ("ms", "sec", 812.0, 0.812),
    ],
)
def test_units_by_hand(given: str, wanted: str, value: float, expected: float) -> None:
    found = conversion(given, wanted)
    assert found is not None
    assert value * found[0] + found[1] == pytest.approx(expected)


def test_every_conversion_has_its_way_back() -> None:
    for given, one in UNITS.items():
        for wanted, other in UNITS.items():
            there, back = conversion(given, wanted), conversion(wanted, given)
            assert (there is None) == (one.quantity != other.quantity)
            if there and back:
                assert (7.0 * there[0] + there[1]) * back[0] + back[1] == pytest.approx(7.0)


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_the_backends_of_pandas_hold_the_same_values(backend: str) -> None:
    plain = frames.observations_frame([glucose(1, 90), glucose(2, 91)])
    other = frames.as_asked(plain, dtype_backend=backend)
    assert list(other.columns) == list(plain.columns)
    assert other["blood_glucose_value"].tolist() == plain["blood_glucose_value"].tolist()
    assert (
        str(other["blood_glucose_value"].dtype) == {"numpy_nullable": "Float64", "pyarrow": "double[pyarrow]"}[backend]
    )


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="not 'polars'"):
        frames.as_asked(frames.observations_frame([]), dtype_backend="polars")


def test_the_public_shape_names_every_path() -> None:
    point = {
        "header": {"modality": "sensed", "external_datasheets": [{"datasheet_type": "maker"}]},
        "body": {"heart_rate": {"value": 61}, "effective_time_frame": {"date_time": "2026-03-01T07:30:00+01:00"}},
    }
    data = base64.b64encode(json.dumps(point).encode()).decode()
    resource = {
        "resourceType": "Observation",
        "id": "60001",
        "meta": {"lastUpdated": "2026-03-01T08:00:00Z"},
        "code": {"coding": [{"code": "omh:heart-rate:2.0", "system": "urn:x"}]},
        "subject": {"reference": "Patient/40001"},
        "valueAttachment": {"contentType": "application/json", "data": data},
    }
    row = tidy_frame([resource, {**resource, "valueAttachment": None}]).iloc[0]
    assert row["subject_reference"] == "Patient/40001"
    assert row["code_coding_0_code"] == row["code"] == row["resource_type"] == "omh:heart-rate:2.0"
    assert row["heart_rate_value"] == 61
    assert row["external_datasheets_0_datasheet_type"] == "maker"
    assert row["effective_time_frame_date_time"] == pd.Timestamp("2026-03-01T06:30:00Z")
    assert row["effective_time_frame_date_time_local"] == pd.Timestamp("2026-03-01T07:30:00")
    assert row["meta_lastUpdated"] == pd.Timestamp("2026-03-01T08:00:00Z")


@pytest.mark.parametrize("name", ["PATIENTS", "STUDIES", "ORGANIZATIONS", "AUDIT", "FOLLOWUP"])
def test_every_list_has_its_columns_without_rows_too(name: str) -> None:
    schema = getattr(lists, name)
    assert list(lists.list_frame([], schema).columns) == list(schema)


def test_a_partly_answered_study_shows_answers_and_what_is_pending() -> None:
    def code(name: str) -> dict[str, str]:
        return {"codingCode": f"omh:{name}"}

    consents = {
        "patient": {"id": 40001},
        "studies": [{"id": 30001, "scopeConsents": [
            {"code": code("heart-rate:2.0"), "consented": True, "consentedTime": "2026-01-01T00:00:00Z", "actorId": 6},
            {"code": code("step-count:3.0"), "consented": False, "consentedTime": "2026-01-02T00:00:00Z"},
        ]}],
        "studiesPendingConsent": [{"id": 30001, "pendingScopeConsents": [
            {"code": code("blood-pressure:4.0"), "consented": None, "consentedTime": None},
        ]}],
    }  # fmt: skip
    frame = lists.consents_frame([typed(list(lists.patient_answers(consents)), lists.CONSENTS)])
    assert list(frame.columns) == ["patient_id", "study_id", "code", "state", "time", "actor", "reason"]
    assert frame["state"].tolist() == ["granted", "declined", "pending"]
    assert list(frame["state"].cat.categories) == ["granted", "declined", "pending"]
    assert frame["actor"].tolist()[0] == 6
    assert frame["time"].isna().tolist() == [False, False, True]


def test_consents_pivot_into_a_table_of_patients_by_codes() -> None:
    rows = [
        {"patient_id": patient, "study_id": 1, "code": code, "state": state}
        for patient, code, state in [(1, "a", "granted"), (1, "b", "pending"), (2, "a", "declined")]
    ]
    frame = lists.consents_frame([typed(rows, lists.CONSENTS)])
    table = frame.pivot_table(index="patient_id", columns="code", values="state", aggfunc="first", observed=True)
    assert table.loc[1].tolist() == ["granted", "pending"]
    assert table.loc[2, "a"] == "declined"
    assert lists.consents_frame([]).empty


def test_an_arrow_stream_and_json_pages_give_the_same_frame() -> None:
    rows = [
        {"id": 40001, "jheUserId": 10006, "nameFamily": "Ångström", "birthDate": "1980-01-01", "organizationId": 20003},
        {"id": 40002, "jheUserId": 10007, "nameFamily": "Østby", "birthDate": None, "organizationId": None},
    ]
    table = pa.table({
        "patient_id": pa.array([40001, 40002], pa.int64()),
        "jhe_user_id": pa.array([10006, 10007], pa.int64()),
        "name_family": pa.array(["Ångström", "Østby"]),
        "birth_date": pa.array(["1980-01-01", None]).cast(pa.date32()),
        "organization_id": pa.array([20003, None], pa.int64()),
    })  # fmt: skip
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    streamed = from_arrow(sink.getvalue().to_pybytes(), lists.PATIENTS)
    pd.testing.assert_frame_equal(streamed, lists.list_frame(rows, lists.PATIENTS, {"id": "patient_id"}))


def test_dictionaries_that_differ_between_batches_keep_their_words() -> None:
    def batch(words: list[str]) -> pa.RecordBatch:
        encoded = pa.array(words).dictionary_encode()
        return pa.record_batch({"seq": pa.array(range(len(words))), "verb": encoded})

    sink = pa.BufferOutputStream()
    first = batch(["patients.get", "patients.get"])
    with pa.ipc.new_stream(sink, first.schema) as writer:
        writer.write_batch(first)
        writer.write_batch(batch(["studies.get", "patients.get"]))
    frame = from_arrow(sink.getvalue().to_pybytes(), lists.AUDIT)
    assert frame["verb"].tolist() == ["patients.get", "patients.get", "studies.get", "patients.get"]
    assert frame["outcome"].isna().all()


def test_aggregates_are_told_from_readings() -> None:
    frame = frames.observations_frame([glucose(1, 99), glucose(2, 120, descriptive_statistic="average")])
    assert frame["descriptive_statistic"].isna().tolist() == [True, False]
    assert frame["descriptive_statistic"].iloc[1] == "average"
    assert frames.observations_frame([])["descriptive_statistic"].empty
