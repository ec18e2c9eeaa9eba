"""Pictures of what was measured and what was consented to: a frame in, a figure out, nothing fetched, nothing global.

A frame that cannot carry a picture is refused with a sentence that says what is missing: a wrong picture persuades
better than none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from . import cgm
from .chart import INK, Chart, count, legend, sheet, title
from .readings import clocked, measured
from .units import GLUCOSE_MG_DL

if TYPE_CHECKING:
    import pandas as pd

GLUCOSE, TARGET = "#2f7fd1", "#2f8f5b"
BAND_COLOURS = {"very_low": "#a3242b", "low": "#d9534f", "target": TARGET, "high": "#f0b13c", "very_high": "#c2621a"}
SYSTOLIC, DIASTOLIC = "#d0568f", "#2f7fd1"
STATES = {"granted": (TARGET, "✓"), "declined": ("#d9534f", "✕"), "pending": ("#8a8a8a", "…")}

NIGHT = (22, 6)  # local hours
GOALS = {
    "home": (135, 85, "home readings: below 135/85 (CHEP 2017)"),
    "office": (130, 80, "office readings: below 130/80 (ACC/AHA 2017)"),
}
MOST_PANELS, MOST_ROWS = 8, 100


# --- glucose over the day --------------------------------------------------------------------------------------------


def glucose_profile(
    df: pd.DataFrame, *, unit: str = "mg/dL", target: tuple[float, float] = (70, 180), min_days: int = cgm.MINIMUM_DAYS
) -> Chart:
    """Ambulatory glucose profile: a day of glucose over the local clock, as median and 5/25/75/95 % bands.

    `df` is a frame of `Exchange.observations_df`; the readings of all patients in it are pooled. Aggregates are left
    out, and so are readings whose local clock is unknown (the line under the title counts them). `unit` is what the
    axis shows, mg/dL or mmol/L; `target` is in mg/dL. Raises ValueError without glucose readings, without local clock,
    or with fewer than `min_days` patient-days (default 10: 70 % of the 14 days the consensus asks for, Battelino et al.
    2019, doi:10.2337/dci19-0028).
    """
    rows = cgm.readings(df)
    known = clocked(rows, "local", what="A glucose profile")
    _enough_days(known, min_days)
    scale = _per_unit(unit)
    chart, (axes,) = sheet(8.6, 4.4)
    bands = cgm.profile(known) / scale
    _draw_profile(axes, bands, (target[0] / scale, target[1] / scale))
    _glucose_axis(axes, bands, unit, [mark / scale for mark in sorted({54, *target, 250})])
    _clock_axis(axes)
    title(chart, "Glucose over the day", _who(known, unclocked=len(rows) - len(known)))
    return chart


def _per_unit(unit: str) -> float:
    if unit not in ("mg/dL", "mmol/L"):
        raise ValueError(f"Glucose is drawn in mg/dL or mmol/L, not in {unit!r}.")
    return 1.0 if unit == "mg/dL" else GLUCOSE_MG_DL


def _enough_days(rows: pd.DataFrame, least: int) -> None:
    days = int(cgm.days_of_data(rows).sum())
    if days < least:
        found = f"there is {days}" if days == 1 else f"there are {days}"
        raise ValueError(f"A glucose profile needs at least {least} patient-days of readings; {found} in this frame.")


def _draw_profile(axes: Axes, bands: pd.DataFrame, target: tuple[float, float]) -> None:
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
    names = {0.95: "95 %", 0.75: "75 %", 0.50: "median", 0.25: "25 %", 0.05: "5 %"}
    for place, (quantile, name) in zip(
        _apart([last[q] for q in names], (top - bottom) / 21), names.items(), strict=True
    ):
        weight = "bold" if quantile == 0.50 else "normal"
        axes.text(24.25, place, name, color=GLUCOSE, fontsize=9, va="center", weight=weight)


def _apart(places: list[float], least: float) -> list[float]:
    """Descending `places`, pushed down where needed so that labels stand at least `least` apart."""
    settled = places[:1]
    for place in places[1:]:
        settled.append(min(place, settled[-1] - least))
    return settled


def _clock_axis(axes: Axes) -> None:
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3), [f"{hour:02}:00" for hour in range(0, 25, 3)])
    axes.set_xlabel("local time of day")


def _who(rows: pd.DataFrame, unclocked: int) -> str:
    days = cgm.days_of_data(rows)
    each = count(int(days.max()), "day") if days.nunique() == 1 else f"{days.min()} to {days.max()} days each"
    parts = [count(rows["patient_id"].nunique(), "patient"), each, count(len(rows), "reading")]
    if unclocked:
        parts.append(f"{unclocked:,} without local clock left out")
    return " · ".join(parts)


# --- time in range ---------------------------------------------------------------------------------------------------


def time_in_range(df: pd.DataFrame, *, most: int = 40) -> Chart:
    """Share of time in each consensus glucose band: one bar for everybody and, with several patients, one for each.

    `df` is a frame of `Exchange.observations_df`; aggregates are left out, and a reading counts for its patient's usual
    interval between readings. Patients stand in order of time in target, lowest first, at most `most` of them. Bands
    after Battelino et al. 2019, doi:10.2337/dci19-0028. Raises ValueError without glucose readings.
    """
    summary = cgm.glucose_summary(df).sort_values("target")
    bars = {"everybody": cgm.overall(df)} if len(summary) > 1 else {}
    bars |= {f"patient {patient}": summary.loc[patient, list(cgm.BANDS)] for patient in summary.index[:most]}
    chart, (axes,) = sheet(8.6, 1.65 + 0.3 * len(bars))
    places = [0.0, *(-0.35 - place for place in range(1, len(bars)))]
    for place, shares in zip(places, bars.values(), strict=True):
        _stack(axes, place, shares)
    _share_axis(axes, places, list(bars))
    legend(chart, [Patch(color=BAND_COLOURS[band], label=name) for band, name in cgm.BAND_NAMES.items()])
    left_out = f" · the {most} lowest of {len(summary)}" if most < len(summary) else ""
    title(chart, "Time in range", _control(summary) + left_out)
    return chart


def _stack(axes: Axes, place: float, shares: pd.Series[float]) -> None:
    left = 0.0
    for band in cgm.BANDS:
        share = float(shares[band])
        axes.barh(place, share, left=left, height=0.78, color=BAND_COLOURS[band], lw=0)
        if share >= 4:
            ink = "#1b1b1b" if band == "high" else "white"
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
    return said + " · bands and goal: Battelino 2019"


# --- blood pressure --------------------------------------------------------------------------------------------------


def blood_pressure_series(df: pd.DataFrame, *, setting: str = "home") -> Chart:
    """Blood pressure over time by the local clock, one panel a patient, nights shaded, the goal as tinted bands.

    `df` is a frame of `Exchange.observations_df` with one to eight patients; aggregates are left out. `setting` names
    the goal: "home" (135/85, CHEP 2017) or "office" (130/80, ACC/AHA 2017). Systolic readings within goal lie in the
    upper tinted band, diastolic ones in the lower. Each panel states the means by day and by night (22:00 to 06:00).
    Raises ValueError without blood pressure, without local clock, with more than eight patients, for another setting.
    """
    if setting not in GOALS:
        raise ValueError(f"A blood pressure goal is known for {' and '.join(GOALS)}, not for {setting!r}.")
    rows = measured(df, "systolic_blood_pressure_value", what="blood pressure")
    known = clocked(rows, "effective_local", what="A blood pressure series").sort_values("effective_local")
    patients = sorted(known["patient_id"].unique())
    if len(patients) > MOST_PANELS:
        raise ValueError(f"{len(patients)} patients are too many to read; choose up to {MOST_PANELS} of them.")
    chart, panels = sheet(8.6, 1.75 + 2.1 * len(patients), panels=len(patients))
    for axes, patient in zip(panels, patients, strict=True):
        _draw_pressure(axes, known[known["patient_id"] == patient], GOALS[setting][:2], f"patient {patient}")
    _shade_nights(panels, known["effective_local"])
    _pressure_legend(chart)
    title(chart, "Blood pressure", f"mmHg, local time · goal for {GOALS[setting][2]} · nights shaded")
    return chart


def _draw_pressure(axes: Axes, rows: pd.DataFrame, goal: tuple[float, float], name: str) -> None:
    systolic, diastolic = goal
    axes.axhspan(diastolic, systolic, color=SYSTOLIC, alpha=0.10, lw=0)
    axes.axhspan(0, diastolic, color=DIASTOLIC, alpha=0.10, lw=0)
    for column, colour in (("systolic", SYSTOLIC), ("diastolic", DIASTOLIC)):
        values = rows[f"{column}_blood_pressure_value"].astype("float64")
        axes.plot(rows["effective_local"], values, "o-", color=colour, ms=3.2, lw=0.7, alpha=0.9)
    low = float(rows["diastolic_blood_pressure_value"].min())
    high = float(rows["systolic_blood_pressure_value"].max())
    axes.set_ylim(min(50, low - 5), max(160, high + 5))
    axes.set_yticks([60, diastolic, systolic, 160])
    axes.set_title(f"{name}: {_day_and_night(rows)}", color=INK, fontsize=9.5, loc="left")


def _day_and_night(rows: pd.DataFrame) -> str:
    """The means by day and by night, and the systolic dip between them, as one phrase.

    A dip is the night's mean below the day's, in percent of the day's; 10 % and more is usual.
    """
    hour = rows["effective_local"].dt.hour
    night = (hour >= NIGHT[0]) | (hour < NIGHT[1])
    means = rows.groupby(night)[["systolic_blood_pressure_value", "diastolic_blood_pressure_value"]].mean()
    said = [
        f"{name} {means.loc[when].iloc[0]:.0f}/{means.loc[when].iloc[1]:.0f}"
        for when, name in ((False, "day"), (True, "night"))
        if when in means.index
    ]
    if len(said) == 2:
        day, asleep = means.iloc[:, 0]
        said.append(f"systolic dip {(day - asleep) / day * 100:.0f} %".replace("-", "−"))
    return " · ".join(said)


def _shade_nights(panels: list[Axes], local: pd.Series[pd.Timestamp]) -> None:
    """Shade the nights and set the days; matplotlib's dates are days counted from 1970, so arithmetic is plain."""
    days = date2num([local.min(), local.max()])  # type: ignore[no-untyped-call]
    first, last = math.floor(days[0]), math.floor(days[1]) + 1
    evening, morning = NIGHT[0] / 24, 1 + NIGHT[1] / 24
    for axes in panels:
        for day in range(first - 1, last):
            axes.axvspan(day + evening, day + morning, color="#8a8a8a", alpha=0.13, lw=0)
        axes.set_xlim(first, last)
        axes.grid(visible=False, axis="x")
    panels[-1].xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=8))  # type: ignore[no-untyped-call]
    panels[-1].xaxis.set_major_formatter(DateFormatter("%d %b"))  # type: ignore[no-untyped-call]


