"""One panel per patient, for pictures of single lives: few enough to read, or one on somebody else's axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from ..chart import Page, count, panels, sheet

if TYPE_CHECKING:
    import pandas as pd

MOST = 8


def panel_each(rows: pd.DataFrame, ax: Axes | None) -> tuple[Page, list[int]]:
    """A page with one panel for each patient in `rows`, and the patients in its order.

    Raises ValueError for more than eight patients, and for more than one where there is but one `ax`.
    """
    patients = sorted(rows["patient_id"].unique())
    if ax is not None and len(patients) > 1:
        raise ValueError(f"One ax carries one patient, and this frame holds {len(patients)}; choose one, or leave ax.")
    if len(patients) > MOST:
        raise ValueError(
            f"{len(patients)} patients are too many to read; choose up to {MOST}, as in df[df['patient_id'].isin(…)]."
        )
    if ax is not None:
        return sheet(0, 0, ax=ax), patients
    return panels(8.6, 1.75 + 2.1 * len(patients), rows=len(patients)), patients


def name_panel(page: Page, axes: Axes, patient: int, said: str) -> str:
    """Head a panel with its patient and their figures; on somebody else's axes these answer to go into its title."""
    heading = f"patient {patient}: {said}"
    if page.chart is None:
        return f"{heading} · "
    axes.set_title(heading, color=page.ink, fontsize=9.5, loc="left")
    return ""


def left_out(aggregates: int, unclocked: int = 0) -> str:
    """What of a frame is not in its picture, to end a line with; nothing where all of it is.

    >>> left_out(1), left_out(0, unclocked=1200), left_out(0)
    (' · 1 aggregate left out', ' · 1,200 without local clock left out', '')
    """
    said = f" · {unclocked:,} without local clock left out" if unclocked else ""
    return said + (f" · {count(aggregates, 'aggregate')} left out" if aggregates else "")
