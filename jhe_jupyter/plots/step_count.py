"""Steps per local day, as bars."""

from __future__ import annotations

from typing import overload

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from .. import activity
from ..chart import Chart, count
from . import colours
from .clock import calendar
from .patients import left_out, name_panel, panel_each


@overload
def steps(df: pd.DataFrame, *, ax: None = None) -> Chart: ...


@overload
def steps(df: pd.DataFrame, *, ax: Axes) -> Axes: ...


def steps(df: pd.DataFrame, *, ax: Axes | None = None) -> Chart | Axes:
    """Steps per local day, one panel a patient, with the median day as a line.

    `df` is a frame of `Exchange.observations_df` with omh:step-count or ieee:physical-activity, and one to eight
    patients (with `ax`: one). An interval across midnight is split between its days by time, as if walked evenly; a day
    without a count has no bar. Aggregates, and intervals whose local clock is unknown, are left out. Raises ValueError
    without steps, without local clock, with more than eight patients, or where counts of a patient overlap in time.

    >>> import pandas as pd
    >>> days = pd.to_datetime(["2026-03-02T08:00Z", "2026-03-03T08:00Z"])
    >>> frame = pd.DataFrame({"patient_id": 1, "effective_start": days, "effective_end": days + pd.Timedelta(hours=1),
    ...     "effective_local": days.tz_localize(None), "step_count_value": [4000, 6000]})
    >>> steps(frame).axes[0].get_title(loc="left")
    'patient 1: 2 days · median 5,000 steps'
    """
    days = activity.daily_steps(df)
    page, patients = panel_each(days, ax)
    calendar(page.panels, days["day"].min(), days["day"].max())
    for axes, patient in zip(page.panels, patients, strict=True):
        of_patient = days[days["patient_id"] == patient]
        _draw(axes, of_patient, page.ink)
        axes.set_ylim(0, max(10_000, days["steps"].max() * 1.05))
        middle = of_patient["steps"].median()
        heading = name_panel(page, axes, patient, f"{count(len(of_patient), 'day')} · median {middle:,.0f} steps")
    without = left_out(days.attrs["aggregates_left_out"], days.attrs["unclocked_left_out"])
    page.title("Steps per day", f"{heading}local days · line: median day{without}")
    return page.picture


def _draw(axes: Axes, days: pd.DataFrame, ink: str) -> None:

    noon = days["day"] + pd.Timedelta(hours=12)
    axes.bar(noon, days["steps"], width=0.8, color=colours.STEPS, lw=0)
    axes.axhline(days["steps"].median(), color=ink, lw=1.2, ls=(0, (4, 3)))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
