"""Real JupyterLab and a real Chromium: what the tests of the panels drive, by the words a reader sees."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from conftest import environment, free_port, wait_for

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
KNOWN = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The whole browser: what playwright calls its executable is not the shell that `--only-shell` would fetch.
FETCH = (sys.executable, "-m", "playwright", "install", "--no-shell", "chromium")
SHOTS = Path(__file__).parent.parent / "screenshots"
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"

# Runs every cell once the kernel is there; a click on "Run All" can come before it.
RUN_ALL = """async () => {
  const app = window.jupyterapp, pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const ready = async (test) => { for (let i = 0; i < 1500 && !test(); i += 1) await pause(40); return test(); };
  const notebook = () => app.shell.currentWidget;
  await ready(() => notebook() && notebook().sessionContext && notebook().content && notebook().content.model);
  await notebook().context.ready;
  await notebook().sessionContext.ready;
  const kernel = notebook().sessionContext.session.kernel;
  await kernel.info;
  await ready(() => kernel.connectionStatus === "connected" && kernel.status === "idle");
  return app.commands.execute("notebook:run-all-cells");
}"""

# Closes what is open, saved or not, and opens a notebook.
OPEN = """async (path) => {
  const app = window.jupyterapp;
  for (const widget of [...app.shell.widgets("main")]) {
    if (widget.context) widget.context.model.dirty = false;
    widget.close();
  }
  const opened = await app.commands.execute("docmanager:open", { path });
  app.shell.activateById(opened.id);
}"""


# ------------------------------------------------------------------ a browser
def executable() -> str | None:
    """An installed Chrome or Chromium, else playwright's, fetched if need be, else Debian's as root; None for none."""
    return installed() or fetched() or packaged()


def installed() -> str | None:
    return next(filter(None, map(shutil.which, KNOWN)), None)


def fetched() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        path = play.chromium.executable_path
    if not Path(path).exists():
        _tried(*FETCH)
    return path if Path(path).exists() else None


def packaged() -> str | None:
    """Debian's, where one may install it."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _tried("apt-get", "update")
        _tried("apt-get", "install", "--yes", "--no-install-recommends", "chromium")
    return installed()


def _tried(*command: str) -> None:
    """A command that may fail or hang without a network: then there is no browser, which is said elsewhere."""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=240, check=False)


@contextmanager
def chromium(**options: Any) -> Iterator[Any]:
    """A browser context that reaches nothing but this machine; without a browser the test is skipped, in CI fails."""
    found = executable()
    if found is None:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("No Chrome or Chromium here, and none can be fetched: the panels were not seen in a browser.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=list(FLAGS))
        context = browser.new_context(
            viewport={"width": 1360, "height": 900}, permissions=["clipboard-read", "clipboard-write"], **options
        )
        context.set_default_timeout(20_000)
        try:
            yield context
        finally:
            browser.close()


# ------------------------------------------------------------------ a JupyterLab
class Lab:
    """JupyterLab (or Notebook) on a port of its own, as somebody who has only a token for an Exchange elsewhere."""

    def __init__(
        self, folder: Path, app: str = "jupyterlab", theme: str = LIGHT, *options: str, **variables: str
    ) -> None:
        self.folder, self.token = folder, secrets.token_hex(16)
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        path = next((one.partition("base_url=")[2] for one in options if "base_url=" in one), "/")
        self.base = f"http://127.0.0.1:{port}{path}"
        env = environment(folder) | {
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "JUPYTER_CONFIG_PATH": str(folder / "config"),  # before the environment's own, which has us enabled
        }
        self._configure(folder / "config", theme, options)
        command = [
            sys.executable,
            "-m",
            app,
            f"--port={port}",
            "--ServerApp.port_retries=0",
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={folder}",
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
            *options,
        ]
        self.log = folder / "lab.log"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, env=env | variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        try:
            wait_for(self.answers, 90, lambda: self.log.read_text()[-2000:])
        except AssertionError:
            self.close()
            raise

    def _configure(self, config: Path, theme: str, options: tuple[str, ...]) -> None:
        """The Exchange's own extension on only where it is asked for; no news, no autosave, one theme."""
        enabled = config / "jupyter_server_config.d" / "jhe_server.json"
        enabled.parent.mkdir(parents=True, exist_ok=True)
        on = any(one.startswith("--ExchangeApp") for one in options)
        enabled.write_text(json.dumps({"ServerApp": {"jpserver_extensions": {"jhe_server": on}}}))
        plugins = {
            "apputils-extension/themes": {"theme": theme, "adaptive-theme": False},
            "apputils-extension/notification": {
                "checkForUpdates": False,
                "doNotDisturbMode": True,
                "fetchNews": "false",
            },
            "docmanager-extension/plugin": {"autosave": False},
        }
        for plugin, values in plugins.items():
            file = self.folder / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            return httpx.get(f"{self.base}api", timeout=5, trust_env=False, follow_redirects=True).status_code == 200
        except httpx.TransportError:
            return False

    def notebook(self, name: str, *cells: str) -> str:
        """A notebook of code cells in its folder."""
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=kernel)
        nbformat.write(made, self.folder / name)
        return name

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


class Page:
    """One page, with what it asked of other hosts and what went wrong in it."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.strangers: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self._outside(request.url))
        self.page.on("websocket", lambda socket: self._outside(socket.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.panel = self.page.locator(".jhe").first

    def _outside(self, url: str) -> None:
        if not re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|(data|blob|about|chrome):", url):
            self.strangers.append(url)

    def run(self, lab: Lab, name: str, app: str = "lab/tree") -> None:
        """Open a notebook and run all of its cells; where the page is JupyterLab already, in place of what is open."""
        if app == "lab/tree" and self.page.url.startswith(f"{lab.base}lab"):
            self.page.evaluate(OPEN, name)
        else:
            self._load(lab, name, app)
        assert self.page.evaluate(RUN_ALL)

    def _load(self, lab: Lab, name: str, app: str) -> None:
        self.page.goto(f"{lab.base}{app}/{name}?token={lab.token}&reset", wait_until="domcontentloaded")
        self.page.wait_for_function(
            "window.jupyterapp && window.jupyterapp.shell && window.jupyterapp.shell.currentWidget"
        )

    def button(self, name: str, within: Any = None) -> Any:
        return (within or self.panel).get_by_role("button", name=name, exact=True)

    def field(self, label: str, within: Any = None) -> Any:
        return (within or self.panel).get_by_label(label, exact=True)

    def row(self, words: str) -> Any:
        return self.panel.get_by_role("row").filter(has_text=words)

    def turn_to(self, screen: str) -> None:
        self.panel.get_by_role("tab", name=screen, exact=True).click()

    @property
    def dialog(self) -> Any:
        return self.page.get_by_role("dialog")

    def until(self, test: Callable[[], bool], seconds: float = 15.0) -> None:
        """Wait for a condition that is no matter of the page alone; the page goes on meanwhile."""

        def met() -> bool:
            self.page.evaluate("() => new Promise((done) => requestAnimationFrame(done))")
            return test()

        wait_for(met, seconds)

    def shot(self, name: str) -> None:
        """A picture for those who look; the folder is not kept."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=str(SHOTS / f"{name}.png"))

    def expect_clean(self) -> None:
        """Nothing was asked of other hosts, nothing failed in the page."""
        assert not self.strangers, self.strangers
        assert not self.errors, self.errors
