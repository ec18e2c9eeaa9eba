"""The console in real JupyterLab, in Notebook and in the portal, in a real browser; one server for all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MARY, MEGAN, PAMELA, PETER, VICTOR, Clinic, _fresh, wait_for
from labs import DARK, LIGHT, Lab, Page, chromium

from jhe_jupyter import Exchange

LAB, AGAIN = 20003, "Blood pressure follow-up"
CSV = "email,last_name,first_name,dob\nada.browser@example.com,Ada,A,1980-01-01\nbad,Bob,B,1980-01-01\n"
AS = "import jhe_jupyter as jhe\nex = jhe.connect(token=open({!r}).read())\npanel = ex.console()\npanel"
SCREENS = ("Patients", "Import", "Studies", "Organizations", "Observations", "Follow-up", "Access review")


class Desk(Clinic):
    """A JupyterLab that hosts a clinic, behind a base URL; who sits at it is said by a token file."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url, folder)
        tile = folder / "share" / "labextensions" / "jupyterhealth-jupyter"
        tile.parent.mkdir(parents=True)
        tile.symlink_to(Path(__file__).parent.parent / "jhe_server" / "labextension")
        options = (f"--ExchangeApp.database={url}", "--ServerApp.base_url=/of/one/")
        self.lab = Lab(folder / "lab", "jupyterlab", LIGHT, *options, JUPYTER_PATH=str(folder / "share"))

    @property
    def address(self) -> str:
        return f"{self.lab.base}jhe"

    def exchange(self, email: str) -> Exchange:
        return Exchange(self.address, self.token(email)).sign_in()

    def notebook(self, name: str, email: str) -> str:
        """A notebook that opens the console as somebody; their token is in a file beside it."""
        file = self.lab.folder / f"{name}.token"
        file.write_text(self.token(email))
        return self.lab.notebook(f"{name}.ipynb", AS.format(str(file)))

    def close(self) -> None:
        self.lab.close()
        super().close()


@pytest.fixture(scope="module")
def context() -> Iterator[Any]:
    with chromium() as context:
        yield context


