"""The numbers of continuous glucose monitoring, as the international consensus defines them: frame in, frame out.

Bands and what counts as enough data: Battelino et al., Diabetes Care 2019;42(8):1593-1603, doi:10.2337/dci19-0028.
Glucose management indicator: Bergenstal et al., Diabetes Care 2018;41(11):2275-2280, doi:10.2337/dc18-1581.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .readings import measured
from .units import conversion

if TYPE_CHECKING:
    import pandas as pd

MINIMUM_DAYS = 10  # 70 % of the 14 days the consensus asks for, rounded up
GOAL = 70  # percent of time in target, for most adults with type 1 or type 2 diabetes

BANDS = ("very_low", "low", "target", "high", "very_high")
BAND_NAMES = {
    "very_low": "Very low, <54",
    "low": "Low, 54–69",
    "target": "Target, 70–180",
    "high": "High, 181–250",
    "very_high": "Very high, >250",
}


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
    import pandas as pd

    rows = measured(df, "blood_glucose_value", what="glucose").reset_index(drop=True)
    return pd.DataFrame(
        {
            "patient_id": rows["patient_id"],
            "time": rows["effective_start"],
            "local": rows["effective_local"],
            "glucose": rows["blood_glucose_value"].astype("float64") * _to_mgdl(rows),
        }
    )


def _to_mgdl(rows: pd.DataFrame) -> pd.Series[float]:
    units = rows["blood_glucose_unit"].astype("object")
    factors = {unit: conversion(str(unit), "mg/dL") for unit in units.unique()}
    unknown = sorted(str(unit) for unit, found in factors.items() if found is None)
    if unknown:
        raise ValueError(f"Glucose is understood in mg/dL and mmol/L, not in {', '.join(unknown)}.")
    return units.map({unit: found[0] for unit, found in factors.items() if found}).astype("float64")


def band(glucose: pd.Series[float]) -> pd.Series[str]:
    """The consensus band of each value in mg/dL: <54, [54, 70), [70, 180], (180, 250], >250.

    >>> import pandas as pd
    >>> band(pd.Series([53.9, 54, 69.9, 70, 180, 180.1, 250, 250.1])).tolist()
    ['very_low', 'low', 'low', 'target', 'target', 'high', 'high', 'very_high']
    """
    import numpy as np
    import pandas as pd

    low, high = np.searchsorted([54, 70], glucose, side="right"), np.searchsorted([180, 250], glucose, side="left")
    places: list[int] = (low + high).tolist()
    return pd.Series(pd.Categorical.from_codes(places, pd.Index(BANDS), ordered=True), index=glucose.index)


def gmi(mean: float) -> float:
    """Glucose management indicator in % from a mean glucose in mg/dL: 3.31 + 0.02392 × mean (Bergenstal 2018).

    >>> round(gmi(150), 2)
    6.9
    """
    return 3.31 + 0.02392 * mean


def minutes_each(rows: pd.DataFrame) -> pd.Series[float]:
    """How many minutes each reading stands for: its patient's usual interval between readings.

    A patient read every 15 minutes counts as much per hour as one read every 5. A patient with one reading stands
    for the five minutes most sensors use.
    """
    ordered = rows.sort_values(["patient_id", "time"])
    gaps = ordered.groupby("patient_id", observed=True)["time"].diff().dt.total_seconds() / 60
    usual = gaps[gaps > 0].groupby(ordered["patient_id"], observed=True).median()
    return rows["patient_id"].map(usual).astype("float64").fillna(5.0)


def glucose_summary(df: pd.DataFrame) -> pd.DataFrame:
    """Time in the five consensus bands and the usual figures of glucose control, one row per patient.

    `df` is a frame of `Exchange.observations_df`. Index patient_id; columns very_low … very_high (percent of
    readings), mean (mg/dL), gmi (%), cv (percent, sample standard deviation over mean), readings, days (local days with
    data) and active (percent of the readings the patient's own cadence would give between first and last). Aggregates
    are excluded. Raises ValueError where there are no glucose readings.
    """
    import pandas as pd

    rows = readings(df)
    rows = rows.assign(band=band(rows["glucose"]), minutes=minutes_each(rows))
    by_patient = rows.groupby("patient_id", observed=True)
    shares = pd.crosstab(rows["patient_id"], rows["band"], normalize="index").reindex(columns=list(BANDS), fill_value=0)
    shares.columns = list(BANDS)
    mean = by_patient["glucose"].mean()
    span = (by_patient["time"].max() - by_patient["time"].min()).dt.total_seconds() / 60
    expected = span / by_patient["minutes"].first() + 1
    return (shares * 100).assign(
        mean=mean,
        gmi=gmi(mean),  # type: ignore[arg-type]
        cv=by_patient["glucose"].std() / mean * 100,
        readings=by_patient.size(),
        days=days_of_data(rows),
        active=(by_patient.size() / expected * 100).clip(upper=100),
    )


def days_of_data(rows: pd.DataFrame) -> pd.Series[int]:
    """Days with data per patient, by the local clock or, where that is unknown, by UTC."""
    clock = rows["local"].fillna(rows["time"].dt.tz_convert("UTC").dt.tz_localize(None))
    days: pd.Series[int] = clock.dt.normalize().groupby(rows["patient_id"], observed=True).nunique()
    return days


def overall(df: pd.DataFrame) -> pd.Series[float]:
    """Percent of time in each band over everybody in `df`, each reading weighted by the minutes it stands for."""
    rows = readings(df)
    minutes = minutes_each(rows).groupby(band(rows["glucose"]), observed=False).sum()
    return minutes / minutes.sum() * 100


def profile(rows: pd.DataFrame, quantiles: tuple[float, ...] = (0.05, 0.25, 0.50, 0.75, 0.95)) -> pd.DataFrame:
    """Quantiles of glucose over the local clock: one row per quarter hour, one column per quantile.

    `rows` comes from `readings`. Each quarter hour is the quantile of all readings from 30 minutes before to (not
    including) 30 minutes after it, midnight wrapped, everybody pooled; hours without readings are NaN. Index: hours,
    0.0 to 23.75.
    """
    import pandas as pd

    local = rows["local"].dropna()
    minute = (local.dt.hour * 60 + local.dt.minute + local.dt.second / 60).astype("float64")
    glucose = rows.loc[local.index, "glucose"]
    found = {}
    for centre in range(0, 24 * 60, 15):
        near = (minute - centre + 30) % 1440 < 60
        found[centre / 60] = glucose[near].quantile(list(quantiles))
    return pd.DataFrame(found).T
