"""Pictures and the numbers behind them: values worked by hand, and a refusal where a frame cannot carry a picture."""

from __future__ import annotations

import math
from typing import Any, Literal

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from jhe_jupyter import cgm, chart, plots
from jhe_jupyter.chart import Chart

CODES = ["omh:blood-glucose:4.0", "omh:blood-pressure:4.0"]


def frame(patient: int, times: pd.DatetimeIndex, offset: int | None, **columns: Any) -> pd.DataFrame:
    """Rows as `observations_df` gives them, read by a clock `offset` minutes from UTC, or by none that is known."""
    local = times.tz_localize(None) + pd.Timedelta(minutes=offset) if offset is not None else pd.NaT
    return pd.DataFrame({"patient_id": patient, "effective_start": times, "effective_local": local, **columns}).astype(
        {"effective_local": "datetime64[us]"}
    )


def glucose(
    values: list[float], patient: int = 40001, minutes: int = 5, offset: int | None = -480, unit: str = "mg/dL"
) -> pd.DataFrame:
    times = pd.date_range("2026-03-02T08:00Z", periods=len(values), freq=f"{minutes}min")
    return frame(patient, times, offset, blood_glucose_value=values, blood_glucose_unit=unit)


def pressure(pairs: list[tuple[float, float]], patient: int = 40001, offset: int | None = 0) -> pd.DataFrame:
    times = pd.date_range("2026-03-02T00:00Z", periods=len(pairs), freq="12h")  # midnight, noon, midnight, …
    systolic, diastolic = zip(*pairs, strict=True)
    return frame(
        patient, times, offset, systolic_blood_pressure_value=systolic, diastolic_blood_pressure_value=diastolic
    )


def words(picture: Chart) -> str:
    texts = [text.get_text() for text in picture.texts]
    for axes in picture.axes:
        texts += [text.get_text() for text in axes.texts] + [axes.get_title(loc="left"), axes.get_xlabel()]
    return " | ".join(texts)


def only_axes(picture: Chart) -> Axes:
    (axes,) = picture.axes
    return axes


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_bands_by_hand_and_an_average_is_no_reading() -> None:
    values: list[float] = [53, 54, 69.9, 70, 100, 120, 180, 180.5, 250, 251]
    average = glucose([400]).assign(descriptive_statistic="average")
    rows = pd.concat([glucose(values).assign(descriptive_statistic=None), average])
    summary = cgm.glucose_summary(rows).loc[40001]
    assert summary[list(cgm.BANDS)].to_dict() == {"very_low": 10, "low": 20, "target": 40, "high": 20, "very_high": 10}
    assert summary["readings"] == 10
    assert summary["mean"] == pytest.approx(132.84)
    assert summary["gmi"] == pytest.approx(3.31 + 0.02392 * 132.84)  # 6.4875
    assert summary["active"] == 100


def test_glucose_management_indicator_agrees_with_the_published_table() -> None:
    published = {100: 5.7, 150: 6.9, 200: 8.1, 250: 9.3}  # Bergenstal 2018, table 2
    assert {mean: round(cgm.gmi(mean), 1) for mean in published} == published


def test_coefficient_of_variation_by_hand() -> None:
    summary = cgm.glucose_summary(glucose([90, 110, 130])).loc[40001]
    assert summary["cv"] == pytest.approx(20 / 110 * 100)  # sample standard deviation 20, mean 110


def test_millimoles_count_like_milligrams() -> None:
    summary = cgm.glucose_summary(glucose([3.8, 10.1, 5.5, 5.5], unit="mmol/L")).loc[40001]
    assert summary[["low", "target", "high"]].tolist() == [25, 50, 25]
    assert summary["mean"] == pytest.approx((3.8 + 10.1 + 5.5 + 5.5) / 4 * 18.0182)


def test_everybody_is_weighted_by_time_not_by_number_of_readings() -> None:
    often = glucose([200] * 12, patient=1, minutes=5)  # an hour high, in twelve readings
    seldom = glucose([100] * 4, patient=2, minutes=15)  # an hour in target, in four
    shares = cgm.overall(pd.concat([often, seldom]))
    assert shares["target"] == pytest.approx(50)
    assert shares["high"] == pytest.approx(50)


