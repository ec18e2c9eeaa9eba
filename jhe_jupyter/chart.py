"""The page every picture is drawn on: a figure that Jupyter shows by itself and that reads on light and dark pages.

Figures are made without pyplot, so nothing is kept alive by a global list and no backend is chosen for anybody. The
background is transparent and the ink stands equally far from white and from near-black, because nobody tells a kernel
which theme its reader has chosen; where a matplotlib style is active, its ink and its background are taken instead.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rcParams, rcParamsDefault
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#797979"
FAINT = 0.25  # how much of the ink a grid line takes
DPI = 100
LETTERS = 14  # of a small line, to the inch


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


@dataclass(frozen=True)
class Page:
    """Panels to draw on, in one ink: those of a chart of our own, or one axes of somebody else's figure."""

    panels: list[Axes]
    ink: str
    chart: Chart | None = None

    @property
    def axes(self) -> Axes:
        """The only panel, or the lowest, which carries the labels of a shared x axis."""
        return self.panels[-1]

    @property
    def picture(self) -> Chart | Axes:
        """What a plotting function answers: the chart, or the axes it was given."""
        return self.chart or self.axes

    def title(self, words: str, below: str) -> None:
        """A bold headline with one quiet line under it that says what the picture is made of."""
        if self.chart is None:
            fitting = wrapped(below, round(_inches(self.axes) * LETTERS))
            self.axes.set_title("\n".join([words, *fitting]), loc="left", fontsize=9, color=self.ink)
            return
        width, height = self.chart.get_size_inches()
        self.chart.set_layout_engine("constrained", rect=(0, 0, 1, 1 - 0.62 / height))
        left = 0.12 / width
        self.chart.text(left, 1 - 0.10 / height, words, color=self.ink, fontsize=14, weight="bold", va="top")
        self.chart.text(left, 1 - 0.38 / height, below, color=self.ink, fontsize=9.5, va="top")

    def legend(self, keys: Sequence[Artist]) -> None:
        """One row of keys under the picture, or as many as fit under an axes."""
        place: dict[str, Any] = {"loc": "outside lower left", "ncols": len(keys)}
        if self.chart is None:
            columns = max(1, int(_inches(self.axes) / 1.3))
            place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "borderaxespad": 2.4, "ncols": columns}
        (self.chart or self.axes).legend(
            handles=keys,
            frameon=False,
            fontsize=9,
            labelcolor=self.ink,
            handlelength=1.1,
            handleheight=1.0,
            handletextpad=0.5,
            columnspacing=1.5,
            **place,
        )


def sheet(width: float, height: float, *, ax: Axes | None = None) -> Page:
    """A page with one panel: `ax` as it is, in the ink of its style, or else a chart of `width` × `height` inches."""
    if ax is not None:
        return Page([ax], str(rcParams["text.color"]))
    return panels(width, height)


def panels(width: float, height: float, rows: int = 1, columns: int = 1, *, share_y: bool = False) -> Page:
    """A page of `width` × `height` inches with `rows` × `columns` panels that share their x axis, row by row."""
    ink, background = _style()
    chart = Chart(figsize=(width, height), dpi=DPI, layout="constrained", facecolor=background)
    grid = chart.subplots(rows, columns, squeeze=False, sharex=True, sharey=share_y)
    for axes in grid.flat:
        _plain(axes, ink)
    return Page(list(grid.flat), ink, chart)


def _style() -> tuple[str, str]:
    """Ink and background: those of the active style where somebody chose one, else ours for any page."""
    chosen = str(rcParams["text.color"])
    if chosen == rcParamsDefault["text.color"]:
        return INK, "none"
    return chosen, str(rcParams["figure.facecolor"])


def _plain(axes: Axes, ink: str) -> None:
    axes.set_facecolor("none")
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=ink, length=0, labelsize=9.5)
    axes.xaxis.label.set_color(ink)
    axes.yaxis.label.set_color(ink)
    axes.grid(color=ink, alpha=FAINT, lw=0.8)
    axes.set_axisbelow(True)


def _inches(axes: Axes) -> float:
    """How wide an axes is now; its figure may still move it a little."""
    return float(axes.get_window_extent().width / axes.figure.dpi)


def wrapped(said: str, letters: int) -> list[str]:
    """What is `said`, as lines of at most so many letters where it can be parted at a middle dot.

    >>> wrapped("1 patient · 14 days · 3,919 readings", 24)
    ['1 patient · 14 days', '3,919 readings']
    """
    lines: list[str] = []
    for part in said.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines else part
        lines = [*lines[:-1], longer] if len(longer) <= letters or not lines else [*lines, part]
    return lines


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "patient"), count(1200, "reading")
    ('1 patient', '1,200 readings')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
