"""Time in range: the share of time in each consensus glucose band as stacked bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from .. import cgm
from ..chart import Chart, count, sheet
from . import colours
from .patients import left_out

if TYPE_CHECKING:
    import pandas as pd


@overload
def time_in_range(df: pd.DataFrame, *, most: int = ..., ax: None = None) -> Chart: ...


@overload
def time_in_range(df: pd.DataFrame, *, most: int = ..., ax: Axes) -> Axes: ...


def time_in_range(df: pd.DataFrame, *, most: int = 40, ax: Axes | None = None) -> Chart | Axes:
    """Share of time in each consensus glucose band: one bar for everybody and, with several patients, one for each.

    `df` is a frame of `Exchange.observations_df`; aggregates are left out, and a reading counts for the time it stands
    for. Patients stand in order of time in target, lowest first, at most `most` of them. Bands after Battelino et al.
    2019, doi:10.2337/dci19-0028. Raises ValueError without glucose readings.

    >>> import pandas as pd
    >>> times = pd.date_range("2026-03-02T08:00Z", periods=4, freq="5min")
    >>> frame = pd.DataFrame({"patient_id": 1, "effective_start": times, "effective_local": times.tz_localize(None),
    ...     "blood_glucose_value": [60.0, 100.0, 100.0, 140.0], "blood_glucose_unit": "mg/dL"})
    >>> [float(bar.get_width()) for bar in time_in_range(frame).axes[0].patches]
    [0.0, 25.0, 75.0, 0.0, 0.0]
    """
    summary = cgm.summary(df).sort_values("target")
    bars = {"everybody": cgm.overall(summary)} if len(summary) > 1 else {}
    bars |= {f"patient {patient}": summary.loc[patient, list(cgm.BANDS)] for patient in summary.index[:most]}
    page = sheet(8.6, 1.65 + 0.3 * len(bars), ax=ax)
    places = [0.0, *(-0.35 - place for place in range(1, len(bars)))]
    for place, shares in zip(places, bars.values(), strict=True):
        _stack(page.axes, place, shares)
    _share_axis(page.axes, places, list(bars))
    page.legend([Patch(color=colours.BANDS[band], label=name) for band, name in cgm.BAND_NAMES.items()])
    cut = f" · the {most} lowest of {len(summary)}" if most < len(summary) else ""
    page.title("Time in range", _control(summary) + left_out(summary.attrs["aggregates_left_out"]) + cut)
    return page.picture


def _stack(axes: Axes, place: float, shares: pd.Series[float]) -> None:
    left = 0.0
    for band in cgm.BANDS:
        share = float(shares[band])
        axes.barh(place, share, left=left, height=0.78, color=colours.BANDS[band], lw=0)
        if share >= 4:
            ink = colours.DARK_TEXT if band == "high" else colours.LIGHT_TEXT
            axes.text(left + share / 2, place, f"{share:.0f}", color=ink, fontsize=8.5, ha="center", va="center")
        left += share


def _share_axis(axes: Axes, places: list[float], names: list[str]) -> None:
    axes.set_yticks(places, names)
    axes.set_ylim(places[-1] - 0.5, 0.5)
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 25), [f"{share} %" for share in range(0, 101, 25)])
    axes.grid(visible=False)


def _control(summary: pd.DataFrame) -> str:
    said = f"{count(len(summary), 'patient')} · {count(int(summary['readings'].sum()), 'reading')}"
    if len(summary) == 1:
        one = summary.iloc[0]
        said += f" · mean {one['mean']:.0f} mg/dL · GMI {one['gmi']:.1f} % · CV {one['cv']:.0f} %"
    else:
        said += f" · {int((summary['target'] > cgm.GOAL).sum())} of {len(summary)} above {cgm.GOAL} % in target"
    return said + " · bands in mg/dL and goal: Battelino 2019"
