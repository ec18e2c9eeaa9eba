"""Glucose day by day: one patient's days side by side, week under week, so that a bad Tuesday can be found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from .. import cgm
from ..chart import Chart, Page, count, panels
from ..readings import aggregates, clocked
from .clock import hours
from .colours import BANDS, GLUCOSE, TARGET
from .patients import left_out

if TYPE_CHECKING:
    import pandas as pd

WEEK = 7
GAP = 1.0  # hours without a reading that break the line
AXIS = (40, 300)  # mg/dL shown at least
LOW, HIGH = 70, 180


def glucose_days(df: pd.DataFrame, *, unit: str = "mg/dL", most: int = 28) -> Chart:
    """One patient's glucose, a small panel for each local day, weeks below each other so that weekdays line up.

    `df` is a frame of `Exchange.observations_df` with one patient; of more than `most` days the latest are shown.
    Glucose above 180 and below 70 mg/dL is filled; more than an hour without a reading breaks the line; each panel
    states its time in target (70–180 mg/dL, Battelino et al. 2019, doi:10.2337/dci19-0028). Aggregates, and readings
    whose local clock is unknown, are left out. Raises ValueError without glucose, without local clock, or with several
    patients.

    >>> import pandas as pd
    >>> times = pd.date_range("2026-03-03T00:00Z", periods=96 * 2, freq="15min")
    >>> frame = pd.DataFrame({"patient_id": 1, "effective_start": times, "effective_local": times.tz_localize(None),
    ...     "blood_glucose_value": 110.0, "blood_glucose_unit": "mg/dL"})
    >>> [axes.get_title(loc="left") for axes in glucose_days(frame).axes[:4]]
    ['Tue 3 Mar', 'Wed 4', '', '']
    """
    scale = cgm.per_unit(unit)
    rows = cgm.readings(df)
    known = _of_one(clocked(rows, "local", what="Glucose day by day"))
    known = known.assign(minutes=cgm.minutes_each(known), day=known["local"].dt.normalize()).sort_values("time")
    there = sorted(known["day"].unique())
    shown = known[known["day"] >= there[-most:][0]]
    said = _headline(known, len(there), min(most, len(there)), unit)
    said += left_out(aggregates(df, "blood_glucose_value"), len(rows) - len(known))
    return _draw(shown, scale, said)


def _of_one(rows: pd.DataFrame) -> pd.DataFrame:
    patients = rows["patient_id"].nunique()
    if patients > 1:
        raise ValueError(
            f"Glucose day by day shows one patient, and this frame holds {patients}; choose one, as in "
            "df[df['patient_id'] == …]."
        )
    return rows


def _draw(shown: pd.DataFrame, scale: float, said: str) -> Chart:
    first = shown["day"].min()
    weeks = (shown["day"].max() - first).days // WEEK + 1
    page = panels(8.6, 1.75 + 1.15 * weeks, rows=weeks, columns=WEEK, share_y=True)
    _axis(page, shown["glucose"], scale)
    there = {(day - first).days: readings for day, readings in shown.groupby("day")}
    for place, axes in enumerate(page.panels):
        if place in there:
            _draw_day(page, axes, there[place], scale)
            _name_day(page, axes, there[place], first)
            axes.tick_params(labelbottom=place + WEEK not in there)  # the lowest of its column, or above a gap
        else:
            axes.set_axis_off()
    for week in range(0, len(page.panels), WEEK):
        page.panels[min(place for place in there if place >= week)].tick_params(labelleft=True)
    page.legend(
        [
            Patch(color=BANDS["high"], label=f"above {_mark(HIGH, scale)}"),
            Patch(color=TARGET, alpha=0.25, label=f"target {_mark(LOW, scale)}–{_mark(HIGH, scale)}, share of the day"),
            Patch(color=BANDS["low"], label=f"below {_mark(LOW, scale)}"),
        ]
    )
    page.title("Glucose day by day", said)
    assert page.chart is not None
    return page.chart


def _axis(page: Page, glucose: pd.Series[float], scale: float) -> None:
    marks = [bound / scale for bound in (LOW, HIGH)]
    page.axes.set_ylim(min(AXIS[0], glucose.min()) / scale, max(AXIS[1], glucose.max() * 1.04) / scale)
    page.axes.set_yticks(marks, [_mark(bound, scale) for bound in (LOW, HIGH)])
    page.axes.set_xlim(0, 24)
    page.axes.set_xticks([0, 12], ["00:00", "12:00"])


def _draw_day(page: Page, axes: Axes, rows: pd.DataFrame, scale: float) -> None:
    axes.tick_params(labelsize=8)
    axes.axhspan(LOW / scale, HIGH / scale, color=TARGET, alpha=0.13, lw=0)
    at = hours(rows["local"])
    for _, piece in rows.assign(at=at).groupby((at.diff() > GAP).cumsum()):
        level = piece["glucose"] / scale
        for bound, outside, band in ((HIGH, level > HIGH / scale, "high"), (LOW, level < LOW / scale, "low")):
            axes.fill_between(
                piece["at"], bound / scale, level, where=outside, color=BANDS[band], interpolate=True, lw=0
            )
        axes.plot(piece["at"], level, color=GLUCOSE, lw=1.2)


def _name_day(page: Page, axes: Axes, rows: pd.DataFrame, first: pd.Timestamp) -> None:
    """Head a panel with its day, the month where it begins, and its share of time in target."""
    in_target = rows["minutes"][cgm.band(rows["glucose"]) == "target"].sum() / rows["minutes"].sum() * 100
    day = rows["day"].iloc[0]
    month = f" {day:%b}" if day == first or day.day == 1 else ""
    axes.set_title(f"{day:%a} {day.day}{month}", loc="left", fontsize=8, color=page.ink, pad=3)
    axes.set_title(f"{in_target:.0f} %", loc="right", fontsize=8, color=TARGET, pad=3)


def _mark(bound: float, scale: float) -> str:
    return f"{bound / scale:.0f}" if scale == 1 else f"{bound / scale:.1f}"


def _headline(rows: pd.DataFrame, days: int, shown: int, unit: str) -> str:
    how_many = count(days, "day") if shown == days else f"the last {shown} of {days} days"
    return f"patient {rows['patient_id'].iloc[0]} · {how_many} · {count(len(rows), 'reading')} · {unit}, local time"
