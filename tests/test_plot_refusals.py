"""What a frame cannot carry is not drawn: one sentence says what is missing and what to do."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from by_hand import DAY, consents, glucose, pressure, rate, uploads, walks
from matplotlib.figure import Figure

from jhe_jupyter import plots

WALK = ("2026-03-02T08:00", "2026-03-02T09:00", 500.0)
AVERAGE = {"descriptive_statistic": "average"}


def refused(draw: Any, rows: pd.DataFrame, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refusal:
        draw(rows)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    ("draw", "rows", "code"),
    [
        (plots.glucose_profile, pressure([(120, 80)]), "blood-glucose"),
        (plots.time_in_range, pressure([(120, 80)]), "blood-glucose"),
        (plots.glucose_days, pressure([(120, 80)]), "blood-glucose"),
        (plots.blood_pressure_series, glucose([100]), "blood-pressure"),
        (plots.heart_rate, glucose([100]), "heart-rate"),
        (plots.steps, glucose([100]), "step-count"),
    ],
)
def test_another_kind_of_data(draw: Any, rows: pd.DataFrame, code: str) -> None:
    words = code.replace("-", " ")
    refused(draw, rows, rf"no {words} readings .* no column '\w+'; fetch them with ex.observations_df\('{code}', …\)")


@pytest.mark.parametrize(
    ("draw", "rows"),
    [
        (plots.glucose_profile, glucose(DAY * 10, minutes=15, offset=None)),
        (plots.glucose_days, glucose(DAY, minutes=15, offset=None)),
        (plots.blood_pressure_series, pressure([(120, 80)], offset=None)),
        (plots.heart_rate, rate([60], offset=None)),
        (plots.steps, walks(WALK, offset=None)),
    ],
)
def test_no_local_clock(draw: Any, rows: pd.DataFrame) -> None:
    refused(draw, rows, f"needs the patient's local clock, and none of these {len(rows)} readings .* where you know")


def test_the_way_out_of_no_local_clock_is_one() -> None:
    rows = glucose([100] * 4, minutes=15, offset=None)
    rows["effective_local"] = rows["effective_start"].dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
    assert plots.glucose_days(rows).axes[0].get_title(loc="left") == "Mon 2 Mar"


@pytest.mark.parametrize(
    ("draw", "rows"),
    [
        (plots.glucose_profile, glucose(DAY * 10).assign(**AVERAGE)),
        (plots.time_in_range, glucose(DAY).assign(**AVERAGE)),
        (plots.glucose_days, glucose(DAY).assign(**AVERAGE)),
        (plots.blood_pressure_series, pressure([(120, 80)]).assign(**AVERAGE)),
        (plots.heart_rate, rate([60]).assign(**AVERAGE)),
        (plots.steps, walks(WALK).assign(**AVERAGE)),
    ],
)
def test_aggregates_only(draw: Any, rows: pd.DataFrame) -> None:
    refused(draw, rows, rf"All {len(rows)} .* are aggregates \(descriptive_statistic\), not readings; fetch .* or drop")
    if draw is not plots.glucose_profile:
        assert draw(rows.drop(columns="descriptive_statistic")).axes, "the way out is one"


@pytest.mark.parametrize(
    ("draw", "rows", "sentence"),
    [
        (plots.glucose_profile, glucose(DAY * 9, minutes=15), "at least 10 patient-days .* there are 9 .* min_days"),
        (plots.glucose_profile, glucose(DAY * 10).iloc[:0], "'blood_glucose_value' is empty in all 0 rows; widen"),
        (plots.time_in_range, glucose([100]).drop(columns="effective_start"), "lost effective_start; keep the columns"),
        (plots.glucose_days, pd.concat([glucose(DAY), glucose(DAY, patient=2)]), "one patient, and this .* holds 2"),
        (plots.blood_pressure_series, pd.concat([pressure([(120, 80)], patient=n) for n in range(9)]), "9 .* too many"),
        (
            plots.heart_rate,
            pd.concat([rate([60], patient=n) for n in range(9)]),
            "9 .* too many to read; choose up to 8",
        ),
        (plots.heart_rate, rate([1.0]).assign(heart_rate_unit="Hz"), "understood in beats/min, .* has it in Hz too"),
        (plots.steps, walks(WALK, WALK), "1 step counts overlap in time .* choose one data_source"),
        (plots.upload_timeline, uploads((1, "2026-03-01T08:00Z")).iloc[:0], "Nothing has been uploaded"),
        (plots.upload_timeline, consents(*["granted"] * 4), "lost created; keep the columns"),
        (plots.upload_timeline, uploads(*[(n, "2026-03-01T08:00Z") for n in range(101)]), "101 .* choose up to 100"),
        (plots.consent_map, consents(*["granted"] * 4).iloc[:0], "no consents in this frame"),
        (plots.consent_map, glucose([100]), r"no study_id, code, state; draw it from ex.consents_df\(study=…\)"),
        (plots.consent_map, pd.concat([consents(*["granted"] * 4, study=n) for n in (1, 2)]), "this frame holds 2"),
    ],
)
def test_what_a_frame_cannot_carry(draw: Any, rows: pd.DataFrame, sentence: str) -> None:
    refused(draw, rows, sentence)


def test_one_ax_carries_one_patient() -> None:
    two = pd.concat([rate([60], patient=n) for n in (1, 2)])
    with pytest.raises(ValueError, match="One ax carries one patient, and this frame holds 2"):
        plots.heart_rate(two, ax=Figure().subplots())


def test_unknown_units_and_settings() -> None:
    with pytest.raises(ValueError, match=r"mg/dL or mmol/L, not in 'mg/L'"):
        plots.glucose_profile(glucose(DAY * 10, minutes=15), unit="mg/L")
    with pytest.raises(ValueError, match="home or office, not at 'ward'"):
        plots.blood_pressure_series(pressure([(120, 80)]), setting="ward")
