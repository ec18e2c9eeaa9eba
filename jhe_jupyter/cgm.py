"""The numbers of continuous glucose monitoring, as the international consensus defines them: frame in, frame out.

Bands and what counts as enough data: Battelino et al., Diabetes Care 2019;42(8):1593-1603, doi:10.2337/dci19-0028.
Glucose management indicator: Bergenstal et al., Diabetes Care 2018;41(11):2275-2280, doi:10.2337/dc18-1581.
Glycemia risk index: Klonoff et al., J Diabetes Sci Technol 2022, doi:10.1177/19322968221085273.
Shares, means and deviations are weighted by time: a reading counts for the minutes it stands for, so that sensors of
different pace compare.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .readings import aggregates, measured, utc, wall
from .units import GLUCOSE_MG_DL, conversion

MINIMUM_DAYS = 10  # 70 % of the 14 days the consensus asks for, rounded up
GOAL = 70  # percent of time in target, for most adults with type 1 or type 2 diabetes
LONGEST = 15  # minutes a reading may stand for: the slowest pace of the sensors in use

BANDS = ("very_low", "low", "target", "high", "very_high")
BAND_NAMES = {
    "very_low": "Very low, <54",
    "low": "Low, 54–69",
    "target": "Target, 70–180",
    "high": "High, 181–250",
    "very_high": "Very high, >250",
}
RISK = {"very_low": 3.0, "low": 2.4, "high": 0.8, "very_high": 1.6}
ZONES = ("A", "B", "C", "D", "E")


def readings(df: pd.DataFrame) -> pd.DataFrame:
    """The glucose readings of an observations frame in mg/dL: one row each, aggregates left out.

    `df` is a frame of `Exchange.observations_df`. Answers columns patient_id, time (UTC), local (naive local clock or
    NaT) and glucose (float64, mg/dL). Rows with a `descriptive_statistic` are averages or extremes of others, so they
    are no readings. Raises ValueError where there is no glucose, or glucose in a unit other than mg/dL and mmol/L.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"patient_id": [1], "effective_start": pd.to_datetime(["2026-03-02T08:00Z"]),
    ...     "effective_local": pd.to_datetime(["2026-03-02T09:00"]), "blood_glucose_value": [5.0],
    ...     "blood_glucose_unit": ["mmol/L"]})
    >>> round(float(readings(frame)["glucose"].iloc[0]), 3)
    90.091
    """
    rows = measured(df, "blood_glucose_value", code="blood-glucose").reset_index(drop=True)
    return pd.DataFrame(
        {
            "patient_id": rows["patient_id"],
            "time": utc(rows["effective_start"]),
            "local": wall(rows["effective_local"]),
            "glucose": rows["blood_glucose_value"].astype("float64") * _to_mgdl(rows),
        }
    )


def _to_mgdl(rows: pd.DataFrame) -> pd.Series[float]:
    if "blood_glucose_unit" not in rows:
        raise ValueError("This frame has lost blood_glucose_unit; a glucose value without its unit means nothing.")
    units = rows["blood_glucose_unit"].astype("category")
    factors = {unit: conversion(str(unit), "mg/dL") for unit in units.unique()}  # null is no unit either
    unknown = sorted(str(unit) for unit, found in factors.items() if found is None)
    if unknown:
        raise ValueError(f"Glucose is understood in mg/dL and mmol/L, not in {', '.join(unknown)}.")
    return units.map({unit: found[0] for unit, found in factors.items() if found}).astype("float64")


def per_unit(unit: str) -> float:
    """How many mg/dL one `unit` of glucose is; ValueError for other units than mg/dL and mmol/L."""
    if unit not in ("mg/dL", "mmol/L"):
        raise ValueError(f"Glucose is given in mg/dL or mmol/L, not in {unit!r}.")
    return 1.0 if unit == "mg/dL" else GLUCOSE_MG_DL


def band(glucose: pd.Series[float]) -> pd.Series[str]:
    """The consensus band of each value in mg/dL: <54, [54, 70), [70, 180], (180, 250], >250.

    The consensus writes its bounds in mmol/L too: 3.0, 3.9, 10.0 and 13.9. A meter that says 10.0 or 13.9 is on the
    bound, though that is 180.2 or 250.5 mg/dL; so the band does not depend on the unit a frame was fetched in.

    >>> import pandas as pd
    >>> band(pd.Series([53.9, 54, 69.9, 70, 180, 180.1, 250, 250.1])).tolist()
    ['very_low', 'low', 'low', 'target', 'target', 'high', 'high', 'very_high']
    >>> band(pd.Series([2.9, 3.0, 3.8, 3.9, 10.0, 10.1, 13.9, 14.0]) * 18.0182).tolist()
    ['very_low', 'low', 'low', 'target', 'target', 'high', 'high', 'very_high']
    """
    exact = glucose.to_numpy(dtype="float64").round(6)
    for bound, millimoles in ((180, 10.0), (250, 13.9)):
        exact[exact == round(millimoles * GLUCOSE_MG_DL, 6)] = bound
    low, high = np.searchsorted([54, 70], exact, side="right"), np.searchsorted([180, 250], exact, side="left")
    return pd.Series(pd.Categorical.from_codes(low + high, pd.Index(BANDS), ordered=True), index=glucose.index)


def gmi(mean: float) -> float:
    """Glucose management indicator in % from a mean glucose in mg/dL: 3.31 + 0.02392 × mean (Bergenstal 2018).

    >>> round(gmi(150), 2)
    6.9
    """
    return 3.31 + 0.02392 * mean


def gri(shares: pd.DataFrame) -> pd.Series[float]:
    """Glycemia risk index, 0 to 100, from percent of time in the bands (columns as `BANDS`); Klonoff 2022.

    3.0 × very low + 2.4 × low + 1.6 × very high + 0.8 × high, at most 100.

    >>> import pandas as pd
    >>> gri(pd.DataFrame({"very_low": [1.0], "low": [3.0], "target": [71], "high": [20], "very_high": [5]})).item()
    34.2
    """
    return (shares[list(RISK)] * list(RISK.values())).sum(axis=1).clip(upper=100).round(9)


def gri_zone(index: pd.Series[float]) -> pd.Series[str]:
    """The zone of each glycemia risk index: A to 20, B to 40, C to 60, D to 80, E above.

    >>> import pandas as pd
    >>> gri_zone(pd.Series([0, 20, 20.1, 60, 100])).tolist()
    ['A', 'A', 'B', 'C', 'E']
    """
    return pd.cut(index, [0, 20, 40, 60, 80, 100], labels=ZONES, include_lowest=True)


def minutes_each(rows: pd.DataFrame) -> pd.Series[float]:
    """How many minutes each reading stands for: those to its nearer neighbour in time, at most 15.

    `rows` comes from `readings`. A patient read every 15 minutes counts as much per hour as one read every 5, a change
    of sensor within a patient as well, and the reading before a gap no more than the others. Readings of the same
    instant share its minutes; a patient's only reading stands for five, the pace of most sensors.

    >>> import pandas as pd
    >>> times = pd.to_datetime(["2026-03-02T08:00Z", "2026-03-02T08:05Z", "2026-03-02T10:00Z", "2026-03-02T10:15Z"])
    >>> minutes_each(pd.DataFrame({"patient_id": 1, "time": times})).tolist()
    [5.0, 5.0, 15.0, 15.0]
    """
    instants = rows.groupby(["patient_id", "time"], observed=True).size().reset_index(name="sharing")
    times = instants["time"].groupby(instants["patient_id"], observed=True)
    before = times.diff().dt.total_seconds().to_numpy(dtype="float64")
    after = -times.diff(-1).dt.total_seconds().to_numpy(dtype="float64")
    nearer = np.fmin(before, after) / 60
    minutes = np.clip(np.where(np.isnan(nearer), 5.0, np.round(nearer)), 1, LONGEST)
    each = instants.assign(minutes=minutes / instants["sharing"])[["patient_id", "time", "minutes"]]
    found: pd.Series[float] = rows[["patient_id", "time"]].merge(each, on=["patient_id", "time"])["minutes"]
    return found.set_axis(rows.index)


def summary(df: pd.DataFrame, *, unit: str = "mg/dL") -> pd.DataFrame:
    """Time in the five consensus bands and the usual figures of glucose control, one row per patient.

    `df` is a frame of `Exchange.observations_df`. Index patient_id; columns very_low … very_high (percent of time),
    mean and sd (in `unit`, which the column `unit` states), cv (percent), gmi (percent), gri and gri_zone (glycemia
    risk index), modd (mean of daily differences, in `unit`), readings, hours (that they stand for), days (local, with
    data) and active (percent of the time from first to last reading that readings stand for). Aggregates are left out;
    `attrs` says how many. Raises ValueError where there are no glucose readings.

    >>> import pandas as pd
    >>> times = pd.date_range("2026-03-02T08:00Z", periods=4, freq="5min")
    >>> frame = pd.DataFrame({"patient_id": 1, "effective_start": times, "effective_local": times.tz_localize(None),
    ...     "blood_glucose_value": [60.0, 100.0, 100.0, 140.0], "blood_glucose_unit": "mg/dL"})
    >>> summary(frame)[["low", "target", "mean", "cv", "gmi"]].round(2).values.tolist()
    [[25.0, 75.0, 100.0, 32.66, 5.7]]
    """
    scale = per_unit(unit)
    rows = readings(df)
    rows = rows.assign(minutes=minutes_each(rows))
    shares = _shares(rows)
    mean, sd = _mean_and_sd(rows)
    risk = gri(shares)
    figures = {"mean": mean / scale, "sd": sd / scale, "unit": unit, "cv": sd / mean * 100, "gmi": gmi(mean)}  # type: ignore[arg-type]
    figures |= {"gri": risk, "gri_zone": gri_zone(risk), "modd": modd(rows) / scale}
    by_patient = rows.groupby("patient_id", observed=True)
    figures |= {"readings": by_patient.size(), "hours": by_patient["minutes"].sum() / 60, "days": days_of_data(rows)}
    found = pd.DataFrame({**shares, **figures, "active": _active(rows)})
    found.attrs["aggregates_left_out"] = aggregates(df, "blood_glucose_value")
    return found


def _shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Percent of time in each band, one row per patient."""
    minutes = rows["minutes"].groupby([rows["patient_id"], band(rows["glucose"])], observed=False).sum()
    table = minutes.unstack().reindex(columns=list(BANDS), fill_value=0.0)
    table.columns = list(BANDS)
    return table.div(table.sum(axis=1), axis=0) * 100


