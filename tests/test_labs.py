"""Where the tests get a browser from, and what they say where there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import labs
import pytest
from playwright.sync_api import sync_playwright


def test_what_would_be_fetched_is_what_would_be_started() -> None:
    with sync_playwright() as play:
        started = Path(play.chromium.executable_path)
    said = subprocess.run([*labs.FETCH, "--dry-run"], capture_output=True, text=True, timeout=60, check=True).stdout
    places = [Path(line.split(":", 1)[1].strip()) for line in said.splitlines() if "Install location:" in line]
    assert [place for place in places if place in started.parents]


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_without_a_browser_one_line_says_so_and_in_ci_it_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    for way in ("installed", "fetched", "packaged"):
        monkeypatch.setattr(labs, way, lambda: None)
    with pytest.raises(outcome, match="the panels were not seen in a browser"), labs.chromium():
        pass