@pytest.fixture(scope="module")
def desk(context: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(_fresh(request, "sqlite", folder), folder)
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def tab(context: Any) -> Page:
    """One page of JupyterLab for all tests: loading it anew takes longer than what is tested."""
    return Page(context)


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    yield tab
    tab.expect_clean()


@pytest.fixture
def fresh(context: Any) -> Iterator[Page]:
    """A page of its own."""
    page = Page(context)
    yield page
    page.expect_clean()
    page.page.close()


def opened(page: Page, desk: Desk, name: str, email: str, app: str = "lab/tree") -> Page:
    page.run(desk.lab, desk.notebook(name, email), app)
    page.row(PETER).wait_for()
    return page


def expect_accessible(page: Page) -> None:
    """axe finds nothing in the panel that keeps somebody out."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page.page, context=".jhe").response
    assert len(found["passes"]) > 5
    said = [(one["id"], node["html"][:200]) for one in found["violations"] for node in one["nodes"]]
    assert said == []


def kernels(lab: Lab) -> set[str]:
    headers = {"Authorization": f"token {lab.token}"}
    return {one["id"] for one in httpx.get(f"{lab.base}api/kernels", headers=headers, trust_env=False).json()}


def leave(page: Page) -> None:
    page.page.keyboard.press("Escape")
    page.dialog.wait_for(state="hidden")


def test_the_guides_journey_by_mouse(page: Page, desk: Desk) -> None:
    megan = opened(page, desk, "mouse", MEGAN)
    megan.button("Add Patient…").click()
    megan.field("Patient E-mail").fill("nora.newcomer@example.com")
    megan.button("Lookup").click()
    megan.field("Family Name").fill("<b>Newcomer</b>")
    megan.field("Given Name").fill("Nora")
    megan.field("DOB").fill("1980-01-01")
    expect_accessible(megan)
    megan.shot("light-add-patient")
    megan.button("Create").click()
    megan.row("<b>Newcomer</b>").wait_for()
    assert megan.panel.locator("td b").count() == 0, "patient text is text"
    assert "ex.create_patient('nora.newcomer@example.com'" in megan.panel.inner_text()

    megan.row("Nora").get_by_role("checkbox").check()
    megan.row(PAMELA).get_by_role("checkbox").check()
    megan.panel.get_by_text("2 selected").wait_for()
    megan.row(PAMELA).get_by_role("checkbox").uncheck()
    megan.button("Add Patient(s) to Study…").click()
    megan.field("Study", megan.dialog).select_option(label=AGAIN)
    megan.button("Add", megan.dialog).click()
    megan.dialog.wait_for(state="hidden")
    megan.field("Study").select_option(label=AGAIN)
    megan.row(PETER).wait_for()
    megan.row("Nora").get_by_role("checkbox").check()
    megan.button("Remove Patient(s) from Study").click()
    megan.button("Remove", megan.dialog).click()
    megan.row("Nora").wait_for(state="detached")
    megan.field("Study").select_option(label="All Studies")

    megan.button("View Petersen, Peter").click()
    megan.dialog.get_by_text("Studies Responded To").wait_for()
    expect_accessible(megan)
    megan.button("Generate Invitation Link").click()
    megan.button("Copy to Clipboard").click()
    megan.dialog.get_by_text("Copied").wait_for()
    copied = megan.page.evaluate("() => navigator.clipboard.readText()")
    assert copied == megan.field("Invitation link").input_value()
    megan.dialog.get_by_role("img", name=re.compile("QR code")).wait_for()
    megan.shot("light-invitation")
    megan.button("Close").click()

    megan.button("Remove <b>Newcomer</b>, Nora").click()
    megan.button("Delete").click()
    megan.row("Nora").wait_for(state="detached")


def test_keyboard_alone_adds_a_patient_and_no_cell_is_lost(page: Page, desk: Desk) -> None:
    megan = opened(page, desk, "keyboard", MEGAN)
    keys, cells = megan.page.keyboard, megan.page.locator(".jp-CodeCell").count()
    megan.field("Search").focus()
    keys.press("Tab")
    assert megan.page.evaluate("() => document.activeElement.innerText") == "Add Patient…"
    keys.press("Enter")
    megan.field("Patient E-mail").wait_for()
    keys.type("dd.keys@example.com")
    keys.press("Enter")
    megan.field("Family Name").wait_for()
    megan.until(lambda: megan.page.evaluate("() => document.activeElement.labels?.[0]?.innerText") == "Family Name")
    for word in ("Keys", "Dee", "1990-01-01"):
        keys.type(word)
        keys.press("Tab")
    keys.press("Enter")
    megan.row("dd.keys@example.com").wait_for()
    assert megan.page.evaluate("() => document.activeElement.innerText") == "Add Patient…", "back where it began"
    keys.type("dd")
    assert megan.page.locator(".jp-CodeCell").count() == cells
    megan.panel.get_by_role("tab", name="Patients").focus()
    keys.press("ArrowRight")
    megan.field("CSV file").wait_for()


def test_a_viewer_finds_no_control_they_may_not_use(page: Page, desk: Desk) -> None:
    victor = opened(page, desk, "viewer", VICTOR)
    names = {button.inner_text() for button in victor.panel.get_by_role("button").all()}
    assert not {"Add Patient…", "Add Patient(s) to Study…", "Remove Patient(s) from Study"} & names
    assert victor.panel.get_by_role("button", name=re.compile("^(Edit|Remove) ")).count() == 0
    victor.button("View Petersen, Peter").click()
    victor.dialog.get_by_text("Studies Responded To").wait_for()
    assert victor.dialog.get_by_role("button", name="Generate Invitation Link").count() == 0


def test_a_csv_becomes_patients_without_a_line_of_code(page: Page, desk: Desk, tmp_path: Path) -> None:
    megan = opened(page, desk, "import", MEGAN)
    megan.turn_to("Import")
    file = tmp_path / "cohort.csv"
    file.write_text(CSV)
    megan.field("Study").select_option(label=AGAIN)
    megan.field("CSV file").set_input_files(file)
    megan.panel.get_by_text("is not a valid e-mail address").wait_for()
    expect_accessible(megan)
    megan.shot("light-import-plan")
    file.write_text(CSV.replace("bad", "bob.browser@example.com"))
    megan.field("CSV file").set_input_files(file)
    megan.panel.get_by_text("New patients: 2").wait_for()
    megan.button("Apply").click()
    megan.panel.get_by_text("Imported from cohort.csv").wait_for()
    assert {one["telecomEmail"] for one in desk.exchange(MEGAN).list_patients(study_id=30002, search="b")} == {
        "bob.browser@example.com"
    }


def test_a_cell_and_another_person_change_the_study_and_the_panel_follows(page: Page, desk: Desk) -> None:
    megan = opened(page, desk, "follow", MEGAN)
    desk.exchange(MARY).update_patient(PAMELA, phone="555-4242")
    megan.row("555-4242").wait_for()
    megan.row(PETER).get_by_role("checkbox").check()
    execute = """(code) => new Promise((done) => {
      const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
      const future = kernel.requestExecute({ code }); let said = "";
      future.onIOPub = (m) => { said += m.content.text || m.content.evalue || ""; };
      future.done.then(() => done(said)); })"""
    megan.panel.get_by_text("1 selected").wait_for()
    said = megan.page.evaluate(execute, "print(list(panel.selected_df.telecom_email))")
    assert PETER in said
    megan.page.evaluate(execute, "ex.update_patient(40002, phone='555-4343'); None")
    megan.row("555-4343").wait_for()


def test_no_patient_is_saved_into_the_notebook_file(page: Page, desk: Desk) -> None:
    megan = opened(page, desk, "saved", MEGAN)
    megan.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    file = desk.lab.folder / "saved.ipynb"
    wait_for(lambda: "widget-view" in file.read_text(), 20)
    assert "@example.com" not in file.read_text()
    assert "Petersen" not in file.read_text()


def test_every_screen_is_accessible_and_has_its_picture_light_and_dark(page: Page, desk: Desk) -> None:
    mary = opened(page, desk, "screens", MARY)
    for theme in (DARK, LIGHT):
        change = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
        mary.page.evaluate(change, theme)
        mary.page.wait_for_function("(name) => document.body.dataset.jpThemeName === name", arg=theme)
        for screen in SCREENS:
            expect_screen(mary, screen, theme.split()[-1].lower())


def expect_screen(mary: Page, screen: str, tone: str) -> None:
    mary.turn_to(screen)
    mary.panel.locator(".jhe-main:not([aria-busy=true]) > *").first.wait_for()
    expect_accessible(mary)
    mary.shot(f"{tone}-{screen.lower().replace(' ', '-')}")
    if screen == "Studies":
        mary.panel.get_by_role("button", name=re.compile("^View ")).first.click()
        mary.dialog.get_by_text("Progress").wait_for()
        expect_accessible(mary)
        mary.shot(f"{tone}-study")
        leave(mary)


def test_notebook_shows_the_same_console(fresh: Page, desk: Desk) -> None:
    megan = opened(fresh, desk, "classic", MEGAN, "notebooks")
    megan.errors.clear()  # what Notebook itself complains about when it starts
    megan.button("Add Patient…").click()
    megan.field("Patient E-mail").wait_for()


def test_the_portal_asks_for_sign_in(context: Any, desk: Desk) -> None:
    answer = httpx.get(f"{desk.address}/portal", trust_env=False)
    assert answer.status_code == 302
    assert "/of/one/login" in answer.headers["Location"]


def test_the_tile_opens_the_portal_without_code_and_its_kernel_ends_with_it(fresh: Page, desk: Desk) -> None:
    lab = desk.lab
    before = kernels(lab)
    fresh.page.goto(f"{lab.base}lab?token={lab.token}&reset")
    fresh.page.locator(".jp-LauncherCard", has_text="JupyterHealth Exchange").click()
    portal = fresh.page.frame_locator("iframe")
    portal.get_by_role("row").filter(has_text=PETER).wait_for()
    fresh.shot("light-tile")
    assert portal.locator(".jp-CodeMirrorEditor, .cm-editor").count() == 0
    assert len(kernels(lab) - before) == 1
    fresh.page.goto("about:blank")
    fresh.until(lambda: kernels(lab) == before, 30)
