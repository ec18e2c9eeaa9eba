"""Observations written by hand, in frames as `observations_df` gives them, for answers that can be computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from jhe_jupyter.chart import Chart

CODES = ["omh:blood-glucose:4.0", "omh:blood-pressure:4.0"]


def frame(patient: int, times: pd.DatetimeIndex, offset: int | None, **columns: Any) -> pd.DataFrame:
    """Rows read by a clock `offset` minutes from UTC, or by none that is known."""
    local = times.tz_localize(None) + pd.Timedelta(minutes=offset) if offset is not None else pd.NaT
    return pd.DataFrame({"patient_id": patient, "effective_start": times, "effective_local": local, **columns}).astype(
        {"effective_local": "datetime64[us]"}
    )


def glucose(
    values: Sequence[float],
    patient: int = 40001,
    minutes: int = 5,
    offset: int | None = -480,
    unit: str = "mg/dL",
    start: str = "2026-03-02T08:00Z",
) -> pd.DataFrame:
    """One reading every so many minutes, from local midnight in the west of America on."""
    times = pd.date_range(start, periods=len(values), freq=f"{minutes}min")
    return frame(patient, times, offset, blood_glucose_value=list(values), blood_glucose_unit=unit)


def pressure(
    pairs: Sequence[tuple[float, float]],
    patient: int = 40001,
    offset: int | None = 0,
    hours: int = 12,
    start: str = "2026-03-02T00:00Z",
) -> pd.DataFrame:
    """One reading every so many hours, from midnight on: night, noon, night, …"""
    times = pd.date_range(start, periods=len(pairs), freq=f"{hours}h")
    systolic, diastolic = zip(*pairs, strict=True)
    units = {f"{name}_blood_pressure_unit": "mmHg" for name in ("systolic", "diastolic")}
    values = {"systolic_blood_pressure_value": systolic, "diastolic_blood_pressure_value": diastolic}
    return frame(patient, times, offset, **values, **units)


def rate(values: Sequence[float], patient: int = 40001, offset: int | None = 0, hours: int = 12) -> pd.DataFrame:
    """Heart rates from midnight on: night, noon, night, …"""
    times = pd.date_range("2026-03-02T00:00Z", periods=len(values), freq=f"{hours}h")
    return frame(patient, times, offset, heart_rate_value=list(values), heart_rate_unit="beats/min")


def walks(
    *counts: tuple[str, str, float], patient: int = 40001, offset: int | None = 0, ieee: bool = False
) -> pd.DataFrame:
    """Step counts as (start, end, steps), in UTC."""
    starts, ends, steps = zip(*counts, strict=True)
    name = "base_movement_quantity" if ieee else "step_count"
    rows = frame(
        patient, pd.DatetimeIndex(starts, tz="UTC"), offset, **{f"{name}_value": steps, f"{name}_unit": "steps"}
    )
    return rows.assign(effective_end=pd.DatetimeIndex(ends, tz="UTC"))


def consents(*states: str, study: int = 30001) -> pd.DataFrame:
    """The answers of two patients to two codes."""
    return pd.DataFrame(
        {"patient_id": [1, 1, 2, 2], "study_id": study, "code": pd.Categorical(CODES * 2), "state": list(states)}
    )


def uploads(*received: tuple[int, str], read: str | None = None) -> pd.DataFrame:
    """One row for each (patient, time it was received), read by a notebook at `read`."""
    patients, times = zip(*received, strict=True)
    rows = pd.DataFrame({"patient_id": patients, "created": pd.to_datetime(list(times), utc=True)})
    if read:
        rows.attrs["time"] = read
    return rows


def words(picture: Chart | Axes) -> str:
    """All that is written on a picture."""
    panels = [picture] if isinstance(picture, Axes) else picture.axes
    texts = [] if isinstance(picture, Axes) else [text.get_text() for text in picture.texts]
    for axes in panels:
        texts += [text.get_text() for text in axes.texts] + [axes.get_title(loc="left"), axes.get_xlabel()]
    return " | ".join(texts)


def only_axes(picture: Chart) -> Axes:
    (axes,) = picture.axes
    return axes


DAY = [100.0] * 48 + [190.0] * 24 + [60.0] * 24  # a reading every quarter hour
