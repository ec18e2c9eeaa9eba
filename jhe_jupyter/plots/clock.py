"""Axes of local time: the clock of one day, and many days with their nights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.dates import date2num, num2date

from ..readings import NIGHT
from . import colours

if TYPE_CHECKING:
    import pandas as pd


DATES = 8  # labels a calendar has room for


def day_clock(axes: Axes, *, every: int = 3) -> None:
    """One day from midnight to midnight as x axis, labelled every so many hours."""
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, every), [f"{hour:02}:00" for hour in range(0, 25, every)])


def hours(local: pd.Series[pd.Timestamp]) -> pd.Series[float]:
    """Hours since local midnight."""
    return (local - local.dt.normalize()).dt.total_seconds() / 3600


def calendar(panels: list[Axes], first: pd.Timestamp, last: pd.Timestamp) -> tuple[int, int]:
    """Whole days from `first` to `last` as shared x axis, a date in the middle of the days that have room for one.

    Answers the ends of the axis; matplotlib's dates are days counted from 1970, so arithmetic with them is plain.
    """
    found = date2num([first, last])  # type: ignore[no-untyped-call]
    begins, ends = math.floor(found[0]), math.floor(found[1]) + 1
    every = math.ceil((ends - begins) / DATES)
    for axes in panels:
        axes.set_xlim(begins, ends)
        axes.grid(visible=False, axis="x")
    noons = [day + 0.5 for day in range(begins, ends, every)]
    panels[-1].set_xticks(noons, [f"{num2date(noon):%d %b}" for noon in noons])  # type: ignore[no-untyped-call]
    return begins, ends


def nights(panels: list[Axes], begins: int, ends: int) -> None:
    """Shade 22:00 to 06:00 of each day of a `calendar`."""
    evening, morning = NIGHT[0] / 24, 1 + NIGHT[1] / 24
    for axes in panels:
        for day in range(begins - 1, ends):
            axes.axvspan(day + evening, day + morning, color=colours.NIGHT, alpha=0.13, lw=0)
