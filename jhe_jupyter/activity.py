"""Steps per local day: counts belong to stretches of time, and a stretch across midnight belongs to both days."""

from __future__ import annotations

import pandas as pd

from .readings import aggregates, clocked, measured, utc, wall

STEPS, MOVEMENTS = "step_count_value", "base_movement_quantity_value"


def intervals(df: pd.DataFrame) -> pd.DataFrame:
    """The step counts of an observations frame: one row per interval, on the local clock.

    Reads `step_count_value` (omh:step-count) and `base_movement_quantity_value` where its unit is steps
    (ieee:physical-activity). Answers columns patient_id, start and end (naive local clock; an interval without an end
    is an instant) and steps (float64). Aggregates are left out, and intervals whose local clock is unknown. Raises
    ValueError where there are no steps, where no local clock is known, and where intervals of one patient overlap: two
    devices, or totals beside their parts, count the same steps twice.
    """
    rows = _counts(df)
    known = clocked(rows, "effective_local", what="A count of steps per day").reset_index(drop=True)
    start, lasted = wall(known["effective_local"]), _lasted(known)
    found = pd.DataFrame(
        {"patient_id": known["patient_id"], "start": start, "end": start + lasted, "steps": known["steps"]}
    ).sort_values(["patient_id", "start", "end"], ignore_index=True)
    _once(found)
    return found


def _lasted(rows: pd.DataFrame) -> pd.Series[pd.Timedelta]:
    began = utc(rows["effective_start"])
    ended = utc(rows["effective_end"]).fillna(began) if "effective_end" in rows else began
    return ended - began


def _counts(df: pd.DataFrame) -> pd.DataFrame:
    """The rows that count steps, with one column `steps`."""
    rows = df
    if MOVEMENTS in df and "base_movement_quantity_unit" in df:
        walked = df[MOVEMENTS].where(df["base_movement_quantity_unit"] == "steps")
        rows = df.assign(**{STEPS: df[STEPS].fillna(walked) if STEPS in df else walked})
    rows = measured(rows, STEPS, code="step-count")
    return rows.assign(steps=rows[STEPS].astype("float64"))


def _once(rows: pd.DataFrame) -> None:
    latest = rows.groupby("patient_id", observed=True)["end"].transform(lambda ends: ends.cummax().shift())
    twice = rows[rows["start"] < latest]
    if len(twice):
        who = ", ".join(str(one) for one in twice["patient_id"].unique()[:3])
        raise ValueError(
            f"{len(twice):,} step counts overlap in time with others of the same patient ({who}), and would count "
            "twice; choose one data_source, or drop the totals."
        )


def daily_steps(df: pd.DataFrame) -> pd.DataFrame:
    """Steps per patient and local day: columns patient_id, day (naive midnight) and steps (float64).

    `df` is a frame of `Exchange.observations_df` with omh:step-count or ieee:physical-activity. An interval across
    midnight is split between its days by time, as if walked evenly. Days without a count are absent, not zero. Refuses
    what `intervals` refuses; `attrs` says how many rows were left out.

    >>> import pandas as pd
    >>> night = pd.DataFrame({"patient_id": 1, "effective_start": pd.to_datetime(["2026-03-02T23:00Z"]),
    ...     "effective_end": pd.to_datetime(["2026-03-03T03:00Z"]), "step_count_value": [400],
    ...     "effective_local": pd.to_datetime(["2026-03-02T23:00"])})
    >>> daily_steps(night)["steps"].tolist()
    [100.0, 300.0]
    """
    rows = intervals(df)
    parts = _by_day(rows)
    found = parts.groupby(["patient_id", "day"], observed=True)["steps"].sum().reset_index()
    found.attrs["unclocked_left_out"] = len(_counts(df)) - len(rows)
    found.attrs["aggregates_left_out"] = aggregates(df, STEPS) + aggregates(df, MOVEMENTS)
    return found


def _by_day(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows again, those across midnight as one row per day with that day's share of the steps."""
    first, last = rows["start"].dt.normalize(), (rows["end"] - pd.Timedelta(microseconds=1)).dt.normalize()
    days = ((last - first).dt.days + 1).clip(lower=1)
    each = rows.loc[rows.index.repeat(days)].assign(lasted=(rows["end"] - rows["start"]))
    nth = each.groupby(level=0).cumcount().to_numpy()
    day = first.loc[each.index] + pd.to_timedelta(nth, unit="D")
    begins = each["start"].where(each["start"] > day, day)
    ends = each["end"].where(each["end"] < day + pd.Timedelta(days=1), day + pd.Timedelta(days=1))
    share = ((ends - begins) / each["lasted"]).where(each["lasted"] > pd.Timedelta(0), 1.0)
    return pd.DataFrame({"patient_id": each["patient_id"], "day": day, "steps": each["steps"] * share.to_numpy()})
