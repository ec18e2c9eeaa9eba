"""Heart rate over time: every reading on the local clock, with the median of each day and of each night."""

from __future__ import annotations

from typing import overload

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from ..chart import Chart
from ..readings import aggregates, at_night, clocked, in_unit, measured, wall
from .clock import calendar, nights
from .colours import HEART
from .patients import left_out, name_panel, panel_each

VALUE = "heart_rate_value"


@overload
def heart_rate(df: pd.DataFrame, *, ax: None = None) -> Chart: ...


@overload
def heart_rate(df: pd.DataFrame, *, ax: Axes) -> Axes: ...


def heart_rate(df: pd.DataFrame, *, ax: Axes | None = None) -> Chart | Axes:
    """Heart rate over time by the local clock in beats/min, one panel a patient, nights (22:00 to 06:00) shaded.

    `df` is a frame of `Exchange.observations_df` with one to eight patients (with `ax`: one). Each reading is a dot;
    a bar marks the median of each day and of each night. Averages over a while (`descriptive_statistic`) are no
    readings and left out, and so are readings whose local clock is unknown. Raises ValueError where nothing is left, in
    another unit, or with more than eight patients.

    >>> import pandas as pd
    >>> times = pd.to_datetime(["2026-03-02T12:00Z", "2026-03-03T02:00Z"])
    >>> frame = pd.DataFrame({"patient_id": 1, "effective_start": times, "effective_local": times.tz_localize(None),
    ...     "heart_rate_value": [74, 58], "heart_rate_unit": "beats/min"})
    >>> heart_rate(frame).axes[0].get_title(loc="left")
    'patient 1: median by day 74 · by night 58'
    """
    rows = in_unit(measured(df, VALUE, code="heart-rate"), "heart_rate", "beats/min")
    known = _plain(clocked(rows, "effective_local", what="Heart rate by day and by night"))
    page, patients = panel_each(known, ax)
    for axes, patient in zip(page.panels, patients, strict=True):
        of_patient = known[known["patient_id"] == patient]
        _draw(axes, of_patient)
        axes.set_ylim(min(40, known["rate"].min() - 5), max(100, known["rate"].max() + 5))
        axes.yaxis.set_major_locator(MultipleLocator(20))
        heading = name_panel(page, axes, patient, _medians(of_patient))
    nights(page.panels, *calendar(page.panels, known["local"].min(), known["local"].max()))
    said = f"{heading}beats/min, local time · bars: medians of days and nights · nights shaded"
    page.title("Heart rate", said + left_out(aggregates(df, VALUE), len(rows) - len(known)))
    return page.picture


def _plain(rows: pd.DataFrame) -> pd.DataFrame:

    local = wall(rows["effective_local"])
    rate = rows[VALUE].astype("float64")
    return pd.DataFrame({"patient_id": rows["patient_id"], "local": local, "rate": rate, "night": at_night(local)})


def _draw(axes: Axes, rows: pd.DataFrame) -> None:

    axes.plot(rows["local"], rows["rate"], "o", color=HEART, ms=2.2, alpha=0.55, mew=0)
    # A night belongs to the day it begins on: 22:00 to 06:00 becomes 16:00 to 24:00.
    shifted = rows["local"] - pd.Timedelta(hours=6)
    stretches = rows.groupby([shifted.dt.normalize(), "night"])
    for _, stretch in stretches:
        ends = [stretch["local"].min(), stretch["local"].max()]
        axes.plot(ends, [stretch["rate"].median()] * 2, color=HEART, lw=2.6, solid_capstyle="round")


def _medians(rows: pd.DataFrame) -> str:
    medians = rows.groupby("night")["rate"].median()
    said = [
        f"{name} {medians[when]:.0f}" for when, name in ((False, "by day"), (True, "by night")) if when in medians.index
    ]
    return "median " + " · ".join(said)
