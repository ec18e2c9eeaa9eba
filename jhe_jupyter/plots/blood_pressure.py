"""Blood pressure over time: every reading on the local clock, nights shaded, the goal as tinted bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .. import bp
from ..chart import Chart, Page
from .clock import calendar, nights
from .colours import DIASTOLIC, SYSTOLIC
from .patients import left_out, name_panel, panel_each

if TYPE_CHECKING:
    import pandas as pd


@overload
def blood_pressure_series(
    df: pd.DataFrame, *, setting: str = ..., guideline: str | None = ..., ax: None = None
) -> Chart: ...


@overload
def blood_pressure_series(df: pd.DataFrame, *, setting: str = ..., guideline: str | None = ..., ax: Axes) -> Axes: ...


def blood_pressure_series(
    df: pd.DataFrame, *, setting: str = "home", guideline: str | None = None, ax: Axes | None = None
) -> Chart | Axes:
    """Blood pressure over time by the local clock, one panel a patient, nights shaded, the goal as tinted bands.

    `df` is a frame of `Exchange.observations_df` with one to eight patients (with `ax`: one); aggregates are left out.
    `setting` and `guideline` name the goal, as in `bp.report`: "home" is below 135/85 (CHEP 2017,
    doi:10.1016/j.cjca.2017.03.005), "office" below 130/80 (ACC/AHA 2017, doi:10.1161/HYP.0000000000000065). Systolic
    readings within goal lie in the upper tinted band, diastolic ones in the lower. Each panel states the means of what
    it shows by day and by night (22:00 to 06:00) in mmHg; `bp.report` averages as the guideline asks. Raises ValueError
    without blood pressure, without local clock, in another unit, with more than eight patients, for another setting.

    >>> import pandas as pd
    >>> times = pd.to_datetime(["2026-03-02T12:00Z", "2026-03-03T02:00Z"])
    >>> frame = pd.DataFrame({"patient_id": 1, "effective_start": times, "effective_local": times.tz_localize(None),
    ...     "systolic_blood_pressure_value": [130, 117], "diastolic_blood_pressure_value": [80, 72]})
    >>> blood_pressure_series(frame).axes[0].get_title(loc="left")
    'patient 1: day 130/80 · night 117/72 · systolic dip 10 %'
    """
    chosen = bp.choose(setting, guideline)
    rows = bp.readings(df).sort_values("local")
    page, patients = panel_each(rows, ax)
    for axes, patient in zip(page.panels, patients, strict=True):
        of_patient = rows[rows["patient_id"] == patient]
        _draw(axes, of_patient, chosen.goal)
        axes.set_ylim(min(50, rows["diastolic"].min() - 5), max(160, rows["systolic"].max() + 5))
        heading = name_panel(page, axes, patient, _day_and_night(of_patient))
    nights(page.panels, *calendar(page.panels, rows["local"].min(), rows["local"].max()))
    _legend(page)
    said = f"mmHg, local time · goal for {chosen.goal_words} · nights shaded{_without(df, rows)}"
    page.title("Blood pressure", heading + said)
    return page.picture


def _draw(axes: Axes, rows: pd.DataFrame, goal: tuple[int, int]) -> None:
    systolic, diastolic = goal
    axes.axhspan(diastolic, systolic, color=SYSTOLIC, alpha=0.10, lw=0)
    axes.axhspan(0, diastolic, color=DIASTOLIC, alpha=0.10, lw=0)
    for column, colour in (("systolic", SYSTOLIC), ("diastolic", DIASTOLIC)):
        axes.plot(rows["local"], rows[column], "o-", color=colour, ms=3.2, lw=0.7, alpha=0.9)
    axes.set_yticks([60, diastolic, systolic, 160])


def _day_and_night(rows: pd.DataFrame) -> str:
    """The means by day and by night, and the systolic dip between them, as one phrase.

    A dip is the night's mean below the day's, in percent of the day's; 10 % and more is usual.
    """
    means = rows.groupby("night")[["systolic", "diastolic"]].mean()
    said = [f"{'night' if night else 'day'} {one.systolic:.0f}/{one.diastolic:.0f}" for night, one in means.iterrows()]
    if len(said) == 2:
        day, asleep = means["systolic"]
        said.append(f"systolic dip {(day - asleep) / day * 100:.0f} %".replace("-", "−"))
    return " · ".join(said)


def _legend(page: Page) -> None:
    lines = {"systolic": SYSTOLIC, "diastolic": DIASTOLIC}
    keys = [Line2D([], [], color=colour, marker="o", ms=4, lw=1, label=name) for name, colour in lines.items()]
    bands = [Patch(color=colour, alpha=0.2, label=f"{name} goal") for name, colour in lines.items()]
    page.legend([*keys, *bands])


def _without(df: pd.DataFrame, rows: pd.DataFrame) -> str:
    found = bp.omitted(df, rows)
    return left_out(found["aggregates_left_out"], found["unclocked_left_out"])