def test_active_share_counts_what_the_patients_own_cadence_would_have_given() -> None:
    rows = glucose([100] * 9, minutes=15).drop(index=[3, 4, 5])  # 6 of the 9 readings between first and last
    assert cgm.glucose_summary(rows).loc[40001, "active"] == pytest.approx(6 / 9 * 100)


def test_profile_quantiles_lie_on_the_local_clock_and_wrap_midnight() -> None:
    rows = cgm.readings(glucose([100, 200, 300], minutes=30, offset=-8 * 60 - 15))  # local 23:45, 00:15, 00:45
    profile = cgm.profile(rows, quantiles=(0.5,))[0.5]
    assert profile[0.0] == 150  # 23:45 and 00:15
    assert profile[0.5] == 250  # 00:15 and 00:45
    assert profile[0.25] == 150  # from 23:45, which counts, to 00:45, which does not
    assert math.isnan(profile[12.0])
    assert len(profile) == 96


# --- pictures --------------------------------------------------------------------------------------------------------

DAY = [100.0] * 48 + [190.0] * 24 + [60.0] * 24  # a reading every quarter hour


def test_a_profile_says_who_how_long_and_how_many() -> None:
    picture = plots.glucose_profile(glucose(DAY * 10, minutes=15))
    assert "1 patient · 10 days · 960 readings" in words(picture)
    assert "local time of day" in words(picture)
    assert only_axes(picture).get_ylabel() == "mg/dL"


def test_the_median_of_a_profile_is_drawn_where_it_was_computed() -> None:
    (median,) = only_axes(plots.glucose_profile(glucose(DAY * 10, minutes=15))).lines[-1:]
    drawn = dict(zip(map(float, median.get_xdata()), map(float, median.get_ydata()), strict=True))
    assert (drawn[6.0], drawn[14.0], drawn[21.0]) == (100, 190, 60)
    assert drawn[24.0] == drawn[0.0]


def test_a_profile_in_mmol_per_litre() -> None:
    axes = only_axes(plots.glucose_profile(glucose(DAY * 10, minutes=15), unit="mmol/L"))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["3.0", "3.9", "10.0", "13.9"]


def test_a_profile_counts_the_readings_it_had_to_leave_out() -> None:
    known, unknown = glucose(DAY * 10, minutes=15), glucose([100, 100], patient=2, offset=None)
    assert "1 patient · 10 days · 960 readings · 2 without local clock left out" in words(
        plots.glucose_profile(pd.concat([known, unknown]))
    )


def test_time_in_range_draws_the_shares_it_states() -> None:
    picture = plots.time_in_range(glucose([50, 60, 100, 100, 100, 100, 100, 100, 200, 260]))
    bars = [patch.get_width() for patch in only_axes(picture).patches]  # type: ignore[attr-defined]
    assert bars == pytest.approx([10, 10, 60, 10, 10])
    assert "mean 117 mg/dL · GMI 6.1 %" in words(picture)


def test_time_in_range_of_a_cohort_starts_with_everybody_then_the_lowest() -> None:
    cohort = pd.concat([glucose([100] * 9 + [300], patient=1), glucose([100] * 2 + [300] * 8, patient=2)])
    picture = plots.time_in_range(cohort)
    names = [label.get_text() for label in only_axes(picture).get_yticklabels()]
    assert names == ["everybody", "patient 2", "patient 1"]
    assert "1 of 2 above 70 % in target" in words(picture)
    assert "the 1 lowest of 2" in words(plots.time_in_range(cohort, most=1))


def test_blood_pressure_states_day_night_and_dip_and_names_its_goal() -> None:
    picture = plots.blood_pressure_series(pressure([(110, 70), (130, 80), (124, 74), (130, 80)]))
    assert "patient 40001: day 130/80 · night 117/72 · systolic dip 10 %" in words(picture)
    assert "home readings: below 135/85 (CHEP 2017)" in words(picture)
    office = plots.blood_pressure_series(pressure([(120, 80)]), setting="office")
    assert "below 130/80 (ACC/AHA 2017)" in words(office)
    assert "patient 40001: night 120/80" in words(office)


def test_blood_pressure_has_one_panel_a_patient() -> None:
    rows = pd.concat([pressure([(120, 80)], patient=n) for n in (3, 1)])
    picture = plots.blood_pressure_series(rows)
    assert [axes.get_title(loc="left")[:9] for axes in picture.axes] == ["patient 1", "patient 3"]


