"""The columns of an observations frame: the keys every row has, and the leaves of each Open mHealth or IEEE schema.

They are written down, not gathered from the rows, so that a frame has the same columns with rows and without.
"""

from __future__ import annotations

from collections.abc import Iterable

KEYS: dict[str, str] = {
    "observation_id": "int64",
    "patient_id": "int64",
    "code": "category",
    "data_source": "category",
    "status": "category",
    "effective_start": "utc",
    "effective_end": "utc",
    "utc_offset_minutes": "Int16",
    "effective_local": "local",
    "created": "utc",
    "modality": "category",
}
EXTRA = "extra"  # JSON text of what the schema does not name
AGGREGATE = "descriptive_statistic"  # of a reading null; of an average, maximum, … of readings its name

_ACTIVITY = "activity_name distance* kcal_burned* reported_activity_intensity met_value"
_STATISTIC = "descriptive_statistic descriptive_statistic_denominator"
_EXERCISE, _SLEEP = "temporal_relationship_to_physical_activity", "temporal_relationship_to_sleep"
_STAGES = ("rem_sleep", "light_sleep", "deep_sleep")
_SUMMARY = " ".join(
    [
        "total_sleep_time* sleep_efficiency_percentage* latency_to_sleep_onset* latency_to_arising*",
        *(f"{stage}_duration* {stage}_episode_count {stage}_percentage*" for stage in _STAGES),
        f"awake_duration* number_of_awakenings awake_percentage* {_STATISTIC}",
    ]
)

# In the order of the schemas; `name*` is a quantity, `name_value` with `name_unit`.
_LEAVES: dict[str, str] = {
    "ieee:physical-activity:1.0": (
        "activity_name base_movement_quantity* distance* cumulative_elevation_gain* duration*"
        " duration_light_activity* duration_moderate_activity* duration_vigorous_activity* average_cadence*"
        f" average_speed* kcal_burned* reported_activity_intensity met_value {_STATISTIC}"
    ),
    "ieee:sleep-episode:1.0": (
        "latency_to_sleep_onset* latency_to_arising* total_sleep_time* light_sleep_duration* deep_sleep_duration*"
        " rem_sleep_duration* wake_after_sleep_onset* number_of_awakenings is_main_sleep sleep_efficiency_percentage*"
    ),
    "ieee:sleep-stage-summary:1.0": (
        " ".join(f"sleep_stage_summary_{leaf}" for leaf in _SUMMARY.split()) + " is_main_sleep"
    ),
    "ieee:time-in-bed:1.0": f"time_in_bed* is_main_sleep {_STATISTIC}",
    "ieee:total-sleep-time:1.0": f"total_sleep_time* is_main_sleep {_STATISTIC}",
    "omh:blood-glucose:4.0": (
        f"blood_glucose* specimen_source temporal_relationship_to_meal {_SLEEP} descriptive_statistic"
    ),
    "omh:blood-pressure:4.0": (
        "systolic_blood_pressure* diastolic_blood_pressure* body_posture descriptive_statistic measurement_location"
        f" {_EXERCISE}"
    ),
    "omh:body-height:2.0": "body_height* descriptive_statistic",
    "omh:body-temperature:4.0": f"body_temperature* descriptive_statistic measurement_location {_SLEEP}",
    "omh:body-weight:3.0": "body_weight* descriptive_statistic",
    "omh:forced-expiratory-volume-1-second:1.0": (
        f"forced_expiratory_volume_1_second* measurement_quality descriptive_statistic {_EXERCISE}"
    ),
    "omh:forced-vital-capacity:1.0": f"forced_vital_capacity* measurement_quality descriptive_statistic {_EXERCISE}",
    "omh:heart-rate:2.0": f"heart_rate* descriptive_statistic {_EXERCISE} {_SLEEP}",
    "omh:oxygen-saturation:2.0": (
        "oxygen_saturation* system supplemental_oxygen_flow_rate* oxygen_therapy_mode_of_administration"
        " measurement_method descriptive_statistic"
    ),
    "omh:physical-activity:1.2": _ACTIVITY,
    "omh:respiratory-rate:2.0": f"respiratory_rate* descriptive_statistic {_EXERCISE}",
    "omh:rr-interval:1.0": f"rr_interval* descriptive_statistic {_EXERCISE}",
    "omh:sleep-duration:2.0": f"sleep_duration* {_STATISTIC}",
    "omh:sleep-episode:1.1": (
        "latency_to_sleep_onset* latency_to_arising* total_sleep_time* wake_after_sleep_onset* number_of_awakenings"
        " is_main_sleep sleep_maintenance_efficiency_percentage*"
    ),
    "omh:step-count:3.0": f"step_count* {_STATISTIC}",
    "QuestionnaireResponse": "",
}


def _expanded(leaf: str) -> list[str]:
    return [f"{leaf[:-1]}_value", f"{leaf[:-1]}_unit"] if leaf.endswith("*") else [leaf]


def kind(leaf: str) -> str:
    """The dtype of a leaf, which its name tells: numbers float64, `is_…` boolean, words category.

    >>> kind("heart_rate_value"), kind("heart_rate_unit"), kind("is_main_sleep"), kind("number_of_awakenings")
    ('float64', 'category', 'boolean', 'float64')
    """
    if leaf.startswith("is_"):
        return "boolean"
    return "float64" if leaf.endswith(("_value", "_count", "number_of_awakenings")) else "category"


LEAVES: dict[str, dict[str, str]] = {
    code: {name: kind(name) for leaf in leaves.split() for name in _expanded(leaf)} for code, leaves in _LEAVES.items()
}


def value_columns(codes: Iterable[str]) -> dict[str, str]:
    """The columns that frames of these codes have beside the keys, with their dtypes, in the order of the codes.

    `descriptive_statistic` is among them whatever the codes are, so that aggregates can always be told from readings.

    >>> value_columns(["omh:body-weight:3.0"])
    {'body_weight_value': 'float64', 'body_weight_unit': 'category', 'descriptive_statistic': 'category'}
    """
    found = {name: kind for code in sorted(set(codes)) for name, kind in LEAVES.get(code, {}).items()}
    return found | {AGGREGATE: found.get(AGGREGATE, "category")}