def _mean_and_sd(rows: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """Mean and sample standard deviation per patient, weighted by time; with one pace they are the plain ones."""
    patient = rows["patient_id"]
    total = rows["minutes"].groupby(patient, observed=True).sum()
    mean = (rows["glucose"] * rows["minutes"]).groupby(patient, observed=True).sum() / total
    away = rows["minutes"] * (rows["glucose"] - patient.map(mean).astype("float64")) ** 2
    number = rows.groupby("patient_id", observed=True).size()
    freedom = (number - 1).where(number > 1) / number  # one reading has no standard deviation
    return mean, (away.groupby(patient, observed=True).sum() / (total * freedom)) ** 0.5


def _active(rows: pd.DataFrame) -> pd.Series[float]:
    """Percent of the time from each patient's first reading to the end of the last that readings stand for."""
    by_patient = rows.sort_values("time").groupby("patient_id", observed=True)
    span = (by_patient["time"].last() - by_patient["time"].first()).dt.total_seconds() / 60
    covered = by_patient["minutes"].sum() / (span + by_patient["minutes"].last()) * 100
    return covered.clip(upper=100)


def modd(rows: pd.DataFrame) -> pd.Series[float]:
    """Mean of daily differences per patient in mg/dL: the mean of |glucose now − glucose 24 hours before|.

    `rows` comes from `readings`. The earlier reading is the one nearest to 24 hours before, at most 7.5 minutes away
    (half the slowest pace); readings without one do not count, and a patient without any has NaN.

    >>> import pandas as pd
    >>> times = pd.to_datetime(["2026-03-02T08:00Z", "2026-03-02T12:00Z", "2026-03-03T08:00Z", "2026-03-03T12:00Z"])
    >>> modd(pd.DataFrame({"patient_id": 1, "time": times, "glucose": [100.0, 180.0, 110.0, 150.0]})).item()
    20.0
    """
    now = rows[["patient_id", "time", "glucose"]].sort_values("time")
    then = now.assign(time=now["time"] + pd.Timedelta(hours=24))
    near = pd.Timedelta(minutes=LONGEST / 2)
    both = pd.merge_asof(now, then, on="time", by="patient_id", direction="nearest", tolerance=near)
    away = (both["glucose_x"] - both["glucose_y"]).abs()
    return away.groupby(both["patient_id"], observed=True).mean()


def days_of_data(rows: pd.DataFrame) -> pd.Series[int]:
    """Days with data per patient, by the local clock or, where that is unknown, by UTC."""
    clock = rows["local"].fillna(rows["time"].dt.tz_convert("UTC").dt.tz_localize(None))
    days: pd.Series[int] = clock.dt.normalize().groupby(rows["patient_id"], observed=True).nunique()
    return days


def overall(figures: pd.DataFrame) -> pd.Series[float]:
    """Percent of time in each band over all patients of a `summary`, each weighted by the hours their readings cover.

    >>> import pandas as pd
    >>> shares = {"very_low": 0.0, "low": 0.0, "target": [100.0, 40.0], "high": [0.0, 60.0], "very_high": 0.0}
    >>> overall(pd.DataFrame({**shares, "hours": [300.0, 100.0]}))["target"].item()
    85.0
    """
    return figures[list(BANDS)].mul(figures["hours"], axis=0).sum() / figures["hours"].sum()


def profile(rows: pd.DataFrame, quantiles: tuple[float, ...] = (0.05, 0.25, 0.50, 0.75, 0.95)) -> pd.DataFrame:
    """Quantiles of glucose over the local clock: one row per quarter hour, one column per quantile.

    `rows` comes from `readings`. Each quarter hour is the quantile of all readings from 30 minutes before to (not
    including) 30 minutes after it, midnight wrapped, everybody pooled; hours without readings are NaN. Index: hours,
    0.0 to 23.75.
    """
    local = rows["local"].dropna()
    quarter = (local.dt.hour * 4 + local.dt.minute // 15).to_numpy(dtype="int64")
    order = np.argsort(quarter, kind="stable")
    glucose = rows.loc[local.index, "glucose"].to_numpy(dtype="float64")[order]
    of_quarter = np.split(glucose, np.searchsorted(quarter[order], np.arange(1, 96)))
    near = (np.concatenate([of_quarter[(at + away) % 96] for away in (-2, -1, 0, 1)]) for at in range(96))
    found = [np.quantile(one, quantiles) if len(one) else [np.nan] * len(quantiles) for one in near]
    return pd.DataFrame(found, index=pd.Index(np.arange(96) / 4), columns=pd.Index(quantiles))