def _pressure_legend(chart: Chart) -> None:
    lines = {"systolic": SYSTOLIC, "diastolic": DIASTOLIC}
    keys = [Line2D([], [], color=colour, marker="o", ms=4, lw=1, label=name) for name, colour in lines.items()]
    bands = [Patch(color=colour, alpha=0.2, label=f"{name} goal") for name, colour in lines.items()]
    legend(chart, [*keys, *bands])


# --- consents --------------------------------------------------------------------------------------------------------


def consent_map(consents: pd.DataFrame) -> Chart:
    """Who has consented to what in one study: patients down, codes across, one mark for each answer.

    `consents` is a frame of `Exchange.consents_df(study=…)`: patient_id, study_id, code and state (granted, declined,
    pending), one row per answer. Raises ValueError without rows or with more than one study.
    """
    if consents.empty:
        raise ValueError("There are no consents in this frame: nobody is enrolled, or the study requests no code.")
    studies = consents["study_id"].nunique()
    if studies > 1:
        raise ValueError(f"A consent map shows one study, and this frame holds {studies}; choose one with study=….")
    table = consents.assign(code=consents["code"].astype("object")).pivot(
        index="patient_id", columns="code", values="state"
    )
    if len(table) > MOST_ROWS:
        raise ValueError(f"{len(table):,} patients are too many to read; choose up to {MOST_ROWS} of them.")
    chart, (axes,) = sheet(max(4.6, 1.6 + 1.1 * len(table.columns)), 1.75 + 0.25 * len(table))
    _draw_answers(axes, table)
    legend(chart, [Patch(color=colour, alpha=0.5, label=state) for state, (colour, _) in STATES.items()])
    title(chart, "Consents", " · ".join(f"{n} {state}" for state, n in _answers(consents).items()))
    return chart


def _answers(consents: pd.DataFrame) -> dict[str, int]:
    counts = consents["state"].astype("object").value_counts()
    return {state: int(counts.get(state, 0)) for state in STATES}


def _draw_answers(axes: Axes, table: pd.DataFrame) -> None:
    for row, answers in enumerate(table.itertuples(index=False)):
        for column, state in enumerate(answers):
            if state in STATES:  # no answer at all: a code this patient was never asked for
                _draw_answer(axes, column, row, *STATES[state])
    axes.set_yticks(range(len(table)), [f"patient {patient}" for patient in table.index])
    axes.set_xticks(range(len(table.columns)), [code.split(":")[1].replace("-", "\n", 1) for code in table.columns])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.xaxis.tick_top()
    axes.grid(visible=False)


def _draw_answer(axes: Axes, column: int, row: int, colour: str, mark: str) -> None:
    axes.barh(row, 0.94, left=column - 0.47, height=0.86, color=colour, alpha=0.28, lw=0)
    axes.text(column, row, mark, color=colour, fontsize=10, ha="center", va="center", weight="bold")
