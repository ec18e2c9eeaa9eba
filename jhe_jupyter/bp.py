"""Blood pressure as guidelines read it: readings are averaged first, and the average is classified, never one reading.

Which readings enter the average, and which bounds it meets, depends on where the cuff was: at home or in the office.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .readings import aggregates, at_night, clocked, in_unit, measured, wall

SYSTOLIC, DIASTOLIC = "systolic_blood_pressure_value", "diastolic_blood_pressure_value"


@dataclass(frozen=True)
class Guideline:
    """Categories of average blood pressure in mmHg, lowest first, each with the bounds it starts at."""

    name: str
    setting: str
    source: str
    goal: tuple[int, int]  # below both
    categories: tuple[str, ...]
    systolic: tuple[int, ...]  # where the second and later categories start
    diastolic: tuple[int, ...]
    least: int  # readings an average needs
    skip_first_day: bool = False
    isolated: bool = False  # whether a high systolic beside a diastolic below 90 has a name of its own

    @property
    def goal_words(self) -> str:
        """The goal and where it comes from, as one phrase."""
        return f"{self.setting} readings: below {self.goal[0]}/{self.goal[1]} ({self.name})"


CHEP = Guideline(
    name="CHEP 2017",
    setting="home",
    source="doi:10.1016/j.cjca.2017.03.005",
    goal=(135, 85),
    categories=("below 135/85", "hypertension"),
    systolic=(135,),
    diastolic=(85,),
    least=12,
    skip_first_day=True,
)
ACC_AHA = Guideline(
    name="ACC/AHA 2017",
    setting="office",
    source="doi:10.1161/HYP.0000000000000065",
    goal=(130, 80),
    categories=("normal", "elevated", "stage 1", "stage 2"),
    systolic=(120, 130, 140),
    diastolic=(80, 80, 90),  # elevated is a matter of the systolic alone
    least=2,
)
ESH = Guideline(
    name="ESH 2023",
    setting="office",
    source="doi:10.1097/HJH.0000000000003480",
    goal=(140, 90),
    categories=("optimal", "normal", "high-normal", "grade 1", "grade 2", "grade 3"),
    systolic=(120, 130, 140, 160, 180),
    diastolic=(80, 85, 90, 100, 110),
    least=2,
    isolated=True,
)
GUIDELINES = {one.name: one for one in (CHEP, ACC_AHA, ESH)}
USUAL = {"home": CHEP, "office": ACC_AHA}


def choose(setting: str, name: str | None = None) -> Guideline:
    """The guideline for readings taken at `home` or in the `office`; ValueError where none is known.

    >>> choose("home").name, choose("office").name, choose("office", "ESH 2023").goal
    ('CHEP 2017', 'ACC/AHA 2017', (140, 90))
    """
    if setting not in USUAL:
        raise ValueError(f"Blood pressure is read at {' or '.join(USUAL)}, not at {setting!r}.")
    found = USUAL[setting] if name is None else GUIDELINES.get(name)
    if found is None or found.setting != setting:
        there = " and ".join(one.name for one in GUIDELINES.values() if one.setting == setting)
        raise ValueError(f"For {setting} readings there is {there}, not {name!r}.")
    return found


def readings(df: pd.DataFrame) -> pd.DataFrame:
    """The blood pressure readings of an observations frame whose local clock is known, one row each.

    Answers columns patient_id, local (naive local clock), systolic and diastolic (float64, mmHg) and night (bool, 22:00
    to 06:00). Aggregates are left out. Raises ValueError where there is nothing to read, no local clock, or another
    unit than mmHg.
    """
    rows = measured(measured(df, SYSTOLIC, code="blood-pressure"), DIASTOLIC, code="blood-pressure")
    for stem in (SYSTOLIC, DIASTOLIC):
        in_unit(rows, stem.removesuffix("_value"), "mmHg")
    known = clocked(rows, "effective_local", what="Blood pressure by day and by night").reset_index(drop=True)
    return pd.DataFrame(
        {
            "patient_id": known["patient_id"],
            "local": wall(known["effective_local"]),
            "systolic": known[SYSTOLIC].astype("float64"),
            "diastolic": known[DIASTOLIC].astype("float64"),
            "night": at_night(wall(known["effective_local"])),
        }
    )


def report(df: pd.DataFrame, *, setting: str = "home", guideline: str | None = None) -> pd.DataFrame:
    """Average blood pressure by day and by night, share at goal and category, one row per patient.

    `df` is a frame of `Exchange.observations_df`; aggregates and readings without local clock are left out, and `attrs`
    says how many, beside the guideline's source. `setting` is "home" or "office"; `guideline` is "CHEP 2017" (home),
    "ACC/AHA 2017" (office) or "ESH 2023" (office).

    Index patient_id; columns readings, days (local days with data), averaged (readings by day, 06:00 to 22:00, that
    enter the average; at home the first day does not count), systolic and diastolic (their mean, mmHg), systolic_night
    and diastolic_night (22:00 to 06:00), dip (percent by which the systolic mean falls at night), at_goal (percent of
    averaged readings with both numbers below the goal), category (of the average, by the higher of its two numbers;
    null below 12 averaged readings at home, 2 in the office), guideline and setting. Raises ValueError where `df`
    cannot carry it.

    >>> import pandas as pd
    >>> times = pd.date_range("2026-03-02T08:00Z", periods=4, freq="5min")
    >>> frame = pd.DataFrame({"patient_id": 1, "effective_start": times, "effective_local": times.tz_localize(None),
    ...     "systolic_blood_pressure_value": [128, 132, 136, 132], "diastolic_blood_pressure_value": [78, 76, 80, 78]})
    >>> report(frame, setting="office")[["systolic", "diastolic", "at_goal", "category"]].values.tolist()
    [[132.0, 78.0, 25.0, 'stage 1']]
    """
    chosen = choose(setting, guideline)
    rows = readings(df)
    by_patient = rows.groupby("patient_id", observed=True)
    days = rows["local"].dt.normalize().groupby(rows["patient_id"], observed=True).nunique()
    figures = {"readings": by_patient.size(), "days": days}
    figures |= _averages(rows, chosen, by_patient.size().index)
    found = pd.DataFrame({**figures, "guideline": chosen.name, "setting": chosen.setting})
    found.attrs = {"guideline": chosen.source, "goal": chosen.goal_words}
    found.attrs |= omitted(df, rows)
    return found


def _averages(rows: pd.DataFrame, chosen: Guideline, index: pd.Index[int]) -> dict[str, pd.Series[Any]]:
    """The columns of `report` that depend on which readings the guideline averages, for the patients of `index`."""
    counted = _counted(rows, chosen)
    day, night = (_means(one).reindex(index) for one in (counted, rows[rows["night"]]))
    averaged = counted.groupby("patient_id", observed=True).size().reindex(index, fill_value=0)
    goal = (counted["systolic"] < chosen.goal[0]) & (counted["diastolic"] < chosen.goal[1])
    return {
        "averaged": averaged,
        "systolic": day["systolic"],
        "diastolic": day["diastolic"],
        "systolic_night": night["systolic"],
        "diastolic_night": night["diastolic"],
        "dip": (1 - night["systolic"] / day["systolic"]) * 100,
        "at_goal": goal.groupby(counted["patient_id"], observed=True).mean().reindex(index) * 100,
        "category": _categories(day, chosen).where(averaged >= chosen.least),
    }


def _counted(rows: pd.DataFrame, chosen: Guideline) -> pd.DataFrame:
    """The readings that enter the average: those by day and, at home, from the second day on."""
    awake = rows[~rows["night"]]
    if not chosen.skip_first_day:
        return awake
    day = awake["local"].dt.normalize()
    first = rows["local"].dt.normalize().groupby(rows["patient_id"], observed=True).transform("min")
    later: pd.DataFrame = awake[day > first.loc[awake.index]]
    return later


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    means: pd.DataFrame = rows.groupby("patient_id", observed=True)[["systolic", "diastolic"]].mean()
    return means


def _categories(means: pd.DataFrame, chosen: Guideline) -> pd.Series[str]:
    """The category of each mean, by the higher of its two numbers."""
    numbers = ((means["systolic"], chosen.systolic), (means["diastolic"], chosen.diastolic))
    places = np.maximum(*(np.searchsorted(bounds, mean, side="right") for mean, bounds in numbers))
    names = np.array(chosen.categories, dtype=object)[np.minimum(places, len(chosen.systolic))]
    if chosen.isolated:
        alone = (means["systolic"] >= 140) & (means["diastolic"] < 90)
        names = np.where(alone, "isolated systolic, " + names, names)
    return pd.Series(names, index=means.index, dtype="object")


def omitted(df: pd.DataFrame, rows: pd.DataFrame) -> dict[Hashable, int]:
    """How many blood pressures of `df` are not among its `readings`, and why."""
    single = int(df[SYSTOLIC].notna().sum()) - aggregates(df, SYSTOLIC)
    return {"aggregates_left_out": aggregates(df, SYSTOLIC), "unclocked_left_out": single - len(rows)}
