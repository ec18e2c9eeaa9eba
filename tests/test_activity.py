"""Steps per local day: split at midnight by time, never counted twice, against values worked by hand."""

from __future__ import annotations

import pandas as pd
import pytest
from by_hand import glucose, walks

from jhe_jupyter.activity import daily_steps


def by_day(rows: pd.DataFrame) -> dict[str, float]:
    return {f"{day:%m-%d}": steps for day, steps in daily_steps(rows).set_index("day")["steps"].items()}


def test_counts_of_a_day_add_up() -> None:
    rows = walks(("2026-03-02T08:00", "2026-03-02T09:00", 500), ("2026-03-02T17:00", "2026-03-02T18:00", 700))
    assert by_day(rows) == {"03-02": 1200}


def test_an_interval_across_midnight_belongs_to_both_days_by_time() -> None:
    rows = walks(("2026-03-02T23:15", "2026-03-03T00:15", 400))  # 45 minutes and 15
    assert by_day(rows) == {"03-02": 300, "03-03": 100}


def test_an_interval_of_days_is_shared_among_them() -> None:
    rows = walks(("2026-03-02T12:00", "2026-03-04T12:00", 4800))  # 12, 24 and 12 hours of 48
    assert by_day(rows) == {"03-02": 1200, "03-03": 2400, "03-04": 1200}


def test_midnight_itself_opens_no_day() -> None:
    assert by_day(walks(("2026-03-02T23:00", "2026-03-03T00:00", 60))) == {"03-02": 60}
    assert by_day(walks(("2026-03-02T00:00", "2026-03-03T00:00", 9000))) == {"03-02": 9000}


def test_the_day_is_the_patients_own() -> None:
    rows = walks(("2026-03-03T07:00", "2026-03-03T09:00", 200), offset=-480)  # 23:00 to 01:00 in the west of America
    assert by_day(rows) == {"03-02": 100, "03-03": 100}


def test_an_instant_and_an_open_end_count_on_their_day() -> None:
    rows = walks(("2026-03-02T00:00", "2026-03-02T00:00", 10), ("2026-03-02T08:00", "2026-03-02T09:00", 20))
    rows.loc[1, "effective_end"] = pd.NaT
    assert by_day(rows) == {"03-02": 30}
    assert by_day(rows.drop(columns="effective_end")) == {"03-02": 30}


def test_ieee_physical_activity_counts_where_it_counts_steps() -> None:
    rows = walks(("2026-03-02T08:00", "2026-03-02T09:00", 500), ("2026-03-02T10:00", "2026-03-02T11:00", 40), ieee=True)
    rows.loc[1, "base_movement_quantity_unit"] = "laps"
    assert by_day(rows) == {"03-02": 500}
    both = pd.concat([rows, walks(("2026-03-03T08:00", "2026-03-03T09:00", 7))])
    assert by_day(both) == {"03-02": 500, "03-03": 7}


def test_patients_are_kept_apart_and_aggregates_are_left_out() -> None:
    mean = walks(("2026-03-02T08:00", "2026-03-02T09:00", 9999)).assign(descriptive_statistic="average")
    rows = pd.concat([walks(("2026-03-02T08:00", "2026-03-02T09:00", n), patient=n) for n in (1, 2)] + [mean])
    found = daily_steps(rows)
    assert found[["patient_id", "steps"]].values.tolist() == [[1, 1], [2, 2]]
    assert found.attrs["aggregates_left_out"] == 1


def test_the_same_steps_are_never_counted_twice() -> None:
    phone = walks(("2026-03-02T08:00", "2026-03-02T09:00", 500), ("2026-03-02T09:00", "2026-03-02T10:00", 600))
    watch = walks(("2026-03-02T08:30", "2026-03-02T08:45", 300))
    with pytest.raises(ValueError, match=r"1 step counts overlap in time .* \(40001\), .* choose one data_source"):
        daily_steps(pd.concat([phone, watch]))
    with pytest.raises(ValueError, match="overlap"):  # a total beside its parts
        daily_steps(pd.concat([phone, walks(("2026-03-02T00:00", "2026-03-03T00:00", 1100))]))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (glucose([100]), "no step count readings .* no column 'step_count_value'; fetch them with"),
        (walks(("2026-03-02T08:00", "2026-03-02T09:00", 5), offset=None), "needs the patient's local clock"),
    ],
)
def test_what_cannot_be_counted_is_refused(rows: pd.DataFrame, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        daily_steps(rows)
