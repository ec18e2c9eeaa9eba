"""The numbers of glucose monitoring, each against a value worked by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from by_hand import glucose

from jhe_jupyter import cgm


def one(rows: pd.DataFrame, unit: str = "mg/dL") -> pd.Series:
    """The summary of the only patient."""
    return cgm.summary(rows, unit=unit).loc[40001]


def test_bands_and_an_average_is_no_reading() -> None:
    values: list[float] = [53, 54, 69.9, 70, 100, 120, 180, 180.5, 250, 251]
    average = glucose([400]).assign(descriptive_statistic="average")
    rows = pd.concat([glucose(values).assign(descriptive_statistic=None), average])
    summary = cgm.summary(rows)
    found = summary.loc[40001]
    assert found[list(cgm.BANDS)].to_dict() == {"very_low": 10, "low": 20, "target": 40, "high": 20, "very_high": 10}
    assert found["readings"] == 10
    assert found["mean"] == pytest.approx(132.84)  # 1328.4 / 10
    assert found["gmi"] == pytest.approx(3.31 + 0.02392 * 132.84)  # 6.4875
    assert found["hours"] == pytest.approx(10 * 5 / 60)
    assert found["active"] == 100
    assert summary.attrs["aggregates_left_out"] == 1


def test_glucose_management_indicator_agrees_with_the_published_table() -> None:
    published = {100: 5.7, 150: 6.9, 200: 8.1, 250: 9.3}  # Bergenstal 2018, table 2
    assert {mean: round(cgm.gmi(mean), 1) for mean in published} == published


def test_mean_deviation_and_variation() -> None:
    found = one(glucose([90, 110, 130]))
    assert found["mean"] == pytest.approx(110)
    assert found["sd"] == pytest.approx(20)  # √((400 + 0 + 400) / 2)
    assert found["cv"] == pytest.approx(20 / 110 * 100)  # 18.18


def test_one_reading_has_no_deviation() -> None:
    found = one(glucose([100]))
    assert found["target"] == 100
    assert math.isnan(found["sd"])
    assert math.isnan(found["modd"])


def test_glycemia_risk_index_and_its_zone() -> None:
    found = one(glucose([50] + [60] * 2 + [100] * 13 + [200] * 3 + [300]))  # of 20: 5 %, 10 %, 65 %, 15 %, 5 %
    assert found["gri"] == pytest.approx(59)  # 3 × 5 + 2.4 × 10 + 1.6 × 5 + 0.8 × 15 = 15 + 24 + 8 + 12
    assert found["gri_zone"] == "C"
    assert one(glucose([40]))["gri"] == 100  # 300, capped
    assert one(glucose([40]))["gri_zone"] == "E"


def test_millimoles_count_like_milligrams() -> None:
    rows = glucose([3.8, 10.1, 5.5, 5.5], unit="mmol/L")
    assert one(rows)[["low", "target", "high"]].tolist() == [25, 50, 25]
    assert one(rows)["mean"] == pytest.approx((3.8 + 10.1 + 5.5 + 5.5) / 4 * 18.0182)  # 112.16
    assert one(rows, "mmol/L")[["mean", "unit"]].tolist() == [pytest.approx(24.9 / 4), "mmol/L"]
    assert one(rows, "mmol/L")["gmi"] == one(rows)["gmi"]


def test_both_units_may_stand_in_one_frame() -> None:
    rows = pd.concat([glucose([90, 90]), glucose([5.0, 5.0], patient=2, unit="mmol/L")])
    assert cgm.summary(rows)["mean"].tolist() == pytest.approx([5 * 18.0182, 90])


def test_ten_millimoles_are_in_target_whichever_unit_the_frame_was_fetched_in() -> None:
    """The consensus writes 3.9–10.0 mmol/L; 10.0 mmol/L is 180.2 mg/dL."""
    said = [2.9, 3.0, 3.8, 3.9, 10.0, 10.1, 13.9, 14.0]
    converted = [value * 18.0182 for value in said]
    for rows in (glucose(said, unit="mmol/L"), glucose(converted)):
        assert one(rows)[list(cgm.BANDS)].tolist() == [12.5, 25, 25, 25, 12.5]


def test_a_change_of_sensor_weighs_by_time_and_not_by_readings() -> None:
    fast = glucose([200] * 12)  # an hour, every five minutes
    slow = glucose([100] * 4, minutes=15, start="2026-03-02T12:00Z")  # an hour, every quarter
    found = one(pd.concat([fast, slow]))
    assert found["target"] == pytest.approx(50)  # by readings it would be 25
    assert found["mean"] == pytest.approx(150)  # by readings it would be 175
    assert found["sd"] == pytest.approx(math.sqrt(2500 * 16 / 15))  # 50² in the mean, sixteen readings
    assert found["hours"] == pytest.approx(2)


def test_the_same_reading_sent_twice_counts_once() -> None:
    twice = pd.concat([glucose([200, 100]), glucose([200])])
    assert one(twice)[["target", "high"]].tolist() == [50, 50]


def test_everybody_is_weighted_by_time_not_by_number_of_readings() -> None:
    often = glucose([200] * 12, patient=1)  # an hour high, in twelve readings
    seldom = glucose([100] * 4, patient=2, minutes=15)  # an hour in target, in four
    shares = cgm.overall(cgm.summary(pd.concat([often, seldom])))
    assert shares["target"] == pytest.approx(50)
    assert shares["high"] == pytest.approx(50)


def test_active_share_counts_what_the_patients_own_cadence_would_have_given() -> None:
    rows = glucose([100] * 9, minutes=15).drop(index=[3, 4, 5])  # 6 of the 9 readings between first and last
    assert one(rows)["active"] == pytest.approx(6 / 9 * 100)


def test_a_seconds_hand_that_trembles_changes_nothing() -> None:
    rows = glucose([50, 100, 100, 100])
    rows["effective_start"] += pd.to_timedelta([0, 7, -5, 2], unit="s")
    assert one(rows)[["very_low", "target"]].tolist() == [25, 75]


def test_mean_of_daily_differences() -> None:
    day = glucose([100, 120, 140], minutes=15)
    next_day = glucose([110, 150, 90], minutes=15, start="2026-03-03T08:02Z")  # two minutes late: still its neighbour
    assert one(pd.concat([day, next_day]))["modd"] == pytest.approx((10 + 30 + 50) / 3)  # 30


def test_a_difference_needs_its_reading_of_the_day_before() -> None:
    day, next_day = glucose([100]), glucose([180], start="2026-03-03T08:10Z")  # ten minutes off: no neighbour
    assert math.isnan(one(pd.concat([day, next_day]))["modd"])


def test_profile_quantiles_lie_on_the_local_clock_and_wrap_midnight() -> None:
    rows = cgm.readings(glucose([100, 200, 300], minutes=30, offset=-8 * 60 - 15))  # local 23:45, 00:15, 00:45
    profile = cgm.profile(rows, quantiles=(0.5,))[0.5]
    assert profile[0.0] == 150  # 23:45 and 00:15
    assert profile[0.5] == 250  # 00:15 and 00:45
    assert profile[0.25] == 150  # from 23:45, which counts, to 00:45, which does not
    assert math.isnan(profile[12.0])
    assert len(profile) == 96


def test_profile_quantiles_by_hand() -> None:
    rows = cgm.readings(glucose([100, 110, 120, 130, 140], minutes=1))
    profile = cgm.profile(rows).loc[0.0]
    assert profile.tolist() == pytest.approx([102, 110, 120, 130, 138])  # of five values, 5 % lies at a fifth of a step


def test_a_day_is_the_patients_own() -> None:
    rows = glucose([100] * 2, minutes=60, start="2026-03-03T07:30Z")  # 23:30 and 00:30 in the west of America
    assert one(rows)["days"] == 2
    assert one(glucose([100] * 2, minutes=60, offset=None, start="2026-03-03T07:30Z"))["days"] == 1  # by UTC


def test_glucose_in_an_unknown_unit_or_none_is_refused() -> None:
    with pytest.raises(ValueError, match="understood in mg/dL and mmol/L, not in g/L"):
        cgm.summary(glucose([1.0], unit="g/L"))
    with pytest.raises(ValueError, match="understood in mg/dL and mmol/L, not in nan"):
        cgm.summary(glucose([1.0]).assign(blood_glucose_unit=None))
    with pytest.raises(ValueError, match="has lost blood_glucose_unit"):
        cgm.summary(glucose([1.0]).drop(columns="blood_glucose_unit"))
    with pytest.raises(ValueError, match=r"given in mg/dL or mmol/L, not in 'mg/L'"):
        cgm.summary(glucose([100]), unit="mg/L")
