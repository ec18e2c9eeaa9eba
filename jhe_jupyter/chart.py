"""The sheet every picture is drawn on: a figure that Jupyter shows by itself and that reads on light and dark pages.

Figures are made without pyplot, so nothing is kept alive by a global list and no backend is chosen for anybody. The
background is transparent and the ink stands equally far from white and from near-black.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, FAINT = "#797979", "#8a8a8a40"
DPI = 100


class Chart(Figure):
    """A matplotlib figure that a notebook shows as a picture, at twice the screen's resolution.

    A plain `Figure` made without pyplot has no picture of its own in Jupyter.

    >>> data, size = Chart(figsize=(2, 1), dpi=100)._repr_mimebundle_()
    >>> data["image/png"][1:4], size["image/png"]["width"]
    (b'PNG', 200)
    """

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=2 * self.dpi)
        width, height = (round(inches * self.dpi) for inches in self.get_size_inches())
        size = {"image/png": {"width": width}}  # no height: `%matplotlib inline` may crop the picture it puts in place
        return {"image/png": buffer.getvalue(), "text/plain": f"<Chart {width} × {height}>"}, size


def sheet(width: float, height: float, *, panels: int = 1) -> tuple[Chart, list[Axes]]:
    """An empty chart of `width` × `height` inches with `panels` axes below each other that share their x axis."""
    chart = Chart(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="none")
    grid = chart.subplots(panels, 1, squeeze=False, sharex=True)
    axes = [row[0] for row in grid]
    for one in axes:
        _plain(one)
    return chart, axes


def _plain(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=INK, length=0, labelsize=9.5)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(color=FAINT, lw=0.8)
    axes.set_axisbelow(True)


def title(chart: Chart, words: str, below: str) -> None:
    """A bold headline with one quiet line under it that says what the picture is made of."""
    width, height = chart.get_size_inches()
    room = 0.62 / height
    chart.set_layout_engine("constrained", rect=(0, 0, 1, 1 - room))
    left = 0.12 / width
    chart.text(left, 1 - 0.10 / height, words, color=INK, fontsize=14, weight="bold", va="top")
    chart.text(left, 1 - 0.38 / height, below, color=INK, fontsize=9.5, va="top")


def legend(chart: Chart, keys: Sequence[Artist]) -> None:
    """One row of keys under the picture."""
    chart.legend(
        handles=keys,
        loc="outside lower left",
        ncols=len(keys),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=1.1,
        handleheight=1.0,
        handletextpad=0.5,
        columnspacing=1.5,
    )


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "patient"), count(1200, "reading")
    ('1 patient', '1,200 readings')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
