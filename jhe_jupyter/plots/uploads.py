"""The upload timeline: on which days each patient's data arrived, and who has fallen silent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import overload

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.patches import Patch

from ..chart import Chart, count, sheet
from ..readings import utc
from .clock import calendar
from .colours import UPLOADS

MOST = 100
SILENT = 7  # days after which somebody has stopped uploading, as in Exchange.followup_df
DEPTHS = (0.30, 0.60, 0.95)  # a few rows, some, as many as on the patient's usual day


@overload
def upload_timeline(df: pd.DataFrame, *, patients: Iterable[int] | None = ..., ax: None = None) -> Chart: ...


@overload
def upload_timeline(df: pd.DataFrame, *, patients: Iterable[int] | None = ..., ax: Axes) -> Axes: ...


def upload_timeline(df: pd.DataFrame, *, patients: Iterable[int] | None = None, ax: Axes | None = None) -> Chart | Axes:
    """When each patient's data arrived: patients down, UTC days across, darker for fuller days, longest silent first.

    `df` is a frame of `Exchange.observations_df` of any codes, aggregates included; what counts is `created`, the time
    at which the Exchange received a row. `patients` (ids, as in `ex.patients_df(study=…)["patient_id"]`) adds rows for
    those of whom nothing is in the frame. Silent is who has sent nothing for 7 days before the frame was read (its
    `attrs`), or else before its last row. A day's depth is relative to the patient's own median day: below a third,
    below two thirds, above. Raises ValueError without rows, without `created`, or with more than 100 patients.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"patient_id": [1, 1, 2], "created": pd.to_datetime(
    ...     ["2026-03-01T08:00Z", "2026-03-10T08:00Z", "2026-03-01T09:00Z"])})
    >>> [label.get_text() for label in upload_timeline(frame, patients=[1, 2, 3]).axes[0].get_yticklabels()]
    ['patient 3', 'patient 2', 'patient 1']
    """
    received, until = _received(df)
    last = received.groupby(df["patient_id"], observed=True).max().sort_values(kind="stable")
    never = [] if patients is None else sorted({int(one) for one in patients} - set(last.index))
    order = [*never, *last.index]
    if len(order) > MOST:
        raise ValueError(f"{len(order):,} patients are too many to read; choose up to {MOST} of them.")
    page = sheet(8.6, 1.85 + 0.25 * len(order), ax=ax)
    _draw(page.axes, _depths(df["patient_id"], received), order)
    _axis(page.axes, order)
    begins, _ = calendar([page.axes], received.min(), until)
    for place in range(len(never)):
        page.axes.text(begins + 0.1, place, "nothing in this frame", color=page.ink, fontsize=8.5, va="center")
    names = ("below a third of the patient's usual day", "below two thirds", "more")
    page.legend([Patch(color=UPLOADS, alpha=depth, label=name) for depth, name in zip(DEPTHS, names, strict=True)])
    page.title("Uploads", _said(len(df), last, len(never), until))
    return page.picture


def _received(df: pd.DataFrame) -> tuple[pd.Series[pd.Timestamp], pd.Timestamp]:
    """When each row was received, and when the frame was read, or its last row received."""
    missing = [name for name in ("patient_id", "created") if name not in df]
    if missing:
        raise ValueError(f"This frame has lost {', '.join(missing)}; keep the columns ex.observations_df gave it.")
    if df.empty:
        raise ValueError("Nothing has been uploaded in this frame: it has no rows.")
    received = utc(df["created"])
    read = df.attrs.get("time")
    return received, max(received.max(), pd.Timestamp(read)) if read else received.max()


def _depths(patient: pd.Series[int], received: pd.Series[pd.Timestamp]) -> pd.DataFrame:
    """One row per patient and UTC day with uploads: patient_id, day and how deep to draw it."""
    day = received.dt.tz_localize(None).dt.normalize().rename("day")
    counts = day.groupby([patient, day], observed=True).size().reset_index(name="rows")
    usual = counts.groupby("patient_id", observed=True)["rows"].transform("median")
    share = counts["rows"] / usual
    return counts.assign(depth=pd.cut(share, [0, 1 / 3, 2 / 3, float("inf")], labels=DEPTHS).astype("float64"))


def _draw(axes: Axes, days: pd.DataFrame, order: list[int]) -> None:
    place = days["patient_id"].map({patient: at for at, patient in enumerate(order)})
    for depth in DEPTHS:
        some = days.assign(place=place)[days["depth"] == depth]
        left = date2num(some["day"]) + 0.05  # type: ignore[no-untyped-call]
        axes.barh(some["place"], 0.9, left=left, height=0.7, color=UPLOADS, alpha=depth, lw=0)


def _axis(axes: Axes, order: list[int]) -> None:
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_yticks(range(len(order)), [f"patient {patient}" for patient in order])
    axes.grid(visible=False, axis="y")


def _said(rows: int, last: pd.Series[pd.Timestamp], never: int, until: pd.Timestamp) -> str:
    silent = int(((until - last).dt.days >= SILENT).sum())
    said = [count(len(last) + never, "patient"), count(rows, "row"), f"{silent} silent for {SILENT} days or more"]
    return " · ".join([*said, *([f"nothing of {never}"] if never else []), "received by UTC day"])
