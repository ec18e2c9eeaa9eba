"""The panels in real JupyterLab and Chromium: first paint, turning a page, a click beside an import, the portal.

    python benchmarks/panels.py [--patients 100000] [--runs 5]

Times are taken in the browser, from the click (or the cell's start) to the row that is on the screen; bytes are what
came over the kernel's websocket. Ratios decide; figures belong to the machine they were taken on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from measuring import machine, managers_token, report, served

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from labs import LIGHT, Lab, Page, chromium
from patients import ADMIN, ORGANIZATION, rows

from jhe_server import imports, seed
from jhe_server.cli import recorded
from jhe_server.opened import open_store

FEW = 20002  # an organization of the seed without patients; it gets fifty
SHOWN = 50
CONNECT = "import jhe_jupyter as jhe\nex = jhe.connect()"
PANEL = f"panel = ex.patients_panel(organization={{}})\npanel.screen.listing.per_page = {SHOWN}\npanel"
IMPORT = """rows = [{"email": f"late{n}@example.com", "last_name": "Late", "first_name": "L", "dob": "1980-01-01"}
        for n in range(25_000)]
ex.import_panel(organization=20003, source=rows)"""
WRITE = """([at, code]) =>
  window.jupyterapp.shell.currentWidget.content.widgets[at].model.sharedModel.setSource(code)"""
# Runs one cell and answers the milliseconds until a selector matches as often as it should in its output.
PAINT = """async ([at, selector, count]) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = at;
  const cell = notebook.activeCell.node, began = performance.now();
  window.jupyterapp.commands.execute("notebook:run-cell");
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await frame();
  while (cell.querySelectorAll(selector).length !== count) await frame();
  return performance.now() - began;
}"""
# Clicks and answers the milliseconds until the words of an element are others.
CHANGE = """async ([click, watch]) => {
  const words = () => document.querySelector(watch)?.innerText, before = words(), began = performance.now();
  document.querySelector(click).click();
  while (words() === before) await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - began;
}"""


def fill(file: Path, patients: int) -> str:
    """A clinic with fifty patients in one organization and very many in another; a manager's token of both."""
    database = open_store(f"sqlite:///{file}")
    with recorded(database, "seed.plant") as session:
        seed.plant(session, "benchmark")
    wanted = [(FEW, 0, SHOWN), *((ORGANIZATION, first, 10_000) for first in range(SHOWN, patients, 10_000))]
    for organization, first, number in wanted:
        with recorded(database, "imports.run") as session:
            imports.run(session, ADMIN, imports.Import(organization_id=organization, rows=rows(first, number)))
    token = managers_token(database)
    database.close()
    return token


class Wire:
    """Bytes that came over websockets."""

    def __init__(self, page: Any) -> None:
        self.bytes = 0
        page.on("websocket", lambda socket: socket.on("framereceived", self._came))

    def _came(self, frame: str | bytes) -> None:
        self.bytes += len(frame)

    def during(self, action: Callable[[], float]) -> tuple[float, int]:
        before = self.bytes
        return action(), self.bytes - before


def first_paint(page: Page, wire: Wire, runs: int) -> bool:
    """The same panel over few and over very many patients, in turn."""
    took: dict[int, list[float]] = {1: [], 2: []}
    size = 0
    for number in range(runs + 1):
        for cell, times in took.items():
            page.page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
            paint = [cell, ".jhe tbody input[data-id]", SHOWN]
            milliseconds, came = wire.during(lambda paint=paint: float(page.page.evaluate(PAINT, paint)))
            if number:
                times.append(milliseconds)
                size = max(size, came)
    few, many = median(took[1]), median(took[2])
    said = (
        f"{few:.0f} ms over 50, {many:.0f} ms over many; ratio {many / few:.2f} (<= 2), {size / 1000:.0f} KB (<= 150)"
    )
    return report(f"first paint of {SHOWN} rows", said, many <= 2 * few and size <= 150_000)


def next_page(page: Page, wire: Wire, runs: int) -> bool:
    click, watch = ".jhe [aria-label='Next page']", ".jhe tbody tr"
    measured = [wire.during(lambda: float(page.page.evaluate(CHANGE, [click, watch]))) for _ in range(runs + 1)][1:]
    took, size = median(one for one, _ in measured), max(came for _, came in measured)
    said = f"{took:.0f} ms (<= 200), {size / 1000:.1f} KB (<= 20)"
    return report("next page", said, took <= 200 and size <= 20_000)


def beside_an_import(page: Page) -> bool:
    """Another panel of the same kernel answers while 25,000 rows are imported."""
    page.page.evaluate(PAINT, [3, ".jhe [data-name=apply]", 1])
    page.page.evaluate("() => document.querySelector('.jhe [data-name=apply]').click()")
    page.page.locator(".jhe progress").wait_for()
    began, took = time.perf_counter(), []
    while page.page.locator(".jhe progress").count():
        took.append(float(page.page.evaluate(CHANGE, [".jhe [data-name=add]", ".jhe dialog h2"])))
        page.page.keyboard.press("Escape")
        page.page.wait_for_function("() => !document.querySelector('.jhe dialog[open]')")
        page.page.evaluate("() => { document.querySelector('.jhe dialog h2').textContent = ''; }")
    lasted = time.perf_counter() - began
    said = f"median {median(took):.0f} ms, worst {max(took):.0f} ms of {len(took)} clicks in {lasted:.1f} s (<= 100)"
    return report("a second button during an import", said, median(took) <= 100)


def portal(context: Any, folder: Path, file: Path) -> bool:
    """From the request to the first row, with nothing of it loaded yet."""
    lab = Lab(folder / "portal", "jupyterlab", LIGHT, f"--ExchangeApp.database=sqlite:///{file}")
    try:
        page = Page(context)
        began = time.perf_counter()
        page.page.goto(f"{lab.base}jhe/portal?token={lab.token}", wait_until="commit")
        page.row("@example.com").first.wait_for()
        took = time.perf_counter() - began
    finally:
        lab.close()
    return report("the portal's first paint, cold", f"{took:.1f} s (<= 8)", took <= 8)


def panels(context: Any, folder: Path, url: str, token: str, runs: int) -> list[bool]:
    lab = Lab(folder / "lab", JHE_URL=url, JHE_TOKEN=token)
    try:
        page = Page(context)
        wire = Wire(page.page)
        page.run(lab, lab.notebook("panels.ipynb", CONNECT, "None", "None", "None"))
        for at, code in enumerate((PANEL.format(FEW), PANEL.format(ORGANIZATION), IMPORT), 1):
            page.page.evaluate(WRITE, [at, code])  # only now, so that each is run when its turn is measured
        return [first_paint(page, wire, runs), next_page(page, wire, runs), beside_an_import(page)]
    finally:
        lab.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    print(f"{machine()}; {given.patients:,} patients", flush=True)
    with tempfile.TemporaryDirectory() as name, chromium() as context:
        folder = Path(name)
        file = folder / "exchange.sqlite"
        token = fill(file, given.patients)
        with served(file) as (url, _):
            held = panels(context, folder, url, token, given.runs)
        held.append(portal(context, folder, file))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
