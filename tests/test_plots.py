"""Pictures: what is drawn is what was computed, and what they say of themselves is true."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
import pytest
from by_hand import DAY, consents, glucose, only_axes, pressure, rate, uploads, walks, words
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jhe_jupyter import plots
from jhe_jupyter.chart import Chart

WALK = ("2026-03-02T23:00", "2026-03-03T01:00", 600.0)


def tick_labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


# --- glucose ---------------------------------------------------------------------------------------------------------


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
    assert tick_labels(axes) == ["3.0", "3.9", "10.0", "13.9"]


def test_a_profile_counts_what_it_had_to_leave_out() -> None:
    known, unknown = glucose(DAY * 10, minutes=15), glucose([100, 100], patient=2, offset=None)
    average = glucose([100]).assign(descriptive_statistic="average")
    said = words(plots.glucose_profile(pd.concat([known, unknown, average])))
    assert "1 patient · 10 days · 960 readings · 2 without local clock left out · 1 aggregate left out" in said


def test_time_in_range_draws_the_shares_it_states() -> None:
    picture = plots.time_in_range(glucose([50, 60, 100, 100, 100, 100, 100, 100, 200, 260]))
    bars = [patch.get_width() for patch in only_axes(picture).patches]  # type: ignore[attr-defined]
    assert bars == pytest.approx([10, 10, 60, 10, 10])
    assert "mean 117 mg/dL · GMI 6.1 %" in words(picture)


def test_time_in_range_of_a_cohort_starts_with_everybody_then_the_lowest() -> None:
    cohort = pd.concat([glucose([100] * 9 + [300], patient=1), glucose([100] * 2 + [300] * 8, patient=2)])
    picture = plots.time_in_range(cohort)
    assert tick_labels(only_axes(picture)) == ["everybody", "patient 2", "patient 1"]
    assert "1 of 2 above 70 % in target" in words(picture)
    assert "the 1 lowest of 2" in words(plots.time_in_range(cohort, most=1))


def test_glucose_days_have_a_panel_each_with_their_share_in_target() -> None:
    picture = plots.glucose_days(glucose([*([100.0] * 96), *DAY], minutes=15))
    heads = [(axes.get_title(loc="left"), axes.get_title(loc="right")) for axes in picture.axes if axes.axison]
    assert heads == [("Mon 2 Mar", "100 %"), ("Tue 3", "50 %")]  # of the second, a quarter is high and a quarter low
    assert "patient 40001 · 2 days · 192 readings · mg/dL, local time" in words(picture)


def test_glucose_days_shows_the_latest_and_leaves_a_place_for_a_day_without_data() -> None:
    rows = glucose(DAY * 9, minutes=15)
    rows = rows[rows["effective_local"].dt.day != 4]  # no Wednesday
    picture = plots.glucose_days(rows, most=7, unit="mmol/L")
    assert [axes.get_title(loc="left") for axes in picture.axes if axes.axison][:3] == ["Tue 3 Mar", "Thu 5", "Fri 6"]
    assert [axes.axison for axes in picture.axes[:3]] == [True, False, True]
    assert "the last 7 of 8 days" in words(picture)


def test_a_gap_of_more_than_an_hour_breaks_the_line_of_a_day() -> None:
    rows = glucose([100.0] * 96, minutes=15).drop(index=range(40, 46))
    lines = plots.glucose_days(rows).axes[0].lines
    assert [len(line.get_xdata()) for line in lines] == [40, 50]


# --- blood pressure, heart rate, steps -------------------------------------------------------------------------------


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


def test_heart_rate_marks_the_median_of_each_day_and_night() -> None:
    picture = plots.heart_rate(rate([50, 70, 60, 80, 64, 90], hours=6))  # 00, 06, 12, 18, 00, 06 o'clock
    heights = sorted(line.get_ydata()[0] for line in only_axes(picture).lines if len(line.get_xdata()) == 2)
    assert heights == [50, 64, 70, 90]  # night, night, the day's median of 70, 60 and 80, and the last morning
    assert "patient 40001: median by day 75 · by night 57" in words(picture)


def test_what_was_left_out_is_said() -> None:
    unclocked = pd.concat([rate([60], offset=None)] * 2)
    average = rate([60]).assign(descriptive_statistic="average")
    said = words(plots.heart_rate(pd.concat([rate([60]), unclocked, average])))
    assert "nights shaded · 2 without local clock left out · 1 aggregate left out" in said
    nap = walks(("2026-03-05T08:00", "2026-03-05T09:00", 5), offset=None)
    assert "1 without local clock left out" in words(plots.steps(pd.concat([walks(WALK), nap])))
    rows = pd.concat([pressure([(120, 80)]), pressure([(120, 80)], offset=None)])
    assert "1 without local clock left out" in words(plots.blood_pressure_series(rows))


def test_steps_are_drawn_as_they_were_added_up() -> None:
    picture = plots.steps(
        walks(("2026-03-02T08:00", "2026-03-02T09:00", 5000), ("2026-03-02T23:00", "2026-03-03T01:00", 600))
    )
    bars = [patch.get_height() for patch in only_axes(picture).patches]  # type: ignore[attr-defined]
    assert bars == [5300, 300]
    assert "2 days · median 2,800 steps" in words(picture)


# --- uploads and consents --------------------------------------------------------------------------------------------


def test_the_longest_silent_stand_first_and_who_is_not_there_at_all_before_them() -> None:
    rows = uploads((1, "2026-03-01T08:00Z"), (2, "2026-03-09T08:00Z"), read="2026-03-10T00:00:00Z")
    picture = plots.upload_timeline(rows, patients=[1, 2, 3])
    assert tick_labels(only_axes(picture)) == ["patient 3", "patient 1", "patient 2"]
    assert "3 patients · 2 rows · 1 silent for 7 days or more · nothing of 1" in words(picture)
    assert "nothing in this frame" in words(picture)


def test_silence_is_counted_to_the_last_row_where_the_frame_does_not_say_when_it_was_read() -> None:
    picture = plots.upload_timeline(uploads((1, "2026-03-01T08:00Z"), (2, "2026-03-08T07:00Z")))
    assert "0 silent" in words(picture)


def test_a_day_is_as_deep_as_the_patients_own_days_go() -> None:
    rows_of_day = {1: 6, 2: 6, 3: 6, 4: 1, 5: 3}  # usually six, so one is 17 % of it and three are half
    rows = uploads(*[(1, f"2026-03-0{day}T{hour:02}:00Z") for day, n in rows_of_day.items() for hour in range(n)])
    depths = [patch.get_alpha() for patch in only_axes(plots.upload_timeline(rows)).patches]
    assert sorted(depths) == [0.30, 0.60, 0.95, 0.95, 0.95]


def test_a_consent_map_shows_each_answer_once() -> None:
    picture = plots.consent_map(consents("granted", "declined", "pending", "granted"))
    axes = only_axes(picture)
    assert [text.get_text() for text in axes.texts] == ["✓", "✕", "…", "✓"]
    assert tick_labels(axes) == ["patient 1", "patient 2"]
    assert "2 granted · 1 declined · 1 pending" in words(picture)


def test_a_code_never_asked_for_stays_empty() -> None:
    picture = plots.consent_map(consents("granted", "declined", "pending", "granted").iloc[:3])
    assert len(only_axes(picture).texts) == 3


# --- every picture ---------------------------------------------------------------------------------------------------

PICTURES: dict[str, tuple[Any, pd.DataFrame]] = {
    "glucose_profile": (plots.glucose_profile, glucose(DAY * 10, minutes=15)),
    "time_in_range": (plots.time_in_range, glucose(DAY, minutes=15)),
    "glucose_days": (plots.glucose_days, glucose(DAY, minutes=15)),
    "blood_pressure_series": (plots.blood_pressure_series, pressure([(120, 80), (130, 85)])),
    "heart_rate": (plots.heart_rate, rate([60, 70])),
    "steps": (plots.steps, walks(WALK)),
    "upload_timeline": (plots.upload_timeline, uploads((1, "2026-03-01T08:00Z"))),
    "consent_map": (plots.consent_map, consents("granted", "declined", "pending", "granted")),
}


def test_every_picture_is_here() -> None:
    assert set(PICTURES) == set(plots.__all__)


@pytest.mark.parametrize("name", sorted(set(PICTURES) - {"consent_map"}))
def test_frames_of_every_pandas_backend_give_the_same_picture(name: str) -> None:
    draw, plain = PICTURES[name]
    expected = words(draw(plain)), drawn(draw(plain))
    backends: tuple[Literal["numpy_nullable", "pyarrow"], ...] = ("numpy_nullable", "pyarrow")
    for backend in backends:
        picture = draw(plain.convert_dtypes(dtype_backend=backend))
        assert (words(picture), drawn(picture)) == expected, backend


def drawn(picture: Chart) -> list[list[float]]:
    """Where everything lies that was drawn."""
    lines = [line.get_xydata().ravel().tolist() for axes in picture.axes for line in axes.lines]
    bars = [list(patch.get_bbox().bounds) for axes in picture.axes for patch in axes.patches]
    areas = [
        path.vertices.ravel().tolist() for axes in picture.axes for one in axes.collections for path in one.get_paths()
    ]
    assert lines or bars
    return [*lines, *bars, *areas]


@pytest.mark.parametrize("name", sorted(set(PICTURES) - {"glucose_days"}))
def test_on_an_axes_of_ones_own_it_draws_there_and_answers_it(name: str) -> None:
    draw, rows = PICTURES[name]
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert draw(rows, ax=right) is right
    headline, *made_of = right.get_title(loc="left").splitlines()
    assert headline[0].isupper()
    assert made_of
    assert right.has_data()
    assert not left.has_data()
    assert figure.texts == [], "whose figure it is writes its title"


def test_on_an_axes_of_ones_own_the_figures_of_the_patient_are_told_too() -> None:
    axes = Figure().subplots()
    plots.heart_rate(rate([60, 70]), ax=axes)
    assert "patient 40001: median by day 70" in axes.get_title(loc="left")