def consents(*states: str, study: int = 30001) -> pd.DataFrame:
    return pd.DataFrame(
        {"patient_id": [1, 1, 2, 2], "study_id": study, "code": pd.Categorical(CODES * 2), "state": list(states)}
    )


def test_a_consent_map_shows_each_answer_once() -> None:
    picture = plots.consent_map(consents("granted", "declined", "pending", "granted"))
    axes = only_axes(picture)
    assert [text.get_text() for text in axes.texts] == ["✓", "✕", "…", "✓"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["patient 1", "patient 2"]
    assert "2 granted · 1 declined · 1 pending" in words(picture)


def test_a_code_never_asked_for_stays_empty() -> None:
    picture = plots.consent_map(consents("granted", "declined", "pending", "granted").iloc[:3])
    assert len(only_axes(picture).texts) == 3


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_frames_of_every_pandas_backend_give_the_same_pictures(backend: Literal["numpy_nullable", "pyarrow"]) -> None:
    rows, readings = glucose(DAY * 10, minutes=15), pressure([(120, 80), (130, 85)])
    for draw, plain in (
        (plots.glucose_profile, rows),
        (plots.time_in_range, rows),
        (plots.blood_pressure_series, readings),
    ):
        converted = draw(plain.convert_dtypes(dtype_backend=backend))
        assert words(converted) == words(draw(plain))
        assert converted._repr_mimebundle_()[0]["image/png"] == draw(plain)._repr_mimebundle_()[0]["image/png"]


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "rows", "sentence"),
    [
        (plots.glucose_profile, glucose(DAY * 10).iloc[:0], "no glucose readings in this frame"),
        (plots.glucose_profile, pressure([(120, 80)]), "no glucose readings in this frame .* in 1 rows"),
        (
            plots.glucose_profile,
            glucose(DAY * 10, offset=None),
            "needs the patient's local clock, and none of these 960",
        ),
        (plots.glucose_profile, glucose(DAY * 9, minutes=15), "at least 10 patient-days of readings; there are 9"),
        (plots.glucose_profile, glucose([100], unit="g/L"), "understood in mg/dL and mmol/L, not in g/L"),
        (plots.time_in_range, glucose([100]).assign(descriptive_statistic="average"), "no glucose readings"),
        (plots.blood_pressure_series, glucose([100]), "no blood pressure readings"),
        (plots.blood_pressure_series, pressure([(120, 80)], offset=None), "blood pressure series needs .* local clock"),
        (
            plots.blood_pressure_series,
            pd.concat([pressure([(120, 80)], patient=n) for n in range(9)]),
            "9 patients are too many to read; choose up to 8",
        ),
        (plots.consent_map, consents("granted", "granted", "granted", "granted").iloc[:0], "no consents"),
        (
            plots.consent_map,
            pd.concat([consents(*["granted"] * 4), consents(*["granted"] * 4, study=30002)]),
            "this frame holds 2",
        ),
    ],
)
def test_what_a_frame_cannot_carry_is_refused_in_one_sentence(draw: Any, rows: pd.DataFrame, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        draw(rows)


def test_unknown_units_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mg/dL or mmol/L, not in 'mg/L'"):
        plots.glucose_profile(glucose(DAY * 10, minutes=15), unit="mg/L")
    with pytest.raises(ValueError, match="home and office, not for 'ward'"):
        plots.blood_pressure_series(pressure([(120, 80)]), setting="ward")


# --- the sheet -------------------------------------------------------------------------------------------------------


def test_a_chart_shows_itself_and_leaves_nothing_behind() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    data, size = plots.time_in_range(glucose([100, 200]))._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert size["image/png"]["width"] == 860
    assert plt.get_fignums() == before == []


def luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
@pytest.mark.parametrize("colour", [chart.INK, plots.GLUCOSE, plots.TARGET, plots.SYSTOLIC, plots.DIASTOLIC])
def test_lines_and_words_stand_out_on_light_and_on_dark_pages(colour: str, page: str) -> None:
    low, high = sorted((luminance(colour), luminance(page)))
    assert (high + 0.05) / (low + 0.05) >= 3.5  # WCAG asks 3 of graphics and large text
