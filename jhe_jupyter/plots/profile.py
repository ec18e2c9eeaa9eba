"""The ambulatory glucose profile: many days of glucose laid over one local day."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from matplotlib.axes import Axes

from .. import cgm
from ..chart import Chart, count, sheet
from ..readings import aggregates, clocked
from .clock import day_clock
from .colours import GLUCOSE, TARGET
from .patients import left_out

if TYPE_CHECKING:
    import pandas as pd

QUANTILE_NAMES = {0.95: "95 %", 0.75: "75 %", 0.50: "median", 0.25: "25 %", 0.05: "5 %"}
Range = tuple[float, float]


@overload
def glucose_profile(
    df: pd.DataFrame, *, unit: str = ..., target: Range = ..., min_days: int = ..., ax: None = None
) -> Chart: ...


@overload
def glucose_profile(
    df: pd.DataFrame, *, unit: str = ..., target: Range = ..., min_days: int = ..., ax: Axes
) -> Axes: ...


def glucose_profile(
    df: pd.DataFrame,
    *,
    unit: str = "mg/dL",
    target: Range = (70, 180),
    min_days: int = cgm.MINIMUM_DAYS,
    ax: Axes | None = None,
) -> Chart | Axes:
    """Ambulatory glucose profile: a day of glucose over the local clock, as median and 5/25/75/95 % bands.

    `df` is a frame of `Exchange.observations_df`; the readings of all patients in it are pooled. Aggregates are left
    out, and so are readings whose local clock is unknown (the line under the title counts them). `unit` is what the
    axis shows, mg/dL or mmol/L; `target` is in mg/dL. Raises ValueError without glucose readings, without local clock,
    or with fewer than `min_days` patient-days (default 10: 70 % of the 14 days the consensus asks for, Battelino et al.
    2019, doi:10.2337/dci19-0028).

    >>> import pandas as pd
    >>> times = pd.date_range("2026-03-02T08:00Z", periods=960, freq="15min")
    >>> frame = pd.DataFrame({"patient_id": 1, "effective_start": times, "effective_local": times.tz_localize(None),
    ...     "blood_glucose_value": 110.0, "blood_glucose_unit": "mg/dL"})
    >>> glucose_profile(frame).axes[0].get_ylabel()
    'mg/dL'
    """
    scale = cgm.per_unit(unit)
    rows = cgm.readings(df)
    known = clocked(rows, "local", what="A glucose profile")
    _enough_days(known, min_days)
    page = sheet(8.6, 4.4, ax=ax)
    bands = cgm.profile(known) / scale
    _draw(page.axes, bands, (target[0] / scale, target[1] / scale))
    _glucose_axis(page.axes, bands, unit, [mark / scale for mark in sorted({54, *target, 250})])
    day_clock(page.axes)
    page.axes.set_xlabel("local time of day")
    page.title("Glucose over the day", _who(known, df, unclocked=len(rows) - len(known)))
    return page.picture


def _enough_days(rows: pd.DataFrame, least: int) -> None:
    days = int(cgm.days_of_data(rows).sum())
    if days < least:
        found = f"there is {days}" if days == 1 else f"there are {days}"
        raise ValueError(
            f"A glucose profile needs at least {least} patient-days of readings; {found} in this frame: widen "
            "since and until, or lower min_days."
        )


def _draw(axes: Axes, bands: pd.DataFrame, target: Range) -> None:
    closed = bands.copy()
    closed.loc[24.0] = closed.loc[0.0]  # the day ends as it begins
    hours = closed.index.to_numpy(dtype=float)
    axes.axhspan(*target, color=TARGET, alpha=0.13, lw=0)
    for edge in target:
        axes.axhline(edge, color=TARGET, lw=1.2)
    axes.annotate("target", (0, target[1]), (4, -4), textcoords="offset points", color=TARGET, fontsize=9, va="top")
    axes.fill_between(hours, closed[0.05], closed[0.95], color=GLUCOSE, alpha=0.20, lw=0)
    axes.fill_between(hours, closed[0.25], closed[0.75], color=GLUCOSE, alpha=0.38, lw=0)
    axes.plot(hours, closed[0.50], color=GLUCOSE, lw=2.6, solid_capstyle="round")


def _glucose_axis(axes: Axes, bands: pd.DataFrame, unit: str, marks: list[float]) -> None:
    low, high = marks[0] * 40 / 54, marks[-1] * 1.2
    axes.set_ylim(min(low, bands.min().min()), max(high, bands.max().max() * 1.04))
    axes.set_yticks(marks, [f"{mark:.0f}" if unit == "mg/dL" else f"{mark:.1f}" for mark in marks])
    axes.set_ylabel(unit)
    _name_quantiles(axes, bands.ffill().iloc[-1])


def _name_quantiles(axes: Axes, last: pd.Series[float]) -> None:
    bottom, top = axes.get_ylim()
    places = _apart([last[q] for q in QUANTILE_NAMES], (top - bottom) / 21)
    for place, (quantile, name) in zip(places, QUANTILE_NAMES.items(), strict=True):
        weight = "bold" if quantile == 0.50 else "normal"
        axes.text(24.25, place, name, color=GLUCOSE, fontsize=9, va="center", weight=weight)


def _apart(places: list[float], least: float) -> list[float]:
    """Descending `places`, pushed down where needed so that labels stand at least `least` apart."""
    settled = places[:1]
    for place in places[1:]:
        settled.append(min(place, settled[-1] - least))
    return settled


def _who(rows: pd.DataFrame, df: pd.DataFrame, unclocked: int) -> str:
    days = cgm.days_of_data(rows)
    each = count(int(days.max()), "day") if days.nunique() == 1 else f"{days.min()} to {days.max()} days each"
    said = " · ".join([count(rows["patient_id"].nunique(), "patient"), each, count(len(rows), "reading")])
    return said + left_out(aggregates(df, "blood_glucose_value"), unclocked)
