"""The blood pressure report: averaged first, classified by the higher of the two, against values worked by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from by_hand import pressure

from jhe_jupyter import bp


def office(*pairs: tuple[float, float], guideline: str | None = None) -> pd.Series:
    """The report on readings by day, one an hour from eight o'clock on, taken in the office."""
    rows = pressure(pairs, hours=1, start="2026-03-02T08:00Z")
    return bp.report(rows, setting="office", guideline=guideline).loc[40001]


def home(day: tuple[float, float], days: int = 4) -> pd.DataFrame:
    """Four readings a day at 06:00, 11:00, 16:00 and 21:00; the first day is wild, the others are `day`."""
    wild = pressure([(200, 120)] * 4, hours=5, start="2026-03-01T06:00Z")
    rest = [pressure([day] * 4, hours=5, start=f"2026-03-{2 + n:02}T06:00Z") for n in range(days - 1)]
    return pd.concat([wild, *rest])


@pytest.mark.parametrize(
    ("mean", "category"),
    [
        ((119, 79), "normal"),
        ((120, 79), "elevated"),
        ((129.9, 79.9), "elevated"),
        ((130, 79), "stage 1"),
        ((119, 80), "stage 1"),  # the higher of the two
        ((119, 89), "stage 1"),
        ((140, 70), "stage 2"),
        ((119, 90), "stage 2"),
    ],
)
def test_office_categories(mean: tuple[float, float], category: str) -> None:
    found = office(mean, mean)
    assert found[["category", "guideline", "setting"]].tolist() == [category, "ACC/AHA 2017", "office"]


@pytest.mark.parametrize(
    ("mean", "category"),
    [
        ((119, 79), "optimal"),
        ((119, 80), "normal"),
        ((130, 80), "high-normal"),
        ((139, 90), "grade 1"),
        ((141, 89), "isolated systolic, grade 1"),
        ((160, 95), "grade 2"),
        ((150, 110), "grade 3"),
    ],
)
def test_european_categories(mean: tuple[float, float], category: str) -> None:
    assert office(mean, mean, guideline="ESH 2023")["category"] == category


def test_it_averages_before_it_classifies() -> None:
    found = office((150, 80), (110, 70))  # one stage 2 and one normal are, on average, 130/75
    assert found[["systolic", "diastolic", "category"]].tolist() == [130, 75, "stage 1"]
    assert found["at_goal"] == 50  # below 130/80: the second


def test_at_home_the_first_day_does_not_count() -> None:
    found = bp.report(home((130, 80))).loc[40001]
    assert found[["readings", "days", "averaged"]].tolist() == [16, 4, 12]
    assert found[["systolic", "diastolic"]].tolist() == [130, 80]
    assert found[["category", "guideline", "setting"]].tolist() == ["below 135/85", "CHEP 2017", "home"]
    assert found["at_goal"] == 100


@pytest.mark.parametrize("mean", [(135, 80), (130, 85)])
def test_either_number_makes_hypertension_at_home(mean: tuple[float, float]) -> None:
    assert bp.report(home(mean)).loc[40001, "category"] == "hypertension"


def test_eleven_readings_are_too_few_to_name_it() -> None:
    found = bp.report(home((140, 90)).iloc[:-1]).loc[40001]
    assert found["averaged"] == 11
    assert found["systolic"] == 140
    assert found["category"] is None or math.isnan(found["category"])


def test_who_has_only_a_first_day_has_no_average_yet() -> None:
    found = bp.report(home((140, 90), days=1)).loc[40001]
    assert found[["readings", "averaged"]].tolist() == [4, 0]
    assert math.isnan(found["systolic"])


def test_nights_are_told_apart_by_the_local_clock() -> None:
    rows = pressure([(110, 70), (130, 80), (124, 74), (130, 80)], offset=0)  # midnight, noon, midnight, noon
    found = bp.report(rows, setting="office").loc[40001]
    assert found[["systolic", "systolic_night", "diastolic_night"]].tolist() == [130, 117, 72]
    assert found["dip"] == pytest.approx(10)  # 13 of 130
    elsewhere = bp.report(pressure([(110, 70), (130, 80)], offset=12 * 60), setting="office").loc[40001]
    assert elsewhere[["systolic", "systolic_night"]].tolist() == [110, 130]


def test_each_patient_has_a_row_and_what_was_left_out_is_said() -> None:
    average = pressure([(200, 100)], patient=3).assign(descriptive_statistic="average")
    unclocked = pressure([(180, 99)], offset=None)
    rows = pd.concat([pressure([(120, 70)], patient=2), pressure([(150, 90)]), average, unclocked])
    report = bp.report(rows, setting="office")
    assert report.index.tolist() == [2, 40001]
    assert report.attrs["aggregates_left_out"] == 1
    assert report.attrs["unclocked_left_out"] == 1
    assert report.attrs["goal"] == "office readings: below 130/80 (ACC/AHA 2017)"
    assert report.attrs["guideline"].startswith("doi:")


def test_unknown_settings_guidelines_and_units_are_refused() -> None:
    rows = pressure([(120, 80)])
    with pytest.raises(ValueError, match="at home or office, not at 'ward'"):
        bp.report(rows, setting="ward")
    with pytest.raises(ValueError, match="For home readings there is CHEP 2017, not 'ESH 2023'"):
        bp.report(rows, guideline="ESH 2023")
    with pytest.raises(ValueError, match="understood in mmHg, and this frame has it in kPa too"):
        bp.report(rows.assign(diastolic_blood_pressure_unit="kPa"))
    with pytest.raises(ValueError, match="needs the patient's local clock"):
        bp.report(pressure([(120, 80)], offset=None))
