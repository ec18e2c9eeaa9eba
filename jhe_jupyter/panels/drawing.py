"""The plot that fits a data type, as a picture for the panel; drawn from the same functions a notebook uses."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import blocks
from .blocks import Block

if TYPE_CHECKING:
    import pandas as pd

LARGE = 150_000  # bytes
MARKS = 20_000
# The part of a code between its namespace and its version → the function of `jhe_jupyter.plots` that draws it.
FITTING = {
    "blood-glucose": "glucose_profile",
    "blood-pressure": "blood_pressure_series",
    "heart-rate": "heart_rate",
    "step-count": "steps",
}


def drawn(df: pd.DataFrame, code: str) -> Block:
    """A picture of a frame of one code; where no plot of its own fits, its values over time, a line a patient."""
    return blocks.image(picture(_figure(df, code)), f"Plot of {len(df):,} observations of {code}")


def picture(figure: Any) -> str:
    """A figure as a `data:` address: SVG, which stays sharp, or PNG where very many marks make that large."""
    vector = _saved(figure, format="svg")
    if len(vector) <= LARGE:
        return "data:image/svg+xml;base64," + base64.b64encode(vector).decode()
    return "data:image/png;base64," + base64.b64encode(_saved(figure, format="png", dpi=120)).decode()


def _saved(figure: Any, **how: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, bbox_inches="tight", **how)
    return out.getvalue()


def _figure(df: pd.DataFrame, code: str) -> Any:
    from .. import plots

    fitting: Callable[..., Any] | None = getattr(plots, FITTING.get(_name(code), ""), None)
    if fitting is not None:
        try:
            return fitting(df)
        except ValueError:  # too little for the summary it draws: the values themselves are still worth seeing
            pass
    return _over_time(df)


def _name(code: str) -> str:
    return code.split(":")[1] if code.count(":") == 2 else code


def _over_time(df: pd.DataFrame) -> Any:
    """Every number of a frame over time, one small axis for each; of very many points one in so many is drawn."""
    from matplotlib.figure import Figure

    known = {"observation_id", "patient_id", "utc_offset_minutes"}
    columns = map(str, df.select_dtypes("number"))
    numbers = [name for name in columns if name not in known and df[name].notna().any()][:4]
    df = df.iloc[:: max(1, len(df) // MARKS)]
    figure = Figure(figsize=(9, 2.2 * max(1, len(numbers))), layout="constrained")
    panels = figure.subplots(max(1, len(numbers)), squeeze=False)[:, 0]
    for axes, name in zip(panels, numbers, strict=False):
        for _, rows in df.groupby("patient_id"):
            axes.plot(rows["effective_start"], rows[name], ".-", linewidth=0.8, markersize=3)
        axes.set_ylabel(name.replace("_", " "))
    return figure
