"""The page: shows itself, leaves nothing behind, and reads on light and dark pages or as the active style says."""

from __future__ import annotations

import matplotlib
import pytest
from by_hand import glucose, rate
from matplotlib.colors import to_hex, to_rgb
from matplotlib.style import context

from jhe_jupyter import chart, plots
from jhe_jupyter.plots import colours


def test_a_chart_shows_itself_and_leaves_nothing_behind() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    data, size = plots.time_in_range(glucose([100, 200]))._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert size["image/png"]["width"] == 860
    assert plt.get_fignums() == before == []


def test_no_picture_changes_a_setting_of_matplotlib() -> None:
    before = dict(matplotlib.rcParams)
    plots.heart_rate(rate([60, 70]))._repr_mimebundle_()
    assert dict(matplotlib.rcParams) == before


def luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
@pytest.mark.parametrize(
    "colour",
    {chart.INK, colours.GLUCOSE, colours.TARGET, colours.SYSTOLIC, colours.DIASTOLIC, colours.HEART, colours.STEPS},
)
def test_lines_and_words_stand_out_on_light_and_on_dark_pages(colour: str, page: str) -> None:
    low, high = sorted((luminance(colour), luminance(page)))
    assert (high + 0.05) / (low + 0.05) >= 3.5  # WCAG asks 3 of graphics and large text


def test_without_a_style_the_page_shines_through() -> None:
    picture = plots.time_in_range(glucose([100, 200]))
    assert picture.get_facecolor()[3] == 0
    assert {text.get_color() for text in picture.texts} == {chart.INK}


def test_an_active_dark_style_gives_ink_and_background() -> None:
    with context("dark_background"):
        picture = plots.time_in_range(glucose([100, 200]))
    assert to_hex(picture.get_facecolor()) == "#000000"
    assert {text.get_color() for text in picture.texts} == {"white"}
    assert picture.axes[0].yaxis.get_ticklabels()[0].get_color() == "white"
